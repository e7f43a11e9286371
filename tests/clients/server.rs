use std::net::SocketAddr;

use axum::{Router, extract::Path, routing::post};
use tokio::{net::TcpListener, runtime::Runtime};
use tower_http::cors::{Any, CorsLayer};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    durable::{ClientFields, DurableLayer},
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
    tokio::spawn(async move { axum::serve(listener, app()).await });
    addr
}

/// Returns an app with all dialects over one registry.
fn app() -> Router {
    let sessions = Sessions::in_memory();
    let gates = Gates::default();
    let scripts = Scripts::new(gates.clone());
    let layer = |name: &'static str| {
        DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
            .service_name(name)
            .public_path(&format!("/{name}"))
            .client_fields(
                ClientFields::nothing()
                    .field("script")
                    .field("events")
                    .field("gate")
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
        let superseding = dialect.clone().concurrency(Concurrency::Supersede);
        app.nest_service("/ai", layer("ai").dialect(dialect).layer(scripts.clone()))
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
    #[cfg(feature = "openai-responses")]
    let app = app.nest_service(
        "/v1",
        layer("v1")
            .dialect(unbroken::dialect::OpenAiResponses::new().model("scripted"))
            .layer(scripts.clone()),
    );
    // The pages have another origin.
    app.layer(
        CorsLayer::new()
            .allow_origin(Any)
            .allow_headers(ALLOW)
            .expose_headers(EXPOSE),
    )
}
