use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::{Client, Url, header::CONTENT_TYPE};

use super::{
    WebhookBuilder, WebhookContent, WebhookError, WebhookFailure, message_id::message_id,
    payload::body_of, secret::SigningSecret,
};
use crate::durable::SessionEnded;

/// A handler that sends endings to a URL, by the specification
/// [Standard Webhooks](https://www.standardwebhooks.com).
///
/// ```
/// use unbroken::{
///     DurableLayer, Sessions,
///     access::AnyoneWithTheId,
///     durable::{Outbox, Webhook},
/// };
///
/// # fn main() -> Result<(), unbroken::durable::WebhookError> {
/// # let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"; // from the environment
/// let webhook = Webhook::new("https://billing.example.com/endings", secret)?;
/// let durable = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
///     .outbox(Outbox::webhook(webhook));
/// # Ok(()) }
/// ```
///
/// The libraries of the specification verify the signature, in Node, Python, Go, Java, Rust and others:
///
/// ```js
/// import { Webhook } from 'standardwebhooks';
///
/// const { data } = new Webhook(secret).verify(rawBody, headers); // throws if it isn't from here
/// if (await firstTime(headers['webhook-id'])) await charge(data.owner, data.usage);
/// ```
///
/// # The request
///
/// A POST of JSON with these headers:
///
/// | header | value |
/// |---|---|
/// | `webhook-id` | the id of the session, in which `.` is written as `~d` and `~` as `~t`. It stays the same when the ending comes again: a receiver that has it answers 2xx and does nothing |
/// | `webhook-timestamp` | the time of this attempt, in seconds since 1970 |
/// | `webhook-signature` | `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`; for each [former secret](WebhookBuilder::former_secret) another one, after a space |
///
/// The secret is `whsec_` and the base64 of 24 to 64 random bytes, as `openssl rand -base64 32` makes them. Give
/// each receiver its own.
///
/// # The body
///
/// `{"type":"session.ended","timestamp":"2026-11-03T20:26:10.344Z","data":{…}}`, where the timestamp is the time of the
/// session's end, and `data` has:
///
/// | field | value |
/// |---|---|
/// | `id` | the id of the session |
/// | `owner` | the owner, as the access policy names it; `null` if there is none |
/// | `chatId` | the conversation; `null` if there is none |
/// | `outcome` | `complete`, `aborted` or `error` |
/// | `code` | of an error: `provider`, `timeout`, `interrupted`, `limit` or `internal` |
/// | `message` | of an error: the public message that clients get |
/// | `reason` | of an abort: its reason, if it gave one |
/// | `finishReason` | of a complete answer: `stop`, `length`, `content_filter`, `tool_calls`, `unknown`, or the provider's own word |
/// | `model` | the model of the last turn, if the provider named it |
/// | `usage` | the tokens of the whole answer, if the provider reported them: `inputTokens`, `outputTokens`, `cachedInputTokens?`, `reasoningTokens?` |
/// | `turns` | of each turn of the model that is over: `finishReason`, `usage?`, `model?`. Empty if the session was deleted |
/// | `claims` | the ids of calls that only the client claims were handed to it ([`SessionEnded::claims`](field@SessionEnded::claims)) |
/// | `delivery` | the number of deliveries that have begun, this one included. Above 1, an earlier one may have arrived |
/// | `deleted` | true if the session was deleted before this delivery |
/// | `contentOmitted` | true if the three fields that follow are left out: by choice, because the body would be too long, or because the session was deleted |
/// | `text` | the text of all turns |
/// | `messages` | the answer as messages, for a history: for each turn the assistant's, then those of its tools ([`Transcript::messages`](crate::chat::Transcript::messages)) |
/// | `request` | the request, with the messages before the answer; only with [`WebhookContent::AnswerAndRequest`] |
///
/// A field that is "of" something, or has an "if", is absent otherwise. Receivers ignore fields that they don't know.
///
/// The specification recommends bodies of less than 20 KB. Content passes that early: the text is there twice, so an
/// answer of 10 KB does, and so do most answers with media or with long results of tools. A body with
/// [`WebhookContent::Omit`] has about 500 bytes, and 150 for each turn. Above
/// [`max_body`](WebhookBuilder::max_body) the content is left out by itself.
///
/// # Success and failure
///
/// A response of 2xx says that the receiver has the ending. Its body isn't read. Everything else is a failure, and
/// the outbox [tries it again](crate::durable::Outbox#retries), 410 and 429 included; `Retry-After` isn't
/// honoured. Redirects are never followed.
///
/// # Addresses
///
/// The URL is of `https`, and its host must have an address of the public internet. The host is looked up for each
/// connection, and the connection is made to an address that was checked: never to one that a second look-up would
/// give. Loopback, private, shared (carrier-grade NAT), link-local, unique-local, multicast, documentation and
/// reserved addresses are refused, and IPv6 addresses that stand for such IPv4 addresses. Proxies of the environment
/// aren't used. [`allow_http`](WebhookBuilder::allow_http) and
/// [`allow_private_addresses`](WebhookBuilder::allow_private_addresses) lift this for receivers of your own.
///
/// # A receiver for each customer
///
/// [`deliver`](Self::deliver) is for a handler of your own that chooses the receiver:
///
/// ```
/// use std::{collections::HashMap, sync::Arc};
/// use unbroken::{
///     BoxError,
///     durable::{Outbox, SessionEnded, Webhook},
///     log::Owner,
/// };
///
/// # let webhooks: HashMap<Owner, Webhook> = HashMap::new();
/// let webhooks = Arc::new(webhooks);
/// let outbox = Outbox::new(move |ended: SessionEnded| {
///     let webhook = ended.owner.as_ref().and_then(|owner| webhooks.get(owner)).cloned();
///     async move {
///         match webhook {
///             Some(webhook) => webhook.deliver(&ended).await.map_err(BoxError::from),
///             None => Ok(()),
///         }
///     }
/// });
/// ```
///
/// It is cheap to clone. `Debug` shows neither a secret nor the path of the URL.
#[derive(Clone)]
pub struct Webhook(Arc<Receiver>);

/// The receiver of a webhook, and what it gets.
pub(super) struct Receiver {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) secrets: Vec<SigningSecret>,
    pub(super) content: WebhookContent,
    pub(super) max_body: usize,
    pub(super) timeout: Duration,
}

impl Webhook {
    /// Creates a webhook to this URL, whose deliveries are signed with this secret.
    ///
    /// # Errors
    ///
    /// If the URL is malformed or not allowed, or the secret is malformed.
    pub fn new(url: impl Into<String>, secret: impl Into<String>) -> Result<Self, WebhookError> {
        Self::builder(url, secret).build()
    }

    /// Returns a builder of a webhook to this URL, whose deliveries are signed with this secret.
    pub fn builder(url: impl Into<String>, secret: impl Into<String>) -> WebhookBuilder {
        WebhookBuilder::new(url.into(), secret.into())
    }

    pub(super) fn of(receiver: Receiver) -> Self {
        Self(Arc::new(receiver))
    }

    /// Returns the time limit of one attempt.
    pub(in crate::durable) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Sends an ending, once. The receiver has it if this returns `Ok`, and may have it if not.
    ///
    /// # Errors
    ///
    /// If the receiver didn't answer with 2xx in time, or may not be called.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes the connection. The receiver may have the ending.
    pub async fn deliver(&self, ended: &SessionEnded) -> Result<(), WebhookFailure> {
        let receiver = &*self.0;
        let body = body_of(ended, receiver.content, receiver.max_body);
        let body = body.map_err(|error| WebhookFailure::Unwritable {
            source: error.into(),
        })?;
        let id = message_id(&ended.id);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = now.unwrap_or_default().as_secs();
        let signatures = receiver.secrets.iter();
        let signatures = signatures.map(|secret| secret.sign(&id, timestamp, &body));
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        let request = receiver.client.post(receiver.url.clone());
        let response = request
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures)
            .body(body)
            .send()
            .await?;
        // The body is dropped unread.
        match WebhookFailure::of_status(response.status()) {
            None => Ok(()),
            Some(failure) => Err(failure),
        }
    }
}

/// Returns the part of a URL that is no secret: scheme, host and port.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("origin", &origin(&self.0.url))
            .field("secrets", &self.0.secrets.len())
            .field("content", &self.0.content)
            .finish_non_exhaustive()
    }
}
