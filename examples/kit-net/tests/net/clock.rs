//! Virtual time: it passes while the processor works, and jumps while everybody waits.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
};

use ota_core::transport::Timer;

/// A clock. Copies of a reference to it are the same clock.
#[derive(Default)]
pub(crate) struct Clock {
    now_ms: Cell<u64>,
    wake_ms: Cell<Option<u64>>,
}

impl Clock {
    pub(crate) fn now(&self) -> u64 {
        self.now_ms.get()
    }

    /// The processor is busy, and nothing else runs.
    pub(crate) fn work(&self, ms: u64) {
        self.now_ms.set(self.now() + ms);
    }

    /// Polls `firmware` up to a time. What waits for something that never comes simply never goes on.
    pub(crate) fn run_until(&self, end_ms: u64, firmware: impl Future) {
        let mut firmware = pin!(firmware);
        let mut context = Context::from_waker(Waker::noop());
        let mut polls_at_once = 0;
        while self.now() < end_ms {
            self.wake_ms.set(None);
            let before = self.now();
            assert!(firmware.as_mut().poll(&mut context).is_pending(), "the firmware has no end");
            let wake = self.wake_ms.get().map_or(end_ms, |at| at.min(end_ms));
            self.now_ms.set(wake.max(self.now()));
            polls_at_once = if self.now() == before { polls_at_once + 1 } else { 0 };
            assert!(polls_at_once < 100, "a loop without a pause at {before} ms");
        }
    }
}

impl Timer for &Clock {
    fn now_ms(&mut self) -> u64 {
        self.now()
    }

    async fn until(&mut self, at_ms: u64) {
        poll_fn(|_| {
            if self.now() >= at_ms {
                return Poll::Ready(());
            }
            self.wake_ms.set(Some(self.wake_ms.get().map_or(at_ms, |at| at.min(at_ms))));
            Poll::Pending
        })
        .await;
    }
}
