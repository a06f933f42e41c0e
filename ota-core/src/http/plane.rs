//! The agent's HTTP data plane: [`Ranges`] over [`Session`]s.

use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};
use sha2::{Digest as _, Sha256};

use super::url::HOST_MAX;
use super::{Config, Etag, HttpError, RangeRequest, Redirects, Scheme, Schemes, Session, Url};
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
    /// What to do about redirects. One that is followed costs a new connection, after the pause behind a lost one.
    pub redirects: Redirects,
}

impl Default for HttpConfig {
    /// `https` only, 30 s to connect, no limit on skipping, redirects refused.
    fn default() -> Self {
        Self {
            schemes: Schemes::HttpsOnly,
            connect_timeout_ms: 30_000,
            skip_max: u32::MAX,
            redirects: Redirects::Refuse,
        }
    }
}

/// What is known of the file across connections.
struct Known {
    /// SHA-256 of scheme, host and path: a newly signed URL names the same file.
    file: [u8; 32],
    etag: Option<Etag>,
}

/// A redirect that is followed. Where to stands in the plane's buffer.
#[derive(Clone, Copy)]
struct Moved {
    /// SHA-256 of the URL that redirects: another signature is asked afresh.
    from: [u8; 32],
    url_size: usize,
}

/// The HTTP data plane: makes one connection at a time with `O`.
pub struct Http<'a, O> {
    open: O,
    config: HttpConfig,
    head: &'a mut [u8],
    url: &'a mut [u8],
    origin: Option<Origin>,
    known: Option<Known>,
    moved: Option<Moved>,
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
    /// under way in `url` (as long as the longest one, for presigned ones 2048 bytes or more; twice that where redirects
    /// are followed).
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
        Ok(Self { open, config, head, url, origin: None, known: None, moved: None })
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
        let checked = Url::parse(url, self.config.schemes).map_err(|_| RangeError::Refused)?;
        self.origin = Some(Origin::of(&checked)?);
        self.moved = self.moved.filter(|moved| moved.from == <[u8; 32]>::from(Sha256::digest(url)));
        if let Some(moved) = self.moved {
            self.origin = Some(Origin::of(&stored(self.url, moved.url_size, self.config.schemes)?)?);
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<HttpSession<'_, O::Io<'_>>, RangeError> {
        let Self { open, config, head, url, origin, known, moved } = self;
        let origin = origin.as_ref().ok_or(RangeError::Refused)?;
        let timeout = Duration::from_millis(config.connect_timeout_ms.into());
        let stream =
            with_timeout(timeout, open.open(origin.endpoint())).await.map_err(|_| RangeError::Lost)?;
        let stream = stream.map_err(|error| match Refusal::of(&error) {
            Refusal::Unreachable => RangeError::Lost,
            Refusal::Untrusted => RangeError::Untrusted,
            Refusal::Impossible => RangeError::Refused,
        })?;
        let session = Config { skip_max: config.skip_max, redirects: config.redirects };
        let session = Session::new(stream, head, session).map_err(|_| RangeError::Refused)?;
        Ok(HttpSession { session, schemes: config.schemes, origin, url, known, moved, wanted: None })
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
    moved: &'s mut Option<Moved>,
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
    fn request(&mut self, url: &str, at: u32, to: u32, size: u32) -> Result<(), RangeError> {
        self.wanted = None;
        let checked = Url::parse(url, self.schemes).map_err(|_| RangeError::Refused)?;
        let from: [u8; 32] = Sha256::digest(url).into();
        let moved = self.moved.filter(|moved| moved.from == from);
        let origin = match moved {
            Some(moved) => Origin::of(&stored(self.url, moved.url_size, self.schemes)?)?,
            None => Origin::of(&checked)?,
        };
        if origin != *self.origin || !self.session.is_idle() {
            return Err(RangeError::Lost);
        }
        let last = to.checked_sub(1).ok_or(RangeError::Refused)?;
        RangeRequest::new(at, last, size).map_err(RangeError::from)?;
        if moved.is_none() {
            *self.moved = None;
            let place = self.url.get_mut(..url.len()).ok_or(RangeError::Refused)?;
            place.copy_from_slice(url.as_bytes());
        }
        let file = file_of(&checked);
        if self.known.as_ref().is_none_or(|known| known.file != file) {
            *self.known = Some(Known { file, etag: None });
        }
        let url_size = moved.map_or(url.len(), |moved| moved.url_size);
        self.wanted = Some(Wanted { url_size, at, to, size, is_open: false });
        Ok(())
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<(), RangeError> {
        let result = self.fill(buf).await;
        if let (Err(RangeError::Changed), Some(known)) = (result, &mut *self.known) {
            // Starting over means taking the file as it is now.
            known.etag = None;
        }
        if let Err(error) = result {
            self.wanted = None;
            // What is wrong there may be right where the URL says.
            if !matches!(error, RangeError::Lost | RangeError::Busy { .. }) {
                *self.moved = None;
            }
        }
        result
    }
}

impl<S: Read + Write> HttpSession<'_, S> {
    /// The server sent elsewhere: that is where the next connection goes.
    fn follow(&mut self) -> RangeError {
        let Some(wanted) = self.wanted else { return RangeError::Lost };
        let Some((from, place)) = self.url.split_at_mut_checked(wanted.url_size) else {
            return RangeError::Refused;
        };
        let moved = stored(from, from.len(), self.schemes)
            .and_then(|url| self.session.redirect(&url, place).map_err(RangeError::from))
            .map(|to| to.size());
        match moved {
            Ok(url_size) => {
                *self.moved = Some(Moved { from: Sha256::digest(&*from).into(), url_size });
                self.url.copy_within(wanted.url_size..wanted.url_size.saturating_add(url_size), 0);
                RangeError::Lost
            }
            Err(error) => error,
        }
    }

    async fn fill(&mut self, buf: &mut [u8]) -> Result<(), RangeError> {
        let wanted = self.wanted.as_mut().ok_or(RangeError::Lost)?;
        let mut filled = 0_usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            if !wanted.is_open {
                let url =
                    stored(self.url, wanted.url_size, self.schemes)?.after_hops(self.moved.is_some().into());
                let last = wanted.to.checked_sub(1).ok_or(RangeError::Refused)?;
                let request = RangeRequest::new(wanted.at, last, wanted.size)?;
                let etag = self.known.as_ref().and_then(|known| known.etag);
                let reply = match self.session.open(&url, &request.with_etag(etag)).await {
                    Ok(reply) => reply,
                    Err(HttpError::Redirect) => return Err(self.follow()),
                    Err(error) => return Err(error.into()),
                };
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

/// The URL in the first `size` bytes of `buffer`, where a checked one was put.
fn stored(buffer: &[u8], size: usize, schemes: Schemes) -> Result<Url<'_>, RangeError> {
    let text = buffer.get(..size).and_then(|url| core::str::from_utf8(url).ok());
    text.and_then(|text| Url::parse(text, schemes).ok()).ok_or(RangeError::Refused)
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
