//! Structures in turns, medians, equal answers.

use std::time::Instant;

/// What a structure has found: nanoseconds a lookup by turn, and the sum of its answers.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) nanos: Vec<f64>,
    pub(crate) sum: u64,
}

impl Measured {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.nanos.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// A structure: looks all keys up, and sums the answers.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnMut() -> u64 + 'a>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> u64 + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// Measures subjects in turns; the first turn is for the caches.
pub(crate) fn in_turns(turns: usize, keys: usize, mut subjects: Vec<Subject<'_>>) -> Vec<Measured> {
    let mut found: Vec<Measured> = subjects
        .iter()
        .map(|subject| Measured { name: subject.name.into(), nanos: Vec::new(), sum: 0 })
        .collect();
    for turn in 0..=turns {
        for (subject, found) in subjects.iter_mut().zip(&mut found) {
            let start = Instant::now();
            found.sum = (subject.run)();
            let nanos = start.elapsed().as_nanos() as f64 / keys as f64;
            if turn > 0 {
                found.nanos.push(nanos);
            }
        }
    }
    found
}

/// Ends the run if the answers differ.
pub(crate) fn must_agree(what: &str, found: &[Measured]) -> anyhow::Result<()> {
    let Some(first) = found.first() else { return Ok(()) };
    for other in found {
        anyhow::ensure!(
            other.sum == first.sum,
            "{what}: the answers of {} and {} differ: {} and {}",
            first.name,
            other.name,
            first.sum,
            other.sum
        );
    }
    Ok(())
}

/// The value at a share of the sorted samples.
pub(crate) fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let index = (samples.len() as f64 * share) as usize;
    samples.get(index.min(samples.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
