use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use http::{HeaderMap, Request, Response, header, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::{sync::oneshot, time::Instant};
use tower_service::Service;

use super::{
    config::RecordConfig,
    inner_body::InnerBody,
    kept_headers::kept_trailers,
    recorded_head::RecordedHead,
    recording_end::RecordingEnd,
    records::{write_frame, write_trailers},
    splitter::Splitter,
};
use crate::{
    BoxError,
    dialect::{Problem, Refusal},
    log::{Ending, ErrorCode, Outcome},
    session::{Mark, Source},
};

/// The answer of the wrapped service to a start, for the client that waits for it.
pub(super) enum WrappedAnswer<R, E> {
    /// The head of a response that is recorded.
    Recorded(Box<response::Parts>),
    /// A response that isn't recorded.
    Passed(Response<R>),
    /// A response that can't be recorded.
    Refused(Refusal),
    /// The error of the service.
    Failed(E),
}

pin_project! {
    /// The records of a recording: the head and the frames of the wrapped service's response to one request.
    ///
    /// The service is called when the source is first polled, which is after the session's first record was acknowledged.
    pub(super) struct RecordSource<S, B, R>
    where
        S: Service<Request<InnerBody<B>>>,
    {
        #[pin]
        state: RecordState<S, B, S::Future, R>,
        // Taken once the head is there.
        answer: Option<oneshot::Sender<WrappedAnswer<R, S::Error>>>,
        config: Arc<RecordConfig>,
        event_bytes: usize,
        // When the last bytes came.
        heard: Option<Instant>,
    }
}

pin_project! {
    #[project = RecordStateProjection]
    enum RecordState<S, B, F, R> {
        // Boxed, so that a recording doesn't keep room for the request.
        Idle { call: Option<Box<(S, Request<InnerBody<B>>)>> },
        Calling { #[pin] future: F },
        Streaming { #[pin] body: R, splitter: Splitter, end: Option<InnerEnd> },
        Done,
    }
}

/// The end of the wrapped service's body, while the frames before it are written.
enum InnerEnd {
    Clean(Option<HeaderMap>),
    Failed,
}

impl<S, B, R> RecordSource<S, B, R>
where
    S: Service<Request<InnerBody<B>>>,
{
    /// Creates a source, and the receiver of the service's answer. The service must be ready.
    pub(super) fn new(
        config: Arc<RecordConfig>,
        service: S,
        request: Request<InnerBody<B>>,
    ) -> (Self, oneshot::Receiver<WrappedAnswer<R, S::Error>>) {
        let (answer, answered) = oneshot::channel();
        let source = Self {
            state: RecordState::Idle {
                call: Some(Box::new((service, request))),
            },
            answer: Some(answer),
            event_bytes: config.sessions.registry().limits().event_bytes,
            config,
            heard: None,
        };
        (source, answered)
    }
}

impl<S, B, R> Source for RecordSource<S, B, R>
where
    S: Service<Request<InnerBody<B>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send + 'static,
    B: Send + 'static,
    R: Body + Send + 'static,
    R::Data: Buf,
    R::Error: Into<BoxError>,
{
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        loop {
            let mut this = self.as_mut().project();
            match this.state.as_mut().project() {
                RecordStateProjection::Idle { call } => {
                    let (mut service, request) = *call.take().expect("the service is called once");
                    let future = service.call(request);
                    this.state.set(RecordState::Calling { future });
                }
                RecordStateProjection::Calling { future } => {
                    let answer = ready!(future.poll(cx));
                    *this.heard = Some(Instant::now());
                    let (answer, recorded) = judge(answer, this.config, *this.event_bytes);
                    if let Some(teller) = this.answer.take() {
                        // The client may be gone.
                        if let Err(WrappedAnswer::Failed(error)) = teller.send(answer) {
                            let error = error.into();
                            tracing::warn!(error = &*error as &dyn Error, "a service failed");
                        }
                    }
                    let Some((head, state)) = recorded else {
                        this.state.set(RecordState::Done);
                        // The session never was one.
                        return Poll::Ready(Some(Mark::Withdraw));
                    };
                    this.state.set(state);
                    head.write(out);
                    return Poll::Ready(Some(Mark::Event));
                }
                RecordStateProjection::Streaming {
                    body,
                    splitter,
                    end,
                } => {
                    match splitter.next_frame() {
                        Ok(Some(frame)) => {
                            write_frame(&frame, out);
                            return Poll::Ready(Some(Mark::Event));
                        }
                        Ok(None) => {}
                        Err(error) => {
                            tracing::warn!(
                                error = &error as &dyn Error,
                                "a response can't be recorded to its end"
                            );
                            this.state.set(RecordState::Done);
                            let ending = RecordingEnd::of(&Ending::EventBytes);
                            return Poll::Ready(Some(terminal(&ending, ErrorCode::Limit, out)));
                        }
                    }
                    match end {
                        Some(InnerEnd::Clean(trailers)) => {
                            let trailers = trailers.take();
                            let trailers = trailers.map(|it| kept_trailers(&it));
                            if let Some(trailers) = trailers
                                && !trailers.is_empty()
                            {
                                write_trailers(&trailers, out);
                                return Poll::Ready(Some(Mark::Event));
                            }
                            this.state.set(RecordState::Done);
                        }
                        Some(InnerEnd::Failed) => {
                            this.state.set(RecordState::Done);
                            let broken = RecordingEnd::Error {
                                code: ErrorCode::Provider,
                                message: "The response broke off. Try again.".into(),
                                recoverable: true,
                            };
                            return Poll::Ready(Some(terminal(&broken, ErrorCode::Provider, out)));
                        }
                        None => {
                            let ended = ready!(poll_body(body, splitter, cx));
                            *this.heard = Some(Instant::now());
                            if ended.is_some() {
                                splitter.finish();
                                *end = ended;
                            }
                        }
                    }
                }
                RecordStateProjection::Done => return Poll::Ready(None),
            }
        }
    }

    fn silence(&self) -> Option<Duration> {
        self.heard.map(|heard| heard.elapsed())
    }
}

/// Polls a body for its next bytes, and pushes them into the splitter. Returns the end if it is there.
fn poll_body<R>(
    mut body: Pin<&mut R>,
    splitter: &mut Splitter,
    cx: &mut Context<'_>,
) -> Poll<Option<InnerEnd>>
where
    R: Body,
    R::Data: Buf,
    R::Error: Into<BoxError>,
{
    Poll::Ready(match ready!(body.as_mut().poll_frame(cx)) {
        None => Some(InnerEnd::Clean(None)),
        Some(Err(error)) => {
            let error = error.into();
            tracing::warn!(
                error = &*error as &dyn Error,
                "a recorded response broke off"
            );
            Some(InnerEnd::Failed)
        }
        Some(Ok(frame)) => match frame.into_data() {
            Ok(mut data) => {
                splitter.push(data.copy_to_bytes(data.remaining()));
                None
            }
            Err(frame) => {
                let trailers = frame.into_trailers().ok();
                trailers.map(|trailers| InnerEnd::Clean(Some(trailers)))
            }
        },
    })
}

/// Decides about an answer of the service: the part for the client that waits, and if it is recorded its head and how it
/// goes on.
#[expect(clippy::type_complexity, reason = "the states of one source")]
fn judge<S, B, F, R, E: Into<BoxError>>(
    answer: Result<Response<R>, E>,
    config: &RecordConfig,
    event_bytes: usize,
) -> (
    WrappedAnswer<R, E>,
    Option<(RecordedHead, RecordState<S, B, F, R>)>,
) {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return (WrappedAnswer::Failed(error), None),
    };
    let headers = response.headers();
    let content_type = headers.get(header::CONTENT_TYPE);
    let framing = content_type
        .filter(|_| response.status().is_success())
        .and_then(|content_type| config.framing(content_type.to_str().ok()?));
    let Some(framing) = framing else {
        return (WrappedAnswer::Passed(response), None);
    };
    if is_encoded(headers) {
        tracing::error!(
            encoding = ?headers.get(header::CONTENT_ENCODING),
            "a response to record is compressed; put the compression layer outside of `RecordLayer`"
        );
        let refusal = Refusal::new(
            Problem::Encoded,
            "the server compresses a response before it is recorded; its operator puts the compression outside of \
             the recording",
        );
        return (WrappedAnswer::Refused(refusal), None);
    }
    let (parts, body) = response.into_parts();
    let head = RecordedHead::of(&parts, framing, &config.kept_headers);
    let state = RecordState::Streaming {
        body,
        // A record has a byte for its kind.
        splitter: Splitter::new(framing, event_bytes.saturating_sub(1)),
        end: None,
    };
    (
        WrappedAnswer::Recorded(Box::new(parts)),
        Some((head, state)),
    )
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    codings.any(|coding| {
        !coding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"identity")
    })
}

fn terminal(end: &RecordingEnd, code: ErrorCode, out: &mut BytesMut) -> Mark {
    out.extend_from_slice(&end.encode());
    Mark::Terminal(Outcome::Error(code))
}
