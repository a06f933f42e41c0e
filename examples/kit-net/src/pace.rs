//! How fast things are tried again, and how long anything is waited for.

use embassy_futures::select::{Either, select};
use ota_core::transport::Timer;

/// Pauses between attempts: each twice the one before, up to the longest, and up to a quarter of jitter on top, so that
/// devices that failed together do not come back together.
#[derive(Clone, Debug)]
pub struct Pace {
    first_ms: u32,
    longest_ms: u32,
    next_ms: u32,
    random: u32,
}

impl Pace {
    /// Pauses from `first_ms` to `longest_ms`. The seed has to differ from device to device; it is no secret.
    pub const fn new(first_ms: u32, longest_ms: u32, seed: u64) -> Self {
        // The generator stays at zero once it is there.
        let random = (seed >> 32) as u32 ^ seed as u32;
        let random = if random == 0 { 0x9E37_79B9 } else { random };
        Self { first_ms, longest_ms, next_ms: first_ms, random }
    }

    /// The next pause, milliseconds: at most a quarter longer than the longest.
    pub fn pause_ms(&mut self) -> u32 {
        let pause = self.next_ms;
        self.next_ms = pause.saturating_mul(2).min(self.longest_ms);
        pause + self.random() % (pause / 4).max(1)
    }

    /// All is well: the next pause is the first again.
    pub const fn reset(&mut self) {
        self.next_ms = self.first_ms;
    }

    /// xorshift32 (Marsaglia 2003).
    pub(crate) const fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}

/// Waits.
pub(crate) async fn pause(mut timer: impl Timer, ms: u32) {
    let at = timer.now_ms() + u64::from(ms);
    timer.until(at).await;
}

/// What `work` comes to, if it does so in time. Otherwise it is dropped.
pub(crate) async fn within<R>(timer: impl Timer, limit_ms: u32, work: impl Future<Output = R>) -> Option<R> {
    match select(work, pause(timer, limit_ms)).await {
        Either::First(result) => Some(result),
        Either::Second(()) => None,
    }
}
