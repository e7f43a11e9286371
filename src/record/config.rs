use std::{sync::Arc, time::Duration};

use http::{HeaderName, Method};

use super::{Framing, RecordingFormat};
use crate::{
    access::Access,
    exchange::{CallerOptions, CrossSite, MountPath},
    log::ServiceName,
    session::{Format as _, FormatSessions, Sessions},
};

/// The options of a layer, which its services share.
#[derive(Debug, Clone)]
pub(super) struct RecordConfig {
    pub(super) sessions: FormatSessions,
    pub(super) access: Arc<dyn Access>,
    pub(super) service: ServiceName,
    pub(super) mount: Option<MountPath>,
    pub(super) start_methods: Vec<Method>,
    pub(super) abort_path: Option<Arc<str>>,
    pub(super) takes_keys: bool,
    /// The types of responses that are recorded, in lower case and without parameters.
    pub(super) types: Vec<(Arc<str>, Framing)>,
    pub(super) kept_headers: Vec<HeaderName>,
    pub(super) max_body: usize,
    pub(super) cross_site: CrossSite,
    pub(super) body_timeout: Duration,
    pub(super) ready_timeout: Duration,
    pub(super) heartbeat: Option<Duration>,
}

impl RecordConfig {
    pub(super) fn new(sessions: Sessions, access: Arc<dyn Access>) -> Self {
        Self {
            sessions: FormatSessions::new(sessions, RecordingFormat::new().number()),
            access,
            service: ServiceName::new("record"),
            mount: None,
            start_methods: vec![Method::POST],
            abort_path: None,
            takes_keys: false,
            types: Vec::new(),
            kept_headers: Vec::new(),
            max_body: 1024 * 1024,
            cross_site: CrossSite::refuse(),
            body_timeout: Duration::from_secs(30),
            ready_timeout: Duration::ZERO,
            heartbeat: Some(Duration::from_secs(15)),
        }
    }

    /// Adds a type of responses that are recorded, or changes its framing.
    pub(super) fn add_type(&mut self, content_type: &str, framing: Framing) {
        let mime = mime(content_type);
        self.types.retain(|(known, _)| **known != *mime);
        self.types.push((mime.into(), framing));
    }

    /// Returns the framing of responses of this `Content-Type`, or `None` if they aren't recorded.
    pub(super) fn framing(&self, content_type: &str) -> Option<Framing> {
        let mime = mime(content_type);
        let named = self.types.iter().find(|(known, _)| **known == *mime);
        named.map(|(_, framing)| *framing).or(match &*mime {
            "text/event-stream" => Some(Framing::Events),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => Some(Framing::Lines),
            _ => None,
        })
    }
}

/// Returns a content type in lower case and without parameters.
fn mime(content_type: &str) -> String {
    let mime = content_type.split(';').next().unwrap_or_default();
    mime.trim().to_ascii_lowercase()
}

impl CallerOptions for RecordConfig {
    fn sessions(&self) -> &FormatSessions {
        &self.sessions
    }

    fn access(&self) -> &dyn Access {
        &*self.access
    }

    fn service(&self) -> &ServiceName {
        &self.service
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AnyoneWithTheId;

    #[test]
    fn the_type_decides_the_framing_whatever_its_case_and_parameters() {
        let mut config = RecordConfig::new(Sessions::in_memory(), Arc::new(AnyoneWithTheId::new()));
        for (content_type, framing) in [
            ("text/event-stream", Some(Framing::Events)),
            ("Text/Event-Stream; charset=utf-8", Some(Framing::Events)),
            ("application/x-ndjson", Some(Framing::Lines)),
            ("application/jsonl ;x=y", Some(Framing::Lines)),
            ("application/json", None),
            ("text/event-streams", None),
            ("", None),
        ] {
            assert_eq!(config.framing(content_type), framing, "{content_type}");
        }
        config.add_type("Text/Plain", Framing::Bytes);
        config.add_type("text/event-stream", Framing::Bytes);
        assert_eq!(config.framing("text/plain;a"), Some(Framing::Bytes));
        assert_eq!(config.framing("text/event-stream"), Some(Framing::Bytes));
    }
}
