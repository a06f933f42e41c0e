//! The basic watchdog (TRM: WDT in SRSS), which the bootloader leaves running with about 4 s.

use crate::bus::Bus;

const WDT_CTL: u32 = 0x4026_0180;
const ENABLE: u32 = 1;
const LOCK_CLEAR_0: u32 = 1 << 30;
const LOCK_CLEAR_1: u32 = 2 << 30;
const LOCK_SET: u32 = 3 << 30;
const SRSS_INTR: u32 = 0x4026_0700;
const WDT_MATCH: u32 = 1;

/// Milliseconds MCUBootApp gives the application, 1.7 and later.
pub const BOOTLOADER_MS: u32 = 4000;

/// Whoever keeps the watchdog from biting. The flash drivers call it between the steps of anything long.
pub trait Feed {
    /// Starts the watchdog's time anew.
    fn feed(&mut self);
}

/// Nobody has to be fed: the watchdog is off.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWatchdog;

impl Feed for NoWatchdog {
    fn feed(&mut self) {}
}

impl<F: Feed> Feed for &mut F {
    fn feed(&mut self) {
        F::feed(self);
    }
}

/// The watchdog of a PSoC 62. On PSoC 64 its registers belong to the secure core.
///
/// A handle: copies feed the same dog.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog<B> {
    bus: B,
}

impl<B: Bus> Watchdog<B> {
    /// The watchdog behind `bus`; its registers are not touched.
    pub const fn new(bus: B) -> Self {
        Self { bus }
    }

    /// Whether it runs.
    pub fn is_enabled(&self) -> bool {
        self.bus.read32(WDT_CTL) & ENABLE != 0
    }

    /// Stops it. The lock is undone in two writes, as the manual wants, and set again.
    ///
    /// Writes reach the watchdog's slow clock after up to four of its cycles (125 µs): wait that long before counting on it.
    pub fn disable(&mut self) {
        let control = self.bus.read32(WDT_CTL) & !(LOCK_SET | ENABLE);
        self.bus.write32(WDT_CTL, control | ENABLE | LOCK_CLEAR_0);
        self.bus.write32(WDT_CTL, control | ENABLE | LOCK_CLEAR_1);
        self.bus.write32(WDT_CTL, control);
        self.bus.write32(WDT_CTL, control | LOCK_SET);
    }
}

impl<B: Bus> Feed for Watchdog<B> {
    fn feed(&mut self) {
        self.bus.write32(SRSS_INTR, WDT_MATCH);
        // Read back, so that the write has arrived before anything else happens (the vendor's driver does the same).
        let _ = self.bus.read32(SRSS_INTR);
    }
}
