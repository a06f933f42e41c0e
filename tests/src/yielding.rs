//! Flash whose operations take a moment, so that their futures can be dropped half-way.

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::cloud::Cloud;

/// Yields before each operation, and after those that change something: a future dropped there leaves the operation
/// undone, or done with nobody told.
pub(crate) struct Yielding<'w, F> {
    pub(crate) flash: F,
    pub(crate) cloud: &'w Cloud,
}

impl<F: ErrorType> ErrorType for Yielding<'_, F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> ReadNorFlash for Yielding<'_, F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.cloud.yield_now().await;
        self.flash.read(offset, bytes).await
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<F: NorFlash> NorFlash for Yielding<'_, F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.cloud.yield_now().await;
        let result = self.flash.erase(from, to).await;
        if crate::is_tracing() {
            eprintln!("  erase {from:#x} {to:#x} {:?}", result.is_ok());
        }
        self.cloud.yield_now().await;
        result
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.cloud.yield_now().await;
        let result = self.flash.write(offset, bytes).await;
        if crate::is_tracing() {
            eprintln!("  write {offset:#x} {} {:?}", bytes.len(), result.is_ok());
        }
        self.cloud.yield_now().await;
        result
    }
}
