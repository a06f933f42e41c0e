//! The UART as console (Arm DUI 0479D, CMSDK APB UART).

use core::fmt;

const UART: u32 = 0x4000_4000;

/// Registers, offsets in bytes.
mod register {
    pub(super) const DATA: u32 = 0x00;
    pub(super) const STATE: u32 = 0x04;
    pub(super) const CONTROL: u32 = 0x08;
    pub(super) const DIVIDER: u32 = 0x10;
}

const TX_FULL: u32 = 1;
const TX_ENABLE: u32 = 1;
/// The smallest divider the UART takes; QEMU's has no speed.
const DIVIDER_MIN: u32 = 16;

/// Text for people and, in lines that begin with `@`, for the host's program.
pub struct Console;

fn write(offset: u32, value: u32) {
    // SAFETY: a register of the UART, word-aligned; writing it touches no memory.
    unsafe { core::ptr::write_volatile((UART + offset) as *mut u32, value) }
}

fn read(offset: u32) -> u32 {
    // SAFETY: as above, reading.
    unsafe { core::ptr::read_volatile((UART + offset) as *const u32) }
}

impl Console {
    /// Switches the UART on.
    pub fn init() {
        write(register::DIVIDER, DIVIDER_MIN);
        write(register::CONTROL, TX_ENABLE);
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while read(register::STATE) & TX_FULL != 0 {}
            write(register::DATA, byte.into());
        }
        Ok(())
    }
}
