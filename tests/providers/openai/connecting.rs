//! Servers that never accept the connection.

use std::time::Duration;

use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use unbroken::provider::OpenAi;

use super::{GUARD, KEY, ask, assert_safe};

#[tokio::test]
async fn connecting_has_a_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Connections are not accepted: once the queue is full, the system leaves further ones waiting.
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queue.push(connected.unwrap());
        assert!(queue.len() < 100, "the queue never fills");
    }
    let provider = OpenAi::builder()
        .base_url(format!("http://{address}/v1"))
        .api_key(KEY)
        .model("small")
        .connect_timeout(Duration::from_millis(300))
        .idle_timeout(GUARD * 2)
        .build()
        .unwrap();
    let error = timeout(GUARD, ask(provider)).await.unwrap().1.unwrap();
    assert_safe(&error);
    assert!(error.is_recoverable());
}
