//! The broker's message rate: what a client may get within a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A sliding second of sent messages.
#[derive(Debug)]
pub(crate) struct Pace {
    per_s: Option<u32>,
    recent: VecDeque<Instant>,
}

impl Pace {
    pub(crate) fn new(per_s: Option<u32>) -> Self {
        Self { per_s, recent: VecDeque::new() }
    }

    /// Whether one more message fits at `now`; counts it if so.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        let Some(limit) = self.per_s else { return true };
        while self.recent.front().is_some_and(|sent| now.duration_since(*sent) >= Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        let fits = self.recent.len() < limit as usize;
        if fits {
            self.recent.push_back(now);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_no_more_than_the_limit() {
        let mut pace = Pace::new(Some(2));
        let start = Instant::now();
        assert!(pace.admits(start));
        assert!(pace.admits(start + Duration::from_millis(500)));
        assert!(!pace.admits(start + Duration::from_millis(999)));
        assert!(pace.admits(start + Duration::from_millis(1000)));
        assert!(!pace.admits(start + Duration::from_millis(1001)));
    }
}
