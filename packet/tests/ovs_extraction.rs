//! [`ParsedPacket`] against Open vSwitch's own flow extraction: `ovs-ofctl ofp-parse` prints the flow of the packet in
//! each packet-in message. No switch runs, but the tool must be installed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared by two test crates")]
mod common;

use common::Recipe;
use packet::ParsedPacket;
use packet::header::{Fragment, ethertype, protocol};
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::process::Command;
use std::sync::Mutex;

#[test]
fn fields_are_those_of_open_vswitch() {
    type Case = (Recipe, Option<(u16, [u8; 20])>, Vec<(u16, u8)>, u16);
    let frames = Mutex::new(Vec::new());
    bolero::check!().with_iterations(4000).with_type::<Case>().for_each(|(recipe, arp, damage, keep)| {
        let mut frame = recipe.make().frame;
        if let Some((op, addresses)) = arp.filter(|_| keep % 3 == 0) {
            frame.truncate(12);
            frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4]);
            frame.extend(op.to_be_bytes().map(|byte| byte & 3));
            frame.extend(addresses);
        }
        frames.lock().unwrap().push(frame.clone());
        for (at, value) in damage.iter().take(3) {
            // Headers are the first hundred bytes.
            let at = usize::from(*at) % frame.len().min(100);
            frame[at] = *value;
        }
        if keep % 4 == 0 {
            frame.truncate(usize::from(*keep) % (frame.len() + 1));
        }
        frames.lock().unwrap().push(frame);
    });
    let frames = frames.into_inner().unwrap();
    let Some(printed) = extract_by_ovs(&frames) else { return };
    assert_eq!(printed.len(), frames.len());
    let mut seen = BTreeSet::new();
    for (frame, line) in frames.iter().zip(&printed) {
        let fields = ParsedPacket::parse(frame);
        if outside_our_fields(&fields) {
            continue;
        }
        let want: BTreeSet<String> = line
            .split([',', ' '])
            .filter(|token| !token.contains("_csum:") && !IGNORED.iter().any(|name| token.starts_with(name)))
            .map(normal)
            .collect();
        let have = BTreeSet::from_iter(render(&fields));
        assert_eq!(have, want, "frame {frame:02x?}\nOpen vSwitch says {line}");
        seen.extend(have.into_iter().map(|token| token.split('=').next().unwrap().to_string()));
    }
    for field in
        ["nd_sll", "tcp_flags", "icmp6", "icmp", "dl_vlan", "ipv6_label", "sctp6", "udp", "nw_frag", "arp_op"]
    {
        assert!(seen.contains(field), "no packet had {field}");
    }
}

/// Fields of Open vSwitch that our pipeline does not match.
const IGNORED: [&str; 3] = ["vlan_tci1=", "nd_reserved=", "nd_options_type="];

/// The tool reads two tags where the switch reads one, knows protocols that we do not, and reads a type and code that
/// no match can ask for from ICMP of the wrong family.
fn outside_our_fields(fields: &ParsedPacket) -> bool {
    matches!(fields.eth_type, ethertype::VLAN | ethertype::QINQ | 0x8847 | 0x8848 | 0x894f)
        || fields.ip_proto == 2
        || matches!(
            (fields.eth_type, fields.ip_proto),
            (ethertype::IPV4, protocol::ICMPV6) | (ethertype::IPV6, protocol::ICMP)
        )
}

/// One line for each frame; `None`, and a line that says so, where the tool is not installed.
fn extract_by_ovs(frames: &[Vec<u8>]) -> Option<Vec<String>> {
    let mut stream = Vec::new();
    for frame in frames {
        // OFPT_PACKET_IN of OpenFlow 1.0, section 5.4.1: 18 bytes before the frame.
        let len = u16::try_from(frame.len()).unwrap();
        stream.extend([1, 10]);
        stream.extend((18 + len).to_be_bytes());
        stream.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        stream.extend(len.to_be_bytes());
        stream.extend([0, 1, 0, 0]);
        stream.extend(frame);
    }
    let file = std::env::temp_dir().join(format!("packet-ins-{}", std::process::id()));
    std::fs::write(&file, stream).unwrap();
    let output = Command::new("ovs-ofctl").arg("ofp-parse").arg(&file).output();
    std::fs::remove_file(&file).unwrap();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: ovs-ofctl is not installed (Debian: apt install openvswitch-common)");
            return None;
        }
        Err(error) => panic!("ovs-ofctl does not start: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().filter(|line| line.contains("dl_src=")).map(String::from).collect())
}

/// As `ovs-fields(7)` names and prints the fields.
fn render(fields: &ParsedPacket) -> Vec<String> {
    let mut tokens = vec![format!("dl_src={}", fields.eth_src), format!("dl_dst={}", fields.eth_dst)];
    match fields.vlan_id() {
        None => tokens.push("vlan_tci=0x0000".into()),
        Some(id) => {
            tokens.push(format!("dl_vlan={id}"));
            tokens.push(format!("dl_vlan_pcp={}", fields.vlan_tci >> 13));
        }
    }
    match fields.eth_type {
        ethertype::IPV4 => {
            tokens.push(format!("nw_src={}", fields.ipv4_src));
            tokens.push(format!("nw_dst={}", fields.ipv4_dst));
            render_ip(fields, "", &mut tokens);
        }
        ethertype::IPV6 => {
            tokens.push(format!("ipv6_src={}", fields.ipv6_src));
            tokens.push(format!("ipv6_dst={}", fields.ipv6_dst));
            tokens.push(format!("ipv6_label=0x{:05x}", fields.ipv6_label));
            render_ip(fields, "6", &mut tokens);
        }
        ethertype::ARP | ethertype::RARP => {
            tokens.push(if fields.eth_type == ethertype::ARP { "arp".into() } else { "rarp".into() });
            tokens.push(format!("arp_spa={}", fields.arp_spa));
            tokens.push(format!("arp_tpa={}", fields.arp_tpa));
            tokens.push(format!("arp_op={}", fields.arp_op));
            tokens.push(format!("arp_sha={}", fields.arp_sha));
            tokens.push(format!("arp_tha={}", fields.arp_tha));
        }
        other => tokens.push(format!("dl_type=0x{other:04x}")),
    }
    tokens
}

fn render_ip(fields: &ParsedPacket, six: &str, tokens: &mut Vec<String>) {
    tokens.push(format!("nw_tos={}", fields.ip_tos & 0xfc));
    tokens.push(format!("nw_ecn={}", fields.ip_tos & 3));
    tokens.push(format!("nw_ttl={}", fields.ip_ttl));
    tokens.push(["nw_frag=no", "nw_frag=first", "?", "nw_frag=later"][usize::from(fields.nw_frag)].into());
    let name = match (fields.ip_proto, fields.eth_type) {
        (protocol::TCP, _) => "tcp",
        (protocol::UDP, _) => "udp",
        (protocol::SCTP, _) => "sctp",
        (protocol::ICMP, ethertype::IPV4) | (protocol::ICMPV6, ethertype::IPV6) => "icmp",
        (other, _) => {
            tokens.push(if six.is_empty() { "ip".into() } else { "ipv6".into() });
            return tokens.push(format!("nw_proto={other}"));
        }
    };
    tokens.push(format!("{name}{six}"));
    if fields.nw_frag == Fragment::Later as u8 {
        return;
    }
    if name == "icmp" {
        tokens.push(format!("icmp_type={}", fields.icmp_type));
        tokens.push(format!("icmp_code={}", fields.icmp_code));
        if six == "6" && matches!(fields.icmp_type, 135 | 136) && fields.icmp_code == 0 {
            tokens.push(format!("nd_target={}", fields.nd_target));
            tokens.push(format!("nd_sll={}", fields.nd_sll));
            tokens.push(format!("nd_tll={}", fields.nd_tll));
        }
        return;
    }
    tokens.push(format!("tp_src={}", fields.tp_src));
    tokens.push(format!("tp_dst={}", fields.tp_dst));
    if name == "tcp" {
        tokens.push(format!("tcp_flags={}", tcp_flags(fields.tcp_flags)));
    }
}

/// The C library writes some addresses otherwise than Rust (`::0.146.0.0`): write them anew.
fn normal(token: &str) -> String {
    match token.split_once('=') {
        Some((name @ ("ipv6_src" | "ipv6_dst" | "nd_target"), addr)) => {
            format!("{name}={}", addr.parse::<Ipv6Addr>().unwrap())
        }
        _ => token.into(),
    }
}

fn tcp_flags(bits: u16) -> String {
    const NAMES: [&str; 12] =
        ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];
    let set: Vec<&str> = (0..12).filter(|bit| bits >> bit & 1 != 0).map(|bit| NAMES[bit]).collect();
    if set.is_empty() { "0".into() } else { set.join("|") }
}
