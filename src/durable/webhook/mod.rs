//! The ready-made handler of endings that calls a URL.

mod address;
mod builder;
mod content;
mod error;
mod failure;
mod handler;
mod payload;
mod receiver_url;
mod resolver;
mod rfc3339;
mod secret;
#[cfg(test)]
mod tests;

pub use self::{
    builder::WebhookBuilder, content::WebhookContent, error::WebhookError, failure::WebhookFailure,
    handler::Webhook,
};
