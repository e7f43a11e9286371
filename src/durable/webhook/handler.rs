use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use reqwest::{Client, Url, header::CONTENT_TYPE};
use tokio::time::Instant;

use super::{
    WebhookBuilder, WebhookContent, WebhookError, WebhookFailure,
    payload::{WrittenBody, body_of},
    receiver_url::{origin, receiver_url},
    secret::SigningSecret,
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
/// await chargeOnce(headers['webhook-id'], data.owner, data.usage); // `usage` may be absent
/// ```
///
/// `chargeOnce` stores the id and the charge in one transaction, and does nothing if the id is there. An id that is
/// stored before loses the charge if the receiver dies in between.
///
/// # The request
///
/// A POST of JSON with these headers:
///
/// | header | value |
/// |---|---|
/// | `webhook-id` | the id of the ending ([`SessionEnded::ending_id`](field@SessionEnded::ending_id)), 32 characters of `0-9a-f`. It stays the same when the ending comes again: a receiver that has it answers 2xx and does nothing. The id of the session is no such key, since a later session may have it again |
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
/// | `metadata` | the metadata that the client gave with the request, if there is any: an object of strings |
/// | `delivery` | the number of deliveries that have begun, this one included. Above 1, an earlier one may have arrived |
/// | `deleted` | true if the session was deleted before this delivery |
/// | `contentOmitted` | true if the three fields that follow are left out: by choice, because the body would be too long, or because the session was deleted |
/// | `text` | the text of all turns; only with [`WebhookContent::Text`] |
/// | `messages` | the answer as messages, for a history: for each turn the assistant's, then those of its tools ([`Transcript::messages`](crate::chat::Transcript::messages)). Its text is the `content` of the assistant's |
/// | `request` | the request, with the messages before the answer; only with [`WebhookContent::AnswerAndRequest`] |
///
/// A field that is "of" something, has an "if" or an "only", is absent otherwise. Receivers ignore fields that they
/// don't know.
///
/// The text is never sent twice: `messages` is there by default, and `text` in its place where that is all that the
/// receiver needs.
///
/// The specification recommends bodies of less than 20 KB. Content passes that with an answer of 20 KB, with most
/// media and with long results of tools. A body with [`WebhookContent::Omit`] has about 500 bytes, 150 for each turn,
/// and the metadata. Above [`max_body`](WebhookBuilder::max_body) (64 KiB) the content is left out by itself.
///
/// # Success and failure
///
/// A response of 2xx says that the receiver has the ending. Its body isn't read. Everything else is a failure, and
/// the outbox [tries it again](crate::durable::Outbox#retries), 410 and 429 included; `Retry-After` isn't
/// honoured. Redirects are never followed. After a 413 to a body with content the ending is sent once more without
/// content, in what is left of the attempt's time.
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
/// [`deliver`](Self::deliver) is for a handler of your own that chooses the receiver. Each webhook that is built reads
/// the certificates of the system and has its own connections, so build one, keep it, and get the others from
/// [`to`](Self::to), which shares them. The outbox's timeout has to be above that of an attempt:
///
/// ```
/// use std::{collections::HashMap, sync::Arc, time::Duration};
/// use unbroken::{
///     BoxError,
///     durable::{Outbox, SessionEnded, Webhook},
///     log::Owner,
/// };
///
/// # fn main() -> Result<(), unbroken::durable::WebhookError> {
/// # let (ann_secret, bob_secret) =
/// #     ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
/// let ann = Webhook::builder("https://ann.example.com/endings", ann_secret)
///     .timeout(Duration::from_secs(40))
///     .build()?;
/// let bob = ann.to("https://bob.example.com/endings", bob_secret)?;
/// let webhooks = HashMap::from([(Owner::new("ann"), ann), (Owner::new("bob"), bob)]);
/// let webhooks = Arc::new(webhooks);
/// let outbox = Outbox::new(move |ended: SessionEnded| {
///     let webhook = ended.owner.as_ref().and_then(|owner| webhooks.get(owner)).cloned();
///     async move {
///         match webhook {
///             Some(webhook) => webhook.deliver(&ended).await.map_err(BoxError::from),
///             None => Ok(()),
///         }
///     }
/// })
/// .timeout(Duration::from_secs(50));
/// # Ok(()) }
/// ```
///
/// It is cheap to clone. `Debug` shows neither a secret nor the path of the URL.
#[derive(Clone)]
pub struct Webhook {
    url: Url,
    // The current one first.
    secrets: Vec<SigningSecret>,
    options: Arc<DeliveryOptions>,
}

/// The client of webhooks, and what they send to each receiver.
pub(super) struct DeliveryOptions {
    pub(super) client: Client,
    pub(super) http: bool,
    pub(super) private_addresses: bool,
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

    pub(super) fn of(url: Url, secrets: Vec<SigningSecret>, options: DeliveryOptions) -> Self {
        let options = Arc::new(options);
        Self {
            url,
            secrets,
            options,
        }
    }

    /// Returns a webhook to another URL, whose deliveries are signed with this secret only. It has the options of this
    /// one, and shares its client.
    ///
    /// # Errors
    ///
    /// If the URL is malformed or not allowed by the options, or the secret is malformed.
    pub fn to(&self, url: impl AsRef<str>, secret: impl AsRef<str>) -> Result<Self, WebhookError> {
        let options = &self.options;
        Ok(Self {
            url: receiver_url(url.as_ref(), options.http, options.private_addresses)?,
            secrets: vec![SigningSecret::parse(secret.as_ref())?],
            options: options.clone(),
        })
    }

    /// Adds a former secret, as [`WebhookBuilder::former_secret`] does, to a webhook of [`to`](Self::to).
    ///
    /// # Errors
    ///
    /// If the secret is malformed.
    pub fn former_secret(mut self, secret: impl AsRef<str>) -> Result<Self, WebhookError> {
        self.secrets.push(SigningSecret::parse(secret.as_ref())?);
        Ok(self)
    }

    /// Returns the time limit of one attempt.
    pub(in crate::durable) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Sends an ending, in one attempt. The receiver has it if this returns `Ok`, and may have it if not.
    ///
    /// # Errors
    ///
    /// If the receiver didn't answer with 2xx in time, or may not be called.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes the connection. The receiver may have the ending.
    pub async fn deliver(&self, ended: &SessionEnded) -> Result<(), WebhookFailure> {
        let began = Instant::now();
        let (content, max_body) = (self.options.content, self.options.max_body);
        let WrittenBody { json, has_content } = written(ended, content, max_body)?;
        let mut status = self.post(ended, json, self.options.timeout).await?;
        if has_content && status == StatusCode::PAYLOAD_TOO_LARGE {
            let left = self.options.timeout.saturating_sub(began.elapsed());
            let without = written(ended, WebhookContent::Omit, max_body)?;
            status = self.post(ended, without.json, left).await?;
        }
        match WebhookFailure::of_status(status) {
            None => Ok(()),
            Some(failure) => Err(failure),
        }
    }

    /// Signs a body and sends it. Returns the status of the response.
    async fn post(
        &self,
        ended: &SessionEnded,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<StatusCode, WebhookFailure> {
        let id = &ended.ending_id;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = now.unwrap_or_default().as_secs();
        let signatures = self.secrets.iter();
        let signatures = signatures.map(|secret| secret.sign(id, timestamp, &body));
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        let request = self.options.client.post(self.url.clone());
        let response = request
            .timeout(timeout)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures)
            .body(body)
            .send()
            .await
            .map_err(WebhookFailure::before_response)?;
        // The body is dropped unread.
        Ok(response.status())
    }
}

fn written(
    ended: &SessionEnded,
    content: WebhookContent,
    max_body: usize,
) -> Result<WrittenBody, WebhookFailure> {
    body_of(ended, content, max_body).map_err(|error| WebhookFailure::Unwritable {
        source: error.into(),
    })
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("origin", &origin(&self.url))
            .field("secrets", &self.secrets.len())
            .field("content", &self.options.content)
            .finish_non_exhaustive()
    }
}
