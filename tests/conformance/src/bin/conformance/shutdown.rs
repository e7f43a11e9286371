use std::process::Command;

/// Runs a shell command, and waits for its end. That it failed is told beside the findings.
pub(crate) async fn give_up(command: String) {
    let run = move || {
        let status = Command::new("sh").args(["-c", &command]).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => eprintln!("`{command}`, which makes the server give up: {status}"),
            Err(error) => eprintln!("a shell for `{command}`: {error}"),
        }
    };
    let _ = tokio::task::spawn_blocking(run).await;
}
