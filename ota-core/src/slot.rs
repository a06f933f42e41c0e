//! A region over [`NorFlash`]: bounds, covering-sector erase, padded last write, read back.

use core::fmt;

use embedded_storage_async::nor_flash::NorFlash;

use crate::{
    bytes::{copy, unit_start},
    geometry::{Geometry, GeometryError},
    script::{self, Bench, DriverSizes, Script, Wipe, buffer, fault},
};

mod scripts;

pub(crate) use scripts::Comparison;
use scripts::Patch;

/// Why flash could not do what was asked. The numbers are fixed: they are reported to the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FlashError {
    /// The driver reported a fault.
    Driver = 1,
    /// Outside the slot, or past the largest image.
    OutOfBounds = 2,
    /// Not at a multiple of the write size.
    NotAligned = 3,
    /// Flash does not hold what was written, or an erase left something behind.
    ReadBack = 4,
    /// A write-once unit already holds something else; only an erase of its sector helps.
    NotErased = 5,
    /// The trailer is damaged and shares a sector with image bytes: give that sector up and write it again.
    Trailer = 6,
    /// The slot was written or erased after verification: verify again.
    Stale = 7,
    /// There is no image of that number.
    NoImage = 8,
    /// The agent's: work on one place was begun again and again and never came to its end, because the driver's future was dropped or
    /// the device reset.
    Unfinished = 9,
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "the flash driver reported a fault",
            Self::OutOfBounds => "outside the slot or past the largest image",
            Self::NotAligned => "not at a multiple of the write size",
            Self::ReadBack => "flash does not hold what was written; the part may be worn out",
            Self::NotErased => "the write unit holds something else; erase its sector first",
            Self::Trailer => "the trailer is damaged beyond repair in place; give its sector up",
            Self::Stale => "the slot changed after verification; verify it again",
            Self::NoImage => "no image of that number",
            Self::Unfinished => "begun again and again and never finished",
        })
    }
}

impl core::error::Error for FlashError {}

/// What a place in flash holds, next to what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The bytes are there.
    Equal,
    /// Every write unit of the place reads as erased.
    Blank,
    /// Something else.
    Different,
}

/// Most bytes of a driver's `READ_SIZE`.
pub const MAX_READ_SIZE: usize = 64;

/// Smallest buffer of a [`Slot`]: it must hold the write units with the trailer's fields at once. Units of up to 128 bytes
/// reach less than one unit before the fields, which are at most 128 bytes; larger units end with the slot and hold them all.
pub const MIN_UNIT: usize = 2 * crate::trailer::MAX_INFO_SIZE;

/// One slot inside one flash device. All offsets are from the start of the slot.
///
/// `UNIT` is the size of the slot's only buffer, which must hold one write unit (and at least [`MIN_UNIT`] bytes). The
/// default serves write sizes up to 512; parts with larger ones use [`Slot::with_unit`].
///
/// # Cancel safety
/// Every `async fn` here may be dropped half-way. A dropped read or compare leaves nothing behind. A dropped write or
/// erase leaves what a power cut in that place would: the unit or sector may hold anything, the generation has counted
/// it, and a driver must wait for an idle chip before its next operation.
#[derive(Debug)]
pub struct Slot<F, const UNIT: usize = 512> {
    bench: Bench<F, UNIT>,
    geometry: Geometry,
}

impl<F: NorFlash> Slot<F> {
    /// A slot with the default buffer, for write sizes up to 512.
    pub fn new(flash: F, geometry: Geometry) -> Result<Self, GeometryError> {
        Self::with_unit(flash, geometry)
    }
}

impl<F: NorFlash, const UNIT: usize> Slot<F, UNIT> {
    /// A slot with a buffer of `UNIT` bytes. Checks driver, device and buffer against the geometry.
    ///
    /// Sectors the slot shares at its unaligned start or end are erased whole: that nothing else lives there is the
    /// caller's promise, and [`Geometry::covered`] and [`Geometry::is_disjoint`] are there to check it in the layout.
    pub fn with_unit(flash: F, geometry: Geometry) -> Result<Self, GeometryError> {
        let sizes = DriverSizes::of(&flash);
        if !sizes.divide(geometry.write_size(), geometry.sector_size()) {
            return Err(GeometryError::Driver);
        }
        if sizes.capacity < geometry.covered().end {
            return Err(GeometryError::Capacity);
        }
        if UNIT < MIN_UNIT || UNIT < geometry.write_size() as usize {
            return Err(GeometryError::Buffer);
        }
        Ok(Self { bench: Bench::new(flash, geometry.erased()), geometry })
    }

    /// Where the slot lies.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Writes and erases begun so far, failed ones included: equal numbers mean the slot was not changed through here.
    pub const fn generation(&self) -> u32 {
        self.bench.changes
    }

    /// The flash device back.
    pub fn release(self) -> F {
        self.bench.flash
    }

    /// Reads `buf.len()` bytes at `at`.
    pub async fn read(&mut self, at: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        let from = self.place(at, buf.len())?;
        script::read(&mut self.bench.flash, from, buf).await
    }

    /// Erases the sector that covers this part of the slot and checks that it is blank.
    pub async fn erase(&mut self, sector: u32) -> Result<(), FlashError> {
        let mut wipe = Wipe(self.geometry.whole_sector(sector)?);
        self.run(&mut wipe).await
    }

    /// Programs `data` at `at`, a multiple of the write size, pads the last unit with the erased value, and reads back.
    ///
    /// The units must be blank, except on parts that rewrite them. An error leaves the units in any state.
    pub async fn write(&mut self, at: u32, data: &[u8]) -> Result<(), FlashError> {
        self.program_units(at, data).await?;
        // Its place was looked at.
        let mut comparison = Comparison::new(&self.geometry, at, data);
        self.run(&mut comparison).await?;
        if comparison.outcome() == Compared::Equal { Ok(()) } else { Err(FlashError::ReadBack) }
    }

    /// [`write`](Self::write) without reading back: for a caller who compares what flash holds himself, and for benches.
    pub async fn program(&mut self, at: u32, data: &[u8]) -> Result<(), FlashError> {
        let (unit, size) = (self.geometry.write_size(), data.len());
        // No division where a mask does: the whole write would wait for it.
        if unit.is_power_of_two() && (at as usize | size) & (unit as usize - 1) == 0 && size != 0 {
            let from = self.place(at, size)?;
            self.bench.changes = self.bench.changes.wrapping_add(1);
            return self.bench.flash.write(from, data).await.map_err(fault);
        }
        self.program_units(at, data).await
    }

    /// Programs whole units and what is left for the last one, padded.
    async fn program_units(&mut self, at: u32, data: &[u8]) -> Result<(), FlashError> {
        let from = self.place(at, data.len())?;
        let unit = self.geometry.write_size();
        if unit_start(at, unit) != at {
            return Err(FlashError::NotAligned);
        }
        // The length fits, since the place does.
        let whole = unit_start(data.len() as u32, unit);
        let (units, rest) = data.split_at_checked(whole as usize).ok_or(FlashError::OutOfBounds)?;
        self.bench.changes = self.bench.changes.wrapping_add(1);
        if !units.is_empty() {
            self.bench.flash.write(from, units).await.map_err(fault)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let padded = buffer(&mut self.bench.buffer, unit);
        padded.fill(self.geometry.erased());
        copy(padded, rest);
        // The slot's size is a multiple of the write size, so the padding stays inside it.
        self.bench.flash.write(from.saturating_add(whole), padded).await.map_err(fault)
    }

    /// Compares flash at `at` with `data`. [`Compared::Blank`] looks at every write unit the place touches, so that such a
    /// place may be written.
    pub async fn compare(&mut self, at: u32, data: &[u8]) -> Result<Compared, FlashError> {
        let mut comparison = self.comparison(at, data)?;
        self.run(&mut comparison).await?;
        Ok(comparison.outcome())
    }

    /// The script of [`compare`](Self::compare).
    pub(crate) fn comparison<'d>(&self, at: u32, data: &'d [u8]) -> Result<Comparison<'d>, FlashError> {
        self.place(at, data.len())?;
        Ok(Comparison::new(&self.geometry, at, data))
    }

    /// Changes the bytes at `at` and keeps the rest of their write units: reads each unit, changes it, writes it whole,
    /// and reads it back; a unit that holds the bytes already is left alone.
    ///
    /// On write-once flash a unit that must change has to be blank: [`FlashError::NotErased`]. A rewritten row is not
    /// power-safe: a cut leaves all of it undefined, so nothing precious may share it.
    pub async fn patch(&mut self, at: u32, data: &[u8]) -> Result<(), FlashError> {
        self.place(at, data.len())?;
        let mut patch = Patch::new(&self.geometry, at, data);
        self.run(&mut patch).await
    }

    /// Does what `script` says with this slot's flash. The script answers for staying inside the slot.
    pub(crate) fn run(&mut self, script: &mut dyn Script) -> impl Future<Output = Result<(), FlashError>> {
        self.bench.run(script)
    }

    /// The device offset of `len` bytes at `at`, when they lie in the slot.
    fn place(&self, at: u32, len: usize) -> Result<u32, FlashError> {
        let end =
            u32::try_from(len).ok().and_then(|len| at.checked_add(len)).ok_or(FlashError::OutOfBounds)?;
        if end > self.geometry.size() {
            return Err(FlashError::OutOfBounds);
        }
        Ok(self.geometry.start().saturating_add(at))
    }
}
