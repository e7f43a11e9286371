use crate::{
    chat::Media,
    dialect::{Dialect, Problem, Refusal},
};

/// The refusals of fields, in the words of a dialect.
#[derive(Clone, Copy)]
pub(super) struct Refusals<'a> {
    dialect: &'a dyn Dialect,
}

impl<'a> Refusals<'a> {
    pub(super) const fn new(dialect: &'a dyn Dialect) -> Self {
        Self { dialect }
    }

    /// Returns the client's word for a field of the native protocol.
    pub(super) fn name(self, field: &'static str) -> &'static str {
        self.dialect.field_name(field)
    }

    /// Returns the refusal of a closed field, and the method that opens it.
    pub(super) fn closed(self, field: &'static str, switch: &str) -> Refusal {
        not_open(format!(
            "`{}` is not open to clients; leave it out (the application opens it with \
             `ClientFields::{switch}`)",
            self.name(field)
        ))
    }

    /// Returns the client's word for the part that a medium is.
    pub(super) fn media_name(self, media: &Media) -> &'static str {
        self.dialect.media_name(media)
    }
}

/// Returns the refusal of a field that is open, but not like this.
pub(super) fn not_open(detail: String) -> Refusal {
    Refusal::new(Problem::NotOpen, detail)
}

/// Returns the refusal of closed elements: their name and its verb, and the method that opens them.
pub(super) fn closed(elements: &str, switch: &str) -> Refusal {
    not_open(format!(
        "{elements} not open to clients; leave them out (the application opens them with \
         `ClientFields::{switch}`)"
    ))
}

/// Returns the refusal of elements that are open, but are too large.
pub(super) fn too_large(fields: &str, bytes: usize, most: usize) -> Refusal {
    not_open(format!(
        "{fields} have {bytes} bytes, and {most} are open to clients; send less"
    ))
}
