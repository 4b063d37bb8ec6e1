//! `cargo xtask test`: everything CI runs, fast things first.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::shell::{self, cargo, is_root, on_path, run_reading};
use crate::{deps, setup};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run this tier alone; may be given several times, and with names that are not run by default
    #[arg(long, value_name = "TIER")]
    only: Vec<String>,
    /// Name the tiers and end
    #[arg(long)]
    list: bool,
}

/// Passed and failed tests of a tier. A tier that is one check counts as one test.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
}

struct Tier {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<Counts>,
}

/// Those that run only when they are asked for are last.
const TIERS: [Tier; BY_DEFAULT + 1] = [
    Tier { name: "fmt", about: "formatting", run: fmt },
    Tier { name: "deps", about: "arrows between crates, purity", run: arrows },
    Tier { name: "clippy", about: "lints, warnings are errors", run: clippy },
    Tier { name: "deny", about: "licenses, sources and bans of dependencies", run: deny },
    Tier { name: "build", about: "binaries, tests and measurements compile", run: build },
    Tier { name: "unit", about: "unit and property tests", run: unit },
    Tier { name: "docs", about: "documentation, warnings are errors", run: docs },
    Tier {
        name: "system",
        about: "real Open vSwitch in network namespaces, eBPF in the kernel, as root",
        run: system,
    },
    Tier {
        name: "neutron",
        about: "the Neutron add-on: its tests, and Neutron's own of our classes",
        run: neutron,
    },
    Tier {
        name: "neutron-system",
        about: "a real Neutron, Open vSwitch and VMs, as root",
        run: neutron_system,
    },
    Tier {
        name: "neutron-more",
        about: "Neutron's own tests that hardly reach our code; only by --only",
        run: neutron_more,
    },
];

/// How many of them run when none is asked for.
const BY_DEFAULT: usize = 10;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.list {
        for tier in &TIERS {
            println!("{:14} {}", tier.name, tier.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    for name in &options.only {
        let names = TIERS.map(|tier| tier.name).join(", ");
        ensure!(TIERS.iter().any(|tier| tier.name == name), "no tier \"{name}\": there are {names}");
    }
    setup::ensure_done()?;
    let by_default = TIERS.iter().take(if options.only.is_empty() { BY_DEFAULT } else { 0 });
    let asked = TIERS.iter().filter(|tier| options.only.iter().any(|name| name == tier.name));
    let chosen = by_default.chain(asked);
    let outcomes: Vec<Outcome> = chosen.map(Outcome::of).collect();
    Ok(summary(&outcomes))
}

struct Outcome {
    tier: &'static str,
    counts: Counts,
    elapsed: Duration,
}

impl Outcome {
    fn of(tier: &Tier) -> Self {
        println!("\n==> {}: {}", tier.name, tier.about);
        let start = Instant::now();
        let counts = (tier.run)().unwrap_or_else(|error| {
            println!("error: {error:#}");
            Counts { passed: 0, failed: 1 }
        });
        let outcome = Self { tier: tier.name, counts, elapsed: start.elapsed() };
        println!("<== {outcome}");
        outcome
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { passed, failed } = self.counts;
        let word = if failed == 0 { "ok" } else { "FAILED" };
        write!(
            f,
            "{:14} {word:6} {passed:5} passed {failed:5} failed {:8.1} s",
            self.tier,
            self.elapsed.as_secs_f64()
        )
    }
}

/// The table, and the counts of all tests as the last line.
fn summary(outcomes: &[Outcome]) -> ExitCode {
    println!("\nSummary");
    for outcome in outcomes {
        println!("  {outcome}");
    }
    let passed: usize = outcomes.iter().map(|outcome| outcome.counts.passed).sum();
    let failed: usize = outcomes.iter().map(|outcome| outcome.counts.failed).sum();
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A tier that is one command.
fn check(command: &mut Command) -> Result<Counts> {
    shell::run(command)?;
    Ok(Counts { passed: 1, failed: 0 })
}

fn fmt() -> Result<Counts> {
    check(cargo().args(["fmt", "--all", "--check"]))
}

fn arrows() -> Result<Counts> {
    deps::run()?;
    Ok(Counts { passed: 1, failed: 0 })
}

fn clippy() -> Result<Counts> {
    check(cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
}

fn docs() -> Result<Counts> {
    check(cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

/// All at once: later tiers select from the same packages, so that nothing is compiled twice with other
/// features. Measurements too are built in the profile of the tests: optimising would take minutes.
fn build() -> Result<Counts> {
    check(cargo().args(["build", "--workspace", "--all-targets"]))
}

/// cargo-deny comes as source only; compiled once into the target directory, without optimising.
fn deny() -> Result<Counts> {
    const VERSION: &str = "0.20.2";
    const TOOLS: &str = "target/tools";
    let program = if on_path("cargo-deny") {
        PathBuf::from("cargo-deny")
    } else {
        Path::new(TOOLS).join("bin/cargo-deny")
    };
    if !on_path("cargo-deny") && !program.exists() {
        println!("deny: compiling cargo-deny {VERSION} into {TOOLS}; takes minutes, once");
        shell::run(cargo().args([
            "install",
            "cargo-deny",
            "--version",
            VERSION,
            "--locked",
            "--debug",
            "--root",
            TOOLS,
        ]))?;
    }
    // Not the advisories: their database would have to be fetched, and a new one must not break old commits.
    check(Command::new(program).args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
}

/// All tests but those that need root. Bolero's fuzz targets run here as plain tests.
fn unit() -> Result<Counts> {
    let (_, others) = integration_tests()?;
    let mut scope = vec!["--workspace", "--no-fail-fast", "--lib", "--bins"];
    others.iter().for_each(|name| scope.extend(["--test", name]));
    let tests = count(cargo().args(runner()?).args(scope))?;
    let docs = count(cargo().args(["test", "--workspace", "--no-fail-fast", "--doc"]))?;
    Ok(Counts { passed: tests.passed + docs.passed, failed: tests.failed + docs.failed })
}

/// The test of the crate `lab` that has a tier of its own.
const NEUTRON: &str = "neutron";

fn system() -> Result<Counts> {
    with_hosts(|name| name != NEUTRON)
}

fn neutron_system() -> Result<Counts> {
    setup::neutron()?;
    with_hosts(|name| name == NEUTRON)
}

fn neutron() -> Result<Counts> {
    pytest(&["unit", "upstream/test_l3.py", "upstream/test_ml2.py"])
}

fn neutron_more() -> Result<Counts> {
    pytest(&["upstream/test_ml2_more.py"])
}

/// Tests in Python, as many at a time as there are cores.
fn pytest(files: &[&str]) -> Result<Counts> {
    setup::neutron()?;
    let mut pytest = Command::new("target/neutron-venv/bin/python");
    pytest.args(["-W", "ignore", "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal", "-rs"]);
    pytest.args(files.iter().map(|file| format!("neutron/networking_dragonflow/tests/{file}")));
    count(&mut pytest)
}

/// One test at a time: they count lost packets, and the machine may have few cores.
fn with_hosts(chosen: fn(&str) -> bool) -> Result<Counts> {
    // The tests start the controller as its users do: from its binary.
    shell::run(cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
    let (ours, others) = integration_tests()?;
    let mut command = cargo();
    command.args(runner()?).args(["--workspace", "--no-fail-fast"]);
    for name in ours.iter().filter(|name| chosen(name)) {
        ensure!(!others.contains(name), "two crates have an integration test \"{name}\": rename one");
        command.args(["--test", name]);
    }
    if has_nextest()? {
        command.args(["--test-threads", "1"]);
    } else {
        command.args(["--", "--test-threads", "1"]);
    }
    if !is_root()? {
        // Cargo builds as the user; only the tests run as root.
        command.env(
            format!("CARGO_TARGET_{}_RUNNER", host_triple()?.to_uppercase().replace('-', "_")),
            "sudo -E",
        );
    }
    count(&mut command)
}

/// Crates whose integration tests need root: network namespaces, eBPF programs.
const ROOT: [&str; 2] = ["lab", "datapath"];

/// Names of the integration tests of the crates that need root, and of all other crates.
fn integration_tests() -> Result<(Vec<String>, Vec<String>)> {
    let metadata = deps::metadata()?;
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for package in deps::array(&metadata, "packages")? {
        let list = if ROOT.contains(&deps::text(package, "name")?) { &mut ours } else { &mut others };
        for target in deps::array(package, "targets")? {
            if deps::array(target, "kind")?.iter().any(|kind| kind == "test") {
                list.push(deps::text(target, "name")?.to_owned());
            }
        }
    }
    Ok((ours, others))
}

fn runner() -> Result<Vec<&'static str>> {
    Ok(if has_nextest()? { vec!["nextest", "run"] } else { vec!["test"] })
}

fn has_nextest() -> Result<bool> {
    let status = cargo().args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    Ok(status.context("start cargo")?.success())
}

fn host_triple() -> Result<String> {
    let text = shell::output(Command::new("rustc").arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.into())
}

/// Runs a test command and counts its tests.
fn count(command: &mut Command) -> Result<Counts> {
    let mut counts = Counts::default();
    let success = run_reading(command, |line| {
        if let Some(more) = counts_in(line) {
            counts.passed += more.passed;
            counts.failed += more.failed;
        }
    })?;
    if !success && counts.failed == 0 {
        // It did not compile, perhaps: no test says so.
        counts.failed = 1;
    }
    Ok(counts)
}

/// The list in pytest's `1 failed, 411 passed, 5 skipped, 2 warnings in 147.00s (0:02:27)`.
fn pytest_summary(line: &str) -> Option<&str> {
    let (list, time) = line.trim_end().trim_matches(['=', ' ']).rsplit_once(" in ")?;
    let ends = list.contains(" passed") || list.contains(" failed") || list.contains(" error");
    let is_time = time.split('s').next()?.parse::<f64>().is_ok();
    (ends && is_time).then_some(list)
}

/// Reads libtest's `test result: ok. 3 passed; 1 failed; ...` and nextest's
/// `Summary [ 1.2s] 8 tests run: 6 passed (1 slow), 1 failed, 1 timed out, 2 skipped`.
fn counts_in(line: &str) -> Option<Counts> {
    let line = line.trim_start();
    let list = if let Some(rest) = line.strip_prefix("test result: ") {
        rest.split_once(". ")?.1
    } else if line.starts_with("Summary [") {
        line.split_once("run: ")?.1
    } else {
        pytest_summary(line)?
    };
    let mut counts = Counts::default();
    for part in list.split([';', ',']) {
        let (number, what) = part.trim().split_once(' ')?;
        let Ok(number) = number.parse::<usize>() else { continue };
        match what.split(" (").next()? {
            "passed" => counts.passed += number,
            "failed" | "timed out" | "exec failed" | "error" | "errors" => counts.failed += number,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_runners_print() {
        let counts = |passed, failed| Some(Counts { passed, failed });
        let libtest = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(counts_in(libtest), counts(3, 1));
        let nextest = "     Summary [   1.234s] 8 tests run: 5 passed (1 slow, 1 leaky), 1 failed, 2 timed out, 3 skipped";
        assert_eq!(counts_in(nextest), counts(5, 3));
        assert_eq!(counts_in("     Summary [   0.004s] 1 test run: 1 passed, 0 skipped"), counts(1, 0));
        assert_eq!(counts_in("1 failed, 10 passed, 8 warnings in 12.72s"), counts(10, 1));
        assert_eq!(counts_in("=== 411 passed, 5 skipped, 1 error in 147.00s (0:02:27) ==="), counts(411, 1));
        assert_eq!(counts_in("nothing failed in the end"), None);
        assert_eq!(counts_in("test ping::tests::reads_ping_output ... ok"), None);
        assert_eq!(counts_in("running 4 tests"), None);
    }
}
