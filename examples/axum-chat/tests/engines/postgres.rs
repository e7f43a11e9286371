use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use tempfile::TempDir;

use crate::{
    engine::{Engine, free_port, signal},
    faketime::FakeTime,
};

pub(crate) struct Postgres {
    bin: PathBuf,
    folder: TempDir,
    port: u16,
    time: FakeTime,
    killed: AtomicBool,
}

impl Postgres {
    /// Returns the reason for which the test cannot run.
    pub(crate) fn missing() -> Option<&'static str> {
        programs().is_none().then_some("initdb is not installed")
    }

    pub(crate) fn start() -> Self {
        Self::start_by(|_, _| {})
    }

    /// Starts an engine whose clock can be set.
    pub(crate) fn with_clock() -> Self {
        Self::start_by(FakeTime::apply)
    }

    fn start_by(time: fn(&FakeTime, &mut Command)) -> Self {
        let folder = TempDir::new().expect("a folder");
        if let Some((user, group)) = postgres() {
            chown(folder.path(), Some(user), Some(group)).expect("root may do that");
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.path(), private).expect("it is ours");
        let it = Self {
            bin: programs().expect("they are there"),
            time: FakeTime::in_folder(folder.path()),
            folder,
            port: free_port(),
            killed: AtomicBool::new(false),
        };
        let initialised = as_postgres(it.bin.join("initdb"))
            .args(["--auth=trust", "--username=postgres", "--no-sync", "-D"])
            .arg(it.data())
            .output();
        let initialised = initialised.expect("initdb runs");
        assert!(initialised.status.success(), "{initialised:?}");
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c shared_buffers=16MB",
            it.port,
            it.folder.path().display()
        );
        let mut start = it.control(&["start", "-w", "-o", &options]);
        time(&it.time, &mut start);
        succeed(&mut start);
        it
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn control(&self, arguments: &[&str]) -> Command {
        let mut command = as_postgres(self.bin.join("pg_ctl"));
        command
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(self.folder.path().join("log"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Returns the ids of the first process and its children.
    fn processes(&self) -> Vec<u32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid"));
        let file = file.expect("it runs");
        let first = file.lines().next().expect("the number of a process");
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        let children = children.expect("Linux tells of processes");
        let all = std::iter::once(first).chain(children.split_whitespace());
        all.map(|it| it.parse().expect("a number")).collect()
    }
}

impl Engine for Postgres {
    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn pause(&self) {
        // First the process that starts others.
        signal("-STOP", &self.processes()[..1]);
        signal("-STOP", &self.processes());
    }

    fn resume_processes(&self) {
        signal("-CONT", &self.processes());
    }

    fn kill(&self) {
        if !self.killed.swap(true, SeqCst) {
            succeed(&mut self.control(&["stop", "-m", "immediate"]));
        }
    }

    fn set_clock(&self, ahead: i64) {
        self.time.set(ahead);
    }

    fn now(&self) -> u64 {
        let started = Command::new(self.bin.join("psql"))
            .args([
                "-At",
                "-c",
                "SELECT extract(epoch FROM clock_timestamp())::bigint",
            ])
            .arg(self.url())
            .output();
        let said = String::from_utf8(started.expect("psql runs").stdout);
        let seconds = said.ok().and_then(|it| it.trim_end().parse().ok());
        seconds.expect("a number")
    }
}

fn succeed(command: &mut Command) {
    let done = command.status().expect("it runs");
    assert!(done.success(), "{command:?}: {done}");
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !self.killed.load(SeqCst) {
            self.resume_processes();
            self.kill();
        }
    }
}

/// Returns the folder of the programs, if installed.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let bins = versions.filter_map(|it| Some(it.ok()?.path().join("bin")));
    bins.filter(|bin| bin.join("initdb").exists()).max()
}

/// Runs a program as the user `postgres`, since the programs refuse root.
fn as_postgres(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir("/");
    if let Some((user, group)) = postgres() {
        command.uid(user).gid(group);
    }
    command
}

/// Returns the ids of the user `postgres` if this process runs as root.
fn postgres() -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find(|line| line.starts_with("Uid:\t0\t"))?;
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
