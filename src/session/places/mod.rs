//! The places that the sessions of a server hold, and their limits.

mod shared;
mod state;
#[cfg(test)]
mod tests;

pub(super) use self::{shared::SharedPlaces, state::PlaceId};
