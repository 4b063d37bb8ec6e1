//! `docs/fib-format.md` names every record, field, offset and size as the code has them, and nothing else.

use fib::layout::{
    AdjacencyRecord, Bucket, Bucket6, Domain, EgressRecord, GroupRecord, Header, Inner, Leaf, MemberRecord,
    NetworkRecord, PortRecord, RouterPortRecord, Runs, Section,
};

const PAGE: &str = include_str!("../../docs/fib-format.md");

/// The records that the page should have, as headings and field rows.
fn expected() -> Vec<String> {
    let mut lines = Vec::new();
    macro_rules! records {
        ($($record:ident)*) => {$(
            lines.push(format!("## {}", stringify!($record)));
            let rows = $record::FIELDS.iter();
            lines.extend(rows.map(|(field, offset, size)| format!("| {offset} | {size} | `{field}` |")));
            lines.push(format!("Size: {} bytes.", size_of::<$record>()));
        )*};
    }
    records!(Header Section Bucket Bucket6 Domain Inner Leaf Runs AdjacencyRecord GroupRecord MemberRecord);
    records!(EgressRecord PortRecord NetworkRecord RouterPortRecord);
    lines
}

#[test]
fn the_page_has_every_field_where_the_code_has_it() {
    let records = PAGE.split("## Words").next().unwrap_or_default();
    let named: Vec<String> = records.lines().filter_map(outline).collect();
    assert_eq!(named, expected());
}

/// Headings, the first three columns of field rows, and sizes; nothing for other lines.
fn outline(line: &str) -> Option<String> {
    if line.starts_with("## ") {
        return Some(line.into());
    }
    if line.starts_with("Size: ") {
        return Some(line.split_inclusive('.').next()?.into());
    }
    let mut columns = line.split('|').map(str::trim);
    let is_field = columns.nth(3).is_some_and(|field| field.starts_with('`') && field.ends_with('`'));
    is_field.then(|| line.split_inclusive('|').take(4).collect())
}
