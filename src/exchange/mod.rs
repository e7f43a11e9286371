//! What the services of `durable` and `record` share: the client of a request and what it may reach, the body that is
//! read within limits, refusals, and the stream of a response.

mod caller;
mod cross_site;
mod mount_path;
mod readiness;
pub(crate) mod refusals;
mod request_body;
mod session_stream;

pub(crate) use self::{
    caller::{CallerOptions, LOCATED_WITHIN, LayerCaller, UsedId},
    readiness::ready,
    request_body::IncomingBody,
    session_stream::{FLUSH, SessionStream},
};
pub use self::{cross_site::CrossSite, mount_path::MountPath};
