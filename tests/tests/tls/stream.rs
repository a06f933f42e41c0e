//! The stream after the handshake: any amount of data over links that give and take a byte at a time, with every future
//! dropped at every wait.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::tls::embedded_io_async::{ErrorType, Read, Write};
use ota_core::tls::{TlsError, connect};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use crate::certificates::Authority;
use crate::servers::{echo, serve, server_config};
use crate::support::{Memory, Numbers, bounded, config, error, open};

/// A link that moves one byte at a time, and lets one poll pass before each.
struct Drip {
    io: FromTokio<DuplexStream>,
    ready: bool,
}

impl Drip {
    fn new(io: DuplexStream) -> Self {
        Self { io: FromTokio::new(io), ready: false }
    }

    /// Pending once before every byte, whoever asks.
    async fn wait(&mut self) {
        std::future::poll_fn(|context| {
            self.ready = !self.ready;
            if self.ready {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl ErrorType for Drip {
    type Error = io::Error;
}

impl Read for Drip {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wait().await;
        let end = buf.len().min(1);
        self.io.read(&mut buf[..end]).await
    }
}

impl Write for Drip {
    async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.wait().await;
        self.io.write(&buf[..buf.len().min(1)]).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.wait().await;
        self.io.flush().await
    }
}

/// Polls a fresh future each time and drops it when it waits.
async fn impatient<T>(mut again: impl AsyncFnMut() -> T) -> (T, u32) {
    let mut drops = 0;
    loop {
        {
            let mut attempt = pin!(again());
            let polled = attempt.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(value) = polled {
                return (value, drops);
            }
        }
        drops += 1;
        tokio::task::yield_now().await;
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|k| (k * 7 + k / 251) as u8).collect()
}

#[tokio::test]
async fn a_byte_at_a_time_and_no_patience() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    let (io, server) = serve(server_config(&root.server(), None), echo);
    bounded(async {
        let mut memory = Memory::new();
        let mut buffers = memory.buffers();
        let mut stream = connect(Drip::new(io), &config, &mut Numbers(7), &mut buffers).await.unwrap();
        let sent = pattern(5_000);
        let (mut written, mut drops) = (0, 0);
        while written < sent.len() {
            let part = &sent[written..sent.len().min(written + 700)];
            let (count, dropped) = impatient(async || stream.write(part).await).await;
            written += count.unwrap();
            drops += dropped;
        }
        let (flushed, dropped) = impatient(async || stream.flush().await).await;
        flushed.unwrap();
        assert!(drops + dropped > 5_000, "{drops} and {dropped}");
        let (mut got, mut buffer, mut drops) = (Vec::new(), [0; 333], 0);
        while got.len() < sent.len() {
            let (count, dropped) = impatient(async || stream.read(&mut buffer).await).await;
            got.extend_from_slice(&buffer[..count.unwrap()]);
            drops += dropped;
        }
        assert_eq!(got, sent);
        assert!(drops > 5_000, "{drops}");
        let link = stream.close().await.unwrap();
        server.await.unwrap();
        drop(link);
    })
    .await;
}

/// A write is given up with its record half sent; the next read sends the rest, else both sides would wait.
#[tokio::test]
async fn what_was_left_unsent_is_sent_by_reading() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    let (io, _server) = serve(server_config(&root.server(), None), echo);
    bounded(async {
        let mut memory = Memory::new();
        let mut buffers = memory.buffers();
        let mut stream = connect(Drip::new(io), &config, &mut Numbers(7), &mut buffers).await.unwrap();
        stream.write_all(b"question").await.unwrap();
        {
            let mut flush = pin!(stream.flush());
            for _ in 0..5 {
                assert!(flush.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        }
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"question");
    })
    .await;
}

#[tokio::test]
async fn much_data_both_ways() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    let (io, server) = serve(server_config(&root.server(), None), echo);
    bounded(async {
        let mut memory = Memory::new();
        let mut buffers = memory.buffers();
        let mut stream = open(io, &config, &mut buffers).await.unwrap();
        for size in [1, 2, 1_000, 1_531, 1_532, 1_533, 16_384, 40_000] {
            let sent = pattern(size);
            stream.write_all(&sent).await.unwrap();
            stream.flush().await.unwrap();
            let mut got = vec![0; size];
            stream.read_exact(&mut got).await.unwrap();
            assert!(got == sent, "{size} bytes");
        }
        stream.flush().await.unwrap();
        assert_eq!(stream.read(&mut []).await, Ok(0));
        assert_eq!(stream.write(&[]).await, Ok(0));
        let link = stream.close().await.unwrap();
        server.await.unwrap();
        drop(link);
    })
    .await;
}

/// The server's farewell is told from a link that just ends.
#[tokio::test]
async fn ends() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    for farewell in [true, false] {
        let (io, _server) = serve(server_config(&root.server(), None), move |stream| async move {
            let mut stream = stream.unwrap();
            stream.write_all(b"all").await.unwrap();
            stream.flush().await.unwrap();
            if farewell {
                stream.shutdown().await.unwrap();
            }
        });
        bounded(async {
            let mut memory = Memory::new();
            let mut buffers = memory.buffers();
            let mut stream = open(io, &config, &mut buffers).await.unwrap();
            let mut all = [0; 3];
            stream.read_exact(&mut all).await.unwrap();
            let (read, written) = match farewell {
                true => (Ok(0), TlsError::Closed),
                false => (Err(TlsError::Truncated), TlsError::Truncated),
            };
            assert_eq!(stream.read(&mut all).await, read);
            assert_eq!(stream.read(&mut all).await, read);
            assert_eq!(stream.write(b"x").await, Err(written));
            assert_eq!(stream.flush().await, Err(written));
        })
        .await;
    }
}

/// Small buffers do for a server with small records, and a large record is refused, not cut.
#[tokio::test]
async fn small_buffers() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    let mut memory = Memory::of(1_024);
    let mut buffers = memory.buffers();
    for (size, expected) in [(1_007, Ok(())), (1_008, Err(TlsError::RecordTooLarge))] {
        let (io, _server) = serve(server_config(&root.server(), None), move |stream| async move {
            let mut stream = stream.unwrap();
            stream.write_all(&pattern(size)).await.unwrap();
            stream.flush().await.unwrap();
            stream
        });
        // The same buffers serve one connection after the other.
        bounded(async {
            let mut stream = open(io, &config, &mut buffers).await.unwrap();
            let mut got = vec![0; size];
            let read = stream.read(&mut got).await.map(|count| assert_eq!(got[..count], pattern(size)));
            assert_eq!(read, expected);
        })
        .await;
    }
}

#[tokio::test]
async fn a_dropped_handshake_leaves_the_buffers_usable() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    let mut memory = Memory::new();
    let mut buffers = memory.buffers();
    bounded(async {
        for polls in [1, 2, 50, 400, 900] {
            let (io, _server) = serve(server_config(&root.server(), None), |stream| async { drop(stream) });
            let mut rng = Numbers(7);
            let mut attempt = pin!(connect(Drip::new(io), &config, &mut rng, &mut buffers));
            for _ in 0..polls {
                assert!(attempt.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                tokio::task::yield_now().await;
            }
        }
        let (io, _server) = serve(server_config(&root.server(), None), echo);
        let mut stream = open(io, &config, &mut buffers).await.unwrap();
        stream.write_all(b"still").await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"still");
    })
    .await;
}

#[tokio::test]
async fn a_link_that_fails() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let config = config(&roots);
    let (device, server) = duplex(16);
    drop(server);
    let mut memory = Memory::new();
    let mut buffers = memory.buffers();
    let failed = bounded(open(device, &config, &mut buffers)).await;
    assert_eq!(error(failed), TlsError::Io(ota_core::tls::embedded_io_async::ErrorKind::BrokenPipe));
}
