//! Exactly which frames come out where, on real Open vSwitch.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Cloud, Nic, Probe, Vm,
    cloud::PATIENCE,
    frame::{self, Path},
    show::expect_same_frame,
    topologies::{RED_ROUTER, overlay, two_tenants, vlan},
    wait_for,
};
use packet::MacAddr;
use serde_json::json;

const SOON: Duration = Duration::from_millis(300);
const MARK: &[u8] = b"dragonflow test payload";

fn cloud(prefix: &str) -> Result<Cloud> {
    Cloud::start(prefix, two_tenants(overlay("vxlan", 1001), overlay("gre", 1002), overlay("vxlan", 1003)))
}

fn router_mac() -> Result<MacAddr> {
    Ok(RED_ROUTER.parse()?)
}

fn is_marked(frame: &[u8]) -> bool {
    frame.windows(MARK.len()).any(|window| window == MARK)
}

/// Sends until the frame arrives, since the first packet to another host may wait for the underlay's ARP.
fn send_until(from: &Nic, to: &Nic, frame: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    let mut got = None;
    wait_for("the frame to arrive", PATIENCE, || {
        from.send(frame)?;
        got = to.recv_where(SOON, &wanted)?;
        Ok(got.is_some())
    })?;
    Ok(got.context("no frame")?.bytes)
}

fn addresses(vm: &Vm) -> Result<[IpAddr; 2]> {
    Ok([vm.v4()?, vm.v6()?])
}

#[test]
fn routed_packets_change_in_macs_and_ttl_only_and_reach_nobody_else() -> Result<()> {
    let cloud = cloud("proute")?;
    let sender = cloud.vm("web-1")?;
    for receiver in ["db-1", "db-2"] {
        let others: Vec<(&String, Nic)> = cloud
            .vms
            .iter()
            .filter(|(id, _)| *id != receiver && *id != "web-1")
            .map(|(id, vm)| Ok((id, vm.nic()?)))
            .collect::<Result<_>>()?;
        let to = cloud.vm(receiver)?;
        for (source, destination) in addresses(sender)?.into_iter().zip(addresses(to)?) {
            let path = Path::new(sender.mac(), router_mac()?, source, destination);
            let got = send_until(&sender.nic()?, &to.nic()?, &path.udp(4000, 4001, MARK)?, is_marked)?;
            expect_same_frame(&got, &path.routed(router_mac()?, to.mac()).udp(4000, 4001, MARK)?)?;
        }
        for (id, nic) in others {
            nic.expect_silence(SOON, is_marked).with_context(|| format!("at {id}"))?;
        }
    }
    Ok(())
}

#[test]
fn routed_packets_by_vlan_look_the_same_as_by_tunnel() -> Result<()> {
    let cloud = Cloud::start("pvlan", two_tenants(vlan(11), vlan(12), overlay("vxlan", 1003)))?;
    let (sender, to) = (cloud.vm("web-1")?, cloud.vm("db-2")?);
    let wire = cloud.host("hv1")?.provider_tap(lab::Direction::Out)?;
    for (source, destination) in addresses(sender)?.into_iter().zip(addresses(to)?) {
        let path = Path::new(sender.mac(), router_mac()?, source, destination);
        let got = send_until(&sender.nic()?, &to.nic()?, &path.udp(4000, 4001, MARK)?, is_marked)?;
        expect_same_frame(&got, &path.routed(router_mac()?, to.mac()).udp(4000, 4001, MARK)?)?;
        // On the wire it has the tag of the destination's VLAN, and never the router's MAC.
        let seen = wire.recv_where(SOON, is_marked)?.context("nothing on the provider network")?.bytes;
        ensure!(seen.get(6..12) != Some(&router_mac()?.0[..]), "the router's MAC is on the wire");
        ensure!(seen.get(6..8) == Some(&[0x0e, 0xdc]), "source MAC {:02x?}", seen.get(6..12));
    }
    Ok(())
}

#[test]
fn arp_and_nd_are_answered_by_the_switch_and_reach_nobody() -> Result<()> {
    let cloud = cloud("parp")?;
    let asker = cloud.vm("web-1")?;
    let nic = asker.nic()?;
    let others: Vec<Nic> =
        cloud.vms.iter().filter(|(id, _)| *id != "web-1").map(|(_, vm)| vm.nic()).collect::<Result<_>>()?;
    let peer = cloud.vm("web-2")?;
    for (target, mac, is_router) in [
        ("10.0.1.1".parse()?, router_mac()?, true),
        (peer.v4()?, peer.mac(), false),
        ("2001:db8:1::1".parse()?, router_mac()?, true),
        (peer.v6()?, peer.mac(), false),
    ] {
        match (asker.v4()?, asker.v6()?, target) {
            (IpAddr::V4(own), _, IpAddr::V4(target)) => {
                nic.send(&frame::arp_request(asker.mac(), own, target))?;
                let got =
                    nic.recv_where(PATIENCE, |f| f.get(12..14) == Some(&[8, 6]) && f.get(21) == Some(&2))?;
                let want = frame::arp_reply(mac, target, (asker.mac(), own));
                expect_same_frame(&got.context("no ARP reply")?.bytes, &want)?;
            }
            (_, IpAddr::V6(own), IpAddr::V6(target)) => {
                nic.send(&frame::neighbour_solicitation(asker.mac(), own, target)?)?;
                let got = nic.recv_where(PATIENCE, |f| f.get(20) == Some(&58) && f.get(54) == Some(&136))?;
                let want = frame::neighbour_advertisement(mac, target, (asker.mac(), own), is_router)?;
                expect_same_frame(&got.context("no advertisement")?.bytes, &want)?;
            }
            _ => {}
        }
    }
    for other in others {
        other.expect_silence(SOON, |f| !frame::is_ipv6_chatter(f))?;
    }
    Ok(())
}

#[test]
fn a_port_hears_no_answer_about_itself_but_others_hear_its_announcement() -> Result<()> {
    let cloud = cloud("pgarp")?;
    let (vm, here) = (cloud.vm("web-1")?, cloud.vm("web-1")?.nic()?);
    let IpAddr::V4(own) = vm.v4()? else { unreachable!("v4() is IPv4") };
    let announcement = frame::arp_announcement(vm.mac(), own);
    let there = cloud.vm("web-2")?.nic()?;
    let got = send_until(&here, &there, &announcement, |f| f == announcement)?;
    expect_same_frame(&got, &announcement)?;
    here.expect_silence(SOON, |f| f.get(12..14) == Some(&[8, 6]))?;
    // Blue has the same subnet and must not hear it.
    let blue = cloud.vm("blue-1")?.nic()?;
    here.send(&announcement)?;
    blue.expect_silence(SOON, |f| f.get(12..14) == Some(&[8, 6]))
}

#[test]
fn routers_answer_echo_on_every_address() -> Result<()> {
    let cloud = cloud("pecho")?;
    for vm in ["web-1", "db-2"] {
        for address in ["10.0.1.1", "10.0.2.1", "2001:db8:1::1", "2001:db8:2::1"] {
            let report = cloud.vm(vm)?.ping(address.parse()?, 3)?;
            ensure!(report.all(), "{vm} pings {address}: {report:?}");
        }
    }
    // Not for those who have no router.
    ensure!(cloud.vm("blue-1")?.ping("10.0.1.1".parse()?, 1)?.none(), "blue has no router");
    Ok(())
}

#[test]
fn traceroute_sees_the_router_on_the_side_it_came_from() -> Result<()> {
    let cloud = cloud("ptrace")?;
    let from = cloud.vm("web-1")?;
    let to = cloud.vm("db-2")?;
    cloud.vm("web-1")?.ping(to.v4()?, 2)?;
    cloud.vm("web-1")?.ping(to.v6()?, 2)?;
    for (gateway, target) in [("10.0.1.1", to.v4()?), ("2001:db8:1::1", to.v6()?)] {
        for probe in [Probe::Udp, Probe::Icmp] {
            let hops = from.traceroute(target, probe)?;
            let want = [Some(gateway.parse()?), Some(target)];
            ensure!(hops == want, "{probe:?} to {target}: {hops:?}");
        }
    }
    Ok(())
}

#[test]
fn unreachable_destinations_are_refused_with_the_gateways_address() -> Result<()> {
    let cloud = cloud("punr")?;
    let from = cloud.vm("web-1")?;
    for (target, gateway, words) in [
        ("10.0.2.200", "10.0.1.1", "Destination Host Unreachable"),
        ("203.0.113.9", "10.0.1.1", "Destination Net Unreachable"),
        ("2001:db8:2::dead", "2001:db8:1::1", "Address unreachable"),
        ("2001:db8:ffff::9", "2001:db8:1::1", "No route"),
    ] {
        let report = from.ping(target.parse()?, 2)?;
        ensure!(report.none(), "{target} answers");
        let told = report.complaints.iter().any(|line| line.contains(gateway) && line.contains(words));
        ensure!(told, "{target}: want \"{words}\" from {gateway}, got {:?}", report.complaints);
    }
    Ok(())
}

#[test]
fn path_mtu_is_discovered_and_tcp_crosses_it() -> Result<()> {
    let mut topology = two_tenants(overlay("vxlan", 1001), overlay("gre", 1002), overlay("vxlan", 1003));
    topology["networks"][1]["mtu"] = json!(1300);
    let cloud = Cloud::start("pmtu", topology)?;
    let (from, to) = (cloud.vm("web-1")?, cloud.vm("db-2")?);
    // The receiver is on the smaller network, but its interface would take more.
    for (target, gateway, words) in
        [(to.v4()?, "10.0.1.1", "Frag needed"), (to.v6()?, "2001:db8:1::1", "Packet too big")]
    {
        from.ping(target, 2)?;
        let report = from.ping_with(target, &["-c", "1", "-W", "1", "-M", "do", "-s", "1320"])?;
        let told = report
            .complaints
            .iter()
            .any(|line| line.contains(gateway) && line.contains(words) && line.contains("1300"));
        ensure!(report.none() && told, "{target}: {report:?}");
        let throughput = from.iperf(to, target, Duration::from_secs(1))?;
        ensure!(throughput > 0.0, "no TCP to {target}");
    }
    Ok(())
}

#[test]
fn static_routes_and_ecmp_use_every_next_hop() -> Result<()> {
    let mut topology = two_tenants(overlay("vxlan", 1001), overlay("gre", 1002), overlay("vxlan", 1003));
    topology["routers"][0]["routes"] = json!([
        {"destination": "198.51.100.0/24", "next_hops": ["10.0.2.21", "10.0.2.22"]},
        {"destination": "198.51.100.128/25", "next_hops": ["10.0.1.12"]},
        {"destination": "2001:db8:aaaa::/48", "next_hops": ["2001:db8:2::21", "2001:db8:2::22"]},
    ]);
    let cloud = Cloud::start("pecmp", topology)?;
    let sender = cloud.vm("web-1")?;
    let nic = sender.nic()?;
    for target in ["198.51.100.7", "2001:db8:aaaa::7"] {
        let target: IpAddr = target.parse()?;
        let source = if target.is_ipv4() { sender.v4()? } else { sender.v6()? };
        let path = Path::new(sender.mac(), router_mac()?, source, target);
        let hops =
            [(cloud.vm("db-1")?, cloud.vm("db-1")?.nic()?), (cloud.vm("db-2")?, cloud.vm("db-2")?.nic()?)];
        let octets = match target {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let is_sent = |frame: &[u8]| frame.windows(octets.len()).any(|window| window == octets);
        let mut used = BTreeSet::new();
        wait_for("both next hops to be used", PATIENCE, || {
            // TCP, since Open vSwitch leaves the ports of UDP out of its hash: fragments have none.
            for port in 5000..5016 {
                nic.send(&path.tcp_syn(port, 80, 1)?)?;
            }
            for (vm, hop) in &hops {
                for captured in hop.recv_all(SOON)?.into_iter().filter(|captured| is_sent(&captured.bytes)) {
                    let port = source_port(&captured.bytes);
                    let want = path.routed(router_mac()?, vm.mac()).tcp_syn(port, 80, 1)?;
                    expect_same_frame(&captured.bytes, &want)?;
                    used.insert(vm.name().to_owned());
                }
            }
            Ok(used.len() == 2)
        })?;
    }
    // The longer prefix has one next hop, in the sender's own subnet.
    let longer = Path::new(sender.mac(), router_mac()?, sender.v4()?, "198.51.100.200".parse()?);
    let next = cloud.vm("web-2")?;
    let got = send_until(&nic, &next.nic()?, &longer.udp(1, 2, MARK)?, is_marked)?;
    expect_same_frame(&got, &longer.routed(router_mac()?, next.mac()).udp(1, 2, MARK)?)
}

/// The TCP source port of a frame with a plain IPv4 or IPv6 header.
fn source_port(frame: &[u8]) -> u16 {
    let at = if frame.get(12) == Some(&8) { 34 } else { 54 };
    frame.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes)
}

#[test]
fn ports_cannot_send_from_what_is_not_theirs() -> Result<()> {
    let cloud = cloud("psec")?;
    let (vm, peer) = (cloud.vm("web-1")?, cloud.vm("db-1")?);
    let (nic, there, same_net) = (vm.nic()?, peer.nic()?, cloud.vm("web-2")?.nic()?);
    let router = router_mac()?;
    let [peer4, peer6] = addresses(peer)?;
    let good =
        |source: IpAddr| Path::new(vm.mac(), router, source, if source.is_ipv4() { peer4 } else { peer6 });
    for own in addresses(vm)? {
        send_until(&nic, &there, &good(own).udp(1, 2, MARK)?, is_marked)?;
    }
    let (stranger, victim): (MacAddr, _) = ("02:00:00:00:00:99".parse()?, cloud.vm("web-2")?);
    let spoofed_mac = Path { src_mac: stranger, ..good(vm.v4()?) };
    let spoofed_v4 = Path { src: victim.v4()?, ..good(vm.v4()?) };
    let spoofed_v6 = Path { src: victim.v6()?, ..good(vm.v6()?) };
    for path in [spoofed_mac, spoofed_v4, spoofed_v6] {
        nic.send(&path.udp(1, 2, MARK)?)?;
    }
    nic.send(&frame::tagged(5, &good(vm.v4()?).udp(1, 2, MARK)?)?)?;
    there.expect_silence(SOON, is_marked)?;

    let (IpAddr::V4(own), IpAddr::V4(theirs)) = (vm.v4()?, victim.v4()?) else {
        unreachable!("v4() is IPv4")
    };
    let (IpAddr::V6(own6), IpAddr::V6(theirs6)) = (vm.v6()?, victim.v6()?) else {
        unreachable!("v6() is IPv6")
    };
    // ARP: somebody else's address, somebody else's MAC inside an honest frame; ND: the same.
    nic.send(&frame::arp_request(vm.mac(), theirs, "10.0.1.250".parse()?))?;
    let mut lie = frame::arp_request(vm.mac(), own, "10.0.1.250".parse()?);
    lie[22..28].copy_from_slice(&stranger.0);
    nic.send(&lie)?;
    nic.send(&frame::neighbour_advertisement(vm.mac(), theirs6, (victim.mac(), own6), false)?)?;
    let is_lie =
        |f: &[u8]| f.get(12..14) == Some(&[8, 6]) || (f.get(20) == Some(&58) && f.get(54) == Some(&136));
    same_net.expect_silence(SOON, is_lie)?;
    // An honest question for an address that nobody is known to have goes to everybody on the network.
    let honest = frame::arp_request(vm.mac(), own, "10.0.1.250".parse()?);
    send_until(&nic, &same_net, &honest, |f| f == honest)?;
    Ok(())
}

/// A virtual router's address (RFC 9568) is a MAC that listens here or there: nobody tells the controller.
#[test]
fn an_address_that_two_ports_share_is_where_its_mac_listens() -> Result<()> {
    const VIRTUAL: &str = "00:00:5e:00:01:07";
    let mut topology = two_tenants(overlay("vxlan", 1001), overlay("gre", 1002), overlay("vxlan", 1003));
    for port in topology["ports"].as_array_mut().context("ports")? {
        if port["network"] == "db" {
            port["allowed_address_pairs"] =
                json!([{"ip": "10.0.2.100", "mac": VIRTUAL}, {"ip": "10.0.2.100"}]);
        }
    }
    let mut cloud = Cloud::start("pvrrp", topology)?;
    let address: IpAddr = "10.0.2.100".parse()?;
    for (turn, master) in ["db-1", "db-2", "db-1"].into_iter().enumerate() {
        // The last change of master meets no controller.
        if turn == 2 {
            cloud.kill_controller()?;
        }
        let netns = cloud.vm(master)?.netns();
        netns.ip(&format!(
            "link add vrrp link eth0 address {VIRTUAL} type macvlan mode private\n\
             addr add {address}/32 dev vrrp\nlink set vrrp up\n"
        ))?;
        for from in ["web-1", "web-2"] {
            let vm = cloud.vm(from)?;
            wait_for("the master to answer", PATIENCE, || Ok(vm.ping(address, 1)?.all()))
                .with_context(|| format!("{from} to {master}"))?;
            let report = vm.ping(address, 3)?;
            ensure!(report.all(), "{from} to {master}: {report:?}");
        }
        netns.ip("link del vrrp\n")?;
        ensure!(cloud.vm("web-1")?.ping(address, 1)?.none(), "somebody else than {master} answers");
    }
    Ok(())
}
