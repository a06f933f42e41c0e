//! The Wi-Fi module of the kits: power, the CYW4343W behind the crate `cyw43`, what its firmware has to look like.
//!
//! | Step | By |
//! |---|---|
//! | switch the module off and on (WL_REG_ON) | [`power_cycle`] |
//! | enumerate it on the SD bus | [`Card::enumerate`](crate::sdhc::Card::enumerate), or all so far: [`power_up`] |
//! | check the blobs, ask the chip who it is, load its firmware | [`start`] |
//! | run it | `cyw43`'s `Runner`, raced against [`Health::broken`] |
//!
//! `cyw43` 0.7 swallows errors of the bus, waits without bound in two places and panics in others. So the [`Bus`] repeats
//! what may be repeated, counts everything in [`Health`], and *parks* once the link is broken or the chip has answered the
//! same for too long: it never returns, the driver above stands still before it can panic, and [`Health::broken`] names the
//! reason to whoever raced the driver. Drop the driver, [`power_up`] again, [`start`] again.
//!
//! Where the chip says no, `cyw43` panics. Regulatory data the chip does not take parks the driver
//! ([`Broken::Regulatory`]); other requests it refuses are counted in [`Health`] and not told to the driver. Frames it would
//! fall over (longer than its buffers, as a tagged packet of another host may be, or with lengths that contradict each
//! other) count as lost and do not reach it. **What is left to a panic**, and so to the panic handler, which should reset, are
//! two asserts of the start: that the chip's core runs, and that it keeps a wake-up bit just written.
//!
//! **`wait_for_event`** is implemented with the SDIO interrupt and a timer behind it, but `cyw43` 0.7.0 does not call it: it
//! looks every 10 ms.
//!
//! **CYW43012**: [`Chip`] knows it and [`start`] names it, but no released Rust driver speaks to it. Its RAM is larger and its
//! power management differs throughout, so it needs a driver of its own above [`Card`].
//!
//! Modelled on the host up to the byte-for-byte upload of the firmware; never run on a board.

use embassy_futures::select::{Either, select};
use embedded_hal::digital::OutputPin;
use embedded_hal_async::delay::DelayNs;

use crate::{
    bus::Bus as Registers,
    sdhc::{Card, Error, Host},
};

mod blobs;
mod bus;
mod chip;
mod frame;
mod health;
mod join;

pub use crate::blobs::{BlobError, STAND_IN};
pub use blobs::Blobs;
pub use bus::{Bus, RETRIES, STALL_MS};
pub use chip::{Chip, Parameters};
pub use cyw43;
pub use health::{Broken, Health};
pub use join::{JoinError, join};

/// How long WL_REG_ON stays low, milliseconds (vendor driver).
pub const POWER_OFF_MS: u32 = 10;
/// How long the module takes from power to its bus, milliseconds (vendor driver).
pub const POWER_ON_MS: u32 = 250;

/// Why the module did not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The pin WL_REG_ON could not be driven.
    Power,
    /// No card, or the bus failed before the driver took over.
    Sdio(Error),
    /// A blob is missing, a stand-in, or not whole.
    Blob(BlobError),
    /// The chip's clock did not start.
    NoClock,
    /// A chip no driver is for. The number is what the chip says it is: 43012 for a CYW43012.
    Unsupported(u16),
    /// The link broke, or the chip stopped answering, while it was being started.
    Broken(Broken),
}

/// Switches the module off and on. Takes 260 ms.
///
/// Dropping the future may leave the module off.
///
/// # Errors
/// [`StartError::Power`].
pub async fn power_cycle(reg_on: &mut impl OutputPin, delay: &mut impl DelayNs) -> Result<(), StartError> {
    reg_on.set_low().map_err(|_| StartError::Power)?;
    delay.delay_ms(POWER_OFF_MS).await;
    reg_on.set_high().map_err(|_| StartError::Power)?;
    delay.delay_ms(POWER_ON_MS).await;
    Ok(())
}

/// Switches the module on, starts the controller, enumerates the card. Takes 0.3 s, and 0.5 s more if no card answers.
///
/// # Errors
/// [`StartError::Power`] or [`StartError::Sdio`], with the number of the command that failed. Worth trying again a few times.
pub async fn power_up<'i, B: Registers, D: DelayNs>(
    reg_on: &mut impl OutputPin,
    mut delay: impl DelayNs,
    mut host: Host<'i, B, D>,
) -> Result<Card<'i, B, D>, StartError> {
    power_cycle(reg_on, &mut delay).await?;
    host.start().await.map_err(StartError::Sdio)?;
    Card::enumerate(host).await.map_err(|(error, _)| StartError::Sdio(error))
}

/// What [`start`] hands out: the network device, the control handle, and the runner that must be polled.
pub type Started<'a, 'i, B, D> =
    (cyw43::NetDriver<'a>, cyw43::Control<'a>, cyw43::Runner<'a, cyw43::SdioBus<Bus<'a, 'i, B, D>>>);

/// Checks the blobs, asks the chip who it is and loads its firmware. About 430 KB go over the bus: some 100 ms at 25 MHz.
///
/// Race the runner against [`Health::broken`]. Give the regulatory blob to `Control::init` while the runner runs.
///
/// Dropping the future leaves a chip with half a firmware: [`power_up`] again.
///
/// # Errors
/// All of [`StartError`] but `Power`.
pub async fn start<'a, 'i, B: Registers, D: DelayNs>(
    state: &'a mut cyw43::State,
    mut card: Card<'i, B, D>,
    blobs: &Blobs<'_>,
    health: &'a Health,
) -> Result<Started<'a, 'i, B, D>, StartError> {
    blobs.check().map_err(StartError::Blob)?;
    match chip::identify(&mut card).await? {
        Chip::Cyw4343w | Chip::Cyw43439 => {}
        chip @ (Chip::Cyw43012 | Chip::Unknown(_)) => return Err(StartError::Unsupported(chip.id())),
    }
    health.reset();
    let bus = Bus::new(card, health);
    match select(cyw43::new_sdio(state, bus, blobs.firmware, blobs.nvram), health.broken()).await {
        Either::First(started) => Ok(started),
        Either::Second(broken) => Err(StartError::Broken(broken)),
    }
}
