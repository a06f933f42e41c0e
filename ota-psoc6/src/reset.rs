//! Reset of the whole chip: the way to the bootloader, and never through a flash operation.

use crate::processor::Processor;
use crate::syscall;
use crate::watchdog::Feed;

/// Application interrupt and reset control (Armv7-M: AIRCR) of the Cortex-M4.
const AIRCR: u32 = 0xE000_ED0C;
const KEY_AND_REQUEST: u32 = 0x05FA_0004;
const RES_CAUSE: u32 = 0x4026_0800;

/// Looks at the mailboxes before they count as stuck, about a second at 100 MHz.
const LOOKS: u32 = 4_000_000;
/// From one feed of the watchdog to the next. On PSoC 64 a feed takes longer than a hundred looks.
const LOOKS_PER_FEED: u32 = 1024;
/// Instructions to wait for the reset to come.
const PATIENCE: u32 = 1_000_000;

/// Why the chip was not reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetError<E> {
    /// A system call is under way and does not end. A reset now may corrupt the rows it works on: try again later, or let
    /// the watchdog decide.
    SystemCall,
    /// The external flash is busy or does not answer.
    External(E),
    /// The request was written and nothing happened.
    Ignored,
}

/// Resets the chip once nothing works on flash. Returns only if that did not happen, with everything as it was.
///
/// `external` waits for the external flash, `ExternalFlash::finish` where there is one, `|| Ok(())` where there is none. The
/// reset goes to all cores, so that the bootloader runs anew.
pub fn reset<P: Processor, E>(
    chip: P,
    watchdog: &mut impl Feed,
    external: impl FnOnce() -> Result<(), E>,
) -> ResetError<E> {
    if let Err(error) = external() {
        return ResetError::External(error);
    }
    // Interrupts off, so that no other task begins a call between the last look and the reset.
    let mut looks = 0;
    while looks < LOOKS {
        if looks.is_multiple_of(LOOKS_PER_FEED) {
            watchdog.feed();
        }
        let were_on = chip.mask_interrupts();
        if !syscall::is_busy(chip) {
            chip.barrier();
            chip.write32(AIRCR, KEY_AND_REQUEST);
            chip.barrier();
            for _ in 0..PATIENCE {
                core::hint::spin_loop();
            }
            if were_on {
                chip.unmask_interrupts();
            }
            return ResetError::Ignored;
        }
        if were_on {
            chip.unmask_interrupts();
        }
        looks += 1;
    }
    ResetError::SystemCall
}

/// Why the chip was reset last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause(u32);

impl Cause {
    /// Reads it. The bootloader may have cleared it.
    pub fn read<P: Processor>(chip: P) -> Self {
        Self(chip.read32(RES_CAUSE))
    }

    /// The watchdog, basic or multi-counter.
    pub const fn is_watchdog(self) -> bool {
        self.0 & (1 | 0xF << 5) != 0
    }

    /// Software, as [`reset`] does.
    pub const fn is_software(self) -> bool {
        self.0 & 1 << 4 != 0
    }
}
