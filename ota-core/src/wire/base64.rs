//! Strict base64 (RFC 4648, section 4) out of and into caller memory.
//!
//! AWS sends signatures and JSON block payloads as padded base64 in JSON strings, where `/` may stand as `\/`: escapes are
//! undone on the way.

use core::fmt;

use super::{
    json::Text,
    writer::{EncodeError, Writer},
};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PADDING: u8 = b'=';
/// Characters of one group and the bytes they hold.
const GROUP_CHARS: usize = 4;
const GROUP_BYTES: usize = 3;

/// Why base64 was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base64Error {
    /// A character outside the alphabet.
    Character,
    /// Padding is missing, in the wrong place, or hides bits that are not 0.
    Padding,
    /// The output does not fit.
    BufferTooSmall,
}

impl fmt::Display for Base64Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => "a character is not base64: send the standard alphabet without line breaks",
            Self::Padding => "the base64 is cut short or wrongly padded: send it whole",
            Self::BufferTooSmall => "the decoded bytes do not fit: give a larger buffer",
        })
    }
}

impl core::error::Error for Base64Error {}

/// Bytes that `size` bytes take as base64.
pub const fn encoded_size(size: usize) -> usize {
    size.div_ceil(GROUP_BYTES).saturating_mul(GROUP_CHARS)
}

/// Decodes the base64 of a JSON string, escapes undone, into `out`; returns the bytes written.
///
/// # Errors
/// See [`Base64Error`]; `out` then holds the beginning of something that is of no use.
pub fn decode_text(text: Text<'_>, out: &mut [u8]) -> Result<usize, Base64Error> {
    let mut writer = Writer::new(out);
    let (mut word, mut bits, mut padding) = (0u32, 0u32, 0u32);
    for byte in text.bytes() {
        if byte == PADDING {
            padding = padding.saturating_add(1);
            continue;
        }
        let value = value(byte).ok_or(Base64Error::Character)?;
        if padding > 0 {
            return Err(Base64Error::Padding);
        }
        word = word << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            writer.byte((word >> bits) as u8);
        }
    }
    // One character alone is no byte. Bits below the last whole byte must be 0, else two texts would mean the same bytes.
    if bits == 6 || padding != bits / 2 || word & ((1 << bits) - 1) != 0 {
        return Err(Base64Error::Padding);
    }
    writer.finish().map_err(|_| Base64Error::BufferTooSmall)
}

/// What a character of the alphabet stands for.
fn value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Writes `bytes` as padded base64.
pub(crate) fn encode(writer: &mut Writer<'_>, bytes: &[u8]) {
    for group in bytes.chunks(GROUP_BYTES) {
        let mut padded = [0u8; GROUP_CHARS];
        for (place, byte) in padded.iter_mut().skip(1).zip(group) {
            *place = *byte;
        }
        let word = u32::from_be_bytes(padded);
        for at in 0..GROUP_CHARS {
            // Characters beyond the bytes of a short group are padding.
            let character = if at <= group.len() { character(word >> (18 - 6 * at)) } else { PADDING };
            writer.byte(character);
        }
    }
}

fn character(bits: u32) -> u8 {
    ALPHABET.get((bits & 0x3F) as usize).copied().unwrap_or(PADDING)
}

/// Encodes `bytes` into `out`, which needs [`encoded_size`] bytes; returns the bytes written.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`].
pub fn encode_slice(bytes: &[u8], out: &mut [u8]) -> Result<usize, EncodeError> {
    let mut writer = Writer::new(out);
    encode(&mut writer, bytes);
    writer.finish()
}
