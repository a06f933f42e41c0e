//! The traits by which a flash double is used: ours, and the two of `embedded-storage`.

use core::borrow::Borrow;

use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash as nonblocking;

use super::{Actor, FlashConfig, FlashDouble, FlashFault, Ledger, Memory, Supply};

/// A flash whose sizes are known at run time only, as the MCUboot model sees it.
pub trait Device {
    /// The shape of the part.
    fn config(&self) -> FlashConfig;
    /// Says who works on the flash from now on.
    fn set_actor(&mut self, actor: Actor);
    /// Reads bytes.
    ///
    /// # Errors
    /// [`FlashFault::OutOfBounds`], [`FlashFault::PowerLost`] or [`FlashFault::Memory`].
    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault>;
    /// Writes whole units.
    ///
    /// # Errors
    /// Any [`FlashFault`].
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault>;
    /// Erases whole sectors, each one operation.
    ///
    /// # Errors
    /// Any [`FlashFault`] but `NotErased`.
    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault>;
}

impl<M: Memory, const WRITE: usize, const ERASE: usize, L: Ledger, P: Borrow<Supply>> Device
    for FlashDouble<M, WRITE, ERASE, L, P>
{
    fn config(&self) -> FlashConfig {
        self.config
    }
    fn set_actor(&mut self, actor: Actor) {
        self.actor = actor;
    }
    fn read(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.read_bytes(at, bytes)
    }
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.write_units(at, bytes)
    }
    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        self.erase_sectors(from, to)
    }
}

impl<M, const WRITE: usize, const ERASE: usize, L, P> blocking::ErrorType
    for FlashDouble<M, WRITE, ERASE, L, P>
{
    type Error = FlashFault;
}

impl<M: Memory, const WRITE: usize, const ERASE: usize, L: Ledger, P: Borrow<Supply>> blocking::ReadNorFlash
    for FlashDouble<M, WRITE, ERASE, L, P>
{
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.read_bytes(offset, bytes)
    }
    fn capacity(&self) -> usize {
        self.config.size as usize
    }
}

impl<M: Memory, const WRITE: usize, const ERASE: usize, L: Ledger, P: Borrow<Supply>> blocking::NorFlash
    for FlashDouble<M, WRITE, ERASE, L, P>
{
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        self.erase_sectors(from, to)
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.write_units(offset, bytes)
    }
}

impl<M: Memory, const WRITE: usize, const ERASE: usize, L: Ledger, P: Borrow<Supply>>
    nonblocking::ReadNorFlash for FlashDouble<M, WRITE, ERASE, L, P>
{
    const READ_SIZE: usize = 1;
    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.read_bytes(offset, bytes)
    }
    fn capacity(&self) -> usize {
        self.config.size as usize
    }
}

impl<M: Memory, const WRITE: usize, const ERASE: usize, L: Ledger, P: Borrow<Supply>> nonblocking::NorFlash
    for FlashDouble<M, WRITE, ERASE, L, P>
{
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;
    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        self.erase_sectors(from, to)
    }
    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.write_units(offset, bytes)
    }
}
