use std::{collections::HashMap, env, path::PathBuf, time::Duration};

use unbroken::{BoxError, durable::Recovery};

/// How often a session may be taken over. Tests kill servers more often than people do.
const ATTEMPTS: u32 = 1000;

/// What the command line says: pairs of an option and its value.
///
/// ```text
/// --store STORE   disk:PATH, redis://…, postgres://…
/// --space NAME    the prefix of keys, or the schema, of the servers that share sessions
/// --who NAME      who says what this server's provider says
/// --calls FILE    where its provider's calls are written down
/// --lease-ms N
/// --policy P      fail, restart, resume
/// --fault F       what it does wrong; see `faults`
/// ```
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) store: String,
    pub(crate) space: String,
    pub(crate) who: String,
    pub(crate) calls: PathBuf,
    pub(crate) lease: Duration,
    pub(crate) fault: String,
    policy: String,
}

impl Arguments {
    pub(crate) fn of_process() -> Result<Self, BoxError> {
        let mut given = HashMap::new();
        let mut words = env::args().skip(1);
        while let Some(option) = words.next() {
            let value = words.next().ok_or("an option without a value")?;
            given.insert(option, value);
        }
        let mut take = |option: &str| {
            let value = given.remove(option);
            value.ok_or_else(|| format!("{option} is missing"))
        };
        Ok(Self {
            store: take("--store")?,
            space: take("--space")?,
            who: take("--who")?,
            calls: take("--calls")?.into(),
            lease: Duration::from_millis(take("--lease-ms")?.parse()?),
            policy: take("--policy")?,
            fault: take("--fault")?,
        })
    }

    pub(crate) fn recovery(&self) -> Result<Recovery, BoxError> {
        let recovery = match self.policy.as_str() {
            "fail" => Recovery::fail(),
            "restart" => Recovery::restart(),
            "resume" => Recovery::resume(),
            other => return Err(format!("`{other}` is no policy").into()),
        };
        Ok(recovery.attempts(ATTEMPTS))
    }
}
