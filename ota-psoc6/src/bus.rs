//! The one way from a driver to hardware: loads and stores of registers by address.
//!
//! A driver is generic over [`Bus`] and does nothing else to the chip, so the code that ships is the code that runs
//! against a register-level model in the tests. Some registers change when they are read (an IPC lock, a FIFO): no access
//! may be left out, repeated, merged or reordered by whoever implements this.

/// Register access by absolute address, in the widths the PSoC 6 peripherals want.
///
/// A bus is a handle, not the hardware: it is `Copy`, and all copies reach the same registers. Addresses are aligned to the
/// width of the access.
pub trait Bus: Copy {
    /// Loads a byte.
    fn read8(self, address: u32) -> u8;
    /// Loads a half-word.
    fn read16(self, address: u32) -> u16;
    /// Loads a word.
    fn read32(self, address: u32) -> u32;
    /// Stores a byte.
    fn write8(self, address: u32, value: u8);
    /// Stores a half-word.
    fn write16(self, address: u32, value: u16);
    /// Stores a word.
    fn write32(self, address: u32, value: u32);
}

/// The chip itself: volatile accesses.
///
/// Exists on bare metal only. There a `u32` is an address; on a host there is nothing behind it.
#[cfg(target_os = "none")]
#[derive(Clone, Copy, Debug)]
pub struct Mmio(());

#[cfg(target_os = "none")]
impl Mmio {
    /// The registers of the chip this program runs on.
    ///
    /// # Safety
    /// The chip is one of the family the drivers are for (PSoC 62 or PSoC 64, die PSoC6A2M), and nothing else in the
    /// program drives a peripheral that is handed to a driver of this crate.
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

#[cfg(target_os = "none")]
impl Bus for Mmio {
    fn read8(self, address: u32) -> u8 {
        // SAFETY: whoever made `self` said that this chip has these registers and that the driver owns them.
        unsafe { (address as *const u8).read_volatile() }
    }

    fn read16(self, address: u32) -> u16 {
        // SAFETY: as in `read8`.
        unsafe { (address as *const u16).read_volatile() }
    }

    fn read32(self, address: u32) -> u32 {
        // SAFETY: as in `read8`.
        unsafe { (address as *const u32).read_volatile() }
    }

    fn write8(self, address: u32, value: u8) {
        // SAFETY: as in `read8`.
        unsafe { (address as *mut u8).write_volatile(value) }
    }

    fn write16(self, address: u32, value: u16) {
        // SAFETY: as in `read8`.
        unsafe { (address as *mut u16).write_volatile(value) }
    }

    fn write32(self, address: u32, value: u32) {
        // SAFETY: as in `read8`.
        unsafe { (address as *mut u32).write_volatile(value) }
    }
}
