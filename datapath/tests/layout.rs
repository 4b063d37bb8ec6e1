//! The records of the image have one layout in C and in Rust; so have the reasons one numbering.

use anyhow::{Context as _, Result, ensure};
use datapath::object::with_layouts;
use datapath::reason::Reason;
use fib::layout;
use libbpf_rs::btf::types::{Enum, MemberAttr, Struct};
use libbpf_rs::btf::{Btf, HasSize as _};

type Fields = &'static [(&'static str, usize, usize)];

/// C name, Rust fields, Rust size.
const RECORDS: [(&str, Fields, usize); 15] = [
    ("fib_header", layout::Header::FIELDS, size_of::<layout::Header>()),
    ("fib_section", layout::Section::FIELDS, size_of::<layout::Section>()),
    ("fib_bucket", layout::Bucket::FIELDS, size_of::<layout::Bucket>()),
    ("fib_bucket6", layout::Bucket6::FIELDS, size_of::<layout::Bucket6>()),
    ("fib_domain", layout::Domain::FIELDS, size_of::<layout::Domain>()),
    ("fib_inner", layout::Inner::FIELDS, size_of::<layout::Inner>()),
    ("fib_leaf", layout::Leaf::FIELDS, size_of::<layout::Leaf>()),
    ("fib_runs", layout::Runs::FIELDS, size_of::<layout::Runs>()),
    ("fib_adjacency", layout::AdjacencyRecord::FIELDS, size_of::<layout::AdjacencyRecord>()),
    ("fib_group", layout::GroupRecord::FIELDS, size_of::<layout::GroupRecord>()),
    ("fib_member", layout::MemberRecord::FIELDS, size_of::<layout::MemberRecord>()),
    ("fib_egress", layout::EgressRecord::FIELDS, size_of::<layout::EgressRecord>()),
    ("fib_port", layout::PortRecord::FIELDS, size_of::<layout::PortRecord>()),
    ("fib_network", layout::NetworkRecord::FIELDS, size_of::<layout::NetworkRecord>()),
    ("fib_router_port", layout::RouterPortRecord::FIELDS, size_of::<layout::RouterPortRecord>()),
];

fn btf() -> Result<Btf<'static>> {
    Btf::from_raw("layouts", with_layouts())?.context("the object has no BTF")
}

/// Name and offset of each member, in order.
fn members(record: &Struct<'_>) -> Result<Vec<(String, usize)>> {
    let one = |index| -> Result<_> {
        let member = record.get(index).context("a member without place")?;
        let MemberAttr::Normal { offset } = member.attr else { anyhow::bail!("a bit field") };
        Ok((
            member.name.context("a member without name")?.to_string_lossy().into_owned(),
            offset as usize / 8,
        ))
    };
    (0..record.len()).map(one).collect()
}

#[test]
fn records_have_the_same_layout_in_c() -> Result<()> {
    let btf = btf()?;
    for (name, fields, size) in RECORDS {
        let record: Struct<'_> = btf.type_by_name(name).with_context(|| format!("no {name} in C"))?;
        ensure!(record.size() == size, "{name} has {} bytes in C, {size} in Rust", record.size());
        let rust: Vec<(String, usize)> =
            fields.iter().map(|(field, offset, _)| ((*field).to_owned(), *offset)).collect();
        let c = members(&record)?;
        ensure!(c == rust, "{name}: C has {c:?}, Rust {rust:?}");
        // With equal offsets and an equal end, the sizes of all fields are equal where C pads nowhere.
        let ends = fields.iter().skip(1).map(|(_, offset, _)| *offset).chain([size]);
        for ((field, offset, bytes), end) in fields.iter().zip(ends) {
            ensure!(offset + bytes == end, "{name}.{field} leaves a gap");
        }
    }
    Ok(())
}

#[test]
fn reasons_have_the_same_numbers_in_c() -> Result<()> {
    let btf = btf()?;
    let reasons: Enum<'_> = btf.type_by_name("reason").context("no reasons in C")?;
    let mut c = Vec::new();
    for index in 0..reasons.len() {
        let member = reasons.get(index).context("a reason without place")?;
        let name = member.name.context("a reason without name")?.to_string_lossy().into_owned();
        c.push((name, member.value));
    }
    let last = c.pop();
    ensure!(last.as_ref().is_some_and(|(name, _)| name == "REASONS"), "the last is {last:?}");
    let rust: Vec<(String, i64)> = Reason::ALL
        .iter()
        .map(|reason| (format!("REASON_{}", reason.name()), i64::from(*reason as u32)))
        .collect();
    ensure!(c == rust, "C has {c:?}, Rust {rust:?}");
    Ok(())
}
