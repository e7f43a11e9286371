use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use genai::chat::ChatOptions;
use unbroken::chat::{ChatRequest, ProviderError};

use crate::{
    GenAi, GenAiStream, decode::Decoder, failure, frames::Frames, prefill::PrefillSpace, request,
    turn::TurnSoFar, wire_format::WireFormat,
};

/// A future that waits for the first event of the answer, or for its end.
///
/// Dropping it drops the request.
pub struct GenAiFuture {
    inner: Pin<Box<dyn Future<Output = Result<GenAiStream, ProviderError>> + Send>>,
}

impl GenAiFuture {
    pub(crate) fn new(provider: GenAi, chat: ChatRequest) -> Self {
        Self {
            inner: Box::pin(ask(provider, chat)),
        }
    }
}

impl Future for GenAiFuture {
    type Output = Result<GenAiStream, ProviderError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl fmt::Debug for GenAiFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenAiFuture").finish_non_exhaustive()
    }
}

async fn ask(provider: GenAi, mut chat: ChatRequest) -> Result<GenAiStream, ProviderError> {
    chat.check_continuation(provider.prefill)?;
    let named = chat.model.as_ref().or(provider.model.as_ref());
    let model = named.ok_or_else(|| ProviderError::new("the request names no model"))?;
    let target = provider.client.resolve_service_target(model.as_str()).await;
    let target = target.map_err(failure::of)?;
    let wire = WireFormat::of(&target.model);
    let space = if wire.is_claude() {
        PrefillSpace::take(&mut chat)
    } else {
        PrefillSpace::default()
    };
    let state_name = wire.state_name(&target.model);
    let turn = TurnSoFar::new(&chat.messages, provider.max_turn_bytes);
    let sound = chat.options.provider_fields.get("audio");
    let sound_format = sound.and_then(|sound| sound.get("format")?.as_str());
    let decoder = Decoder::new(wire, state_name, turn, sound_format.map(str::to_owned));
    let frames = Frames::new(chat.liveness.clone());

    let scene = request::Scene {
        wire,
        state_name,
        model: &target.model,
        unsupported: provider.unsupported,
    };
    let (asked, options) = request::of(&scene, &chat)?;
    let options: ChatOptions = options
        .with_stream_header_timeout(provider.idle_timeout)
        .with_stream_read_timeout(provider.idle_timeout)
        .with_raw_frame_sink(frames.clone());
    let answer = provider
        .client
        .exec_chat_stream(target, asked, Some(&options))
        .await;
    let answer = answer.map_err(failure::of)?;
    let mut stream = GenAiStream::new(answer.stream, frames, decoder, space, chat.turn_usage);
    stream.begin().await?;
    Ok(stream)
}
