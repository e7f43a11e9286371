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

/// An OpenAI-compatible server. Each token has the number of its call and its place in the answer.
#[derive(Clone)]
pub(crate) struct Model {
    port: u16,
    tokens: usize,
    pad: usize,
    state: Arc<ModelState>,
}

#[derive(Default)]
struct ModelState {
    calls: AtomicUsize,
    taken: AtomicUsize,
    unpaced: AtomicBool,
    /// The token after which each answer waits; zero: none.
    held_after: AtomicUsize,
}

/// The pause between two tokens.
const PACE: Duration = Duration::from_millis(20);

impl Model {
    /// Starts a model that answers with `tokens` tokens of `pad` bytes and a few more.
    pub(crate) fn start(tokens: usize, pad: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let it = Self {
            port: listener.local_addr().expect("its address").port(),
            tokens,
            pad,
            state: Arc::default(),
        };
        let model = it.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let model = model.clone();
                // Clients may close the connection early.
                thread::spawn(move || drop(model.answer(client)));
            }
        });
        it
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Returns the number of calls.
    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(SeqCst)
    }

    /// Returns the bytes of its answers that were read or are in the system's buffers.
    pub(crate) fn taken(&self) -> usize {
        self.state.taken.load(SeqCst)
    }

    /// Ends the pauses, so that it sends as fast as the client reads.
    pub(crate) fn stop_pacing(&self) {
        self.state.unpaced.store(true, SeqCst);
    }

    /// Holds each answer after this many tokens, until another number is given. Zero holds none.
    pub(crate) fn hold_after(&self, tokens: usize) {
        self.state.held_after.store(tokens, SeqCst);
    }

    /// Returns the whole answer to the call with this number.
    pub(crate) fn text(&self, call: usize) -> String {
        (1..=self.tokens).map(|at| self.token(call, at)).collect()
    }

    fn token(&self, call: usize, at: usize) -> String {
        format!("{call}:{at}{} ", "-".repeat(self.pad))
    }

    fn answer(&self, mut client: TcpStream) -> io::Result<()> {
        // A small buffer blocks soon if the client does not read.
        SockRef::from(&client).set_send_buffer_size(16 << 10)?;
        let mut started = BufReader::new(client.try_clone()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            started.read_line(&mut line)?;
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap_or(0),
                Some(_) => {}
                None if line.starts_with("POST") => {}
                None => break,
            }
        }
        io::copy(&mut started.take(length), &mut io::sink())?;
        let call = self.state.calls.fetch_add(1, SeqCst) + 1;
        client.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        )?;
        for at in 1..=self.tokens {
            while (1..at).contains(&self.state.held_after.load(SeqCst)) {
                thread::sleep(Duration::from_millis(5));
            }
            let delta = serde_json::json!({"content": self.token(call, at)});
            let data = serde_json::json!({"choices": [{"index": 0, "delta": delta}]});
            let event = format!("data: {data}\n\n");
            client.write_all(event.as_bytes())?;
            self.state.taken.fetch_add(event.len(), SeqCst);
            if !self.state.unpaced.load(SeqCst) {
                thread::sleep(PACE);
            }
        }
        let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        write!(client, "data: {end}\n\ndata: [DONE]\n\n")
    }
}
