use std::{
    net::TcpListener,
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
};

/// A temporary engine, which ends when dropped.
pub(crate) trait Engine {
    /// Returns the URL for the example.
    fn url(&self) -> String;

    /// Pauses all its processes, so that it answers nothing and closes no connection.
    fn pause(&self);

    /// Resumes the processes.
    fn resume_processes(&self);

    /// Kills the engine, as a crash does.
    fn kill(&self);

    /// Sets the clock of its host this many seconds ahead of the real time.
    fn set_clock(&self, ahead: i64);

    /// Returns the time of that clock, in seconds.
    fn now(&self) -> u64;
}

/// Sends a signal to processes.
pub(crate) fn signal(name: &str, processes: &[u32]) {
    let mut command = Command::new("kill");
    command.arg(name).args(processes.iter().map(u32::to_string));
    // A process may have ended meanwhile.
    let sent = command.stderr(Stdio::null()).status();
    sent.expect("there is a program `kill`");
}

/// Returns a free port that was not returned before. It is below those that the system assigns, so that
/// no connection and no listener of the tests takes it before the engine does.
pub(crate) fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        let number = u16::try_from(std::process::id() % 20_000);
        AtomicU16::new(number.expect("it is below 20,000"))
    });
    loop {
        let port = 10_000 + next.fetch_add(1, SeqCst) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
