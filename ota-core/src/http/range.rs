//! What is asked for and what is promised in return.

use sha2::{Digest as _, Sha256};

use super::HttpError;

/// Longest `ETag` taken notice of, in bytes; a longer one counts as none.
const ETAG_MAX: usize = 256;

/// Remembers a file's `ETag` without its length being a question: the SHA-256 of its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Etag([u8; 32]);

impl Etag {
    /// Of the value of an `ETag` header, quotes included. `None` if it is empty or longer than 256 bytes.
    pub fn of(value: &[u8]) -> Option<Self> {
        (1..=ETAG_MAX).contains(&value.len()).then(|| Self(Sha256::digest(value).into()))
    }
}

/// A range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeRequest {
    from: u32,
    to: u32,
    size: u32,
    etag: Option<Etag>,
}

impl RangeRequest {
    /// The bytes `from..=to` of a file of `size` bytes.
    ///
    /// # Errors
    /// [`HttpError::Request`] if the range is empty or ends beyond the file.
    pub const fn new(from: u32, to: u32, size: u32) -> Result<Self, HttpError> {
        if from <= to && to < size {
            Ok(Self { from, to, size, etag: None })
        } else {
            Err(HttpError::Request)
        }
    }

    /// Only of the file that had this `ETag` earlier. A server that sends none now is believed.
    #[must_use]
    pub const fn with_etag(mut self, etag: Option<Etag>) -> Self {
        self.etag = etag;
        self
    }

    /// First byte.
    pub const fn from(&self) -> u32 {
        self.from
    }

    /// Last byte.
    pub const fn to(&self) -> u32 {
        self.to
    }

    /// Size of the whole file in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The `ETag` to insist on.
    pub const fn etag(&self) -> Option<Etag> {
        self.etag
    }
}

/// What the server is about to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Bytes that follow, beginning with the first one asked for. Fewer than asked for if the server splits ranges;
    /// never more, never 0.
    pub byte_count: u32,
    /// Whether the server serves ranges. One that does not sends the whole file on every request, so the next one
    /// should go to the end of the file: else the connection is lost with the rest of the body.
    pub has_ranges: bool,
    /// The file's `ETag`, to be given to the next request.
    pub etag: Option<Etag>,
}

/// `bytes 0-4095/300000` (RFC 9110, 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) size: u32,
}

impl ContentRange {
    /// `None` also for an unknown size (`*`): size is how another file is noticed.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let value = core::str::from_utf8(value).ok()?;
        let (unit, rest) = value.split_once(' ')?;
        let (range, size) = rest.split_once('/')?;
        let (from, to) = range.split_once('-')?;
        unit.eq_ignore_ascii_case("bytes").then_some(())?;
        Some(Self { from: number(from)?, to: number(to)?, size: number(size)? })
    }
}

/// Digits and nothing else.
pub(super) fn number(digits: &str) -> Option<u32> {
    // `parse` alone would take "+1".
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
