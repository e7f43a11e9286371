//! The addresses that a webhook may call.

use std::{env, process::Command};

use unbroken::durable::{Webhook, WebhookFailure};

use crate::receiver::{Receiver, Reply, SECRET, ended};

#[tokio::test]
async fn a_host_with_a_private_address_is_called_only_where_that_is_allowed() {
    let receiver = Receiver::with(Reply::status(200)).await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    let webhook = || Webhook::builder(&*url, SECRET).allow_http();
    let refused = webhook().build().unwrap().deliver(&ended("Hi")).await;
    assert!(
        matches!(refused, Err(WebhookFailure::PrivateAddress)),
        "{refused:?}"
    );
    assert_eq!(receiver.connections(), 0);
    let allowed = webhook().allow_private_addresses().build().unwrap();
    allowed.deliver(&ended("Hi")).await.unwrap();
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_a_failure() {
    let webhook = Webhook::new("https://nobody.invalid/path-key", SECRET).unwrap();
    let failure = webhook.deliver(&ended("Hi")).await.unwrap_err();
    assert!(
        matches!(failure, WebhookFailure::UnknownHost { .. }),
        "{failure:?}"
    );
}

/// The environment of a process is set before it starts, so that this test runs itself.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    const NAME: &str = "addresses::a_proxy_of_the_environment_is_not_used";
    if let Ok(url) = env::var("UNBROKEN_TEST_RECEIVER") {
        let builder = Webhook::builder(url, SECRET).allow_http();
        let webhook = builder.allow_private_addresses().build().unwrap();
        return webhook.deliver(&ended("Hi")).await.unwrap();
    }
    let receiver = Receiver::with(Reply::status(200)).await;
    let proxy = Receiver::with(Reply::status(200)).await;
    let mut child = Command::new(env::current_exe().unwrap());
    let proxied = format!("http://{}", proxy.address);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "all_proxy",
        "ALL_PROXY",
    ] {
        child.env(name, &proxied);
    }
    child
        .args([NAME, "--exact"])
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .env("UNBROKEN_TEST_RECEIVER", receiver.url());
    let run = tokio::task::spawn_blocking(move || child.output().unwrap());
    let output = run.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    assert_eq!((receiver.connections(), proxy.connections()), (1, 0));
}
