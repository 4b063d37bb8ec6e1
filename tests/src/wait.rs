//! Waiting for what takes an unknown time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks `reached` again every few milliseconds until it says yes; returns how long that took.
///
/// # Errors
/// `limit` passed, or `reached` failed.
pub fn wait_for(what: &str, limit: Duration, mut reached: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    while !reached()? {
        if start.elapsed() > limit {
            bail!("no {what} within {limit:?}");
        }
        sleep(Duration::from_millis(5));
    }
    Ok(start.elapsed())
}
