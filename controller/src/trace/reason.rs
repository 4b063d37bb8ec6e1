//! Why a packet ended where it did, in words.

use super::{
    fabric::Visit,
    show,
    switch::{Effect, Step},
};
use crate::{compile::View, model::ObjectKey, pipeline::Table};
use openflow::Field;

/// The table in which a packet that left nothing behind was dropped, and why.
pub(super) fn of_drop(view: &View, visit: &Visit) -> (Option<String>, String) {
    let last = last_step(&visit.run.steps);
    let table = last.map(|step| show::table(step.table));
    if let Some(fault) = visit.run.fault {
        return (table, fault.to_string());
    }
    let Some(step) = last else { return (None, "the switch has no tables".into()) };
    let stopped = step.did.iter().rev().find_map(|did| match did.effect {
        Effect::Nothing(why) => Some(why),
        _ => None,
    });
    let reason = match (&step.flow, stopped) {
        (Some(_), Some(why)) => why.to_owned(),
        (flow, _) => {
            let why = of_table(view, visit, step);
            match flow {
                Some(flow) => format!("{why} (flow of {})", show::whose(view, flow.cookie)),
                None => why,
            }
        }
    };
    (table, reason)
}

/// The step that a packet met last.
fn last_step(steps: &[Step]) -> Option<&Step> {
    let step = steps.last()?;
    let inner = step.did.iter().rev().find_map(|did| match &did.effect {
        Effect::Looked(steps) => last_step(steps),
        Effect::Bucket { did, .. } => did.iter().rev().find_map(|did| match &did.effect {
            Effect::Looked(steps) => last_step(steps),
            _ => None,
        }),
        _ => None,
    });
    inner.or(Some(step))
}

/// What it means to be dropped in a table.
fn of_table(view: &View, visit: &Visit, step: &Step) -> String {
    let text = match Table::from_id(step.table) {
        Some(Table::LsInAdmission) => match visit.by {
            super::fabric::Door::Port(_) => "the port may not send from this MAC, or with this tag",
            _ => "no port of this chassis is on the network",
        },
        Some(Table::LsInPortSecIp) => "port security: the port may not send from this address",
        Some(Table::LsInPortSecNd) => "port security: the port may not say this of its neighbours",
        Some(Table::LrInIpInput) => "addresses of this kind do not pass a router",
        Some(Table::LrOutIcmpError) => "no error is sent about an error or a later fragment",
        Some(Table::LsInL2Lkup) => return nobody_has(view, step),
        Some(Table::LsOutFlood | Table::LsOutPort) => "nobody else is on the network here",
        Some(Table::LsOutProvider) => "this chassis is not attached to the physical network",
        _ if step.flow.is_some() => "its flow drops",
        _ => "no flow matches",
    };
    text.to_owned()
}

fn nobody_has(view: &View, step: &Step) -> String {
    let network = step.looked_for(crate::pipeline::register::NET.at.field);
    let network = view.network_named(ObjectKey(super::bits::low(network)));
    let network = network.map_or_else(|| "its network".to_owned(), |net| format!("network {}", net.spec.id));
    let mac = packet::MacAddr::from_u64(super::bits::low(step.looked_for(Field::EthDst)));
    format!("nobody on {network} that can be reached from here has {mac}")
}

/// An error with what caused it.
pub(super) fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", with_source(source)),
        None => error.to_string(),
    }
}
