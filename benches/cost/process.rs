//! The server as a child process, with its processor time and memory.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::client;

/// The counts of the server's allocator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heap {
    /// Allocations since the start, and reallocations.
    pub(crate) allocations: u64,
    /// Bytes that were allocated since the start.
    pub(crate) allocated: u64,
    /// Bytes that are allocated now.
    pub(crate) live: u64,
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("the server prints its address");
        let address = line.trim().parse().expect("an address");
        Self { child, address }
    }

    /// Returns the processor time of the server in milliseconds, in steps of 10.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .expect("Linux has a file of each process");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        ticks as f64 * 10.0
    }

    /// Returns the largest resident memory that the server has had, in bytes.
    pub(crate) fn peak_resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("Linux has a file of each process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.expect("a count") * 1024
    }

    /// Returns what the server's allocator has counted.
    pub(crate) async fn heap(&self) -> Heap {
        let answer = client::send(self.address, "GET", "/heap", "").await;
        let text = answer.text().await;
        let mut counts = text.split_whitespace().map(|count| count.parse().ok());
        let mut next = || counts.next().flatten().expect("the server prints counts");
        Heap {
            allocations: next(),
            allocated: next(),
            live: next(),
        }
    }

    /// Returns the resident memory of the server, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))
            .expect("Linux has a file of each process");
        let pages = statm.split_whitespace().nth(1);
        pages
            .and_then(|pages| pages.parse::<u64>().ok())
            .expect("a count")
            * 4096
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
