//! The body of a response, with its place kept in `self`: a dropped read loses nothing.
//!
//! reqwless has readers too. They are not used because they lose their place when dropped in the middle of a chunk's
//! size, take an empty chunk size for the end, and count below zero when more arrives than was announced.

use embedded_io_async::Read;

use super::HttpError;

/// Longest line between chunks in bytes: a size with extensions, or a trailer.
const LINE_MAX: u16 = 256;

/// Most trailers behind the last chunk.
const TRAILER_MAX: u8 = 16;

/// A stream with what was received from it too early.
pub(super) struct Receiver<'b, S> {
    pub(super) stream: S,
    pub(super) buf: &'b mut [u8],
    /// `buf[at..end]` waits to be used up.
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<S: Read> Receiver<'_, S> {
    /// Bytes that wait in the buffer.
    fn waiting(&self) -> &[u8] {
        self.buf.get(self.at..self.end).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    fn consume(&mut self, byte_count: usize) {
        self.at = self.at.saturating_add(byte_count).min(self.end);
    }

    /// At least one byte into `out`: from the buffer, else straight from the stream. 0: the stream has ended.
    async fn read(&mut self, out: &mut [u8]) -> Result<usize, HttpError> {
        let waiting = self.waiting();
        if waiting.is_empty() {
            return self.stream.read(out).await.map(|n| n.min(out.len())).map_err(stream_error);
        }
        let n = waiting.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..n), waiting.get(..n)) {
            to.copy_from_slice(from);
        }
        self.consume(n);
        Ok(n)
    }

    /// Fills the empty buffer with at least one byte. `false`: the stream has ended.
    async fn refill(&mut self) -> Result<bool, HttpError> {
        let n = self.stream.read(self.buf).await.map_err(stream_error)?;
        (self.at, self.end) = (0, n.min(self.buf.len()));
        Ok(self.end > 0)
    }
}

pub(super) fn stream_error(error: impl embedded_io_async::Error) -> HttpError {
    HttpError::Stream(error.kind())
}

/// How the end of a body is known (RFC 9112, 6.3), and how far off it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes to come.
    Length(u32),
    /// In chunks.
    Chunked(Chunks),
    /// Until the connection closes.
    UntilClose,
}

impl Body {
    /// Reads into `out`, at least one byte unless `out` is empty. 0: the body has ended as it should.
    ///
    /// Dropping the future loses nothing, if that is so for the stream's `read`.
    pub(super) async fn read<S: Read>(
        &mut self,
        from: &mut Receiver<'_, S>,
        out: &mut [u8],
    ) -> Result<usize, HttpError> {
        match self {
            Self::Length(left) => {
                let n = some_of(from, *left, out).await?;
                *left = left.saturating_sub(n);
                Ok(n as usize)
            }
            Self::Chunked(chunks) => chunks.read(from, out).await,
            Self::UntilClose => from.read(out).await,
        }
    }

    /// Whether the body has ended and the connection is at the start of the next response.
    pub(super) const fn is_at_end(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => matches!(chunks.place, Place::End),
            Self::UntilClose => false,
        }
    }
}

/// Reads some of the `left` bytes that must come.
async fn some_of<S: Read>(from: &mut Receiver<'_, S>, left: u32, out: &mut [u8]) -> Result<u32, HttpError> {
    let most = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
    let Some(out) = out.get_mut(..most) else { return Ok(0) };
    if out.is_empty() {
        return Ok(0);
    }
    match from.read(out).await? {
        0 => Err(HttpError::Truncated),
        // No more than `left`, so it fits.
        n => Ok(u32::try_from(n).unwrap_or(left)),
    }
}

/// Where in a chunked body (RFC 9112, 7.1) the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the line that gives a chunk's size. `value` is `None` until the first digit.
    Size { value: Option<u32> },
    /// In the rest of that line.
    Extension { value: u32 },
    /// In a chunk's bytes.
    Data { left: u32 },
    /// In the line end behind them.
    DataEnd,
    /// In a line behind the last chunk, empty so far or not.
    Trailer { is_empty: bool },
    /// Behind the blank line.
    End,
}

/// A chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    place: Place,
    /// Bytes of the present line.
    line_size: u16,
    trailer_count: u8,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self { place: Place::Size { value: None }, line_size: 0, trailer_count: 0 }
    }

    async fn read<S: Read>(
        &mut self,
        from: &mut Receiver<'_, S>,
        out: &mut [u8],
    ) -> Result<usize, HttpError> {
        loop {
            match self.place {
                Place::End => return Ok(0),
                Place::Data { left } => {
                    let n = some_of(from, left, out).await?;
                    let left = left.saturating_sub(n);
                    self.place = if left == 0 { Place::DataEnd } else { Place::Data { left } };
                    return Ok(n as usize);
                }
                Place::Size { .. } | Place::Extension { .. } | Place::DataEnd | Place::Trailer { .. } => {
                    if from.is_empty() && !from.refill().await? {
                        return Err(HttpError::Truncated);
                    }
                    let used = self.lines(from.waiting())?;
                    from.consume(used);
                }
            }
        }
    }

    /// Takes the bytes between chunks off the front of `received`; how many those are.
    fn lines(&mut self, received: &[u8]) -> Result<usize, HttpError> {
        let mut used = 0_usize;
        for byte in received {
            match self.place {
                Place::Data { .. } | Place::End => break,
                Place::Size { .. } | Place::Extension { .. } | Place::DataEnd | Place::Trailer { .. } => {
                    self.byte(*byte)?
                }
            }
            used = used.saturating_add(1);
        }
        Ok(used)
    }

    fn byte(&mut self, byte: u8) -> Result<(), HttpError> {
        self.line_size = self.line_size.saturating_add(1);
        if self.line_size > LINE_MAX {
            return Err(HttpError::BadResponse);
        }
        self.place = match (self.place, byte) {
            (Place::Size { value: Some(value) }, b'\n') | (Place::Extension { value }, b'\n') => {
                self.line_size = 0;
                match value {
                    0 => Place::Trailer { is_empty: true },
                    left => Place::Data { left },
                }
            }
            (Place::Size { value: Some(value) }, b';' | b'\r' | b' ' | b'\t') => Place::Extension { value },
            (Place::Size { value }, digit) => Place::Size { value: Some(appended(value, digit)?) },
            (Place::Extension { value }, _) => Place::Extension { value },
            (Place::DataEnd, b'\r') if self.line_size == 1 => Place::DataEnd,
            (Place::DataEnd, b'\n') => {
                self.line_size = 0;
                Place::Size { value: None }
            }
            (Place::DataEnd, _) => return Err(HttpError::BadResponse),
            (Place::Trailer { is_empty: true }, b'\n') => Place::End,
            (Place::Trailer { is_empty: false }, b'\n') => {
                self.line_size = 0;
                self.trailer_count = self.trailer_count.saturating_add(1);
                if self.trailer_count > TRAILER_MAX {
                    return Err(HttpError::BadResponse);
                }
                Place::Trailer { is_empty: true }
            }
            (Place::Trailer { is_empty }, b'\r') => Place::Trailer { is_empty },
            (Place::Trailer { .. }, _) => Place::Trailer { is_empty: false },
            // Not asked for here.
            (Place::Data { .. } | Place::End, _) => return Err(HttpError::BadResponse),
        };
        Ok(())
    }
}

/// The size with one more hexadecimal digit.
fn appended(value: Option<u32>, digit: u8) -> Result<u32, HttpError> {
    let digit = char::from(digit).to_digit(16).ok_or(HttpError::BadResponse)?;
    value
        .unwrap_or(0)
        .checked_mul(16)
        .and_then(|value| value.checked_add(digit))
        .ok_or(HttpError::BadResponse)
}
