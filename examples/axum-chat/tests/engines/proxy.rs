use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// A TCP proxy in front of an engine.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    to: AtomicU16,
    stalled: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Starts a proxy to the engine at this port.
    pub(crate) fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let it = Self {
            port: listener.local_addr().expect("its address").port(),
            inner: Arc::new(Inner {
                to: AtomicU16::new(to),
                stalled: AtomicBool::new(false),
                open: Mutex::default(),
            }),
        };
        let proxy = it.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _ = proxy.link(&client);
            }
        });
        it
    }

    /// Holds back everything that the engine sends from now on.
    pub(crate) fn stall(&self) {
        self.inner.stalled.store(true, SeqCst);
    }

    /// Sends new connections to the engine at this port.
    pub(crate) fn connect_to(&self, to: u16) {
        self.inner.to.store(to, SeqCst);
    }

    /// Cuts all connections, and sends new ones to the engine at this port.
    pub(crate) fn switch(&self, to: u16) {
        self.connect_to(to);
        for connection in self.inner.open.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn link(&self, client: &TcpStream) -> std::io::Result<()> {
        let mut open = self.inner.open.lock().unwrap();
        let server = TcpStream::connect(("127.0.0.1", self.inner.to.load(SeqCst)))?;
        for stream in [client, &server] {
            stream.set_nodelay(true)?;
            open.push(stream.try_clone()?);
        }
        let ways = [
            (client.try_clone()?, server.try_clone()?, false),
            (server, client.try_clone()?, true),
        ];
        for (from, to, stalls) in ways {
            let inner = self.inner.clone();
            thread::spawn(move || forward(from, to, &inner, stalls));
        }
        Ok(())
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, inner: &Inner, stalls: bool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        while stalls && inner.stalled.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
