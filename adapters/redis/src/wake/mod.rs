//! Who is told when a session changes.
//!
//! Every waiter of this process shares one connection that is subscribed to the channels of the
//! sessions that somebody waits for. A message only says "look again".

mod channels;
mod listener;
mod watch;

pub(crate) use self::{
    channels::Channels,
    listener::{SubscribeConfig, SubscriptionTask},
    watch::ChannelWatch,
};
