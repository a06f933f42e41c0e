//! Time: the clock of `embassy-time` over counter 0 of TCPWM0, 32 bits wide.
//!
//! The counter runs by itself, so interrupts that are masked for the 20 ms of a flash operation cost nothing but a late
//! wake-up. Half a turn of it (35 minutes at 1 MHz) may pass between two looks; [`Clock`] asks for an interrupt at least that
//! often. [`Driver`] is the clock with a queue of wakers; on the chip the feature `time` registers one for `embassy-time`, to be
//! started by `time::start` and served by `time::on_interrupt`, which exist on the chip only.
//!
//! Modelled on the host, never run on a board. Registers: PSoC 6 TCPWM and PERI (headers of `mtb-pdl-cat1`, die psoc6_02).

mod clock;
mod driver;

pub use clock::Clock;
pub use driver::Driver;
#[cfg(target_os = "none")]
pub use driver::{on_interrupt, start};

/// Ticks per second of `embassy-time`, which the counter has to count: 1 MHz unless a feature of `embassy-time` says otherwise.
pub const TICK_HZ: u32 = embassy_time_driver::TICK_HZ as u32;

/// IRQ number of the counter on CM4 ("tcpwm_0_interrupts_0"): its handler calls `time::on_interrupt`.
pub const IRQ: u16 = 123;
