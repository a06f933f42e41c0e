//! The rules of a layout, one sentence each.

use core::fmt;

/// The rule a layout breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GeometryError {
    /// Start plus size, rounded up to a sector, does not fit 32 bits, or the size is 0.
    Size = 1,
    /// The sector size is 0 or no multiple of the write size.
    SectorSize = 2,
    /// The write size is 0, or start or size is no multiple of it.
    WriteSize = 3,
    /// The erased value is neither 0x00 nor 0xFF.
    Erased = 4,
    /// The slot size is no multiple of max-align.
    MaxAlign = 5,
    /// The bootloader's write size is no power of two, or in a swap mode with trailer state larger than max-align.
    BootWriteSize = 6,
    /// This boot mode needs slots that start and end on sector boundaries.
    Unaligned = 7,
    /// The two slots' sizes, sector sizes or sector counts do not suit this boot mode.
    Pair = 8,
    /// A slot has more sectors than the bootloader's `MCUBOOT_MAX_IMG_SECTORS`, a spare one included.
    MaxSectors = 9,
    /// The flags at the slot's end do not lie in one sector.
    TrailerSplit = 10,
    /// `image_ok` of the primary shares a write-once unit with other fields, so no confirm could ever be written.
    ConfirmUnit = 11,
    /// Swap-status bootloaders know max-align 8 only.
    StatusAlign = 12,
    /// No room is left for an image beside the trailer.
    NoRoom = 13,
    /// The driver's write, erase or read size does not divide the layout's, or the read size exceeds 64.
    Driver = 14,
    /// The device is smaller than the sectors the slot covers.
    Capacity = 15,
    /// The slot's RAM buffer is smaller than the write size, or than 256 bytes.
    Buffer = 16,
}

impl GeometryError {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Size => "slot size is 0, or start + size rounded up to a sector exceeds 32 bits",
            Self::SectorSize => "sector size must be a non-zero multiple of the write size",
            Self::WriteSize => "slot start and size must be multiples of a non-zero write size",
            Self::Erased => "erased value must be 0x00 or 0xFF",
            Self::MaxAlign => "slot size must be a multiple of max-align",
            Self::BootWriteSize => {
                "the bootloader's write size must be a power of two, at most max-align in swap modes"
            }
            Self::Unaligned => "this boot mode needs slots that start and end on sector boundaries",
            Self::Pair => "sizes, sector sizes or sector counts of the two slots do not suit this boot mode",
            Self::MaxSectors => "a slot has more sectors than the bootloader's MCUBOOT_MAX_IMG_SECTORS",
            Self::TrailerSplit => "the last 24 bytes of the slot must lie in one sector",
            Self::ConfirmUnit => {
                "the primary's write size exceeds max-align, so image_ok cannot be written alone"
            }
            Self::StatusAlign => "swap-status bootloaders know max-align 8 only",
            Self::NoRoom => "the trailer leaves no room for an image",
            Self::Driver => "the driver's write, erase and read sizes must divide the layout's",
            Self::Capacity => "the flash device ends before the sectors this slot covers",
            Self::Buffer => "the slot's buffer must hold one write unit and at least 256 bytes",
        }
    }
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for GeometryError {}
