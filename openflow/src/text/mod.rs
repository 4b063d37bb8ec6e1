//! Vocabulary as text, in the syntax of `ovs-ofctl dump-flows` (`ovs-ofctl(8)`, `ovs-actions(7)`, `ovs-fields(7)`).
//!
//! Numbers of tables can be given names ([`Flow::with_names`](crate::Flow::with_names)), which makes tables of
//! expected flows readable; without names the text is what `ovs-ofctl` itself prints and reads.

mod action;
mod matching;
mod value;

use crate::flow::{Flow, Instruction, TableId};
use std::fmt;

/// Finds the name of a table; `None` prints its number.
pub type TableNames<'a> = &'a dyn Fn(TableId) -> Option<&'a str>;

const NUMBERS: TableNames<'static> = &|_| None;

/// Something together with the names of tables; prints by `Display`.
pub struct WithNames<'a, T> {
    item: &'a T,
    names: TableNames<'a>,
}

impl<T: fmt::Debug> fmt::Debug for WithNames<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.item.fmt(f)
    }
}

/// The text of something with the names of tables filled in.
trait Named {
    fn write(&self, names: TableNames<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<T: Named> fmt::Display for WithNames<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.item.write(self.names, f)
    }
}

macro_rules! named {
    ($($(#[$doc:meta])* $ty:ty),+ $(,)?) => { $(
        impl $ty {
            /// This with names for tables.
            pub const fn with_names<'a>(&'a self, names: TableNames<'a>) -> WithNames<'a, Self> {
                WithNames { item: self, names }
            }
        }

        $(#[$doc])*
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.write(NUMBERS, f)
            }
        }
    )+ };
}

named! {
    /// As in `cookie=0x1, table=3, priority=100,ip,nw_dst=10.0.0.0/8 actions=dec_ttl,goto_table:4`.
    Flow,
    /// As in `write_actions(group:1)`; apply-actions are just their actions.
    Instruction,
    /// As in `resubmit(,3)`.
    crate::action::Action,
}

impl Named for Flow {
    fn write(&self, names: TableNames<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, priority, cookie, matching, instructions } = self;
        write!(f, "cookie={cookie:#x}, table=")?;
        write_table(*table, names, f)?;
        write!(f, ", priority={priority}")?;
        if !matching.is_empty() {
            write!(f, ",{matching}")?;
        }
        write!(f, " actions=")?;
        let idle = instructions.iter().all(|instruction| *instruction == Instruction::Apply(Vec::new()));
        if idle { write!(f, "drop") } else { write_list(instructions, names, f) }
    }
}

impl Named for Instruction {
    fn write(&self, names: TableNames<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |word: u64| value::Hex(word.into());
        match self {
            Self::Meter(meter) => write!(f, "meter:{}", meter.0),
            Self::Apply(actions) => action::write_actions(actions, names, f),
            Self::Clear => write!(f, "clear_actions"),
            Self::Write(actions) => {
                write!(f, "write_actions(")?;
                action::write_actions(actions, names, f)?;
                write!(f, ")")
            }
            Self::Metadata { value, mask: u64::MAX } => write!(f, "write_metadata:{}", hex(*value)),
            Self::Metadata { value, mask } => {
                write!(f, "write_metadata:{}/{}", hex(*value), hex(*mask))
            }
            Self::Goto(table) => {
                write!(f, "goto_table:")?;
                write_table(*table, names, f)
            }
            Self::Unknown(bytes) => write!(f, "unknown_instruction({})", value::Bytes(bytes)),
        }
    }
}

fn write_table(table: TableId, names: TableNames<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match names(table) {
        Some(name) => f.write_str(name),
        None => write!(f, "{}", table.0),
    }
}

/// Items with commas between them.
fn write_list<T: Named>(items: &[T], names: TableNames<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        item.write(names, f)?;
    }
    Ok(())
}
