//! Where the journal lies: one `const`-checked value.

use super::record::RECORD_SIZE;
use crate::{bytes::unit_start, geometry::Reprogram};

/// The facts of a journal's place in a flash device; [`JournalRegion`] is the checked form. Sizes and offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLayout {
    /// Offset of the first sector in the flash device.
    pub start: u32,
    /// Sectors, at least two: the newest record must survive the erase of another sector.
    pub sector_count: u32,
    /// Size of an erase sector; the row on a row-rewrite part.
    pub sector_size: u32,
    /// Size of a write unit; the row on a row-rewrite part.
    pub write_size: u32,
    /// What erased flash reads as: 0x00 or 0xFF.
    pub erased: u8,
    /// May a unit that reads erased after a torn write be programmed?
    pub reprogram: Reprogram,
    /// A write replaces the whole unit and needs no erase before it (PSoC 6 internal rows).
    pub rewrite: bool,
}

/// Why a layout cannot hold a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionError {
    /// Write size or sector size is zero, or a sector is not whole write units.
    UnitSize,
    /// The erased value is neither 0x00 nor 0xFF.
    ErasedValue,
    /// The region does not start on a sector.
    NotAligned,
    /// Fewer than two sectors, or on a row-rewrite part room for fewer than two records.
    SectorCount,
    /// A record with its padding is larger than a sector.
    SectorSize,
    /// The region ends beyond 4 GiB or beyond the flash device.
    OutOfBounds,
    /// The flash driver's read, write or erase size does not divide the layout's.
    Driver,
    /// A record with its padding is larger than the journal's buffer: name a larger `BUFFER`.
    Buffer,
}

impl RegionError {
    /// The rule that was broken.
    const fn sentence(self) -> &'static str {
        match self {
            Self::UnitSize => "journal: a sector must be whole write units, neither of size zero",
            Self::ErasedValue => "journal: the erased value must be 0x00 or 0xFF",
            Self::NotAligned => "journal: the region must start on a sector",
            Self::SectorCount => "journal: the region needs two sectors, and room for two records",
            Self::SectorSize => "journal: a record padded to write units must fit a sector",
            Self::OutOfBounds => "journal: the region must end inside the flash device",
            Self::Driver => "journal: the driver's read, write and erase sizes must divide the layout's",
            Self::Buffer => "journal: BUFFER must hold a record padded to write units",
        }
    }
}

impl core::fmt::Display for RegionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.sentence())
    }
}

impl core::error::Error for RegionError {}

/// A journal's place in a flash device, checked.
///
/// ```
/// use ota_core::geometry::Reprogram;
/// use ota_core::journal::{JournalLayout, JournalRegion};
///
/// // Two 4 KiB sectors of external NOR. A wrong number here does not compile.
/// const REGION: JournalRegion = JournalRegion::checked(JournalLayout {
///     start: 0x3E_0000,
///     sector_count: 2,
///     sector_size: 0x1000,
///     write_size: 1,
///     erased: 0xFF,
///     reprogram: Reprogram::Allowed,
///     rewrite: false,
/// });
/// assert_eq!(REGION.records_per_sector(), 10);
/// // An update that records its progress 200 times erases each sector at most 10 times.
/// assert_eq!(REGION.erases_per_sector(200, 0), 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRegion {
    layout: JournalLayout,
    /// Bytes a record takes: [`RECORD_SIZE`] rounded up to whole write units.
    place_size: u32,
    /// Places that are erased together; on a row-rewrite part, where nothing is erased, 1.
    places_per_sector: u32,
    /// Distance of two neighbouring groups of places: the sector, or on a row-rewrite part the place.
    stride: u32,
    place_count: u32,
}

impl JournalRegion {
    /// Checks `layout`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub const fn new(layout: JournalLayout) -> Result<Self, RegionError> {
        let JournalLayout { start, sector_count, sector_size, write_size, .. } = layout;
        if write_size == 0 || sector_size == 0 || !sector_size.is_multiple_of(write_size) {
            return Err(RegionError::UnitSize);
        }
        if layout.erased != 0x00 && layout.erased != 0xFF {
            return Err(RegionError::ErasedValue);
        }
        if !start.is_multiple_of(sector_size) {
            return Err(RegionError::NotAligned);
        }
        if sector_count < 2 {
            return Err(RegionError::SectorCount);
        }
        let Some(size) = sector_size.checked_mul(sector_count) else { return Err(RegionError::OutOfBounds) };
        if start.checked_add(size).is_none() {
            return Err(RegionError::OutOfBounds);
        }
        let Some(place_size) = RECORD_SIZE.checked_next_multiple_of(write_size) else {
            return Err(RegionError::SectorSize);
        };
        if layout.rewrite {
            // Nothing is erased, so sectors do not matter: every record is on its own.
            let place_count = size / place_size;
            if place_count < 2 {
                return Err(RegionError::SectorCount);
            }
            return Ok(Self { layout, place_size, places_per_sector: 1, stride: place_size, place_count });
        }
        let places_per_sector = sector_size / place_size;
        if places_per_sector == 0 {
            return Err(RegionError::SectorSize);
        }
        // No overflow: places are at least 400 bytes of a region that ends below 4 GiB.
        let place_count = places_per_sector * sector_count;
        Ok(Self { layout, place_size, places_per_sector, stride: sector_size, place_count })
    }

    /// [`new`](Self::new) for a `const`: a wrong layout does not compile, and the message names the rule.
    ///
    /// # Panics
    /// When a rule is broken. Evaluated in a `const` that is a compile error; at run time use [`new`](Self::new).
    pub const fn checked(layout: JournalLayout) -> Self {
        match Self::new(layout) {
            Ok(region) => region,
            #[allow(clippy::panic, reason = "for `const` contexts: a wrong layout does not compile")]
            Err(error) => panic!("{}", error.sentence()),
        }
    }

    /// The facts it was made from.
    pub const fn layout(&self) -> &JournalLayout {
        &self.layout
    }

    /// Bytes one record takes on this flash.
    pub const fn place_size(&self) -> u32 {
        self.place_size
    }

    /// Records that are written between two erases; 1 on a row-rewrite part.
    pub const fn records_per_sector(&self) -> u32 {
        self.places_per_sector
    }

    /// Records the whole region holds.
    pub const fn record_count(&self) -> u32 {
        self.place_count
    }

    /// Wear: the most erases (row writes on a row-rewrite part) that any one sector (record's rows) sees for this many
    /// appends with this many restarts of the device among them.
    ///
    /// With `k` records a sector and `n` sectors, `appends` move on to another sector at most `⌈appends / k⌉` times, and the
    /// sectors take turns: `⌈⌈appends / k⌉ / n⌉`. A restart costs at most one erase more: of the sector whose erase or
    /// first write the power cut hit, or, where [`Reprogram::Forbidden`] makes the journal leave the sector it was in,
    /// of the next one.
    pub const fn erases_per_sector(&self, appends: u32, restarts: u32) -> u32 {
        let sector_count = self.place_count / self.places_per_sector;
        appends.div_ceil(self.places_per_sector).div_ceil(sector_count).saturating_add(restarts)
    }

    /// Is place `place` the first of a sector?
    pub(super) const fn starts_sector(&self, place: u32) -> bool {
        place.is_multiple_of(self.places_per_sector)
    }

    /// Does place `place` start a sector, which has to be erased before it is written?
    pub(super) const fn erases_before(&self, place: u32) -> bool {
        !self.layout.rewrite && self.starts_sector(place)
    }

    /// Offset of place `place` in the flash device. Places are numbered below [`record_count`](Self::record_count).
    pub(super) const fn offset(&self, place: u32) -> u32 {
        let first = unit_start(place, self.places_per_sector);
        let sector = match first.checked_div(self.places_per_sector) {
            Some(sector) => sector,
            // A checked region has a place in each sector.
            None => 0,
        };
        self.layout.start + sector * self.stride + (place - first) * self.place_size
    }

    /// The place after `place`, the first one after the last.
    pub(super) const fn after(&self, place: u32) -> u32 {
        if place + 1 < self.place_count { place + 1 } else { 0 }
    }

    /// The first place of the sector after the one that holds `place`.
    pub(super) const fn next_sector(&self, place: u32) -> u32 {
        let first = unit_start(place, self.places_per_sector) + self.places_per_sector;
        if first < self.place_count { first } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOR: JournalLayout = JournalLayout {
        start: 0x2000,
        sector_count: 2,
        sector_size: 0x1000,
        write_size: 4,
        erased: 0xFF,
        reprogram: Reprogram::Allowed,
        rewrite: false,
    };
    const ROWS: JournalLayout =
        JournalLayout { sector_size: 512, write_size: 512, erased: 0x00, rewrite: true, ..NOR };

    #[test]
    fn places_of_a_nor_region() {
        let region = JournalRegion::new(NOR).unwrap();
        assert_eq!((region.place_size(), region.records_per_sector(), region.record_count()), (400, 10, 20));
        let offsets = [(0, 0x2000), (9, 0x2000 + 3600), (10, 0x3000), (19, 0x3000 + 3600)];
        for (place, offset) in offsets {
            assert_eq!(region.offset(place), offset, "place {place}");
        }
        assert_eq!((region.after(0), region.after(9), region.after(19)), (1, 10, 0));
        assert_eq!((region.next_sector(0), region.next_sector(9), region.next_sector(10)), (10, 10, 0));
        assert!(region.erases_before(0) && region.erases_before(10) && !region.erases_before(1));
    }

    #[test]
    fn places_of_rows() {
        let region = JournalRegion::new(ROWS).unwrap();
        assert_eq!((region.place_size(), region.records_per_sector(), region.record_count()), (512, 1, 2));
        assert_eq!((region.offset(1), region.after(0), region.after(1)), (0x2200, 1, 0));
        assert!(!region.erases_before(0) && !region.erases_before(1));
        // Rows smaller than a record: a record takes two.
        let small = JournalLayout { sector_size: 256, write_size: 256, ..ROWS };
        assert_eq!(JournalRegion::new(small), Err(RegionError::SectorCount));
        let region = JournalRegion::new(JournalLayout { sector_count: 5, ..small }).unwrap();
        assert_eq!((region.place_size(), region.record_count(), region.offset(1)), (512, 2, 0x2200));
    }

    #[test]
    fn each_rule_is_checked() {
        for (layout, error) in [
            (JournalLayout { write_size: 0, ..NOR }, RegionError::UnitSize),
            (JournalLayout { sector_size: 0, ..NOR }, RegionError::UnitSize),
            (JournalLayout { write_size: 3, ..NOR }, RegionError::UnitSize),
            (JournalLayout { erased: 0xA5, ..NOR }, RegionError::ErasedValue),
            (JournalLayout { start: 0x2800, ..NOR }, RegionError::NotAligned),
            (JournalLayout { sector_count: 1, ..NOR }, RegionError::SectorCount),
            (JournalLayout { sector_count: 0, ..NOR }, RegionError::SectorCount),
            (JournalLayout { sector_count: 1, ..ROWS }, RegionError::SectorCount),
            (JournalLayout { sector_size: 256, ..NOR }, RegionError::SectorSize),
            (JournalLayout { sector_count: u32::MAX, ..NOR }, RegionError::OutOfBounds),
            (JournalLayout { start: 0xFFFF_F000, ..NOR }, RegionError::OutOfBounds),
        ] {
            assert_eq!(JournalRegion::new(layout), Err(error), "{layout:?}");
        }
        // The smallest and the largest that work.
        assert!(JournalRegion::new(JournalLayout { sector_size: 400, start: 0, ..NOR }).is_ok());
        assert!(JournalRegion::new(JournalLayout { sector_size: 396, start: 0, ..NOR }).is_err());
        assert!(JournalRegion::new(JournalLayout { start: 0xFFFF_D000, ..NOR }).is_ok());
        let large = JournalLayout { write_size: 4096, ..NOR };
        assert_eq!(JournalRegion::new(large).unwrap().records_per_sector(), 1);
    }

    #[test]
    fn wear_formula() {
        let nor = JournalRegion::new(NOR).unwrap();
        for (appends, restarts, erases) in
            [(0, 0, 0), (1, 0, 1), (20, 0, 1), (21, 0, 2), (40, 0, 2), (41, 3, 6)]
        {
            assert_eq!(
                nor.erases_per_sector(appends, restarts),
                erases,
                "{appends} appends, {restarts} restarts"
            );
        }
        assert_eq!(JournalRegion::new(ROWS).unwrap().erases_per_sector(100, 0), 50);
    }
}
