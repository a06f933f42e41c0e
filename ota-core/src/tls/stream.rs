//! The encrypted stream.

use core::future::Future;
use core::pin::pin;
use core::task::Poll;

use embassy_futures::poll_once;
use embedded_io_async::{ErrorType, Read, Write};
use embedded_tls::{Aes128GcmSha256, TlsConnection};

use super::buffers::{EMPTY, Pipe};
use super::error::TlsError;

/// Most records in a row without application data. Servers send two to four session tickets after the handshake.
const SILENT_RECORDS_MAX: u8 = 16;

/// Drives embedded-tls' handshake over a pipe: it is polled when there is something for it to do, and not waited for.
pub(super) async fn shake_hands(
    handshake: impl Future<Output = Result<(), embedded_tls::TlsError>>,
    io: &mut (impl Read + Write),
    pipe: &Pipe<'_>,
) -> Result<(), TlsError> {
    let mut handshake = pin!(handshake);
    // Bounded by the number of records a handshake may have.
    loop {
        let shaken = poll_once(handshake.as_mut());
        if let Poll::Ready(Err(error)) = shaken {
            return Err(TlsError::of(error));
        }
        pipe.drain(io).await?;
        flush(io).await?;
        if shaken.is_ready() {
            pipe.connected();
            return Ok(());
        }
        pipe.gather(io).await?;
    }
}

async fn flush(io: &mut impl Write) -> Result<(), TlsError> {
    io.flush().await.map_err(|error| TlsError::Io(embedded_io_async::Error::kind(&error)))
}

/// A connection to an authenticated server, made by [`connect`](super::connect).
///
/// Written bytes are collected until a record is full or [`flush`](Write::flush) is called. Reading returns 0 only after
/// the server's farewell; a stream that just ends is [`TlsError::Truncated`]. After an error every call returns it again.
///
/// Dropping a future of it loses nothing. Dropping the stream itself closes the one below without a farewell
/// (see [`close`](Self::close)).
pub struct TlsStream<'b, 'a, Io> {
    io: Io,
    tls: TlsConnection<'b, &'b Pipe<'a>, Aes128GcmSha256>,
    pipe: &'b Pipe<'a>,
    state: State,
}

enum State {
    /// So many records have come since the last data.
    Open {
        records: u8,
    },
    /// The server has said farewell.
    Closed,
    Failed(TlsError),
}

impl<'b, 'a, Io: Read + Write> TlsStream<'b, 'a, Io> {
    pub(super) fn new(
        io: Io,
        tls: TlsConnection<'b, &'b Pipe<'a>, Aes128GcmSha256>,
        pipe: &'b Pipe<'a>,
    ) -> Self {
        Self { io, tls, pipe, state: State::Open { records: 0 } }
    }

    /// Sends what was written, then the farewell, and returns the stream below.
    ///
    /// Dropping the future half-way closes the stream below, as dropping `self` does.
    ///
    /// # Errors
    /// What ended the connection before, or the stream below failed.
    pub async fn close(mut self) -> Result<Io, TlsError> {
        self.flush().await?;
        let Self { mut io, tls, pipe, state: _ } = self;
        tls.close().await.map_err(|(_, error)| TlsError::of(error))?;
        pipe.drain(&mut io).await?;
        flush(&mut io).await?;
        Ok(io)
    }

    /// Whether bytes may be written.
    fn writable(&self) -> Result<(), TlsError> {
        match self.state {
            State::Open { records: _ } => Ok(()),
            State::Closed => Err(TlsError::Closed),
            State::Failed(error) => Err(error),
        }
    }

    fn fail<T>(&mut self, error: TlsError) -> Result<T, TlsError> {
        self.state = State::Failed(error);
        Err(error)
    }

    async fn drain(&mut self) -> Result<(), TlsError> {
        match self.pipe.drain(&mut self.io).await {
            Ok(()) => Ok(()),
            Err(error) => self.fail(error),
        }
    }
}

impl<Io> ErrorType for TlsStream<'_, '_, Io> {
    type Error = TlsError;
}

impl<Io: Read + Write> Read for TlsStream<'_, '_, Io> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TlsError> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let records = match self.state {
                State::Open { records } => records,
                State::Closed => return Ok(0),
                State::Failed(error) => return Err(error),
            };
            // At once: out of the record in hand, or `EMPTY`.
            match self.tls.read(buf).await {
                Ok(count) => {
                    self.state = State::Open { records: 0 };
                    return Ok(count);
                }
                Err(embedded_tls::TlsError::Io(kind)) if kind == EMPTY => {}
                Err(embedded_tls::TlsError::ConnectionClosed) => {
                    self.state = State::Closed;
                    continue;
                }
                Err(error) => return self.fail(TlsError::of(error)),
            }
            // The rest of a record whose write was dropped; the server may be waiting for it.
            self.drain().await?;
            if let Err(error) = self.pipe.gather(&mut self.io).await {
                return self.fail(error);
            }
            // The one just gathered may have data at last.
            match records.checked_add(1).filter(|records| *records <= SILENT_RECORDS_MAX + 1) {
                Some(records) => self.state = State::Open { records },
                None => return self.fail(TlsError::EmptyRecords),
            }
        }
    }
}

impl<Io: Read + Write> Write for TlsStream<'_, '_, Io> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, TlsError> {
        self.writable()?;
        // Room for a whole record, before embedded-tls may begin one: it could not be continued.
        self.drain().await?;
        match self.tls.write(buf).await {
            Ok(count) => Ok(count),
            Err(error) => self.fail(TlsError::of(error)),
        }
    }

    async fn flush(&mut self) -> Result<(), TlsError> {
        self.writable()?;
        self.drain().await?;
        if let Err(error) = self.tls.flush().await {
            return self.fail(TlsError::of(error));
        }
        self.drain().await?;
        match flush(&mut self.io).await {
            Ok(()) => Ok(()),
            Err(error) => self.fail(error),
        }
    }
}
