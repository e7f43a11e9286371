use unbroken::chat::{Media, ProviderError, Role};

/// The handling of a part or option that can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsendable {
    /// It refuses the request.
    Refuse,
    /// It leaves the part or option out.
    LeaveOut,
}

impl Unsendable {
    /// Handles an option, by its name on the wire.
    ///
    /// # Errors
    ///
    /// If it is to be refused. The text is public.
    pub(crate) fn option(self, name: &str, why: &str) -> Result<(), ProviderError> {
        self.handle(name, || {
            format!("the model's server can't honour the option `{name}`; {why}")
        })
    }

    /// Handles a medium in a message of this role.
    ///
    /// # Errors
    ///
    /// If it is to be refused. The text is public.
    pub(crate) fn media(self, media: &Media, role: Role, why: &str) -> Result<(), ProviderError> {
        self.handle(role.as_str(), || {
            // An application may send any text.
            let kind: String = media.media_type.chars().take(64).collect();
            // Which of the first two the client sent isn't known here.
            let role = match role {
                Role::System => "system` or `developer",
                role => role.as_str(),
            };
            format!(
                "the model's server can't be sent a part of the type `{kind}` in a message of the role \
                 `{role}`: {why}"
            )
        })
    }

    /// Handles the detail of a medium, which genai has no place for.
    ///
    /// # Errors
    ///
    /// If it is to be refused. The text is public.
    pub(crate) fn detail(self) -> Result<(), ProviderError> {
        self.handle("detail", || {
            "the model's server can't be sent the `detail` of a part; leave it out".to_owned()
        })
    }

    fn handle(self, subject: &str, message: impl FnOnce() -> String) -> Result<(), ProviderError> {
        match self {
            Self::Refuse => Err(ProviderError::new(message())),
            Self::LeaveOut => {
                let reason = message();
                tracing::warn!(
                    of = subject,
                    reason,
                    "a part of a request is left out for the model"
                );
                Ok(())
            }
        }
    }
}
