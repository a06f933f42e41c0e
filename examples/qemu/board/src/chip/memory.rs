//! PSRAM as the bytes of a flash, and the RAM that survives a reset.

use core::sync::atomic::{Ordering, compiler_fence};

use ota_sim::flash::{FlashFault, Memory};

use crate::{FLASH_BASE, FLASH_SIZE};

/// A range of PSRAM. It is reached by pointers and never borrowed: the program that runs lies in it too.
#[derive(Debug)]
pub struct Psram {
    start: u32,
    size: u32,
}

impl Psram {
    /// `size` bytes from offset `at`.
    ///
    /// # Panics
    /// When the range reaches past the end of the PSRAM.
    pub fn new(at: u32, size: u32) -> Self {
        assert!(at.checked_add(size).is_some_and(|end| end <= FLASH_SIZE), "outside the PSRAM");
        Self { start: FLASH_BASE + at, size }
    }

    /// Where byte `at` lies, if `length` bytes from there are ours.
    fn place(&self, at: u32, length: usize) -> Result<usize, FlashFault> {
        let end = u32::try_from(length).ok().and_then(|length| at.checked_add(length));
        match end {
            Some(end) if end <= self.size => Ok((self.start + at) as usize),
            Some(_) | None => Err(FlashFault::OutOfBounds),
        }
    }
}

impl Memory for Psram {
    fn capacity(&self) -> u32 {
        self.size
    }

    fn load(&self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        let place = self.place(at, bytes.len())? as *const u8;
        // SAFETY: the range was checked and is readable memory; `bytes` lies in RAM or on the stack, not in PSRAM.
        unsafe { core::ptr::copy_nonoverlapping(place, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn store(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let place = self.place(at, bytes.len())? as *mut u8;
        // SAFETY: the range was checked and is writable memory; the running program has no variables in it, and overwrites
        // no code of its own: the application leaves the image in the primary slot alone, the bootloader runs elsewhere.
        // Overlapping with a constant of the application that is written to the other slot is ruled out likewise.
        unsafe { core::ptr::copy(bytes.as_ptr(), place, bytes.len()) };
        // The power may fail between any two operations, so none may be moved behind the next.
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    fn fill(&mut self, at: u32, length: u32, value: u8) -> Result<(), FlashFault> {
        let place = self.place(at, length as usize)? as *mut u8;
        // SAFETY: as in `store`.
        unsafe { core::ptr::write_bytes(place, value, length as usize) };
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    fn all(&self, at: u32, length: u32, value: u8) -> Result<bool, FlashFault> {
        let place = self.place(at, length as usize)?;
        // SAFETY: the range was checked; it is only read, and nobody writes it before the borrow ends.
        let bytes = unsafe { core::slice::from_raw_parts(place as *const u8, length as usize) };
        Ok(bytes.iter().all(|&byte| byte == value))
    }
}

/// Counts the resets since QEMU was started: the last KiB of SRAM is nobody's, and keeps its content over a reset.
pub mod kept {
    const PLACE: *mut [u32; 2] = 0x203F_FC00 as *mut [u32; 2];
    const MAGIC: u32 = 0x0074_AEC0;

    /// Resets before this one; 0 after power on.
    pub fn resets() -> u32 {
        // SAFETY: memory.x of both programs ends before this place; only these two functions use it, one at a time.
        match unsafe { PLACE.read_volatile() } {
            [MAGIC, count] => count,
            [_, _] => 0,
        }
    }

    /// To be called before a reset.
    pub fn count_reset() {
        let count = resets() + 1;
        // SAFETY: as above.
        unsafe { PLACE.write_volatile([MAGIC, count]) }
    }
}
