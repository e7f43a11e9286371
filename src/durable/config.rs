use std::{sync::Arc, time::Duration};

use super::{ClientFields, MountPath, Recovery, Reply, hooks::Hooks};
use crate::{
    access::Access,
    chat::{Capabilities, SessionInfo},
    dialect::{Dialect, Native},
    log::ServiceName,
    session::Sessions,
};

/// What the services of a layer share.
#[derive(Debug, Clone)]
pub(super) struct LayerConfig {
    pub(super) sessions: Sessions,
    pub(super) access: Arc<dyn Access>,
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) service: ServiceName,
    pub(super) mount: Option<MountPath>,
    pub(super) open: ClientFields,
    pub(super) max_body: usize,
    pub(super) body_timeout: Duration,
    pub(super) ready_timeout: Duration,
    pub(super) heartbeat: Option<Duration>,
    pub(super) info: SessionInfo,
    pub(super) hooks: Hooks,
    pub(super) recovery: Recovery,
}

impl LayerConfig {
    pub(super) fn new(sessions: Sessions, access: Arc<dyn Access>) -> Self {
        Self {
            sessions,
            access,
            dialect: Arc::new(Native::new()),
            service: ServiceName::new("chat"),
            mount: None,
            open: ClientFields::nothing(),
            max_body: 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            ready_timeout: Duration::ZERO,
            heartbeat: Some(Reply::HEARTBEAT),
            info: SessionInfo::new(Capabilities::new()),
            hooks: Hooks::default(),
            recovery: Recovery::fail(),
        }
    }
}
