//! One connection and the range under way on it.

use core::fmt::Write as _;

use embedded_io_async::{Error as _, ErrorKind, ErrorType, Read, Write};
use reqwless::request::{Request, RequestBuilder};

use super::body::{Body, Chunks, Receiver, stream_error};
use super::head::{self, Head};
use super::{HttpError, RangeRequest, Reply, Url};

/// Shortest buffer of a [`Session`] in bytes. It holds the head of one response whole; object stores send up to 2 KiB.
pub const BUFFER_MIN: usize = 512;

/// Interim responses (1xx) before the real one.
const INTERIM_MAX: u8 = 8;

/// Bytes of the body of a 400 or 403 that are searched for the reason.
const REASON_MAX: u16 = 2048;

/// Found in S3's "Request has expired" and "ExpiredToken", and in what other stores say. Without its first letter, since
/// that is spelled either way; and all its letters differ, which keeps the search simple.
const EXPIRED: &[u8] = b"xpired";

/// What to do when the server says the file is elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Refuse. Presigned URLs of S3 lead to the file itself.
    Refuse,
    /// Follow one redirect, never from `https` to `http`.
    FollowOnce,
}

/// Settings of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What to do about redirects.
    pub redirects: Redirects,
    /// Most bytes in front of the range that are received and thrown away when the server ignores ranges.
    pub skip_max: u32,
}

impl Default for Config {
    /// No redirects, no limit on skipping (the size of the file is one).
    fn default() -> Self {
        Self { redirects: Redirects::Refuse, skip_max: u32::MAX }
    }
}

/// Where the session is. Each state holds what only it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two ranges: the next may be asked for.
    Idle,
    /// A request is being written. Found by anybody else, it was dropped half-way.
    Sending,
    /// The response head is awaited.
    Head { request: RangeRequest, may_follow: bool, interim_count: u8 },
    /// The body of a refusal is searched for [`EXPIRED`].
    Reason { status: u16, body: Body, seen: u16, matched: u8 },
    /// The range is being received.
    Range(Delivery),
    /// The range was delivered, but the connection carries no other.
    Spent,
    /// The server sent to another address, which stands in the head at the start of the buffer.
    Redirected { head_size: usize },
    /// Something failed.
    Failed,
}

/// A range on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delivery {
    body: Body,
    /// Bytes of the body in front of the range.
    skip: u32,
    /// Bytes of the range still to come.
    left: u32,
    /// The body ends with the range. False where the server sends the file beyond it.
    ends_with_range: bool,
    closes: bool,
}

/// One connection over a stream `S`, on which ranges are asked for one after the other.
///
/// The stream must be connected (and, for `https`, authenticated) and belong to the host of the URLs given
/// ([`Url::same_origin`]). Dropping the session closes it.
///
/// **Dropping futures.** [`send`](Self::send) writes a request: dropped half-way, the stream ends in half a request, and
/// every later call answers [`HttpError::OutOfStep`]. [`accept`](Self::accept), [`read`](Self::read) and
/// [`next_block`](Self::next_block) keep their place in the session and may be dropped and called again as often as one
/// likes, if that is so for the stream's `read`: plain TCP sockets are, TLS streams need the record adapter.
pub struct Session<'b, S> {
    receiver: Receiver<'b, S>,
    config: Config,
    state: State,
}

impl<'b, S: Read + Write> Session<'b, S> {
    /// On a fresh stream; `buffer` (2048 bytes or more for object stores) takes the heads of responses.
    ///
    /// # Errors
    /// [`HttpError::Request`] if `buffer` is shorter than [`BUFFER_MIN`].
    pub fn new(stream: S, buffer: &'b mut [u8], config: Config) -> Result<Self, HttpError> {
        if buffer.len() < BUFFER_MIN {
            return Err(HttpError::Request);
        }
        Ok(Self { receiver: Receiver { stream, buf: buffer, at: 0, end: 0 }, config, state: State::Idle })
    }

    /// Whether the connection stands between two ranges, so that [`send`](Self::send) may be called.
    ///
    /// True after the last range was read until [`next_block`](Self::next_block) or [`read`](Self::read) reported its
    /// end, unless the server closes the connection.
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Gives the stream back, in whatever state it is.
    pub fn into_stream(self) -> S {
        self.receiver.stream
    }

    /// [`send`](Self::send), then [`accept`](Self::accept): for callers who wait for nothing else meanwhile.
    ///
    /// Dropping the future leaves the session out of step if the request was being written; see the type.
    ///
    /// # Errors
    /// Those of the two.
    pub async fn open(&mut self, url: &Url<'_>, request: &RangeRequest) -> Result<Reply, HttpError> {
        self.send(url, request).await?;
        self.accept().await
    }

    /// Writes the request. Bytes of an earlier range that were not read leave the connection out of step.
    ///
    /// Dropping the future leaves the session out of step for good.
    ///
    /// # Errors
    /// [`HttpError::OutOfStep`], [`HttpError::Stream`].
    pub async fn send(&mut self, url: &Url<'_>, request: &RangeRequest) -> Result<(), HttpError> {
        let before = core::mem::replace(&mut self.state, State::Sending);
        // Bytes nobody asked for would be taken for the answer.
        if before != State::Idle || !self.receiver.is_empty() {
            self.state = State::Failed;
            return Err(HttpError::OutOfStep);
        }
        let written = write_request(&mut self.receiver, url, request).await;
        self.state = match written {
            Ok(()) => State::Head {
                request: *request,
                may_follow: self.config.redirects == Redirects::FollowOnce && url.hop_count() == 0,
                interim_count: 0,
            },
            Err(_) => State::Failed,
        };
        written
    }

    /// Waits for the head of the response and judges it.
    ///
    /// Dropping the future loses nothing: call it again.
    ///
    /// # Errors
    /// Every answer but the range asked for is one; [`HttpError::advice`] tells what to do. The session is of no use
    /// afterwards, except that after [`HttpError::Redirect`] it still knows the new address.
    pub async fn accept(&mut self) -> Result<Reply, HttpError> {
        let result = self.answer().await;
        if let Err(error) = result
            && error != HttpError::Redirect
        {
            self.state = State::Failed;
        }
        result
    }

    async fn answer(&mut self) -> Result<Reply, HttpError> {
        loop {
            match self.state {
                State::Head { request, may_follow, interim_count } => {
                    let (head_size, head) = self.head().await?;
                    match head.status {
                        // Switching protocols is not among the interim ones: nobody asked for it.
                        100 | 102..=199 if interim_count < INTERIM_MAX => {
                            let interim_count = interim_count.saturating_add(1);
                            self.state = State::Head { request, may_follow, interim_count };
                        }
                        301..=303 | 307 | 308 if may_follow => {
                            self.state = State::Redirected { head_size };
                            return Err(HttpError::Redirect);
                        }
                        status @ (400 | 403) => {
                            let body = framing(&head);
                            self.state = State::Reason { status, body, seen: 0, matched: 0 };
                        }
                        _ => {
                            let (delivery, reply) = judge(&request, &head, self.config.skip_max)?;
                            self.state = State::Range(delivery);
                            return Ok(reply);
                        }
                    }
                }
                State::Reason { status, .. } => return Err(self.reason(status).await),
                State::Idle
                | State::Sending
                | State::Range(_)
                | State::Spent
                | State::Redirected { .. }
                | State::Failed => return Err(HttpError::OutOfStep),
            }
        }
    }

    /// Waits until a whole head stands at the start of the buffer, and takes it out of the window.
    async fn head(&mut self) -> Result<(usize, Head), HttpError> {
        let Receiver { stream, buf, at, end } = &mut self.receiver;
        // An interim response or an earlier body may lie in front.
        buf.copy_within(*at..*end, 0);
        (*at, *end) = (0, end.saturating_sub(*at));
        loop {
            let received = buf.get(..*end).unwrap_or_default();
            if let Some(head_size) = head::find_end(received)? {
                let head = buf.get_mut(..head_size).ok_or(HttpError::HeadTooLong)?;
                *at = head_size;
                return Ok((head_size, Head::parse(head)?));
            }
            let room = buf.get_mut(*end..).unwrap_or_default();
            if room.is_empty() {
                return Err(HttpError::HeadTooLong);
            }
            let room_size = room.len();
            match stream.read(room).await.map_err(stream_error)? {
                0 => return Err(HttpError::Closed),
                n => *end = end.saturating_add(n.min(room_size)),
            }
        }
    }

    /// Reads the body of a 400 or 403 for as long as it may tell the reason.
    async fn reason(&mut self, status: u16) -> HttpError {
        while let State::Reason { body, seen, matched, .. } = &mut self.state {
            let mut piece = [0; 64];
            // Whatever ends the body, what was seen decides.
            let n = match body.read(&mut self.receiver, &mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(n) => n,
            };
            for byte in piece.iter().take(n) {
                let expected = EXPIRED.get(usize::from(*matched));
                *matched = match expected == Some(byte) {
                    true => matched.saturating_add(1),
                    false => u8::from(EXPIRED.first() == Some(byte)),
                };
                if usize::from(*matched) == EXPIRED.len() {
                    return HttpError::Expired;
                }
            }
            *seen = seen.saturating_add(u16::try_from(n).unwrap_or(u16::MAX));
            if *seen >= REASON_MAX {
                break;
            }
        }
        if status == 403 { HttpError::Forbidden } else { HttpError::Status(status) }
    }

    /// Reads bytes of the range into `out`, as many as come at once. 0: the range is at its end.
    ///
    /// Dropping the future loses nothing: call it again.
    ///
    /// # Errors
    /// [`HttpError::Stream`], [`HttpError::Truncated`], [`HttpError::WrongLength`], [`HttpError::BadResponse`]; bytes
    /// read before it are good. [`HttpError::OutOfStep`] if no range was opened.
    pub async fn read(&mut self, out: &mut [u8]) -> Result<usize, HttpError> {
        match &mut self.state {
            State::Range(delivery) => {
                let result = delivery.read(&mut self.receiver, out).await;
                match result {
                    Err(_) => self.state = State::Failed,
                    Ok(_) => {
                        if let Some(next) = delivery.next() {
                            self.state = next;
                        }
                    }
                }
                result
            }
            State::Idle | State::Spent => Ok(0),
            State::Sending
            | State::Head { .. }
            | State::Reason { .. }
            | State::Redirected { .. }
            | State::Failed => Err(HttpError::OutOfStep),
        }
    }

    /// Reads on until `block` is full or the range ends. `filled` counts what `block` holds, so set it to 0 before the
    /// first call for a block; `false` says that the range had no more bytes.
    ///
    /// One copy at most: what has not arrived with the head goes from the stream straight into `block`.
    ///
    /// Dropping the future loses nothing: call it again with the same `block` and `filled`.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub async fn next_block(&mut self, block: &mut [u8], filled: &mut usize) -> Result<bool, HttpError> {
        while let Some(rest) = block.get_mut(*filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest).await? {
                0 => break,
                n => *filled = filled.saturating_add(n),
            }
        }
        Ok(*filled > 0)
    }

    /// The address the server sent to, made whole in `buffer`; after [`HttpError::Redirect`] only. It needs a new stream
    /// and a new session, whatever host it names.
    ///
    /// # Errors
    /// [`HttpError::BadLocation`]: not a URL [`Url::parse`] lets through, from `https` to `http`, or longer than
    /// `buffer`. [`HttpError::OutOfStep`] if there was no redirect.
    pub fn redirect<'u>(&mut self, from: &Url<'_>, buffer: &'u mut [u8]) -> Result<Url<'u>, HttpError> {
        let State::Redirected { head_size } = self.state else { return Err(HttpError::OutOfStep) };
        let head = self.receiver.buf.get_mut(..head_size).ok_or(HttpError::BadLocation)?;
        let size = head::location(head, buffer)?;
        let location = buffer.get(..size).unwrap_or_default();
        // Relative references (RFC 3986, 4.2): same scheme, or same scheme and host.
        let (scheme, authority) = match (location, from.scheme().prefix(), from.authority()) {
            ([b'/', b'/', ..], scheme, _) => (scheme.strip_suffix("//").unwrap_or_default(), ""),
            ([b'/', ..], scheme, authority) => (scheme, authority),
            (_, _, _) => ("", ""),
        };
        let prefix_size = scheme.len().saturating_add(authority.len());
        let whole_size = prefix_size.saturating_add(size);
        let whole = buffer.get_mut(..whole_size).ok_or(HttpError::BadLocation)?;
        whole.copy_within(..size, prefix_size);
        for (to, byte) in whole.iter_mut().zip(scheme.bytes().chain(authority.bytes())) {
            *to = byte;
        }
        let text = core::str::from_utf8(whole).map_err(|_| HttpError::BadLocation)?;
        let url = Url::parse(text, from.schemes()).map_err(|_| HttpError::BadLocation)?;
        Ok(url.after_hops(from.hop_count().saturating_add(1)))
    }
}

impl Delivery {
    async fn read<S: Read>(
        &mut self,
        from: &mut Receiver<'_, S>,
        out: &mut [u8],
    ) -> Result<usize, HttpError> {
        let end = |body: &Body| match body {
            Body::UntilClose => HttpError::Truncated,
            Body::Length(_) | Body::Chunked(_) => HttpError::WrongLength,
        };
        while self.skip > 0 {
            let mut piece = [0; 256];
            let piece = first(&mut piece, self.skip);
            match self.body.read(from, piece).await? {
                0 => return Err(end(&self.body)),
                n => self.skip = self.skip.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX)),
            }
        }
        if self.left == 0 {
            // Only a chunked body is not known to end here: the last chunk must follow.
            return match self.body.read(from, &mut [0]).await? {
                0 => Ok(0),
                _ => Err(HttpError::WrongLength),
            };
        }
        let out = first(out, self.left);
        if out.is_empty() {
            return Ok(0);
        }
        match self.body.read(from, out).await? {
            0 => Err(end(&self.body)),
            n => {
                self.left = self.left.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
                Ok(n)
            }
        }
    }

    /// The session's state if the range is at its end.
    fn next(&self) -> Option<State> {
        match (self.left, self.body) {
            (1.., _) => None,
            (0, body) if body.is_at_end() && !self.closes => Some(State::Idle),
            (0, body) if body.is_at_end() || !self.ends_with_range => Some(State::Spent),
            (0, Body::UntilClose) => Some(State::Spent),
            (0, Body::Chunked(_) | Body::Length(_)) => None,
        }
    }
}

/// At most `most` bytes of `out`.
fn first(out: &mut [u8], most: u32) -> &mut [u8] {
    let size = out.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    out.get_mut(..size).unwrap_or_default()
}

fn framing(head: &Head) -> Body {
    match (head.is_chunked, head.body_size) {
        (true, _) => Body::Chunked(Chunks::new()),
        (false, Some(size)) => Body::Length(size),
        (false, None) => Body::UntilClose,
    }
}

/// Whether the response is what was asked for. Pure.
fn judge(request: &RangeRequest, head: &Head, skip_max: u32) -> Result<(Delivery, Reply), HttpError> {
    match head.status {
        200 | 206 => {}
        301..=303 | 307 | 308 => return Err(HttpError::RedirectRefused),
        401 => return Err(HttpError::Forbidden),
        404 | 410 => return Err(HttpError::NotFound),
        416 => return Err(HttpError::RangeRefused),
        429 | 503 => return Err(HttpError::Busy { after_s: head.retry_after_s }),
        status @ 500..=599 => return Err(HttpError::Server(status)),
        // Interim responses without end, or a protocol nobody asked for.
        100..=199 => return Err(HttpError::BadResponse),
        status => return Err(HttpError::Status(status)),
    }
    if head.is_encoded {
        return Err(HttpError::Encoded);
    }
    if let (Some(expected), Some(etag)) = (request.etag(), head.etag)
        && expected != etag
    {
        return Err(HttpError::Changed);
    }
    let body = framing(head);
    let has_ranges = head.status == 206;
    let (skip, byte_count, body_size) = if has_ranges {
        let range = head.content_range.ok_or(HttpError::WrongRange)?;
        if range.size != request.size() {
            return Err(HttpError::WrongSize);
        }
        // A server may send less than asked for (RFC 9110, 14.2), but must begin where it was told to.
        if range.from != request.from() || range.to < range.from || range.to > request.to() {
            return Err(HttpError::WrongRange);
        }
        let byte_count = count(range.from, range.to);
        (0, byte_count, byte_count)
    } else {
        if request.from() > skip_max {
            return Err(HttpError::RangesIgnored);
        }
        (request.from(), count(request.from(), request.to()), request.size())
    };
    match (body, has_ranges) {
        (Body::Length(size), true) if size != body_size => return Err(HttpError::WrongLength),
        (Body::Length(size), false) if size != body_size => return Err(HttpError::WrongSize),
        (Body::Length(_) | Body::Chunked(_) | Body::UntilClose, _) => {}
    }
    let ends_with_range = skip.saturating_add(byte_count) == body_size;
    let delivery = Delivery { body, skip, left: byte_count, ends_with_range, closes: head.closes };
    Ok((delivery, Reply { byte_count, has_ranges, etag: head.etag.or(request.etag()) }))
}

/// Bytes of `from..=to`; a checked range lies inside a file of `u32` bytes, so this cannot overflow.
const fn count(from: u32, to: u32) -> u32 {
    to.saturating_sub(from).saturating_add(1)
}

/// Collects the many small writes of reqwless in the buffer, which is free while a request is sent.
struct Gather<'g, 'b, S> {
    receiver: &'g mut Receiver<'b, S>,
}

impl<S: Write> ErrorType for Gather<'_, '_, S> {
    type Error = ErrorKind;
}

impl<S: Write> Write for Gather<'_, '_, S> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if self.receiver.end == self.receiver.buf.len() {
            self.drain().await?;
        }
        let room = self.receiver.buf.get_mut(self.receiver.end..).unwrap_or_default();
        let n = room.len().min(bytes.len());
        if let (Some(to), Some(from)) = (room.get_mut(..n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.receiver.end = self.receiver.end.saturating_add(n);
        Ok(n)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        self.drain().await?;
        self.receiver.stream.flush().await.map_err(|error| error.kind())
    }
}

impl<S: Write> Gather<'_, '_, S> {
    async fn drain(&mut self) -> Result<(), ErrorKind> {
        let Receiver { stream, buf, at, end } = &mut *self.receiver;
        while let Some(rest) = buf.get(*at..*end).filter(|rest| !rest.is_empty()) {
            match stream.write(rest).await.map_err(|error| error.kind())? {
                0 => return Err(ErrorKind::WriteZero),
                n => *at = at.saturating_add(n).min(*end),
            }
        }
        (*at, *end) = (0, 0);
        Ok(())
    }
}

async fn write_request<S: Write>(
    receiver: &mut Receiver<'_, S>,
    url: &Url<'_>,
    request: &RangeRequest,
) -> Result<(), HttpError> {
    // "bytes=4294967294-4294967294" is the longest.
    let mut range = heapless::String::<32>::new();
    write!(range, "bytes={}-{}", request.from(), request.to()).map_err(|_| HttpError::Request)?;
    (receiver.at, receiver.end) = (0, 0);
    let mut gather = Gather { receiver };
    // A proxy that compresses on its own would otherwise feel free to.
    let headers = [("Range", range.as_str()), ("Accept-Encoding", "identity")];
    Request::get(url.target())
        .host(url.authority())
        .headers(&headers)
        .build()
        .write_header(&mut gather)
        .await
        .map_err(|error| HttpError::Stream(error.kind()))?;
    gather.flush().await.map_err(HttpError::Stream)
}
