//! The fields of a chat request that clients may choose.

mod history;
mod media;
mod options;
mod refusal;
mod tools;
mod unread;

use std::{borrow::Cow, collections::BTreeSet, ops::RangeInclusive};

pub(super) use self::history::outputs_begin;
pub use self::media::ClientMedia;
use self::{
    options::OpenOptions,
    refusal::{Refusals, closed},
    tools::ToolSizes,
    unread::OpenNames,
};
use crate::{
    chat::{ChatRequest, Part, ReasoningEffort, Role},
    dialect::{Dialect, Refusal},
};

/// The fields of a chat request that clients may choose.
///
/// None is open by default: a client that chooses the model or the system prompt does so on the
/// application's bill, and a client that writes the model's earlier words may write any. The layer
/// refuses (422) a closed field that the library knows. It refuses too what asks something of the model by a
/// name that isn't read in this place, such as `max_tokens` or `providerOptions`: the refusal tells the name
/// that is read, or the method that opens the field. Fields that it doesn't know are dropped.
///
/// Always open are messages of the user, and the outputs of calls that a session of this server has
/// handed to the client ([`isomorphic_client_outputs`](field@ChatRequest::isomorphic_client_outputs),
/// or the messages of the role `tool` at the end of a request).
///
/// ```
/// use unbroken::{chat::ReasoningEffort, durable::{ClientFields, ClientMedia}};
///
/// // For clients that send the whole conversation, and bring up to 16 tools of their own.
/// let fields = ClientFields::nothing().history(256 * 1024).client_tools(16, 64 * 1024);
/// // Pictures and documents of users; some options of the model; and a field of the application.
/// let fields = fields
///     .media(ClientMedia::of(["image/*", "application/pdf"]).max_bytes(4 * 1024 * 1024))
///     .temperature(0.0..=1.0)
///     .max_output_tokens(2_000)
///     .reasoning(ReasoningEffort::Medium)
///     .field("tenant");
/// ```
///
/// The words of a refusal are those of the client's dialect, as far as that has words of its own
/// ([`Dialect::field_name`], [`Dialect::media_name`]).
///
/// A closed option whose value is what every protocol has without it asks for nothing, and is dropped:
/// `"toolChoice": "auto"`, `"parallelToolCalls": true`, and a `responseFormat` of the type `text`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientFields {
    model: bool,
    system_prompt: bool,
    system_role: bool,
    history: Option<usize>,
    client_tools: Option<ToolSizes>,
    unverified_outputs: Option<usize>,
    media: Option<ClientMedia>,
    options: OpenOptions,
    fields: BTreeSet<Cow<'static, str>>,
}

impl ClientFields {
    /// Opens no field: not the model, not the system prompt or messages of the roles `system` and `developer`, no earlier
    /// turns, no tools of the client, and no field that the library doesn't know.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Opens `model`. Otherwise a request with a model is refused.
    pub fn model(mut self) -> Self {
        self.model = true;
        self
    }

    /// Opens `systemPrompt`. Otherwise a request with a system prompt is refused.
    pub fn system_prompt(mut self) -> Self {
        self.system_prompt = true;
        self
    }

    /// Opens messages of the roles `system` and `developer`. Otherwise a request with one is refused.
    pub fn system_role(mut self) -> Self {
        self.system_role = true;
        self
    }

    /// Opens earlier turns: messages of the roles `assistant` and `tool`, of up to `max_bytes` bytes of
    /// text, arguments, reasoning, provider state and media together. Otherwise a request with one is
    /// refused.
    ///
    /// Reasoning and the state that a provider must be handed back are open with it, in messages of the
    /// role `assistant`; media need [`media`](Self::media) too.
    ///
    /// The model takes what the client claims for its own earlier words, and for results of tools. None
    /// of it enters a log as such. Clients of the AI SDK, AG-UI and OpenAI's SDKs send the whole
    /// conversation with each request; for them the application opens this, or keeps the conversation itself
    /// ([`DurableLayer::history`](super::DurableLayer::history)), as far as the dialect has that.
    pub fn history(mut self, max_bytes: usize) -> Self {
        self.history = Some(max_bytes);
        self
    }

    /// Opens tools that the client brings: up to `max_count`, of `max_bytes` bytes of names,
    /// descriptions and schemas together. Otherwise a request with one is refused.
    ///
    /// The model reads the descriptions, so they are words of the client to the model.
    pub fn client_tools(mut self, max_count: usize, max_bytes: usize) -> Self {
        self.client_tools = Some(ToolSizes {
            count: max_count,
            bytes: max_bytes,
        });
        self
    }

    /// Opens media in messages and in outputs of the client's tools: of these types, up to these sizes. Otherwise a request with one is refused.
    ///
    /// A request's body has to fit [`DurableLayer::max_body`](super::DurableLayer::max_body) as well, in
    /// which a medium takes four thirds of its bytes. Media of the role `assistant` need
    /// [`history`](Self::history) too.
    pub fn media(mut self, media: ClientMedia) -> Self {
        self.media = Some(media);
        self
    }

    /// Opens the option `temperature`, within this range. Otherwise a request with one is refused.
    pub fn temperature(mut self, range: RangeInclusive<f64>) -> Self {
        self.options.temperature = Some(range);
        self
    }

    /// Opens the option `topP`, within this range. Otherwise a request with one is refused.
    pub fn top_p(mut self, range: RangeInclusive<f64>) -> Self {
        self.options.top_p = Some(range);
        self
    }

    /// Opens the option `maxOutputTokens`, up to `most`. Otherwise a request with one is refused.
    ///
    /// It bounds what a client asks for. A client that doesn't ask gets the application's
    /// [default](super::DurableLayer::options), or that of the model's server.
    pub fn max_output_tokens(mut self, most: u32) -> Self {
        self.options.max_output_tokens = Some(most);
        self
    }

    /// Opens the option `stop`. Otherwise a request with one is refused.
    pub fn stop(mut self) -> Self {
        self.options.stop = true;
        self
    }

    /// Opens the option `seed`. Otherwise a request with one is refused.
    pub fn seed(mut self) -> Self {
        self.options.seed = true;
        self
    }

    /// Opens the option `toolChoice`: the client may forbid tools, or have one called. Otherwise a request
    /// with one is refused.
    ///
    /// A model that must call a tool is a model that an attacker has call it: leave it closed where tools
    /// have effects that the model is to weigh.
    pub fn tool_choice(mut self) -> Self {
        self.options.tool_choice = true;
        self
    }

    /// Opens the option `parallelToolCalls`. Otherwise a request with one is refused.
    pub fn parallel_tool_calls(mut self) -> Self {
        self.options.parallel_tool_calls = true;
        self
    }

    /// Opens the option `reasoning`, up to an effort of `most`. Otherwise a request with one is refused.
    pub fn reasoning(mut self, most: ReasoningEffort) -> Self {
        self.options.reasoning = Some(most);
        self
    }

    /// Opens the option `responseFormat`, of up to `max_bytes` bytes of name, description and schema.
    /// Otherwise a request with one is refused.
    ///
    /// The model's server gets the schema. This server doesn't compile it, because that may take exponential
    /// time. It checks the answer in at most a million steps, each of a keyword that meets a value, or of 16
    /// bytes of a text, and [`Complete::mismatch`](field@crate::chat::Complete::mismatch) tells where the
    /// answer doesn't fit. These keywords are known: `type`, `properties`, `required`, `additionalProperties`,
    /// `items`, `enum`, `const`, `anyOf`, `oneOf`, `allOf`, `$ref` within the schema, `$defs`, `definitions`, and
    /// the bounds of numbers, texts, lists and objects; `format` and other annotations decide nothing. With any
    /// other keyword, such as `pattern`, or if the steps don't suffice, only that the answer is JSON is checked, and
    /// [`Complete::unchecked`](field@crate::chat::Complete::unchecked) tells why.
    pub fn response_format(mut self, max_bytes: usize) -> Self {
        self.options.response_format = Some(max_bytes);
        self
    }

    /// Opens one field of the option `providerFields`, which goes into the request to the model's server as
    /// it is. Otherwise a request with it is refused.
    ///
    /// Clients of every dialect send it: in `options.providerFields`, as a field of the body, or among AG-UI's
    /// `forwardedProps` and their `modelOptions`; `min_p` as `minP` too.
    pub fn provider_field(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.options.provider_fields.insert(name.into());
        self
    }

    /// Opens outputs for calls that no log confirms: the session that handed them over was deleted, has
    /// expired, or lives elsewhere. Up to `max_bytes` bytes of a request. Otherwise a request with one is
    /// refused.
    ///
    /// Such an output reaches the model, but never the second half of a tool. The log marks it:
    /// [`ToolResult::claimed`](field@crate::chat::ToolResult::claimed), and the field `claims` of
    /// `session_info`. Hooks get [`SessionStarted::claims`](field@super::SessionStarted::claims).
    pub fn unverified_outputs(mut self, max_bytes: usize) -> Self {
        self.unverified_outputs = Some(max_bytes);
        self
    }

    /// Opens a field that the library doesn't read, and puts it into [`ChatRequest::extra`]. Otherwise
    /// the field is dropped, or refused if its name is one that asks something of a model.
    ///
    /// Of AG-UI's `forwardedProps`, the members that the library doesn't read are open with it.
    pub fn field(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.fields.insert(name.into());
        self
    }

    /// Returns the most bytes of outputs that no log confirms, if they are open.
    pub(super) const fn unverified_bytes(&self) -> Option<usize> {
        self.unverified_outputs
    }

    /// Refuses a request with closed fields, and drops its unknown fields.
    pub(super) fn apply(
        &self,
        request: &mut ChatRequest,
        dialect: &dyn Dialect,
    ) -> Result<(), Refusal> {
        let refusals = Refusals::new(dialect);
        if request.model.is_some() && !self.model {
            return Err(refusals.closed("model", "model"));
        }
        if request.system_prompt.is_some() && !self.system_prompt {
            return Err(refusals.closed("systemPrompt", "system_prompt"));
        }
        if !self.system_role && request.messages.iter().any(|it| it.role == Role::System) {
            // Some dialects have both, for one role of a message.
            let messages = "messages of the roles `system` and `developer` are";
            return Err(closed(messages, "system_role"));
        }
        history::check(self.history, &request.messages, &refusals)?;
        media::check(self.media.as_ref(), request, &refusals)?;
        tools::check(self.client_tools, request)?;
        let opened = OpenNames {
            fields: &self.fields,
            provider_fields: &self.options.provider_fields,
        };
        unread::check_members(request, refusals)?;
        unread::settle(request, &opened, refusals)?;
        self.options.check(&mut request.options, &refusals)?;
        request
            .extra
            .retain(|name, _| self.fields.contains(name.as_str()));
        drop_unknown(request);
        Ok(())
    }
}

fn drop_unknown(request: &mut ChatRequest) {
    for message in &mut request.messages {
        message.extra.clear();
        for part in message.content.parts_mut() {
            if let Part::Media(media) = part {
                media.extra.clear();
            }
        }
        for call in &mut message.tool_calls {
            call.extra.clear();
        }
    }
    for tool in &mut request.isomorphic_tools {
        tool.extra.clear();
    }
    for output in &mut request.isomorphic_client_outputs {
        output.extra.clear();
    }
}

#[cfg(test)]
mod tests;
