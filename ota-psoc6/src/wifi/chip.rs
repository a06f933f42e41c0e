//! Which chip is on the bus.

use embedded_hal_async::delay::DelayNs;

use super::StartError;
use crate::{
    bus::Bus as Registers,
    sdhc::{Card, Error},
};

/// A chip of the family, by what its identification register says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chip {
    /// The CYW4343W of the module Murata 1DX; it calls itself 43430.
    Cyw4343w,
    /// The CYW43439, which `cyw43` is written for.
    Cyw43439,
    /// The CYW43012 of the module Murata 1LV.
    Cyw43012,
    /// Something else.
    Unknown(u16),
}

/// What a driver has to know about a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Bytes of RAM for firmware and settings; the settings lie at its end.
    pub ram_size: u32,
    /// Base of the power management unit on the chip's backplane.
    pub pmu_base: u32,
    /// Base of the ARM core's wrapper.
    pub arm_core_base: u32,
    /// Base of the memory controller.
    pub socsram_base: u32,
    /// Base of the SDIO device core.
    pub sdiod_base: u32,
}

impl Chip {
    const fn of(id: u16) -> Self {
        match id {
            43430 => Self::Cyw4343w,
            43439 => Self::Cyw43439,
            43012 => Self::Cyw43012,
            other => Self::Unknown(other),
        }
    }

    /// What the chip calls itself.
    pub const fn id(self) -> u16 {
        match self {
            Self::Cyw4343w => 43430,
            Self::Cyw43439 => 43439,
            Self::Cyw43012 => 43012,
            Self::Unknown(id) => id,
        }
    }

    /// The chip's parameters (table of constants of `Infineon/wifi-host-driver` 3.0.0). `cyw43` has those of the CYW43439 built
    /// in, and the CYW4343W's are equal; a driver for the CYW43012 starts here.
    pub const fn parameters(self) -> Option<Parameters> {
        let cyw43439 = Parameters {
            ram_size: 0x8_0000,
            pmu_base: 0x1800_0000,
            arm_core_base: 0x1800_3000,
            socsram_base: 0x1800_4000,
            sdiod_base: 0x1800_2000,
        };
        match self {
            Self::Cyw4343w | Self::Cyw43439 => Some(cyw43439),
            Self::Cyw43012 => Some(Parameters { ram_size: 0xA_0000, pmu_base: 0x1801_2000, ..cyw43439 }),
            Self::Unknown(_) => None,
        }
    }
}

/// Common register: which functions are enabled, and which are ready.
const IO_ENABLE: u32 = 0x02;
const IO_READY: u32 = 0x03;
const FUNCTION_1: u8 = 1 << 1;
/// Registers of function 1 beside its window on the backplane.
const WINDOW: [u32; 3] = [0x1_000A, 0x1_000B, 0x1_000C];
const CLOCK: u32 = 0x1_000E;
const CLOCK_REQUEST: u8 = 0x20 | 0x08 | 0x01;
const CLOCK_AVAILABLE: u8 = 0x40;
/// Base of the core whose first register is the identification.
const CHIPCOMMON: u32 = 0x1800_0000;
/// Looks a millisecond apart.
const TRIES: u32 = 500;

/// Enables the backplane, starts the chip's slow clock and reads who it is.
///
/// `cyw43` does the first two again, and would panic where this returns an error.
pub(super) async fn identify<B: Registers, D: DelayNs>(
    card: &mut Card<'_, B, D>,
) -> Result<Chip, StartError> {
    write(card, 0, IO_ENABLE, FUNCTION_1).await?;
    wait(card, 0, IO_READY, FUNCTION_1).await?;
    write(card, 1, CLOCK, CLOCK_REQUEST).await?;
    wait(card, 1, CLOCK, CLOCK_AVAILABLE).await?;
    for (at, byte) in WINDOW.into_iter().zip(&CHIPCOMMON.to_le_bytes()[1..]) {
        write(card, 1, at, *byte).await?;
    }
    let id = [read(card, 1, 0).await?, read(card, 1, 1).await?];
    write(card, 1, CLOCK, 0).await?;
    Ok(Chip::of(u16::from_le_bytes(id)))
}

async fn wait<B: Registers, D: DelayNs>(
    card: &mut Card<'_, B, D>,
    function: u32,
    at: u32,
    bit: u8,
) -> Result<(), StartError> {
    for _ in 0..TRIES {
        if read(card, function, at).await? & bit != 0 {
            return Ok(());
        }
        card.host().delay().delay_ms(1).await;
    }
    Err(StartError::NoClock)
}

async fn read<B: Registers, D: DelayNs>(
    card: &mut Card<'_, B, D>,
    function: u32,
    at: u32,
) -> Result<u8, StartError> {
    repeat(card, function << 28 | at << 9).await
}

async fn write<B: Registers, D: DelayNs>(
    card: &mut Card<'_, B, D>,
    function: u32,
    at: u32,
    value: u8,
) -> Result<(), StartError> {
    repeat(card, 1 << 31 | function << 28 | at << 9 | u32::from(value)).await.map(|_| ())
}

async fn repeat<B: Registers, D: DelayNs>(
    card: &mut Card<'_, B, D>,
    argument: u32,
) -> Result<u8, StartError> {
    for _ in 1..super::RETRIES {
        match card.cmd52(argument).await {
            Ok(answer) => return Ok(answer as u8),
            Err(Error { kind, .. }) if kind.is_transient() => {}
            Err(error) => return Err(StartError::Sdio(error)),
        }
    }
    card.cmd52(argument).await.map(|answer| answer as u8).map_err(StartError::Sdio)
}
