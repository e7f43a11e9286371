use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::auth::User;

/// The state that the application's handlers share: the tokens and the notes of all users.
#[derive(Clone)]
pub struct App {
    tokens: Arc<HashMap<&'static str, User>>,
    notes: Arc<Mutex<HashMap<Arc<str>, Vec<String>>>>,
}

impl App {
    /// Creates a state of two users, with the tokens `ann-token` and `ben-token`, and no notes.
    pub fn demo() -> Self {
        let users = [("ann-token", "ann"), ("ben-token", "ben")];
        Self {
            tokens: Arc::new(HashMap::from(users.map(|it| (it.0, User(it.1.into()))))),
            notes: Arc::default(),
        }
    }

    /// Returns the user with this token.
    pub fn user_of(&self, token: &str) -> Option<User> {
        self.tokens.get(token).cloned()
    }

    /// Returns the user's notes, oldest first.
    pub fn notes_of(&self, user: &str) -> Vec<String> {
        self.with_notes(|notes| notes.get(user).cloned().unwrap_or_default())
    }

    /// Adds a note.
    pub fn note(&self, user: &User, text: String) {
        self.with_notes(|notes| notes.entry(user.0.clone()).or_default().push(text));
    }

    fn with_notes<T>(&self, f: impl FnOnce(&mut HashMap<Arc<str>, Vec<String>>) -> T) -> T {
        // A panic with the lock held leaves no broken note.
        f(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive() // hides the tokens
    }
}
