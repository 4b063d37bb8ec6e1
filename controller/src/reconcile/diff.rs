//! The whole of a switch against the whole of what it shall hold.

use super::plan::{FlowKey, Plan};
use crate::{
    compile::{EncodedFlow, Meter},
    pipeline::Cookie,
};
use openflow::{
    Group, GroupId, MeterId, TableId,
    message::{MeterFlags, MeterModCommand},
    raw::{RawFlow, RawFlowStats},
};
use std::collections::HashMap;

/// The greatest number of a meter proper (OFPM_MAX); those above belong to the switch.
const METER_MAX: u32 = 0xffff_0000;
/// The flags of a meter that change what it does to packets.
const METER_MEANING: u16 = MeterFlags::KBPS.0 | MeterFlags::PKTPS.0 | MeterFlags::BURST.0;

/// What a switch says it holds, but for its flows, which may be too many to keep.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Every group.
    pub groups: Vec<Group>,
    /// Every meter.
    pub meters: Vec<openflow::message::Meter>,
}

/// The flows that shall be there, by key, and whether they were seen.
#[derive(Default)]
struct Index<'a> {
    places: HashMap<(TableId, u16, &'a [u8]), usize>,
    wanted: Vec<Wanted<'a>>,
}

struct Wanted<'a> {
    flow: &'a EncodedFlow,
    seen: bool,
}

/// What to do so that a switch with these `seen` flows and `observed` groups and meters holds just the desired ones.
pub fn diff<'a, 'b>(
    flows: impl IntoIterator<Item = &'a EncodedFlow>,
    groups: impl IntoIterator<Item = &'a Group>,
    meters: &[Meter],
    seen: impl IntoIterator<Item = RawFlowStats<'b>>,
    observed: &Observed,
) -> Plan {
    let mut wanted = Index::of(flows);
    let mut put_flows = Vec::new();
    let mut delete_flows = Vec::new();
    for stats in seen {
        match wanted.judge(&stats) {
            Verdict::Right => {}
            Verdict::Wrong(flow) => put_flows.push(flow.clone()),
            Verdict::Foreign => delete_flows.push(FlowKey::from(&stats.flow)),
        }
    }
    put_flows.extend(wanted.missing().cloned());

    let (put_groups, delete_groups) = diff_groups(groups, &observed.groups);
    let mut plan = Plan::ordered(put_groups, put_flows, delete_flows, delete_groups);
    diff_meters(meters, &observed.meters, &mut plan);
    plan
}

enum Verdict<'a> {
    Right,
    Wrong(&'a EncodedFlow),
    Foreign,
}

impl<'a> Index<'a> {
    /// Of two flows with one key the one with the lower cookie stays, so that it is always the same.
    fn of(flows: impl IntoIterator<Item = &'a EncodedFlow>) -> Self {
        let mut index = Self::default();
        for flow in flows {
            let place = *index.places.entry(flow.key()).or_insert(index.wanted.len());
            match index.wanted.get_mut(place) {
                None => index.wanted.push(Wanted { flow, seen: false }),
                Some(other) if unit_bits(flow.cookie()) < unit_bits(other.flow.cookie()) => other.flow = flow,
                Some(_) => {}
            }
        }
        index
    }

    /// Finds the flow of a key and notes that it was seen.
    fn see(&mut self, key: (TableId, u16, &[u8])) -> Option<&'a EncodedFlow> {
        let wanted = self.wanted.get_mut(*self.places.get(&key)?)?;
        wanted.seen = true;
        Some(wanted.flow)
    }

    /// Compares one flow of the switch with what shall be there, as bytes first, since those of a flow that we wrote
    /// are equal; only what seems other is decoded, and judged by its canonical form.
    fn judge(&mut self, stats: &RawFlowStats<'_>) -> Verdict<'a> {
        let raw = &stats.flow;
        // A timeout or a flag (flow-removed messages, no counters) is a difference although the rest agrees.
        let permanent = stats.idle_timeout == 0 && stats.hard_timeout == 0 && stats.flags == 0;
        let (flow, right) = match self.see((raw.table, raw.priority, raw.matching)) {
            Some(flow) => (flow, same(flow, raw) || canonical(raw).is_some_and(|c| flow.same_as(&c))),
            None => {
                let Some(canonical) = canonical(raw) else { return Verdict::Foreign };
                let Some(flow) = self.see(canonical.key()) else { return Verdict::Foreign };
                (flow, flow.same_as(&canonical))
            }
        };
        if right && permanent { Verdict::Right } else { Verdict::Wrong(flow) }
    }

    /// What was not seen.
    fn missing(&self) -> impl Iterator<Item = &'a EncodedFlow> {
        self.wanted.iter().filter(|wanted| !wanted.seen).map(|wanted| wanted.flow)
    }
}

/// Keys are known to be equal: so are the rest? The round alone makes no difference.
fn same(flow: &EncodedFlow, raw: &RawFlow<'_>) -> bool {
    flow.instruction_bytes() == raw.instructions && unit_bits(flow.cookie()) == unit_bits(raw.cookie)
}

fn canonical(raw: &RawFlow<'_>) -> Option<EncodedFlow> {
    EncodedFlow::new(&raw.decode().ok()?).ok()
}

/// The cookie without the round.
pub(super) const fn unit_bits(cookie: u64) -> u64 {
    cookie & Cookie::UNIT_MASK
}

/// Groups to put, and groups to delete.
fn diff_groups<'a>(
    desired: impl IntoIterator<Item = &'a Group>,
    observed: &[Group],
) -> (Vec<Group>, Vec<GroupId>) {
    let mut seen: HashMap<GroupId, &Group> = observed.iter().map(|group| (group.id, group)).collect();
    let put = desired.into_iter().filter(|group| seen.remove(&group.id) != Some(*group)).cloned().collect();
    let mut delete: Vec<_> = seen.into_keys().collect();
    delete.sort_unstable();
    (put, delete)
}

fn diff_meters(desired: &[Meter], observed: &[openflow::message::Meter], plan: &mut Plan) {
    let mut seen: HashMap<MeterId, &openflow::message::Meter> =
        observed.iter().filter(|meter| meter.id.0 <= METER_MAX).map(|meter| (meter.id, meter)).collect();
    for meter in desired {
        let want = meter.to_openflow();
        match seen.remove(&meter.id) {
            None => plan.put_meters.push(meter.to_mod(MeterModCommand::Add)),
            Some(is) if is.bands == want.bands && (is.flags.0 ^ want.flags.0) & METER_MEANING == 0 => {}
            Some(_) => plan.put_meters.push(meter.to_mod(MeterModCommand::Modify)),
        }
    }
    plan.delete_meters.extend(seen.into_keys());
    plan.delete_meters.sort_unstable();
}
