//! The interrupts: 168 of the chip, two in use.

use ota_psoc6::{bus::Mmio, sdhc, time};

/// The SD host controller's, shared with its driver.
pub(crate) static SDHC: sdhc::Interrupt = sdhc::Interrupt::new();

type Handler = unsafe extern "C" fn();

unsafe extern "C" {
    // cortex-m-rt's, or the application's own.
    fn DefaultHandler();
}

unsafe extern "C" fn on_time() {
    time::on_interrupt();
}

unsafe extern "C" fn on_sdhc() {
    // SAFETY: this is the chip, and the handler touches the controller's interrupt registers only, as its driver expects.
    SDHC.on_interrupt(unsafe { Mmio::new() });
}

/// The table behind the processor's own vectors.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".vector_table.interrupts")]
#[used]
static __INTERRUPTS: [Handler; 168] = {
    let mut table: [Handler; 168] = [DefaultHandler; 168];
    table[time::IRQ as usize] = on_time;
    table[sdhc::IRQ as usize] = on_sdhc;
    table
};

#[derive(Clone, Copy)]
struct Irq(u16);

// SAFETY: the numbers are the chip's own.
unsafe impl cortex_m::interrupt::InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

/// Lets both through.
pub(crate) fn enable() {
    for irq in [time::IRQ, sdhc::IRQ] {
        // SAFETY: the table above is in place, and no critical section depends on these two being masked at the NVIC.
        unsafe { cortex_m::peripheral::NVIC::unmask(Irq(irq)) };
    }
}
