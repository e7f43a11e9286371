use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{client::Answer, model::Model};

/// A process of the example, which ends when dropped.
pub(crate) struct Example {
    process: Child,
    pub(crate) address: String,
}

impl Example {
    pub(crate) fn start(store: &str, model: &Model) -> Self {
        let model = [
            ("OPENAI_BASE_URL", model.url()),
            ("OPENAI_MODEL", "a model".into()),
        ];
        Self::start_with(store, model)
    }

    /// Starts the example with a model that it finds by its name.
    #[cfg(feature = "genai")]
    pub(crate) fn of_vendor(store: &str, vendor: &crate::vendor::Vendor) -> Self {
        Self::start_with(store, vendor.environment())
    }

    fn start_with(
        store: &str,
        environment: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_axum-chat"))
            .args(["--port", "0", "--store", store])
            .env_remove("MODEL")
            .envs(environment)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the example starts");
        let out = process.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| Some(line.strip_prefix("listening on http://")?.to_owned()))
            .expect("it prints its address");
        Self { process, address }
    }

    /// Starts an answer.
    pub(crate) fn ask(&self) -> Answer {
        let question = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
        Answer::to(&self.address, "POST /api/chat HTTP/1.1", question)
    }

    /// Reads an answer after a cursor.
    pub(crate) fn read(&self, id: &str, after: Option<&str>) -> Answer {
        let after = after.map_or(String::new(), |it| format!("\r\nlast-event-id: {it}"));
        let head = format!("GET /api/chat/{id} HTTP/1.1{after}");
        Answer::to(&self.address, &head, "")
    }

    /// Reads an answer after a cursor, once the store is reachable again.
    pub(crate) fn resume(&self, id: &str, after: Option<&str>) -> Answer {
        let began = Instant::now();
        loop {
            let answer = self.read(id, after);
            if answer.status != 503 {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(40), "still 503");
            sleep(Duration::from_millis(200));
        }
    }

    /// Returns the resident memory, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("Linux tells of processes");
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
        let size = line.and_then(|it| it.split_whitespace().next()?.parse::<usize>().ok());
        size.expect("a size") << 10
    }

    /// Returns the processor time.
    pub(crate) fn busy(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()));
        let stat = stat.expect("Linux tells of processes");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks = ticks.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
