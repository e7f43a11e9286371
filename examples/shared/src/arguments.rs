use std::{env, time::Duration};

/// The command line of an example.
///
/// ```text
/// --port N       the port to listen on, 0 for a free one        (default: PORT, or 3000)
/// --store STORE  the store of answers                           (default: disk:unbroken-sessions)
///                memory, disk:PATH, redis://…, postgres://…
/// --head-timeout MS  the time for the head of a request         (default: 30000)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arguments {
    /// The port to listen on.
    pub port: u16,
    /// The store of answers, for [`open_store`](crate::open_store).
    pub store: String,
    /// The time within which a client must send the head of a request.
    pub head_timeout: Duration,
}

/// The error of a command line.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadArguments {
    /// The option is unknown.
    Unknown(String),
    /// The option has no value.
    Missing(String),
    /// The value is not a port.
    NoPort(String),
    /// The value is not a number of milliseconds.
    NoTime(String),
}

impl Arguments {
    /// Parses the command line of this process.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is unknown, lacks its value, or names no port or time.
    pub fn from_process() -> Result<Self, BadArguments> {
        Self::parse(env::args().skip(1), env::var("PORT").ok())
    }

    fn parse(
        mut arguments: impl Iterator<Item = String>,
        port: Option<String>,
    ) -> Result<Self, BadArguments> {
        let mut port = port.unwrap_or_else(|| "3000".to_owned());
        let mut store = "disk:unbroken-sessions".to_owned();
        let mut head_timeout = "30000".to_owned();
        while let Some(option) = arguments.next() {
            let value = match option.as_str() {
                "--port" => &mut port,
                "--store" => &mut store,
                "--head-timeout" => &mut head_timeout,
                _ => return Err(BadArguments::Unknown(option)),
            };
            *value = arguments.next().ok_or(BadArguments::Missing(option))?;
        }
        Ok(Self {
            port: port.parse().map_err(|_| BadArguments::NoPort(port))?,
            store,
            head_timeout: match head_timeout.parse() {
                Ok(time) => Duration::from_millis(time),
                Err(_) => return Err(BadArguments::NoTime(head_timeout)),
            },
        })
    }
}

impl std::error::Error for BadArguments {}

impl std::fmt::Display for BadArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(option) => {
                write!(
                    f,
                    "`{option}` is unknown; the options are `--port N`, `--store STORE` and \
                     `--head-timeout MS`"
                )
            }
            Self::Missing(option) => write!(f, "`{option}` needs a value after it"),
            Self::NoPort(port) => write!(f, "`{port}` is not a port: 0 to 65535"),
            Self::NoTime(time) => write!(f, "`{time}` is not a number of milliseconds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, port: Option<&str>) -> Result<Arguments, BadArguments> {
        let words = line.split_whitespace().map(str::to_owned);
        Arguments::parse(words, port.map(str::to_owned))
    }

    #[test]
    fn options_win_over_the_environment_and_that_over_the_defaults() {
        let of = |line, port| parse(line, port).map(|it| (it.port, it.store));
        let times = parse("--head-timeout 200", None).map(|it| it.head_timeout);
        assert_eq!(times, Ok(Duration::from_millis(200)));
        let disk = || "disk:unbroken-sessions".to_owned();
        assert_eq!(of("", None), Ok((3000, disk())));
        assert_eq!(of("", Some("4000")), Ok((4000, disk())));
        let both = of("--store memory --port 0", Some("4000"));
        assert_eq!(both, Ok((0, "memory".to_owned())));
    }

    #[test]
    fn wrong_options_are_refused() {
        for (line, error) in [
            ("--help", BadArguments::Unknown("--help".into())),
            ("--port", BadArguments::Missing("--port".into())),
            ("--port 65536", BadArguments::NoPort("65536".into())),
            ("--head-timeout 1s", BadArguments::NoTime("1s".into())),
        ] {
            assert_eq!(parse(line, None), Err(error));
        }
    }
}
