//! `docs/fib-format.md` names every record, field, offset and size as the code has them, and nothing else.

use fib::layout::{
    AdjacencyRecord, GroupRecord, Header, MAGIC, MemberRecord, Route4, Route6, Section, VERSION, VrfRecord,
};

const PAGE: &str = include_str!("../../docs/fib-format.md");

/// The records that the page should have, as headings and field rows.
fn expected() -> Vec<String> {
    let mut lines = Vec::new();
    let mut record = |name: &str, size: usize, fields: &[(&str, usize, usize)]| {
        lines.push(format!("## {name}"));
        lines.extend(fields.iter().map(|(field, offset, size)| format!("| {offset} | {size} | `{field}` |")));
        lines.push(format!("Size: {size} bytes."));
    };
    record("Header", size_of::<Header>(), Header::FIELDS);
    record("Section", size_of::<Section>(), Section::FIELDS);
    record("VrfRecord", size_of::<VrfRecord>(), VrfRecord::FIELDS);
    record("Route4", size_of::<Route4>(), Route4::FIELDS);
    record("Route6", size_of::<Route6>(), Route6::FIELDS);
    record("AdjacencyRecord", size_of::<AdjacencyRecord>(), AdjacencyRecord::FIELDS);
    record("GroupRecord", size_of::<GroupRecord>(), GroupRecord::FIELDS);
    record("MemberRecord", size_of::<MemberRecord>(), MemberRecord::FIELDS);
    lines
}

#[test]
fn the_page_has_every_field_where_the_code_has_it() {
    let records = PAGE.split("## Next values").next().unwrap_or_default();
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
    let row = line.starts_with("| ") && !line.starts_with("| offset");
    row.then(|| line.split_inclusive('|').take(4).collect())
}

#[test]
fn an_empty_image_is_the_header_of_the_page() {
    let image = fib::build([], &fib::Tables::default(), 7, 9).unwrap();
    let mut want = MAGIC.to_vec();
    want.extend(VERSION.to_le_bytes());
    want.extend(96_u16.to_le_bytes());
    want.extend(6_u32.to_le_bytes());
    want.extend(96_u64.to_le_bytes());
    want.extend([0; 8]);
    want.extend(7_u64.to_le_bytes());
    want.extend(9_u64.to_le_bytes());
    want.extend([96, 0, 0, 0, 0, 0, 0, 0].repeat(6));
    fib::layout::seal(&mut want);
    assert_eq!(image, want);
}
