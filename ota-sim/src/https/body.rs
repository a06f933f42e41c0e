//! A body that is paced, counted and cut off on demand.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Sleep, sleep};

/// Bytes handed to the connection at once.
const PIECE_SIZE: usize = 8 * 1024;

/// What a body does instead of ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It ends.
    End,
    /// The connection closes.
    Close,
    /// Nothing more happens.
    Stall,
}

/// Tells a body when all it gave has left for the socket.
#[derive(Debug, Default)]
pub(super) struct Gate {
    flush_count: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Gate {
    fn flushed(&self) {
        self.flush_count.fetch_add(1, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}

/// Bytes on their way.
pub(super) struct FileBody {
    pub(super) bytes: Bytes,
    pub(super) stop: Stop,
    /// Without a length, hyper sends chunks.
    pub(super) is_chunked: bool,
    pub(super) bytes_per_s: Option<u32>,
    pub(super) gate: Arc<Gate>,
    /// Counts what was handed over.
    pub(super) on_sent: Box<dyn Fn(u64) + Send + Sync>,
    pause: Option<Pin<Box<Sleep>>>,
    /// Flushes seen when the last byte was handed over.
    mark: Option<u64>,
    /// What the length says beyond `bytes`, for a body that is cut off.
    pub(super) missing: u64,
}

impl FileBody {
    pub(super) fn new(bytes: Bytes, gate: Arc<Gate>) -> Self {
        Self {
            bytes,
            stop: Stop::End,
            is_chunked: false,
            bytes_per_s: None,
            gate,
            on_sent: Box::new(|_| ()),
            pause: None,
            mark: None,
            missing: 0,
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        if !self.bytes.is_empty() {
            let size = self.bytes.len().min(PIECE_SIZE);
            let piece = self.bytes.split_to(size);
            (self.on_sent)(size as u64);
            if let Some(rate) = self.bytes_per_s {
                let pause = Duration::from_secs_f64(size as f64 / f64::from(rate.max(1)));
                self.pause = Some(Box::pin(sleep(pause)));
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match self.stop {
            Stop::End => Poll::Ready(None),
            Stop::Stall => Poll::Pending,
            // An error makes hyper drop what it still holds, so the flush behind the last piece is awaited.
            Stop::Close => {
                let gate = Arc::clone(&self.gate);
                *gate.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
                let flush_count = gate.flush_count.load(Ordering::SeqCst);
                if *self.mark.get_or_insert(flush_count) == flush_count {
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(io::Error::other("closed on demand"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.stop == Stop::End
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_chunked {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.bytes.len() as u64 + self.missing)
        }
    }
}

/// A stream that tells its [`Gate`] about each finished flush: hyper flushes when its own buffer is empty.
pub(super) struct Watched<T> {
    pub(super) io: T,
    pub(super) gate: Arc<Gate>,
}

impl<T: Read + Unpin> Read for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buf)
    }
}

impl<T: Write + Unpin> Write for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(context);
        if result.is_ready() {
            self.gate.flushed();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
