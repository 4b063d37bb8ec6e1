//! Encoding and decoding, without anybody else's opinion.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use openflow::{
    Action, DecodeError, EncodeError, Field, FieldMatch, Flow, Instruction, Match, Message, SubField,
    TableId, Xid, message::*,
};
use packet::OfPort;
use support::{encode, random::Random, samples};

fn add(flow: &Flow) -> FlowMod {
    FlowMod {
        command: FlowModCommand::Add,
        cookie_mask: 0,
        idle_timeout: 0,
        hard_timeout: 0,
        buffer_id: None,
        out_port: OfPort::ANY,
        out_group: None,
        flags: FlowFlags::NONE,
        flow: flow.clone(),
    }
}

#[test]
fn every_field_action_and_instruction_comes_back() {
    for flow in samples::flows() {
        let message = Message::FlowMod(add(&flow));
        assert_eq!(Message::decode(&encode(7, &message)), Ok((Xid(7), message)));
    }
    for group in samples::groups() {
        let message = Message::GroupMod(GroupMod { command: GroupModCommand::Add, group });
        assert_eq!(Message::decode(&encode(7, &message)), Ok((Xid(7), message)));
    }
}

#[test]
fn the_fast_paths_write_what_the_general_one_writes() {
    let flags = BundleFlags::ATOMIC | BundleFlags::ORDERED;
    for flow in samples::flows() {
        let message = Message::FlowMod(add(&flow));
        let mut fast = Vec::new();
        encode_flow_mod(Xid(7), FlowModCommand::Add, FlowFlags::NONE, &flow, &mut fast).unwrap();
        assert_eq!(fast, encode(7, &message));
        fast.clear();
        encode_bundle_add_flow(Xid(7), 3, flags, FlowModCommand::Add, FlowFlags::NONE, &flow, &mut fast)
            .unwrap();
        let bundled = BundleAdd { id: 3, flags, xid: Xid(7), message: Box::new(message) };
        assert_eq!(fast, encode(7, &Message::BundleAdd(bundled)));
    }
    for group in samples::groups() {
        let mut fast = Vec::new();
        encode_group_mod(Xid(7), GroupModCommand::Add, &group, &mut fast).unwrap();
        let message = Message::GroupMod(GroupMod { command: GroupModCommand::Add, group });
        assert_eq!(fast, encode(7, &message));
    }
}

/// Enough bytes to fill the largest structured message.
fn seed() -> impl bolero::ValueGenerator<Output = Vec<u8>> {
    bolero::produce::<Vec<u8>>().with().len(0usize..1500)
}

#[test]
fn any_message_comes_back() {
    bolero::check!().with_generator(seed()).for_each(|bytes| {
        let message = Random::new(bytes).message();
        assert_eq!(Message::decode(&encode(9, &message)), Ok((Xid(9), message)));
    });
}

#[test]
fn arbitrary_bytes_never_panic_and_settle_after_one_round() {
    bolero::check!().with_generator(seed()).for_each(|bytes| settles(bytes));
}

/// A header that fits makes the decoder look deeper than arbitrary bytes would.
#[test]
fn arbitrary_bodies_never_panic_and_settle_after_one_round() {
    bolero::check!().with_generator((bolero::produce::<u8>(), seed())).for_each(|(kind, body)| {
        settles(&framed(kind % 30, body));
    });
}

/// Messages with a few octets changed are nearly right, which is where decoders go wrong.
#[test]
fn damaged_messages_never_panic_and_settle_after_one_round() {
    let damage = bolero::produce::<Vec<(u16, u8)>>();
    bolero::check!().with_generator((seed(), damage)).for_each(|(seed, damage)| {
        let mut frame = encode(9, &Random::new(seed).message());
        for (at, value) in damage.iter().take(4) {
            let at = 4 + usize::from(*at) % frame.len();
            if let Some(byte) = frame.get_mut(at) {
                *byte = *value;
            }
        }
        settles(&frame);
    });
}

/// What was read can be written, and then reads the same; or it cannot be written, which is an error, not a panic.
fn settles(frame: &[u8]) {
    let Ok((xid, message)) = Message::decode(frame) else { return };
    let mut again = Vec::new();
    match message.encode(xid, &mut again) {
        Ok(()) => assert_eq!(Message::decode(&again), Ok((xid, message))),
        Err(_) => assert!(again.is_empty()),
    }
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(65527)];
    let len = u16::try_from(body.len() + 8).unwrap();
    [&[4, kind][..], &len.to_be_bytes(), &[0, 0, 0, 1], body].concat()
}

#[test]
fn registers_are_kept_one_by_one() {
    let pair = Match::new().with(Field::XReg(1), 0x1_0000_0002u64);
    assert_eq!(pair, Match::new().with(Field::Reg(2), 1u8).with(Field::Reg(3), 2u8));
    let low = Match::new().with_masked(Field::XxReg(0), 5u8, 0xffu8);
    assert_eq!(low, Match::new().with_masked(Field::Reg(3), 5u8, 0xffu8));
}

#[test]
fn a_match_is_equal_however_it_was_made() {
    let one = Match::new().with(Field::EthType, 0x0800u16).with(Field::InPort, OfPort(1));
    let other = Match::new()
        .with(Field::InPort, OfPort(9))
        .with_masked(Field::InPort, OfPort(1), u32::MAX)
        .with_masked(Field::EthType, 0xf_0800u32, u128::MAX)
        .with_masked(Field::EthSrc, 1u8, 0u8);
    assert_eq!(one, other);
}

#[test]
fn unknown_fields_are_kept_whole() {
    // An experimenter's field (class 0xffff), a field of 20 octets, then a known one.
    let fields =
        "ffff 0206 00005ad6 0001  5555 0014 000102030405060708090a0b0c0d0e0f10111213  80000004 00000001";
    let fields = support::unhex(fields);
    let len = u16::try_from(4 + fields.len()).unwrap();
    let mut body = [&[0, 1][..], &len.to_be_bytes(), &fields].concat();
    body.resize(body.len().next_multiple_of(8), 0);
    let head = [&[0; 16][..], &[0; 24]].concat();
    let frame = framed(14, &[&head[..], &body].concat());
    let (_, message) = Message::decode(&frame).unwrap();
    let Message::FlowMod(flow_mod) = &message else { panic!("{message:?}") };
    assert_eq!(flow_mod.flow.matching.opaque().len(), 2);
    assert!(flow_mod.flow.matching.get(Field::InPort).is_some());
    assert_eq!(encode(1, &message).len(), frame.len());
    settles(&frame);
}

#[test]
fn what_has_no_encoding_is_refused_and_leaves_no_bytes() {
    let action = |action| Flow {
        table: TableId(0),
        priority: 1,
        cookie: 0,
        matching: Match::new(),
        instructions: vec![Instruction::Apply(vec![action])],
    };
    let half = SubField::new(Field::Reg(0), 0, 16);
    let deep = (0..40).fold(Action::PopVlan, |inner, _| Action::Clone(vec![inner]));
    let refused = [
        Action::SetField(FieldMatch { field: Field::VlanPcp, value: 8, mask: None }),
        Action::SetField(FieldMatch { field: Field::Reg(16), value: 8, mask: None }),
        Action::SetField(FieldMatch { field: Field::Reg(0), value: 2, mask: Some(1) }),
        Action::RegLoad { dst: SubField::new(Field::Reg(0), 0, 4), value: 16 },
        Action::RegLoad { dst: SubField::new(Field::Reg(0), 30, 4), value: 1 },
        Action::RegLoad { dst: SubField::new(Field::Reg(0), 30, 0), value: 0 },
        Action::RegLoad { dst: SubField::whole(Field::XxReg(0)), value: 0 },
        Action::Move { src: half, dst: SubField::whole(Field::Reg(0)) },
        Action::CheckPktLarger { len: 1, dst: half },
        Action::Resubmit { in_port: Some(0xfff8), table: TableId(1) },
        Action::Unknown(vec![0, 11, 0, 16, 0, 0, 0, 0]),
        Action::Unknown(vec![0, 11, 0, 4]),
        deep,
    ];
    for bad in refused {
        let mut out = vec![1, 2, 3];
        let flow = action(bad.clone());
        let result = encode_flow_mod(Xid(1), FlowModCommand::Add, FlowFlags::NONE, &flow, &mut out);
        assert!(result.is_err(), "{bad:?}");
        assert_eq!(out, [1, 2, 3], "{bad:?}");
    }
}

#[test]
fn a_message_ends_at_65535_octets() {
    let flow = |count| Flow {
        table: TableId(0),
        priority: 1,
        cookie: 0,
        matching: Match::new(),
        instructions: vec![Instruction::Apply(vec![Action::output(OfPort(1)); count])],
    };
    // 8 header, 40 flow-mod, 8 match, 8 instruction, 16 an action.
    assert_eq!(encode(1, &Message::FlowMod(add(&flow(4091)))).len(), 65520);
    let mut out = Vec::new();
    let refused = Message::FlowMod(add(&flow(4096))).encode(Xid(1), &mut out);
    assert!(matches!(refused, Err(EncodeError::TooLong { .. })), "{refused:?}");
    assert!(out.is_empty());
}

#[test]
fn nesting_has_an_end_for_readers_too() {
    // clone(clone(...)) 1,000 deep, as Open vSwitch itself would take it.
    let mut actions = Vec::new();
    for depth in (1..=1000u16).rev() {
        let len = (depth * 16).to_be_bytes();
        actions =
            [&support::unhex("ffff")[..], &len, &support::unhex("00002320 002a 000000000000"), &actions]
                .concat();
        if actions.len() > 16 * 1000 {
            break;
        }
    }
    // Lengths from the inside out.
    let total = actions.len();
    for depth in 0..total / 16 {
        let len = u16::try_from(total - depth * 16).unwrap().to_be_bytes();
        actions[depth * 16 + 2..depth * 16 + 4].copy_from_slice(&len);
    }
    let packet_out =
        [&[0xff; 4][..], &[0, 0, 0, 1], &u16::try_from(total).unwrap().to_be_bytes(), &[0; 6], &actions]
            .concat();
    assert_eq!(Message::decode(&framed(13, &packet_out)), Err(DecodeError::TooDeep));
}

#[test]
fn normal_flows_equal_what_is_read_back() {
    let mut flow = samples::flows().pop().unwrap();
    flow.instructions = vec![
        Instruction::Goto(TableId(9)),
        Instruction::Write(vec![]),
        Instruction::Apply(vec![]),
        Instruction::Clear,
        Instruction::Meter(openflow::MeterId(1)),
    ];
    flow.normalize();
    assert_eq!(
        flow.instructions,
        [Instruction::Meter(openflow::MeterId(1)), Instruction::Clear, Instruction::Goto(TableId(9))]
    );
}
