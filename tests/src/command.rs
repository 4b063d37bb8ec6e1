//! Running programs and saying clearly what failed.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs `command` to its end and returns what it printed on standard output.
///
/// # Errors
/// The program cannot be started, or ends with another status than 0: the error holds the whole command
/// line and what it printed on standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("start {}", line_of(command)))?;
    check(command, &output)
}

/// As [`run`], with `input` on standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", line_of(command)))?;
    let mut pipe = child.stdin.take().context("no standard input")?;
    // The programs used here read all their input before they answer, so this cannot deadlock. One that
    // dies early closes the pipe: its own words on standard error tell more than EPIPE.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    let output = child.wait_with_output().with_context(|| format!("wait for {}", line_of(command)))?;
    check(command, &output).with_context(|| format!("input was:\n{}", input.trim_end()))
}

fn check(command: &Command, output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {} {}", line_of(command), output.status, stderr.trim(), stdout.trim());
    }
    Ok(stdout)
}

/// The command line, cut where it gets too long to read.
fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
        if line.len() > 2000 {
            line.push_str(" ...");
            break;
        }
    }
    line
}
