//! Receivers of https.

use std::{error::Error as _, sync::Arc};

use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs},
};
use unbroken::durable::{Webhook, WebhookFailure};

use crate::{
    attempts::assert_tells_nothing,
    certificates::CERTIFICATES,
    receiver::{Delivery, Reply, SECRET, ended, serve},
};

/// Serves a receiver whose certificate is of the private CA. Returns its URL.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Delivery>) {
    let certificates = &*CERTIFICATES;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificates.certificate.clone()],
            certificates.key.clone_key(),
        );
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    let (saw, deliveries) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            // A sender that doesn't trust the certificate ends the handshake.
            if let Ok(socket) = acceptor.accept(socket).await {
                serve(socket, Reply::status(200), &saw).await;
            }
        }
    });
    (url, deliveries)
}

fn cause(failure: &WebhookFailure) -> String {
    assert_tells_nothing(failure);
    failure.source().expect("a cause").to_string()
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_no_name_is_told() {
    let (url, mut deliveries) = receiver().await;
    let url = url.replace("127.0.0.1", "localhost");
    let webhook = Webhook::builder(url, SECRET).allow_private_addresses();
    let webhook = webhook.root_certificates(&*CERTIFICATES.ca);
    let failure = webhook.build().unwrap().deliver(&ended("Hi")).await;
    let failure = failure.unwrap_err();
    assert!(
        matches!(failure, WebhookFailure::Certificate { .. }),
        "{failure:?}"
    );
    assert_eq!(cause(&failure), "it is not valid for the host of the URL");
    assert!(deliveries.try_recv().is_err(), "it was sent");
}

#[tokio::test]
async fn a_certificate_of_a_private_ca_is_trusted_with_its_root_only() {
    let (url, mut deliveries) = receiver().await;
    let webhook = || Webhook::builder(&*url, SECRET).allow_private_addresses();
    let failure = webhook().build().unwrap().deliver(&ended("Hi")).await;
    assert!(
        matches!(failure, Err(WebhookFailure::Certificate { .. })),
        "{failure:?}"
    );
    assert_eq!(cause(&failure.unwrap_err())[..21], *"its issuer is unknown");
    assert!(deliveries.try_recv().is_err(), "it was sent");
    let trusting = webhook().root_certificates(&*CERTIFICATES.ca);
    let trusting = trusting.build().unwrap();
    trusting.deliver(&ended("Hi")).await.unwrap();
    let delivery = deliveries.recv().await.unwrap();
    assert_eq!(delivery.json()["data"]["messages"][0]["content"], "Hi");
}
