//! The basic watchdog as the bootloader leaves it: running, about 4 s, locked.

use super::Violation;
use crate::watchdog::BOOTLOADER_MS;

const WDT_CTL: u32 = 0x4026_0180;
const SRSS_INTR: u32 = 0x4026_0700;
const LOCK: u32 = 3;

pub(super) fn covers(address: u32) -> bool {
    matches!(address, WDT_CTL | SRSS_INTR)
}

pub(super) struct Watchdog {
    fed_at: u64,
    enabled: bool,
    lock: u32,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self::at(0)
    }
}

impl Watchdog {
    pub(super) fn at(now_ns: u64) -> Self {
        Self { fed_at: now_ns, enabled: true, lock: LOCK }
    }

    pub(super) fn bites(&self, now_ns: u64) -> bool {
        self.enabled && now_ns - self.fed_at > u64::from(BOOTLOADER_MS) * 1_000_000
    }

    pub(super) fn feed(&mut self, now_ns: u64) {
        self.fed_at = now_ns;
    }

    pub(super) fn read(&self, address: u32) -> u32 {
        match address {
            WDT_CTL => u32::from(self.enabled) | self.lock << 30,
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, address: u32, value: u32, now_ns: u64) -> Result<(), Violation> {
        if address == SRSS_INTR {
            if value & 1 != 0 {
                self.feed(now_ns);
            }
            return Ok(());
        }
        // Bit 0 of the lock goes first, then bit 1; 11 locks both; 00 leaves them.
        match value >> 30 {
            1 => self.lock &= !1,
            2 if self.lock & 1 == 0 => self.lock &= !2,
            2 => return Err(Violation::WatchdogLocked),
            3 => self.lock = LOCK,
            _ => {}
        }
        let enabled = value & 1 != 0;
        if enabled != self.enabled {
            if self.lock != 0 {
                return Err(Violation::WatchdogLocked);
            }
            self.enabled = enabled;
        }
        Ok(())
    }
}
