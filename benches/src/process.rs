//! What a process costs, as the kernel counts it.

use anyhow::{Context as _, Result};
use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

/// CPU time of all threads of a process so far, those that ended included.
///
/// # Errors
/// There is no such process.
pub fn cpu_time(pid: i32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid)).with_context(|| format!("cpu clock of {pid}"))?;
    Ok(clock_gettime(clock).with_context(|| format!("cpu time of {pid}"))?.into())
}

/// Resident memory of a process in octets.
///
/// # Errors
/// There is no such process.
pub fn resident(pid: i32) -> Result<u64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("status of {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS in a process status")?;
    Ok(kib.parse::<u64>().context("VmRSS")? * 1024)
}

/// Waits until a process has nothing left to do: less than 5 % of a CPU over 100 ms, for at most `limit`.
///
/// # Errors
/// There is no such process.
pub fn settle(pid: i32, limit: Duration) -> Result<()> {
    const WINDOW: Duration = Duration::from_millis(100);
    let start = Instant::now();
    loop {
        let (before, from) = (cpu_time(pid)?, Instant::now());
        sleep(WINDOW);
        if (cpu_time(pid)?.saturating_sub(before)) < from.elapsed() / 20 || start.elapsed() > limit {
            return Ok(());
        }
    }
}
