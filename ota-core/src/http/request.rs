//! A request on its way out.

use core::convert::Infallible;
use core::fmt::Write as _;

use embedded_io_async::{Error as _, ErrorKind, ErrorType, Write};
use reqwless::request::{Request, RequestBuilder};

use super::body::Receiver;
use super::{HttpError, RangeRequest, Url};
use crate::bytes::copy;

/// Takes a part of what reqwless writes in many small pieces: as much as a buffer holds, behind what left before. Nothing is
/// waited for here, so all that waits is one write of the whole buffer.
struct Window<'w> {
    buf: &'w mut [u8],
    /// Bytes still to come that left before.
    skip: usize,
    /// Bytes the buffer holds.
    len: usize,
    /// Something found no room.
    has_more: bool,
}

impl ErrorType for Window<'_> {
    type Error = Infallible;
}

impl Write for Window<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let (room, new) = (self.buf.get_mut(self.len..), bytes.get(skipped..).unwrap_or_default());
        let room = room.unwrap_or_default();
        let taken = room.len().min(new.len());
        copy(room, new);
        self.len = self.len.saturating_add(taken);
        self.has_more |= taken < new.len();
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Writes the request for a range through the receive buffer, which is free meanwhile: made anew for every bufferful.
pub(super) async fn write_request<S: Write>(
    receiver: &mut Receiver<'_, S>,
    url: &Url<'_>,
    request: &RangeRequest,
) -> Result<(), HttpError> {
    // "bytes=4294967294-4294967294" is the longest.
    let mut range = heapless::String::<32>::new();
    write!(range, "bytes={}-{}", request.from(), request.to()).map_err(|_| HttpError::Request)?;
    // A proxy that compresses on its own would otherwise feel free to.
    let headers = [("Range", range.as_str()), ("Accept-Encoding", "identity")];
    let Receiver { stream, buf, at, end } = receiver;
    (*at, *end) = (0, 0);
    let mut sent = 0_usize;
    loop {
        let mut window = Window { buf, skip: sent, len: 0, has_more: false };
        let request = Request::get(url.target()).host(url.authority()).headers(&headers).build();
        request.write_header(&mut window).await.map_err(|_| HttpError::Request)?;
        let Window { len, has_more, .. } = window;
        let mut rest = buf.get(..len).unwrap_or_default();
        while !rest.is_empty() {
            let written = match stream.write(rest).await {
                Ok(0) => return Err(HttpError::Stream(ErrorKind::WriteZero)),
                Ok(written) => written,
                Err(error) => return Err(HttpError::Stream(error.kind())),
            };
            rest = rest.get(written..).unwrap_or_default();
        }
        sent = sent.saturating_add(len);
        // A buffer without room takes none of it.
        match (has_more, len) {
            (false, _) => break,
            (true, 0) => return Err(HttpError::Request),
            (true, _) => {}
        }
    }
    stream.flush().await.map_err(|error| HttpError::Stream(error.kind()))
}
