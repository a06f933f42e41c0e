//! stub
use super::{job::Token, stream::StreamDecodeError, topic::Format, writer::EncodeError};
/// A GetStream request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetStream<'a> {
    /// `c`, 1..=64 bytes.
    pub token: Option<&'a str>,
    /// `f`
    pub file_id: u8,
    /// `l`, bytes, 256..=131072.
    pub block_size: u32,
    /// `o`: first block the bitmap speaks of, 0..=98304.
    pub offset: u32,
    /// `b`: bit set = send this block, LSB first; fewer than 12288 bytes; empty: left out.
    pub bitmap: &'a [u8],
    /// `n`: most blocks wanted, 0..=98304.
    pub count: u32,
}
impl GetStream<'_> {
    /// Writes the request in `format`; returns bytes written.
    pub fn encode(&self, format: Format, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let _ = (format, buf);
        Err(EncodeError::BufferTooSmall)
    }
}
/// Reads a CBOR GetStream request.
pub fn parse_get_stream_cbor(message: &[u8]) -> Result<GetStream<'_>, StreamDecodeError> {
    let _ = message;
    Err(StreamDecodeError::NotAMap)
}
/// Reads a JSON GetStream request; the bitmap is decoded into `bitmap`.
pub fn parse_get_stream_json<'a>(
    message: &'a [u8],
    bitmap: &'a mut [u8],
) -> Result<GetStream<'a>, StreamDecodeError> {
    let _ = (message, bitmap);
    Err(StreamDecodeError::NotAMap)
}
/// Writes a DescribeStream request; returns bytes written.
pub fn encode_describe_stream(
    format: Format,
    buf: &mut [u8],
    token: Option<&str>,
) -> Result<usize, EncodeError> {
    let _ = (format, buf, token);
    Err(EncodeError::BufferTooSmall)
}
/// A file of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamFile {
    /// `f`
    pub id: u8,
    /// `z`, bytes.
    pub size: u32,
}
/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDescription<'a> {
    /// `c`
    pub token: Token<'a>,
    /// `s`
    pub version: u32,
    /// `d`, raw
    pub description: Option<&'a str>,
    /// Files written to the caller's list.
    pub file_count: usize,
}
/// Reads a description; its files go into `files`.
pub fn parse_description<'a>(
    format: Format,
    message: &'a [u8],
    files: &mut [StreamFile],
) -> Result<StreamDescription<'a>, StreamDecodeError> {
    let _ = (format, message, files);
    Err(StreamDecodeError::NotAMap)
}
/// `o` / `code` of a rejected stream request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StreamErrorCode {
    InvalidTopic,
    InvalidJson,
    InvalidCbor,
    InvalidRequest,
    Unauthorized,
    BlockSizeOutOfBounds,
    OffsetOutOfBounds,
    BlockCountLimitExceeded,
    BlockBitmapLimitExceeded,
    ResourceNotFound,
    VersionMismatch,
    ETagMismatch,
    InternalError,
    Unknown,
}
impl StreamErrorCode {
    /// Only `InternalError` is worth another try.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::InternalError)
    }
}
/// A rejected stream request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamError<'a> {
    /// `c` / `clientToken`
    pub token: Token<'a>,
    /// `o` / `code`
    pub code: StreamErrorCode,
    /// `m` / `message`, raw
    pub message: Option<&'a str>,
}
/// Reads a rejection.
pub fn parse_stream_error(format: Format, message: &[u8]) -> Result<StreamError<'_>, StreamDecodeError> {
    let _ = (format, message);
    Err(StreamDecodeError::NotAMap)
}
