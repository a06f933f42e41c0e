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

/// The chip itself: one load or store instruction each.
///
/// Exists on bare metal only. There a `u32` is an address; on a host there is nothing behind it.
///
/// The instructions are written out and inlined always. `read_volatile` would be the same in an optimised build, but a call into
/// flash in others, or in one without link-time optimisation: the routine of [`syscall`](crate::syscall) uses this while flash
/// cannot be read.
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
    ///
    /// The value reaches every address, memory included. Whoever else it is handed to, and whatever implements a trait of this crate
    /// with it, must keep to registers that are theirs.
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

#[cfg(target_os = "none")]
macro_rules! load {
    ($instruction:literal, $address:expr) => {{
        let value: u32;
        // SAFETY: whoever made `self` said that this chip has these registers and that the driver owns them. Memory counts as
        // changed, so no access is moved over it.
        unsafe {
            core::arch::asm!(
                concat!($instruction, " {0}, [{1}]"),
                lateout(reg) value,
                in(reg) $address,
                options(nostack, preserves_flags),
            )
        };
        value
    }};
}

#[cfg(target_os = "none")]
macro_rules! store {
    ($instruction:literal, $address:expr, $value:expr) => {{
        let value: u32 = $value;
        // SAFETY: as in `load`.
        unsafe {
            core::arch::asm!(
                concat!($instruction, " {0}, [{1}]"),
                in(reg) value,
                in(reg) $address,
                options(nostack, preserves_flags),
            )
        };
    }};
}

#[cfg(target_os = "none")]
impl Bus for Mmio {
    #[inline(always)]
    fn read8(self, address: u32) -> u8 {
        load!("ldrb", address) as u8
    }

    #[inline(always)]
    fn read16(self, address: u32) -> u16 {
        load!("ldrh", address) as u16
    }

    #[inline(always)]
    fn read32(self, address: u32) -> u32 {
        load!("ldr", address)
    }

    #[inline(always)]
    fn write8(self, address: u32, value: u8) {
        store!("strb", address, value as u32)
    }

    #[inline(always)]
    fn write16(self, address: u32, value: u16) {
        store!("strh", address, value as u32)
    }

    #[inline(always)]
    fn write32(self, address: u32, value: u32) {
        store!("str", address, value)
    }
}
