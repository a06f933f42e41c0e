//! The broker's rates: how many messages a client may get within a second, and how fast their bytes leave.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A sliding second of sent messages, and the time the bytes sent so far take.
#[derive(Debug)]
pub(crate) struct Pace {
    messages_per_s: Option<u32>,
    bytes_per_s: Option<u32>,
    recent: VecDeque<Instant>,
    free_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(messages_per_s: Option<u32>, bytes_per_s: Option<u32>) -> Self {
        Self { messages_per_s, bytes_per_s, recent: VecDeque::new(), free_at: None }
    }

    /// Whether one more message fits at `now`; counts it if so.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        let Some(limit) = self.messages_per_s else { return true };
        while self.recent.front().is_some_and(|sent| now.duration_since(*sent) >= Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        let fits = self.recent.len() < limit as usize;
        if fits {
            self.recent.push_back(now);
        }
        fits
    }

    /// How long a message of `size` bytes has to wait at `now` for the ones before it; counts it.
    pub(crate) fn wait(&mut self, now: Instant, size: usize) -> Duration {
        let Some(rate) = self.bytes_per_s else { return Duration::ZERO };
        let start = self.free_at.map_or(now, |at| at.max(now));
        self.free_at = Some(start + Duration::from_secs_f64(size as f64 / f64::from(rate.max(1))));
        start.duration_since(now)
    }
}

/// Waits, and not at all for nothing: tokio rounds every sleep up to a millisecond.
pub(crate) async fn wait(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_no_more_than_the_limit() {
        let mut pace = Pace::new(Some(2), None);
        let start = Instant::now();
        assert!(pace.admits(start));
        assert!(pace.admits(start + Duration::from_millis(500)));
        assert!(!pace.admits(start + Duration::from_millis(999)));
        assert!(pace.admits(start + Duration::from_millis(1000)));
        assert!(!pace.admits(start + Duration::from_millis(1001)));
    }

    #[test]
    fn bytes_leave_one_after_the_other() {
        let mut pace = Pace::new(None, Some(1000));
        let start = Instant::now();
        assert_eq!(pace.wait(start, 500), Duration::ZERO);
        assert_eq!(pace.wait(start, 250), Duration::from_millis(500));
        assert_eq!(pace.wait(start + Duration::from_millis(600), 1), Duration::from_millis(150));
        assert_eq!(pace.wait(start + Duration::from_secs(2), 1), Duration::ZERO);
        assert_eq!(Pace::new(None, None).wait(start, 1 << 20), Duration::ZERO);
    }
}
