//! The blobs as the driver takes them.

use cyw43::{A4, Aligned};

use crate::blobs::{self, BlobError};

/// The three blobs, words aligned. Where they come from: [`crate::blobs`].
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations)] // Half a megabyte of numbers tells nobody anything.
pub struct Blobs<'a> {
    /// The firmware.
    pub firmware: &'a Aligned<A4, [u8]>,
    /// The board settings: `key=value`, each with a NUL behind it, and a multiple of four bytes in all.
    pub nvram: &'a Aligned<A4, [u8]>,
    /// The regulatory data, for `Control::init`.
    pub clm: &'a [u8],
}

impl Blobs<'_> {
    /// Whether the chip may be given these. It costs a look at the end of the firmware and at all of the rest, some milliseconds.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), BlobError> {
        blobs::firmware(self.firmware)?;
        blobs::settings(self.nvram)?;
        blobs::regulatory(self.clm)?;
        match blobs::fit(self.firmware, self.nvram) {
            true => Ok(()),
            false => Err(BlobError::TooLarge),
        }
    }
}
