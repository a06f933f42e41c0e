//! One flash device under several slots of one task.

use core::{cell::RefCell, fmt};

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// A flash device that holds several slots, each of which wants to own it: primary and secondary of one image, or the
/// journal beside them.
///
/// All users belong to one task, which awaits one flash operation at a time, so the device is never wanted twice; should
/// it be, the second operation fails with [`SharedError::Busy`] and does nothing. Devices shared between tasks need a
/// mutex that waits.
///
/// # Cancel safety
/// That of the driver's own futures: a dropped operation gives the device free.
#[derive(Debug)]
pub struct SharedFlash<'a, F> {
    flash: &'a RefCell<F>,
}

/// A fault of a shared device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedError<E> {
    /// Another operation is under way: two tasks share the device.
    Busy,
    /// The driver's own.
    Flash(E),
}

impl<E: fmt::Debug> fmt::Display for SharedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => {
                f.write_str("another flash operation is under way; use the device from one task only")
            }
            Self::Flash(error) => write!(f, "flash driver: {error:?}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for SharedError<E> {}

impl<E: NorFlashError> NorFlashError for SharedError<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Busy => NorFlashErrorKind::Other,
            Self::Flash(error) => error.kind(),
        }
    }
}

impl<'a, F> SharedFlash<'a, F> {
    /// One more user of the device.
    pub const fn new(flash: &'a RefCell<F>) -> Self {
        Self { flash }
    }
}

impl<F> Clone for SharedFlash<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for SharedFlash<'_, F> {}

impl<F: ErrorType> ErrorType for SharedFlash<'_, F> {
    type Error = SharedError<F::Error>;
}

// The borrow is held while the driver works: that is what keeps the device to one operation at a time, and a second one
// gets an error instead of a panic.
#[allow(clippy::await_holding_refcell_ref)]
impl<F: ReadNorFlash> ReadNorFlash for SharedFlash<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let mut flash = self.flash.try_borrow_mut().map_err(|_| SharedError::Busy)?;
        flash.read(offset, bytes).await.map_err(SharedError::Flash)
    }

    /// 0 while an operation is under way, which no slot is built on.
    fn capacity(&self) -> usize {
        self.flash.try_borrow().map_or(0, |flash| flash.capacity())
    }
}

#[allow(clippy::await_holding_refcell_ref)] // As above.
impl<F: NorFlash> NorFlash for SharedFlash<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        let mut flash = self.flash.try_borrow_mut().map_err(|_| SharedError::Busy)?;
        flash.erase(from, to).await.map_err(SharedError::Flash)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let mut flash = self.flash.try_borrow_mut().map_err(|_| SharedError::Busy)?;
        flash.write(offset, bytes).await.map_err(SharedError::Flash)
    }
}
