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

impl ServerSettings {
    /// Checks every server that takes writes, and returns the weakest of their durabilities.
    pub(crate) async fn check(
        link: &CommandConnection,
        options: &RedisOptions,
    ) -> Result<Durability, RedisOpenError> {
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
            Err(
                CommandError::Refused(error)
                | CommandError::Lost(error)
                | CommandError::Unsent(error),
            ) => {
                return Err(RedisOpenError::Unreachable(error));
            }
        }
        let least = servers.iter().map(Self::durability).min();
        Ok(options
            .durability
            .unwrap_or(least.unwrap_or(Durability::Process)))
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
                Err(
                    CommandError::Refused(error)
                    | CommandError::Lost(error)
                    | CommandError::Unsent(error),
                ) => {
                    return Err(RedisOpenError::Unreachable(error));
                }
            }
        }
        if answers.is_empty() {
            return Ok(vec![Self::default()]);
        }
        let mut servers: Vec<_> = answers.iter().map(Self::from_info).collect();
        for name in ["appendonly", "appendfsync"] {
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
