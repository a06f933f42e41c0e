//! What holds the bytes of a flash double.

use super::FlashFault;

/// Bytes behind a flash double: anything that lends slices (`Vec<u8>`, arrays, `&mut [u8]`), or a file.
///
/// No rules are kept here; they are the double's.
pub trait Memory {
    /// Length in bytes.
    fn capacity(&self) -> u32;

    /// Copies bytes out.
    ///
    /// # Errors
    /// [`FlashFault::OutOfBounds`], or [`FlashFault::Memory`] when the medium fails.
    fn load(&self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault>;

    /// Copies bytes in.
    ///
    /// # Errors
    /// As [`Memory::load`].
    fn store(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault>;

    /// Sets `length` bytes to one value.
    ///
    /// # Errors
    /// As [`Memory::load`].
    fn fill(&mut self, at: u32, length: u32, value: u8) -> Result<(), FlashFault> {
        let chunk = [value; 256];
        let mut done = 0;
        while done < length {
            let step = (length - done).min(256);
            self.store(at + done, &chunk[..step as usize])?;
            done += step;
        }
        Ok(())
    }

    /// Whether `length` bytes all hold `value`.
    ///
    /// # Errors
    /// As [`Memory::load`].
    fn all(&self, at: u32, length: u32, value: u8) -> Result<bool, FlashFault> {
        let mut chunk = [0; 256];
        let mut done = 0;
        while done < length {
            let step = (length - done).min(256);
            let part = &mut chunk[..step as usize];
            self.load(at + done, part)?;
            if part.iter().any(|&byte| byte != value) {
                return Ok(false);
            }
            done += step;
        }
        Ok(true)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Memory for T {
    fn capacity(&self) -> u32 {
        self.as_ref().len().try_into().unwrap_or(u32::MAX)
    }

    fn load(&self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        let rest = self.as_ref().get(at as usize..).ok_or(FlashFault::OutOfBounds)?;
        let from = rest.get(..bytes.len()).ok_or(FlashFault::OutOfBounds)?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn store(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let rest = self.as_mut().get_mut(at as usize..).ok_or(FlashFault::OutOfBounds)?;
        let into = rest.get_mut(..bytes.len()).ok_or(FlashFault::OutOfBounds)?;
        into.copy_from_slice(bytes);
        Ok(())
    }

    fn fill(&mut self, at: u32, length: u32, value: u8) -> Result<(), FlashFault> {
        let rest = self.as_mut().get_mut(at as usize..).ok_or(FlashFault::OutOfBounds)?;
        rest.get_mut(..length as usize).ok_or(FlashFault::OutOfBounds)?.fill(value);
        Ok(())
    }

    fn all(&self, at: u32, length: u32, value: u8) -> Result<bool, FlashFault> {
        let rest = self.as_ref().get(at as usize..).ok_or(FlashFault::OutOfBounds)?;
        let part = rest.get(..length as usize).ok_or(FlashFault::OutOfBounds)?;
        Ok(part.iter().all(|&byte| byte == value))
    }
}
