//! Flows as text: `ovs-ofctl`'s syntax with the names of our tables and register fields.

use super::bits;
use crate::{
    compile::View,
    model::{Kind, ObjectId},
    pipeline::{Category, Cookie, Table, UnitId, punt::IcmpReason, register},
};
use openflow::{Action, Field, Flow, Group, Instruction, Match, SubField, TableId};
use packet::MacAddr;

/// A table's name, or its number if it is none of ours.
pub fn table(id: TableId) -> String {
    name_of(id).map_or_else(|| id.0.to_string(), str::to_owned)
}

fn name_of(id: TableId) -> Option<&'static str> {
    Table::from_id(id).map(Table::name)
}

/// The object that a unit of flows was made for, if the model still has it; none for what every chassis has.
pub fn owner(view: &View, unit: UnitId) -> Option<ObjectId> {
    let kind = match unit.category {
        Category::Base => return None,
        Category::Network | Category::FloodPorts | Category::FloodTunnels => Kind::Network,
        Category::Port => Kind::Port,
        Category::Router => Kind::Router,
    };
    view.named(kind, unit.object).cloned()
}

/// Whose flow it is, for reading: "port web-1", or "port #7" if the model does not have it.
pub fn whose(view: &View, cookie: u64) -> String {
    let Some(Cookie { unit, .. }) = Cookie::from_bits(cookie) else { return format!("cookie {cookie:#x}") };
    match (owner(view, unit), unit.category) {
        (Some(object), Category::FloodPorts) => format!("{object}, ports slice {}", unit.part),
        (Some(object), Category::FloodTunnels) => format!("{object}, tunnels slice {}", unit.part),
        (Some(object), _) => object.to_string(),
        (None, _) => unit.to_string(),
    }
}

/// A match; empty for everything. Register fields come first.
pub fn matching(all: &Match) -> String {
    let mut parts = Vec::new();
    let mut rest = Match::new();
    for f in all.fields() {
        let mask = f.mask.unwrap_or(f.field.full_mask());
        let mut left = mask;
        let fields = register::ALL.iter().chain([&register::METER_BUCKET]);
        for named in fields.filter(|named| named.at.field == f.field) {
            let bits = bits::ones(named.at.bits) << named.at.offset;
            if left & bits == bits {
                left &= !bits;
                parts.push(format!("{}={}", named.name, value(*named, bits::cut(f.value, named.at))));
            }
        }
        if left != 0 {
            rest = rest.with_masked(f.field, f.value & left, left);
        }
    }
    if !rest.fields().is_empty() {
        parts.push(rest.to_string());
    }
    parts.extend(all.opaque().iter().map(|bytes| format!("unknown_field({bytes:02x?})")));
    parts.join(",")
}

/// The value of a register field, by name where its values have names.
fn value(field: register::RegField, value: u128) -> String {
    let value: u32 = bits::low(value);
    match field {
        register::SOURCE => match value {
            1 => "local".into(),
            2 => "tunnel".into(),
            3 => "provider".into(),
            other => other.to_string(),
        },
        register::ICMP_REASON => {
            IcmpReason::from_bits(value).map_or_else(|| value.to_string(), |r| reason(r).into())
        }
        _ => value.to_string(),
    }
}

const fn reason(reason: IcmpReason) -> &'static str {
    match reason {
        IcmpReason::TtlExceeded => "ttl_exceeded",
        IcmpReason::TooBig => "too_big",
        IcmpReason::NoRoute => "no_route",
        IcmpReason::NoHost => "no_host",
        IcmpReason::NoPort => "no_port",
    }
}

/// One action.
pub fn action(action: &Action) -> String {
    match action {
        Action::RegLoad { dst, value: bits } if *dst == register::ANSWER_MAC => {
            format!("answer_mac={}", MacAddr::from_u64(*bits))
        }
        Action::RegLoad { dst, value: bits } => match register::ALL.iter().find(|named| named.at == *dst) {
            Some(named) => format!("{}={}", named.name, value(*named, (*bits).into())),
            None => named(action),
        },
        _ => named(action),
    }
}

/// The text of `ovs-ofctl` with names for parts of registers, and fields called as in matches.
fn named(action: &Action) -> String {
    let mut text = action.with_names(&|id| name_of(id)).to_string();
    let rooms = [("answer_mac", register::ANSWER_MAC), ("swap", register::SWAP), ("swap6", register::SWAP6)];
    let fields = register::ALL.iter().map(|field| (field.name, field.at));
    let replace = |text: String, (name, at): (&str, SubField)| match at.field {
        Field::Reg(_) | Field::XReg(_) | Field::XxReg(_) => text.replace(&at.to_string(), name),
        _ => text,
    };
    text = rooms.into_iter().chain(fields).fold(text, replace);
    match action {
        Action::Move { .. } => {
            for noise in ["NXM_OF_", "NXM_NX_", "[]"] {
                text = text.replace(noise, "");
            }
            text.to_lowercase()
        }
        _ => text,
    }
}

/// Instructions, or "drop".
pub fn instructions(all: &[Instruction]) -> String {
    let text = |instruction: &Instruction| match instruction {
        Instruction::Apply(actions) => actions.iter().map(action).collect::<Vec<_>>().join(","),
        other => other.with_names(&|id| name_of(id)).to_string(),
    };
    if all.is_empty() { "drop".into() } else { all.iter().map(text).collect::<Vec<_>>().join(",") }
}

/// A flow in one line: table, priority, match, instructions, and whose it is.
pub fn flow(view: &View, flow: &Flow) -> String {
    let matching = match matching(&flow.matching) {
        all if all.is_empty() => all,
        some => format!(",{some}"),
    };
    let (table, what) = (table(flow.table), instructions(&flow.instructions));
    format!(
        "table={table}, priority={}{matching} actions={what}  # {}",
        flow.priority,
        whose(view, flow.cookie)
    )
}

/// A group in one line.
pub fn group(group: &Group) -> String {
    let bucket = |bucket: &openflow::Bucket| {
        let actions: Vec<String> = bucket.actions.iter().map(action).collect();
        format!("bucket=weight:{},actions={}", bucket.weight, actions.join(","))
    };
    let buckets: Vec<String> = group.buckets.iter().map(bucket).collect();
    let kind = match group.kind {
        openflow::GroupType::All => "all",
        openflow::GroupType::Select => "select",
        openflow::GroupType::Indirect => "indirect",
        openflow::GroupType::FastFailover => "fast_failover",
    };
    format!("group_id={},type={kind},{}", group.id.0, buckets.join(","))
}
