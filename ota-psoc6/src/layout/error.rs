//! The rules of a flash map, one sentence each.

use core::fmt;

use ota_core::geometry::GeometryError;
use ota_core::journal::RegionError;

/// The rule a map breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// An area lies outside the flash it should be in, or beyond what an application may use of it.
    Outside,
    /// Two areas share bytes, or a sector that is erased whole.
    Overlap,
    /// An area reaches into a reserved one: the bootloader's, the secure firmware's storage, the system's.
    Reserved,
    /// A bootloader that swaps with a status partition, on a map without one: an overwrite-only map.
    OverwriteOnly,
    /// A boot mode of upstream MCUboot that keeps its state in trailers: these need write units of at most 32 bytes.
    TrailerMode,
    /// A swap mode erases the secondary's trailer, and image bytes share its sector.
    TrailerShared,
    /// The status partition is too small for the bootloader's records.
    StatusSize,
    /// The scratch area is smaller than the largest sector, or not on sector boundaries.
    ScratchSize,
    /// Primary and secondary differ in size.
    SlotSizes,
    /// The slot has more rows than the bootloader's `MCUBOOT_MAX_IMG_SECTORS`.
    MaxSectors,
    /// The vector table behind the image header would not lie on a multiple of 1024.
    VectorTable,
    /// The RAM is outside the chip's, or the bootloader's.
    Ram,
    /// There is no such map: the larger bootloader exists in swap builds only.
    NoSuchMap,
    /// No image, or more than four.
    ImageCount,
    /// A slot breaks a rule of `ota-core`.
    Geometry(GeometryError),
    /// The journal breaks a rule of `ota-core`.
    Journal(RegionError),
}

impl MapError {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Outside => "an area lies outside its flash or beyond what an application may use of it",
            Self::Overlap => "two areas overlap, or share a sector that is erased whole",
            Self::Reserved => {
                "an area reaches into the bootloader's, the secure firmware's or the system's flash"
            }
            Self::OverwriteOnly => {
                "this is an overwrite-only map: a swap needs a status partition and a scratch area"
            }
            Self::TrailerMode => {
                "swap-scratch, swap-move and swap-offset need write units of at most 32 bytes; these rows have 512"
            }
            Self::TrailerShared => {
                "the secondary's trailer shares its erase sector with image bytes, so no swap can clear it alone"
            }
            Self::StatusSize => "the status partition is smaller than the bootloader's records",
            Self::ScratchSize => {
                "the scratch area must be whole sectors, and hold the largest sector of the slots"
            }
            Self::SlotSizes => "primary and secondary must have the same size",
            Self::MaxSectors => "the slot has more rows than the bootloader's MCUBOOT_MAX_IMG_SECTORS",
            Self::VectorTable => "the vector table behind the header must lie on a multiple of 1024",
            Self::Ram => "the RAM must lie in the chip's, clear of the bootloader's",
            Self::NoSuchMap => "bootloaders of 0x28000 bytes exist in swap builds only",
            Self::ImageCount => "a map has one to four images",
            Self::Geometry(_) => "a slot breaks a rule of ota_core::geometry",
            Self::Journal(_) => "the journal breaks a rule of ota_core::journal",
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geometry(error) => error.fmt(f),
            Self::Journal(error) => error.fmt(f),
            Self::Outside
            | Self::Overlap
            | Self::Reserved
            | Self::OverwriteOnly
            | Self::TrailerMode
            | Self::TrailerShared
            | Self::StatusSize
            | Self::ScratchSize
            | Self::SlotSizes
            | Self::MaxSectors
            | Self::VectorTable
            | Self::Ram
            | Self::NoSuchMap
            | Self::ImageCount => f.write_str(self.text()),
        }
    }
}

impl core::error::Error for MapError {}
