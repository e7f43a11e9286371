use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

/// The number of requests that a connection is answering, and since when there is none. Clones share
/// it.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<ActivityState>>);

/// The state of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ActivityState {
    /// No request has come yet.
    Fresh,
    /// This many requests are being answered.
    Busy(usize),
    /// All requests have been answered, since this time.
    Idle(Instant),
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(ActivityState::Fresh)))
    }

    pub(crate) fn state(&self) -> ActivityState {
        *self.lock()
    }

    fn begin(&self) -> ActiveRequest {
        let mut state = self.lock();
        *state = ActivityState::Busy(match *state {
            ActivityState::Busy(others) => others + 1,
            ActivityState::Fresh | ActivityState::Idle(_) => 1,
        });
        ActiveRequest(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, ActivityState> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
struct ActiveRequest(Activity);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        *state = match *state {
            ActivityState::Busy(all) if all > 1 => ActivityState::Busy(all - 1),
            _ => ActivityState::Idle(Instant::now()),
        };
    }
}

/// An adapter of a tower service for hyper that counts its requests.
#[derive(Debug, Clone)]
pub(crate) struct CountedService<S> {
    service: TowerToHyperService<S>,
    activity: Activity,
}

impl<S> CountedService<S> {
    pub(crate) fn new(service: S, activity: Activity) -> Self {
        Self {
            service: TowerToHyperService::new(service),
            activity,
        }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for CountedService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    type Response = Response<CountedBody<B>>;
    type Error = S::Error;
    type Future = CountedFuture<S>;

    fn call(&self, request: Request<Incoming>) -> CountedFuture<S> {
        CountedFuture {
            request: Some(self.activity.begin()),
            response: self.service.call(request),
        }
    }
}

pin_project! {
    pub(crate) struct CountedFuture<S>
    where
        S: Service<Request<Incoming>>,
    {
        #[pin]
        response: TowerToHyperServiceFuture<S, Request<Incoming>>,
        request: Option<ActiveRequest>,
    }
}

impl<S, B> Future for CountedFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Output = Result<Response<CountedBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx));
        let request = this.request.take();
        Poll::Ready(response.map(|response| response.map(|body| CountedBody { body, request })))
    }
}

pin_project! {
    pub(crate) struct CountedBody<B> {
        #[pin]
        body: B,
        request: Option<ActiveRequest>,
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
