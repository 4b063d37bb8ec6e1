//! `docs/pipeline.md` says what the code says.

use controller::pipeline::{Miss, Stage, Table, priority, register};
use openflow::Field;
use std::{env, fs, path::PathBuf};

fn tables() -> String {
    let mut rows = String::from("| no. | table | stage | on a miss | purpose |\n|---|---|---|---|---|\n");
    for table in Table::ALL {
        let stage = match table.stage() {
            Stage::SwitchIngress => "switch, ingress",
            Stage::RouterIngress => "router, ingress",
            Stage::RouterEgress => "router, egress",
            Stage::SwitchEgress => "switch, egress",
        };
        let miss = match table.miss() {
            // Declared as a drop; its flow for the miss is one of the base.
            Miss::Drop if *table == Table::LrInIpRouting => "ICMP error".to_owned(),
            Miss::Drop => "drop".to_owned(),
            Miss::Goto(next) => format!("`{next}`"),
        };
        let (id, purpose) = (table.id().0, table.purpose().trim());
        rows.push_str(&format!("| {id} | `{table}` | {stage} | {miss} | {purpose} |\n"));
    }
    rows
}

fn registers() -> String {
    let mut rows = String::from("| field | register | bits | meaning |\n|---|---|---|---|\n");
    for field in register::ALL {
        let Field::Reg(reg) = field.at.field else { panic!("a register field is in a register") };
        let (low, high) = (field.at.offset, field.at.offset + field.at.bits - 1);
        let bits = if low == high { low.to_string() } else { format!("{low} to {high}") };
        rows.push_str(&format!("| `{}` | {reg} | {bits} | {} |\n", field.name, field.purpose.trim()));
    }
    rows
}

fn priorities() -> String {
    let mut rows = String::from("| priority | name | for |\n|---|---|---|\n");
    for rank in priority::ALL {
        rows.push_str(&format!("| {} | `{}` | {} |\n", rank.priority, rank.name, rank.purpose.trim()));
    }
    rows
}

/// Replaces what stands between `<!-- name -->` and the next `<!-- end -->`.
fn fill(page: &str, name: &str, rows: &str) -> String {
    let marker = format!("<!-- {name} -->\n");
    let (before, rest) = page.split_once(&marker).unwrap_or_else(|| panic!("the page has no {marker}"));
    let (_, after) = rest.split_once("<!-- end -->").expect("every part of the page ends");
    format!("{before}{marker}{rows}<!-- end -->{after}")
}

#[test]
fn the_page_matches_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/pipeline.md");
    let page = fs::read_to_string(&path).unwrap();
    let parts = [("tables", tables()), ("registers", registers()), ("priorities", priorities())];
    let want = parts.iter().fold(page.clone(), |page, (name, rows)| fill(&page, name, rows));
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &want).unwrap();
    } else {
        assert!(page == want, "docs/pipeline.md is not what the code says: run the test with UPDATE_DOCS=1");
    }
}

/// The page names no table that there is not, and walks through every one.
#[test]
fn the_page_knows_every_table() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/pipeline.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, prose) = page.split_once("## Life of a packet").unwrap();
    for word in page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        let is_table = ["ls_in_", "ls_out_", "lr_in_", "lr_out_"].iter().any(|start| word.starts_with(start));
        assert!(!is_table || Table::ALL.iter().any(|table| table.name() == word), "there is no table {word}");
    }
    // The second of two tables that are one question: measured, then judged; answered, then completed.
    let implied = [Table::LrInLargerPkts, Table::LsOutNdAdvert];
    for table in Table::ALL.iter().filter(|table| !implied.contains(table)) {
        assert!(prose.contains(table.name()), "the page does not say when a packet meets {table}");
    }
}
