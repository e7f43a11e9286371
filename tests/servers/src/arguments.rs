use std::{collections::HashMap, env, path::PathBuf, time::Duration};

use unbroken::{BoxError, durable::Recovery};

/// The number of attempts to recover a session. Tests kill more servers than the default allows for.
const MAX_ATTEMPTS: u32 = 1000;

/// The command line: pairs of an option and its value.
///
/// ```text
/// --store STORE   disk:PATH, redis://…, postgres://…
/// --space NAME    the prefix of keys, or the schema, of the servers that share sessions
/// --name NAME     the name of this server, in the tokens of its provider
/// --calls FILE    the log of its provider's calls
/// --lease-ms N    the lease, in milliseconds
/// --policy P      the recovery policy: fail, restart, resume, reattach
/// --upstream URL  the model's server, in place of the built-in provider; optional
/// --background B  whether that answers in the background; true unless given
/// --endings E     how the application is told of endings: none, outbox, hook; none unless given
/// --fault F       the fault of this server, or none; see `faults`
/// ```
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) store: String,
    pub(crate) space: String,
    pub(crate) name: String,
    pub(crate) calls: PathBuf,
    pub(crate) lease: Duration,
    pub(crate) fault: String,
    /// The address of the model's server, and true if it answers in the background.
    pub(crate) upstream: Option<(String, bool)>,
    pub(crate) endings: String,
    policy: String,
}

impl Arguments {
    pub(crate) fn parse() -> Result<Self, BoxError> {
        let mut values = HashMap::new();
        let mut words = env::args().skip(1);
        while let Some(option) = words.next() {
            let value = words.next().ok_or("an option without a value")?;
            values.insert(option, value);
        }
        let in_background = values.remove("--background").is_none_or(|it| it == "true");
        let upstream = values.remove("--upstream").map(|url| (url, in_background));
        let endings = values.remove("--endings").unwrap_or_else(|| "none".into());
        let mut take = |option: &str| {
            let value = values.remove(option);
            value.ok_or_else(|| format!("{option} is missing"))
        };
        Ok(Self {
            store: take("--store")?,
            space: take("--space")?,
            name: take("--name")?,
            calls: take("--calls")?.into(),
            lease: Duration::from_millis(take("--lease-ms")?.parse()?),
            policy: take("--policy")?,
            fault: take("--fault")?,
            upstream,
            endings,
        })
    }

    pub(crate) fn recovery(&self) -> Result<Recovery, BoxError> {
        let recovery = match self.policy.as_str() {
            "fail" => Recovery::new(),
            "restart" => Recovery::new().restart(),
            "resume" => Recovery::new().resume(),
            "reattach" => Recovery::new().reattach(),
            other => {
                return Err(format!(
                    "`{other}` is not a policy: give fail, restart, resume or reattach"
                )
                .into());
            }
        };
        Ok(recovery.attempts(MAX_ATTEMPTS).claims(MAX_ATTEMPTS.into()))
    }
}
