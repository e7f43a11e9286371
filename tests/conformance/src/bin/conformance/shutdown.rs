use std::process::Command;

/// Runs a shell command and waits for its end. Prints a failure to stderr.
pub(crate) async fn run_shutdown(command: String) {
    let run = move || {
        let status = Command::new("sh").args(["-c", &command]).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => eprintln!("the shutdown command `{command}` failed: {status}"),
            Err(error) => eprintln!("the shutdown command `{command}` did not start: {error}"),
        }
    };
    let _ = tokio::task::spawn_blocking(run).await;
}
