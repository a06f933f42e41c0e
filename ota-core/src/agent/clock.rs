//! Deadlines and pauses, counted from the time of the step.

use super::Agent;

impl Agent<'_> {
    /// So many milliseconds from now.
    pub(super) fn after(&self, ms: u32) -> u64 {
        self.now + u64::from(ms)
    }

    /// When to try again what failed `tries` times before: the pause doubles with each, up to the longest, and has up to a
    /// quarter of jitter.
    #[inline(never)]
    pub(super) fn retry_at(&mut self, tries: u8) -> u64 {
        let timing = &self.config.timing;
        let (first, longest) = (timing.retry_ms, timing.retry_max_ms.max(timing.retry_ms));
        let pause = first.saturating_mul(1 << tries.min(16)).min(longest);
        // xorshift32 (Marsaglia 2003): spreads devices that failed together, nothing secret depends on it.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.after(pause.saturating_add(self.random % (pause / 4).max(1)))
    }

    /// What was due at `due` is late: the link was listened to since, or twice the time is over.
    #[inline(never)]
    pub(super) fn is_late(&self, due: u64, allowed_ms: u32) -> bool {
        self.is_due(due) && (self.waited || self.now - due >= u64::from(allowed_ms))
    }

    pub(super) fn is_due(&self, at: u64) -> bool {
        self.now >= at
    }
}
