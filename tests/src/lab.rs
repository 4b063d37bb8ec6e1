//! The lab itself: its identity, its fabric, its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cleanup::{Guardian, MARK, ROOT, dir_of, sweep};
use crate::hypervisor::Hypervisor;
use crate::netns::Netns;
use crate::process::Process;
use crate::vm::{Vm, VmSpec};

/// What may differ from lab to lab.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// MTU of the underlay in octets, on the tunnel side and on the provider side.
    pub underlay_mtu: u32,
}

impl Default for LabOptions {
    fn default() -> Self {
        // Room for any tunnel around any VM's packets.
        Self { underlay_mtu: 9000 }
    }
}

/// A set of hypervisors, VMs and the fabric between them. Everything goes when it is dropped.
#[derive(Debug)]
pub struct Lab {
    id: String,
    options: LabOptions,
    fabric: Netns,
    hypervisors: Mutex<Vec<Hypervisor>>,
    quiet: AtomicBool,
    guardian: Guardian,
}

/// Programs without which a lab cannot work, and the Debian packages that bring them.
const TOOLS: [(&str, &str); 8] = [
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("ping", "iputils-ping"),
    ("ovsdb-server", "openvswitch-switch"),
    ("ovsdb-tool", "openvswitch-common"),
    ("ovs-vswitchd", "openvswitch-switch"),
    ("ovs-vsctl", "openvswitch-switch"),
    ("ovs-ofctl", "openvswitch-common"),
];

impl Lab {
    /// Makes an empty lab. Its namespaces are called `PREFIXpid.n-...`.
    ///
    /// # Errors
    /// Not root, a program is missing, the prefix is no word of 1 to 8 letters, or the kernel refuses.
    pub fn new(prefix: &str) -> Result<Self> {
        Self::with(prefix, LabOptions::default())
    }

    /// As [`Lab::new`], with options.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn with(prefix: &str, options: LabOptions) -> Result<Self> {
        static SWEEP: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let letters = prefix.bytes().all(|b| b.is_ascii_lowercase());
        ensure!(
            (1..=8).contains(&prefix.len()) && letters,
            "lab prefix \"{prefix}\" is no word of 1 to 8 letters a-z"
        );
        check_machine()?;
        SWEEP.call_once(|| {
            if let Err(error) = sweep() {
                eprintln!("lab: cannot remove old labs: {error:#}");
            }
        });
        let id = format!("{prefix}{}.{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = dir_of(&id);
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let guardian = Guardian::start(&id)?;
        let fabric = Netns::create(format!("{id}-fabric"))?;
        fabric.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        let mtu = options.underlay_mtu;
        fabric.ip(&format!(
            "link add tun mtu {mtu} type bridge mcast_snooping 0\nlink set tun up\n\
             link add ex mtu {mtu} type bridge mcast_snooping 0\nlink set ex up\n"
        ))?;
        Ok(Self {
            id,
            options,
            fabric,
            hypervisors: Mutex::default(),
            quiet: AtomicBool::new(false),
            guardian,
        })
    }

    /// The lab's unique name; every namespace name starts with it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Directory of the lab's files; goes with the lab.
    pub fn dir(&self) -> PathBuf {
        dir_of(&self.id)
    }

    /// The namespace of the two bridges that join the hypervisors: `tun` (tunnel underlay, ports `tun1`,
    /// `tun2`, ... in the order the hypervisors were made) and `ex` (provider side, ports `ex1`, ...).
    pub fn fabric(&self) -> &Netns {
        &self.fabric
    }

    /// Adds a hypervisor with running OVS daemons, joined to the fabric, its tunnel endpoints known to all
    /// the others.
    ///
    /// # Errors
    /// The name is no word of 1 to 10 letters and digits, or a daemon does not start.
    pub fn hypervisor(&self, name: &str) -> Result<Hypervisor> {
        let mut all = self.hypervisors.lock().unwrap_or_else(PoisonError::into_inner);
        let number =
            u8::try_from(all.len() + 1).ok().filter(|n| *n < 255).context("a lab holds 254 hypervisors")?;
        let hypervisor = Hypervisor::create(self, name, number)?;
        all.push(hypervisor.clone());
        for one in all.iter() {
            one.learn_neighbours(&all)?;
        }
        Ok(hypervisor)
    }

    /// Makes a VM that is not attached to any hypervisor yet.
    ///
    /// # Errors
    /// A VM of this name exists, or the kernel refuses.
    pub fn vm(&self, spec: VmSpec) -> Result<Vm> {
        Vm::create(self, spec)
    }

    /// Starts a process in the namespace of the machine (a controller, for example). Its output goes to
    /// `NAME.log` in the lab's directory; it is killed when the handle or the lab goes.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process> {
        Process::start(self, name, command)
    }

    /// Leaves out the ends of all logs that a lab prints when it goes. The test harness shows them only for
    /// failed tests, and a test that returns an error cannot be told here from one that passed; a program
    /// calls this when all went well.
    pub fn quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    /// Keeps everything running when this process ends, until [`remove_kept`](crate::remove_kept).
    ///
    /// # Errors
    /// The marker file cannot be written.
    pub fn keep(&self) -> Result<()> {
        fs::write(self.dir().join("keep"), "").context("mark the lab as kept")
    }

    pub(crate) fn options(&self) -> &LabOptions {
        &self.options
    }

    /// Makes a namespace of this lab.
    pub(crate) fn netns(&self, name: &str) -> Result<Netns> {
        let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        ensure!(
            (1..=32).contains(&name.len()) && word,
            "\"{name}\" is no name of 1 to 32 letters, digits, - and _"
        );
        Netns::create(format!("{}-{name}", self.id))
    }

    /// Puts the lab's mark on a process about to be started.
    pub(crate) fn mark(&self, command: &mut Command) {
        command.env(MARK, &self.id);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.quiet.load(Ordering::Relaxed) {
            print_logs(&self.dir());
        }
        self.guardian.finish();
    }
}

/// Prints the ends of all logs below `dir`: what one wants to see when a test failed.
fn print_logs(dir: &Path) {
    const TAIL: usize = 20;
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            print_logs(&path);
        } else if path.extension().is_some_and(|ext| ext == "log") {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- {} (last {TAIL} of {} lines)", path.display(), lines.len());
            for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
                eprintln!("{line}");
            }
        }
    }
}

/// Says what is missing on this machine, in one sentence.
fn check_machine() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the lab makes network namespaces and needs root: run it by `cargo xtask test` or with sudo");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (tool, package) in TOOLS {
        let found = std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
        ensure!(found, "the lab needs `{tool}` (Debian package {package}): run `cargo xtask setup`");
    }
    let longest = format!("{ROOT}/abcdefgh4194304.99/0123456789/ovs-vswitchd.4194304.ctl");
    debug_assert!(longest.len() <= 100, "names of unix sockets end at 107 bytes");
    Ok(())
}
