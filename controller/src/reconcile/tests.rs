//! The algebra of plans, on a table that behaves as a switch does.

use super::{FlowKey, Observed, Op, Plan, Touched, diff, repair};
use crate::compile::{EncodedFlow, Meter};
use openflow::{
    Action, Bucket, Field, Flow, Group, GroupId, GroupType, Instruction, Match, MeterId, TableId,
    message::{FlowUpdate, MeterModCommand, MonitoredFlow},
    raw::{RawFlow, RawFlowStats},
};
use packet::OfPort;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers for a few flows that collide often.
type Seed = (u8, u8, u8);

/// A flow of one of 2 tables, 2 priorities, 4 matches; 4 cookies, 2 rounds; 3 kinds of instructions, one with a group.
fn flow((key, cookie, body): Seed) -> EncodedFlow {
    let actions = match body % 3 {
        0 => vec![Action::output(OfPort(1))],
        1 => vec![Action::output(OfPort(2))],
        _ => vec![Action::Group(GroupId(u32::from(body / 3) % 3))],
    };
    EncodedFlow::new(&Flow {
        table: TableId(key & 1),
        priority: 100 + u16::from(key >> 1 & 1),
        cookie: u64::from(cookie & 3) | u64::from(cookie >> 2 & 1) << 48,
        matching: Match::new().with(Field::Reg(3), u32::from(key >> 2 & 3)),
        instructions: vec![Instruction::Apply(actions)],
    })
    .unwrap()
}

fn group(id: u8, body: u8) -> Group {
    let bucket = |port: u32| Bucket { weight: 1, actions: vec![Action::output(OfPort(port))] };
    let buckets = (0..=u32::from(body % 2)).map(bucket).collect();
    Group { id: GroupId(u32::from(id) % 5), kind: GroupType::Select, buckets }
}

/// One flow a key.
fn distinct(flows: Vec<EncodedFlow>) -> BTreeMap<FlowKey, EncodedFlow> {
    flows.into_iter().map(|flow| (FlowKey::from(&flow), flow)).collect()
}

fn groups_of(seeds: &[(u8, u8)]) -> BTreeMap<GroupId, Group> {
    seeds.iter().map(|(id, body)| group(*id, *body)).map(|group| (group.id, group)).collect()
}

/// Groups that some flow uses, so that there is never a flow whose group is not there.
fn with_used_groups(
    flows: &BTreeMap<FlowKey, EncodedFlow>,
    mut groups: BTreeMap<GroupId, Group>,
) -> BTreeMap<GroupId, Group> {
    for id in flows.values().filter_map(used_group) {
        groups.entry(id).or_insert_with(|| Group { id, ..group(0, 0) });
    }
    groups
}

fn used_group(flow: &EncodedFlow) -> Option<GroupId> {
    match flow.raw().decode().unwrap().instructions.as_slice() {
        [Instruction::Apply(actions)] => match actions.as_slice() {
            [Action::Group(id)] => Some(*id),
            _ => None,
        },
        _ => None,
    }
}

/// A switch: refuses a flow whose group is not there, and deletes flows with their group.
#[derive(Debug, Clone, Default)]
struct Table {
    flows: BTreeMap<FlowKey, EncodedFlow>,
    groups: BTreeMap<GroupId, Group>,
}

impl Table {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::PutGroup(group) => {
                self.groups.insert(group.id, group.clone());
            }
            Op::PutFlow(flow) => {
                if let Some(group) = used_group(flow) {
                    assert!(self.groups.contains_key(&group), "flow added before its group");
                }
                self.flows.insert(FlowKey::from(flow), flow.clone());
            }
            Op::DeleteFlow(key) => {
                self.flows.remove(key);
            }
            Op::DeleteGroup(id) => {
                self.groups.remove(id);
                self.flows.retain(|_, flow| used_group(flow) != Some(*id));
            }
        }
    }

    fn plan(&self, desired: &Self) -> Plan {
        let observed = Observed { groups: self.groups.values().cloned().collect(), meters: Vec::new() };
        diff(desired.flows.values(), desired.groups.values(), &[], self.flows.values().map(stats), &observed)
    }

    /// Flows without their round, and groups: what must be equal in the end.
    #[expect(clippy::type_complexity, reason = "said once, and only here")]
    fn meaning(&self) -> (BTreeMap<&FlowKey, (u64, &[u8])>, &BTreeMap<GroupId, Group>) {
        let flows = self
            .flows
            .iter()
            .map(|(key, flow)| (key, (diff::unit_bits(flow.cookie()), flow.instruction_bytes())));
        (flows.collect(), &self.groups)
    }
}

fn stats(flow: &EncodedFlow) -> RawFlowStats<'_> {
    RawFlowStats {
        flow: flow.raw(),
        idle_timeout: 0,
        hard_timeout: 0,
        flags: 0,
        packet_count: 0,
        byte_count: 0,
    }
}

fn table(flows: &[Seed], groups: &[(u8, u8)]) -> Table {
    let flows = distinct(flows.iter().copied().map(flow).collect());
    let groups = with_used_groups(&flows, groups_of(groups));
    Table { flows, groups }
}

type TableSeed = (Vec<Seed>, Vec<(u8, u8)>);

#[test]
fn a_plan_leads_from_any_state_to_the_desired_one_and_never_loses_what_stays() {
    bolero::check!().with_type::<(TableSeed, TableSeed)>().for_each(
        |((flows, groups), (want_flows, want_groups))| {
            let mut switch = table(flows, groups);
            let desired = table(want_flows, want_groups);
            let stays: BTreeSet<FlowKey> =
                switch.flows.keys().filter(|key| desired.flows.contains_key(*key)).cloned().collect();

            let plan = switch.plan(&desired);
            for op in &plan.ops {
                switch.apply(op);
                assert!(
                    stays.iter().all(|key| switch.flows.contains_key(key)),
                    "{op:?} lost a flow that stays"
                );
            }
            assert_eq!(switch.meaning(), desired.meaning());
            assert!(switch.plan(&desired).is_empty(), "a converged switch needs nothing");
        },
    );
}

#[test]
fn nothing_goes_before_everything_new_is_there() {
    bolero::check!().with_type::<(TableSeed, TableSeed)>().for_each(
        |((flows, groups), (want_flows, want_groups))| {
            let plan = table(flows, groups).plan(&table(want_flows, want_groups));
            assert!(plan.ops.is_sorted_by_key(Op::is_delete));
        },
    );
}

#[test]
fn a_plan_from_an_old_observation_applied_in_turn_with_changes_converges() {
    // Observed, then changed to `middle` and to `desired`; the plan made of the old observation comes last.
    bolero::check!().with_type::<[TableSeed; 3]>().for_each(|[old, middle, desired]| {
        let [old, middle, desired] = [old, middle, desired].map(|(flows, groups)| table(flows, groups));
        let mut switch = old.clone();
        let late = old.plan(&desired);
        for plan in [old.plan(&middle), middle.plan(&desired), late] {
            plan.ops.iter().for_each(|op| switch.apply(op));
        }
        assert_eq!(switch.meaning(), desired.meaning());
    });
}

#[test]
fn repair_undoes_whatever_was_done_to_flows() {
    bolero::check!().with_type::<(TableSeed, Vec<(Seed, bool)>)>().for_each(|((flows, groups), meddling)| {
        // Every group there is, since a repair is about flows only.
        let groups: Vec<_> = groups.iter().copied().chain((0..5).map(|id| (id, 0))).collect();
        let desired = table(flows, &groups);
        let mut switch = desired.clone();
        let mut touched = Touched::default();
        for (seed, delete) in meddling {
            let flow = flow(*seed);
            let event =
                MonitoredFlow { flow: flow.raw().decode().unwrap(), idle_timeout: 0, hard_timeout: 0 };
            let event = if *delete {
                switch.apply(&Op::DeleteFlow(FlowKey::from(&flow)));
                FlowUpdate::Removed { flow: event, reason: 0 }
            } else {
                switch.apply(&Op::PutFlow(flow));
                FlowUpdate::Added(event)
            };
            assert!(touched.note(&event));
        }
        let plan = repair(desired.flows.values(), &touched);
        plan.ops.iter().for_each(|op| switch.apply(op));
        assert_eq!(switch.meaning(), desired.meaning());
    });
}

#[test]
fn a_flow_that_will_time_out_is_replaced() {
    let desired = table(&[(0, 0, 0)], &[]);
    let seen = stats(desired.flows.values().next().unwrap());
    let plan = |stats| diff(desired.flows.values(), [], &[], [stats], &Observed::default());
    assert!(plan(seen).is_empty());
    for stats in [
        RawFlowStats { idle_timeout: 1, ..seen },
        RawFlowStats { hard_timeout: 1, ..seen },
        RawFlowStats { flags: 1, ..seen },
    ] {
        assert!(matches!(plan(stats).ops.as_slice(), [Op::PutFlow(_)]));
    }

    let flow = seen.flow.decode().unwrap();
    let mut touched = Touched::default();
    assert!(touched.note(&FlowUpdate::Modified(MonitoredFlow { flow, idle_timeout: 0, hard_timeout: 9 })));
    assert!(matches!(repair(desired.flows.values(), &touched).ops.as_slice(), [Op::PutFlow(_)]));
}

#[test]
fn other_bytes_with_the_same_meaning_are_no_difference() {
    let flow = EncodedFlow::new(&Flow {
        table: TableId(0),
        priority: 1,
        cookie: 7,
        matching: Match::new().with(Field::EthType, 0x0800_u16).with(Field::IpProto, 6_u8),
        instructions: vec![],
    })
    .unwrap();
    // The same two fields, each under a mask that covers all of it (OpenFlow 1.3.5, 7.2.3.5 calls that exact).
    let matching = [
        [0, 1, 0, 4 + 8 + 6].as_slice(),
        &[0x80, 0, 5 << 1 | 1, 4, 0x08, 0x00, 0xff, 0xff],
        &[0x80, 0, 10 << 1 | 1, 2, 6, 0xff],
        &[0; 6],
    ]
    .concat();
    let raw = RawFlow { matching: &matching, ..flow.raw() };
    let seen = RawFlowStats { flow: raw, ..stats(&flow) };
    assert!(diff([&flow], [], &[], [seen], &Observed::default()).is_empty());
}

#[test]
fn what_cannot_be_decoded_is_foreign_and_deleted_by_its_own_bytes() {
    let matching = [0, 1, 0, 8, 0x80, 0x00, 0x0b, 0xff];
    let raw =
        RawFlow { table: TableId(9), priority: 1, cookie: 0, matching: &matching, instructions: &[1, 2, 3] };
    let seen = RawFlowStats { flow: raw, ..stats(&flow((0, 0, 0))) };
    let plan = diff([], [], &[], [seen], &Observed::default());
    assert!(matches!(plan.ops.as_slice(), [Op::DeleteFlow(key)] if *key.matching == matching));
}

#[test]
fn of_two_desired_flows_with_one_key_the_lower_cookie_wins_in_any_order() {
    let (low, high) = (flow((0, 1, 0)), flow((0, 2, 1)));
    for flows in [[&low, &high], [&high, &low]] {
        assert!(diff(flows, [], &[], [stats(&low)], &Observed::default()).is_empty());
        let plan = diff(flows, [], &[], [stats(&high)], &Observed::default());
        assert!(matches!(plan.ops.as_slice(), [Op::PutFlow(put)] if put.same_as(&low)));
    }
}

#[test]
fn meters_come_before_and_go_after_and_those_of_the_switch_stay() {
    let meter = |id, rate| Meter { id: MeterId(id), rate, burst: 10 };
    let seen =
        [meter(1, 100), meter(2, 99), meter(4, 1), meter(0xffff_fffe, 1)].map(Meter::to_openflow).into();
    let observed = Observed { groups: Vec::new(), meters: seen };
    let plan = diff([], [], &[meter(1, 100), meter(2, 100), meter(3, 100)], [], &observed);
    let puts: Vec<_> = plan.put_meters.iter().map(|put| (put.command, put.meter.id.0)).collect();
    assert_eq!(puts, [(MeterModCommand::Modify, 2), (MeterModCommand::Add, 3)]);
    assert_eq!(plan.delete_meters, [MeterId(4)]);
}
