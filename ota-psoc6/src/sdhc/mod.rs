//! The SD host controller SDHC0 with an SDIO card on it: how PSoC 6 talks to the Wi-Fi chip of the kits.
//!
//! [`Host`] brings the controller up and moves data by PIO, [`Card`] is a card that answered: enumerated, selected, open
//! for CMD52 and CMD53. Nothing here knows what the card is; the module `wifi` does.
//!
//! **Waits.** Each is bounded. A command of a few microseconds is polled; what takes longer waits for the controller's
//! interrupt ([`Interrupt`]), and looks once a millisecond all the same: without the interrupt connected everything works,
//! slower. After [`WAIT_MS`] of that the answer is [`Kind::Timeout`].
//!
//! **Errors.** A failed command clears the error register, resets the command part and, where data was on its way, the
//! data part of the controller, and tells the card to stop. Whether to try again is the caller's to decide.
//!
//! **Dropping** a future leaves the controller in the middle of a command. The next command notices, resets both parts and
//! tells the card to stop before it does anything else.
//!
//! Modelled on the host, never run on a board. Registers: PSoC 6 MXSDHC; sequences: SD Host Controller Simplified
//! Specification 3 and 4, SDIO Simplified Specification.

use crate::bus::Bus;
use crate::gpio::{Drive, drive, route};
use crate::kit::{Sdio, function};

mod card;
mod error;
mod host;
mod interrupt;
mod regs;

pub use card::{Card, ENUMERATION_TRIES, R5};
pub use error::{Error, Kind};
pub use host::{Data, Host, WAIT_MS};
pub use interrupt::Interrupt;

/// IRQ number of the controller on CM4 ("sdhc_0_interrupt_general"): its handler calls [`Interrupt::on_interrupt`].
pub const IRQ: u16 = 165;
/// The clock root that feeds the controller.
pub const CLOCK_ROOT: u8 = 4;

/// Connects the pins of a kit to the controller; power and wake of the module stay what they are.
pub fn connect<B: Bus>(bus: B, pins: &Sdio) {
    for pin in pins.data.iter().chain([&pins.command]) {
        drive(bus, *pin, Drive::StrongInput);
    }
    drive(bus, pins.clock, Drive::Strong);
    for pin in pins.data.iter().chain([&pins.command, &pins.clock]) {
        route(bus, *pin, function::SDHC);
    }
}
