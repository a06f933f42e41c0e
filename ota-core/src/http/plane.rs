//! The agent's HTTP data plane: [`Ranges`] over [`Session`]s.

use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};
use sha2::{Digest as _, Sha256};

use super::url::HOST_MAX;
use super::{Config, Etag, HttpError, RangeRequest, Scheme, Schemes, Session, Url};
use crate::open::{Endpoint, Open, Refusal};
use crate::transport::{RangeError, RangeSession, Ranges};

/// Settings of the plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Which URLs are fetched from.
    pub schemes: Schemes,
    /// Most milliseconds for opening a stream.
    pub connect_timeout_ms: u32,
    /// Most bytes in front of a range that are thrown away when the server ignores ranges.
    pub skip_max: u32,
}

impl Default for HttpConfig {
    /// `https` only, 30 s to connect, no limit on skipping.
    fn default() -> Self {
        Self { schemes: Schemes::HttpsOnly, connect_timeout_ms: 30_000, skip_max: u32::MAX }
    }
}

/// What is known of the file across connections.
struct Known {
    /// SHA-256 of scheme, host and path: a newly signed URL names the same file.
    file: [u8; 32],
    etag: Option<Etag>,
}

/// The HTTP data plane: makes one connection at a time with `O`. Redirects are refused.
pub struct Http<'a, O> {
    open: O,
    config: HttpConfig,
    head: &'a mut [u8],
    url: &'a mut [u8],
    origin: Option<Origin>,
    known: Option<Known>,
}

#[derive(Clone, PartialEq, Eq)]
struct Origin {
    scheme: Scheme,
    host: heapless::String<HOST_MAX>,
    port: u16,
}

impl Origin {
    fn of(url: &Url<'_>) -> Result<Self, RangeError> {
        let mut host: heapless::String<HOST_MAX> = url.host().try_into().map_err(|_| RangeError::Refused)?;
        host.make_ascii_lowercase();
        Ok(Self { scheme: url.scheme(), host, port: url.port() })
    }

    fn endpoint(&self) -> Endpoint<'_> {
        match self.scheme {
            Scheme::Https => Endpoint::tls(&self.host, self.port),
            Scheme::Http => Endpoint::plain(&self.host, self.port),
        }
    }
}

impl<'a, O: Open> Http<'a, O> {
    /// A plane that takes the heads of responses into `head` (2048 bytes or more for object stores) and keeps the URL
    /// under way in `url` (as long as the longest one, for presigned ones 2048 bytes or more).
    ///
    /// # Errors
    /// [`HttpError::Request`] if `head` is shorter than [`BUFFER_MIN`](super::BUFFER_MIN).
    pub fn new(
        open: O,
        config: HttpConfig,
        head: &'a mut [u8],
        url: &'a mut [u8],
    ) -> Result<Self, HttpError> {
        if head.len() < super::BUFFER_MIN {
            return Err(HttpError::Request);
        }
        Ok(Self { open, config, head, url, origin: None, known: None })
    }

    /// The opener.
    pub fn opener(&mut self) -> &mut O {
        &mut self.open
    }
}

impl<O: Open> Ranges for Http<'_, O> {
    type Session<'s>
        = HttpSession<'s, O::Io<'s>>
    where
        Self: 's;

    fn target(&mut self, url: &str) -> Result<(), RangeError> {
        self.origin = None;
        let url = Url::parse(url, self.config.schemes).map_err(|_| RangeError::Refused)?;
        self.origin = Some(Origin::of(&url)?);
        Ok(())
    }

    async fn connect(&mut self) -> Result<HttpSession<'_, O::Io<'_>>, RangeError> {
        let Self { open, config, head, url, origin, known } = self;
        let origin = origin.as_ref().ok_or(RangeError::Refused)?;
        let timeout = Duration::from_millis(config.connect_timeout_ms.into());
        let stream =
            with_timeout(timeout, open.open(origin.endpoint())).await.map_err(|_| RangeError::Lost)?;
        let stream = stream.map_err(|error| match Refusal::of(&error) {
            Refusal::Unreachable => RangeError::Lost,
            Refusal::Untrusted => RangeError::Untrusted,
            Refusal::Impossible => RangeError::Refused,
        })?;
        let session = Config { skip_max: config.skip_max, ..Config::default() };
        let session = Session::new(stream, head, session).map_err(|_| RangeError::Refused)?;
        Ok(HttpSession { session, schemes: config.schemes, origin, url, known, wanted: None })
    }

    fn release(&mut self) {
        self.open.release();
    }
}

/// One connection of [`Http`].
pub struct HttpSession<'s, S> {
    session: Session<'s, S>,
    schemes: Schemes,
    origin: &'s Origin,
    url: &'s mut [u8],
    known: &'s mut Option<Known>,
    wanted: Option<Wanted>,
}

/// What is still to be read.
#[derive(Clone, Copy)]
struct Wanted {
    url_size: usize,
    at: u32,
    to: u32,
    size: u32,
    /// Whether a response is under way.
    is_open: bool,
}

impl<S: Read + Write> RangeSession for HttpSession<'_, S> {
    fn request(&mut self, url: &str, from: u32, to: u32, size: u32) -> Result<(), RangeError> {
        self.wanted = None;
        let checked = Url::parse(url, self.schemes).map_err(|_| RangeError::Refused)?;
        if Origin::of(&checked)? != *self.origin || !self.session.is_idle() {
            return Err(RangeError::Lost);
        }
        let last = to.checked_sub(1).ok_or(RangeError::Refused)?;
        RangeRequest::new(from, last, size).map_err(RangeError::from)?;
        let place = self.url.get_mut(..url.len()).ok_or(RangeError::Refused)?;
        place.copy_from_slice(url.as_bytes());
        let file = file_of(&checked);
        if self.known.as_ref().is_none_or(|known| known.file != file) {
            *self.known = Some(Known { file, etag: None });
        }
        self.wanted = Some(Wanted { url_size: url.len(), at: from, to, size, is_open: false });
        Ok(())
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<(), RangeError> {
        let result = self.fill(buf).await;
        if let (Err(RangeError::Changed), Some(known)) = (result, &mut *self.known) {
            // Starting over means taking the file as it is now.
            known.etag = None;
        }
        if result.is_err() {
            self.wanted = None;
        }
        result
    }
}

impl<S: Read + Write> HttpSession<'_, S> {
    async fn fill(&mut self, buf: &mut [u8]) -> Result<(), RangeError> {
        let wanted = self.wanted.as_mut().ok_or(RangeError::Lost)?;
        let mut filled = 0_usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            if !wanted.is_open {
                let text = self.url.get(..wanted.url_size).and_then(|url| core::str::from_utf8(url).ok());
                let url = text.and_then(|text| Url::parse(text, self.schemes).ok());
                let url = url.ok_or(RangeError::Refused)?;
                let last = wanted.to.checked_sub(1).ok_or(RangeError::Refused)?;
                let request = RangeRequest::new(wanted.at, last, wanted.size)?;
                let etag = self.known.as_ref().and_then(|known| known.etag);
                let reply = self.session.open(&url, &request.with_etag(etag)).await?;
                if let Some(known) = &mut *self.known {
                    known.etag = reply.etag;
                }
                wanted.is_open = true;
            }
            match self.session.read(rest).await? {
                // The server split the range: ask for the rest. Each answer brings at least one byte.
                0 => wanted.is_open = false,
                n => {
                    filled = filled.saturating_add(n);
                    wanted.at = wanted.at.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
                }
            }
        }
        if wanted.at >= wanted.to {
            // The end of a chunked body comes behind its last byte; without it the connection is of no more use.
            self.session.read(&mut [0]).await?;
        }
        Ok(())
    }
}

/// The file a URL names, whatever its signature.
fn file_of(url: &Url<'_>) -> [u8; 32] {
    let path = url.target().split('?').next().unwrap_or_default();
    Sha256::new().chain_update(url.authority()).chain_update(path).finalize().into()
}

impl From<HttpError> for RangeError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::OutOfStep
            | HttpError::Stream(_)
            | HttpError::Closed
            | HttpError::Truncated
            | HttpError::BadResponse
            | HttpError::Server(_) => Self::Lost,
            HttpError::Busy { after_s } => Self::Busy { after_ms: after_s.unwrap_or(0).saturating_mul(1000) },
            HttpError::Expired | HttpError::Forbidden => Self::Expired,
            HttpError::NotFound => Self::NotFound,
            HttpError::Changed | HttpError::WrongSize | HttpError::RangeRefused => Self::Changed,
            HttpError::Request
            | HttpError::HeadTooLong
            | HttpError::Status(_)
            | HttpError::Redirect
            | HttpError::RedirectRefused
            | HttpError::BadLocation
            | HttpError::Encoded
            | HttpError::WrongRange
            | HttpError::WrongLength
            | HttpError::RangesIgnored => Self::Refused,
        }
    }
}
