//! The tool loop, as clients see it.

mod asking;
mod calls;
mod claims;
mod continued;
mod counted;
mod declared;
mod deep;
mod forged;
mod given_once;
mod handoff;
mod interrupted;
mod kept;
mod offered;
mod reloads;
mod seats;
mod taken;
mod texts;
mod ui_messages;
