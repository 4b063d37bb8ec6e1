//! The session's state machine against a switch made of bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use openflow::{
    CloseReason, Config, Connection, DecodeError, Event, Match, Message, TableId, Xid,
    message::{
        AggregateStats, ErrorMessage, Features, FlowFilter, FlowFlags, FlowStats, Header, Hello,
        MultipartReply, MultipartRequest, TableStats, frame_len,
    },
};
use std::{fs, time::Duration};
use support::{encode, folder, random::Random, samples, unhex};

const START: Duration = Duration::from_secs(1000);

fn secs(n: u64) -> Duration {
    START + Duration::from_secs(n)
}

fn hello(version: u8, bitmap: Option<u32>) -> Vec<u8> {
    encode(3, &Message::Hello(Hello { version, bitmap }))
}

fn features() -> Features {
    Features {
        datapath_id: packet::DatapathId(1),
        n_buffers: 0,
        n_tables: 254,
        auxiliary_id: 0,
        capabilities: Default::default(),
        reserved: 0,
    }
}

/// The messages in the output.
fn sent(connection: &mut Connection) -> Vec<(Xid, Message)> {
    let output = connection.take_output();
    let mut rest = output.as_slice();
    let mut messages = Vec::new();
    while let Some(len) = frame_len(rest) {
        let (frame, tail) = rest.split_at(len);
        messages.push(Message::decode(frame).unwrap());
        rest = tail;
    }
    assert!(rest.is_empty());
    messages
}

fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

/// A session after its handshake, with nothing in its output and no events.
fn ready() -> Connection {
    let mut connection = Connection::new(Config::default(), START);
    connection.handle_input(&hello(5, Some(0x32)), START);
    let sent = sent(&mut connection);
    let [(_, Message::Hello(_)), (xid, Message::FeaturesRequest)] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    connection.handle_input(&encode(xid.0, &Message::FeaturesReply(features())), START);
    assert_eq!(events(&mut connection), [Event::Ready { features: features() }]);
    connection
}

fn closed(connection: &mut Connection) -> CloseReason {
    match events(connection).pop() {
        Some(Event::Closed { reason }) => reason,
        other => panic!("not closed: {other:?}"),
    }
}

#[test]
fn a_hello_offers_only_1_3() {
    let mut connection = Connection::new(Config::default(), START);
    let hello = Message::Hello(Hello { version: 4, bitmap: Some(0x10) });
    assert_eq!(sent(&mut connection), [(Xid(1), hello)]);
    assert_eq!(connection.poll_timeout(), Some(secs(10)));
}

/// What Open vSwitch and others send: the bitmap decides, without one the header does.
#[test]
fn the_version_is_that_of_the_bitmap() {
    for (version, bitmap, agreed) in [
        (5, Some(0x32), true),
        (4, Some(0x10), true),
        (6, Some(0x10), true),
        (1, Some(0x12), true),
        (4, None, true),
        (6, None, true),
        (255, None, true),
        (6, Some(0x40), false),
        (4, Some(0x02), false),
        (4, Some(0), false),
        (1, None, false),
        (3, None, false),
    ] {
        let mut connection = Connection::new(Config::default(), START);
        connection.take_output();
        connection.handle_input(&hello(version, bitmap), START);
        let sent = sent(&mut connection);
        match sent.as_slice() {
            [(_, Message::FeaturesRequest)] => assert!(agreed, "{version} {bitmap:x?}"),
            [(Xid(3), Message::Error(error))] => {
                assert!(
                    !agreed && error.is_hello_failed() && error.code == 0,
                    "{version} {bitmap:x?} {error:?}"
                );
                assert!(matches!(closed(&mut connection), CloseReason::Version { .. }));
                assert_eq!(connection.poll_timeout(), None);
            }
            other => panic!("{version} {bitmap:x?} {other:?}"),
        }
    }
}

#[test]
fn a_refused_hello_ends_the_session_with_the_peers_words() {
    let mut connection = Connection::new(Config::default(), START);
    let refusal = ErrorMessage::incompatible("we speak 1.5 only");
    connection.handle_input(&encode(1, &Message::Error(refusal.clone())), START);
    let reason = closed(&mut connection);
    assert_eq!(reason.to_string(), "peer refused the hello: HELLO_FAILED/INCOMPATIBLE: we speak 1.5 only");
    // Open vSwitch says hello first and refuses ours afterwards.
    let mut connection = Connection::new(Config::default(), START);
    connection.handle_input(&[hello(4, None), encode(1, &Message::Error(refusal))].concat(), START);
    assert!(matches!(closed(&mut connection), CloseReason::HelloFailed(_)));
}

#[test]
fn a_session_begins_with_a_hello_and_features() {
    for first in [Message::BarrierReply, Message::EchoRequest(vec![]), Message::FeaturesReply(features())] {
        let mut connection = Connection::new(Config::default(), START);
        connection.handle_input(&encode(1, &first), START);
        assert!(matches!(closed(&mut connection), CloseReason::Handshake(_)));
    }
    // OpenFlow 1.0's barrier: not even that version is spoken.
    let mut connection = Connection::new(Config::default(), START);
    connection.handle_input(&unhex("0112000800000001"), START);
    assert!(matches!(closed(&mut connection), CloseReason::Handshake(_)));
    // Features that cannot be read, and features refused.
    for answer in ["0406000a000000020000", "0401000c0000000200010006"] {
        let mut connection = Connection::new(Config::default(), START);
        connection.handle_input(&[hello(4, None), unhex(answer)].concat(), START);
        assert!(matches!(closed(&mut connection), CloseReason::Handshake(_)));
    }
}

#[test]
fn a_handshake_has_a_deadline() {
    for input in [vec![], hello(4, None)] {
        let mut connection = Connection::new(Config::default(), START);
        connection.handle_input(&input, secs(9));
        connection.handle_timeout(secs(9));
        assert_eq!(events(&mut connection), []);
        connection.handle_timeout(secs(10));
        assert_eq!(closed(&mut connection), CloseReason::HandshakeTimeout(Duration::from_secs(10)));
    }
}

#[test]
fn echo_requests_are_answered_at_once() {
    let mut connection = ready();
    connection.handle_input(&encode(77, &Message::EchoRequest(b"are you there".to_vec())), START);
    assert_eq!(sent(&mut connection), [(Xid(77), Message::EchoReply(b"are you there".to_vec()))]);
    assert_eq!(events(&mut connection), []);
}

#[test]
fn silence_is_probed_and_then_ends_the_session() {
    let mut connection = ready();
    assert_eq!(connection.poll_timeout(), Some(secs(5)));
    connection.handle_timeout(secs(4));
    assert_eq!(sent(&mut connection), []);
    connection.handle_timeout(secs(5));
    let [(xid, Message::EchoRequest(_))] = sent(&mut connection)[..] else { panic!("no probe") };
    assert_eq!(connection.poll_timeout(), Some(secs(10)));
    // The answer is a sign of life and nobody else's business.
    connection.handle_input(&encode(xid.0, &Message::EchoReply(vec![])), secs(6));
    assert_eq!(events(&mut connection), []);
    assert_eq!(connection.poll_timeout(), Some(secs(11)));
    connection.handle_timeout(secs(11));
    assert_eq!(sent(&mut connection).len(), 1);
    connection.handle_timeout(secs(16));
    assert_eq!(closed(&mut connection), CloseReason::EchoTimeout(Duration::from_secs(5)));
    assert_eq!(connection.poll_timeout(), None);
}

/// The answer to a probe queues behind a dump of 100,000 flows: what comes meanwhile counts.
#[test]
fn anything_received_is_a_sign_of_life() {
    let mut connection = ready();
    connection.handle_timeout(secs(5));
    connection.handle_input(&encode(0, &Message::BarrierReply)[..3], secs(9));
    connection.handle_timeout(secs(10));
    assert_eq!(events(&mut connection), []);
    connection.handle_timeout(secs(14));
    connection.heard(secs(18));
    connection.handle_timeout(secs(19));
    assert_eq!(events(&mut connection), []);
}

#[test]
fn replies_and_errors_go_to_their_xid() {
    let mut connection = ready();
    let barrier = connection.send(&Message::BarrierRequest).unwrap();
    let config = connection.send(&Message::GetConfigRequest).unwrap();
    let echo = connection.send(&Message::EchoRequest(vec![])).unwrap();
    assert!(barrier != config && barrier != Xid(0));
    assert_eq!(sent(&mut connection).len(), 3);
    let error = ErrorMessage { kind: 1, code: 5, experimenter: None, data: vec![] };
    let input = [
        encode(config.0, &Message::Error(error.clone())),
        encode(echo.0, &Message::EchoReply(vec![])),
        encode(barrier.0, &Message::BarrierReply),
        encode(0, &Message::FlowMonitorPaused),
        unhex("0463000a00000009abcd"),
    ];
    connection.handle_input(&input.concat(), START);
    assert_eq!(
        events(&mut connection),
        [
            Event::Error { xid: config, error },
            Event::Reply { xid: echo, message: Message::EchoReply(vec![]) },
            Event::Reply { xid: barrier, message: Message::BarrierReply },
            Event::Message { xid: Xid(0), message: Message::FlowMonitorPaused },
            Event::Message { xid: Xid(9), message: Message::Unknown { kind: 99, body: vec![0xab, 0xcd] } },
        ]
    );
}

fn stats(n: usize) -> FlowStats {
    FlowStats {
        flow: samples::flows().swap_remove(n),
        duration_sec: 0,
        duration_nsec: 0,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: FlowFlags::NONE,
        packet_count: 0,
        byte_count: 0,
    }
}

fn part(xid: Xid, more: bool, flows: &[usize]) -> Vec<u8> {
    let body = MultipartReply::Flow(flows.iter().map(|n| stats(*n)).collect());
    encode(xid.0, &Message::MultipartReply { more, body })
}

fn ask_flows(connection: &mut Connection) -> Xid {
    connection.send(&Message::MultipartRequest(MultipartRequest::Flow(FlowFilter::all()))).unwrap()
}

fn all_flows(xid: Xid, flows: &[usize]) -> Event {
    let body = MultipartReply::Flow(flows.iter().map(|n| stats(*n)).collect());
    Event::Reply { xid, message: Message::MultipartReply { more: false, body } }
}

#[test]
fn multipart_replies_are_joined_by_xid() {
    let mut connection = ready();
    let (one, two) = (ask_flows(&mut connection), ask_flows(&mut connection));
    for input in
        [part(one, true, &[0, 1]), part(two, true, &[2]), part(one, true, &[]), part(two, false, &[3])]
    {
        connection.handle_input(&input, START);
    }
    assert_eq!(events(&mut connection), [all_flows(two, &[2, 3])]);
    connection.handle_input(&part(one, false, &[4]), START);
    assert_eq!(events(&mut connection), [all_flows(one, &[0, 1, 4])]);
    // Nobody asked for this one, and no more for that.
    connection.handle_input(&part(Xid(0), false, &[5]), START);
    connection.handle_input(&part(one, true, &[5]), START);
    let events = events(&mut connection);
    assert!(matches!(events[..], [Event::Message { xid: Xid(0), .. }, Event::Message { .. }]), "{events:?}");
}

#[test]
fn multipart_replies_have_limits_and_one_kind() {
    let small = Config { max_multipart: 300, ..Config::default() };
    let mut connection = Connection::new(small, START);
    connection.handle_input(&hello(4, None), START);
    connection.handle_input(&encode(2, &Message::FeaturesReply(features())), START);
    events(&mut connection);
    let xid = ask_flows(&mut connection);
    connection.handle_input(&part(xid, true, &[0, 1, 2]), START);
    assert_eq!(events(&mut connection), []);
    connection.handle_input(&part(xid, true, &[0, 1, 2]), START);
    let [Event::Malformed { xid: blamed, error: DecodeError::TooLarge { limit: 300 }, .. }] =
        events(&mut connection)[..]
    else {
        panic!("no limit")
    };
    assert_eq!(blamed, xid);

    let xid = ask_flows(&mut connection);
    connection.handle_input(&part(xid, true, &[0]), START);
    let table = TableStats { table: TableId(0), active_count: 0, lookup_count: 0, matched_count: 0 };
    let other = MultipartReply::Table(vec![table]);
    connection.handle_input(&encode(xid.0, &Message::MultipartReply { more: false, body: other }), START);
    assert!(matches!(events(&mut connection)[..], [Event::Malformed { error: DecodeError::MixedParts, .. }]));

    // A reply of one part cannot have a second.
    let xid = connection
        .send(&Message::MultipartRequest(MultipartRequest::Aggregate(FlowFilter {
            matching: Match::new(),
            ..FlowFilter::all()
        })))
        .unwrap();
    let one = MultipartReply::Aggregate(AggregateStats { packet_count: 0, byte_count: 0, flow_count: 0 });
    for more in [true, false] {
        connection.handle_input(&encode(xid.0, &Message::MultipartReply { more, body: one.clone() }), START);
    }
    assert!(matches!(events(&mut connection)[..], [Event::Malformed { error: DecodeError::MixedParts, .. }]));
}

#[test]
fn an_error_ends_a_multipart_reply() {
    let mut connection = ready();
    let xid = ask_flows(&mut connection);
    connection.handle_input(&part(xid, true, &[0]), START);
    let error = ErrorMessage { kind: 1, code: 13, experimenter: None, data: vec![] };
    connection.handle_input(&encode(xid.0, &Message::Error(error.clone())), START);
    assert_eq!(events(&mut connection), [Event::Error { xid, error }]);
}

/// Every damaged message of the golden files and every old crash, in the middle of a session.
#[test]
fn a_session_survives_bad_messages() {
    let mut count = 0;
    for dir in ["golden/bad", "crashes"] {
        for entry in fs::read_dir(folder(dir)).unwrap() {
            let path = entry.unwrap().path();
            let content = fs::read_to_string(&path).unwrap();
            let head = content.split("\n\n").next().unwrap();
            let frame = unhex(&head.lines().filter(|line| !line.starts_with('#')).collect::<String>());
            let Ok(header) = Header::decode(&frame) else { continue };
            if usize::from(header.len) != frame.len() {
                // Here the stream itself is broken; see below.
                continue;
            }
            let mut connection = ready();
            connection.handle_input(&frame, START);
            let events = events(&mut connection);
            let fine = matches!(events[..], [Event::Malformed { xid, kind, .. }] if xid == header.xid && kind == header.kind)
                || (header.kind == 0 && matches!(events[..], [Event::Message { .. }]));
            assert!(fine, "{path:?}: {events:?}");
            connection.handle_input(&encode(5, &Message::EchoRequest(vec![1])), START);
            assert_eq!(sent(&mut connection), [(Xid(5), Message::EchoReply(vec![1]))], "{path:?}");
            count += 1;
        }
    }
    assert!(count > 40, "{count} files");
}

#[test]
fn a_stream_without_message_bounds_is_closed() {
    for len in 0..8 {
        let mut connection = ready();
        connection.handle_input(&[4, 21, 0, len, 0, 0, 0, 1], START);
        assert_eq!(closed(&mut connection), CloseReason::Framing(len.into()));
        // Nothing happens afterwards.
        connection.handle_input(&encode(5, &Message::EchoRequest(vec![])), START);
        connection.handle_timeout(secs(100));
        connection.send(&Message::BarrierRequest).unwrap();
        assert_eq!((events(&mut connection), sent(&mut connection)), (vec![], vec![]));
    }
}

#[test]
fn nothing_is_sent_before_the_handshake() {
    let mut connection = Connection::new(Config::default(), START);
    connection.take_output();
    connection.send(&Message::BarrierRequest).unwrap();
    assert!(connection.take_output().is_empty());
}

/// However the network cuts the stream, the session is the same.
#[test]
fn cuts_in_the_stream_do_not_matter() {
    let input = bolero::produce::<(Vec<Vec<u8>>, Vec<u8>)>();
    bolero::check!().with_generator(input).for_each(|(seeds, cuts)| {
        let stream: Vec<u8> = seeds.iter().flat_map(|seed| encode(9, &Random::new(seed).message())).collect();
        let mut whole = ready();
        whole.handle_input(&stream, START);
        let mut pieces = ready();
        let mut rest = stream.as_slice();
        for cut in cuts {
            let (piece, tail) = rest.split_at(usize::from(*cut).min(rest.len()));
            pieces.handle_input(piece, START);
            rest = tail;
        }
        pieces.handle_input(rest, START);
        assert_eq!(events(&mut pieces), events(&mut whole));
        assert_eq!(pieces.take_output(), whole.take_output());
    });
}

#[test]
fn arbitrary_streams_never_panic() {
    bolero::check!().with_type::<(bool, Vec<u8>)>().for_each(|(greeted, bytes)| {
        let mut connection = if *greeted { ready() } else { Connection::new(Config::default(), START) };
        connection.handle_input(bytes, START);
        connection.handle_timeout(secs(100));
        events(&mut connection);
    });
}
