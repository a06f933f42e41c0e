//! A region over [`NorFlash`]: bounds, covering-sector erase, padded last write, read back.

use core::{fmt, ops::Range};

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

use crate::{
    bytes::{copy, front, is_all, unit_start},
    geometry::{Geometry, GeometryError},
};

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

/// Smallest buffer of a [`Slot`]: it must hold the trailer's fields at once.
pub const MIN_UNIT: usize = crate::trailer::MAX_INFO_SIZE;

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
    flash: F,
    geometry: Geometry,
    generation: u32,
    unit: [u8; UNIT],
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
        let divides = |driver: usize, ours: u32| {
            u32::try_from(driver).is_ok_and(|driver| driver != 0 && ours.is_multiple_of(driver))
        };
        if !divides(F::WRITE_SIZE, geometry.write_size())
            || !divides(F::ERASE_SIZE, geometry.sector_size())
            || F::READ_SIZE == 0
            || F::READ_SIZE > MAX_READ_SIZE
        {
            return Err(GeometryError::Driver);
        }
        if flash.capacity() < geometry.covered().end as usize {
            return Err(GeometryError::Capacity);
        }
        if UNIT < MIN_UNIT || UNIT < geometry.write_size() as usize {
            return Err(GeometryError::Buffer);
        }
        Ok(Self { flash, geometry, generation: 0, unit: [0; UNIT] })
    }

    /// Where the slot lies.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Writes and erases begun so far, failed ones included: equal numbers mean the slot was not changed through here.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The flash device back.
    pub fn release(self) -> F {
        self.flash
    }

    /// Reads `buf.len()` bytes at `at`.
    pub async fn read(&mut self, at: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        let from = self.place(at, buf.len())?;
        read_any(&mut self.flash, from, buf).await
    }

    /// Erases the sector that covers this part of the slot and checks that it is blank.
    pub async fn erase(&mut self, sector: u32) -> Result<(), FlashError> {
        if sector >= self.geometry.sector_count() {
            return Err(FlashError::OutOfBounds);
        }
        let size = self.geometry.sector_size();
        // Inside the covered range, which the geometry has checked.
        let from = self.geometry.covered().start.saturating_add(sector.saturating_mul(size));
        let to = from.saturating_add(size);
        self.generation = self.generation.wrapping_add(1);
        self.flash.erase(from, to).await.map_err(fault)?;
        let erased = self.geometry.erased();
        let mut at = from;
        while at < to {
            let part = buffer(&mut self.unit, to - at);
            read_any(&mut self.flash, at, part).await?;
            if !is_all(part, erased) {
                return Err(FlashError::ReadBack);
            }
            at = at.saturating_add(part.len() as u32);
        }
        Ok(())
    }

    /// Programs `data` at `at`, a multiple of the write size, pads the last unit with the erased value, and reads back.
    ///
    /// The units must be blank, except on parts that rewrite them. An error leaves the units in any state.
    pub async fn write(&mut self, at: u32, data: &[u8]) -> Result<(), FlashError> {
        self.program(at, data).await?;
        match self.compare(at, data).await? {
            Compared::Equal => Ok(()),
            Compared::Blank | Compared::Different => Err(FlashError::ReadBack),
        }
    }

    /// [`write`](Self::write) without reading back: for a caller who compares what flash holds himself, and for benches.
    pub async fn program(&mut self, at: u32, data: &[u8]) -> Result<(), FlashError> {
        let from = self.place(at, data.len())?;
        let unit_size = self.geometry.write_size();
        // The length fits, since the place does.
        let size = data.len() as u32;
        // No division where a mask does: the whole write would wait for it.
        let (at_beyond, size_beyond) = match unit_size.is_power_of_two() {
            true => (at & (unit_size - 1), size & (unit_size - 1)),
            false => (at - unit_start(at, unit_size), size - unit_start(size, unit_size)),
        };
        if at_beyond != 0 {
            return Err(FlashError::NotAligned);
        }
        let whole_size = size - size_beyond;
        let (whole, rest) = data.split_at_checked(whole_size as usize).ok_or(FlashError::OutOfBounds)?;
        self.generation = self.generation.wrapping_add(1);
        if !whole.is_empty() {
            self.flash.write(from, whole).await.map_err(fault)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let unit = self.unit.get_mut(..self.geometry.write_size() as usize).ok_or(FlashError::OutOfBounds)?;
        let (head, pad) = unit.split_at_mut_checked(rest.len()).ok_or(FlashError::OutOfBounds)?;
        copy(head, rest);
        pad.fill(self.geometry.erased());
        // The slot's size is a multiple of the write size, so the padding stays inside it.
        self.flash.write(from.saturating_add(whole_size), unit).await.map_err(fault)
    }

    /// Compares flash at `at` with `data`. [`Compared::Blank`] looks at every write unit the place touches, so that such a
    /// place may be written.
    pub async fn compare(&mut self, at: u32, data: &[u8]) -> Result<Compared, FlashError> {
        self.place(at, data.len())?;
        let write_size = self.geometry.write_size();
        let (begin, end) = (unit_start(at, write_size), at.saturating_add(data.len() as u32));
        // Both ends are units of the slot, whose size is a multiple of the write size.
        let unit_end = unit_start(end.saturating_add(write_size - 1), write_size);
        let erased = self.geometry.erased();
        let (mut equal, mut blank) = (true, true);
        let mut next = begin;
        while next < unit_end && (equal || blank) {
            let part = buffer(&mut self.unit, unit_end - next);
            read_any(&mut self.flash, self.geometry.start().saturating_add(next), part).await?;
            blank = blank && is_all(part, erased);
            equal = equal && matches_data(part, next, data, at);
            next = next.saturating_add(part.len() as u32);
        }
        Ok(if equal {
            Compared::Equal
        } else if blank {
            Compared::Blank
        } else {
            Compared::Different
        })
    }

    /// Changes the bytes at `at` and keeps the rest of their write units: reads each unit, changes it, writes it whole,
    /// and reads it back; a unit that holds the bytes already is left alone.
    ///
    /// On write-once flash a unit that must change has to be blank: [`FlashError::NotErased`]. A rewritten row is not
    /// power-safe: a cut leaves all of it undefined, so nothing precious may share it.
    pub async fn patch(&mut self, at: u32, data: &[u8]) -> Result<(), FlashError> {
        self.place(at, data.len())?;
        let end = at.saturating_add(data.len() as u32);
        let write_size = self.geometry.write_size();
        let mut unit_at = unit_start(at, write_size);
        while unit_at < end {
            let unit = buffer(&mut self.unit, write_size);
            let from = self.geometry.start().saturating_add(unit_at);
            read_any(&mut self.flash, from, unit).await?;
            if !matches_data(unit, unit_at, data, at) {
                if !self.geometry.rewrite() && !is_all(unit, self.geometry.erased()) {
                    return Err(FlashError::NotErased);
                }
                overlay(unit, unit_at, data, at);
                self.program_units(unit_at, write_size).await?;
            }
            unit_at = unit_at.saturating_add(write_size);
        }
        Ok(())
    }

    /// Builds the write units of `range` from what `byte` says of each offset, in RAM, and writes them in one program. The
    /// range is whole units and fits the buffer.
    pub(crate) async fn compose(
        &mut self,
        range: Range<u32>,
        byte: &dyn Fn(u32) -> u8,
    ) -> Result<(), FlashError> {
        let len = range.end.saturating_sub(range.start);
        self.place(range.start, len as usize)?;
        let units = self.unit.get_mut(..len as usize).ok_or(FlashError::OutOfBounds)?;
        for (place, at) in units.iter_mut().zip(range.clone()) {
            *place = byte(at);
        }
        self.program_units(range.start, len).await
    }

    /// Like [`Slot::compare`], against what `byte` says.
    pub(crate) async fn compare_with(
        &mut self,
        range: Range<u32>,
        byte: &dyn Fn(u32) -> u8,
    ) -> Result<Compared, FlashError> {
        let len = range.end.saturating_sub(range.start);
        let from = self.place(range.start, len as usize)?;
        let units = self.unit.get_mut(..len as usize).ok_or(FlashError::OutOfBounds)?;
        read_any(&mut self.flash, from, units).await?;
        Ok(if units.iter().zip(range).all(|(&held, at)| held == byte(at)) {
            Compared::Equal
        } else if is_all(units, self.geometry.erased()) {
            Compared::Blank
        } else {
            Compared::Different
        })
    }

    /// Writes the first `len` bytes of the buffer to the units at `at` and reads them back. The buffer is kept for that;
    /// what is read goes through a small one.
    async fn program_units(&mut self, at: u32, len: u32) -> Result<(), FlashError> {
        let units = buffer(&mut self.unit, len);
        let from = self.geometry.start().saturating_add(at);
        self.generation = self.generation.wrapping_add(1);
        self.flash.write(from, units).await.map_err(fault)?;
        read_back(&mut self.flash, from, units).await
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

/// Reads flash at `from` piece by piece and compares it with `wanted`.
pub(crate) async fn read_back<F: NorFlash>(
    flash: &mut F,
    from: u32,
    wanted: &[u8],
) -> Result<(), FlashError> {
    let (mut from, mut wanted) = (from, wanted);
    while !wanted.is_empty() {
        let mut held = [0; MAX_READ_SIZE];
        let held = buffer(&mut held, wanted.len() as u32);
        read_any(flash, from, held).await?;
        wanted = wanted.strip_prefix(&*held).ok_or(FlashError::ReadBack)?;
        from = from.saturating_add(held.len() as u32);
    }
    Ok(())
}

/// Reads at any offset, also where the driver reads whole units only.
async fn read_any<F: NorFlash>(flash: &mut F, from: u32, buf: &mut [u8]) -> Result<(), FlashError> {
    let unit_size = F::READ_SIZE as u32;
    let (mut from, mut buf) = (from, buf);
    while !buf.is_empty() {
        let lead = from - unit_start(from, unit_size);
        let whole = front(buf, unit_start(buf.len() as u32, unit_size) as usize);
        let done = if lead == 0 && !whole.is_empty() {
            flash.read(from, whole).await.map_err(fault)?;
            whole.len()
        } else {
            // A unit of which only a part is wanted.
            let mut unit = [0; MAX_READ_SIZE];
            let unit = buffer(&mut unit, unit_size);
            flash.read(from - lead, unit).await.map_err(fault)?;
            let wanted = unit.get(lead as usize..).ok_or(FlashError::OutOfBounds)?;
            copy(buf, wanted);
            wanted.len().min(buf.len())
        };
        from = from.saturating_add(done as u32);
        buf = buf.get_mut(done..).ok_or(FlashError::OutOfBounds)?;
    }
    Ok(())
}

/// The first `len` bytes of a buffer, or all of it.
fn buffer(bytes: &mut [u8], len: u32) -> &mut [u8] {
    let len = bytes.len().min(len as usize);
    front(bytes, len)
}

/// The overlap of `part`, which lies at `part_at`, and `data` at `at`: the ranges of both.
fn overlap(part_len: usize, part_at: u32, data_len: usize, at: u32) -> (Range<usize>, Range<usize>) {
    let begin = part_at.max(at);
    let end = part_at.saturating_add(part_len as u32).min(at.saturating_add(data_len as u32)).max(begin);
    let within = |base: u32| (begin - base) as usize..(end - base) as usize;
    (within(part_at), within(at))
}

/// Whether the bytes `part` and `data` have in common are equal.
fn matches_data(part: &[u8], part_at: u32, data: &[u8], at: u32) -> bool {
    let (in_part, in_data) = overlap(part.len(), part_at, data.len(), at);
    in_part.is_empty() || part.get(in_part) == data.get(in_data)
}

fn overlay(part: &mut [u8], part_at: u32, data: &[u8], at: u32) {
    let (in_part, in_data) = overlap(part.len(), part_at, data.len(), at);
    if let (Some(part), Some(data)) = (part.get_mut(in_part), data.get(in_data)) {
        copy(part, data);
    }
}

fn fault(error: impl NorFlashError) -> FlashError {
    match error.kind() {
        NorFlashErrorKind::NotAligned => FlashError::NotAligned,
        NorFlashErrorKind::OutOfBounds => FlashError::OutOfBounds,
        // The trait's enum may grow.
        NorFlashErrorKind::Other | _ => FlashError::Driver,
    }
}
