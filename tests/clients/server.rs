use std::net::SocketAddr;

use axum::{Router, extract::Path, routing::post};
use tokio::{net::TcpListener, runtime::Runtime};
use tower_http::cors::{Any, CorsLayer};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    durable::{ClientFields, ClientMedia, DurableLayer},
    headers::{ALLOW, EXPOSE},
    session::Sessions,
};

use crate::{gate::Gates, provider::Scripts};

/// A server on a port of its own, with each dialect at its path. It stops when this is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    _runtime: Runtime,
}

pub(crate) fn start() -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let addr = runtime.block_on(serve());
    Server {
        url: format!("http://{addr}"),
        _runtime: runtime,
    }
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("it has an address");
    tokio::spawn(async move { axum::serve(listener, app(addr)).await });
    addr
}

/// Returns an app with all dialects over one registry. It listens at this address.
#[cfg_attr(
    not(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "openai",
        feature = "openai-responses"
    )),
    expect(unused_variables, reason = "the stub of a model's server needs it")
)]
fn app(addr: SocketAddr) -> Router {
    let sessions = Sessions::in_memory();
    let gates = Gates::default();
    let scripts = Scripts::new(gates.clone());
    #[cfg_attr(
        not(feature = "tools"),
        expect(unused_variables, reason = "the demanding stub needs it")
    )]
    let all_gates = gates.clone();
    let layer = |name: &'static str| {
        DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
            .service_name(name)
            .public_path(&format!("/{name}"))
            // The clients make theirs with `crypto.randomUUID()`.
            .secret_chat_ids()
            .client_fields(
                ClientFields::nothing()
                    .history(1024 * 1024)
                    .client_tools(16, 64 * 1024)
                    .media(ClientMedia::of(["*/*"]).links())
                    .temperature(0.0..=2.0)
                    .field("script")
                    .field("events")
                    .field("gate")
                    .field("echo")
                    .field("receiver")
                    .field("secrets")
                    .field("forwardedProps"),
            )
    };
    let open = post(async move |Path(name): Path<String>| gates.open(&name));
    let app = Router::new()
        .route("/gate/{name}", open)
        .nest_service("/native", layer("native").layer(scripts.clone()));
    #[cfg(feature = "tools")]
    let app = {
        use unbroken::{provider::Scripted, tools::ToolLayer};

        let tools = ToolLayer::new(crate::tools::tools());
        let provider = tools.layer(Scripted::default());
        app.nest_service("/tools", layer("tools").layer(provider))
    };
    #[cfg(feature = "ai-sdk")]
    let app = {
        use unbroken::dialect::{AiSdk, Concurrency};

        let dialect = AiSdk::new().any_content_type(true);
        let tabs = dialect
            .clone()
            .resume_after_end(std::time::Duration::from_secs(3600));
        let tabs_of_7 = tabs.clone().approval_responses(true);
        let superseding = dialect.clone().concurrency(Concurrency::Supersede);
        let stored = crate::stored::Stored::default();
        let keeper = stored.clone();
        let kept = layer("ai").on_end(move |ended| {
            keeper.keep(&ended);
            std::future::ready(())
        });
        let message = axum::routing::get(async move |Path(id): Path<String>| stored.message(&id));
        app.route("/stored/{id}", message)
            .nest_service(
                "/ai-tabs",
                layer("ai-tabs").dialect(tabs).layer(scripts.clone()),
            )
            .nest_service(
                "/ai-tabs-7",
                layer("ai-tabs-7").dialect(tabs_of_7).layer(scripts.clone()),
            )
            .nest_service("/ai", kept.dialect(dialect).layer(scripts.clone()))
            .nest_service(
                "/ai-superseding",
                layer("ai-superseding")
                    .dialect(superseding)
                    .layer(scripts.clone()),
            )
    };
    #[cfg(feature = "ag-ui")]
    let app = app.nest_service(
        "/ag-ui",
        layer("ag-ui")
            .dialect(unbroken::dialect::AgUi::new())
            .layer(scripts.clone()),
    );
    #[cfg(feature = "durable-streams")]
    let app = app.merge(crate::facade::app()).nest_service(
        "/streams",
        layer("streams")
            .dialect(unbroken::dialect::DurableStreams::new())
            .layer(scripts.clone()),
    );
    #[cfg(all(feature = "ai-sdk", feature = "durable-streams"))]
    let app = app.nest_service(
        "/streams-ai",
        layer("streams-ai")
            .dialect(unbroken::dialect::DurableStreams::ui_messages(
                unbroken::dialect::AiSdk::new(),
            ))
            .layer(scripts.clone()),
    );
    #[cfg(all(feature = "ai-sdk", feature = "durable-streams"))]
    let app = {
        use unbroken::dialect::{AiSdk, DurableStreams};

        let sdk = AiSdk::new();
        let streams = DurableStreams::ui_messages(sdk.clone());
        let kept = |name| {
            let fields = ClientFields::nothing().field("script");
            layer(name).client_fields(fields.field("events").field("gate"))
        };
        app.merge(crate::kept::app(
            "ai-kept",
            kept("ai-kept"),
            sdk,
            scripts.clone(),
        ))
        .merge(crate::kept::app(
            "streams-kept",
            kept("streams-kept"),
            streams,
            scripts.clone(),
        ))
    };
    #[cfg(feature = "openai-responses")]
    let app = app.nest_service(
        "/v1",
        layer("v1")
            .dialect(unbroken::dialect::OpenAiResponses::new().model("scripted"))
            .layer(scripts.clone()),
    );
    #[cfg(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "openai",
        feature = "openai-responses"
    ))]
    let app = app.merge(crate::upstream::app(addr, &sessions));
    #[cfg(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "openai",
        feature = "openai-responses",
        feature = "tools"
    ))]
    let app = app.merge(crate::demanding::app(addr, &sessions, &all_gates));
    #[cfg(all(
        feature = "ag-ui",
        feature = "ai-sdk",
        feature = "durable-streams",
        feature = "openai",
        feature = "openai-responses",
        feature = "tools"
    ))]
    let app = app.merge(crate::restarts::app(addr));
    #[cfg(feature = "webhook")]
    let app = app.merge(crate::webhook::app(layer("webhook"), scripts.clone()));
    // The pages have another origin.
    app.layer(
        CorsLayer::new()
            .allow_origin(Any)
            .allow_headers(ALLOW)
            .expose_headers(EXPOSE),
    )
}
