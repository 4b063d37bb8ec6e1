//! The machine that a run was made on, without its name.

use serde::Serialize;
use std::{fs, path::Path, process::Command};

/// What a reader must know to judge numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Model of the CPU.
    pub cpu: String,
    /// How many CPUs the run could use.
    pub cpus: usize,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Frequency governor, if the machine has one.
    pub governor: Option<String>,
    /// Release of the kernel.
    pub kernel: String,
    /// Version of Open vSwitch.
    pub ovs: String,
    /// The commit, and whether the work tree differed from it.
    pub commit: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let meminfo = read("/proc/meminfo");
        let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
        let governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        Self {
            cpu: model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name).into(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kib.and_then(|kib| kib.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1_048_576.0),
            governor: Some(governor).filter(|governor| !governor.is_empty()),
            kernel: read("/proc/sys/kernel/osrelease"),
            ovs: output("ovs-vswitchd", &["--version"]).lines().next().unwrap_or_default().into(),
            commit: commit(),
        }
    }

    /// The lines of a report.
    pub fn lines(&self) -> Vec<String> {
        let Self { cpu, cpus, memory_gib, governor, kernel, ovs, commit } = self;
        let governor = governor.as_deref().unwrap_or("none visible");
        vec![
            format!("{cpu}, {cpus} CPUs, {memory_gib:.1} GiB, frequency governor: {governor}"),
            format!("Linux {kernel}; {ovs}, netdev datapath"),
            format!("commit {commit}, release build"),
        ]
    }
}

/// The load of the last minute: other work on the machine makes a run worth less.
pub fn load() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// Today in UTC, as in 2025-01-31.
pub fn today() -> String {
    output("date", &["-u", "+%F"])
}

fn commit() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    // Root measures what a user checked out.
    let git = |args: &[&str]| output("git", &[&["-c", "safe.directory=*", "-C", root], args].concat());
    let dirty = if git(&["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        ""
    } else {
        " with local changes"
    };
    format!("{}{dirty}", git(&["rev-parse", "--short", "HEAD"]))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
