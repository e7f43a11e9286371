use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::auth::User;

/// What the application's handlers share: who has which token, and everybody's notes.
#[derive(Clone)]
pub struct App {
    tokens: Arc<HashMap<&'static str, User>>,
    notes: Arc<Mutex<HashMap<Arc<str>, Vec<String>>>>,
}

impl App {
    /// Two users, with the tokens `ann-token` and `ben-token`, and no notes.
    pub fn demo() -> Self {
        let users = [("ann-token", "ann"), ("ben-token", "ben")];
        Self {
            tokens: Arc::new(HashMap::from(users.map(|it| (it.0, User(it.1.into()))))),
            notes: Arc::default(),
        }
    }

    /// Whose token this is.
    pub fn user_of(&self, token: &str) -> Option<User> {
        self.tokens.get(token).cloned()
    }

    /// The user's notes, oldest first.
    pub fn notes_of(&self, user: &str) -> Vec<String> {
        self.with_notes(|notes| notes.get(user).cloned().unwrap_or_default())
    }

    /// Adds one.
    pub fn note(&self, user: &User, text: String) {
        self.with_notes(|notes| notes.entry(user.0.clone()).or_default().push(text));
    }

    fn with_notes<T>(&self, f: impl FnOnce(&mut HashMap<Arc<str>, Vec<String>>) -> T) -> T {
        // A handler that panicked with the lock has broken no note.
        f(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive() // tokens belong in no log
    }
}
