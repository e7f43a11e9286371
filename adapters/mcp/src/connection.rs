use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rmcp::{
    ClientServiceExt, RoleClient, ServiceError,
    model::{
        CallToolRequest, CallToolRequestParams, ClientRequest, ProtocolVersion, ServerNotification,
        ServerResult, SubscriptionFilter,
    },
    service::{
        ClientInitializeError, ClientLifecycleMode, PeerRequestOptions, RequestHandle,
        RunningService,
    },
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use unbroken::tools::Call;

use crate::{
    ConnectError,
    address_client::AddressClient,
    call_error::CallError,
    handler::Handler,
    pool::Pool,
    questions::Questions,
    running_requests::RunningRequests,
    settings::{McpAddress, McpTarget},
    stdio::{self, Program},
};

/// The time in which a cancellation has to be sent, and then the time that the server has for it before the
/// connection ends.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);

/// A connection to a server.
pub(crate) struct McpConnection {
    service: RunningService<RoleClient, Handler>,
    requests: Arc<RunningRequests>,
    // Of a server that is a program.
    _program: Option<Program>,
    exclusive: bool,
    // Whether a call that was given up is its last: that call may still ask, and a server that has
    // forgotten its session may never answer.
    ends_with_abandoned: bool,
    leases: AtomicUsize,
    broken: AtomicBool,
    message_bytes: usize,
}

impl McpConnection {
    /// Connects, and lists the tools.
    pub(crate) async fn open(pool: &Arc<Pool>) -> Result<Self, ConnectError> {
        let settings = &pool.settings;
        // The version that has no handshake, or else those that have one.
        let new = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        let (service, program, requests) = match start(pool, new).await {
            // A server that ends at a request that it doesn't know.
            Err(ConnectError::Handshake(error)) => {
                tracing::debug!(%error, "an MCP server is asked again, in the former way");
                start(pool, ClientLifecycleMode::Initialize).await?
            }
            started => started?,
        };
        let info = service.peer_info();
        let has_handshake = info.is_none_or(|info| info.protocol_version.has_initialize());
        let connection = Self {
            ends_with_abandoned: has_handshake && !settings.shared,
            exclusive: has_handshake
                && !settings.shared
                && matches!(settings.target, McpTarget::Stdio(_)),
            service,
            requests,
            _program: program,
            leases: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            message_bytes: settings.message_bytes,
        };
        if let Some(listed) = pool.listed.upgrade() {
            listed.renew(pool, connection.service.peer()).await?;
            if !has_handshake {
                connection.follow_list(pool);
            }
        }
        Ok(connection)
    }

    /// Follows the changes of the list, of a server that tells of them only who asks.
    fn follow_list(&self, pool: &Arc<Pool>) {
        let peer = self.service.peer().clone();
        let changes = peer
            .peer_info()
            .and_then(|info| info.capabilities.tools.clone()?.list_changed);
        if changes != Some(true) {
            return;
        }
        let (pool, renewal) = (Arc::downgrade(pool), self.service.service().renewal.clone());
        tokio::spawn(async move {
            let filter = SubscriptionFilter::builder().tools_list_changed().build();
            let Ok(mut changes) = peer.listen(filter).await else {
                tracing::warn!("an MCP server doesn't tell of changes of its tools");
                return;
            };
            while let Ok(Some(change)) = changes.next().await {
                if let ServerNotification::ToolListChangedNotification(_) = change {
                    // Aside: a subscription whose changes aren't taken at once ends.
                    let (pool, renewal, peer) = (pool.clone(), renewal.clone(), peer.clone());
                    tokio::spawn(async move { renewal.run(&pool, &peer).await });
                }
            }
        });
    }

    /// Returns true if a call has the connection to itself.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    pub(crate) fn is_usable(&self) -> bool {
        let given_up = self.ends_with_abandoned && self.requests.is_abandoned();
        !(given_up
            || self.broken.load(Ordering::Acquire)
            || self.service.is_closed()
            || self.service.is_transport_closed())
    }

    pub(crate) fn is_free(&self) -> bool {
        !self.exclusive || self.leases.load(Ordering::Acquire) == 0
    }

    pub(crate) fn take(&self) {
        self.leases.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn give_back(&self) {
        self.leases.fetch_sub(1, Ordering::AcqRel);
    }

    /// Sends a call, and waits for the server's answer. Dropping the future cancels the call.
    pub(crate) async fn call(
        self: &Arc<Self>,
        params: CallToolRequestParams,
        call: &Call,
        questions: &Arc<Questions>,
    ) -> Result<ServerResult, CallError> {
        let sending = self.requests.sending.lock().await;
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let options = PeerRequestOptions::no_options();
        let handle = self
            .service
            .send_cancellable_request(request, options)
            .await
            .map_err(|error| self.failed(error))?;
        let mut sent = SentRequest {
            connection: self,
            handle: Some(handle),
        };
        let handle = sent.handle.as_mut().expect("it was put there");
        let (id, token) = (handle.id.clone(), handle.progress_token.clone());
        let _entry = self
            .requests
            .add(id, token, call.clone(), Arc::clone(questions));
        drop(sending);
        let answer = (&mut handle.rx).await;
        sent.handle = None;
        let answer = answer.unwrap_or(Err(ServiceError::TransportClosed));
        // While the call is in the table: later, its questions could be taken for another's.
        answer.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: ServiceError) -> CallError {
        let error = CallError::new(error, self.requests.has_overflowed(), self.message_bytes);
        if error.ends_connection() {
            self.broken.store(true, Ordering::Release);
        }
        if error.may_still_run() {
            self.requests.set_abandoned();
        }
        error
    }
}

/// A call that waits for its answer. Dropping it cancels the call.
struct SentRequest<'a> {
    connection: &'a Arc<McpConnection>,
    handle: Option<RequestHandle<RoleClient>>,
}

impl Drop for SentRequest<'_> {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        self.connection.requests.set_abandoned();
        let connection = Arc::clone(self.connection);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let cancelled =
                    handle.cancel(Some("the answer has ended, or the time is over".into()));
                let _ = tokio::time::timeout(CANCEL_WITHIN, cancelled).await;
                if connection.ends_with_abandoned {
                    tokio::time::sleep(CANCEL_WITHIN).await;
                }
                drop(connection);
            });
        }
    }
}

type StartedServer = (
    RunningService<RoleClient, Handler>,
    Option<Program>,
    Arc<RunningRequests>,
);

async fn start(
    pool: &Arc<Pool>,
    lifecycle: ClientLifecycleMode,
) -> Result<StartedServer, ConnectError> {
    let requests = Arc::new(RunningRequests::default());
    let handler = Handler::new(Arc::clone(&requests), pool);
    let most = pool.settings.message_bytes;
    let (served, program) = match &pool.settings.target {
        McpTarget::Stdio(command) => {
            let mut command = command.lock().await;
            let started = stdio::start(&mut command, most, &requests.overflowed);
            drop(command);
            let (transport, program) = started.map_err(ConnectError::Start)?;
            (
                handler.serve_with_lifecycle(transport, lifecycle).await,
                Some(program),
            )
        }
        McpTarget::Http(target) => {
            let config = config(target, most)?;
            let client = AddressClient::new();
            let client = client.map_err(|error| ConnectError::Handshake(error.into()))?;
            let transport = StreamableHttpClientTransport::with_client(client, config);
            (
                handler.serve_with_lifecycle(transport, lifecycle).await,
                None,
            )
        }
    };
    let service =
        served.map_err(|error: ClientInitializeError| ConnectError::Handshake(error.into()))?;
    Ok((service, program, requests))
}

fn config(
    target: &McpAddress,
    most: usize,
) -> Result<StreamableHttpClientTransportConfig, ConnectError> {
    if let Some(name) = &target.bad_header {
        return Err(ConnectError::Header { name: name.clone() });
    }
    let mut config = StreamableHttpClientTransportConfig::with_uri(target.url.as_str())
        .custom_headers(target.headers.clone())
        // It would tell the other calls that the server refused them.
        .reinit_on_expired_session(false)
        .max_sse_event_size(most)
        .max_json_response_size(most);
    if let Some(token) = &target.bearer {
        config = config.auth_header(token.as_str());
    }
    Ok(config)
}
