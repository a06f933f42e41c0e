//! Strict base64 (RFC 4648, section 4) out of and into caller memory.
//!
//! AWS sends signatures and JSON block payloads as padded base64 in JSON strings, where `/` may stand as `\/`. The decoder
//! takes one character at a time, so escapes are undone on the way and a payload can be decoded onto its own text.

use core::fmt;

use super::{
    json::Text,
    writer::{EncodeError, Writer},
};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PADDING: u8 = b'=';
/// What each byte stands for; [`INVALID`] where it is not of the alphabet. A table, since comparing ranges mispredicts on every
/// other character.
const VALUES: [u8; 256] = values();
const INVALID: u8 = 0x80;
/// Characters of one group and the bytes they hold.
const GROUP_CHARS: usize = 4;
const GROUP_BYTES: usize = 3;

const fn values() -> [u8; 256] {
    let mut values = [INVALID; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
}

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
    let Some(plain) = text.as_plain() else {
        let mut decoder = Decoder::new();
        let mut writer = Writer::new(out);
        for character in text.chars() {
            let byte = u8::try_from(character).map_err(|_| Base64Error::Character)?;
            writer.bytes(decoder.push(byte)?.as_slice());
        }
        decoder.finish()?;
        return writer.finish().map_err(|_| Base64Error::BufferTooSmall);
    };
    decode(plain.as_bytes(), out)
}

/// Decodes padded base64 into `out`; returns the bytes written.
///
/// # Errors
/// See [`Base64Error`]; `out` then holds the beginning of something that is of no use.
pub fn decode(text: &[u8], out: &mut [u8]) -> Result<usize, Base64Error> {
    let (groups, _) = text.as_chunks::<GROUP_CHARS>();
    let (places, _) = out.as_chunks_mut::<GROUP_BYTES>();
    let mut count = 0usize;
    for (group, place) in groups.iter().zip(places) {
        let Some(bytes) = whole_group(*group) else { break };
        *place = bytes;
        count = count.saturating_add(1);
    }
    // The end, with its padding, and whatever is wrong.
    let (from, to) = (count.saturating_mul(GROUP_CHARS), count.saturating_mul(GROUP_BYTES));
    let mut decoder = Decoder::new();
    let mut writer = Writer::new(out.get_mut(to..).unwrap_or_default());
    for byte in text.get(from..).unwrap_or_default() {
        writer.bytes(decoder.push(*byte)?.as_slice());
    }
    decoder.finish()?;
    writer.finish().map(|size| to.saturating_add(size)).map_err(|_| Base64Error::BufferTooSmall)
}

/// Decodes the base64 in `text`, a JSON string between its quotes, onto itself; returns the bytes it became.
///
/// Four characters become three bytes, so the place written never overtakes the place read.
pub(crate) fn decode_in_place(text: &mut [u8]) -> Result<usize, Base64Error> {
    let (mut from, mut to) = (0usize, 0usize);
    while let Some(bytes) = text.get(from..).and_then(|rest| whole_group(*rest.first_chunk()?)) {
        let Some(place) = text.get_mut(to..).and_then(|rest| rest.first_chunk_mut()) else { break };
        *place = bytes;
        from = from.saturating_add(GROUP_CHARS);
        to = to.saturating_add(GROUP_BYTES);
    }
    // The end, with its padding, what comes behind an escape, and whatever is wrong.
    let mut decoder = Decoder::new();
    while let Some(&byte) = text.get(from) {
        from = from.saturating_add(1);
        let byte = if byte == b'\\' {
            let rest = text.get(from..).unwrap_or_default();
            let (byte, size) = escaped(rest).ok_or(Base64Error::Character)?;
            from = from.saturating_add(size);
            byte
        } else {
            byte
        };
        let group = decoder.push(byte)?;
        let end = to.saturating_add(group.as_slice().len());
        if let Some(place) = text.get_mut(to..end) {
            place.copy_from_slice(group.as_slice());
        }
        to = end;
    }
    decoder.finish()?;
    Ok(to)
}

/// The base64 character after a backslash, and the bytes it took: some encoders write `\/`, some `\u003d` for `=`.
fn escaped(rest: &[u8]) -> Option<(u8, usize)> {
    const HEX_DIGITS: usize = 4;
    match rest.first()? {
        b'/' => Some((b'/', 1)),
        b'u' => {
            let digits = core::str::from_utf8(rest.get(1..=HEX_DIGITS)?).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, 1 + HEX_DIGITS))
        }
        _ => None,
    }
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

/// What a pushed character completed: nothing, or the bytes of a group.
#[derive(Clone, Copy)]
struct Group {
    bytes: [u8; GROUP_CHARS],
    len: usize,
}

impl Group {
    const NONE: Self = Self { bytes: [0; GROUP_CHARS], len: 0 };

    fn as_slice(&self) -> &[u8] {
        // The word is big-endian with an unused highest byte.
        self.bytes.get(1..).and_then(|bytes| bytes.get(..self.len)).unwrap_or_default()
    }
}

struct Decoder {
    word: u32,
    /// Characters of the current group, padding included.
    chars: usize,
    padding: usize,
}

impl Decoder {
    const fn new() -> Self {
        Self { word: 0, chars: 0, padding: 0 }
    }

    #[inline]
    fn push(&mut self, byte: u8) -> Result<Group, Base64Error> {
        let bits = if byte == PADDING {
            // At most two, and only where a third or fourth character would stand.
            if self.chars < 2 {
                return Err(Base64Error::Padding);
            }
            self.padding = self.padding.saturating_add(1);
            0
        } else {
            if self.padding > 0 {
                return Err(Base64Error::Padding);
            }
            value(byte)?
        };
        self.word = self.word << 6 | bits;
        self.chars = self.chars.saturating_add(1);
        if self.chars < GROUP_CHARS {
            return Ok(Group::NONE);
        }
        let word = self.word;
        self.word = 0;
        self.chars = 0;
        // Bits below the last whole byte must be 0, else two texts would mean the same bytes.
        let hidden = match self.padding {
            0 => 0,
            1 => word & 0xFF,
            _ => word & 0xFFFF,
        };
        if hidden != 0 {
            return Err(Base64Error::Padding);
        }
        Ok(Group { bytes: word.to_be_bytes(), len: GROUP_BYTES.saturating_sub(self.padding) })
    }

    fn finish(&self) -> Result<(), Base64Error> {
        if self.chars == 0 { Ok(()) } else { Err(Base64Error::Padding) }
    }
}

/// Three bytes of four characters of the alphabet; `None` if one is anything else.
#[inline]
fn whole_group(chars: [u8; GROUP_CHARS]) -> Option<[u8; GROUP_BYTES]> {
    let [a, b, c, d] = chars.map(|byte| VALUES.get(usize::from(byte)).copied().unwrap_or(INVALID));
    if (a | b | c | d) >= INVALID {
        return None;
    }
    let word = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
    let [_, bytes @ ..] = word.to_be_bytes();
    Some(bytes)
}

#[inline]
fn value(byte: u8) -> Result<u32, Base64Error> {
    let value = VALUES.get(usize::from(byte)).copied().unwrap_or(INVALID);
    if value < INVALID { Ok(u32::from(value)) } else { Err(Base64Error::Character) }
}
