//! Flash that costs its copy and nothing else.

use core::ops::Range;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// An array that takes writes in units of 16 bytes and sectors of 4 KiB.
///
/// Tests use the strict double of `ota-sim`, which looks at every byte it overwrites. Here that would be measured in
/// place of the library, so this one refuses only what lies outside or is not aligned.
pub struct RamFlash<'m> {
    bytes: &'m mut [u8],
}

impl<'m> RamFlash<'m> {
    /// Over an array of somebody else's, as it is.
    pub fn new(bytes: &'m mut [u8]) -> Self {
        Self { bytes }
    }

    /// The place of `len` bytes from `offset` in the array.
    fn place(&self, offset: u32, len: usize, unit: usize) -> Result<Range<usize>, Refused> {
        let start = offset as usize;
        if !start.is_multiple_of(unit) || !len.is_multiple_of(unit) {
            return Err(Refused(NorFlashErrorKind::NotAligned));
        }
        match start.checked_add(len) {
            Some(end) if end <= self.bytes.len() => Ok(start..end),
            _ => Err(Refused(NorFlashErrorKind::OutOfBounds)),
        }
    }
}

/// The operation lies outside the array or is not aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(NorFlashErrorKind);

impl NorFlashError for Refused {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl ErrorType for RamFlash<'_> {
    type Error = Refused;
}

impl ReadNorFlash for RamFlash<'_> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Refused> {
        let place = self.place(offset, bytes.len(), Self::READ_SIZE)?;
        bytes.copy_from_slice(&self.bytes[place]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for RamFlash<'_> {
    const WRITE_SIZE: usize = 16;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Refused> {
        let Some(len) = to.checked_sub(from) else { return Err(Refused(NorFlashErrorKind::OutOfBounds)) };
        let place = self.place(from, len as usize, Self::ERASE_SIZE)?;
        self.bytes[place].fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Refused> {
        let place = self.place(offset, bytes.len(), Self::WRITE_SIZE)?;
        self.bytes[place].copy_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use embassy_futures::block_on;

    use super::*;

    #[test]
    fn it_holds_what_was_written_and_refuses_the_rest() {
        let mut bytes = [0xff; 8192];
        let mut flash = RamFlash::new(&mut bytes);
        block_on(flash.write(4096, &[5; 16])).expect("inside and aligned");
        let mut read = [0; 17];
        block_on(flash.read(4096, &mut read)).expect("inside");
        assert_eq!((read[15], read[16]), (5, 0xff));
        block_on(flash.erase(4096, 8192)).expect("a sector");
        block_on(flash.read(4096, &mut read)).expect("inside");
        assert_eq!(read, [0xff; 17]);
        assert_eq!(block_on(flash.write(8192, &[0; 16])), Err(Refused(NorFlashErrorKind::OutOfBounds)));
        assert_eq!(block_on(flash.write(8, &[0; 16])), Err(Refused(NorFlashErrorKind::NotAligned)));
        assert_eq!(block_on(flash.erase(0, 4095)), Err(Refused(NorFlashErrorKind::NotAligned)));
    }
}
