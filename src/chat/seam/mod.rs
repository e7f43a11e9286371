//! The seam of a resumed answer: where the text of another call of the model is added to a partial text.
//!
//! A model that goes on from a partial text says what comes next. Some don't: a server that ignores the request to go
//! on lets its model begin a turn of its own, which says the last words again or the whole answer. The seam is
//! checked on the first text of the new call, which is held back until one of these is sure:
//!
//! * **It goes on.** It passes unchanged.
//! * **It repeats** the end of the partial text, all of it included: the repeat is cut off.
//! * **It begins anew**: it begins as the partial text did, and then differs. The way is
//!   [declined](super::ProviderError::cannot_continue), and nothing of it is stored.
//!
//! # A repeat, and what only looks like one
//!
//! Texts repeat themselves: markers of lists, closing brackets, rows of a table, refrains. Words that come again are
//! a repeat where a text can't go on so ([`SeamRules`](rules::SeamRules)):
//!
//! * **Joined.** The partial text ends with a letter, and the new one begins with a word or a line of it, without a
//!   space between: `jumps over` and `jumps over the dog`. Five letters suffice, three if they are all of the partial
//!   text. To begin anew takes two different words and eight bytes.
//! * **Apart.** Otherwise it takes 24 bytes with four different words, which the partial text has nowhere else; or, to
//!   repeat all of a partial text of one line, 12 bytes with three. A repeat of a part must also be within one line:
//!   lines that come twice are common, in code, tables and songs. In scripts without spaces all text is apart, and
//!   each character is a word.
//!
//! Lines of one form begin alike. At the beginning of a line, a text begins anew only if a whole line is as that of
//! the partial text, or 64 bytes of it.
//!
//! A word that was cut belongs to neither: a repeat begins at the beginning of a word.
//!
//! # Bounds
//!
//! Text is held while it may yet be a repeat or the beginning of the partial text, which is a few tokens at most times.
//! A repeat of the end is looked for in the last 1,024 bytes. Text that is as the beginning of the partial text for
//! longer isn't kept: it is either cut off or declined. Thinking and provider state before the text are held with
//! it, up to 256 KiB; past that all passes unchecked. Every other event decides at once.
//!
//! # Thinking
//!
//! A turn that was cut in its thinking, before any text, is begun anew by every provider, so that its new thinking
//! isn't declined. A repeat is cut off; where it differs, both thoughts stand in the log.

mod check;
mod judge;
mod rules;

pub(crate) use self::check::{SeamCheck, poll_checked};
