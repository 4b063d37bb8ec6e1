//! One Open vSwitch: its two daemons in a namespace, with their own database, sockets and logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cleanup::MARK;
use crate::command::{run, run_with_input};
use crate::netns::Netns;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// The two daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// `ovsdb-server`: the database of the configuration.
    OvsdbServer,
    /// `ovs-vswitchd`: the switch.
    Vswitchd,
}

impl Daemon {
    fn program(self) -> &'static str {
        match self {
            Self::OvsdbServer => "ovsdb-server",
            Self::Vswitchd => "ovs-vswitchd",
        }
    }
}

/// A private Open vSwitch.
#[derive(Debug)]
pub(crate) struct Ovs {
    lab: String,
    netns: Netns,
    rundir: PathBuf,
}

impl Ovs {
    /// Makes the database and starts both daemons.
    pub(crate) fn create(lab: &str, netns: &Netns, rundir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&rundir).with_context(|| format!("make {}", rundir.display()))?;
        run(Command::new("ovsdb-tool").arg("create").arg(rundir.join("conf.db")).arg(SCHEMA))?;
        let ovs = Self { lab: lab.into(), netns: netns.clone(), rundir };
        ovs.start(Daemon::OvsdbServer)?;
        ovs.vsctl(&["--no-wait", "init"])?;
        ovs.start(Daemon::Vswitchd)?;
        Ok(ovs)
    }

    pub(crate) fn rundir(&self) -> &Path {
        &self.rundir
    }

    pub(crate) fn db_sock(&self) -> PathBuf {
        self.rundir.join("db.sock")
    }

    /// A command that finds this OVS: its tools and daemons look in these directories.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, &self.rundir);
        }
        command
    }

    /// Starts a daemon; returns when it answers (`--detach` lets the parent go only then).
    pub(crate) fn start(&self, daemon: Daemon) -> Result<()> {
        let mut command = self.command(daemon.program());
        command.env(MARK, &self.lab).current_dir("/");
        if daemon == Daemon::OvsdbServer {
            command.arg(self.rundir.join("conf.db"));
            command.arg(format!("--remote=punix:{}", self.db_sock().display()));
            // So that `ovs-vsctl set-manager` works as on an installed system.
            command.arg("--remote=db:Open_vSwitch,Open_vSwitch,manager_options");
        } else {
            command.arg(format!("unix:{}", self.db_sock().display()));
        }
        command.args(["--detach", "--no-chdir", "--pidfile", "-vconsole:off", "-vsyslog:off"]);
        command
            .arg(format!("--log-file={}", self.rundir.join(format!("{}.log", daemon.program())).display()));
        // A switch restarted with thousands of ports needs a while, but never this long.
        self.netns.within(|| run(&mut command))?;
        Ok(())
    }

    pub(crate) fn pid(&self, daemon: Daemon) -> Result<i32> {
        let path = self.rundir.join(format!("{}.pid", daemon.program()));
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        text.trim().parse().with_context(|| format!("process id in {}", path.display()))
    }

    /// Sends a signal and waits until the daemon is gone.
    pub(crate) fn end(&self, daemon: Daemon, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid(daemon)?);
        kill(pid, signal).with_context(|| format!("send {signal} to {}", daemon.program()))?;
        let limit = Instant::now() + Duration::from_secs(20);
        while kill(pid, None) != Err(Errno::ESRCH) && !is_zombie(pid) {
            if Instant::now() > limit {
                bail!("{} (process {pid}) still runs 20 s after {signal}", daemon.program());
            }
            sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    pub(crate) fn vsctl(&self, args: &[&str]) -> Result<String> {
        run(self.command("ovs-vsctl").arg("--timeout=20").args(args))
    }

    pub(crate) fn ofctl(&self, args: &[&str]) -> Result<String> {
        run(self.command("ovs-ofctl").args(["--timeout=20", "-O", "OpenFlow13"]).args(args))
    }

    pub(crate) fn ofctl_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        run_with_input(self.command("ovs-ofctl").args(["--timeout=60", "-O", "OpenFlow13"]).args(args), input)
    }

    pub(crate) fn appctl(&self, args: &[&str]) -> Result<String> {
        run(self.command("ovs-appctl").args(args))
    }
}

/// A daemon whose adoptive parent does not reap (a container's first process, perhaps) stays as a zombie:
/// it has closed all it had.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}
