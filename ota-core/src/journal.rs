//! What is remembered of an update across power loss.
//!
//! A journal is a ring of [`Record`]s in a few sectors of flash, each with a sequence number and a CRC; the newest one
//! counts. Records are appended within a sector; only when it is full is the *next* sector erased, so the newest
//! record is never in the sector being erased, nor in the unit being written: whenever the power goes,
//! [`load`](Journal::load) yields the last record or the one that was being appended, and nothing else.
//!
//! A journal that is torn, foreign or of another format version is no error. It means "start over": the update begins
//! from its first block, and what the device runs is asked from MCUboot's flags alone.
//!
//! On parts whose units may not be programmed a second time ([`Reprogram::Forbidden`]), a place that a torn write left
//! looking erased must not be used. Such places cannot be told from fresh ones after a restart, so the first append after
//! it goes to a freshly erased sector.

mod record;
mod region;

use embedded_storage_async::nor_flash::NorFlash;

use crate::bytes::{front, is_all};
use crate::geometry::Reprogram;
use crate::slot::{FlashError, MAX_READ_SIZE, read_back};

pub use record::{IMAGE_COUNT, JobId, Phase, RECORD_SIZE, Record, WINDOW_BLOCKS};
pub use region::{JournalLayout, JournalRegion, RegionError};

/// A place that remembers one [`Record`].
#[allow(async_fn_in_trait)] // Single-threaded executors: no Send bound is wanted.
pub trait Journal {
    /// The newest record. `None`: nothing is remembered, start over.
    ///
    /// Dropping the future half-way leaves the journal as it was.
    ///
    /// # Errors
    /// [`FlashError`] when the flash driver fails; never for what flash holds.
    async fn load(&mut self) -> Result<Option<Record>, FlashError>;

    /// Makes `record` the newest one. When this returns `Ok`, flash holds it.
    ///
    /// Dropping the future half-way is a power cut in that place: the newest record is then the old or the new one.
    ///
    /// # Errors
    /// [`FlashError`] when the flash driver fails or flash does not hold what was written. The newest record is then the
    /// old or the new one, and the next append finds its place again.
    async fn append(&mut self, record: &Record) -> Result<(), FlashError>;
}

impl<J: Journal> Journal for &mut J {
    async fn load(&mut self) -> Result<Option<Record>, FlashError> {
        J::load(self).await
    }

    async fn append(&mut self, record: &Record) -> Result<(), FlashError> {
        J::append(self, record).await
    }
}

/// No journal: an update works, but nothing survives a restart. There is no resume, no owed status, no memory of a
/// reverted image, and a revert is only seen where MCUboot's flags show it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJournal;

impl Journal for NoJournal {
    async fn load(&mut self) -> Result<Option<Record>, FlashError> {
        Ok(None)
    }

    async fn append(&mut self, _: &Record) -> Result<(), FlashError> {
        Ok(())
    }
}

/// A journal in a region of NOR flash.
///
/// `BUFFER` bytes of RAM hold one record with its padding: 512 is enough for write sizes that are a power of two up to
/// 512, otherwise the write size. A driver that needs more does not compile.
///
/// Appending costs one write and one read back of a record's place, and one erase of a sector in every
/// [`records_per_sector`](JournalRegion::records_per_sector) appends; [`JournalRegion::erases_per_sector`] computes the wear.
#[derive(Debug)]
pub struct FlashJournal<F, const BUFFER: usize = 512> {
    flash: F,
    region: JournalRegion,
    /// Where and with which number the next record goes. `None`: not known, because nothing was read yet or an append
    /// did not end.
    next: Option<Next>,
    buffer: [u8; BUFFER],
}

#[derive(Clone, Copy, Debug)]
struct Next {
    place: u32,
    sequence: u32,
}

impl<F: NorFlash> FlashJournal<F> {
    /// A journal in `region` of `flash` with the default buffer, for write sizes up to 512. Nothing is read yet.
    ///
    /// # Errors
    /// [`RegionError`] when the region does not fit the driver or the buffer.
    pub fn new(flash: F, region: JournalRegion) -> Result<Self, RegionError> {
        Self::with_buffer(flash, region)
    }
}

impl<F: NorFlash, const BUFFER: usize> FlashJournal<F, BUFFER> {
    /// A journal in `region` of `flash` with a buffer of `BUFFER` bytes. Nothing is read yet.
    ///
    /// # Errors
    /// [`RegionError`] when the region does not fit the driver or the buffer.
    pub fn with_buffer(flash: F, region: JournalRegion) -> Result<Self, RegionError> {
        const {
            assert!(
                (RECORD_SIZE as usize).next_multiple_of(F::WRITE_SIZE) <= BUFFER,
                "journal: BUFFER must hold a record padded to write units"
            );
        }
        let layout = region.layout();
        let divides =
            |size: usize, of: u32| u32::try_from(size).is_ok_and(|size| size > 0 && of.is_multiple_of(size));
        if !divides(F::READ_SIZE, layout.write_size)
            || F::READ_SIZE > MAX_READ_SIZE
            || !divides(F::WRITE_SIZE, layout.write_size)
        {
            return Err(RegionError::Driver);
        }
        if !layout.rewrite && !divides(F::ERASE_SIZE, layout.sector_size) {
            return Err(RegionError::Driver);
        }
        if region.place_size() as usize > BUFFER {
            return Err(RegionError::Buffer);
        }
        // JournalRegion::new has checked that neither overflows.
        let end = u64::from(layout.start) + u64::from(layout.sector_size) * u64::from(layout.sector_count);
        if end > flash.capacity() as u64 {
            return Err(RegionError::OutOfBounds);
        }
        Ok(Self { flash, region, next: None, buffer: [0; BUFFER] })
    }

    /// Where the journal lies.
    pub fn region(&self) -> &JournalRegion {
        &self.region
    }

    /// The flash device, given back.
    pub fn release(self) -> F {
        self.flash
    }

    /// Reads place `place` into the buffer.
    async fn read(&mut self, place: u32) -> Result<&[u8], FlashError> {
        let bytes = front(&mut self.buffer, self.region.place_size() as usize);
        self.flash.read(self.region.offset(place), bytes).await.map_err(|_| FlashError::Driver)?;
        Ok(bytes)
    }

    /// Finds the newest record's place, and where the next one goes.
    async fn find(&mut self) -> Result<Option<u32>, FlashError> {
        let erased = self.region.layout().erased;
        let mut newest: Option<(u32, u32)> = None;
        let mut place = 0;
        while place < self.region.record_count() {
            let bytes = self.read(place).await?;
            match Record::decode(bytes) {
                Some((_, sequence)) if newest.is_none_or(|(other, _)| is_newer(sequence, other)) => {
                    newest = Some((sequence, place));
                }
                // Places of a sector are used in order: nothing was written behind a blank one.
                None if is_all(bytes, erased) => match self.region.next_sector(place) {
                    0 => break,
                    next => {
                        place = next;
                        continue;
                    }
                },
                Some(_) | None => {}
            }
            place += 1;
        }
        let Some((sequence, newest)) = newest else {
            self.next = Some(Next { place: 0, sequence: 1 });
            return Ok(None);
        };
        let place = match self.region.layout().reprogram {
            Reprogram::Forbidden => self.region.next_sector(newest),
            Reprogram::Allowed => {
                let mut place = self.region.after(newest);
                // A place that is neither blank nor a record was torn: leave it.
                while !self.region.starts_sector(place) && !is_all(self.read(place).await?, erased) {
                    place = self.region.after(place);
                }
                place
            }
        };
        self.next = Some(Next { place, sequence: sequence.wrapping_add(1) });
        Ok(Some(newest))
    }
}

impl<F: NorFlash, const BUFFER: usize> Journal for FlashJournal<F, BUFFER> {
    async fn load(&mut self) -> Result<Option<Record>, FlashError> {
        self.next = None;
        match self.find().await? {
            Some(newest) => Ok(Record::decode(self.read(newest).await?).map(|(record, _)| record)),
            None => Ok(None),
        }
    }

    async fn append(&mut self, record: &Record) -> Result<(), FlashError> {
        if self.next.is_none() {
            self.find().await?;
        }
        // Taken, and given back only at the end: an append that fails or is dropped makes the next one look again.
        let Some(Next { place, sequence }) = self.next.take() else { return Err(FlashError::Driver) };
        let offset = self.region.offset(place);
        if self.region.erases_before(place) {
            // Also when it reads blank: an erase that was cut short can look like that.
            let end = offset.saturating_add(self.region.layout().sector_size);
            self.flash.erase(offset, end).await.map_err(|_| FlashError::Driver)?;
        }
        let bytes = front(&mut self.buffer, self.region.place_size() as usize);
        bytes.fill(self.region.layout().erased);
        record.write(sequence, bytes);
        self.flash.write(offset, bytes).await.map_err(|_| FlashError::Driver)?;
        read_back(&mut self.flash, offset, bytes).await?;
        self.next = Some(Next { place: self.region.after(place), sequence: sequence.wrapping_add(1) });
        Ok(())
    }
}

/// Is sequence number `a` newer than `b`? Serial number arithmetic (RFC 1982): right across the wrap, which no flash
/// lives to see, but a record of unknown origin may be near it.
const fn is_newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn sequence_numbers_wrap() {
        for (a, b, newer) in
            [(2, 1, true), (1, 2, false), (1, 1, false), (0, u32::MAX, true), (u32::MAX, 0, false)]
        {
            assert_eq!(is_newer(a, b), newer, "{a} {b}");
        }
    }
}
