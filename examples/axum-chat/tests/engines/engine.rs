use std::{
    net::TcpListener,
    process::{Command, Stdio},
};

/// A throwaway engine. Ends when dropped.
pub(crate) trait Engine {
    /// What the example is told of it.
    fn url(&self) -> String;

    /// Stops all its processes where they are: it answers nobody, and closes nothing.
    fn pause(&self);

    /// They go on.
    fn go_on(&self);

    /// Ends it as a crash would.
    fn kill(&self);

    /// Sets its host's clock to so many seconds more than the right time.
    fn set_clock(&self, ahead: i64);

    /// What that clock shows, in seconds.
    fn now(&self) -> u64;
}

/// Sends a signal to processes.
pub(crate) fn signal(name: &str, processes: &[u32]) {
    let mut command = Command::new("kill");
    command.arg(name).args(processes.iter().map(u32::to_string));
    // One that has ended meanwhile needs none.
    let sent = command.stderr(Stdio::null()).status();
    sent.expect("there is a program `kill`");
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
