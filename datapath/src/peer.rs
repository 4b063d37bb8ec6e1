//! The other end of a veth, in whichever namespace of this machine it is.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use nix::net::if_::{if_indextoname, if_nametoindex};

use crate::Error;
use crate::ethtool::{Interface, within};

/// Finds what may be the other end of a veth: nothing if it is in a namespace that has neither a name nor a process here;
/// several where a machine plays several hosts, whose veths have equal indices crosswise. To tell those apart would take
/// the kernel's numbers of namespaces; what is set on a stranger's veth is harmless: checksums in software.
///
/// # Errors
/// The interface is no veth.
pub fn find(interface: &Interface) -> Result<Vec<Interface>, Error> {
    let (peer, own) = (interface.veth_peer()?, if_nametoindex(interface.name()).unwrap_or(0));
    let look = |path: PathBuf| within(&File::open(path).ok()?, || is_peer(peer, own)).ok()?;
    Ok(namespaces().into_iter().filter_map(look).collect())
}

/// The interface of this index in the thread's namespace, if it points back.
fn is_peer(index: u32, back: u32) -> Option<Interface> {
    let name = if_indextoname(index).ok()?.into_string().ok()?;
    let interface = Interface::open(&name).ok()?;
    let is_veth = interface.driver().is_ok_and(|driver| driver == "veth");
    (is_veth && interface.veth_peer().is_ok_and(|peer| peer == back)).then_some(interface)
}

/// One path for each network namespace that can be reached.
fn namespaces() -> Vec<PathBuf> {
    let named = fs::read_dir("/run/netns").into_iter().flatten().flatten().map(|entry| entry.path());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .map(|entry| entry.path().join("ns/net"));
    let mut seen = BTreeSet::new();
    let new = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| seen.insert((file.dev(), file.ino())));
    named.chain(processes).filter(new).collect()
}
