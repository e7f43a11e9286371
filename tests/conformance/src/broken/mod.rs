//! A store that breaks one rule of the contract, to show that a suite notices.
//!
//! The rule is broken from outside: [`BrokenStore`] changes arguments and answers, and keeps data
//! of its own beside the store that it wraps. The store itself has no switch.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use unbroken::store::Memory;
//! use unbroken_conformance::{BrokenStore, ContractRule, store};
//!
//! let broken = || async { BrokenStore::new(Memory::new()).breaking(ContractRule::ClaimFences) };
//! let report = store::suite(broken).await;
//! assert!(!report.passed());
//! # }
//! ```

mod answer;
mod append;
mod chunk;
mod claim;
mod create;
mod end;
mod list;
mod of_chat;
mod outbox;
mod overlay;
mod read;
mod rule;
mod store;
mod view;
mod wait;
mod withdraw;

pub use self::{
    rule::ContractRule,
    store::{BrokenSnapshot, BrokenStore},
};
