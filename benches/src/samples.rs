//! Repeated measurements of one quantity.

use serde::{Serialize, Serializer};

/// Values of one quantity in the order in which they were measured.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle one; NaN without any.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value that a share of 0 to 1 does not exceed, between neighbours by linear interpolation; NaN without any.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let place = share.clamp(0.0, 1.0) * last as f64;
        let at = |place: f64| {
            // A whole number between 0 and `last`.
            let index = sorted.iter().enumerate().find(|(index, _)| *index as f64 >= place);
            index.map_or(f64::NAN, |(_, value)| *value)
        };
        let (below, above) = (at(place.floor()), at(place.ceil()));
        below + (above - below) * place.fract()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Serialize for Samples {
    /// Rounded to nanos of whatever unit: nobody reads more.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|value| (value * 1e6).round() / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let samples: Samples = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        assert_eq!(samples.median(), 2.5);
        assert_eq!(samples.quantile(0.0), 1.0);
        assert_eq!(samples.quantile(1.0), 4.0);
        assert!((samples.quantile(0.9) - 3.7).abs() < 1e-9);
        assert!(Samples::default().median().is_nan());
    }
}
