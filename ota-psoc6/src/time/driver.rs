//! The clock with a queue of wakers.

use core::{cell::RefCell, task::Waker};

use critical_section::{CriticalSection, Mutex};
use embassy_time_queue_utils::Queue;

use super::clock::Clock;
use crate::bus::Bus;

/// A time driver over a [`Clock`]; before it is started the time is 0 and nobody is woken.
#[derive(Debug)]
pub struct Driver<B> {
    inner: Mutex<RefCell<Inner<B>>>,
}

#[derive(Debug)]
struct Inner<B> {
    clock: Option<Clock<B>>,
    queue: Queue,
}

impl<B: Bus> Driver<B> {
    /// A driver without a clock yet.
    pub const fn new() -> Self {
        Self { inner: Mutex::new(RefCell::new(Inner { clock: None, queue: Queue::new() })) }
    }

    /// Gives it its clock; wakers that came earlier are served from now on.
    pub fn start(&self, clock: Clock<B>) {
        critical_section::with(|cs| {
            let inner = &mut *self.inner.borrow_ref_mut(cs);
            inner.clock = Some(clock);
            inner.serve();
        });
    }

    /// Wakes whose time has come, and sets the next alarm. To be called by the counter's handler.
    pub fn on_interrupt(&self) {
        critical_section::with(|cs| {
            let inner = &mut *self.inner.borrow_ref_mut(cs);
            if let Some(clock) = &mut inner.clock {
                clock.clear_alarm();
            }
            inner.serve();
        });
    }

    /// Ticks since the start.
    pub fn ticks(&self) -> u64 {
        critical_section::with(|cs: CriticalSection<'_>| {
            self.inner.borrow_ref_mut(cs).clock.as_mut().map_or(0, Clock::now)
        })
    }

    /// Has `waker` woken at `at`.
    pub fn wake_at(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let inner = &mut *self.inner.borrow_ref_mut(cs);
            if inner.queue.schedule_wake(at, waker) {
                inner.serve();
            }
        });
    }
}

impl<B: Bus> Default for Driver<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Bus> Inner<B> {
    fn serve(&mut self) {
        let Some(clock) = &mut self.clock else { return };
        // Ends: an alarm that has passed takes the wakers before it out of the queue.
        loop {
            let next = self.queue.next_expiration(clock.now());
            if clock.set_alarm(next) {
                return;
            }
        }
    }
}

impl<B: Bus + Send + Sync + 'static> embassy_time_driver::Driver for Driver<B> {
    fn now(&self) -> u64 {
        self.ticks()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        self.wake_at(at, waker);
    }
}

#[cfg(target_os = "none")]
mod chip {
    use super::{Clock, Driver};
    use crate::bus::Mmio;

    embassy_time_driver::time_driver_impl!(static DRIVER: Driver<Mmio> = Driver::new());

    /// Starts the clock of `embassy-time`. `divider` divides the peripheral clock to [`TICK_HZ`](crate::time::TICK_HZ): 100 for
    /// 100 MHz.
    pub fn start(chip: Mmio, divider: u16) {
        DRIVER.start(Clock::start(chip, divider));
    }

    /// To be called from the handler of [`IRQ`](crate::time::IRQ).
    pub fn on_interrupt() {
        DRIVER.on_interrupt();
    }
}

#[cfg(target_os = "none")]
pub use chip::{on_interrupt, start};
