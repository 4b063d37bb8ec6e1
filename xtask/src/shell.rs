//! Running other programs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).context("xtask lies in no workspace")
}

/// The cargo that started us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` tells xtask about itself is no business of the crates built below: ring's build
    // script looks at some of it, and would run again after each change between `cargo` and `cargo xtask`.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// True if `program` can be started by name.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// True for root. The lab needs it for namespaces.
pub(crate) fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// A command that runs as root, through sudo if need be.
pub(crate) fn as_root(program: &str) -> Result<Command> {
    if is_root()? {
        return Ok(Command::new(program));
    }
    println!("network namespaces need root: starting {program} through sudo");
    let mut command = Command::new("sudo");
    command.arg(program);
    Ok(command)
}

/// What a program printed on standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("start {}", line_of(command)))?;
    if !output.status.success() {
        bail!("{} ended with {}", line_of(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {}", line_of(command)))
}

/// Runs a program that talks to the user itself.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {}", line_of(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", line_of(command));
    }
    Ok(())
}

/// Runs a program, prints all that it prints, and shows every line to `reader` as well.
/// Returns whether it ended well.
pub(crate) fn run_reading(command: &mut Command, mut reader: impl FnMut(&str)) -> Result<bool> {
    // One pipe for both streams keeps their lines in order.
    let (receiver, sender) = std::io::pipe().context("make a pipe")?;
    command.stdin(Stdio::null()).stdout(sender.try_clone().context("share a pipe")?).stderr(sender);
    let mut child = command.spawn().with_context(|| format!("start {}", line_of(command)))?;
    // The command holds our copies of the sending end: without this the pipe would never close.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(receiver).split(b'\n') {
        let line = line.context("read from a pipe")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        reader(&line);
    }
    Ok(child.wait().with_context(|| format!("wait for {}", line_of(command)))?.success())
}

fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
