//! What a driver needs of the processor itself: interrupts off, memory in order.

use crate::bus::Bus;

/// A bus with the processor that sits on it.
pub trait Processor: Bus {
    /// Masks all interrupts. Whether they were on before.
    fn mask_interrupts(self) -> bool;
    /// Lets interrupts through again.
    fn unmask_interrupts(self);
    /// Everything stored before is seen by the other core before anything that follows.
    fn barrier(self);
}

#[cfg(all(target_os = "none", target_arch = "arm"))]
impl Processor for crate::bus::Mmio {
    #[inline(always)]
    fn mask_interrupts(self) -> bool {
        let primask: u32;
        // SAFETY: reads and sets PRIMASK. That the caller may be interrupted no more is what it asks for; no memory is touched,
        // and without `nomem` the compiler moves no access of the guarded section before it.
        unsafe {
            core::arch::asm!("mrs {0}, PRIMASK", "cpsid i", out(reg) primask, options(nostack, preserves_flags))
        };
        primask & 1 == 0
    }

    #[inline(always)]
    fn unmask_interrupts(self) {
        // SAFETY: clears PRIMASK, which was clear when this driver set it.
        unsafe { core::arch::asm!("cpsie i", options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn barrier(self) {
        // SAFETY: a data synchronisation barrier changes no state.
        unsafe { core::arch::asm!("dsb", options(nostack, preserves_flags)) };
    }
}
