//! What the memory itself takes: as many lines as a lookup has to read, of tables as large, at random, and nothing
//! else. No structure of this size that reads these lines is faster on this machine.

use crate::keys::KEYS;
use crate::measure::Subject;
use crate::rng::Rng;
use fib::BURST;

/// As [`fib::Unit`].
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Line([u64; 8]);

/// Tables that are read one after the other: what is found in one says where to look in the next.
#[derive(Debug)]
pub(crate) struct Floor {
    keys: Vec<u64>,
    tables: Vec<Vec<Line>>,
}

impl Floor {
    /// Tables of these sizes in bytes.
    pub(crate) fn new(bytes: &[usize]) -> Self {
        let mut rng = Rng::new(9);
        let lines: Vec<usize> = bytes.iter().map(|bytes| bytes.div_ceil(64).max(1)).collect();
        let keys = (0..KEYS).map(|_| rng.below(lines.first().copied().unwrap_or(1)) as u64).collect();
        let nexts = lines.iter().skip(1).chain(lines.first());
        let tables = lines.iter().zip(nexts).map(|(lines, next)| {
            let line = |_| {
                let mut line = Line::default();
                line.0[0] = rng.below(*next) as u64;
                line
            };
            (0..*lines).map(line).collect()
        });
        Self { keys, tables: tables.collect() }
    }

    /// Bursts of 32: all of them in one table, then all in the next.
    pub(crate) fn subject(&self, name: &'static str) -> Subject<'_> {
        Subject::new(name, || {
            let (keys, _) = self.keys.as_chunks::<BURST>();
            keys.iter().fold(0, |sum: u64, keys| {
                let mut at = *keys;
                for table in &self.tables {
                    at = at.map(|at| table.get(at as usize).map_or(0, |line| line.0[0]));
                }
                at.iter().fold(sum, |sum, at| sum.wrapping_add(*at))
            })
        })
    }
}
