//! Sessions with the simulated switch, well and unwell. `tests/tests/openflow_session.rs` says the same of a real one.

use super::{
    ApplyError, RefusalReason, Session, SessionEnd, Switch, SwitchError, SwitchEvent, open,
    sim::{Faults, SimSwitch, Stage, group},
};
use crate::{
    compile::EncodedFlow,
    reconcile::{FlowKey, Op, Plan, diff},
};
use openflow::{Action, Config, Field, Flow, Group, GroupId, Instruction, Match, TableId, message::Role};
use packet::OfPort;
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, time::timeout};

const PATIENCE: Duration = Duration::from_secs(20);

fn flow(n: u32, actions: Vec<Action>) -> EncodedFlow {
    EncodedFlow::new(&Flow {
        table: TableId(1),
        priority: 7,
        cookie: n.into(),
        matching: Match::new().with(Field::Reg(1), n),
        instructions: vec![Instruction::Apply(actions)],
    })
    .unwrap()
}

fn put(n: u32) -> Op {
    Op::PutFlow(flow(n, vec![Action::output(OfPort(n))]))
}

fn plan(ops: impl IntoIterator<Item = Op>) -> Arc<Plan> {
    Arc::new(Plan { ops: ops.into_iter().collect(), ..Plan::default() })
}

async fn master(sim: &SimSwitch) -> Session {
    let session = sim.connect().await.unwrap();
    session.switch.claim(1).await.unwrap();
    session
}

async fn flow_count(switch: &Switch) -> usize {
    switch.dump().await.unwrap().flows().count()
}

#[tokio::test]
async fn what_is_written_is_read_back_in_many_parts() {
    let sim = SimSwitch::new(1);
    let switch = master(&sim).await.switch;
    let flows: Vec<_> = (0..1000).map(|n| flow(n, vec![Action::Group(GroupId(n % 3))])).collect();
    let groups: Vec<Group> = (0..3).map(group).collect();
    let puts = groups.iter().cloned().map(Op::PutGroup).chain(flows.iter().cloned().map(Op::PutFlow));
    switch.apply(&plan(puts)).await.unwrap();
    assert_eq!(sim.commits(), 1);
    let dump = switch.dump().await.unwrap();
    assert!(diff(&flows, &groups, &[], dump.flows(), &dump.observed).is_empty());

    let rest = diff(&flows[..10], &groups, &[], dump.flows(), &dump.observed);
    assert_eq!(rest.counts(), (0, 990));
    switch.apply(&Arc::new(rest)).await.unwrap();
    assert_eq!(flow_count(&switch).await, 10);
}

#[tokio::test]
async fn a_refused_flow_discards_the_bundle_whenever_it_is_refused() {
    let sim = SimSwitch::new(1);
    let switch = master(&sim).await.switch;
    for stage in [Stage::Add, Stage::Commit] {
        let refuse = move |flow: &Flow| [3, 5].contains(&flow.cookie).then_some(stage);
        sim.set_faults(Faults { refuse: Some(Box::new(refuse)), ..Faults::default() });
        let refused = switch.apply(&plan((0..8).map(put))).await;
        let Err(ApplyError::Refused(refusals)) = refused else { panic!("{refused:?}") };
        let indexes: Vec<_> = refusals.iter().map(|refusal| refusal.index).collect();
        // A commit names only the first culprit.
        assert_eq!(indexes, if stage == Stage::Add { vec![3, 5] } else { vec![3] });
        assert!(matches!(refusals[0].why, RefusalReason::Switch(_)));
        assert_eq!((sim.commits(), flow_count(&switch).await), (0, 0));
    }
}

#[tokio::test]
async fn what_fits_into_no_message_is_refused_without_being_sent() {
    let sim = SimSwitch::new(1);
    let switch = master(&sim).await.switch;
    let key = FlowKey { table: TableId(1), priority: 1, matching: vec![0; 65_536].into() };
    let refused = switch.apply(&plan([put(1), Op::DeleteFlow(key), put(2)])).await;
    let Err(ApplyError::Refused(refusals)) = refused else { panic!("{refused:?}") };
    assert!(
        matches!(refusals.as_slice(), [one] if one.index == 1 && matches!(one.why, RefusalReason::Encode(_)))
    );
    assert_eq!(sim.commits(), 0);
}

#[tokio::test]
async fn bundles_asked_for_at_once_are_applied_in_turn() {
    let sim = SimSwitch::new(1);
    let switch = master(&sim).await.switch;
    let plans: Vec<_> =
        (0..20).map(|n| plan([put(1), Op::PutFlow(flow(1, vec![Action::output(OfPort(n))]))])).collect();
    let all = plans.iter().map(|plan| switch.apply(plan));
    for done in futures::future::join_all(all).await {
        done.unwrap();
    }
    let flows = sim.tables().flows;
    let last = flow(1, vec![Action::output(OfPort(19))]);
    assert!(EncodedFlow::new(flows.values().next().unwrap()).unwrap().same_as(&last));
    assert_eq!((flows.len(), sim.commits()), (1, 20));
}

#[tokio::test]
async fn a_generation_that_lies_behind_is_raised_and_the_loser_is_told() {
    let sim = SimSwitch::new(1);
    let mut old = sim.connect().await.unwrap();
    assert_eq!(old.switch.claim(22).await.unwrap(), 22);
    let new = sim.connect().await.unwrap();
    assert_eq!(new.switch.claim(3).await.unwrap(), 23);
    let told = timeout(PATIENCE, old.events.recv()).await.unwrap();
    assert!(matches!(told, Some(SwitchEvent::Role(Role::Slave))), "{told:?}");
    assert_eq!(old.switch.apply(&plan([put(1)])).await, Err(ApplyError::NotMaster));
    new.switch.apply(&plan([put(1)])).await.unwrap();
}

#[tokio::test]
async fn a_switch_may_close_at_any_moment_and_everybody_who_waits_is_told() {
    let sim = SimSwitch::new(1);
    for messages in 0..30 {
        let session = master(&sim).await;
        sim.set_faults(Faults { close_after: Some(messages), ..Faults::default() });
        let work = async {
            session.switch.dump().await?;
            session.switch.apply(&plan((0..30).map(put))).await
        };
        let done = timeout(PATIENCE, work).await.unwrap();
        assert_eq!(done, Err(ApplyError::Switch(SwitchError::Closed)));
        assert_eq!(timeout(PATIENCE, session.ended).await.unwrap(), Ok(SessionEnd::Peer));
        assert_eq!(sim.commits(), 0, "half a bundle was applied");
    }
}

#[tokio::test]
async fn a_session_ends_when_nobody_holds_it() {
    let sim = SimSwitch::new(1);
    let session = master(&sim).await;
    drop(session.switch);
    assert_eq!(timeout(PATIENCE, session.ended).await.unwrap(), Ok(SessionEnd::Dropped));
}

#[tokio::test]
async fn a_slow_switch_is_waited_for_and_a_dead_one_is_not() {
    let config = Config {
        echo_idle: Duration::from_millis(100),
        echo_timeout: Duration::from_millis(300),
        ..Config::default()
    };
    let sim = SimSwitch::new(1);
    let session = open(sim.stream(), "sim", config).await.unwrap();
    session.switch.claim(1).await.unwrap();
    sim.set_faults(Faults { delay: Duration::from_millis(10), ..Faults::default() });
    session.switch.apply(&plan((0..20).map(put))).await.unwrap();

    sim.set_faults(Faults { delay: Duration::from_secs(3600), ..Faults::default() });
    let end = timeout(PATIENCE, session.ended).await.unwrap().unwrap();
    assert!(matches!(end, SessionEnd::Protocol(openflow::CloseReason::EchoTimeout(_))), "{end:?}");
}

#[tokio::test]
async fn who_does_not_speak_openflow_gets_no_session() {
    let config = Config { handshake_timeout: Duration::from_millis(50), ..Config::default() };
    let silent = tokio::io::duplex(64);
    let end = open(Box::new(silent.0), "silent", config).await.unwrap_err();
    assert!(matches!(end, SessionEnd::Protocol(openflow::CloseReason::HandshakeTimeout(_))), "{end:?}");

    let (ours, mut theirs) = tokio::io::duplex(1024);
    theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(open(Box::new(ours), "browser", Config::default()).await.is_err());
}
