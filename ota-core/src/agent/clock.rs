//! What the agent waits for, and when each is due.
//!
//! Moments are milliseconds from the step that is made: 0 and less is due. They are counted down once a step, so nothing else
//! has to know the time, and 24 days of it fit 32 bits; who waits longer is woken after that. The two steps of a block, which
//! go their own way, count on from the step before them and are handed the time.

use super::Agent;

/// What is waited for.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    /// Jobs is asked for the next (or after the held) job.
    Check,
    /// The answer to the call is late, or its next attempt is due.
    Call,
    /// The state has to be looked at again, where it says so.
    State,
    /// The self test must be over.
    Test,
    /// The link is tried again, or a link put aside is wanted again.
    Link,
    /// What is under way of the file is given up.
    Blocks,
    /// The next request for blocks may go out (the broker delivers 100 messages a second and discards the rest).
    Pace,
    /// Until then nothing but blocks is to be looked after, as long as nothing but blocks comes.
    Quiet,
}

/// As far as a moment can be: something else is to come before.
pub(super) const FAR: i32 = i32::MAX;

/// So many milliseconds from the step.
pub(super) fn after(ms: u32) -> i32 {
    i32::try_from(ms).unwrap_or(FAR)
}

/// When what is waited for is due.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    at: [i32; Wait::Quiet as usize + 1],
    /// The time of the step.
    now: u64,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self { at: [0; Wait::Quiet as usize + 1], now: 0 }
    }

    /// A step is made now.
    pub(super) fn step(&mut self, now_ms: u64) {
        let passed = i32::try_from(now_ms.saturating_sub(self.now)).unwrap_or(FAR);
        self.now = now_ms;
        for at in &mut self.at {
            *at = at.saturating_sub(passed);
        }
    }

    /// How long ago the last step was that counted.
    #[inline]
    pub(super) fn since(&self, now_ms: u64) -> i32 {
        now_ms.wrapping_sub(self.now) as i32
    }

    /// The moment as time.
    #[inline]
    pub(super) fn time(&self, at: i32) -> u64 {
        self.now.wrapping_add_signed(at.into())
    }

    #[inline]
    pub(super) fn at(&self, wait: Wait) -> i32 {
        self.at.get(wait as usize).copied().unwrap_or(FAR)
    }

    #[inline]
    pub(super) fn set(&mut self, wait: Wait, at: i32) {
        if let Some(place) = self.at.get_mut(wait as usize) {
            *place = at;
        }
    }

    pub(super) fn is_due(&self, wait: Wait) -> bool {
        self.at(wait) <= 0
    }
}

impl Agent<'_> {
    /// When to try again what failed `tries` times before: the pause doubles with each, up to the longest, and has up to a
    /// quarter of jitter.
    #[inline(never)]
    pub(super) fn retry_at(&mut self, tries: u8) -> i32 {
        let timing = &self.config.timing;
        let (first, longest) = (timing.retry_ms, timing.retry_max_ms.max(timing.retry_ms));
        let pause = first.saturating_mul(1 << tries.min(16)).min(longest);
        // xorshift32 (Marsaglia 2003): spreads devices that failed together, nothing secret depends on it.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        after(pause.saturating_add(self.random % (pause / 4).max(1)))
    }

    /// What was due is late: the link was listened to since, or twice the time is over.
    pub(super) fn is_late(&self, wait: Wait, allowed_ms: u32) -> bool {
        let at = self.clock.at(wait);
        at <= 0 && (self.waited || at.unsigned_abs() >= allowed_ms)
    }
}
