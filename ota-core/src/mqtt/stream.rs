//! A stream whose writes cannot hang.
//!
//! minimq bounds its waits for the peer's answers but not its writes, and a peer that stops reading can hold a write
//! for as long as it likes. The limit belongs under minimq, where a failed write ends the connection in one place for
//! requests, acknowledgements and keep-alive alike.

use core::fmt;

use embassy_time::{Duration, Instant, with_deadline};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

/// A stream that gives up a write or flush without progress for a time limit.
pub struct Bounded<Io> {
    io: Io,
    limit: Duration,
    /// When the write under way gives up. Kept here, not in the future: callers drop and repeat their futures, and each
    /// repetition would start the clock anew.
    deadline: Option<Instant>,
}

impl<Io> Bounded<Io> {
    pub(super) fn new(io: Io, limit: Duration) -> Self {
        Self { io, limit, deadline: None }
    }

    fn deadline(&mut self) -> Instant {
        let limit = self.limit;
        *self.deadline.get_or_insert_with(|| Instant::now().saturating_add(limit))
    }
}

/// Error of a [`Bounded`] stream.
#[derive(Debug)]
pub enum BoundedError<E> {
    /// No progress within the limit.
    Stalled,
    /// The stream's own error.
    Io(E),
}

impl<E: fmt::Debug> fmt::Display for BoundedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled => f.write_str("no progress within the time limit"),
            Self::Io(error) => write!(f, "{error:?}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for BoundedError<E> {}

impl<E: embedded_io_async::Error> embedded_io_async::Error for BoundedError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Stalled => ErrorKind::TimedOut,
            Self::Io(error) => error.kind(),
        }
    }
}

impl<Io: ErrorType> ErrorType for Bounded<Io> {
    type Error = BoundedError<Io::Error>;
}

impl<Io: Read> Read for Bounded<Io> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
        self.io.read(buf).await.map_err(BoundedError::Io)
    }
}

impl<Io: Write> Write for Bounded<Io> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Self::Error> {
        let deadline = self.deadline();
        // The write is polled before the clock, so a link that was left alone for long still gets its chance.
        let done = with_deadline(deadline, self.io.write(buf)).await.map_err(|_| BoundedError::Stalled)?;
        self.deadline = None;
        done.map_err(BoundedError::Io)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        let deadline = self.deadline();
        let done = with_deadline(deadline, self.io.flush()).await.map_err(|_| BoundedError::Stalled)?;
        self.deadline = None;
        done.map_err(BoundedError::Io)
    }
}
