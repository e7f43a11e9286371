use std::sync::Arc;

use crate::log::Owner;

/// A conversion into the owner of a session, or into none.
///
/// The `identify_with` of `unbroken-axum` and of `unbroken-warp` accept it: their closures may return
/// any type that implements it.
///
/// Implemented for [`Owner`], for the texts that an [`Owner`] is made of, and for `Option`s of
/// these, where `None` leaves the request without an owner. A text that is empty or longer than
/// [128 bytes](Owner::MAX_LEN) is no owner either, and is traced as a warning. An application implements
/// the trait for its own type of user.
///
/// ```
/// use unbroken::{access::IntoOwner, log::Owner};
///
/// struct User {
///     id: u64,
/// }
///
/// impl IntoOwner for User {
///     fn into_owner(self) -> Option<Owner> {
///         self.id.to_string().into_owner()
///     }
/// }
///
/// assert_eq!(User { id: 7 }.into_owner(), Some(Owner::new("7")));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not become the owner of a session",
    label = "return an `Owner`, a `String`, a `&str`, or an `Option` of one of these",
    note = "implement `unbroken::access::IntoOwner` for a type of your own"
)]
pub trait IntoOwner {
    /// Converts this value into an owner.
    fn into_owner(self) -> Option<Owner>;
}

impl IntoOwner for Owner {
    fn into_owner(self) -> Option<Owner> {
        Some(self)
    }
}

impl<T: IntoOwner> IntoOwner for Option<T> {
    fn into_owner(self) -> Option<Owner> {
        self.and_then(T::into_owner)
    }
}

macro_rules! texts {
    ($($Text:ty),*) => {
        $(
            impl IntoOwner for $Text {
                fn into_owner(self) -> Option<Owner> {
                    match Owner::try_from(self) {
                        Ok(owner) => Some(owner),
                        Err(error) => {
                            tracing::warn!(%error, "a request has no owner");
                            None
                        }
                    }
                }
            }
        )*
    };
}

texts! { &str, String, Box<str>, Arc<str> }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_no_owner() {
        let of = |len: usize| "n".repeat(len);
        for (len, fits) in [(0, false), (1, true), (128, true), (129, false)] {
            assert_eq!(of(len).into_owner().is_some(), fits, "{len}");
            assert_eq!(of(len).as_str().into_owner().is_some(), fits, "{len}");
            assert_eq!(Some(of(len)).into_owner().is_some(), fits, "{len}");
        }
    }
}
