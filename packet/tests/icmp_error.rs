//! ICMP errors against the RFCs' rules, restated apart from the code, with `etherparse` as the reader of answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

#[allow(unreachable_pub, missing_docs, reason = "shared by two test crates")]
mod common;

use bolero::TypeGenerator;
use common::{HOST_MAC, ROUTER_MAC, ROUTER_V4, ROUTER_V6, Recipe, reference_checksum};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use packet::icmp_error::AnswerTag;
use packet::{IcmpError, MacAddr, Reason, Suppressed};
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum AnyReason {
    Ttl,
    TooBig(u16),
    Net,
    Host,
    Protocol,
    Port,
    Admin,
    Option(u16),
}

impl AnyReason {
    fn reason(self) -> Reason {
        match self {
            Self::Ttl => Reason::TtlExceeded,
            Self::TooBig(mtu) => Reason::FragmentationNeeded { mtu },
            Self::Net => Reason::NetUnreachable,
            Self::Host => Reason::HostUnreachable,
            Self::Protocol => Reason::ProtocolUnreachable,
            Self::Port => Reason::PortUnreachable,
            Self::Admin => Reason::AdminProhibited,
            Self::Option(pointer) => Reason::UnknownOption { pointer },
        }
    }
}

fn error(reason: Reason, v6: bool) -> IcmpError {
    let router_ip = if v6 { IpAddr::from(ROUTER_V6) } else { IpAddr::from(ROUTER_V4) };
    IcmpError { reason, router_ip, router_mac: MacAddr(ROUTER_MAC), tag: AnswerTag::Keep }
}

/// Asserts that `answer` is a well-formed ICMP message, and gives (IP header, type, code, rest, quote).
fn read(answer: &[u8]) -> (Vec<u8>, u8, u8, [u8; 4], Vec<u8>) {
    let packet = SlicedPacket::from_ethernet(answer).unwrap();
    let header_len = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            assert_eq!(ip.header().to_header().calc_header_checksum(), ip.header().header_checksum());
            assert!(!ip.is_payload_fragmented());
            20
        }
        NetSlice::Ipv6(_) => 40,
        other => panic!("not IP: {other:?}"),
    };
    let start = answer.len() - packet.ether_payload().unwrap().payload.len();
    let header = answer[start..start + header_len].to_vec();
    match packet.transport.unwrap() {
        TransportSlice::Icmpv4(icmp) => {
            assert_eq!(reference_checksum(icmp.slice()), 0);
            // Types that etherparse knows have a longer header for some codes: read raw.
            let raw = icmp.slice();
            (header, raw[0], raw[1], raw[4..8].try_into().unwrap(), raw[8..].to_vec())
        }
        TransportSlice::Icmpv6(icmp) => {
            let (src, dst) = (header[8..24].try_into().unwrap(), header[24..40].try_into().unwrap());
            assert!(icmp.is_checksum_valid(src, dst));
            let raw = icmp.slice();
            (header, raw[0], raw[1], raw[4..8].try_into().unwrap(), raw[8..].to_vec())
        }
        other => panic!("not ICMP: {other:?}"),
    }
}

#[test]
fn answers_exactly_what_the_rfcs_allow() {
    bolero::check!().with_type::<(Recipe, AnyReason)>().for_each(|(recipe, reason)| {
        let specimen = recipe.make();
        let offending = &specimen.frame[specimen.ip.clone()];
        let group_exempt = recipe.v6 && matches!(reason, AnyReason::TooBig(_) | AnyReason::Option(_));
        let allowed = specimen.source_ok
            && (specimen.destination_ok || group_exempt)
            && !specimen.later_fragment
            && !specimen.icmp_error;
        let error = error(reason.reason(), recipe.v6);
        let answer = match error.answer(&specimen.frame) {
            Ok(answer) => answer,
            Err(why) => return assert!(!allowed, "not answered: {why} ({why:?})"),
        };
        assert!(allowed, "answered what must not be");
        assert_eq!(answer[..6], HOST_MAC);
        assert_eq!(answer[6..12], ROUTER_MAC);
        let tagged = specimen.ip.start == 18;
        if tagged {
            assert_eq!(answer[12..16], specimen.frame[12..16]);
        }
        let (header, kind, _, _, quote) = read(&answer);
        let room = if recipe.v6 { 1280 - 48 } else { 576 - 28 };
        assert_eq!(quote, offending[..offending.len().min(room)]);
        if recipe.v6 {
            assert!(kind < 128);
            assert_eq!((&header[8..24], &header[24..40]), (&ROUTER_V6[..], &offending[8..24]));
            assert_eq!(header[7], 64);
        } else {
            assert!(matches!(kind, 3 | 11 | 12));
            assert_eq!((&header[12..16], &header[16..20]), (&ROUTER_V4[..], &offending[12..16]));
            assert_eq!(header[8], 64);
            assert_eq!(header[1], 0xc0 | offending[1] & 0x1c);
        }
        // The answer is an error itself, so nobody answers it: not this router, not another one.
        let mut other = error;
        other.router_ip = if recipe.v6 { [0xfd; 16].into() } else { [10, 9, 9, 9].into() };
        assert_eq!(other.answer(&answer), Err(Suppressed::IcmpError(kind)));

        let stripped = IcmpError { tag: AnswerTag::Strip, ..error }.answer(&specimen.frame).unwrap();
        let tag_at = if tagged { 16 } else { 12 };
        assert_eq!(stripped, [&answer[..12], &answer[tag_at..]].concat());
    });
}

#[test]
fn damaged_frames_never_panic_and_answers_stay_well_formed() {
    type Case = (Recipe, AnyReason, Vec<(u16, u8)>, u16);
    bolero::check!().with_type::<Case>().for_each(|(recipe, reason, damage, keep)| {
        let mut frame = recipe.make().frame;
        for (at, value) in damage.iter().take(8) {
            let at = usize::from(*at) % frame.len();
            frame[at] = *value;
        }
        // Only a quarter is cut, so that most damage is seen by the inner layers.
        if keep % 4 == 0 {
            frame.truncate(usize::from(*keep) % (frame.len() + 1));
        }
        for v6 in [false, true] {
            if let Ok(answer) = error(reason.reason(), v6).answer(&frame) {
                let (header, ..) = read(&answer);
                assert_eq!(header[0] >> 4, if v6 { 6 } else { 4 });
                assert!(answer.len() <= 18 + if v6 { 1280 } else { 576 });
            }
        }
    });
}

#[test]
fn arbitrary_bytes_never_panic() {
    bolero::check!().with_type::<(Vec<u8>, AnyReason)>().for_each(|(bytes, reason)| {
        _ = error(reason.reason(), false).answer(bytes);
        _ = error(reason.reason(), true).answer(bytes);
    });
}

/// A UDP packet from the host, 100 bytes of payload.
fn plain(v6: bool) -> Recipe {
    Recipe {
        v6,
        tci: None,
        eth_dst: 0,
        eth_src: 0,
        src: 0,
        dst: 0,
        transport: 3,
        icmp_type: 0,
        icmp_type_any: true,
        icmp_code: false,
        fragment: 0,
        extensions: [0; 3],
        options: 0,
        payload: 100,
        padding: 0,
        tos: 0,
        nd_options: [5; 3],
    }
}

#[test]
fn types_codes_and_words_are_those_of_the_rfcs() {
    let cases = [
        (Reason::TtlExceeded, (11, 0, [0; 4]), (3, 0, [0; 4])),
        (Reason::FragmentationNeeded { mtu: 1450 }, (3, 4, [0, 0, 5, 170]), (2, 0, [0, 0, 5, 170])),
        (Reason::NetUnreachable, (3, 0, [0; 4]), (1, 0, [0; 4])),
        (Reason::HostUnreachable, (3, 1, [0; 4]), (1, 3, [0; 4])),
        (Reason::ProtocolUnreachable, (3, 2, [0; 4]), (4, 1, [0, 0, 0, 6])),
        (Reason::PortUnreachable, (3, 3, [0; 4]), (1, 4, [0; 4])),
        (Reason::AdminProhibited, (3, 13, [0; 4]), (1, 1, [0; 4])),
        (Reason::UnknownOption { pointer: 40 }, (12, 0, [40, 0, 0, 0]), (4, 2, [0, 0, 0, 40])),
    ];
    for (reason, v4, v6) in cases {
        for (is_v6, want) in [(false, v4), (true, v6)] {
            let answer = error(reason, is_v6).answer(&plain(is_v6).make().frame).unwrap();
            let (_, kind, code, rest, _) = read(&answer);
            assert_eq!((kind, code, rest), want, "{reason:?}");
        }
    }
}

#[test]
fn protocol_unreachable_points_behind_extension_headers() {
    // Hop-by-hop, then 16 bytes of destination options: the second names the protocol, at 40 + 8.
    let recipe = Recipe { extensions: [190, 170, 0], ..plain(true) };
    let answer = error(Reason::ProtocolUnreachable, true).answer(&recipe.make().frame).unwrap();
    assert_eq!(read(&answer).3, [0, 0, 0, 48]);
}

#[test]
fn bad_headers_are_named() {
    let mut frame = plain(false).make().frame;
    frame[24] ^= 1;
    let refused = error(Reason::TtlExceeded, false).answer(&frame).unwrap_err();
    assert!(matches!(refused, Suppressed::Malformed(packet::frame::Malformed::Checksum(_))), "{refused:?}");
    let refused = error(Reason::TtlExceeded, true).answer(&plain(false).make().frame).unwrap_err();
    assert_eq!(refused, Suppressed::Family(ROUTER_V6.into()));
    let arp = packet::build::arp_request(MacAddr(HOST_MAC), [10, 0, 0, 10].into(), ROUTER_V4.into());
    assert_eq!(error(Reason::TtlExceeded, false).answer(&arp), Err(Suppressed::NotIp(0x0806)));
}
