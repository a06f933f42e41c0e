//! A request on its way out.

use core::fmt::Write as _;

use embedded_io_async::{Error as _, ErrorKind, ErrorType, Write};
use reqwless::request::{Request, RequestBuilder};

use super::body::Receiver;
use super::{HttpError, RangeRequest, Url};

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

/// Writes the request for a range, gathered in the receive buffer.
pub(super) async fn write_request<S: Write>(
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
