//! What the Wi-Fi chip has to be given before it is one: firmware, board settings, regulatory data, and how to tell whether a
//! file is whole. For build scripts (feature `build`) and for the driver (feature `wifi`), which looks again.
//!
//! None of it is part of this repository. Origin: `Infineon/wifi-host-driver`, tag `release-v3.0.0`, folder
//! `WiFi_Host_Driver/resources`, under the Permissive Binary License 1.0 (binary redistribution with notice, unmodified).
//! For the module of the kits, Murata 1DX:
//!
//! | Blob | File | Bytes | How its end is known | A change inside |
//! |---|---|---|---|---|
//! | [`firmware`] | `firmware/COMPONENT_4343W/4343WA1.bin` | 421,421 | it ends with its version, the length of that, and `DVID 01-` with eight digits | not noticed here |
//! | [`regulatory`] data | `clm/COMPONENT_4343W/4343WA1.clm_blob` | 7,222 | its header says where its parts end | a checksum of the header, and one of each part |
//! | board [`settings`] | `nvram/COMPONENT_4343W/COMPONENT_MURATA-1DX/wifi_nvram_image.h`, as NUL-separated text | about 1,000 | two NULs, a multiple of four bytes | what is no `key=value` |
//!
//! A change inside of firmware or settings needs a digest that the user gives, before anything is built: the example kits take a
//! file `NAME.sha256` beside the blob.

/// How a stand-in begins: a file made by a build that was given no blobs, so that it links and has its size.
pub const STAND_IN: &[u8] = b"OTA-STAND-IN: no firmware of the Wi-Fi chip was given to this build. ";

/// RAM of the chip that firmware and settings share.
const RAM_SIZE: usize = 512 * 1024;
/// Smaller than any firmware of the family.
const FIRMWARE_MIN: usize = 100_000;
/// How the last 16 bytes of a firmware begin, and what stands in the text before them, with the text's length in between.
const FIRMWARE_END: &[u8] = b"DVID 01-";
const FIRMWARE_END_LEN: usize = 16;
const VERSION: &[u8] = b"Version: ";

/// Fields of a regulatory blob: little-endian words, after the magic bytes (`wl_segment_info` of the vendor's `msf.h`).
mod clm {
    pub(super) const MAGIC: &[u8] = b"BLOB";
    /// Length of the header with the entries of all segments.
    pub(super) const HEADER_LEN: usize = 4;
    /// CRC-32 of the rest of the header, from [`CHECKED`] on.
    pub(super) const CRC: usize = 8;
    pub(super) const CHECKED: usize = 12;
    pub(super) const COUNT: usize = 16;
    pub(super) const ENTRIES: usize = 20;
    /// Of an entry: where its segment begins in the blob, its length, its CRC-32.
    pub(super) const ENTRY_LEN: usize = 20;
    pub(super) const OFFSET: usize = 4;
    pub(super) const LEN: usize = 8;
    pub(super) const SEGMENT_CRC: usize = 12;
}

/// A blob that must not be given to the chip. The numbers are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlobError {
    /// The build was not told where the blobs are.
    StandIn = 1,
    /// There is no firmware, or far too little of it.
    FirmwareMissing = 2,
    /// The firmware does not end as it must: it was cut off, or is something else.
    FirmwareTruncated = 3,
    /// Firmware and settings do not fit the chip's RAM.
    TooLarge = 4,
    /// The board settings are not `key=value` text with a NUL behind each, or do not end as they must.
    Nvram = 5,
    /// There is no regulatory data, or it does not begin as it must.
    Clm = 6,
    /// The regulatory data ends before a segment its header names: it was cut off.
    ClmTruncated = 7,
    /// A checksum of the regulatory data is wrong: it was changed inside.
    ClmDamaged = 8,
}

/// Whether a firmware is whole, by its end.
///
/// # Errors
/// [`BlobError::StandIn`], [`FirmwareMissing`](BlobError::FirmwareMissing), [`FirmwareTruncated`](BlobError::FirmwareTruncated),
/// [`TooLarge`](BlobError::TooLarge).
pub fn firmware(bytes: &[u8]) -> Result<(), BlobError> {
    if bytes.starts_with(STAND_IN) {
        return Err(BlobError::StandIn);
    }
    if bytes.len() < FIRMWARE_MIN {
        return Err(BlobError::FirmwareMissing);
    }
    if bytes.len() > RAM_SIZE {
        return Err(BlobError::TooLarge);
    }
    let (rest, end) = bytes.split_at(bytes.len() - FIRMWARE_END_LEN);
    let (rest, len) = rest.split_at(rest.len() - 2);
    let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
    let Some(text) = rest.len().checked_sub(len).map(|from| &rest[from..]) else {
        return Err(BlobError::FirmwareTruncated);
    };
    let has_version = text.windows(VERSION.len()).any(|window| window == VERSION);
    let digits = end.strip_prefix(FIRMWARE_END);
    if !has_version
        || text.last() != Some(&0)
        || !digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    {
        return Err(BlobError::FirmwareTruncated);
    }
    Ok(())
}

/// Whether settings are whole: `key=value` in printable characters, a NUL behind each, one more at least at the end, and a
/// multiple of four bytes in all.
///
/// # Errors
/// [`BlobError::StandIn`] or [`BlobError::Nvram`].
pub fn settings(bytes: &[u8]) -> Result<(), BlobError> {
    if bytes.starts_with(STAND_IN) {
        return Err(BlobError::StandIn);
    }
    let Some(text) = bytes.strip_suffix(b"\0\0").filter(|_| bytes.len().is_multiple_of(4)) else {
        return Err(BlobError::Nvram);
    };
    let end = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let is_setting = |entry: &[u8]| {
        let key_len = entry.iter().position(|byte| *byte == b'=');
        key_len.is_some_and(|len| len > 0) && entry.iter().all(|byte| (b' '..=b'~').contains(byte))
    };
    match text[..end].split(|byte| *byte == 0).all(is_setting) {
        true => Ok(()),
        false => Err(BlobError::Nvram),
    }
}

/// Whether regulatory data is whole and unchanged.
///
/// # Errors
/// [`BlobError::StandIn`], [`Clm`](BlobError::Clm), [`ClmTruncated`](BlobError::ClmTruncated),
/// [`ClmDamaged`](BlobError::ClmDamaged).
pub fn regulatory(bytes: &[u8]) -> Result<(), BlobError> {
    if bytes.starts_with(STAND_IN) {
        return Err(BlobError::StandIn);
    }
    if !bytes.starts_with(clm::MAGIC) {
        return Err(BlobError::Clm);
    }
    let number = |at| word(bytes, at).ok_or(BlobError::ClmTruncated);
    let (header_len, crc, count) = (number(clm::HEADER_LEN)?, number(clm::CRC)?, number(clm::COUNT)?);
    let header = part(bytes, 0, header_len).ok_or(BlobError::ClmTruncated)?;
    if header.get(clm::CHECKED..).map(crc32) != Some(crc) {
        return Err(BlobError::ClmDamaged);
    }
    let entries = header.get(clm::ENTRIES..).unwrap_or_default().chunks_exact(clm::ENTRY_LEN);
    if count == 0 || u32::try_from(entries.len()) != Ok(count) {
        return Err(BlobError::ClmDamaged);
    }
    for entry in entries {
        let number = |at| word(entry, at).ok_or(BlobError::ClmTruncated);
        let segment = part(bytes, number(clm::OFFSET)?, number(clm::LEN)?);
        if crc32(segment.ok_or(BlobError::ClmTruncated)?) != number(clm::SEGMENT_CRC)? {
            return Err(BlobError::ClmDamaged);
        }
    }
    Ok(())
}

/// Whether firmware and settings, each good by itself, fit the chip's RAM together; the length of the settings is there too.
#[cfg(feature = "wifi")]
pub(crate) const fn fit(firmware: &[u8], settings: &[u8]) -> bool {
    firmware.len() + settings.len() + 8 <= RAM_SIZE
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn part(bytes: &[u8], from: u32, len: u32) -> Option<&[u8]> {
    bytes.get(usize::try_from(from).ok()?..)?.get(..usize::try_from(len).ok()?)
}

/// CRC-32 (ISO 3309, as in zlib), bit by bit: seven thousand bytes at the start of the Wi-Fi are no hurry.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_zlibs() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        // The last segment of 4343WA1.clm_blob and its entry.
        assert_eq!(crc32(&[166, 169, 0, 0]), 0x9FED_FF2A);
    }
}
