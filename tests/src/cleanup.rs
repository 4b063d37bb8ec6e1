//! Removing a lab, whichever way its owner ends.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::command::run;

/// Where labs keep their files. Short, because the names of unix sockets end at 107 bytes.
pub(crate) const ROOT: &str = "/run/dragonflow-lab";

/// Marks every process of a lab; `cleanup.sh` looks for it.
pub(crate) const MARK: &str = "DRAGONFLOW_LAB";

const SCRIPT: &str = include_str!("cleanup.sh");

/// Directory of the lab `id`.
pub(crate) fn dir_of(id: &str) -> PathBuf {
    Path::new(ROOT).join(id)
}

/// Process id of the owner in a lab id such as `df4711.0`.
fn owner(id: &str) -> Option<i32> {
    let (name, _) = id.rsplit_once('.')?;
    name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// A process that waits for the end of the lab's owner and then cleans up.
///
/// A signal handler could not do it: it does not run at `kill -9`, and a library has no right to the
/// handlers of the process. The kernel closes a pipe however its owner ends.
#[derive(Debug)]
pub(crate) struct Guardian {
    child: Child,
}

impl Guardian {
    pub(crate) fn start(id: &str) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "cleanup", id])
            .arg(dir_of(id))
            .arg("wait")
            .current_dir("/")
            .env_remove(MARK)
            // Ctrl-C in a terminal goes to the whole foreground group: be in another.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start the clean-up guardian")?;
        Ok(Self { child })
    }

    /// Lets the guardian work now and waits until it is done.
    pub(crate) fn finish(&mut self) {
        drop(self.child.stdin.take());
        // Nothing useful can be done about a failure here; a later `sweep` tries again.
        let _ = self.child.wait();
    }
}

/// Removes the labs of processes that live no more, except those that were kept on purpose.
/// Returns their ids.
///
/// # Errors
/// The directory of labs cannot be read, or the clean-up script does not start.
pub fn sweep() -> Result<Vec<String>> {
    sweep_where(|id| !dir_of(id).join("keep").exists() && owner(id).is_none_or(|pid| !alive(pid)))
}

/// Removes the labs that were kept on purpose (`--keep`) and whose names start with `prefix`.
/// Returns their ids.
///
/// # Errors
/// As [`sweep`].
pub fn remove_kept(prefix: &str) -> Result<Vec<String>> {
    sweep_where(|id| {
        let marker = dir_of(id).join("keep");
        id.starts_with(prefix)
            && marker.exists()
            && owner(id).is_none_or(|pid| !alive(pid))
            && fs::remove_file(marker).is_ok()
    })
}

fn sweep_where(mut leftover: impl FnMut(&str) -> bool) -> Result<Vec<String>> {
    let entries = match fs::read_dir(ROOT) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context(format!("read {ROOT}")),
    };
    let mut removed = Vec::new();
    for entry in entries.flatten() {
        let Ok(id) = entry.file_name().into_string() else { continue };
        if leftover(&id) {
            run(Command::new("sh").args(["-c", SCRIPT, "cleanup", &id]).arg(dir_of(&id)).env_remove(MARK))?;
            removed.push(id);
        }
    }
    Ok(removed)
}

fn alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}
