//! `cargo xtask deps`: the arrows between the rooms of the house, and what pure rooms may not know.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell::{cargo, output};

/// Which crates of the workspace a crate may depend on, in any kind of dependency.
const ARROWS: [(&str, &[&str]); 10] = [
    ("packet", &[]),
    ("fib", &["packet"]),
    ("openflow", &["packet"]),
    ("ovsdb", &[]),
    ("controller", &["packet", "fib", "openflow", "ovsdb"]),
    ("datapath", &["packet", "fib", "lab"]), // the lab: for its tests
    ("lab", &["packet", "fib", "openflow", "ovsdb", "controller", "datapath"]),
    ("benches", &["packet", "fib", "openflow", "ovsdb", "controller", "datapath", "lab"]),
    ("fib-bench", &["packet", "fib"]),
    ("xtask", &[]),
];

/// Rooms that compute and do nothing else: time and octets come in as arguments.
const PURE: [&str; 10] = [
    "packet/src",
    "fib/src",
    "datapath/src/forward",
    "datapath/src/reason",
    "datapath/src/tunnel",
    "openflow/src",
    "controller/src/model",
    "controller/src/compile",
    "controller/src/pipeline",
    "controller/src/reconcile",
];

/// Names that mean a runtime, a clock or a socket.
const IMPURE: [&str; 13] = [
    "tokio",
    "mio",
    "Instant",
    "SystemTime",
    "UNIX_EPOCH",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "thread",
    "fs",
];

pub(crate) fn run() -> Result<()> {
    let mut faults = wrong_arrows(&metadata()?)?;
    for room in PURE {
        scan(Path::new(room), &mut faults)?;
    }
    if !faults.is_empty() {
        bail!("the architecture does not allow:\n  {}", faults.join("\n  "));
    }
    println!("deps: every arrow is allowed, pure rooms are pure");
    Ok(())
}

/// What cargo knows of the crates of the workspace.
pub(crate) fn metadata() -> Result<Value> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&text).context("read cargo metadata")
}

/// Dependencies between crates of the workspace that no arrow allows.
fn wrong_arrows(metadata: &Value) -> Result<Vec<String>> {
    let packages = array(metadata, "packages")?;
    let names = packages.iter().map(|package| text(package, "name")).collect::<Result<Vec<_>>>()?;
    let mut faults = Vec::new();
    for package in packages {
        let from = text(package, "name")?;
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == from) else {
            faults.push(format!("crate {from}, which has no place in xtask/src/deps.rs"));
            continue;
        };
        for dependency in array(package, "dependencies")? {
            let to = text(dependency, "name")?;
            if names.contains(&to) && !allowed.contains(&to) {
                faults.push(format!("{from} -> {to}"));
            }
        }
    }
    Ok(faults)
}

pub(crate) fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value.get(key).and_then(Value::as_array).with_context(|| format!("cargo metadata has no list \"{key}\""))
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("cargo metadata has no text \"{key}\""))
}

fn scan(path: &Path, faults: &mut Vec<String>) -> Result<()> {
    // A room may be one file (`compile.rs`) or a folder.
    let file = path.with_extension("rs");
    if !path.is_dir() {
        return scan_file(&file, faults);
    }
    if file.is_file() {
        scan_file(&file, faults)?;
    }
    for entry in fs::read_dir(path).with_context(|| format!("read {}", path.display()))? {
        let path = entry.with_context(|| "read a folder".to_owned())?.path();
        if path.is_dir() {
            scan(&path, faults)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            scan_file(&path, faults)?;
        }
    }
    Ok(())
}

fn scan_file(path: &Path, faults: &mut Vec<String>) -> Result<()> {
    let source = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    for (number, name) in impure_names(&source) {
        faults.push(format!("{name} at {}:{number}", path.display()));
    }
    Ok(())
}

/// Line numbers and names; comments may say what they like. `thread` and `fs` count only as modules of std.
fn impure_names(source: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        for word in words {
            let Some(name) = IMPURE.iter().find(|name| **name == word) else { continue };
            if !matches!(*name, "thread" | "fs") || code.contains("std::") {
                found.push((index + 1, *name));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_wrong_arrows() {
        let package = |name: &str, to: &[&str]| {
            let dependencies: Vec<Value> = to.iter().map(|to| json!({"name": to})).collect();
            json!({"name": name, "dependencies": dependencies})
        };
        let good = json!({"packages": [package("packet", &["serde"]), package("fib", &["packet"])]});
        assert!(wrong_arrows(&good).unwrap().is_empty());
        let bad =
            json!({"packages": [package("fib", &[]), package("packet", &["fib"]), package("attic", &[])]});
        let faults = wrong_arrows(&bad).unwrap();
        assert_eq!(faults, ["packet -> fib", "crate attic, which has no place in xtask/src/deps.rs"]);
    }

    #[test]
    fn finds_clocks_and_sockets_but_not_in_comments() {
        let source = "use std::time::Instant;\n// tokio is not here\nlet x = Instantly;\nuse std::{fs, io};\nlet fs = 1;";
        assert_eq!(impure_names(source), [(1, "Instant"), (4, "fs")]);
    }
}
