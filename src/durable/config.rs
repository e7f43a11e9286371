use std::{sync::Arc, time::Duration};

use super::{
    ChatFormat, ClientFields, CrossSite, MountPath, Outbox, Recovery, Reply,
    answer_check::DefaultFormat, declared_tools::DeclaredTools, history::LayerHistory,
    hooks::Hooks, question_index::QuestionIndex,
};
use crate::{
    access::Access,
    chat::{Capabilities, ChatOptions, EnabledTools, SessionInfo},
    dialect::{Dialect, Native, RequestLimits},
    log::ServiceName,
    session::{Format as _, FormatSessions, Sessions},
};

/// The options of a layer, which its services share.
#[derive(Debug, Clone)]
pub(super) struct LayerConfig {
    pub(super) sessions: FormatSessions,
    pub(super) access: Arc<dyn Access>,
    pub(super) dialect: Arc<dyn Dialect>,
    default_service: ServiceName,
    pub(super) service: Option<ServiceName>,
    pub(super) mount: Option<MountPath>,
    pub(super) client_fields: ClientFields,
    pub(super) options: ChatOptions,
    pub(super) default_format: DefaultFormat,
    pub(super) enabled_tools: EnabledTools,
    pub(super) max_body: usize,
    pub(super) request_limits: RequestLimits,
    pub(super) cross_site: CrossSite,
    pub(super) questions: Arc<QuestionIndex>,
    pub(super) body_timeout: Duration,
    pub(super) ready_timeout: Duration,
    pub(super) heartbeat: Option<Duration>,
    info: SessionInfo,
    /// The tools that each session declares beside those of its `info`.
    pub(super) tools: Option<DeclaredTools>,
    pub(super) hooks: Hooks,
    pub(super) outbox: Option<Outbox>,
    pub(super) history: Option<LayerHistory>,
    pub(super) recovery: Recovery,
    pub(super) secret_chat_ids: bool,
}

impl LayerConfig {
    pub(super) fn new(sessions: Sessions, access: Arc<dyn Access>) -> Self {
        let dialect = Native::new();
        Self {
            sessions: FormatSessions::new(sessions, ChatFormat::new().number()),
            access,
            default_service: ServiceName::new(dialect.name()),
            dialect: Arc::new(dialect),
            service: None,
            mount: None,
            client_fields: ClientFields::nothing(),
            options: ChatOptions::new(),
            default_format: DefaultFormat::default(),
            enabled_tools: EnabledTools::All,
            max_body: 1024 * 1024,
            request_limits: RequestLimits::new(),
            cross_site: CrossSite::refuse(),
            questions: Arc::default(),
            body_timeout: Duration::from_secs(30),
            ready_timeout: Duration::ZERO,
            heartbeat: Some(Reply::HEARTBEAT),
            info: SessionInfo::new(Capabilities::new()),
            tools: None,
            hooks: Hooks::default(),
            outbox: None,
            history: None,
            recovery: Recovery::new(),
            secret_chat_ids: false,
        }
    }

    /// Returns the registry, for calls that find no session by a client's name.
    pub(super) fn registry(&self) -> &Sessions {
        self.sessions.registry()
    }

    pub(super) fn set_dialect(&mut self, dialect: Arc<dyn Dialect>) {
        self.default_service = ServiceName::new(dialect.name());
        self.dialect = dialect;
    }

    pub(super) fn set_capabilities(&mut self, capabilities: Capabilities) {
        self.info.capabilities = capabilities;
    }

    pub(super) fn set_persona(&mut self, persona: serde_json::Value) {
        self.info.persona = Some(persona);
    }

    /// Returns the `session_info` of a session that begins now, with all tools of the server.
    pub(super) fn session_info(&self) -> SessionInfo {
        let mut info = self.info.clone();
        if let Some(declared) = &self.tools {
            declared.add_to(&mut info.capabilities.tools);
        }
        info
    }

    /// Returns the time for which the ending of a session waits for its delivery; `None` if nothing takes it.
    pub(super) fn ending_kept_for(&self) -> Option<Duration> {
        let outbox = self.outbox.as_ref().map(Outbox::kept_for);
        outbox.or_else(|| self.history.as_ref().map(|_| Outbox::KEEP))
    }

    /// Returns the name that was given to the layer, or that of its dialect.
    pub(super) fn service(&self) -> &ServiceName {
        self.service.as_ref().unwrap_or(&self.default_service)
    }
}
