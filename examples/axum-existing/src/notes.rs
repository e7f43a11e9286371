//! The application's own routes.

use axum::{Json, Router, extract::State, routing::get};
use http::StatusCode;

use crate::{App, auth::User};

/// Returns the routes `GET /api/notes` and `POST /api/notes`, in JSON.
pub fn routes() -> Router<App> {
    Router::new().route("/api/notes", get(list).post(add))
}

async fn list(State(app): State<App>, User(name): User) -> Json<Vec<String>> {
    Json(app.notes_of(&name))
}

async fn add(State(app): State<App>, user: User, Json(text): Json<String>) -> StatusCode {
    app.note(&user, text);
    StatusCode::CREATED
}
