//! The client of servers at an address. Its errors never have the address, which may hold a key, nor
//! what a page of errors says, which may repeat it.

use std::{collections::HashMap, sync::Arc};

use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use reqwest::{StatusCode, redirect::Policy};
use rmcp::{
    model::{ClientJsonRpcMessage, JsonRpcMessage},
    transport::streamable_http_client::{
        HttpStatusError, SseError, StreamableHttpClient, StreamableHttpError,
        StreamableHttpPostResponse, StreamableHttpResponseLimits,
    },
};
use sse_stream::Sse;

/// The maximum number of redirects that a request follows.
const REDIRECTS: usize = 10;
/// How rmcp begins what it says of a refused request of the version without a handshake.
const DISCOVER: &str = "server/discover rejected with HTTP ";

type Headers = HashMap<HeaderName, HeaderValue>;
type HttpError = StreamableHttpError<reqwest::Error>;
type SseStream = BoxStream<'static, Result<Sse, SseError>>;

#[derive(Clone)]
pub(crate) struct AddressClient(reqwest::Client);

impl AddressClient {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            // As rmcp does: a connection whose answer wasn't read to its end is slow to be used again.
            .pool_max_idle_per_host(0)
            .redirect(same_origin())
            .build();
        client.map(Self)
    }
}

/// Follows redirects that keep the message, and only to the same server: headers may hold secrets.
fn same_origin() -> Policy {
    Policy::custom(|attempt| {
        let keeps_body = [
            StatusCode::TEMPORARY_REDIRECT,
            StatusCode::PERMANENT_REDIRECT,
        ];
        let is_same = attempt
            .previous()
            .first()
            .is_some_and(|first| first.origin() == attempt.url().origin());
        if !is_same || !keeps_body.contains(&attempt.status()) {
            attempt.stop()
        } else if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else {
            attempt.follow()
        }
    })
}

fn without_address(error: HttpError) -> HttpError {
    match error {
        StreamableHttpError::Client(error) => StreamableHttpError::Client(error.without_url()),
        StreamableHttpError::UnexpectedServerResponse(text) => match status(&text) {
            Some(status) => HttpStatusError::new(status, None).into(),
            None => StreamableHttpError::UnexpectedServerResponse(
                "the answer isn't a message of the protocol".into(),
            ),
        },
        error => error,
    }
}

/// Returns the status that rmcp's words for an answer begin with.
fn status(text: &str) -> Option<u16> {
    let status = text.strip_prefix("HTTP ")?;
    status.get(..3)?.parse().ok()
}

fn without_page(mut response: StreamableHttpPostResponse) -> StreamableHttpPostResponse {
    if let StreamableHttpPostResponse::Json(JsonRpcMessage::Error(error), _) = &mut response
        && let Some(status) = error.error.message.strip_prefix(DISCOVER)
    {
        let status: String = status.chars().take(3).collect();
        error.error.message = format!("{DISCOVER}{status}").into();
    }
    response
}

impl StreamableHttpClient for AddressClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let response = self.0.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        );
        response.await.map(without_page).map_err(without_address)
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<(), HttpError> {
        let deleted = self
            .0
            .delete_session(uri, session_id, auth_header, custom_headers);
        deleted.await.map_err(without_address)
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
    ) -> Result<SseStream, HttpError> {
        let stream = self
            .0
            .get_stream(uri, session_id, last_event_id, auth_header, custom_headers);
        stream.await.map_err(without_address)
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: Headers,
        max_sse_event_size: usize,
    ) -> Result<SseStream, HttpError> {
        let stream = self.0.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            max_sse_event_size,
        );
        stream.await.map_err(without_address)
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, error::Error};

    use rmcp::model::{
        ClientRequest, DiscoverRequest, DiscoverRequestParams, NumberOrString, PingRequest,
    };

    use super::*;

    #[tokio::test]
    async fn an_error_has_neither_the_address_nor_a_page_that_repeats_it() {
        let client = AddressClient::new().unwrap();
        let uri = Arc::from("http://127.0.0.1:1/a-secret/mcp?key=a-secret");
        let ping = ClientRequest::PingRequest(PingRequest::default());
        let ping = ClientJsonRpcMessage::request(ping, NumberOrString::Number(1));
        let sent = client.post_message(Arc::clone(&uri), ping, None, None, HashMap::new());
        let deaf = sent.await.unwrap_err();
        let none = HashMap::new;
        let session = Arc::from("session");
        let deleted = client.delete_session(Arc::clone(&uri), session, None, none());
        let deleted = deleted.await.unwrap_err();
        let opened = client.get_stream(Arc::clone(&uri), None, None, None, none());
        let opened = opened.await.err().unwrap();
        let limited = client.get_stream_with_max_sse_event_size(uri, None, None, None, none(), 9);
        let limited = limited.await.err().unwrap();
        assert!(
            matches!(&deaf, StreamableHttpError::Client(error) if error.is_connect()),
            "{deaf:?}"
        );
        let page = Cow::from("HTTP 404 Not Found: no page /a-secret/mcp?key=a-secret");
        let page = without_address(StreamableHttpError::UnexpectedServerResponse(page));
        assert!(
            matches!(&page, StreamableHttpError::HttpStatus(error) if error.status == 404),
            "{page:?}"
        );
        let other = Cow::from("could not parse: a-secret");
        let other = without_address(StreamableHttpError::UnexpectedServerResponse(other));
        for error in [deaf, deleted, opened, limited, page, other] {
            let mut next: Option<&dyn Error> = Some(&error);
            while let Some(error) = next {
                let said = format!("{error} {error:?}");
                assert!(!said.contains("a-secret"), "{said}");
                next = error.source();
            }
        }
    }

    #[tokio::test]
    async fn a_refusal_of_the_first_request_has_no_page_that_repeats_the_address() {
        let page = axum::Router::new().fallback(async |uri: axum::http::Uri| {
            (axum::http::StatusCode::NOT_FOUND, format!("no {uri}"))
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, page).await.unwrap() });
        let uri = Arc::from(format!("http://{address}/a-secret/mcp?key=a-secret"));
        let first = DiscoverRequest::new(DiscoverRequestParams {});
        let first = ClientRequest::DiscoverRequest(first);
        let first = ClientJsonRpcMessage::request(first, NumberOrString::Number(1));
        let client = AddressClient::new().unwrap();
        let sent = client.post_message(uri, first, None, None, HashMap::new());
        let StreamableHttpPostResponse::Json(refused, _) = sent.await.unwrap() else {
            panic!("not an answer");
        };
        let said = format!("{refused:?}");
        assert!(said.contains("404") && !said.contains("a-secret"), "{said}");
    }
}
