//! Where things lie: one slot inside one flash device, and the two slots of an image under one bootloader.
//!
//! Both values are checked once, at best while compiling:
//!
//! ```
//! use ota_core::geometry::*;
//!
//! /// PSoC 62 with an internal secondary: 512-byte rows that erase to 0x00 and are rewritten whole.
//! const ROW: SlotLayout = SlotLayout {
//!     start: 0x1_8000,
//!     size: 0xE_E000,
//!     sector_size: 512,
//!     write_size: 512,
//!     erased: 0x00,
//!     reprogram: Reprogram::Allowed,
//!     rewrite: true,
//!     erase_ms: 0,
//! };
//! const LAYOUT: ImageLayout = ImageLayout::checked(ImageSlots {
//!     primary: Geometry::checked(ROW),
//!     secondary: Geometry::checked(SlotLayout { start: 0x10_6000, ..ROW }),
//!     mode: BootMode::Overwrite,
//!     max_align: MaxAlign::M8,
//!     boot_write_size: 8,
//!     max_sectors: 2000,
//! });
//! assert_eq!(LAYOUT.max_image_size(), 0xE_DE00);
//! ```
//!
//! A wrong layout does not compile:
//!
//! ```compile_fail
//! # use ota_core::geometry::*;
//! const WRONG: Geometry = Geometry::checked(SlotLayout {
//!     start: 0, size: 0x1_0000, sector_size: 4096, write_size: 8, erased: 0x55,
//!     reprogram: Reprogram::Allowed, rewrite: false, erase_ms: 0,
//! });
//! # let _ = WRONG;
//! ```

use core::ops::Range;

use crate::{slot::FlashError, trailer::TrailerLayout};

mod error;
mod limits;
#[cfg(test)]
mod tests;

pub use error::GeometryError;
use limits::{first_trailer_sector, image_offset, max_image_size, pair_error};

/// How this device's MCUboot installs an image; what the application may write and can read back follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootMode {
    /// `MCUBOOT_OVERWRITE_ONLY`: the secondary is copied over the primary. There is no revert.
    Overwrite,
    /// `MCUBOOT_SWAP_USING_SCRATCH`.
    SwapScratch,
    /// `MCUBOOT_SWAP_USING_MOVE`.
    SwapMove,
    /// `MCUBOOT_SWAP_USING_OFFSET`: a new image starts at the second sector of the secondary.
    SwapOffset,
    /// `MCUBOOT_SWAP_USING_STATUS` of Infineon's fork: state lives in a partition of its own, the slot's trailer only
    /// carries requests to the bootloader.
    SwapStatus,
}

impl BootMode {
    /// Whether MCUboot keeps the swap's state in the slot trailers (all upstream swap modes).
    pub const fn has_trailer_state(self) -> bool {
        match self {
            Self::SwapScratch | Self::SwapMove | Self::SwapOffset => true,
            Self::Overwrite | Self::SwapStatus => false,
        }
    }
}

/// May a write unit that reads as blank be programmed again after a write to it was torn by a power cut?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reprogram {
    /// Yes: plain NOR, or a part that rewrites whole rows.
    Allowed,
    /// No: a part with ECC over the unit. Only an erase makes the unit good again.
    Forbidden,
}

/// The bootloader's `MCUBOOT_BOOT_MAX_ALIGN`: the spacing of the trailer's fields and which magic is used. It is not the
/// flash's write size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxAlign {
    /// 8 bytes: every release before 1.9.0, every PSoC 6 bootloader, and the default since.
    M8,
    /// 16 bytes.
    M16,
    /// 32 bytes.
    M32,
}

impl MaxAlign {
    /// The alignment in bytes.
    pub const fn bytes(self) -> u32 {
        8 << self as u32
    }
}

/// A slot as a board describes it; [`Geometry`] is the checked form. Sizes and offsets are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLayout {
    /// Where the slot starts inside its flash device. It need not be a sector boundary, but then **nothing else may live
    /// in the sectors it shares** ([`Geometry::covered`]): they are erased whole.
    pub start: u32,
    /// Size of the slot; its end need not be a sector boundary either.
    pub size: u32,
    /// Erase unit of the device, a multiple of the driver's `ERASE_SIZE`.
    pub sector_size: u32,
    /// Write unit, a multiple of the driver's `WRITE_SIZE`: each unit is programmed once between erases.
    pub write_size: u32,
    /// What an erased byte reads as: 0xFF, or 0x00 (PSoC 6 internal flash).
    pub erased: u8,
    /// Whether a blank-looking unit may be programmed again after a torn write.
    pub reprogram: Reprogram,
    /// A write replaces the whole unit and needs no erase before it (PSoC 6 internal rows: `Cy_Flash_WriteRow`).
    pub rewrite: bool,
    /// Longest erase of one sector in milliseconds; 0 when it hides in a network round trip.
    pub erase_ms: u32,
}

/// One slot inside one flash device, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    layout: SlotLayout,
    /// Bytes of the first covering sector that lie before the slot.
    lead: u32,
    sector_count: u32,
}

impl Geometry {
    /// Checks a layout.
    pub const fn new(layout: SlotLayout) -> Result<Self, GeometryError> {
        let SlotLayout { start, size, sector_size, write_size, erased, .. } = layout;
        if write_size == 0 || !start.is_multiple_of(write_size) || !size.is_multiple_of(write_size) {
            return Err(GeometryError::WriteSize);
        }
        if sector_size == 0 || !sector_size.is_multiple_of(write_size) {
            return Err(GeometryError::SectorSize);
        }
        if size == 0 {
            return Err(GeometryError::Size);
        }
        // Everything below computes inside the covered sectors, so this is the one place that can overflow.
        let Some(end) = start.checked_add(size) else { return Err(GeometryError::Size) };
        let Some(end) = end.checked_next_multiple_of(sector_size) else { return Err(GeometryError::Size) };
        if erased != 0x00 && erased != 0xFF {
            return Err(GeometryError::Erased);
        }
        let lead = start % sector_size;
        Ok(Self { layout, lead, sector_count: (end - (start - lead)) / sector_size })
    }

    /// [`Geometry::new`] for a `const`: a wrong layout stops the build and names its rule.
    ///
    /// # Panics
    /// With the rule's sentence, which in a `const` is a compile error. At run time use [`Geometry::new`].
    pub const fn checked(layout: SlotLayout) -> Self {
        match Self::new(layout) {
            Ok(geometry) => geometry,
            #[allow(clippy::panic, reason = "for `const` contexts: a wrong layout does not compile")]
            Err(error) => panic!("{}", error.text()),
        }
    }

    /// Offset of the slot inside its flash device.
    pub const fn start(&self) -> u32 {
        self.layout.start
    }

    /// Size of the slot.
    pub const fn size(&self) -> u32 {
        self.layout.size
    }

    /// Erase unit.
    pub const fn sector_size(&self) -> u32 {
        self.layout.sector_size
    }

    /// Write unit.
    pub const fn write_size(&self) -> u32 {
        self.layout.write_size
    }

    /// What an erased byte reads as.
    pub const fn erased(&self) -> u8 {
        self.layout.erased
    }

    /// Whether a blank-looking unit may be programmed again after a torn write.
    pub const fn reprogram(&self) -> Reprogram {
        self.layout.reprogram
    }

    /// Whether a write replaces its unit without an erase before it.
    pub const fn rewrite(&self) -> bool {
        self.layout.rewrite
    }

    /// Longest erase of one sector in milliseconds, 0 when it hides in a network round trip.
    pub const fn erase_ms(&self) -> u32 {
        self.layout.erase_ms
    }

    /// Sectors that cover the slot, the shared ones at its start and end included.
    pub const fn sector_count(&self) -> u32 {
        self.sector_count
    }

    /// The sector that holds byte `at` of the slot; an `at` past the slot counts as its last byte.
    pub const fn sector_of(&self, at: u32) -> u32 {
        let at = if at < self.layout.size { at } else { self.layout.size - 1 };
        match (self.lead + at).checked_div(self.layout.sector_size) {
            Some(sector) => sector,
            // A checked sector is not empty.
            None => 0,
        }
    }

    /// The bytes of the slot that `sector` holds, as offsets in the slot: clipped to it, empty past the last sector.
    pub const fn sector_range(&self, sector: u32) -> Range<u32> {
        let begin = sector.saturating_mul(self.layout.sector_size);
        let end = begin.saturating_add(self.layout.sector_size).saturating_sub(self.lead);
        let begin = begin.saturating_sub(self.lead);
        let size = self.layout.size;
        (if begin < size { begin } else { size })..(if end < size { end } else { size })
    }

    /// The whole of a covering sector as a range of the flash device.
    pub(crate) fn whole_sector(&self, sector: u32) -> Result<Range<u32>, FlashError> {
        if sector >= self.sector_count {
            return Err(FlashError::OutOfBounds);
        }
        // Inside the covered range, whose end was checked.
        let start = self.layout.start - self.lead + sector * self.layout.sector_size;
        Ok(start..start + self.layout.sector_size)
    }

    /// The covering sectors as a range of the flash device. All of it is erased in the life of the slot: whoever lays out
    /// the device must keep everything else out of it (see [`Geometry::is_disjoint`]).
    pub const fn covered(&self) -> Range<u32> {
        // The end was checked.
        let start = self.layout.start - self.lead;
        start..start + self.sector_count * self.layout.sector_size
    }

    /// Whether two slots of one device share no sector.
    pub const fn is_disjoint(&self, other: &Self) -> bool {
        self.covered().end <= other.covered().start || other.covered().end <= self.covered().start
    }
}

/// The two slots of one image and the constants their bootloader was built with; [`ImageLayout`] is the checked form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSlots {
    /// Where the running image lies.
    pub primary: Geometry,
    /// Where a new image is written.
    pub secondary: Geometry,
    /// How the bootloader installs it.
    pub mode: BootMode,
    /// The bootloader's `MCUBOOT_BOOT_MAX_ALIGN`.
    pub max_align: MaxAlign,
    /// The write size in bytes the bootloader computes its trailer with (imgtool's `--align`).
    pub boot_write_size: u32,
    /// The bootloader's `MCUBOOT_MAX_IMG_SECTORS` (imgtool's `-M`), 128 unless it says otherwise.
    pub max_sectors: u32,
}

/// The two slots of one image under one bootloader, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLayout {
    slots: ImageSlots,
    image_offset: u32,
    max_image_size: u32,
    /// The first of [`ImageLayout::trailer_sectors`].
    trailer_sector: u32,
    /// The first of [`ImageLayout::field_sectors`].
    field_sector: u32,
    primary_trailer: TrailerLayout,
    secondary_trailer: TrailerLayout,
}

impl ImageLayout {
    /// Checks the pair against the boot mode's rules (MCUboot `docs/design.md`, and the geometry checks of
    /// `swap_move.c`, `swap_offset.c` and `swap_scratch.c`).
    pub const fn new(slots: ImageSlots) -> Result<Self, GeometryError> {
        let ImageSlots { primary, secondary, mode, max_align, boot_write_size, max_sectors } = slots;
        let align = max_align.bytes();
        if !primary.size().is_multiple_of(align) || !secondary.size().is_multiple_of(align) {
            return Err(GeometryError::MaxAlign);
        }
        if !boot_write_size.is_power_of_two() || (mode.has_trailer_state() && boot_write_size > align) {
            return Err(GeometryError::BootWriteSize);
        }
        if let Some(error) = pair_error(&primary, &secondary, mode, max_sectors) {
            return Err(error);
        }
        match mode {
            BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {}
            BootMode::SwapStatus => match max_align {
                MaxAlign::M8 => {}
                MaxAlign::M16 | MaxAlign::M32 => return Err(GeometryError::StatusAlign),
            },
        }
        // A write-once unit that image_ok shares with another field is spent when the image has to be confirmed.
        let confirms = !matches!(mode, BootMode::Overwrite);
        if confirms && !primary.rewrite() && primary.write_size() > align {
            return Err(GeometryError::ConfirmUnit);
        }
        let max_image_size = max_image_size(&slots);
        // A header alone is no image.
        if max_image_size <= crate::image::HEADER_SIZE {
            return Err(GeometryError::NoRoom);
        }
        let secondary_trailer = TrailerLayout::new(secondary.size(), max_align, mode);
        Ok(Self {
            slots,
            image_offset: image_offset(&slots),
            max_image_size,
            trailer_sector: first_trailer_sector(&slots),
            field_sector: secondary.sector_of(secondary_trailer.info_start()),
            primary_trailer: TrailerLayout::new(primary.size(), max_align, mode),
            secondary_trailer,
        })
    }

    /// [`ImageLayout::new`] for a `const`: a wrong layout stops the build and names its rule.
    ///
    /// # Panics
    /// With the rule's sentence, which in a `const` is a compile error. At run time use [`ImageLayout::new`].
    pub const fn checked(slots: ImageSlots) -> Self {
        match Self::new(slots) {
            Ok(layout) => layout,
            #[allow(clippy::panic, reason = "for `const` contexts: a wrong layout does not compile")]
            Err(error) => panic!("{}", error.text()),
        }
    }

    /// Where the running image lies.
    pub const fn primary(&self) -> &Geometry {
        &self.slots.primary
    }

    /// Where a new image is written.
    pub const fn secondary(&self) -> &Geometry {
        &self.slots.secondary
    }

    /// How the bootloader installs it.
    pub const fn mode(&self) -> BootMode {
        self.slots.mode
    }

    /// The bootloader's max-align.
    pub const fn max_align(&self) -> MaxAlign {
        self.slots.max_align
    }

    /// The bootloader's write size.
    pub const fn boot_write_size(&self) -> u32 {
        self.slots.boot_write_size
    }

    /// The bootloader's largest number of sectors.
    pub const fn max_sectors(&self) -> u32 {
        self.slots.max_sectors
    }

    /// Where byte 0 of a new image goes in the secondary: 0, or one sector in [`BootMode::SwapOffset`].
    pub const fn image_offset(&self) -> u32 {
        self.image_offset
    }

    /// The largest file that may be written, to the end of its TLVs. The bootloader's own limit, or less where a write
    /// unit of ours would otherwise hold image and trailer bytes.
    pub const fn max_image_size(&self) -> u32 {
        self.max_image_size
    }

    /// Sectors of the secondary to clear before byte 0 lands, so that an old request cannot meet a new image.
    ///
    /// In [`BootMode::SwapOffset`] the sectors before the image must be clear as well: [`ImageLayout::lead_sectors`].
    pub const fn trailer_sectors(&self) -> Range<u32> {
        self.trailer_sector..self.slots.secondary.sector_count()
    }

    /// Sectors of the secondary with fields of a request.
    pub(crate) const fn field_sectors(&self) -> Range<u32> {
        self.field_sector..self.slots.secondary.sector_count()
    }

    /// Sectors of the secondary before byte 0 of the image: empty, or sector 0 in [`BootMode::SwapOffset`]. After a swap
    /// the old image's header lies there, which the bootloader takes for an upload to the wrong address: it erases the
    /// slot. Clear them as the trailer's.
    pub const fn lead_sectors(&self) -> Range<u32> {
        match self.slots.mode {
            BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapStatus => 0..0,
            BootMode::SwapOffset => 0..1,
        }
    }

    /// Places of the primary's trailer fields.
    pub const fn primary_trailer(&self) -> TrailerLayout {
        self.primary_trailer
    }

    /// Places of the secondary's trailer fields.
    pub const fn secondary_trailer(&self) -> TrailerLayout {
        self.secondary_trailer
    }
}
