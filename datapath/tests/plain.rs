//! XDP on the ports that Open vSwitch serves: the ground that the fast path stands on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use datapath::{
    attach::Mode,
    gate::{Gate, Kernel, Pulse},
    plain::Plain,
    worker::SlowPath as _,
    xsk::MAX_FRAME,
};
use lab::{Direction, Hypervisor, Lab, Nic, Vm, VmSpec, wait_for};
use nix::net::if_::if_nametoindex;
use packet::IfIndex;

/// Two VMs on one hypervisor, whose Open vSwitch has no flows: only XDP can bring a frame across.
fn pair(lab: &Lab, mtu: u32) -> Result<(Hypervisor, [Vm; 2])> {
    let host = lab.hypervisor("hv1")?;
    let a = VmSpec::new("a", "02:00:00:00:00:0a", &["10.0.0.1/24", "fd00::1/64"], &[])?;
    let b = VmSpec::new("b", "02:00:00:00:00:0b", &["10.0.0.2/24", "fd00::2/64"], &[])?;
    let vms = [lab.vm(VmSpec { mtu, ..a })?, lab.vm(VmSpec { mtu, ..b })?];
    for vm in &vms {
        vm.attach(&host)?;
    }
    Ok((host, vms))
}

fn index(name: &str) -> Result<IfIndex> {
    Ok(IfIndex(if_nametoindex(name).with_context(|| format!("find {name}"))?))
}

#[test]
fn xdp_carries_frames_past_a_silent_switch() -> Result<()> {
    let lab = Lab::new("xdpa")?;
    let (host, vms) = pair(&lab, 9000)?;
    let [a, b] = &vms;
    ensure!(a.ping(b.v4()?, 1)?.none(), "the switch forwards by itself");
    let mut plain = Plain::load()?;
    let links = host.netns().within(|| {
        let (a, b) = (index(&a.tap())?, index(&b.tap())?);
        plain.wire(a, b)?;
        plain.wire(b, a)?;
        // A veth says that it takes no redirected frames as long as nobody polls at its other end.
        ensure!(!plain.state(a)?.features.receives_redirects(), "no NAPI at the peer, and no word about it");
        Ok([plain.attach(a)?, plain.attach(b)?])
    })?;
    ensure!(a.ping(b.v4()?, 1)?.none(), "a veth without NAPI at its peer took a redirected frame");
    for vm in &vms {
        vm.netns().exec("ethtool", &["-K", "eth0", "gro", "on"])?;
    }
    host.netns().within(|| {
        for vm in &vms {
            let state = plain.state(index(&vm.tap())?)?;
            ensure!(state.mode == Mode::Driver && state.features.receives_redirects(), "{state:?}");
        }
        Ok(())
    })?;
    // The guests have given each other up meanwhile; their kernels ask again in their own time.
    wait_for("an answer", Duration::from_secs(10), || Ok(!a.ping(b.v4()?, 1)?.none()))?;
    for ip in [b.v4()?, b.v6()?] {
        let report = a.ping(ip, 3)?;
        ensure!(report.all(), "{report:?}");
    }
    // TCP, not ping alone: with checksums left to hardware that is not there, ping works and this does not.
    let rate = a.iperf(b, b.v4()?, Duration::from_secs(1))?;
    ensure!(rate > 1e6, "{rate} bit/s");
    drop(links);
    ensure!(a.ping(b.v4()?, 1)?.none(), "a program stays behind");
    Ok(())
}

#[test]
fn frames_that_are_given_back_come_in_by_their_port() -> Result<()> {
    let lab = Lab::new("xdpback")?;
    let (host, [a, _]) = pair(&lab, 9000)?;
    let ear = Nic::open(host.netns(), &a.tap(), Direction::In)?;
    host.netns().within(|| {
        let (port, pulse) = (index(&a.tap())?, Pulse::new()?);
        let _gate = Gate::open(port, false, &[], &pulse)?;
        let mut kernel = Kernel::load()?;
        for len in [60, 1514, MAX_FRAME] {
            // An EtherType for experiments (IEEE 802): nobody else sends it.
            let mut frame = vec![0xee; len];
            frame[12..14].copy_from_slice(&[0x88, 0xb5]);
            kernel.hand_over(port, &frame)?;
            ensure!(kernel.refused == 0, "the kernel takes no frame of {len} bytes back");
            let back = ear.recv_where(Duration::from_secs(2), |heard| heard == frame)?;
            ensure!(back.is_some(), "a frame of {len} bytes did not come back");
        }
        Ok(())
    })
}
