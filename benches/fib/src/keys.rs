//! Which items keys are about.

use crate::rng::Rng;

/// Keys of a measurement.
pub(crate) const KEYS: usize = 1 << 20;

/// Draws items: all alike, or by Zipf's law with exponent 1 over a random order.
#[derive(Debug)]
pub(crate) enum Draw {
    Uniform,
    Zipf { order: Vec<u32> },
}

impl Draw {
    pub(crate) fn zipf(items: usize, rng: &mut Rng) -> Self {
        let mut order: Vec<u32> = (0..u32::try_from(items).unwrap_or(u32::MAX)).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, rng.below(index + 1));
        }
        Self::Zipf { order }
    }

    pub(crate) fn item(&self, items: usize, rng: &mut Rng) -> usize {
        match self {
            Self::Uniform => rng.below(items),
            // Inverse of the continuous law: rank r has a share of 1 / r.
            Self::Zipf { order } => {
                let rank = (items as f64).powf(rng.unit()) as usize;
                order.get(rank.min(items) - 1).map_or(0, |item| *item as usize)
            }
        }
    }
}
