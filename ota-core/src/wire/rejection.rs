//! Rejected stream requests, in CBOR and JSON.
//!
//! AWS documents one-letter names; a live service was seen to send the long names beside them
//! (aws-samples/aws-iot-mqtt-download-agent, issue 4), so both are read.

use super::{
    field::{Shape, find, none},
    job::Token,
    stream::StreamDecodeError,
    topic::Format,
    words,
};

/// Why the service rejected a stream request (AWS IoT developer guide, "Error messages" of MQTT-based file delivery).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamErrorCode {
    /// The topic maps to no operation.
    InvalidTopic,
    /// The request is not JSON.
    InvalidJson,
    /// The request is not CBOR.
    InvalidCbor,
    /// A field of the request is missing or wrong, or the data lies outside the file.
    InvalidRequest,
    /// The service may not read the file: check the role of the stream.
    Unauthorized,
    /// The block size is not allowed.
    BlockSizeOutOfBounds,
    /// The block offset is not allowed.
    OffsetOutOfBounds,
    /// More blocks than a request may ask for.
    BlockCountLimitExceeded,
    /// The block bitmap is too long.
    BlockBitmapLimitExceeded,
    /// There is no such stream, file, version or block.
    ResourceNotFound,
    /// The stream has another version by now.
    VersionMismatch,
    /// The stored object is another one by now.
    ETagMismatch,
    /// The service failed: ask again later.
    InternalError,
    /// A code this library does not know.
    Unknown,
}

impl StreamErrorCode {
    /// Every code AWS documents.
    pub const ALL: [Self; 13] = [
        Self::InvalidTopic,
        Self::InvalidJson,
        Self::InvalidCbor,
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::BlockSizeOutOfBounds,
        Self::OffsetOutOfBounds,
        Self::BlockCountLimitExceeded,
        Self::BlockBitmapLimitExceeded,
        Self::ResourceNotFound,
        Self::VersionMismatch,
        Self::ETagMismatch,
        Self::InternalError,
    ];

    /// AWS' spellings, in the order of [`ALL`](Self::ALL).
    const SPELLINGS: &str = "InvalidTopic InvalidJson InvalidCbor InvalidRequest Unauthorized BlockSizeOutOfBounds \
        OffsetOutOfBounds BlockCountLimitExceeded BlockBitmapLimitExceeded ResourceNotFound VersionMismatch \
        ETagMismatch InternalError Unknown";

    /// AWS' spelling; `Unknown` for [`StreamErrorCode::Unknown`], which AWS never sends.
    pub fn as_str(self) -> &'static str {
        words::word(Self::SPELLINGS, self as usize)
    }

    /// Whether the same request may succeed later. Everything but [`StreamErrorCode::InternalError`] stays wrong.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::InternalError)
    }

    fn of(text: &[u8]) -> Self {
        let place = words::position(Self::SPELLINGS, text);
        place.and_then(|at| Self::ALL.get(at)).copied().unwrap_or(Self::Unknown)
    }
}

/// A rejected stream request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamError<'a> {
    /// `c` or `clientToken`: the token of the request.
    pub token: Token<'a>,
    /// `o` or `code`.
    pub code: StreamErrorCode,
    /// `m` or `message`: words for a log, in JSON with their escapes.
    pub message: Option<&'a str>,
}

/// Reads a rejection. Where a field comes under both of its names, the short one counts.
///
/// # Errors
/// See [`StreamDecodeError`]; a rejection without a code is [`StreamDecodeError::Missing`].
pub fn parse_stream_error<'a>(
    format: Format,
    message: &'a [u8],
) -> Result<StreamError<'a>, StreamDecodeError> {
    let mut found = none();
    let shape = &Shape { names: "o c m code clientToken message", types: "\"\"\"\"\"\"", required: 0 };
    find(format, message, shape, &mut found)?;
    let [code, token, text, long_code, long_token, long_text] = &found;
    let code = code.bytes().or(long_code.bytes()).ok_or(StreamDecodeError::Missing)?;
    Ok(StreamError {
        token: Token(token.text().or_else(|| long_token.text())),
        code: StreamErrorCode::of(code),
        message: text.text().or_else(|| long_text.text()),
    })
}
