//! `unbroken` for axum.
