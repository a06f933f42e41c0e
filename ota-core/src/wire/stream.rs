//! stub
use super::{base64::Base64Error, json::JsonError, writer::EncodeError};
use core::ops::Range;
/// A block of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// `f`
    pub file_id: u32,
    /// `i`: absolute, from 0.
    pub block_id: u32,
    /// `l`: bytes of payload; equal to `payload.len()`.
    pub size: u32,
    /// Where the payload lies in the message (or in the buffer it was decoded into).
    pub payload: Range<usize>,
}
/// Why a stream message could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamDecodeError {
    /// The message ends too early.
    Truncated,
    /// Something follows the map.
    Trailing,
    /// Not a map.
    NotAMap,
    /// A field has the wrong type.
    Type,
    /// A number is negative or above `u32::MAX`.
    Number,
    /// A byte that CBOR does not allow there.
    Malformed,
    /// Nested too deep.
    TooDeep,
    /// A byte string in several chunks: not contiguous in the message.
    Chunked,
    /// A field occurs twice.
    Duplicate,
    /// A field is missing.
    Missing,
    /// `l` is not the length of the payload.
    Length,
    /// The buffer for the decoded bytes is too small.
    BufferTooSmall,
    /// Not JSON as wanted.
    Json(JsonError),
    /// The payload is not base64.
    Base64(Base64Error),
}
/// CBOR block; `payload` is a range of `message`.
pub fn decode_block_cbor(message: &[u8]) -> Result<Block, StreamDecodeError> {
    let _ = message;
    Err(StreamDecodeError::NotAMap)
}
/// JSON block; the payload is decoded into `out` and is a range of it.
pub fn decode_block_json(message: &[u8], out: &mut [u8]) -> Result<Block, StreamDecodeError> {
    let _ = (message, out);
    Err(StreamDecodeError::NotAMap)
}
/// JSON block decoded where it lies; `payload` is a range of `message`, whose text is overwritten from there.
pub fn decode_block_json_in_place(message: &mut [u8]) -> Result<Block, StreamDecodeError> {
    let _ = message;
    Err(StreamDecodeError::NotAMap)
}
/// `f`, `i`, payload as an indefinite CBOR map, as AWS sends it. Returns bytes written.
pub fn encode_block_cbor(
    buf: &mut [u8],
    token: Option<&str>,
    file_id: u32,
    block_id: u32,
    payload: &[u8],
) -> Result<usize, EncodeError> {
    let _ = (buf, token, file_id, block_id, payload);
    Err(EncodeError::BufferTooSmall)
}
/// As JSON with base64. Returns bytes written.
pub fn encode_block_json(
    buf: &mut [u8],
    token: Option<&str>,
    file_id: u32,
    block_id: u32,
    payload: &[u8],
) -> Result<usize, EncodeError> {
    let _ = (buf, token, file_id, block_id, payload);
    Err(EncodeError::BufferTooSmall)
}
