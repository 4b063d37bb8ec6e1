//! What Open vSwitch's own tool makes of our bytes, and what bytes it makes of our text. No switch runs here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use openflow::{
    Action, Field, Flow, Instruction, Match, Message, TableId, Xid,
    message::{FlowFlags, FlowModCommand, FlowStats, Hello, MultipartReply, encode_flow_mod, frame_len},
};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    process,
};
use support::{encode, hex, ovs_ofctl, samples};

/// A file name of this process, removed in the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("openflow-test-{}-{name}", process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn has_unknown(matching: &Match) -> bool {
    matching.fields().iter().any(|entry| matches!(entry.field, Field::Unknown(_)))
}

/// Our text of a flow is what `ovs-ofctl` prints of our bytes.
#[test]
fn text_is_that_of_ovs_ofctl() {
    let flows: Vec<Flow> = samples::flows().into_iter().filter(|flow| !has_unknown(&flow.matching)).collect();
    let scratch = Scratch::new("stats");
    let mut bytes = Vec::new();
    for flow in &flows {
        let stats = FlowStats {
            flow: flow.clone(),
            duration_sec: 0,
            duration_nsec: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: FlowFlags::NONE,
            packet_count: 0,
            byte_count: 0,
        };
        let body = MultipartReply::Flow(vec![stats]);
        bytes.extend(encode(1, &Message::MultipartReply { more: false, body }));
    }
    fs::write(&scratch.0, bytes).unwrap();
    let Some(printed) = ovs_ofctl(&["ofp-parse", scratch.path()], b"") else { return };
    let printed: Vec<String> = printed
        .lines()
        .filter(|line| line.starts_with(" cookie="))
        .map(|line| line.trim().replace("duration=0s, ", "").replace("n_packets=0, n_bytes=0, ", ""))
        .collect();
    let ours: Vec<String> = flows.iter().map(Flow::to_string).collect();
    for (printed, ours) in printed.iter().zip(&ours) {
        assert_eq!(printed, ours);
    }
    assert_eq!(printed.len(), ours.len());
}

/// `parse-actions` prints actions and, where it would write them in other bytes itself, the differences.
#[test]
fn actions_are_written_as_open_vswitch_writes_them() {
    // Header, flow-mod, empty match and the header of apply-actions.
    const BEFORE: usize = 8 + 40 + 8 + 8;
    let (mut input, mut expected) = (String::new(), String::new());
    for (_, actions) in samples::actions() {
        let instruction = Instruction::Apply(actions);
        let text = instruction.to_string();
        let flow = Flow {
            table: TableId(0),
            priority: 0,
            cookie: 0,
            matching: Match::new(),
            instructions: vec![instruction],
        };
        let mut bytes = Vec::new();
        encode_flow_mod(Xid(1), FlowModCommand::Add, FlowFlags::NONE, &flow, &mut bytes).unwrap();
        input += &format!("{}\n", hex(&bytes[BEFORE..]));
        expected += &format!("actions={text}\n\n");
    }
    let Some(printed) = ovs_ofctl(&["parse-actions", "OpenFlow13"], input.as_bytes()) else { return };
    for (printed, expected) in printed.lines().zip(expected.lines()) {
        assert_eq!(printed, expected);
    }
    assert_eq!(printed, expected);
}

/// True if the text of an action says all of it, and `ovs-ofctl` writes it as it stands.
fn text_is_enough(action: &Action) -> bool {
    match action {
        // The text has no length but for the controller.
        Action::Output { port, max_len } => *port == packet::OfPort::CONTROLLER || *max_len == 0,
        Action::OutputReg { max_len, .. } => *max_len == 0xffff,
        // Printed as an output to the controller if there is nothing special about it.
        Action::Controller(controller) => {
            controller.reason != 1
                || controller.controller_id != 0
                || !controller.userdata.is_empty()
                || controller.pause
                || controller.meter.is_some()
        }
        // Written as one or more loads.
        Action::SetField(entry) => entry.mask.is_none(),
        // Refused: neither a port nor a table.
        Action::Resubmit { in_port: None, table: TableId(255) } => false,
        // Written as the older NXAST_RESUBMIT.
        Action::Resubmit { table: TableId(255), .. } => false,
        Action::Clone(actions) => !actions.is_empty() && actions.iter().all(text_is_enough),
        _ => true,
    }
}

fn is_plain(flow: &Flow) -> bool {
    // "later" is the text of two matches.
    let later =
        flow.matching.get(Field::IpFrag).is_some_and(|entry| entry.mask.is_some() && entry.value == 2);
    let actions = |instruction: &Instruction| match instruction {
        Instruction::Apply(actions) | Instruction::Write(actions) => actions.iter().all(text_is_enough),
        // The text has no room for bits outside the mask.
        Instruction::Metadata { value, mask } => value & !mask == 0 && *mask != 0,
        _ => true,
    };
    !later && !has_unknown(&flow.matching) && flow.instructions.iter().all(actions)
}

/// `ovs-ofctl add-flows`, given our text, sends our bytes.
#[test]
fn open_vswitch_writes_our_text_in_our_bytes() {
    let flows: Vec<Flow> = samples::flows().into_iter().filter(is_plain).collect();
    assert!(flows.len() > 200, "{} flows", flows.len());
    let text: String = flows.iter().map(|flow| format!("{flow}\n")).collect();
    let scratch = Scratch::new("switch");
    let listener = UnixListener::bind(&scratch.0).unwrap();
    let switch = std::thread::spawn(move || play_switch(&listener));
    let target = format!("unix:{}", scratch.path());
    let args = ["-O", "OpenFlow13", "--no-names", "add-flows", &target, "-"];
    let ran = ovs_ofctl(&args, text.as_bytes());
    // Whatever happened, the switch must hear a last caller.
    drop(UnixStream::connect(&scratch.0));
    let received = switch.join().unwrap();
    if ran.is_none() {
        return;
    }
    assert_eq!(received.len(), flows.len());
    for (received, flow) in received.iter().zip(&flows) {
        let (xid, message) = Message::decode(received).unwrap();
        let Message::FlowMod(flow_mod) = message else { panic!("{message:?}") };
        assert_eq!(flow_mod.flow, *flow);
        let mut ours = Vec::new();
        encode_flow_mod(xid, FlowModCommand::Add, FlowFlags::NONE, flow, &mut ours).unwrap();
        assert_eq!(hex(received), hex(&ours), "{flow}");
    }
}

/// Serves sessions until one says nothing; returns the flow-mods of all.
fn play_switch(listener: &UnixListener) -> Vec<Vec<u8>> {
    let mut flow_mods = Vec::new();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut buffer = Vec::new();
        let mut heard = false;
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            heard = true;
            buffer.extend_from_slice(&chunk[..count]);
            while let Some(len) = frame_len(&buffer).filter(|len| *len <= buffer.len()) {
                let frame: Vec<u8> = buffer.drain(..len).collect();
                let reply = match Message::decode(&frame).unwrap() {
                    (xid, Message::Hello(_)) => {
                        Some((xid, Message::Hello(Hello { version: 4, bitmap: Some(16) })))
                    }
                    (xid, Message::BarrierRequest) => Some((xid, Message::BarrierReply)),
                    (_, Message::FlowMod(_)) => {
                        flow_mods.push(frame);
                        None
                    }
                    (_, other) => panic!("{other:?}"),
                };
                if let Some((xid, reply)) = reply {
                    let _ = stream.write_all(&encode(xid.0, &reply));
                }
            }
        }
        if !heard {
            break;
        }
    }
    flow_mods
}
