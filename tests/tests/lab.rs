//! The lab tests itself: what every other system test stands on.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Hypervisor, Lab, Vm, VmSpec};

/// Two hypervisors, a VM on each, joined by one VXLAN tunnel between bridges that learn (NORMAL).
struct Pair {
    lab: Lab,
    hypervisors: [Hypervisor; 2],
    vms: [Vm; 2],
}

fn pair(prefix: &str) -> Result<Pair> {
    let lab = Lab::new(prefix)?;
    let hypervisors = [lab.hypervisor("hv1")?, lab.hypervisor("hv2")?];
    let [one, two] = &hypervisors;
    for (here, there) in [(one, two), (two, one)] {
        here.ensure_br_int()?;
        let remote = format!("options:remote_ip={}", there.vtep4());
        here.ovs_vsctl(&[
            "add-port",
            "br-int",
            "vx",
            "--",
            "set",
            "interface",
            "vx",
            "type=vxlan",
            &remote,
            "options:key=7",
        ])?;
        here.ovs_ofctl(&["add-flow", "br-int", "actions=NORMAL"])?;
    }
    let vms = [
        lab.vm(VmSpec::new("a", "02:00:00:00:00:0a", &["10.0.0.1/24", "fd00::1/64"], &[])?)?,
        lab.vm(VmSpec::new("b", "02:00:00:00:00:0b", &["10.0.0.2/24", "fd00::2/64"], &[])?)?,
    ];
    let [a, b] = &vms;
    a.attach(one)?;
    b.attach(two)?;
    Ok(Pair { lab, hypervisors, vms })
}

#[test]
fn vms_on_two_hosts_ping_through_a_tunnel() -> Result<()> {
    let pair = pair("labping")?;
    let [a, b] = &pair.vms;
    for to in [b.v4()?, b.v6()?] {
        let report = a.ping(to, 5)?;
        ensure!(report.all() && report.rtts.len() == 5, "{report:?}");
    }
    let pinger = a.pinger(b.v4()?, Duration::from_millis(10))?;
    std::thread::sleep(Duration::from_millis(500));
    let report = pinger.stop()?;
    report.expect_no_loss()?;
    ensure!(report.sent > 10, "{report:?}");
    let _ = (&pair.lab, &pair.hypervisors);
    Ok(())
}
