//! Processes that belong to a lab.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::Lab;

/// A running program of a lab, killed when dropped unless the lab is kept.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    pub(crate) fn start(lab: &Lab, name: &str, mut command: Command) -> Result<Self> {
        let log = lab.dir().join(format!("{name}.log"));
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("open {}", log.display()))?;
        let err = out.try_clone().context("share the log file")?;
        lab.mark(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.into(), log, child })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// `None` while it runs.
    ///
    /// # Errors
    /// The kernel does not know the child.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.name))
    }

    /// Ends it as `kill -9` does and waits until it is gone.
    ///
    /// # Errors
    /// It ended before.
    pub fn kill9(&mut self) -> Result<()> {
        if let Some(status) = self.exit_status()? {
            bail!("{} ended before with {status}", self.name);
        }
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        Ok(())
    }

    /// Asks it by SIGTERM to end and waits.
    ///
    /// # Errors
    /// It ended before, or still runs after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exit_status()? {
            bail!("{} ended before with {status}", self.name);
        }
        let pid = i32::try_from(self.child.id()).context("process id")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("terminate {}", self.name))?;
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("{} still runs {limit:?} after SIGTERM", self.name);
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A lab that is kept keeps its processes.
        if !self.log.with_file_name("keep").exists() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
