//! For tests of what is built on `unbroken`, and of other people's stores.

pub use crate::session::rule::Rule;
