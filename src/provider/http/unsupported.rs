//! Parts and options of a request that a server has no form for.

use crate::chat::{Media, ProviderError, Role};

/// The handling of a part or option that a server has no form for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// It refuses the request.
    #[default]
    Refuse,
    /// It leaves the part or option out.
    LeaveOut,
}

impl Unsupported {
    /// Handles an option, by its name on the wire.
    ///
    /// # Errors
    ///
    /// If it is to be refused. The text is public.
    pub(crate) fn option(self, name: &str, instead: &str) -> Result<(), ProviderError> {
        self.handle(name, || {
            format!("the model's server can't honour the option `{name}`; {instead}")
        })
    }

    /// Handles the detail of a medium.
    ///
    /// # Errors
    ///
    /// If it is to be refused. The text is public.
    pub(crate) fn detail(self, why: &str) -> Result<(), ProviderError> {
        self.handle("detail", || {
            format!("the model's server can't be sent the `detail` of a part: {why}; leave it out")
        })
    }

    /// Handles a medium in a message of this role.
    ///
    /// # Errors
    ///
    /// If it is to be refused. The text is public.
    pub(crate) fn media(self, media: &Media, role: Role, why: &str) -> Result<(), ProviderError> {
        let named = |media: &Media| {
            // An application may send any text.
            let kind: String = media.media_type.chars().take(64).collect();
            // Which of the first two the client sent isn't known here.
            let role = match role {
                Role::System => "system` or `developer",
                role => role.as_str(),
            };
            format!("a part of the type `{kind}` in a message of the role `{role}`")
        };
        self.handle(role.as_str(), || {
            format!("the model's server can't be sent {}: {why}", named(media))
        })
    }

    fn handle(self, subject: &str, message: impl FnOnce() -> String) -> Result<(), ProviderError> {
        match self {
            Self::Refuse => Err(ProviderError::new(message())),
            Self::LeaveOut => {
                tracing::warn!(
                    of = subject,
                    reason = message(),
                    "a part of a request is left out for the model"
                );
                Ok(())
            }
        }
    }
}
