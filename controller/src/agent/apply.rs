//! Applies plans although a switch may refuse parts of them.

use crate::{
    pipeline::{Cookie, UnitId},
    reconcile::{Op, Plan},
    southbound::openflow::{ApplyError, Refusal, Switch},
};
use openflow::message::MeterMod;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Bundles that are tried before each object gets one of its own. A switch that fails to commit names one culprit at a
/// time, and every attempt costs the whole bundle.
const ATTEMPTS: usize = 8;

/// A step that the switch refused.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) what: Op,
    pub(super) why: String,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Flows, groups and meters added or changed, and deleted.
    pub(super) adds: usize,
    pub(super) deletes: usize,
    /// What the switch refused, first of each object; nothing else of these objects was added or changed.
    pub(super) refused: Vec<Refused>,
}

/// Applies a plan without what the switch refuses.
pub(super) async fn apply(switch: &Switch, plan: Plan) -> Result<Applied, ApplyError> {
    let mut applied = Applied::default();
    let Plan { put_meters, ops, delete_meters } = plan;
    let meters = Plan { put_meters, ops: Vec::new(), delete_meters: Vec::new() };
    (applied.adds, _) = meters.counts();
    change_meters(switch, meters).await?;

    apply_ops(switch, ops, &mut applied).await?;

    let meters = Plan { put_meters: Vec::<MeterMod>::new(), ops: Vec::new(), delete_meters };
    applied.deletes += meters.counts().1;
    change_meters(switch, meters).await?;
    Ok(applied)
}

/// A refused meter is only logged: what needs it is refused in its turn, and named.
async fn change_meters(switch: &Switch, plan: Plan) -> Result<(), ApplyError> {
    for refused in switch.apply(&Arc::new(plan)).await? {
        tracing::warn!(meter = refused.meter.0, error = %refused.error, "the switch refused a meter");
    }
    Ok(())
}

async fn apply_ops(switch: &Switch, mut ops: Vec<Op>, applied: &mut Applied) -> Result<(), ApplyError> {
    for _ in 0..ATTEMPTS {
        match try_bundle(switch, ops, applied).await? {
            None => return Ok(()),
            Some(rest) => ops = rest,
        }
    }
    // In the order of the plan, each object on its own.
    for mut part in by_object(ops) {
        while let Some(rest) = try_bundle(switch, part, applied).await? {
            part = rest;
        }
    }
    Ok(())
}

/// One bundle; if the switch refuses some of it, nothing was done, and what is left without that comes back.
async fn try_bundle(
    switch: &Switch,
    ops: Vec<Op>,
    applied: &mut Applied,
) -> Result<Option<Vec<Op>>, ApplyError> {
    if ops.is_empty() {
        return Ok(None);
    }
    let plan = Arc::new(Plan { ops, ..Plan::default() });
    match switch.apply_ops(&plan).await {
        Ok(()) => {
            let (adds, deletes) = plan.counts();
            applied.adds += adds;
            applied.deletes += deletes;
            Ok(None)
        }
        Err(ApplyError::Refused(refusals)) if !refusals.is_empty() => {
            let ops = Arc::try_unwrap(plan).map_or_else(|shared| shared.ops.clone(), |plan| plan.ops);
            Ok(Some(without(ops, &refusals, applied)))
        }
        Err(err) => Err(err),
    }
}

/// What is left without the refused steps, and without other additions for the same objects.
fn without(ops: Vec<Op>, refusals: &[Refusal], applied: &mut Applied) -> Vec<Op> {
    let reasons: BTreeMap<usize, &Refusal> = refusals.iter().map(|r| (r.index, r)).collect();
    let refused_op = |refusal: &&Refusal| ops.get(refusal.index).and_then(unit_of);
    let units: BTreeSet<UnitId> = refusals.iter().filter_map(|refusal| refused_op(&refusal)).collect();
    let mut named = BTreeSet::new();
    let mut rest = Vec::with_capacity(ops.len());
    for (index, op) in ops.into_iter().enumerate() {
        let unit = unit_of(&op);
        match reasons.get(&index) {
            Some(refusal) => {
                if unit.is_none_or(|unit| named.insert(unit)) {
                    applied.refused.push(Refused { what: op, why: refusal.why.to_string() });
                }
            }
            None if unit.is_some_and(|unit| units.contains(&unit)) => {}
            None => rest.push(op),
        }
    }
    rest
}

/// For whom a flow is added.
fn unit_of(op: &Op) -> Option<UnitId> {
    match op {
        Op::PutFlow(flow) => Cookie::from_bits(flow.cookie()).map(|cookie| cookie.unit),
        Op::PutGroup(_) | Op::DeleteFlow(_) | Op::DeleteGroup(_) => None,
    }
}

/// Groups one by one, flows by the object they are for, deletions together.
fn by_object(ops: Vec<Op>) -> Vec<Vec<Op>> {
    let mut groups = Vec::new();
    let mut flows: BTreeMap<Option<UnitId>, Vec<Op>> = BTreeMap::new();
    let mut deletions = Vec::new();
    for op in ops {
        match op {
            Op::PutGroup(_) => groups.push(vec![op]),
            Op::PutFlow(_) => flows.entry(unit_of(&op)).or_default().push(op),
            Op::DeleteFlow(_) | Op::DeleteGroup(_) => deletions.push(op),
        }
    }
    groups.into_iter().chain(flows.into_values()).chain([deletions]).collect()
}
