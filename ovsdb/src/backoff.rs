//! How long to wait before the next attempt.

use std::time::Duration;

/// Waits that double from `min` to `max` until an attempt succeeds. Knows no clock: the caller sleeps.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// The first wait is `min`, no wait is longer than `max`.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// The wait before the next attempt.
    pub fn failed(&mut self) -> Duration {
        let wait = self.next.min(self.max);
        self.next = wait.saturating_mul(2).min(self.max);
        wait
    }

    /// To call when an attempt has succeeded: the next failure waits `min` again.
    pub const fn succeeded(&mut self) {
        self.next = self.min;
    }
}

impl Default for Backoff {
    /// From 100 ms to 5 s: a database that restarts is back within the first, one that is down is not worth more.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_limit_and_starts_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let waits: Vec<_> = (0..4).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [100, 200, 350, 350]);
        backoff.succeeded();
        assert_eq!(backoff.failed().as_millis(), 100);
    }
}
