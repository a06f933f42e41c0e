//! How the link to the Wi-Fi chip is doing.

use atomic_waker::AtomicWaker;
use core::{
    cell::Cell,
    future::poll_fn,
    sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed},
    task::Poll,
};
use critical_section::Mutex;

use crate::sdhc::Error;

/// Why the driver of the chip stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A command failed as often as it may be repeated.
    Sdio(Error),
    /// The chip gave the same answer to this CMD52 for longer than it may: firmware that does not start, most likely.
    Stalled {
        /// The argument of the command.
        argument: u32,
    },
    /// The chip does not take the regulatory data. Its reason: 3 to 9 for what it thinks of the file (4 and 6 a checksum, 8 data
    /// for another chip), negative where it does not know the question.
    Regulatory(i32),
}

/// Counters of the bus, and the place where a broken link is reported. Make one `static` of it.
#[derive(Debug)]
pub struct Health {
    repeated: AtomicU32,
    lost: AtomicU32,
    refused: AtomicU32,
    last_refusal: AtomicI32,
    broken: Mutex<Cell<Option<Broken>>>,
    waker: AtomicWaker,
}

impl Health {
    /// All well.
    pub const fn new() -> Self {
        Self {
            repeated: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            last_refusal: AtomicI32::new(0),
            broken: Mutex::new(Cell::new(None)),
            waker: AtomicWaker::new(),
        }
    }

    /// Commands that were sent again after an error.
    pub fn repeated_count(&self) -> u32 {
        self.repeated.load(Relaxed)
    }

    /// Frames that were lost on the bus, for they must not be sent or fetched twice; and those the driver would have fallen over.
    pub fn lost_count(&self) -> u32 {
        self.lost.load(Relaxed)
    }

    /// Requests of the driver that the firmware refused. The driver would panic, so it is told that all went well; a setting
    /// the firmware does not know is harmless, and a join that needed it fails by name.
    pub fn refused_count(&self) -> u32 {
        self.refused.load(Relaxed)
    }

    /// The firmware's reason for the last of them, negative; -23 is "not supported".
    pub fn last_refusal(&self) -> i32 {
        self.last_refusal.load(Relaxed)
    }

    /// Waits, for ever if all goes well, until the link is broken. For one task.
    ///
    /// Dropping the future loses nothing: a broken link stays broken until the next [`start`](super::start).
    pub async fn broken(&self) -> Broken {
        poll_fn(|context| {
            self.waker.register(context.waker());
            match critical_section::with(|cs| self.broken.borrow(cs).get()) {
                Some(broken) => Poll::Ready(broken),
                None => Poll::Pending,
            }
        })
        .await
    }

    pub(super) fn reset(&self) {
        critical_section::with(|cs| self.broken.borrow(cs).set(None));
    }

    pub(super) fn count_repeated(&self) {
        self.repeated.fetch_add(1, Relaxed);
    }

    pub(super) fn count_lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    pub(super) fn count_refused(&self, status: i32) {
        self.refused.fetch_add(1, Relaxed);
        self.last_refusal.store(status, Relaxed);
    }

    pub(super) fn set_broken(&self, broken: Broken) {
        critical_section::with(|cs| self.broken.borrow(cs).set(Some(broken)));
        self.waker.wake();
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}
