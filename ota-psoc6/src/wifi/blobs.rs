//! What the chip has to be given before it is a Wi-Fi chip: firmware, board settings, regulatory data.
//!
//! None of it is part of this repository. Origin: `Infineon/wifi-host-driver`, tag `release-v3.0.0`, folder
//! `WiFi_Host_Driver/resources`, under the Permissive Binary License 1.0 (binary redistribution with notice, unmodified).
//! For the module of the kits, Murata 1DX:
//!
//! | Blob | File | Bytes |
//! |---|---|---|
//! | firmware | `firmware/COMPONENT_4343W/4343WA1.bin` | 421,421 |
//! | regulatory data | `clm/COMPONENT_4343W/4343WA1.clm_blob` | 7,222 |
//! | board settings | `nvram/COMPONENT_4343W/COMPONENT_MURATA-1DX/wifi_nvram_image.h`, as NUL-separated text | about 1,000 |

use cyw43::{A4, Aligned};

/// How a stand-in begins: a file made by a build that was given no blobs, so that it links and has its size.
pub const STAND_IN: &[u8] = b"OTA-STAND-IN: no firmware of the Wi-Fi chip was given to this build. ";

/// How the firmware's version begins; it stands in the last [`TAIL`] bytes.
const VERSION: &[u8] = b"Version: ";
const TAIL: usize = 1024;
/// Smaller than any firmware of the family.
const FIRMWARE_MIN: usize = 100_000;
/// How a regulatory blob begins.
const CLM_MAGIC: &[u8] = b"BLOB";
/// The header of a regulatory blob in front of its segments: magic, length of the header with them, CRC, type, their number.
const CLM_HEADER_LEN: usize = 20;
/// A segment's entry: type, offset from the blob's start, length, CRC, flags.
const CLM_ENTRY_LEN: usize = 20;
/// RAM of the chip that firmware and settings share.
const RAM_SIZE: usize = 512 * 1024;

/// The three blobs, words aligned.
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

/// A blob that must not be given to the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlobError {
    /// The build was not told where the blobs are.
    StandIn = 1,
    /// There is no firmware, or far too little of it.
    FirmwareMissing = 2,
    /// The firmware does not end with its version: it was cut off, or is something else.
    FirmwareTruncated = 3,
    /// Firmware and settings do not fit the chip's RAM.
    TooLarge = 4,
    /// The board settings are not `key=value` text with NULs, ended by one.
    Nvram = 5,
    /// There is no regulatory data, or it does not begin as it must.
    Clm = 6,
    /// The regulatory data ends before a segment its header names: it was cut off.
    ClmTruncated = 7,
}

impl Blobs<'_> {
    /// Whether the chip may be given these. It costs a look at both ends.
    ///
    /// What is whole but changed in its middle is only noticed by the chip.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), BlobError> {
        let (firmware, nvram): (&[u8], &[u8]) = (self.firmware, self.nvram);
        if [firmware, nvram, self.clm].iter().any(|blob| blob.starts_with(STAND_IN)) {
            return Err(BlobError::StandIn);
        }
        if firmware.len() < FIRMWARE_MIN {
            return Err(BlobError::FirmwareMissing);
        }
        let tail = &firmware[firmware.len() - TAIL..];
        if !tail.windows(VERSION.len()).any(|window| window == VERSION) {
            return Err(BlobError::FirmwareTruncated);
        }
        if firmware.len() + nvram.len() + 8 > RAM_SIZE {
            return Err(BlobError::TooLarge);
        }
        let first = nvram.split(|byte| *byte == 0).next().unwrap_or_default();
        if !first.contains(&b'=') || nvram.last() != Some(&0) || !nvram.len().is_multiple_of(4) {
            return Err(BlobError::Nvram);
        }
        if !self.clm.starts_with(CLM_MAGIC) {
            return Err(BlobError::Clm);
        }
        if !clm_is_whole(self.clm) {
            return Err(BlobError::ClmTruncated);
        }
        Ok(())
    }
}

/// Whether all segments the header names are there. Numbers are little-endian words (`wl_segment_info` of the vendor's
/// `msf.h`). In the file of the release the last segment ends with the file.
fn clm_is_whole(clm: &[u8]) -> bool {
    let word = |at: usize| {
        let bytes = clm.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let (Some(header_len), Some(count)) = (word(4), word(16)) else { return false };
    let entries_len = count.checked_mul(CLM_ENTRY_LEN).and_then(|len| len.checked_add(CLM_HEADER_LEN));
    if count == 0 || entries_len.is_none_or(|len| len > header_len) || header_len > clm.len() {
        return false;
    }
    (0..count).all(|index| {
        let entry = CLM_HEADER_LEN + index * CLM_ENTRY_LEN;
        let end = word(entry + 4).zip(word(entry + 8)).and_then(|(offset, len)| offset.checked_add(len));
        end.is_some_and(|end| end <= clm.len())
    })
}
