//! A server that is a string.

extern crate std;

use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Poll;
use std::string::String;
use std::vec::Vec;

use embassy_futures::block_on;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

use crate::http::{Config, HttpError, RangeRequest, Reply, Schemes, Session, Url};
use crate::open::{Endpoint, Open};

pub(super) const SIZE: u32 = 20;
/// The file of every test.
pub(super) const FILE: &[u8; SIZE as usize] = b"abcdefghijklmnopqrst";

/// What follows the scripted bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Close,
    /// The same byte for ever.
    Endless(u8),
}

/// The server's side of the stream.
#[derive(Debug)]
pub(super) struct Script {
    answer: Vec<u8>,
    at: usize,
    pub(super) then: Then,
    /// Most bytes of one read.
    pub(super) piece_size: usize,
    /// Every other read has to wait, so that every future is dropped in every place.
    pub(super) hesitates: bool,
    waited: bool,
    /// Bytes of the request that may be written before writing hangs.
    pub(super) write_limit: usize,
    pub(super) sent: Vec<u8>,
    pub(super) given_count: usize,
}

impl Script {
    pub(super) fn new(answer: impl AsRef<[u8]>) -> Self {
        Self {
            answer: answer.as_ref().to_vec(),
            at: 0,
            then: Then::Close,
            piece_size: usize::MAX,
            hesitates: false,
            waited: false,
            write_limit: usize::MAX,
            sent: Vec::new(),
            given_count: 0,
        }
    }
}

impl ErrorType for Script {
    type Error = Infallible;
}

impl Read for Script {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        if self.hesitates {
            poll_fn(|_| {
                self.waited = !self.waited;
                // The tests poll again without being woken.
                if self.waited { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        }
        let n = buf.len().min(self.piece_size);
        let left = &self.answer[self.at..];
        let n = match (left, self.then) {
            ([], Then::Close) => 0,
            ([], Then::Endless(byte)) => {
                buf[..n].fill(byte);
                n
            }
            (left, _) => {
                let n = n.min(left.len());
                buf[..n].copy_from_slice(&left[..n]);
                self.at += n;
                n
            }
        };
        self.given_count += n;
        Ok(n)
    }
}

impl Write for Script {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        let n = buf.len().min(self.write_limit - self.sent.len());
        if n == 0 {
            core::future::pending::<()>().await;
        }
        self.sent.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

pub(super) fn url() -> Url<'static> {
    Url::parse("https://bucket.example/fw.bin?X-Amz-Expires=60&X-Amz-Signature=5ec2e7", Schemes::HttpsOnly)
        .unwrap()
}

pub(super) fn range(from: u32, to: u32) -> RangeRequest {
    RangeRequest::new(from, to, SIZE).unwrap()
}

/// The body, in blocks of `block_size` bytes.
pub(super) fn body<S: Read + Write>(
    session: &mut Session<'_, S>,
    block_size: usize,
) -> Result<Vec<u8>, HttpError> {
    let mut whole = Vec::new();
    let mut block = std::vec![0; block_size];
    let mut filled = 0;
    while block_on(session.next_block(&mut block, &mut filled))? {
        whole.extend_from_slice(&block[..filled]);
        filled = 0;
    }
    Ok(whole)
}

/// One request and its answer, to the end of the body.
pub(super) fn fetch_with(
    script: Script,
    request: &RangeRequest,
    config: Config,
) -> Result<(Reply, Vec<u8>, bool), HttpError> {
    let mut buffer = [0; 512];
    let mut session = Session::new(script, &mut buffer, config)?;
    let reply = block_on(session.open(&url(), request))?;
    let bytes = body(&mut session, 8)?;
    Ok((reply, bytes, session.is_idle()))
}

pub(super) fn fetch(script: Script, from: u32, to: u32) -> Result<(Reply, Vec<u8>, bool), HttpError> {
    fetch_with(script, &range(from, to), Config::default())
}

/// What `answer` to a request for bytes 4 to 13 comes to.
pub(super) fn error_of(answer: impl AsRef<[u8]>) -> Option<HttpError> {
    fetch(Script::new(answer), 4, 13).err()
}

/// A 206 with more header lines than needed.
pub(super) fn partial(content_range: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = String::from("HTTP/1.1 206 Partial Content\r\n");
    for line in [content_range, more].into_iter().filter(|line| !line.is_empty()) {
        answer.push_str(line);
        answer.push_str("\r\n");
    }
    let mut answer = answer.into_bytes();
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body);
    answer
}

/// Connects to a script, once.
pub(super) struct Host(pub(super) Option<Script>);

impl Open for Host {
    type Error = ErrorKind;
    type Io<'s> = Script;

    async fn open(&mut self, to: Endpoint<'_>) -> Result<Script, ErrorKind> {
        assert_eq!(to, Endpoint::tls("bucket.example", 443));
        self.0.take().ok_or(ErrorKind::NotConnected)
    }
}
