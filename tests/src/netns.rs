//! Network namespaces.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};

use crate::command::{run, run_with_input};

/// A named network namespace, as `ip netns` shows it. The lab removes it; dropping this handle does not.
#[derive(Debug, Clone)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes the namespace and brings its loopback interface up.
    ///
    /// # Errors
    /// A namespace of this name exists, or the kernel refuses.
    pub(crate) fn create(name: String) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let netns = Self { name };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// The name `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Runs `work` on a thread inside the namespace. Sockets that it opens, and processes that it starts,
    /// stay in the namespace whoever uses them later.
    ///
    /// # Errors
    /// The namespace is gone. A panic of `work` goes on in the caller.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let handle =
                    File::open(self.path()).with_context(|| format!("open namespace {}", self.name))?;
                setns(handle, CloneFlags::CLONE_NEWNET)
                    .with_context(|| format!("enter namespace {}", self.name))?;
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program inside the namespace and returns its standard output.
    ///
    /// # Errors
    /// As [`run`](crate::run).
    pub fn exec(&self, program: &str, args: &[&str]) -> Result<String> {
        self.within(|| run(Command::new(program).args(args)))
    }

    /// Runs `ip` commands inside the namespace, one a line, without the leading word `ip`.
    ///
    /// # Errors
    /// The first command that fails ends the batch.
    pub fn ip(&self, lines: &str) -> Result<()> {
        run_with_input(Command::new("ip").args(["-n", &self.name, "-batch", "-"]), lines)?;
        Ok(())
    }

    /// Writes a value below `/proc/sys/net`, for example `("ipv4/ip_forward", "1")`.
    ///
    /// # Errors
    /// The setting does not exist, or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        // /proc/sys/net shows the namespace of the thread that opens it.
        self.within(|| {
            fs::write(PathBuf::from("/proc/sys/net").join(key), value)
                .with_context(|| format!("set net/{key} to {value}"))
        })
    }
}
