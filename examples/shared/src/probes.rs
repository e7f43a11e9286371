use http::StatusCode;
use unbroken::session::Sessions;

/// Returns the status that a readiness probe gets: 503 while the store fails, and once the server shuts down.
///
/// A liveness probe gets 200 from a server that runs: restarting it heals no store.
pub async fn readiness(sessions: &Sessions) -> StatusCode {
    if sessions.health().await.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
