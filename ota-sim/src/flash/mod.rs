//! Flash as strict as the chip: alignment, write-once units, either erased value, rows that are rewritten,
//! torn operations, wear, and a power supply that fails when told to.
//!
//! [`FlashDouble`] implements `NorFlash` of `embedded-storage-async` and of `embedded-storage`, and the object-safe
//! [`Device`] that the [MCUboot model](crate::mcuboot) works on. Its memory, its bookkeeping and its power supply are
//! given by the caller, so it runs without an allocator on the emulated board.
#![cfg_attr(feature = "std", doc = "With feature `std` there are [`VecFlash`] and [`file::FileFlash`].")]
//!
//! ```
//! use embedded_storage::nor_flash::NorFlash;
//! use ota_sim::flash::{Cut, FlashConfig, FlashDouble, FlashFault, Tear, When};
//!
//! let mut flash = FlashDouble::<_, 8, 4096>::new([0xFF; 8192], FlashConfig::nor(8192, 4096, 8)).unwrap();
//! flash.write(0, &[1; 16]).unwrap();
//! assert_eq!(flash.write(8, &[2; 8]), Err(FlashFault::NotErased));
//! flash.arm(Cut { operation: 0, when: When::Inside(Tear::Half) });
//! assert_eq!(flash.write(16, &[3; 8]), Err(FlashFault::PowerLost));
//! flash.power_on();
//! let mut read = [0; 8];
//! flash.peek(16, &mut read).unwrap();
//! assert_eq!(read, [3, 3, 3, 3, 0xFF, 0xFF, 0xFF, 0xFF]);
//! ```

mod device;
mod double;
#[cfg(feature = "std")]
pub mod file;
mod ledger;
mod memory;
mod supply;

use core::fmt;

pub use device::Device;
pub use double::FlashDouble;
#[cfg(feature = "std")]
pub use ledger::VecLedger;
pub use ledger::{ArrayLedger, Ledger};
pub use memory::Memory;
pub use supply::{Actor, Cut, Supply, Tear, When};

/// A flash in the heap that remembers every programmed unit and the wear of every sector.
///
/// Made by [`FlashDouble::blank`]; `P` is its own [`Supply`] or an `Rc<Supply>` shared with the device's other flashes.
#[cfg(feature = "std")]
pub type VecFlash<const WRITE: usize, const ERASE: usize, P = Supply> =
    FlashDouble<Vec<u8>, WRITE, ERASE, VecLedger, P>;

/// How units of the part behave when they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Write-once NOR: a unit is programmed once between erases, even when the bytes written were the erased value
    /// or the write was torn and the unit looks blank (parts with ECC per unit, e.g. S25FL512S). The bootloader alone may
    /// program a unit that reads blank, or whose first byte does: bootutil goes by what it reads.
    Nor,
    /// As [`Kind::Nor`], but a unit that reads blank may be programmed again after a torn write.
    NorReprogram,
    /// A write replaces the whole unit and needs no erase before it (PSoC 6 internal rows). Not atomic.
    RowRewrite,
}

/// What a part looks like. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashConfig {
    /// Capacity, a multiple of `sector_size`.
    pub size: u32,
    /// Erase unit, a multiple of `write_size`.
    pub sector_size: u32,
    /// Smallest and alignment of every write.
    pub write_size: u32,
    /// What an erased byte reads as: 0xFF on serial NOR, 0x00 inside a PSoC 6.
    pub erased: u8,
    /// What a write may meet.
    pub kind: Kind,
}

impl FlashConfig {
    /// Write-once NOR that erases to 0xFF.
    pub const fn nor(size: u32, sector_size: u32, write_size: u32) -> Self {
        Self { size, sector_size, write_size, erased: 0xFF, kind: Kind::Nor }
    }

    /// Rows that are rewritten whole and erase to 0x00, as inside a PSoC 6 (row 512).
    pub const fn row_rewrite(size: u32, row_size: u32) -> Self {
        Self { size, sector_size: row_size, write_size: row_size, erased: 0x00, kind: Kind::RowRewrite }
    }

    /// The same part with another erased value.
    pub const fn with_erased(self, erased: u8) -> Self {
        Self { erased, ..self }
    }

    /// The same part with another kind of unit.
    pub const fn with_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Checks that the sizes divide each other.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.write_size == 0 || self.sector_size == 0 || self.size == 0 {
            return Err(ConfigError::Zero);
        }
        if !self.sector_size.is_multiple_of(self.write_size) {
            return Err(ConfigError::SectorNotWholeUnits);
        }
        if !self.size.is_multiple_of(self.sector_size) {
            return Err(ConfigError::NotWholeSectors);
        }
        Ok(())
    }
}

/// Why a part cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A size is zero.
    Zero,
    /// The sector is not a multiple of the write size.
    SectorNotWholeUnits,
    /// The capacity is not a multiple of the sector.
    NotWholeSectors,
    /// `write_size` or `sector_size` differ from the `WRITE` or `ERASE` of the type, which are not both 1.
    TypeDiffers,
    /// The memory is not as long as `size`.
    MemoryLength,
    /// The ledger has no room for every unit and sector.
    LedgerTooSmall,
    /// The memory could not be read.
    Memory,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "size, sector_size and write_size must not be zero",
            Self::SectorNotWholeUnits => "sector_size must be a multiple of write_size",
            Self::NotWholeSectors => "size must be a multiple of sector_size",
            Self::TypeDiffers => {
                "write_size and sector_size must equal WRITE and ERASE of the type, or these must both be 1"
            }
            Self::MemoryLength => "the memory must be exactly size bytes long",
            Self::LedgerTooSmall => "the ledger must have a bit per unit and a count per sector",
            Self::Memory => "the memory behind the flash could not be read",
        })
    }
}

impl core::error::Error for ConfigError {}

/// Why an operation was refused or did not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashFault {
    /// Address or length is not a multiple of the write size (write) or the sector (erase). Nothing was done.
    NotAligned,
    /// Outside the part. Nothing was done.
    OutOfBounds,
    /// The write meets a unit that was programmed since its last erase. Nothing was done.
    NotErased,
    /// The power is off, or failed during this operation; lasts until `power_on()`.
    PowerLost,
    /// The memory behind the flash (a file) failed.
    Memory,
}

impl fmt::Display for FlashFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAligned => "address or length not aligned to the write size or the sector",
            Self::OutOfBounds => "outside the flash",
            Self::NotErased => "unit already programmed since its last erase",
            Self::PowerLost => "power lost",
            Self::Memory => "memory behind the flash failed",
        })
    }
}

impl core::error::Error for FlashFault {}

impl embedded_storage::nor_flash::NorFlashError for FlashFault {
    fn kind(&self) -> embedded_storage::nor_flash::NorFlashErrorKind {
        use embedded_storage::nor_flash::NorFlashErrorKind;
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotErased | Self::PowerLost | Self::Memory => NorFlashErrorKind::Other,
        }
    }
}

/// What was done to a flash, or to one watched zone of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Writes plus sector erases.
    pub operations: u32,
    /// Sectors erased; an erase of several sectors counts each.
    pub erases: u32,
    /// Write calls.
    pub writes: u32,
    /// Bytes written, padding included.
    pub bytes_written: u64,
    /// Read calls.
    pub reads: u32,
    /// Bytes read.
    pub bytes_read: u64,
}

/// How many zones a flash can watch, see [`FlashDouble::watch`].
pub const ZONE_COUNT: usize = 4;

/// SplitMix64: the only source of randomness here, so a seed tells everything.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
