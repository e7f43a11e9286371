use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A proxy between a store and its server that loses replies.
pub(crate) struct Proxy {
    port: u16,
    marker: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Proxy {
    /// Starts a proxy for the server at an address.
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let marker: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let armed = marker.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await;
                let server = server.expect("the server answers");
                tokio::spawn(forward(client, server, armed.clone()));
            }
        });
        Self { port, marker }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Loses the reply to the next command that contains these bytes, and cuts its connection.
    pub(crate) fn lose_answer_to(&self, marker: &[u8]) {
        *self.marker.lock().unwrap() = Some(marker.to_vec());
    }

    /// Returns true if a reply is still to be lost.
    pub(crate) fn is_armed(&self) -> bool {
        self.marker.lock().unwrap().is_some()
    }
}

async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    marker: Arc<Mutex<Option<Vec<u8>>>>,
) {
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let (mut asked, mut said) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    // The commands of this connection so far, as a marker may be split between two reads.
    let mut seen = Vec::new();
    let mut lose = false;
    loop {
        tokio::select! {
            count = client.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                seen.extend_from_slice(&asked[..count]);
                {
                    let mut marker = marker.lock().unwrap();
                    if let Some(bytes) = marker.as_ref()
                        && seen.windows(bytes.len()).any(|window| window == bytes)
                    {
                        *marker = None;
                        lose = true;
                    }
                }
                if server.write_all(&asked[..count]).await.is_err() {
                    return;
                }
            }
            count = server.read(&mut said) => {
                let Ok(count @ 1..) = count else { return };
                seen.clear();
                if lose || client.write_all(&said[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
