//! What a layout must look like for each mode, and where sectors of two slots meet.

use core::fmt;

use super::area::{Area, Flashes, MAX_WRITE_SIZE};
use super::boot::MAX_IMAGES;
use super::status::{ROW_SIZE, StatusMap};
use super::{Bootloader, Config, ImageSlots, Mode, trailer_magic};
use crate::flash::{FlashConfig, Kind};

/// Why a bootloader cannot be built for a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// No image, or more than [`MAX_IMAGES`].
    ImageCount,
    /// `max_align` is not 8, 16 or 32, or not 8 with a status partition.
    MaxAlign,
    /// An area names a flash that is not there, or reaches past its end.
    Outside,
    /// An area does not begin and end on a write unit, a write unit is above 1024 bytes, or a slot is no multiple of 32.
    Unaligned,
    /// A mode with trailers needs `write_size` to be a power of two up to `max_align` and a multiple of both slots' units.
    WriteSize,
    /// A slot has more sectors than `max_sectors`.
    TooManySectors,
    /// The mode wants equal sector sizes, slots on sector boundaries, and sizes that differ by one sector at most.
    SlotsDiffer,
    /// The mode wants slots of equal size.
    SizesDiffer,
    /// The trailer leaves no room for an image.
    NoRoom,
    /// The scratch area is missing, smaller than the largest sector pair, or not on sector boundaries.
    Scratch,
    /// The status partition is missing, too small, or its rows cannot be rewritten 512 bytes at a time.
    Status,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ImageCount => "a bootloader serves one to four images",
            Self::MaxAlign => "max_align must be 8, 16 or 32, with a status partition 8",
            Self::Outside => "an area lies outside its flash",
            Self::Unaligned => "areas must consist of whole write units of up to 1024 bytes, slots of whole 32 bytes",
            Self::WriteSize => {
                "write_size must be a power of two up to max_align and a multiple of the write units of both slots"
            }
            Self::TooManySectors => "a slot has more sectors than max_sectors",
            Self::SlotsDiffer => "the mode needs sector-aligned slots with equal sectors and at most one sector more in one",
            Self::SizesDiffer => "the mode needs slots of equal size",
            Self::NoRoom => "the trailer leaves no room for an image",
            Self::Scratch => "the mode needs a sector-aligned scratch area as large as the largest sector pair",
            Self::Status => "the mode needs a status partition of rewritable 512-byte rows, two copies for each slot",
        })
    }
}

impl core::error::Error for LayoutError {}

impl<'a> Bootloader<'a> {
    /// Checks a configuration against the flashes it will be given, in the same order.
    ///
    /// # Errors
    /// The first [`LayoutError`] found.
    pub fn new(config: Config<'a>, flashes: &[FlashConfig]) -> Result<Self, LayoutError> {
        if config.images.is_empty() || config.images.len() > MAX_IMAGES {
            return Err(LayoutError::ImageCount);
        }
        let only_8 = matches!(config.mode, Mode::SwapStatus(_));
        if trailer_magic(config.max_align).is_none() || (only_8 && config.max_align != 8) {
            return Err(LayoutError::MaxAlign);
        }
        let bootloader = Self { config };
        for slots in config.images {
            bootloader.check_slots(slots, flashes)?;
        }
        for area in [config.scratch, config.status].into_iter().flatten() {
            check_area(area, flashes)?;
        }
        Ok(bootloader)
    }

    fn check_slots(&self, slots: &ImageSlots, flashes: &[FlashConfig]) -> Result<(), LayoutError> {
        let (primary, secondary) =
            (check_area(slots.primary, flashes)?, check_area(slots.secondary, flashes)?);
        if !slots.primary.size.is_multiple_of(32) || !slots.secondary.size.is_multiple_of(32) {
            return Err(LayoutError::Unaligned);
        }
        match self.config.mode {
            Mode::Overwrite => {
                if slots.primary.size != slots.secondary.size {
                    return Err(LayoutError::SizesDiffer);
                }
            }
            Mode::SwapScratch => {
                self.check_write_size(&primary, &secondary)?;
                self.check_chunks(slots, &primary, &secondary, flashes)?;
            }
            Mode::SwapMove | Mode::SwapOffset => {
                self.check_write_size(&primary, &secondary)?;
                self.check_sectors(slots, &primary, &secondary)?;
            }
            Mode::SwapStatus(_) => {
                self.check_chunks(slots, &primary, &secondary, flashes)?;
                // The trailer written after a swap begins 48 bytes before the slot's end.
                if primary.kind != Kind::RowRewrite && !16u32.is_multiple_of(primary.write_size) {
                    return Err(LayoutError::WriteSize);
                }
                self.check_status(flashes)?;
            }
        }
        let needed = match self.config.mode {
            Mode::Overwrite | Mode::SwapStatus(_) => 64,
            Mode::SwapScratch | Mode::SwapMove | Mode::SwapOffset => self.trailer_size(),
        };
        if needed >= slots.primary.size.min(slots.secondary.size)
            || self.limit(slots, &primary, &secondary) == Some(0)
        {
            return Err(LayoutError::NoRoom);
        }
        Ok(())
    }

    fn check_write_size(&self, primary: &FlashConfig, secondary: &FlashConfig) -> Result<(), LayoutError> {
        let write_size = self.config.write_size;
        let fits = write_size.is_power_of_two()
            && write_size <= self.config.max_align
            && write_size.is_multiple_of(primary.write_size)
            && write_size.is_multiple_of(secondary.write_size);
        if fits { Ok(()) } else { Err(LayoutError::WriteSize) }
    }

    fn check_sectors(
        &self,
        slots: &ImageSlots,
        primary: &FlashConfig,
        secondary: &FlashConfig,
    ) -> Result<(), LayoutError> {
        let sector = primary.sector_size;
        let aligned = [slots.primary.start, slots.primary.size, slots.secondary.start, slots.secondary.size]
            .iter()
            .all(|value| value.is_multiple_of(sector));
        let (larger, smaller) = match self.config.mode {
            Mode::SwapOffset => (slots.secondary.size, slots.primary.size),
            Mode::Overwrite | Mode::SwapScratch | Mode::SwapMove | Mode::SwapStatus(_) => {
                (slots.primary.size, slots.secondary.size)
            }
        };
        if !aligned || secondary.sector_size != sector || (larger != smaller && larger != smaller + sector) {
            return Err(LayoutError::SlotsDiffer);
        }
        if larger / sector > self.config.max_sectors {
            return Err(LayoutError::TooManySectors);
        }
        Ok(())
    }

    /// Rules of the modes with a scratch area.
    fn check_chunks(
        &self,
        slots: &ImageSlots,
        primary: &FlashConfig,
        secondary: &FlashConfig,
        flashes: &[FlashConfig],
    ) -> Result<(), LayoutError> {
        if slots.primary.size != slots.secondary.size {
            return Err(LayoutError::SizesDiffer);
        }
        let scratch = self.config.scratch.ok_or(LayoutError::Scratch)?;
        let config = check_area(scratch, flashes)?;
        let aligned = scratch.start.is_multiple_of(config.sector_size)
            && scratch.size.is_multiple_of(config.sector_size);
        let (mut end, mut count) = (slots.primary.size, 0);
        while end > 0 {
            let start = chunk_start(slots, primary.sector_size, secondary.sector_size, end);
            // What of the chunk is ever in use: with trailers, not the part that belongs to the trailer.
            if !aligned || end - start > scratch.size {
                return Err(LayoutError::Scratch);
            }
            count += 1;
            end = start;
        }
        if count > self.config.max_sectors {
            return Err(LayoutError::TooManySectors);
        }
        Ok(())
    }

    fn check_status(&self, flashes: &[FlashConfig]) -> Result<(), LayoutError> {
        let area = self.config.status.ok_or(LayoutError::Status)?;
        let config = check_area(area, flashes)?;
        let rows = match config.kind {
            Kind::RowRewrite => ROW_SIZE.is_multiple_of(config.write_size),
            Kind::Nor | Kind::NorReprogram => config.sector_size == ROW_SIZE,
        };
        let map = StatusMap::new(self.config.max_sectors);
        if !rows || !area.start.is_multiple_of(ROW_SIZE) || area.size < map.size(self.config.images.len()) {
            return Err(LayoutError::Status);
        }
        Ok(())
    }

    /// Largest image, to the end of its TLVs, that bootutil v2.4.0 accepts; `None` where it does not check.
    pub(super) fn limit(
        &self,
        slots: &ImageSlots,
        primary: &FlashConfig,
        secondary: &FlashConfig,
    ) -> Option<u32> {
        let sector = primary.sector_size.max(secondary.sector_size);
        let (pri, sec) = (slots.primary.size, slots.secondary.size);
        let trailer = self.trailer_size();
        let sectors = trailer.next_multiple_of(sector);
        match self.config.mode {
            Mode::Overwrite => Some(self.fields(slots.secondary).swap_info),
            Mode::SwapScratch => {
                let in_first = match trailer % sector {
                    0 => sector,
                    rest => rest,
                };
                let padding = self.scratch_trailer_size().saturating_sub(in_first);
                Some(pri.saturating_sub(trailer).saturating_sub(padding))
            }
            Mode::SwapMove => {
                Some(pri.saturating_sub(sectors).saturating_sub(sector).min(sec.saturating_sub(sectors)))
            }
            Mode::SwapOffset => {
                Some(pri.saturating_sub(sectors).min(sec.saturating_sub(sectors).saturating_sub(sector)))
            }
            Mode::SwapStatus(_) => None,
        }
    }

    /// Largest image, to the end of its TLVs, that can be installed from the secondary; `None` with a status partition,
    /// where bootutil does not check, and with an image or flash that is not there.
    pub fn max_image_size(&self, image: usize, flashes: &[FlashConfig]) -> Option<u32> {
        let slots = self.config.images.get(image)?;
        self.limit(slots, flashes.get(slots.primary.device)?, flashes.get(slots.secondary.device)?)
    }

    /// [`limit`](Self::limit) of the flashes at hand.
    pub(super) fn limit_of(&self, flashes: &Flashes<'_, '_>, slots: &ImageSlots) -> Option<u32> {
        self.limit(slots, &flashes.config(slots.primary), &flashes.config(slots.secondary))
    }
}

fn check_area(area: Area, flashes: &[FlashConfig]) -> Result<FlashConfig, LayoutError> {
    let config = flashes.get(area.device).ok_or(LayoutError::Outside)?;
    match area.start.checked_add(area.size) {
        Some(end) if end <= config.size && area.size > 0 => {}
        Some(_) | None => return Err(LayoutError::Outside),
    }
    let whole = area.start.is_multiple_of(config.write_size) && area.size.is_multiple_of(config.write_size);
    if !whole || config.write_size > MAX_WRITE_SIZE {
        return Err(LayoutError::Unaligned);
    }
    Ok(*config)
}

/// The highest offset below `end` at which a sector begins in both slots, or 0: slots need not begin on a sector.
pub(super) fn chunk_start(slots: &ImageSlots, primary_sector: u32, secondary_sector: u32, end: u32) -> u32 {
    let down = |area: &Area, sector: u32, at: u32| {
        let address = area.start + at;
        (address - address % sector).saturating_sub(area.start)
    };
    let mut at = end - 1;
    loop {
        let in_primary = down(&slots.primary, primary_sector, at);
        let in_both = down(&slots.secondary, secondary_sector, in_primary);
        if in_both == in_primary {
            return in_both;
        }
        at = in_both;
    }
}

/// The lowest offset not below `at` at which a sector begins in both slots, or the slots' end.
pub(super) fn chunk_end(slots: &ImageSlots, primary_sector: u32, secondary_sector: u32, at: u32) -> u32 {
    let up = |area: &Area, sector: u32, at: u32| {
        ((area.start + at).next_multiple_of(sector) - area.start).min(area.size)
    };
    let mut at = at;
    loop {
        let in_primary = up(&slots.primary, primary_sector, at);
        let in_both = up(&slots.secondary, secondary_sector, in_primary);
        if in_both == in_primary {
            return in_both;
        }
        at = in_both;
    }
}
