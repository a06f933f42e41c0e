//! Rejected stream requests, in CBOR and JSON.
//!
//! AWS documents one-letter names; a live service was seen to send the long names beside them
//! (aws-samples/aws-iot-mqtt-download-agent, issue 4), so both are read.

use super::{
    cbor::Decoder,
    job::Token,
    json,
    stream::{StreamDecodeError, json_text, once},
    topic::Format,
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

    /// AWS' spelling; `Unknown` for [`StreamErrorCode::Unknown`], which AWS never sends.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidTopic => "InvalidTopic",
            Self::InvalidJson => "InvalidJson",
            Self::InvalidCbor => "InvalidCbor",
            Self::InvalidRequest => "InvalidRequest",
            Self::Unauthorized => "Unauthorized",
            Self::BlockSizeOutOfBounds => "BlockSizeOutOfBounds",
            Self::OffsetOutOfBounds => "OffsetOutOfBounds",
            Self::BlockCountLimitExceeded => "BlockCountLimitExceeded",
            Self::BlockBitmapLimitExceeded => "BlockBitmapLimitExceeded",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::VersionMismatch => "VersionMismatch",
            Self::ETagMismatch => "ETagMismatch",
            Self::InternalError => "InternalError",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether the same request may succeed later. Everything but [`StreamErrorCode::InternalError`] stays wrong.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::InternalError)
    }

    fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|code| code.as_str() == text).unwrap_or(Self::Unknown)
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
pub fn parse_stream_error(format: Format, message: &[u8]) -> Result<StreamError<'_>, StreamDecodeError> {
    let [short_token, long_token, short_code, long_code, short_words, long_words] = match format {
        Format::Cbor => fields_cbor(message)?,
        Format::Json => fields_json(message)?,
    };
    Ok(StreamError {
        token: Token(short_token.or(long_token)),
        code: StreamErrorCode::parse(short_code.or(long_code).ok_or(StreamDecodeError::Missing)?),
        message: short_words.or(long_words),
    })
}

const NAMES: [&str; 6] = ["c", "clientToken", "o", "code", "m", "message"];

fn fields_cbor(message: &[u8]) -> Result<[Option<&str>; NAMES.len()], StreamDecodeError> {
    let mut decoder = Decoder::new(message);
    let mut entries = decoder.map()?;
    let mut found = [None; NAMES.len()];
    while entries.more(&mut decoder)? {
        let name = decoder.key()?;
        match found.iter_mut().zip(NAMES).find(|(_, known)| known.as_bytes() == name) {
            Some((field, _)) => once(field, decoder.text()?)?,
            None => decoder.skip()?,
        }
    }
    decoder.end()?;
    Ok(found)
}

fn fields_json(message: &[u8]) -> Result<[Option<&str>; NAMES.len()], StreamDecodeError> {
    let mut found = [None; NAMES.len()];
    for (field, value) in found.iter_mut().zip(json::parse(message)?.fields(NAMES)?) {
        *field = json_text(value)?.map(|text| text.raw());
    }
    Ok(found)
}
