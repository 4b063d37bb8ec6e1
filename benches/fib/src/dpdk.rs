//! DPDK's tables, by a small program in C that is compiled when the bench runs.

use crate::bgp::Line;
use crate::measure::Measured;
use anyhow::{Context as _, Result};
use std::fs;
use std::process::Command;

const SOURCE: &str = include_str!("dpdk.c");

/// Measures `rte_fib` or `rte_fib6`; nothing where Debian's `dpdk-dev` is not installed.
pub(crate) fn run(v6: bool, table: &[Line], keys: &[u128], turns: usize) -> Result<Vec<Measured>> {
    let config = Command::new("pkg-config").args(["--cflags", "--libs", "libdpdk"]).output();
    let Some(flags) = config.ok().filter(|output| output.status.success()) else {
        println!("dpdk-dev is not installed: no comparison with rte_fib");
        return Ok(Vec::new());
    };
    let dir = tempfile::tempdir().context("make a directory")?;
    let path = |name: &str| dir.path().join(name);
    fs::write(path("dpdk.c"), SOURCE)?;
    let flags = String::from_utf8(flags.stdout)?;
    let compiled = Command::new("cc")
        .args(["-O3", "-march=native", "-o"])
        .arg(path("dpdk"))
        .arg(path("dpdk.c"))
        .args(flags.split_whitespace())
        .status()
        .context("start cc")?;
    if !compiled.success() {
        println!("cc failed: no comparison with rte_fib");
        return Ok(Vec::new());
    }
    let routes = table.iter().flat_map(|line| {
        let mut record = [0; 24];
        record[..16].copy_from_slice(&line.addr.to_be_bytes());
        record[16] = line.len;
        record[20..].copy_from_slice(&line.next.to_ne_bytes());
        record
    });
    fs::write(path("routes"), routes.collect::<Vec<u8>>())?;
    fs::write(path("keys"), keys.iter().flat_map(|key| key.to_be_bytes()).collect::<Vec<u8>>())?;
    let output = Command::new(path("dpdk"))
        .arg(if v6 { "6" } else { "4" })
        .args([path("routes"), path("keys")])
        .arg(turns.to_string())
        .output()
        .context("start the dpdk program")?;
    print!("{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        println!("the dpdk program ended with {}: no comparison with rte_fib", output.status);
        return Ok(Vec::new());
    }
    String::from_utf8(output.stdout)?.lines().filter(|line| line.starts_with("rte_")).map(measured).collect()
}

fn measured(line: &str) -> Result<Measured> {
    let mut words = line.split(' ');
    let name = words.next().context("no name")?.replace('_', " ");
    let mut numbers: Vec<&str> = words.collect();
    let sum = numbers.pop().context("no sum")?.parse()?;
    let nanos: Result<Vec<f64>, _> = numbers.iter().map(|number| number.parse()).collect();
    Ok(Measured { name, nanos: nanos?, sum })
}
