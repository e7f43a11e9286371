//! Wakes the waiters of a session when it changes.
//!
//! All waiters of a process share one connection, which is subscribed to the channels of the sessions
//! that have waiters. A message has no content: a waiter reads the session again.

mod channels;
mod listener;
mod watch;

pub(crate) use self::{
    channels::Channels,
    listener::{SubscribeConfig, SubscriptionTask},
    watch::ChannelWatch,
};
