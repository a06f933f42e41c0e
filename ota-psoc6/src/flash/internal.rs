//! Internal flash: main and work flash of the chip.

use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash as asynch;

use super::{DriverError, Windows, checked, checked_range};
use crate::layout::{Device, SUBSECTOR_SIZE};
use crate::processor::Processor;
use crate::syscall::{DirectCache, FlashCache, ROW, SystemCalls};
use crate::watchdog::Feed;

/// Rows that one erase takes in the time of a single row.
const SUBSECTOR: u32 = SUBSECTOR_SIZE;

/// Main or work flash, in rows of 512 bytes that erase to **0x00** (the trait's documents say ones; MCUboot reads the true
/// bytes, so they are not turned around here).
///
/// A write replaces whole rows and needs no erase before it. Eight rows at a multiple of 4096 are erased together and
/// then programmed, 51 ms instead of 128 ms; single rows are rewritten by the boot ROM, 16 ms each. Neither is atomic: a
/// power cut leaves the rows of the call in any state. The watchdog is fed between calls.
///
/// # Cancel safety
/// The `async` functions yield between system calls and are dropped there or not at all: rows before that point are done,
/// those of the next eight as a power cut would leave them.
#[derive(Debug)]
pub struct InternalFlash<P, W, C = DirectCache> {
    calls: SystemCalls<P, C>,
    chip: P,
    windows: Windows,
    watchdog: W,
}

impl<P: Processor, W: Feed, C: FlashCache> InternalFlash<P, W, C> {
    /// What an erased byte reads as.
    pub const ERASED: u8 = 0x00;

    /// The device of `windows`, main or work flash.
    pub const fn new(chip: P, calls: SystemCalls<P, C>, windows: Windows, watchdog: W) -> Self {
        Self { calls, chip, windows, watchdog }
    }

    /// Changes bytes of one row and keeps the rest of it: reads the row, lets `change` at it, writes it back if it differs.
    ///
    /// Not atomic: a power cut leaves the whole row in any state.
    ///
    /// # Errors
    /// [`DriverError::NotAligned`] when `offset` is no row, else as for a write.
    pub fn update_row(
        &mut self,
        offset: u32,
        change: impl FnOnce(&mut [u8; ROW]),
    ) -> Result<(), DriverError> {
        self.writable(checked(offset, ROW, ROW, self.capacity())?)?;
        let mut row = [0; ROW];
        self.load(offset, &mut row)?;
        let before = row;
        change(&mut row);
        if row == before { Ok(()) } else { self.write_row(offset, &row) }
    }

    fn capacity(&self) -> u32 {
        match self.windows.device() {
            Device::Internal | Device::Work => self.windows.device().size(),
            // System calls do not reach it.
            Device::External => 0,
        }
    }

    fn writable(&self, range: core::ops::Range<u32>) -> Result<core::ops::Range<u32>, DriverError> {
        if self.windows.may_write(&range) { Ok(range) } else { Err(DriverError::Protected) }
    }

    const fn address(&self, offset: u32) -> u32 {
        self.windows.device().base() + offset
    }

    fn load(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.calls.recover()?;
        let (mut at, mut rest) = (self.address(offset), bytes);
        while !rest.is_empty() {
            let part = if at.is_multiple_of(4) && rest.len() >= 4 { 4 } else { 1 };
            let (head, tail) = rest.split_at_mut(part);
            match head {
                [byte] => *byte = self.chip.read8(at),
                word => word.copy_from_slice(&self.chip.read32(at).to_le_bytes()),
            }
            at += part as u32;
            rest = tail;
        }
        Ok(())
    }

    fn read_checked(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), DriverError> {
        let range = checked(offset, bytes.len(), 1, self.capacity())?;
        if !self.windows.may_read(&range) {
            return Err(DriverError::Protected);
        }
        self.load(offset, bytes)
    }

    fn write_row(&mut self, offset: u32, row: &[u8; ROW]) -> Result<(), DriverError> {
        self.watchdog.feed();
        Ok(self.calls.write_row(self.address(offset), row)?)
    }

    /// Writes what can be written in one go: eight rows, or one.
    fn write_step(&mut self, offset: u32, bytes: &[u8]) -> Result<u32, DriverError> {
        if offset.is_multiple_of(SUBSECTOR) && bytes.len() >= SUBSECTOR as usize {
            self.watchdog.feed();
            self.calls.erase_subsector(self.address(offset))?;
            for (at, row) in (offset..).step_by(ROW).zip(rows(bytes)).take(SUBSECTOR as usize / ROW) {
                self.watchdog.feed();
                self.calls.program_row(self.address(at), row)?;
            }
            return Ok(SUBSECTOR);
        }
        if let Some(row) = rows(bytes).next() {
            self.write_row(offset, row)?;
        }
        Ok(ROW as u32)
    }

    /// Erases what can be erased in one go.
    fn erase_step(&mut self, from: u32, to: u32) -> Result<u32, DriverError> {
        self.watchdog.feed();
        let address = self.address(from);
        if from.is_multiple_of(SUBSECTOR) && to - from >= SUBSECTOR {
            self.calls.erase_subsector(address)?;
            Ok(SUBSECTOR)
        } else {
            self.calls.erase_row(address)?;
            Ok(ROW as u32)
        }
    }
}

fn rows(bytes: &[u8]) -> impl Iterator<Item = &[u8; ROW]> {
    bytes.chunks_exact(ROW).filter_map(|row| row.try_into().ok())
}

impl<P: Processor, W: Feed, C: FlashCache> blocking::ErrorType for InternalFlash<P, W, C> {
    type Error = DriverError;
}

impl<P: Processor, W: Feed, C: FlashCache> blocking::ReadNorFlash for InternalFlash<P, W, C> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.read_checked(offset, bytes)
    }

    fn capacity(&self) -> usize {
        InternalFlash::capacity(self) as usize
    }
}

impl<P: Processor, W: Feed, C: FlashCache> blocking::NorFlash for InternalFlash<P, W, C> {
    const WRITE_SIZE: usize = ROW;
    const ERASE_SIZE: usize = ROW;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), DriverError> {
        let range = self.writable(checked_range(from, to, ROW, InternalFlash::capacity(self))?)?;
        let mut at = range.start;
        while at < range.end {
            at += self.erase_step(at, range.end)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DriverError> {
        let range = self.writable(checked(offset, bytes.len(), ROW, InternalFlash::capacity(self))?)?;
        let mut at = range.start;
        while at < range.end {
            at += self.write_step(at, &bytes[(at - offset) as usize..])?;
        }
        Ok(())
    }
}

impl<P: Processor, W: Feed, C: FlashCache> asynch::ReadNorFlash for InternalFlash<P, W, C> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.read_checked(offset, bytes)
    }

    fn capacity(&self) -> usize {
        InternalFlash::capacity(self) as usize
    }
}

impl<P: Processor, W: Feed, C: FlashCache> asynch::NorFlash for InternalFlash<P, W, C> {
    const WRITE_SIZE: usize = ROW;
    const ERASE_SIZE: usize = ROW;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), DriverError> {
        let range = self.writable(checked_range(from, to, ROW, InternalFlash::capacity(self))?)?;
        let mut at = range.start;
        while at < range.end {
            at += self.erase_step(at, range.end)?;
            embassy_futures::yield_now().await;
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DriverError> {
        let range = self.writable(checked(offset, bytes.len(), ROW, InternalFlash::capacity(self))?)?;
        let mut at = range.start;
        while at < range.end {
            at += self.write_step(at, &bytes[(at - offset) as usize..])?;
            embassy_futures::yield_now().await;
        }
        Ok(())
    }
}
