//! Blocks of a stream: the answers to GetStream, in CBOR and JSON.
//!
//! Source: AWS IoT developer guide, "Using AWS IoT MQTT-based file delivery in devices", GetStream. The service writes a CBOR
//! map of indefinite length with the names in the order `f i l p`; none of that is promised, so any map is read.

use core::fmt;

use super::{
    base64::{self, Base64Error},
    cbor::{self, info, major},
    field::{FieldWriter, Shape, find, none},
    json::{JsonError, Text},
    topic::Format,
    writer::EncodeError,
};

#[cfg(test)]
mod tests;

/// Bytes a CBOR block message has over its payload at most, as the service writes it with a client token of three bytes.
pub const CBOR_OVERHEAD: usize = 33;

// Names of one letter, and heads whose argument stands in the byte or the two bytes behind them (RFC 8949, section 3).
const NAME: u8 = major::TEXT << info::BITS | 1;
const ONE: u8 = info::ONE_BYTE;
const TWO: u8 = info::TWO_BYTES;
const BYTES_TWO: u8 = major::BYTES << info::BITS | TWO;

/// A block of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// `f`: which file of the stream.
    pub file_id: u32,
    /// `i`: which block of the file, from 0.
    pub block_id: u32,
    /// `p`: as many bytes as `l` says. In CBOR a part of the message.
    pub payload: &'a [u8],
}

/// Why a stream message could not be read. Such a message is dropped; the block is asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamDecodeError {
    /// The message ends too early.
    Truncated,
    /// Something follows the map.
    Trailing,
    /// The message is not a map.
    NotAMap,
    /// A field has the wrong type.
    Type,
    /// A number is negative, has a fraction, or is too large for its field.
    Number,
    /// A byte that CBOR does not allow there, text that is not UTF-8, or a bitmap that is not hexadecimal.
    Malformed,
    /// More than eight arrays and maps inside each other.
    TooDeep,
    /// A string in several chunks: it does not lie in one piece in the message.
    Chunked,
    /// A field occurs twice.
    Duplicate,
    /// A field is missing.
    Missing,
    /// `l` is not the length of the payload.
    Length,
    /// The caller's memory is too small for the payload, the bitmap or the list of files.
    BufferTooSmall,
    /// The message is not JSON of the shape wanted.
    Json(JsonError),
    /// The payload is not base64.
    Base64(Base64Error),
}

impl fmt::Display for StreamDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the stream message ends too early: ask again",
            Self::Trailing => "something follows the stream message: ask again",
            Self::NotAMap => "the stream message is no map: ask again",
            Self::Type => "a stream field has the wrong type: ask again",
            Self::Number => "a number in the stream message is out of range: ask again",
            Self::Malformed => "the stream message is malformed: ask again",
            Self::TooDeep => "the stream message is nested more than 8 deep: ask again",
            Self::Chunked => {
                "a string of the stream message comes in chunks: the sender must write it in one piece"
            }
            Self::Duplicate => "a stream field occurs twice: ask again",
            Self::Missing => "a stream field is missing: ask again",
            Self::Length => "the payload is not as long as the message says: ask again",
            Self::BufferTooSmall => "the stream message holds more than fits: give more memory",
            Self::Json(error) => return error.fmt(f),
            Self::Base64(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for StreamDecodeError {}

impl From<Base64Error> for StreamDecodeError {
    fn from(error: Base64Error) -> Self {
        match error {
            Base64Error::BufferTooSmall => Self::BufferTooSmall,
            Base64Error::Character | Base64Error::Padding => Self::Base64(error),
        }
    }
}

/// Reads a block. The payload of one in CBOR is not copied, that of one in JSON is decoded into `out`.
///
/// Maps of definite and indefinite length are read, fields in any order, numbers of any width; unknown fields are passed over.
/// A CBOR payload in several chunks is refused as [`StreamDecodeError::Chunked`], since it does not lie in one piece.
///
/// # Errors
/// See [`StreamDecodeError`]; `out` may then hold part of a payload.
pub fn decode_block<'a>(
    format: Format,
    message: &'a [u8],
    out: &'a mut [u8],
) -> Result<Block<'a>, StreamDecodeError> {
    let mut found = none();
    find(format, message, &Shape { names: "f i l p", types: "###.", required: 0b1111 }, &mut found)?;
    let [file_id, block_id, size, payload, ..] = &found;
    let (file_id, block_id, size) = (file_id.number, block_id.number, size.number);
    let payload = payload.bytes().unwrap_or_default();
    let payload = match format {
        Format::Cbor => payload,
        Format::Json => {
            let end = base64::decode_text(Text::new(payload), out)?;
            out.get(..end).unwrap_or_default()
        }
    };
    // The C agents take `l` at its word and write what lies behind a short payload; here it must be true.
    if payload.len() != size as usize {
        return Err(StreamDecodeError::Length);
    }
    Ok(Block { file_id, block_id, payload })
}

/// File, block and payload of a block as the service writes it, with the shortest heads. `None` leaves it to
/// [`decode_block`], also where it is wrong, the file's id is above 23, or the payload shorter than 256 bytes.
pub(crate) fn block_as_sent(message: &[u8]) -> Option<(u32, u32, &[u8])> {
    let [_, _, _, file_id, _, _, rest @ ..] = message else { return None };
    let (block_id, rest) = match rest {
        [block_id @ 0..ONE, rest @ ..] | [ONE, block_id, rest @ ..] => (u32::from(*block_id), rest),
        [TWO, high, low, rest @ ..] => (u32::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let [_, _, _, high, low, ..] = rest else { return None };
    // What it says it is decides what every other byte has to be.
    let payload = block_as_expected(message, *file_id, block_id, u16::from_be_bytes([*high, *low]).into())?;
    Some((u32::from(*file_id), block_id, payload))
}

/// What follows `head` in `bytes`. (`strip_prefix` does the same, with a check that is left in small builds and can panic.)
#[inline(always)]
fn behind<const N: usize>(bytes: &[u8], head: [u8; N]) -> Option<&[u8]> {
    let (found, rest) = bytes.split_first_chunk()?;
    (*found == head).then_some(rest)
}

/// The payload of `message`, if that is block `block_id` of file `file_id` with `size` bytes as the service writes it. Nothing is
/// read from the message that is not known before. `None` as of [`block_as_sent`].
#[inline]
pub(crate) fn block_as_expected(message: &[u8], file_id: u8, block_id: u32, size: u32) -> Option<&[u8]> {
    let [0, 0, size_high @ 1..=u8::MAX, size_low] = size.to_be_bytes() else { return None };
    if file_id >= ONE {
        return None;
    }
    let rest = behind(message, [cbor::MAP_INDEFINITE, NAME, b'f', file_id, NAME, b'i'])?;
    let rest = match block_id.to_be_bytes() {
        [0, 0, 0, id @ 0..ONE] => behind(rest, [id]),
        [0, 0, 0, id] => behind(rest, [ONE, id]),
        [0, 0, high, low] => behind(rest, [TWO, high, low]),
        _ => None,
    }?;
    let sizes = [NAME, b'l', TWO, size_high, size_low, NAME, b'p', BYTES_TWO, size_high, size_low];
    let (payload, end) = behind(rest, sizes)?.split_at_checked(size as usize)?;
    (end == [cbor::BREAK]).then_some(payload)
}

/// Writes a block as the service does: in CBOR a map of indefinite length, in JSON the payload in base64; `c` first if there
/// is a token, then `f i l p`. Returns the bytes written. A device never sends one; tests, benches and stand-ins do.
///
/// # Errors
/// [`EncodeError::BufferTooSmall`], [`EncodeError::OutOfRange`] for a payload above `u32::MAX` bytes, [`EncodeError::Token`].
pub fn encode_block(
    format: Format,
    buf: &mut [u8],
    token: Option<&str>,
    file_id: u32,
    block_id: u32,
    payload: &[u8],
) -> Result<usize, EncodeError> {
    let size = u32::try_from(payload.len()).map_err(|_| EncodeError::OutOfRange)?;
    let mut fields = FieldWriter::new(format, buf, None);
    fields.token(token)?;
    fields.number("f", file_id);
    fields.number("i", block_id);
    fields.number("l", size);
    fields.name("p");
    match format {
        Format::Cbor => cbor::bytes(&mut fields.writer, payload),
        Format::Json => {
            fields.writer.byte(b'"');
            base64::encode(&mut fields.writer, payload);
            fields.writer.byte(b'"');
        }
    }
    fields.finish()
}
