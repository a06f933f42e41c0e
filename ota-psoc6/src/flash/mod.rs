//! Flash drivers, internal and external, as `embedded-storage` wants them.
//!
//! Offsets count from the start of the device ([`Device::base`](crate::layout::Device::base)), as in the layouts. A driver writes and erases inside its
//! [`Windows`] only: whatever a bug above asks for, the bootloader's, the secure firmware's and the chip's own flash are not touched.

mod external;
mod internal;
mod windows;

use core::fmt;

use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};

use crate::smif::SmifError;
use crate::syscall::SyscallError;

pub use external::{ExternalFlash, ID, Lines};
pub use internal::InternalFlash;
pub use windows::Windows;

/// Why a flash driver refused or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverError {
    /// Offset or length is no multiple of the unit. Nothing was done.
    NotAligned,
    /// Outside the device. Nothing was done.
    OutOfBounds,
    /// Outside the windows of this driver: somebody else's flash. Nothing was done.
    Protected,
    /// A system call failed.
    System(SyscallError),
    /// The serial interface did not move in time: not clocked, not wired, or no such block.
    Interface(SmifError),
    /// The external part answers with another identity, or not at all (all bits alike).
    Identity([u8; 3]),
    /// The external part has no parameter table of the standard form (SFDP).
    Parameters,
    /// The external part did not take the write-enable: write-protected, or not listening.
    WriteEnable,
    /// The external part is still busy after its longest time.
    Timeout,
    /// The external part reports that an erase failed.
    EraseFailed,
    /// The external part reports that a program failed, as it does for a protected sector.
    ProgramFailed,
    /// The quad bit does not stay set.
    Quad,
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAligned => f.write_str("offset or length is no multiple of the unit"),
            Self::OutOfBounds => f.write_str("outside the flash"),
            Self::Protected => f.write_str("outside what this driver may change"),
            Self::System(error) => write!(f, "system call: {error:?}"),
            Self::Interface(error) => write!(f, "serial memory interface: {error:?}"),
            Self::Identity(id) => write!(f, "another serial flash, or none: identity {id:02x?}"),
            Self::Parameters => f.write_str("the serial flash has no parameter table"),
            Self::WriteEnable => f.write_str("the serial flash does not take the write-enable"),
            Self::Timeout => f.write_str("the serial flash stays busy"),
            Self::EraseFailed => f.write_str("the serial flash reports a failed erase"),
            Self::ProgramFailed => f.write_str("the serial flash reports a failed program"),
            Self::Quad => f.write_str("the serial flash does not keep its quad bit"),
        }
    }
}

impl core::error::Error for DriverError {}

impl NorFlashError for DriverError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds | Self::Protected => NorFlashErrorKind::OutOfBounds,
            Self::System(_)
            | Self::Interface(_)
            | Self::Identity(_)
            | Self::Parameters
            | Self::WriteEnable
            | Self::Timeout
            | Self::EraseFailed
            | Self::ProgramFailed
            | Self::Quad => NorFlashErrorKind::Other,
        }
    }
}

impl From<SyscallError> for DriverError {
    fn from(error: SyscallError) -> Self {
        Self::System(error)
    }
}

impl From<SmifError> for DriverError {
    fn from(error: SmifError) -> Self {
        Self::Interface(error)
    }
}

/// `len` bytes at `offset` as a range that ends inside `capacity`, both ends multiples of `unit`.
fn checked(
    offset: u32,
    len: usize,
    unit: usize,
    capacity: u32,
) -> Result<core::ops::Range<u32>, DriverError> {
    let end = u32::try_from(len).ok().and_then(|len| offset.checked_add(len));
    let end = end.filter(|end| *end <= capacity).ok_or(DriverError::OutOfBounds)?;
    if !(offset as usize).is_multiple_of(unit) || !len.is_multiple_of(unit) {
        return Err(DriverError::NotAligned);
    }
    Ok(offset..end)
}

/// The same for an erase, which names both ends.
fn checked_range(
    from: u32,
    to: u32,
    unit: usize,
    capacity: u32,
) -> Result<core::ops::Range<u32>, DriverError> {
    let len = to.checked_sub(from).ok_or(DriverError::OutOfBounds)?;
    checked(from, len as usize, unit, capacity)
}
