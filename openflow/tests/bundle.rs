//! Bundles against a switch that answers as Open vSwitch 3.1 does (see the captures in `golden/ovs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use openflow::{
    Action, Bundle, BundleError, Change, Config, Connection, Event, Field, FieldMatch, Flow, Instruction,
    Message, Xid,
    message::{
        BundleControl, BundleControlKind, BundleFlags, ErrorMessage, Features, FlowFlags, FlowModCommand,
        GroupModCommand, Hello, frame_len,
    },
};
use std::time::Duration;
use support::{encode, samples};

const ONF: u32 = 0x4f4e_4600;

fn ready() -> Connection {
    let features = Features {
        datapath_id: packet::DatapathId(1),
        n_buffers: 0,
        n_tables: 254,
        auxiliary_id: 0,
        capabilities: Default::default(),
        reserved: 0,
    };
    let mut connection = Connection::new(Config::default(), Duration::ZERO);
    let hello = Message::Hello(Hello { version: 4, bitmap: None });
    let input = [encode(1, &hello), encode(2, &Message::FeaturesReply(features))].concat();
    connection.handle_input(&input, Duration::ZERO);
    assert!(matches!(connection.poll_event(), Some(Event::Ready { .. })));
    connection.take_output();
    connection
}

fn sent(connection: &mut Connection) -> Vec<(Xid, Message)> {
    let output = connection.take_output();
    let mut rest = output.as_slice();
    let mut messages = Vec::new();
    while let Some(len) = frame_len(rest) {
        messages.push(Message::decode(&rest[..len]).unwrap());
        rest = &rest[len..];
    }
    messages
}

/// A bundle on its way, and the xids of what went out.
struct Run {
    connection: Connection,
    bundle: Bundle,
    open: Xid,
    adds: Vec<Xid>,
    barrier: Xid,
}

fn add(flow: &Flow) -> Change<'_> {
    Change::Flow { command: FlowModCommand::Add, flags: FlowFlags::NONE, flow }
}

fn start(count: usize) -> Run {
    let mut connection = ready();
    let flows = samples::flows();
    let bundle = Bundle::start(&mut connection, 5, flows.iter().take(count).map(add)).unwrap();
    let sent = sent(&mut connection);
    let all_or_nothing = BundleFlags::ATOMIC | BundleFlags::ORDERED;
    let (open, message) = &sent[0];
    let want = BundleControl { id: 5, kind: BundleControlKind::OpenRequest, flags: all_or_nothing };
    assert_eq!(*message, Message::BundleControl(want));
    let mut adds = Vec::new();
    for ((xid, message), flow) in sent[1..=count].iter().zip(&flows) {
        let Message::BundleAdd(add) = message else { panic!("{message:?}") };
        assert_eq!((add.id, add.flags, add.xid), (5, all_or_nothing, *xid));
        assert!(matches!(&*add.message, Message::FlowMod(flow_mod) if flow_mod.flow == *flow));
        adds.push(*xid);
    }
    let [(barrier, Message::BarrierRequest)] = sent[count + 1..] else { panic!("no barrier") };
    Run { connection, bundle, open: *open, adds, barrier }
}

impl Run {
    /// The switch says something.
    fn hear(&mut self, xid: Xid, message: &Message) -> Option<Result<(), BundleError>> {
        assert!(self.bundle.owns(xid));
        self.connection.handle_input(&encode(xid.0, message), Duration::ZERO);
        let event = self.connection.poll_event().unwrap();
        self.bundle.handle_event(&mut self.connection, &event)
    }

    fn control(&mut self, xid: Xid, kind: BundleControlKind) -> Option<Result<(), BundleError>> {
        self.hear(xid, &Message::BundleControl(BundleControl { id: 5, kind, flags: BundleFlags::NONE }))
    }

    /// The one message that went out now: its xid and what it asks for.
    fn asked(&mut self) -> (Xid, BundleControlKind) {
        match sent(&mut self.connection)[..] {
            [(xid, Message::BundleControl(BundleControl { id: 5, kind, .. }))] => (xid, kind),
            ref other => panic!("{other:?}"),
        }
    }
}

fn error(kind: u16, code: u16) -> ErrorMessage {
    ErrorMessage { kind, code, experimenter: None, data: vec![] }
}

fn onf(code: u16) -> ErrorMessage {
    ErrorMessage { kind: 0xffff, code, experimenter: Some(ONF), data: vec![] }
}

#[test]
fn open_additions_barrier_then_commit() {
    let mut run = start(3);
    assert_eq!(run.control(run.open, BundleControlKind::OpenReply), None);
    assert_eq!(run.hear(run.barrier, &Message::BarrierReply), None);
    let (commit, kind) = run.asked();
    assert_eq!(kind, BundleControlKind::CommitRequest);
    assert_eq!(run.control(commit, BundleControlKind::CommitReply), Some(Ok(())));
}

#[test]
fn a_refused_addition_means_discard() {
    let mut run = start(3);
    run.control(run.open, BundleControlKind::OpenReply);
    assert_eq!(run.hear(run.adds[1], &Message::Error(error(4, 9))), None);
    assert_eq!(run.hear(run.adds[2], &Message::Error(error(4, 10))), None);
    assert_eq!(run.hear(run.barrier, &Message::BarrierReply), None);
    let (discard, kind) = run.asked();
    assert_eq!(kind, BundleControlKind::DiscardRequest);
    let Some(Err(failure)) = run.control(discard, BundleControlKind::DiscardReply) else {
        panic!("no verdict")
    };
    assert_eq!(
        failure.to_string(),
        "switch refused 2 of the bundle's changes, first change 1: BAD_MATCH/BAD_PREREQ"
    );
    let BundleError::Refused(refusals) = failure else { panic!("{failure:?}") };
    assert_eq!(refusals.iter().map(|refusal| refusal.index).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_commit_that_fails_names_the_change() {
    let mut run = start(3);
    run.control(run.open, BundleControlKind::OpenReply);
    run.hear(run.barrier, &Message::BarrierReply);
    let (commit, _) = run.asked();
    assert_eq!(run.hear(run.adds[2], &Message::Error(error(2, 9))), None);
    let Some(Err(BundleError::Refused(refusals))) = run.hear(commit, &Message::Error(onf(2313))) else {
        panic!("no verdict")
    };
    assert_eq!((refusals.len(), refusals[0].index), (1, 2));
    assert!(sent(&mut run.connection).is_empty());
}

#[test]
fn a_bundle_that_cannot_be_opened_is_discarded() {
    let mut run = start(1);
    assert_eq!(run.hear(run.open, &Message::Error(onf(2302))), None);
    run.hear(run.barrier, &Message::BarrierReply);
    let (discard, kind) = run.asked();
    assert_eq!(kind, BundleControlKind::DiscardRequest);
    // The bundle may be gone already; the first error is the one that says why.
    let verdict = run.hear(discard, &Message::Error(onf(2306)));
    assert_eq!(verdict, Some(Err(BundleError::Failed(onf(2302)))));
}

#[test]
fn a_bundle_that_timed_out_says_so() {
    let mut run = start(1);
    run.control(run.open, BundleControlKind::OpenReply);
    run.hear(run.barrier, &Message::BarrierReply);
    let (commit, _) = run.asked();
    // Open vSwitch drops an idle bundle after 10 s, with an error under the xid of OPEN.
    assert_eq!(run.hear(run.open, &Message::Error(onf(2314))), None);
    let verdict = run.hear(commit, &Message::Error(onf(2302)));
    assert_eq!(verdict, Some(Err(BundleError::Failed(onf(2314)))));
}

#[test]
fn a_switch_without_bundles_fails_the_bundle() {
    let mut run = start(1);
    run.hear(run.open, &Message::Error(error(1, 3)));
    run.hear(run.adds[0], &Message::Error(error(1, 3)));
    run.hear(run.barrier, &Message::BarrierReply);
    let (discard, _) = run.asked();
    assert!(matches!(run.hear(discard, &Message::Error(error(1, 3))), Some(Err(BundleError::Refused(_)))));
}

#[test]
fn other_events_are_not_for_a_bundle() {
    let mut run = start(1);
    let other = run.connection.send(&Message::BarrierRequest).unwrap();
    assert!(!run.bundle.owns(other) && !run.bundle.owns(Xid(0)));
    let event = Event::Error { xid: other, error: error(1, 1) };
    assert_eq!(run.bundle.handle_event(&mut run.connection, &event), None);
    run.connection.take_output();
    run.hear(run.barrier, &Message::BarrierReply);
    assert_eq!(run.asked().1, BundleControlKind::CommitRequest);
}

#[test]
fn a_change_without_encoding_leaves_nothing_behind() {
    let mut connection = ready();
    let good = samples::flows().swap_remove(0);
    let group = samples::groups().swap_remove(0);
    let too_big = FieldMatch { field: Field::VlanPcp, value: 9, mask: None };
    let bad =
        Flow { instructions: vec![Instruction::Apply(vec![Action::SetField(too_big)])], ..good.clone() };
    let changes = [Change::Group { command: GroupModCommand::Add, group: &group }, add(&good), add(&bad)];
    let (index, _) = Bundle::start(&mut connection, 5, changes).unwrap_err();
    assert_eq!(index, 2);
    assert!(connection.take_output().is_empty());
}
