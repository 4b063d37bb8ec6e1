//! The lab tests itself: what every other system test stands on.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::frame::{self, Path};
use lab::{Daemon, Direction, Hypervisor, Lab, Nic, Probe, Vm, VmSpec, show, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for a frame that comes at all.
const SOON: Duration = Duration::from_secs(3);
/// Long enough for a frame that should not come.
const QUIET: Duration = Duration::from_millis(300);

/// Two hypervisors, a VM each, and one VXLAN tunnel between bridges that learn (NORMAL).
struct Pair {
    vms: [Vm; 2],
    hypervisors: [Hypervisor; 2],
    // Last: everything above lives in it.
    lab: Lab,
}

#[derive(Clone, Copy, PartialEq)]
enum Guest {
    WithStack,
    Silent,
}

fn pair(prefix: &str, guest: Guest) -> Result<Pair> {
    let lab = Lab::new(prefix)?;
    let hypervisors = [lab.hypervisor("hv1")?, lab.hypervisor("hv2")?];
    let [one, two] = &hypervisors;
    for (here, there) in [(one, two), (two, one)] {
        here.ensure_br_int()?;
        let remote = format!("options:remote_ip={}", there.vtep4());
        let port = [
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
        ];
        here.ovs_vsctl(&port)?;
        here.ovs_ofctl(&["add-flow", "br-int", "actions=NORMAL"])?;
    }
    let silent = guest == Guest::Silent;
    let a = VmSpec::new("a", "02:00:00:00:00:0a", &["10.0.0.1/24", "fd00::1/64"], &[])?;
    let b = VmSpec::new("b", "02:00:00:00:00:0b", &["10.0.0.2/24", "fd00::2/64"], &[])?;
    let vms = [lab.vm(VmSpec { silent, ..a })?, lab.vm(VmSpec { silent, ..b })?];
    let [a, b] = &vms;
    a.attach(one)?;
    b.attach(two)?;
    Ok(Pair { vms, hypervisors, lab })
}

fn expect_pings(from: &Vm, to: IpAddr) -> Result<()> {
    let report = from.ping(to, 3)?;
    ensure!(report.all() && report.rtts.len() == 3, "{} to {to}: {report:?}", from.name());
    Ok(())
}

/// The next frame that is no chatter of an IPv6 stack.
fn next_frame(nic: &Nic) -> Result<Vec<u8>> {
    let frame = nic.recv_where(SOON, |frame| !frame::is_ipv6_chatter(frame))?;
    Ok(frame.context("no frame came")?.bytes)
}

#[test]
fn vms_on_two_hosts_reach_each_other_through_a_tunnel() -> Result<()> {
    let pair = pair("labping", Guest::WithStack)?;
    let [a, b] = &pair.vms;
    let (b4, b6) = (b.v4()?, b.v6()?);
    expect_pings(a, b4)?;
    expect_pings(a, b6)?;

    let pinger = a.pinger(b4, Duration::from_millis(10))?;
    std::thread::sleep(Duration::from_millis(500));
    let report = pinger.stop()?;
    report.expect_no_loss()?;
    ensure!(report.sent >= 2, "{report:?}");

    let big = a.ping_with(b4, &["-c", "1", "-W", "1", "-M", "do", "-s", "1402"])?;
    ensure!(big.all(), "1430 octets do not fit: {big:?}");

    for to in [b4, b6] {
        for probe in [Probe::Udp, Probe::Icmp] {
            ensure!(a.traceroute(to, probe)? == [Some(to)]);
        }
        let listener = b.tcp_listen((to, 7000).into())?;
        a.tcp_connect((to, 7000).into(), SOON)?;
        drop(listener);
        ensure!(a.tcp_connect((to, 7000).into(), SOON).is_err(), "nobody listens there any more");
        ensure!(a.iperf(b, to, Duration::from_secs(1))? > 0.0);
    }
    Ok(())
}

#[test]
fn frames_arrive_exactly_as_sent_and_nowhere_else() -> Result<()> {
    let pair = pair("labexact", Guest::Silent)?;
    let [a, b] = &pair.vms;
    let (nic_a, nic_b) = (a.nic()?, b.nic()?);
    let underlay = pair.hypervisors[0].underlay_tap(Direction::Out)?;

    let there = Path::new(a.mac(), b.mac(), a.v4()?, b.v4()?);
    let there6 = Path::new(a.mac(), b.mac(), a.v6()?, b.v6()?);
    let frames = [
        there.udp(1000, 2000, b"hello")?,
        there.echo_request(1, 2, b"abc")?,
        there.tcp_syn(1, 80, 42)?,
        there6.udp(1000, 2000, &[7; 1300])?,
        there6.back().back().echo_reply(3, 4, b"")?,
        frame::arp_request(a.mac(), "10.0.0.1".parse()?, "10.0.0.2".parse()?),
        frame::neighbour_solicitation(a.mac(), "fd00::1".parse()?, "fd00::2".parse()?)?,
    ];
    for sent in &frames {
        nic_a.send(sent)?;
        show::expect_same_frame(&nic_b.recv(SOON)?.context("no frame came")?.bytes, sent)?;
        // On the wire between the hosts: Ethernet 14, IPv4 20, UDP 8, VXLAN 8 (RFC 7348), then the frame.
        let outer = underlay.recv(SOON)?.context("no frame left the host")?.bytes;
        show::expect_same_frame(outer.get(50..).unwrap_or_default(), sent)?;
        let text = show::describe(&outer);
        let ends = format!("{} > {}", pair.hypervisors[0].vtep4(), pair.hypervisors[1].vtep4());
        ensure!(text.contains(&ends) && text.contains("> 4789 "), "{text}");
    }
    nic_b.expect_silence(QUIET, |_| true)?;
    nic_a.expect_silence(QUIET, |_| true)?;

    // And silence is not deafness.
    nic_a.send(&frames[0])?;
    ensure!(nic_b.expect_silence(SOON, |_| true).is_err());
    Ok(())
}

#[test]
fn a_vlan_tag_is_seen_on_the_provider_network() -> Result<()> {
    let lab = Lab::new("labvlan")?;
    let (one, two) = (lab.hypervisor("hv1")?, lab.hypervisor("hv2")?);
    let tap = one.provider_tap(Direction::Out)?;
    let inside = lab.vm(VmSpec { silent: true, ..VmSpec::new("inside", "02:00:00:00:00:01", &[], &[])? })?;
    let outside =
        lab.vm(VmSpec { silent: true, ..VmSpec::new("outside", "02:00:00:00:00:02", &[], &[])? })?;
    for (vm, host) in [(&inside, &one), (&outside, &two)] {
        vm.attach(host)?;
        // What the controller does for a VLAN network: a patch between br-int and the provider bridge.
        host.ovs_vsctl(&[
            "add-port",
            "br-int",
            "int-ex",
            "--",
            "set",
            "interface",
            "int-ex",
            "type=patch",
            "options:peer=ex-int",
            "--",
            "add-port",
            "br-ex",
            "ex-int",
            "--",
            "set",
            "interface",
            "ex-int",
            "type=patch",
            "options:peer=int-ex",
            "--",
            "set",
            "port",
            &vm.tap(),
            "tag=100",
        ])?;
        host.ovs_ofctl(&["add-flow", "br-int", "actions=NORMAL"])?;
    }
    let (from, to) = (inside.nic()?, outside.nic()?);
    let path = Path::new(inside.mac(), outside.mac(), "10.0.0.1".parse()?, "10.0.0.2".parse()?);
    let sent = path.udp(1, 2, b"tagged")?;
    from.send(&sent)?;
    show::expect_same_frame(&next_frame(&to)?, &sent)?;
    show::expect_same_frame(&next_frame(&tap)?, &frame::tagged(100, &sent)?)
}

#[test]
fn a_vm_moves_with_its_addresses() -> Result<()> {
    let pair = pair("labmove", Guest::WithStack)?;
    let [a, b] = &pair.vms;
    let [one, two] = &pair.hypervisors;
    expect_pings(a, b.v4()?)?;
    b.move_to(one)?;
    ensure!(b.host().is_some_and(|host| host.name() == one.name()));
    ensure!(one.ovs_vsctl(&["list-ports", "br-int"])?.contains(&b.tap()));
    ensure!(!two.ovs_vsctl(&["list-ports", "br-int"])?.contains(&b.tap()));
    // The bridges learned the old place; the guest announces itself from the new one.
    b.nic()?.send(&frame::arp_announcement(b.mac(), "10.0.0.2".parse()?))?;
    expect_pings(a, b.v4()?)?;
    expect_pings(a, b.v6()?)
}

#[test]
fn daemons_die_and_come_back() -> Result<()> {
    let pair = pair("labkill", Guest::WithStack)?;
    let [a, b] = &pair.vms;
    let one = &pair.hypervisors[0];
    expect_pings(a, b.v4()?)?;

    one.kill9(Daemon::OvsdbServer)?;
    ensure!(one.ovs_vsctl(&["--timeout=1", "show"]).is_err());
    one.start(Daemon::OvsdbServer)?;
    // Without its database ovs-vswitchd 3.1 does not run its userspace datapath, and it tries again to
    // connect only after 1, 2, 4 or 8 s.
    wait_for("forwarding", Duration::from_secs(20), || Ok(a.ping(b.v4()?, 1)?.all()))?;

    one.kill9(Daemon::Vswitchd)?;
    ensure!(a.ping(b.v4()?, 2)?.none(), "a dead switch forwards");
    one.start(Daemon::Vswitchd)?;
    ensure!(one.ovs_ofctl(&["dump-flows", "br-int"])?.lines().count() == 1, "flows outlived the switch");
    one.ovs_ofctl(&["add-flow", "br-int", "actions=NORMAL"])?;
    expect_pings(a, b.v4()?)?;
    expect_pings(a, b.v6()?)?;

    one.stop(Daemon::Vswitchd)?;
    ensure!(one.stop(Daemon::Vswitchd).is_err());
    Ok(())
}

#[test]
fn bulk_ports_are_real_openflow_ports() -> Result<()> {
    let lab = Lab::new("labbulk")?;
    let host = lab.hypervisor("hv1")?;
    let ids: Vec<String> = (0..2000).map(|n| format!("port-{n}")).collect();
    host.add_bulk_ports("p", &ids)?;
    let ofport = host.ovs_vsctl(&[
        "--bare",
        "--columns=ofport",
        "find",
        "interface",
        "external_ids:iface-id=port-1999",
    ])?;
    let ofport: u32 = ofport.trim().parse()?;
    ensure!(host.ovs_ofctl(&["dump-ports-desc", "br-int"])?.contains(&format!(" {ofport}(p1999)")));
    Ok(())
}

#[test]
fn nothing_is_left_when_a_lab_ends_or_panics() -> Result<()> {
    let lab = pair("labend", Guest::WithStack)?;
    let id = lab.lab.id().to_owned();
    ensure!(!leftovers(&id)?.is_empty(), "this test would see nothing");
    drop(lab);
    ensure!(leftovers(&id)?.is_empty(), "{:?}", leftovers(&id)?);

    let mut id = String::new();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let lab = Lab::new("labpanic").expect("a lab");
        id = lab.id().to_owned();
        lab.hypervisor("hv1").expect("a hypervisor");
        panic!("as a failed assertion would");
    }));
    ensure!(panic.is_err() && leftovers(&id)?.is_empty(), "{:?}", leftovers(&id)?);
    Ok(())
}

#[test]
fn nothing_is_left_when_the_owner_is_killed() -> Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut owner = Command::new(std::env::current_exe()?)
            .args(["--exact", "hold_a_lab", "--ignored", "--nocapture"])
            .env("LAB_TEST_HOLD", "1")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = owner.stdout.take().context("no standard output")?;
        let id = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("holds ")?.1.to_owned()))
            .context("the owner made no lab")?;
        ensure!(!leftovers(&id)?.is_empty(), "this test would see nothing");
        kill(Pid::from_raw(i32::try_from(owner.id())?), signal)?;
        owner.wait()?;
        let limit = Instant::now() + Duration::from_secs(20);
        while !leftovers(&id)?.is_empty() {
            ensure!(Instant::now() < limit, "20 s after {signal}: {:?}", leftovers(&id)?);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Not a test by itself: the process that `nothing_is_left_when_the_owner_is_killed` kills.
#[test]
#[ignore = "runs as a child of another test"]
fn hold_a_lab() -> Result<()> {
    if std::env::var_os("LAB_TEST_HOLD").is_some() {
        let pair = pair("labhold", Guest::WithStack)?;
        println!("holds {}", pair.lab.id());
        std::thread::sleep(Duration::from_secs(60));
    }
    Ok(())
}

/// Namespaces, processes and files of a lab.
fn leftovers(id: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/run/netns")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&format!("{id}-")) {
            found.push(format!("namespace {name}"));
        }
    }
    if fs::exists(format!("/run/dragonflow-lab/{id}"))? {
        found.push(format!("directory of {id}"));
    }
    for entry in fs::read_dir("/proc")?.flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        // Every daemon of a lab has its directory on its command line; the guardian itself ends last.
        if command.contains(&format!("/{id}/")) {
            found.push(format!("process {command}"));
        }
    }
    Ok(found)
}
