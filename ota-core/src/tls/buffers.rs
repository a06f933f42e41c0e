//! Records in memory, between embedded-tls and the stream.
//!
//! embedded-tls keeps its place in a half-read or half-written record inside its futures, so dropping one loses it. Here
//! it is only ever given whole records, and room for whole records: its futures complete at once, and all waiting
//! happens in [`Pipe::gather`] and [`Pipe::drain`], which keep their place in the pipe.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

use super::error::{ConfigError, TlsError};

/// Longest record body in bytes TLS 1.3 allows: 2^14 and 256 for encryption (RFC 8446 section 5.2).
pub const RECORD_MAX: usize = 16_640;

/// Shortest record body in bytes a receive buffer must take.
const RECORD_MIN: usize = 1_024;

/// Shortest half of a send buffer: a greeting with the longest server name and protocol names.
const SEND_MIN: usize = 1_024;

/// Longest record embedded-tls may be given room for: 2^14 bytes and its reserve.
const SEND_MAX: usize = 16_384 + 128;

/// Most records a server may need for the handshake. Five messages and a change of cipher; each may come alone.
const HANDSHAKE_RECORDS_MAX: u8 = 16;

/// A record's header (RFC 8446 section 5.1).
mod field {
    pub(super) const TYPE: usize = 0;
    pub(super) const LENGTH: usize = 3;
    pub(super) const END: usize = 5;
}

/// Record types (RFC 8446 section 5.1).
mod kind {
    pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(super) const ALERT: u8 = 21;
    pub(super) const HANDSHAKE: u8 = 22;
    pub(super) const APPLICATION_DATA: u8 = 23;
}

/// Shortest encrypted record that holds something: a content type and the 16 bytes of authentication. embedded-tls
/// 0.19 panics on an empty one.
const ENCRYPTED_MIN: usize = 17;

/// Length in bytes of a receive buffer for records with bodies of up to `record_size` bytes ([`RECORD_MAX`], unless
/// the server is known to send smaller ones; at least 1024).
pub const fn rx_size(record_size: usize) -> usize {
    record_size.saturating_mul(2).saturating_add(field::END)
}

/// Length in bytes of a send buffer for a client certificate of `certificate_size` bytes (0: none). A longer one lets
/// longer records be sent, which is of use to a device that sends much.
pub const fn tx_size(certificate_size: usize) -> usize {
    let half = certificate_size.saturating_add(160);
    if half > SEND_MIN { half.saturating_mul(2) } else { 2 * SEND_MIN }
}

/// The memory of one connection at a time, given by the caller.
///
/// Two connections that are never open together, such as MQTT and HTTPS in a device short of RAM, can use the same:
/// the borrow checker sees to it.
pub struct Buffers<'a> {
    /// embedded-tls decrypts here.
    read: &'a mut [u8],
    /// embedded-tls encrypts here.
    write: &'a mut [u8],
    pipe: Pipe<'a>,
}

impl<'a> Buffers<'a> {
    /// Buffers of a connection that receives into `rx` ([`rx_size`]) and sends from `tx` ([`tx_size`]). Of each, one
    /// half holds a record as it comes from or goes to the network, the other belongs to embedded-tls.
    ///
    /// # Errors
    /// A buffer is too short for any connection.
    pub fn new(rx: &'a mut [u8], tx: &'a mut [u8]) -> Result<Self, ConfigError> {
        if rx.len() < rx_size(RECORD_MIN) {
            return Err(ConfigError::ReceiveBuffer);
        }
        if tx.len() < 2 * SEND_MIN {
            return Err(ConfigError::SendBuffer);
        }
        let (read, input) = rx.split_at_mut((rx.len() - field::END) / 2);
        let (write, output) = tx.split_at_mut((tx.len() / 2).min(SEND_MAX));
        let body_max = read.len().min(RECORD_MAX);
        let pipe = Pipe {
            input: RefCell::new(Input { buf: input, len: 0, taken: 0, body_max, stage: Stage::Greeting }),
            output: RefCell::new(Output { buf: output, start: 0, end: 0 }),
            shaking: Cell::new(true),
        };
        Ok(Self { read, write, pipe })
    }

    pub(super) fn send_size(&self) -> usize {
        self.write.len()
    }

    /// Everything for one connection: buffers of embedded-tls, and the emptied pipe.
    pub(super) fn lend<'b>(&'b mut self) -> (&'b mut [u8], &'b mut [u8], &'b Pipe<'a>) {
        let Self { read, write, pipe } = self;
        pipe.reset();
        (read, write, pipe)
    }
}

/// One incoming record, and the outgoing ones.
///
/// The cells are never contended: embedded-tls is polled only while nothing waits in `gather` or `drain`.
pub(super) struct Pipe<'a> {
    input: RefCell<Input<'a>>,
    output: RefCell<Output<'a>>,
    /// In the handshake embedded-tls waits for records; afterwards it is told that there is none.
    shaking: Cell<bool>,
}

/// What may come next in clear text. Anybody on the way can send such records, so there is no more of it than needed.
#[derive(Clone, Copy)]
enum Stage {
    /// The server's greeting, or its refusal, is awaited.
    Greeting,
    /// All else is encrypted, but a change of cipher may come in between, once (RFC 8446 appendix D.4).
    Handshake { records_left: u8, change: bool },
    /// All is encrypted.
    Connected,
}

struct Input<'a> {
    /// One record with its header.
    buf: &'a mut [u8],
    /// Bytes received.
    len: usize,
    /// Bytes embedded-tls has taken.
    taken: usize,
    /// Longest body accepted.
    body_max: usize,
    stage: Stage,
}

impl Input<'_> {
    /// Bytes from the start of the record up to which it must be read next.
    fn goal(&self) -> usize {
        match self.buf.first_chunk::<{ field::END }>() {
            Some(header) if self.len >= field::END => field::END + body_len(header),
            Some(_) | None => field::END,
        }
    }

    /// Whether a whole record is there.
    fn is_whole(&self) -> bool {
        self.len > field::END && self.len == self.goal()
    }

    /// Judges a complete header, before its body is waited for.
    fn judge(&mut self) -> Result<(), TlsError> {
        let Some(header) = self.buf.first_chunk::<{ field::END }>() else {
            return Err(TlsError::RecordTooLarge);
        };
        let (kind, len) = (header[field::TYPE], body_len(header));
        self.stage = match (self.stage, kind) {
            (Stage::Greeting, kind::HANDSHAKE) => {
                Stage::Handshake { records_left: HANDSHAKE_RECORDS_MAX, change: false }
            }
            (Stage::Greeting, kind::ALERT) => Stage::Greeting,
            (Stage::Handshake { records_left, change }, kind::APPLICATION_DATA) => {
                match records_left.checked_sub(1) {
                    Some(records_left) => Stage::Handshake { records_left, change },
                    None => return Err(TlsError::Protocol),
                }
            }
            (Stage::Handshake { records_left, change: false }, kind::CHANGE_CIPHER_SPEC) if len == 1 => {
                Stage::Handshake { records_left, change: true }
            }
            (Stage::Connected, kind::APPLICATION_DATA) => Stage::Connected,
            (Stage::Greeting | Stage::Handshake { .. } | Stage::Connected, _) => {
                return Err(TlsError::UnexpectedRecord);
            }
        };
        if len > self.body_max {
            Err(TlsError::RecordTooLarge)
        } else if len == 0 || (kind == kind::APPLICATION_DATA && len < ENCRYPTED_MIN) {
            Err(TlsError::RecordTooShort)
        } else {
            Ok(())
        }
    }
}

fn body_len(header: &[u8; field::END]) -> usize {
    usize::from(u16::from_be_bytes([header[field::LENGTH], header[field::LENGTH + 1]]))
}

struct Output<'a> {
    buf: &'a mut [u8],
    /// Sent up to here.
    start: usize,
    /// Written up to here.
    end: usize,
}

#[allow(clippy::await_holding_refcell_ref)] // Nothing else looks at the pipe while its stream is waited for.
impl Pipe<'_> {
    fn reset(&mut self) {
        let input = self.input.get_mut();
        (input.len, input.taken, input.stage) = (0, 0, Stage::Greeting);
        let output = self.output.get_mut();
        (output.start, output.end) = (0, 0);
        self.shaking.set(true);
    }

    /// The handshake is over.
    pub(super) fn connected(&self) {
        self.shaking.set(false);
        self.input.borrow_mut().stage = Stage::Connected;
    }

    /// Waits until one whole record is there. At once if it is.
    ///
    /// Dropping the future keeps what has arrived.
    pub(super) async fn gather(&self, io: &mut impl Read) -> Result<(), TlsError> {
        let mut input = self.input.borrow_mut();
        let input = &mut *input;
        if input.taken > 0 && input.taken == input.len {
            (input.len, input.taken) = (0, 0);
        }
        loop {
            let goal = input.goal();
            if input.len == goal {
                return Ok(());
            }
            let missing = input.buf.get_mut(input.len..goal).ok_or(TlsError::RecordTooLarge)?;
            match io.read(missing).await {
                Ok(0) => return Err(TlsError::Truncated),
                Ok(count) => input.len = input.len.saturating_add(count).min(goal),
                Err(error) => return Err(TlsError::Io(embedded_io_async::Error::kind(&error))),
            }
            // The length field counts only from here on, so this happens once a record.
            if goal == field::END && input.len == goal {
                input.judge()?;
            }
        }
    }

    /// Sends everything that waits.
    ///
    /// Dropping the future keeps what is not yet sent.
    pub(super) async fn drain(&self, io: &mut impl Write) -> Result<(), TlsError> {
        let mut output = self.output.borrow_mut();
        let output = &mut *output;
        while let Some(rest) = output.buf.get(output.start..output.end).filter(|rest| !rest.is_empty()) {
            match io.write(rest).await {
                Ok(0) => return Err(TlsError::Io(ErrorKind::WriteZero)),
                Ok(count) => output.start = output.start.saturating_add(count).min(output.end),
                Err(error) => return Err(TlsError::Io(embedded_io_async::Error::kind(&error))),
            }
        }
        (output.start, output.end) = (0, 0);
        Ok(())
    }

    /// Hands out bytes of a whole record; 0 if there is none.
    fn take(&self, buf: &mut [u8]) -> usize {
        let mut input = self.input.borrow_mut();
        if !input.is_whole() {
            return 0;
        }
        let Some(rest) = input.buf.get(input.taken..input.len) else { return 0 };
        let count = rest.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(rest) {
            *to = *from;
        }
        input.taken += count;
        count
    }

    /// Takes in bytes to send; 0 if there is no room.
    fn put(&self, bytes: &[u8]) -> usize {
        let mut output = self.output.borrow_mut();
        let end = output.end;
        let Some(room) = output.buf.get_mut(end..) else { return 0 };
        let count = room.len().min(bytes.len());
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        output.end += count;
        count
    }
}

impl ErrorType for &Pipe<'_> {
    type Error = ErrorKind;
}

/// What embedded-tls is told when no record is there. No stream can say it: their errors end in [`Pipe::gather`].
pub(super) const EMPTY: ErrorKind = ErrorKind::Interrupted;

impl Read for &Pipe<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| match self.take(buf) {
            0 if self.shaking.get() => Poll::Pending,
            0 => Poll::Ready(Err(EMPTY)),
            count => Poll::Ready(Ok(count)),
        })
        .await
    }
}

impl Write for &Pipe<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|_| match self.put(buf) {
            0 if self.shaking.get() => Poll::Pending,
            // Cannot happen: the pipe is drained before every record and takes the longest.
            0 => Poll::Ready(Err(ErrorKind::OutOfMemory)),
            count => Poll::Ready(Ok(count)),
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
