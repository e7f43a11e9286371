use std::{str::FromStr, time::Duration};

use http::{HeaderName, HeaderValue, Uri};
use thiserror::Error;
use unbroken_conformance::http::{CASES, HttpCase, HttpTarget, InvalidHttpTarget};

use crate::shutdown::run_shutdown;

/// A parsed command line.
#[derive(Debug)]
pub(crate) enum Invocation {
    Help,
    List,
    Test(Box<CliArguments>),
}

/// A server and the cases to run against it.
#[derive(Debug)]
pub(crate) struct CliArguments {
    pub(crate) address: Uri,
    pub(crate) target: HttpTarget,
    /// In the order of the suite. Empty for all cases.
    pub(crate) cases: Vec<&'static HttpCase>,
}

/// The error of a command line.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum UsageError {
    #[error("name the server: http://HOST:PORT/PATH")]
    NoAddress,
    #[error("name one server only: `{0}` is a second one")]
    SecondAddress(String),
    #[error(transparent)]
    Address(#[from] InvalidHttpTarget),
    #[error("there is no option `{0}`; see `--help`")]
    NoSuchOption(String),
    #[error("`{0}` needs a value after it")]
    NoValue(String),
    #[error("`{option}` takes a number, not `{value}`")]
    NoNumber { option: String, value: String },
    #[error("`{option}` takes a header as 'NAME: VALUE', not `{value}`")]
    NoHeader { option: String, value: String },
    #[error("`--waive` takes CASE=REASON, not `{0}`")]
    NoReason(String),
    #[error("there is no case `{0}`; see `--list`")]
    NoSuchCase(String),
}

type TargetSetting = Box<dyn FnOnce(HttpTarget) -> HttpTarget>;

impl Invocation {
    /// Parses a command line without the program's name.
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, UsageError> {
        let mut arguments = arguments.into_iter();
        let mut address = None;
        let mut cases = Vec::new();
        let mut settings: Vec<TargetSetting> = Vec::new();
        while let Some(argument) = arguments.next() {
            let option = OptionName(&argument);
            let mut value = || {
                let value = arguments.next();
                value.ok_or_else(|| UsageError::NoValue(argument.clone()))
            };
            settings.push(match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--list" => return Ok(Self::List),
                "--http2" => Box::new(HttpTarget::http2),
                "--caller" => {
                    let (name, header) = option.header(value()?)?;
                    Box::new(|it| it.caller(name, header))
                }
                "--stranger" => {
                    let (name, header) = option.header(value()?)?;
                    Box::new(|it| it.stranger(name, header))
                }
                "--max-body" => option.number(value()?, HttpTarget::max_body)?,
                "--event-bytes" => option.number(value()?, HttpTarget::event_bytes)?,
                "--session-events" => option.number(value()?, HttpTarget::session_events)?,
                "--session-bytes" => option.number(value()?, HttpTarget::session_bytes)?,
                "--running" => option.number(value()?, HttpTarget::running)?,
                "--running-per-owner" => option.number(value()?, HttpTarget::running_per_owner)?,
                "--idle" => option.time(value()?, HttpTarget::idle)?,
                "--age" => option.time(value()?, HttpTarget::age)?,
                "--heartbeat" => option.time(value()?, HttpTarget::heartbeat)?,
                "--body-timeout" => option.time(value()?, HttpTarget::body_timeout)?,
                "--shutdown" => {
                    let command = value()?;
                    Box::new(|it| it.shutdown(move || run_shutdown(command.clone())))
                }
                "--waive" => {
                    let waived = value()?;
                    let (name, reason) = waived
                        .split_once('=')
                        .filter(|(_, reason)| !reason.is_empty())
                        .ok_or_else(|| UsageError::NoReason(waived.clone()))?;
                    let (name, reason) = (case(name)?.name, reason.to_owned());
                    Box::new(move |it| it.waive(name, reason))
                }
                "--case" => {
                    cases.push(case(&value()?)?.name);
                    continue;
                }
                _ if argument.starts_with('-') => return Err(UsageError::NoSuchOption(argument)),
                _ if address.is_some() => return Err(UsageError::SecondAddress(argument)),
                _ => {
                    address = Some(argument);
                    continue;
                }
            });
        }
        let address = address.ok_or(UsageError::NoAddress)?;
        let target = HttpTarget::new(&address)?;
        Ok(Self::Test(Box::new(CliArguments {
            address: address.parse().expect("a target is an address"),
            target: settings.into_iter().fold(target, |target, set| set(target)),
            cases: CASES.iter().filter(|it| cases.contains(&it.name)).collect(),
        })))
    }
}

/// The name of an option.
struct OptionName<'a>(&'a str);

impl OptionName<'_> {
    fn number<N>(
        &self,
        value: String,
        set: impl FnOnce(HttpTarget, N) -> HttpTarget + 'static,
    ) -> Result<TargetSetting, UsageError>
    where
        N: FromStr + 'static,
    {
        let option = self.0.to_owned();
        match value.parse() {
            Ok(number) => Ok(Box::new(move |target| set(target, number))),
            Err(_) => Err(UsageError::NoNumber { option, value }),
        }
    }

    /// Parses a number of milliseconds.
    fn time(
        &self,
        value: String,
        set: impl FnOnce(HttpTarget, Duration) -> HttpTarget + 'static,
    ) -> Result<TargetSetting, UsageError> {
        self.number(value, |target, ms| set(target, Duration::from_millis(ms)))
    }

    fn header(&self, value: String) -> Result<(HeaderName, HeaderValue), UsageError> {
        let header = value.split_once(':').and_then(|(name, value)| {
            Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
        });
        let option = self.0.to_owned();
        header.ok_or(UsageError::NoHeader { option, value })
    }
}

fn case(name: &str) -> Result<&'static HttpCase, UsageError> {
    HttpCase::find(name).ok_or_else(|| UsageError::NoSuchCase(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "http://localhost:3000/api/chat";

    fn read(arguments: &[&str]) -> Result<Invocation, UsageError> {
        Invocation::read(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn options_come_before_or_after_the_address() {
        for arguments in [
            [ADDRESS, "--http2", "--caller", "Authorization: Bearer a"],
            ["--http2", "--caller", "Authorization: Bearer a", ADDRESS],
        ] {
            let Ok(Invocation::Test(arguments)) = read(&arguments) else {
                panic!("{:?}", read(&arguments));
            };
            assert_eq!(arguments.address, ADDRESS);
            assert!(format!("{:?}", arguments.target).contains("http2: true"));
            assert!(arguments.cases.is_empty());
        }
    }

    #[test]
    fn cases_run_in_the_order_of_the_suite_and_each_once() {
        let [first, .., last] = CASES else {
            unreachable!()
        };
        let twice = ["--case", last.name, "--case", first.name];
        let arguments = [&[ADDRESS][..], &twice, &twice].concat();
        let Ok(Invocation::Test(arguments)) = read(&arguments) else {
            panic!("{:?}", read(&arguments));
        };
        let names: Vec<_> = arguments.cases.iter().map(|case| case.name).collect();
        assert_eq!(names, [first.name, last.name]);
    }

    #[test]
    fn a_wrong_command_line_names_its_mistake() {
        for (arguments, error) in [
            (&[][..], "name the server"),
            (&["localhost:3000"], "not an address"),
            (&["https://localhost/chat"], "speaks no TLS"),
            (&[ADDRESS, ADDRESS], "a second one"),
            (&[ADDRESS, "--fast"], "no option `--fast`"),
            (&[ADDRESS, "--running"], "`--running` needs a value"),
            (&[ADDRESS, "--running", "-1"], "takes a number, not `-1`"),
            (&[ADDRESS, "--heartbeat", "1s"], "takes a number, not `1s`"),
            (&[ADDRESS, "--caller", "Bearer a"], "'NAME: VALUE'"),
            (&[ADDRESS, "--stranger", "a b: c"], "'NAME: VALUE'"),
            (&[ADDRESS, "--case", "nonsense"], "no case `nonsense`"),
            (&[ADDRESS, "--waive", "nonsense=why"], "no case `nonsense`"),
            (&[ADDRESS, "--waive", CASES[0].name], "CASE=REASON"),
        ] {
            let seen = read(arguments).unwrap_err().to_string();
            assert!(seen.contains(error), "{arguments:?}: {seen}");
        }
    }
}
