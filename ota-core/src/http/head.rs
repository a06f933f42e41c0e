//! The head of a response: found in the buffer, parsed by reqwless, judged here. Pure.

use core::convert::Infallible;
use core::task::Poll;

use embassy_futures::poll_once;
use embedded_io_async::{ErrorType, Read};
use reqwless::request::Method;
use reqwless::response::Response;

use super::range::{ContentRange, number};
use super::{Etag, HttpError};

/// What every response begins with.
const VERSION: &[u8] = b"HTTP/1.";
const VERSION_1_1: &[u8] = b"HTTP/1.1";

/// What counts of a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// `Content-Length`.
    pub(super) body_size: Option<u32>,
    pub(super) is_chunked: bool,
    /// `Content-Encoding` other than identity.
    pub(super) is_encoded: bool,
    /// The server closes the connection after the body.
    pub(super) closes: bool,
    pub(super) content_range: Option<ContentRange>,
    pub(super) etag: Option<Etag>,
    /// `Retry-After` in seconds; `None` for a date too, since a device may have no calendar.
    pub(super) retry_after_s: Option<u32>,
}

/// Length in bytes of the head at the start of `received`, if it is all there.
///
/// The blank line is looked for as reqwless' parser understands it, which takes a bare LF for a line end as well:
/// otherwise the two could disagree about where the body begins.
///
/// # Errors
/// [`HttpError::BadResponse`] as soon as it cannot become HTTP.
pub(super) fn find_end(received: &[u8]) -> Result<Option<usize>, HttpError> {
    if !received.iter().zip(VERSION).all(|(byte, expected)| byte == expected) {
        return Err(HttpError::BadResponse);
    }
    let mut line_is_empty = false;
    for (at, byte) in received.iter().enumerate() {
        match (byte, line_is_empty) {
            (b'\n', true) => return Ok(at.checked_add(1)),
            (b'\n', false) => line_is_empty = true,
            (b'\r', _) => {}
            (_, _) => line_is_empty = false,
        }
    }
    Ok(None)
}

/// Hands to reqwless what lies in its buffer already, so that it neither waits nor copies.
struct InPlace {
    byte_count: usize,
}

impl ErrorType for InPlace {
    type Error = Infallible;
}

impl Read for InPlace {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        Ok(core::mem::take(&mut self.byte_count).min(buf.len()))
    }
}

/// Parses the whole head (as [`find_end`] delimits it) and gives each header to `each`.
fn parse(head: &mut [u8], mut each: impl FnMut(&str, &[u8]) -> Option<()>) -> Result<(u16, bool), HttpError> {
    let mut conn = InPlace { byte_count: head.len() };
    let Poll::Ready(Ok(response)) = poll_once(Response::read(&mut conn, Method::GET, head)) else {
        return Err(HttpError::BadResponse);
    };
    for (name, value) in response.headers() {
        // The parser's table has empty places behind the last header.
        if !name.is_empty() {
            each(name, value).ok_or(HttpError::BadResponse)?;
        }
    }
    Ok((response.status.0, !response.transfer_encoding.is_empty()))
}

impl Head {
    /// Of a whole head, as [`find_end`] delimits it.
    ///
    /// Whatever would let two readers disagree about the length of the body is refused: a length said twice, or beside
    /// a transfer encoding, or an encoding besides `chunked` (RFC 9112, 6.3).
    pub(super) fn parse(head: &mut [u8]) -> Result<Self, HttpError> {
        let is_1_1 = head.starts_with(VERSION_1_1);
        let mut found = Self {
            status: 0,
            body_size: None,
            is_chunked: false,
            is_encoded: false,
            closes: !is_1_1,
            content_range: None,
            etag: None,
            retry_after_s: None,
        };
        let mut range_count = 0_u8;
        let (status, has_encoding) = parse(head, |name, value| {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("content-length") {
                let size = core::str::from_utf8(value).ok().and_then(number)?;
                if found.body_size.replace(size).is_some() {
                    return None;
                }
            } else if is("transfer-encoding") {
                if core::mem::replace(&mut found.is_chunked, true) || !value.eq_ignore_ascii_case(b"chunked")
                {
                    return None;
                }
            } else if is("content-encoding") {
                found.is_encoded |= !value.eq_ignore_ascii_case(b"identity");
            } else if is("connection") {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    if option.eq_ignore_ascii_case(b"close") {
                        found.closes = true;
                    }
                }
            } else if is("content-range") {
                range_count = range_count.saturating_add(1);
                found.content_range = ContentRange::parse(value);
            } else if is("etag") {
                found.etag = Etag::of(value);
            } else if is("retry-after") {
                found.retry_after_s = core::str::from_utf8(value).ok().and_then(number);
            }
            Some(())
        })?;
        if has_encoding && (found.body_size.is_some() || !is_1_1) {
            return Err(HttpError::BadResponse);
        }
        if range_count > 1 {
            found.content_range = None;
        }
        Ok(Self { status, ..found })
    }
}

/// Copies the value of `Location` out of a whole head; its length.
///
/// # Errors
/// [`HttpError::BadLocation`]: none, or two, or longer than `out`.
pub(super) fn location(head: &mut [u8], out: &mut [u8]) -> Result<usize, HttpError> {
    let mut size = None;
    parse(head, |name, value| {
        if name.eq_ignore_ascii_case("location") {
            out.get_mut(..value.len())?.copy_from_slice(value);
            if size.replace(value.len()).is_some() {
                return None;
            }
        }
        Some(())
    })
    .map_err(|_| HttpError::BadLocation)?;
    size.ok_or(HttpError::BadLocation)
}
