use std::collections::HashMap;

use redis::Value;
use unbroken::store::Durability;

use crate::{
    RedisOpenError, RedisOptions,
    link::{CommandConnection, CommandError},
};

/// The settings of a server that matter to logs.
#[derive(Debug, Default)]
pub(crate) struct ServerSettings {
    info: HashMap<String, String>,
    config: HashMap<String, String>,
}

/// The weakest of the settings of all servers that take writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeastSettings {
    pub(crate) durability: Durability,
    /// The most bytes of a value in a command.
    pub(crate) value_bytes: usize,
}

/// Above it the server refuses a value, and closes the connection.
const BULK_BYTES: &str = "proto-max-bulk-len";
/// Above it the server closes the connection, without a word.
const QUERY_BYTES: &str = "client-query-buffer-limit";
/// The most that a script and its other arguments take of the buffer for a command.
const OTHER_ARGUMENTS: usize = 64 << 10;
/// The server's default, where it hides its configuration.
const DEFAULT_BULK_BYTES: usize = 512 << 20;

impl ServerSettings {
    /// Checks every server that takes writes. Returns what holds for all of them.
    pub(crate) async fn check(
        link: &CommandConnection,
        options: &RedisOptions,
    ) -> Result<LeastSettings, RedisOpenError> {
        let servers = Self::read(link).await?;
        for server in &servers {
            server.check_server(link, options)?;
        }
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(format!("{}opened", options.prefix)).arg("");
        match link.send(&publish).await {
            Ok(_) => {}
            Err(CommandError::Refused(error) | CommandError::Lost(error))
                if error.code().is_some() =>
            {
                return Err(RedisOpenError::NotPermitted(error));
            }
            Err(error) => return Err(RedisOpenError::Unreachable(error.into_source())),
        }
        let least = servers.iter().map(Self::durability).min();
        let durability = options.durability.or(least);
        let value_bytes = servers.iter().filter_map(Self::value_bytes).min();
        Ok(LeastSettings {
            durability: durability.unwrap_or(Durability::Process),
            value_bytes: value_bytes.unwrap_or(DEFAULT_BULK_BYTES),
        })
    }

    async fn read(link: &CommandConnection) -> Result<Vec<Self>, RedisOpenError> {
        let mut answers = Vec::new();
        // Some managed servers allow only this section.
        for section in [None, Some("memory")] {
            match link.send_to_all(redis::cmd("INFO").arg(section)).await {
                Ok(sections) => {
                    answers = sections;
                    break;
                }
                // The user lacks the permission.
                Err(CommandError::Refused(error) | CommandError::Lost(error))
                    if error.code().is_some_and(|code| code != "NOAUTH") => {}
                Err(error) => return Err(RedisOpenError::Unreachable(error.into_source())),
            }
        }
        if answers.is_empty() {
            return Ok(vec![Self::default()]);
        }
        let mut servers: Vec<_> = answers.iter().map(Self::from_info).collect();
        for name in ["appendonly", "appendfsync", BULK_BYTES, QUERY_BYTES] {
            let mut config = redis::cmd("CONFIG");
            // Many managed servers forbid this; the settings are unknown then.
            let answers = link.send_to_all(config.arg("GET").arg(name)).await;
            for (server, answer) in servers.iter_mut().zip(answers.unwrap_or_default()) {
                let found: HashMap<String, String> =
                    redis::from_redis_value(answer).unwrap_or_default();
                server.config.extend(found);
            }
        }
        Ok(servers)
    }

    fn from_info(answer: &Value) -> Self {
        let text: String = redis::from_redis_value_ref(answer).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Self {
            info: lines
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
            config: HashMap::new(),
        }
    }

    fn check_server(
        &self,
        link: &CommandConnection,
        options: &RedisOptions,
    ) -> Result<(), RedisOpenError> {
        let info = |name| self.info.get(name).map(String::as_str);
        if let Some(version) = info("redis_version")
            && older_than_6_2(version)
        {
            let version = version.to_owned();
            return Err(RedisOpenError::TooOld { version });
        }
        if matches!(link, CommandConnection::Single(_)) && info("cluster_enabled") == Some("1") {
            return Err(RedisOpenError::IsCluster);
        }
        if options.allow_eviction {
            return Ok(());
        }
        match (info("maxmemory"), info("maxmemory_policy")) {
            (Some("0"), _) | (_, Some("noeviction")) => Ok(()),
            (Some(_), Some(policy)) => Err(RedisOpenError::Evicts {
                policy: policy.to_owned(),
            }),
            _ => Err(RedisOpenError::EvictionUnknown),
        }
    }

    /// Returns the most bytes of a value in a command, above which the server drops the connection.
    fn value_bytes(&self) -> Option<usize> {
        let setting = |name| self.config.get(name)?.parse::<usize>().ok();
        let query = setting(QUERY_BYTES).map(|bytes| bytes.saturating_sub(OTHER_ARGUMENTS));
        setting(BULK_BYTES).into_iter().chain(query).min()
    }

    fn durability(&self) -> Durability {
        let is = |name, value| self.config.get(name).is_some_and(|is| is == value);
        if is("appendonly", "yes") && is("appendfsync", "always") {
            Durability::Host
        } else {
            Durability::Process
        }
    }
}

fn older_than_6_2(version: &str) -> bool {
    let mut parts = version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) => (major, minor) < (6, 2),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, old) in [
            ("2.8.24", true),
            ("6.0.16", true),
            ("6.2.0", false),
            ("7.0.15", false),
            ("10.1.0", false),
            ("unknown", false),
        ] {
            assert_eq!(older_than_6_2(version), old, "{version}");
        }
    }
}
