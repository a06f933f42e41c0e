//! The firmware's flash driver: the flash double on PSRAM, and what happens when the power fails in it.

use core::cell::Cell;
use core::fmt;
use core::future::{pending, poll_fn};
use core::task::Poll;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use ota_sim::flash::{ArrayLedger, Counters, Device, FlashFault, Supply};
use qemu_board::{Part, chip};

/// Room for a bit for every unit of the largest part, and a count for every sector.
type Units = ArrayLedger<0x1_0000, 2560>;
type Double = chip::Flash<Units>;

/// Zones whose counters are kept apart.
mod zone {
    pub(super) const SECONDARY: usize = 0;
    pub(super) const JOURNAL: usize = 1;
    pub(super) const PRIMARY: usize = 2;
}

/// What was done to the secondary slot for the download.
#[derive(Clone, Copy, Default)]
pub(crate) struct Download {
    pub(crate) counters: Counters,
    pub(crate) max_erases_per_sector: u32,
}

/// The power supply, and in which operation it failed.
pub(crate) struct Outage {
    pub(crate) supply: Supply,
    operation: Cell<Option<Operation>>,
}

// SAFETY: one task and its driver use it; interrupt handlers do not.
unsafe impl Sync for Outage {}

impl Outage {
    pub(crate) const fn new() -> Self {
        Self { supply: Supply::new(), operation: Cell::new(None) }
    }

    /// Waits until the power fails.
    pub(crate) async fn power_lost(&self) -> Operation {
        poll_fn(|_| self.operation.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// A flash operation.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    name: &'static str,
    at: u32,
    size: usize,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes at {:#x}", self.name, self.size, self.at)
    }
}

/// The driver. When the power fails, whoever called it never hears of it.
pub(crate) struct Flash {
    double: Double,
    slot_size: u32,
    outage: &'static Outage,
}

impl Flash {
    pub(crate) fn new(part: &Part, outage: &'static Outage) -> Self {
        let mut double = chip::flash(part, Units::default(), &outage.supply);
        let size = part.flash().size;
        double.watch(zone::SECONDARY, part.slot_size..2 * part.slot_size);
        double.watch(zone::JOURNAL, part.journal_at()..size);
        double.watch(zone::PRIMARY, 0..part.slot_size);
        Self { double, slot_size: part.slot_size, outage }
    }

    /// What was done to the secondary slot so far.
    pub(crate) fn download(&self) -> Download {
        let slot = self.slot_size..2 * self.slot_size;
        let counters = self.double.watched(zone::SECONDARY);
        Download { counters, max_erases_per_sector: self.double.max_erases_per_sector(slot) }
    }

    /// What was done to the journal and to the primary slot's trailer.
    pub(crate) fn journal_and_confirm(&self) -> (Counters, Counters) {
        (self.double.watched(zone::JOURNAL), self.double.watched(zone::PRIMARY))
    }

    /// Writes and sector erases.
    pub(crate) fn operations(&self) -> u32 {
        self.double.counters().operations
    }

    /// Operations no chip would have taken.
    pub(crate) fn violations(&self) -> u32 {
        self.double.strict_violations()
    }

    async fn survive<T>(&self, result: Result<T, FlashFault>, operation: Operation) -> Result<T, FlashFault> {
        if matches!(result, Err(FlashFault::PowerLost)) {
            self.outage.operation.set(Some(operation));
            pending::<()>().await;
        }
        result
    }
}

impl ErrorType for Flash {
    type Error = FlashFault;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        let result = Device::read(&mut self.double, offset, bytes);
        self.survive(result, Operation { name: "read", at: offset, size: bytes.len() }).await
    }

    fn capacity(&self) -> usize {
        self.double.capacity()
    }
}

// The sizes are known at run time only: the double refuses what is not aligned to the real ones.
impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        let result = NorFlash::erase(&mut self.double, from, to).await;
        self.survive(result, Operation { name: "erase", at: from, size: to.saturating_sub(from) as usize })
            .await
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let result = NorFlash::write(&mut self.double, offset, bytes).await;
        self.survive(result, Operation { name: "write", at: offset, size: bytes.len() }).await
    }
}
