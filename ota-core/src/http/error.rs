//! What can go wrong with a range request, and what to do about it.

use core::fmt;

use embedded_io_async::ErrorKind;

/// What a failure means for whoever wants the bytes.
///
/// Every failure but [`HttpError::Request`] also ends the connection: drop the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Connect again and ask again, after a back-off; a bounded number of times.
    Retry,
    /// The same, not before so many seconds have passed. The server's word: bound it.
    RetryAfter {
        /// Seconds to wait.
        after_s: u32,
    },
    /// Ask the cloud for the job document again: it carries a newly signed URL.
    Refresh,
    /// Take the new address from [`Session::redirect`](super::Session::redirect) and connect there.
    Follow,
    /// This plane cannot deliver the file; another may.
    GiveUp,
    /// The file behind the URL is another one than before: none of the blocks held counts any more.
    StartOver,
}

/// Why a range was not delivered. Never holds any of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The range is empty, ends beyond the file, or the buffer is shorter than
    /// [`BUFFER_MIN`](super::BUFFER_MIN). Nothing was sent.
    Request,
    /// An earlier request failed, was dropped while it was sent, or its body was not read to the end, so what comes next on
    /// the stream cannot be told.
    OutOfStep,
    /// The stream failed, in its own words.
    Stream(ErrorKind),
    /// The server closed the connection before it answered; usual on one kept alive for long.
    Closed,
    /// The server closed the connection in the middle of the body.
    Truncated,
    /// Not HTTP/1, or contradicting itself.
    BadResponse,
    /// The response head exceeds the buffer.
    HeadTooLong,
    /// The URL's time is over (403 or 400 whose body says so).
    Expired,
    /// 401, or 403 for another reason than time: wrong signature, missing permission.
    Forbidden,
    /// 404 or 410: no such file.
    NotFound,
    /// 416: the file is shorter than the range, so not the one the job describes.
    RangeRefused,
    /// 429 or 503, with the seconds `Retry-After` gives, if it does.
    Busy {
        /// Seconds to wait.
        after_s: Option<u32>,
    },
    /// A 5xx other than 503.
    Server(u16),
    /// Any other status that carries no file.
    Status(u16),
    /// The server sends to another address, and policy and URL allow to follow.
    Redirect,
    /// The server sends to another address, which policy forbids, or for the second time.
    RedirectRefused,
    /// The new address is no valid URL or does not fit into the buffer given for it.
    BadLocation,
    /// The body is compressed or otherwise encoded; firmware is asked for as it is.
    Encoded,
    /// 206 with other bytes than asked for, or without saying which.
    WrongRange,
    /// The whole file is not as long as the job document says.
    WrongSize,
    /// The body is longer or shorter than its own range.
    WrongLength,
    /// The server ignores ranges and more than [`Config::skip_max`](super::Config::skip_max) bytes precede the range.
    RangesIgnored,
    /// The file has another `ETag` than the one remembered.
    Changed,
}

impl HttpError {
    /// What to do about it.
    pub const fn advice(&self) -> Advice {
        match self {
            Self::OutOfStep | Self::Stream(_) | Self::Closed | Self::Truncated => Advice::Retry,
            // Something on the way (a captive portal, a tired proxy) may have answered in the server's place.
            Self::BadResponse | Self::Server(_) | Self::Busy { after_s: None } => Advice::Retry,
            Self::Busy { after_s: Some(after_s) } => Advice::RetryAfter { after_s: *after_s },
            Self::Expired | Self::Forbidden => Advice::Refresh,
            Self::Redirect => Advice::Follow,
            Self::Changed => Advice::StartOver,
            Self::Request
            | Self::HeadTooLong
            | Self::NotFound
            | Self::RangeRefused
            | Self::Status(_)
            | Self::RedirectRefused
            | Self::BadLocation
            | Self::Encoded
            | Self::WrongRange
            | Self::WrongSize
            | Self::WrongLength
            | Self::RangesIgnored => Advice::GiveUp,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("range outside the file, or buffer too short; correct the call"),
            Self::OutOfStep => f.write_str("connection out of step; open a new one"),
            Self::Stream(kind) => write!(f, "stream failed ({kind:?}); connect again"),
            Self::Closed => f.write_str("connection closed before the answer; connect again"),
            Self::Truncated => f.write_str("connection closed in the middle of the body; connect again"),
            Self::BadResponse => f.write_str("answer is not valid HTTP; check what stands between"),
            Self::HeadTooLong => f.write_str("response head exceeds the buffer; enlarge it"),
            Self::Expired => f.write_str("URL has expired; ask for the job document again"),
            Self::Forbidden => f.write_str("server refuses access; check how the URL is signed"),
            Self::NotFound => f.write_str("no such file on the server; upload it again"),
            Self::RangeRefused => f.write_str("range lies beyond the file; check file and job document"),
            Self::Busy { after_s: Some(after_s) } => write!(f, "server is busy; ask again after {after_s} s"),
            Self::Busy { after_s: None } => f.write_str("server is busy; ask again later"),
            Self::Server(status) => write!(f, "server failed with status {status}; ask again later"),
            Self::Status(status) => write!(f, "server answered with status {status}; check the URL"),
            Self::Redirect => f.write_str("file is at another address; connect there"),
            Self::RedirectRefused => f.write_str("server redirects and may not; sign the final address"),
            Self::BadLocation => f.write_str("server redirects to an unusable address"),
            Self::Encoded => f.write_str("file comes encoded; store it without Content-Encoding"),
            Self::WrongRange => f.write_str("server sent other bytes than asked for"),
            Self::WrongSize => f.write_str("file has another size than the job document says"),
            Self::WrongLength => f.write_str("body is not as long as its range"),
            Self::RangesIgnored => f.write_str("server ignores ranges; use one that serves them"),
            Self::Changed => f.write_str("file changed during the download; start over"),
        }
    }
}

impl core::error::Error for HttpError {}
