//! `cargo xtask setup`: what the tests and the demo need from the operating system.

use std::collections::BTreeSet;
use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{self, cargo, is_root, on_path};

/// Debian packages, and what needs them.
const PACKAGES: [(&str, &str); 18] = [
    ("openvswitch-switch", "the switch (its service is not started)"),
    ("iproute2", "network namespaces"),
    ("iputils-ping", "ping inside VMs"),
    ("ethtool", "checksums in software"),
    ("tcpdump", "looking at packets"),
    ("iperf3", "throughput"),
    ("traceroute", "routes as VMs see them"),
    ("procps", "looking at processes"),
    ("clang-19", "compiling eBPF"),
    ("m4", "building libxdp"),
    ("libelf-dev", "loading eBPF"),
    ("pkg-config", "finding libraries"),
    ("make", "building libraries in C"),
    ("mariadb-server", "the database of Neutron (its service is not started)"),
    ("python3-venv", "Neutron"),
    ("python3-dev", "building uwsgi"),
    ("curl", "the DevStack plugin"),
    ("shellcheck", "reading the DevStack plugin"),
];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Installs what is missing, after asking.
fn install(options: &Options) -> Result<()> {
    install_packages(options.yes)?;
    install_components()
}

/// As the command of the user: also says when there was nothing to do.
pub(crate) fn run(options: &Options) -> Result<()> {
    install(options)?;
    neutron()?;
    println!("setup: everything is there");
    Ok(())
}

/// What `test` and `demo` do first; silent when nothing is missing.
pub(crate) fn ensure_done() -> Result<()> {
    install(&Options { yes: false })
}

fn install_packages(yes: bool) -> Result<()> {
    let missing = missing_packages()?;
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: these Debian packages are missing:");
    for (package, why) in &missing {
        println!("  {package:20} {why}");
    }
    let names: Vec<&str> = missing.iter().map(|(package, _)| *package).collect();
    let command = format!("sh xtask/setup.sh {}", names.join(" "));
    let root = is_root()?;
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    // CI is root and has nobody to ask; a user without root and terminal gets told what to do.
    if !root && (!on_path("sudo") || !(interactive || yes)) {
        bail!("installing packages needs root; run this as root in the repository and try again: {command}");
    }
    let command = if root { command } else { format!("sudo {command}") };
    if interactive && !yes && !ask(&format!("setup: run `{command}`?"))? {
        bail!("packages are missing; run this in the repository and try again: {command}");
    }
    let mut words = command.split(' ');
    let program = words.next().context("empty command")?;
    shell::run(Command::new(program).args(words))?;
    let left: Vec<&str> = missing_packages()?.into_iter().map(|(package, _)| package).collect();
    ensure!(left.is_empty(), "still missing after installation: {}", left.join(" "));
    Ok(())
}

/// What only the bench of the routing table needs: DPDK, to compare with. Without it, that bench does without.
pub(crate) fn offer_dpdk() -> Result<()> {
    let there = Command::new("pkg-config").args(["--exists", "libdpdk"]).status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    if is_root()? {
        return shell::run(Command::new("sh").args(["xtask/setup.sh", "dpdk-dev"]));
    }
    println!("setup: for a comparison with DPDK, install dpdk-dev");
    Ok(())
}

fn missing_packages() -> Result<Vec<(&'static str, &'static str)>> {
    if !on_path("dpkg-query") {
        let names: Vec<&str> = PACKAGES.iter().map(|(package, _)| *package).collect();
        bail!("this is no Debian system: install the equivalents of {} by hand", names.join(" "));
    }
    // Ends with 1 when it does not know one of the names: those are not in its answer.
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(PACKAGES.iter().map(|(package, _)| package))
        .stderr(Stdio::null())
        .output()
        .context("start dpkg-query")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let installed: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    Ok(PACKAGES.into_iter().filter(|(package, _)| !installed.contains(package)).collect())
}

/// rustup's minimal profile brings neither clippy nor rustfmt.
fn install_components() -> Result<()> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let there = cargo().args([tool, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.context("start cargo")?.success() {
            ensure!(on_path("rustup"), "cargo {tool} is missing, and there is no rustup to add it");
            println!("setup: adding {component}");
            shell::run(Command::new("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

/// Neutron and what its tests need, from Python's registry, in an environment of its own; silent when it is there.
pub(crate) fn neutron() -> Result<()> {
    const VENV: &str = "target/neutron-venv";
    let stamp = Path::new(VENV).join("dragonflow-stamp");
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("read {path}"));
    let wanted = read("neutron/constraints.txt")? + &read("neutron/pyproject.toml")?;
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    println!("setup: installing Neutron into {VENV}; takes a minute or two, once");
    shell::run(Command::new("python3").args(["-m", "venv", "--clear", VENV]))?;
    let pip = format!("{VENV}/bin/pip");
    let quietly = ["install", "--quiet", "--disable-pip-version-check"];
    let what = ["--constraint", "neutron/constraints.txt", "--editable", "./neutron[test]"];
    shell::run(Command::new(pip).args(quietly).args(what))?;
    fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
}

fn ask(question: &str) -> Result<bool> {
    print!("{question} [y/N] ");
    std::io::stdout().flush().context("print a question")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
