use tower_layer::Layer;
use unbroken::{
    BoxError,
    durable::{DurableLayer, Outbox, SessionEnded, Webhook, WebhookBuilder, WebhookContent},
};

use crate::provider::Scripts;

/// Returns a service whose endings go to the URL in the field `receiver` of each request, signed with the secrets in
/// its field `secrets`.
pub(crate) fn app(layer: DurableLayer, scripts: Scripts) -> axum::Router {
    let outbox = Outbox::new(|ended: SessionEnded| async move {
        let webhook = webhook_of(&ended)?;
        webhook.deliver(&ended).await.map_err(BoxError::from)
    });
    axum::Router::new().nest_service("/webhook", layer.outbox(outbox).layer(scripts))
}

fn webhook_of(ended: &SessionEnded) -> Result<Webhook, BoxError> {
    let fields = &ended.request.extra;
    let url = fields.get("receiver").and_then(|it| it.as_str());
    let secrets = fields.get("secrets").and_then(|it| it.as_array());
    let mut secrets = secrets.into_iter().flatten().filter_map(|it| it.as_str());
    let (Some(url), Some(secret)) = (url, secrets.next()) else {
        return Err("the request names no receiver and no secret".into());
    };
    let webhook = Webhook::builder(url, secret)
        .allow_http()
        .allow_private_addresses()
        .content(WebhookContent::AnswerAndRequest);
    Ok(secrets
        .fold(webhook, WebhookBuilder::former_secret)
        .build()?)
}
