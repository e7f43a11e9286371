use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use socket2::SockRef;

/// Speaks as an OpenAI-compatible server does: so many tokens, each of which says whose answer it is
/// part of, and where.
#[derive(Clone)]
pub(crate) struct Model {
    port: u16,
    tokens: usize,
    pad: usize,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    calls: AtomicUsize,
    taken: AtomicUsize,
    hurries: AtomicBool,
}

/// Between two tokens, unless it hurries.
const PACE: Duration = Duration::from_millis(20);

impl Model {
    /// One that says `tokens` tokens of `pad` bytes and a few more.
    pub(crate) fn start(tokens: usize, pad: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let it = Self {
            port: listener.local_addr().expect("its address").port(),
            tokens,
            pad,
            heard: Arc::default(),
        };
        let model = it.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let model = model.clone();
                // Whoever hangs up has had enough.
                thread::spawn(move || drop(model.answer(client)));
            }
        });
        it
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// How often it was asked.
    pub(crate) fn calls(&self) -> usize {
        self.heard.calls.load(SeqCst)
    }

    /// How many bytes of its answers were taken, or lie in the system's buffers.
    pub(crate) fn taken(&self) -> usize {
        self.heard.taken.load(SeqCst)
    }

    /// From now on it speaks as fast as it is listened to.
    pub(crate) fn hurry(&self) {
        self.heard.hurries.store(true, SeqCst);
    }

    /// All that it says when it is asked for the so many-th time.
    pub(crate) fn text(&self, call: usize) -> String {
        (1..=self.tokens).map(|at| self.token(call, at)).collect()
    }

    fn token(&self, call: usize, at: usize) -> String {
        format!("{call}:{at}{} ", "-".repeat(self.pad))
    }

    fn answer(&self, mut client: TcpStream) -> io::Result<()> {
        // What is not listened to soon blocks.
        SockRef::from(&client).set_send_buffer_size(16 << 10)?;
        let mut asked = BufReader::new(client.try_clone()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            asked.read_line(&mut line)?;
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap_or(0),
                Some(_) => {}
                None if line.starts_with("POST") => {}
                None => break,
            }
        }
        io::copy(&mut asked.take(length), &mut io::sink())?;
        let call = self.heard.calls.fetch_add(1, SeqCst) + 1;
        client.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        )?;
        for at in 1..=self.tokens {
            let delta = serde_json::json!({"content": self.token(call, at)});
            let data = serde_json::json!({"choices": [{"index": 0, "delta": delta}]});
            let event = format!("data: {data}\n\n");
            client.write_all(event.as_bytes())?;
            self.heard.taken.fetch_add(event.len(), SeqCst);
            if !self.heard.hurries.load(SeqCst) {
                thread::sleep(PACE);
            }
        }
        let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        write!(client, "data: {end}\n\ndata: [DONE]\n\n")
    }
}
