//! From the controller's interrupt to the task that waits for it.

use atomic_waker::AtomicWaker;
use core::{future::poll_fn, task::Poll};

use super::regs::{ERROR_INT_SIGNAL_EN, NORMAL_INT_SIGNAL_EN, error, normal};
use crate::bus::Bus;

/// Shared by the interrupt handler and the [`Host`](super::Host): make one `static` of it.
///
/// One task waits at a time, the one that holds the host.
#[derive(Debug)]
pub struct Interrupt {
    waker: AtomicWaker,
}

impl Interrupt {
    /// Nobody waits yet.
    pub const fn new() -> Self {
        Self { waker: AtomicWaker::new() }
    }

    /// To be called from the handler of [`IRQ`](super::IRQ).
    ///
    /// It silences the controller and wakes the waiting task, which looks at the status itself and asks to be woken again
    /// if it has to. A card's interrupt is a level, so it has to be silenced here.
    pub fn on_interrupt<B: Bus>(&self, bus: B) {
        bus.write16(NORMAL_INT_SIGNAL_EN, 0);
        bus.write16(ERROR_INT_SIGNAL_EN, 0);
        self.waker.wake();
    }

    /// Waits until the handler has run, with the reports `bits` (and all errors) allowed to raise the interrupt.
    ///
    /// Dropping the future leaves the reports allowed: at most one interrupt too many.
    pub(super) async fn wait<B: Bus>(&self, bus: B, bits: u16) {
        let mut armed = false;
        poll_fn(|context| {
            // Registered first: an interrupt right after arming must find somebody to wake.
            self.waker.register(context.waker());
            if !armed {
                armed = true;
                bus.write16(ERROR_INT_SIGNAL_EN, error::ALL);
                bus.write16(NORMAL_INT_SIGNAL_EN, bits & normal::ALL);
                return Poll::Pending;
            }
            // The handler is the only one that writes 0.
            match bus.read16(NORMAL_INT_SIGNAL_EN) {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

impl Default for Interrupt {
    fn default() -> Self {
        Self::new()
    }
}
