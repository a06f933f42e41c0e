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
//!
//! [`Reprogram::Forbidden`]: crate::geometry::Reprogram::Forbidden

mod record;
mod region;
mod ring;

use embedded_storage_async::nor_flash::NorFlash;

use crate::script::{Bench, DriverSizes};
use crate::slot::FlashError;

pub use record::{IMAGE_COUNT, Phase, RECORD_SIZE, Record, WINDOW_BLOCKS};
pub use region::{JournalLayout, JournalRegion, RegionError};
use ring::{Entry, Ring};

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
    bench: Bench<F, BUFFER>,
    region: JournalRegion,
    /// Where and with which number the next record goes. `None`: not known, because nothing was read yet or an append
    /// did not end.
    next: Option<Entry>,
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
        let (sizes, layout) = (DriverSizes::of(&flash), region.layout());
        // Where nothing is erased the driver's erase size does not matter.
        let sector_size = if layout.rewrite { 0 } else { layout.sector_size };
        if !sizes.divide(layout.write_size, sector_size)
            || !layout.write_size.is_multiple_of(F::READ_SIZE as u32)
        {
            return Err(RegionError::Driver);
        }
        if region.place_size() as usize > BUFFER {
            return Err(RegionError::Buffer);
        }
        // JournalRegion::new has checked that neither overflows.
        if layout.start + layout.sector_size * layout.sector_count > sizes.capacity {
            return Err(RegionError::OutOfBounds);
        }
        Ok(Self { bench: Bench::new(flash, layout.erased), region, next: None })
    }

    /// Where the journal lies.
    pub fn region(&self) -> &JournalRegion {
        &self.region
    }

    /// The flash device, given back.
    pub fn release(self) -> F {
        self.bench.flash
    }
}

impl<F: NorFlash, const BUFFER: usize> Journal for FlashJournal<F, BUFFER> {
    async fn load(&mut self) -> Result<Option<Record>, FlashError> {
        self.next = None;
        let mut ring = Ring::new(&self.region, &mut self.next, None);
        self.bench.run(&mut ring).await?;
        Ok(if ring.is_found() { Record::read(&self.bench.buffer) } else { None })
    }

    async fn append(&mut self, record: &Record) -> Result<(), FlashError> {
        let mut ring = Ring::new(&self.region, &mut self.next, Some(record));
        self.bench.run(&mut ring).await
    }
}
