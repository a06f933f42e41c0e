//! Writing into a buffer the caller gives.

use core::fmt;

use crate::bytes::copy;

/// Why a message could not be written. Nothing that was written into the buffer until then is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too small for the message.
    BufferTooSmall,
    /// A number or a length lies outside what AWS accepts.
    OutOfRange,
    /// The client token is empty or longer than 64 bytes.
    Token,
    /// A device may not set this job status.
    Status,
    /// More than ten pairs of status details.
    TooManyDetails,
    /// The name of a status detail is empty, longer than 128 bytes or not of `[a-zA-Z0-9:_-]`.
    DetailName,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferTooSmall => "the message does not fit: give a larger buffer",
            Self::OutOfRange => {
                "a field is outside the limits of AWS IoT: check block size, offset, count and bitmap"
            }
            Self::Token => "a client token has 1 to 64 bytes",
            Self::Status => "a device may only set IN_PROGRESS, SUCCEEDED, FAILED or REJECTED",
            Self::TooManyDetails => "status details hold at most 10 pairs",
            Self::DetailName => {
                "a status detail's name has 1 to 128 characters of a-z, A-Z, 0-9, ':', '_' and '-'"
            }
        })
    }
}

impl core::error::Error for EncodeError {}

/// Longest client token, bytes (AWS IoT API reference: Jobs and streams alike).
pub const MAX_TOKEN_SIZE: usize = 64;

/// A token of 1 to 64 bytes, or none.
pub(crate) fn checked_token(token: Option<&str>) -> Result<Option<&str>, EncodeError> {
    match token {
        Some(text) if !(1..=MAX_TOKEN_SIZE).contains(&text.len()) => Err(EncodeError::Token),
        token => Ok(token),
    }
}

/// Appends to a buffer; remembers an overflow until [`Writer::finish`], so that callers need not check each piece.
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    at: usize,
    overflow: bool,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, at: 0, overflow: false }
    }

    #[inline(never)]
    pub(crate) fn byte(&mut self, byte: u8) {
        match self.buf.get_mut(self.at) {
            Some(place) => {
                *place = byte;
                self.at = self.at.saturating_add(1);
            }
            None => self.overflow = true,
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        match self.buf.get_mut(self.at..end) {
            Some(place) => {
                copy(place, bytes);
                self.at = end;
            }
            None => self.overflow = true,
        }
    }

    pub(crate) fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A JSON string with its quotes; what must be escaped is.
    pub(crate) fn json_string(&mut self, text: &str) {
        self.byte(b'"');
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.bytes(&[b'\\', byte]),
                0..=0x1F => {
                    self.str("\\u00");
                    self.hex(byte);
                }
                _ => self.byte(byte),
            }
        }
        self.byte(b'"');
    }

    /// Two hexadecimal digits.
    pub(crate) fn hex(&mut self, byte: u8) {
        self.hexadecimal(byte.into(), 2);
    }

    /// A JSON member with a whole number. `before` is what stands before the name: an opening bracket or a comma.
    pub(crate) fn json_number(&mut self, before: u8, name: &str, number: u64) {
        self.json_name(before, name);
        self.decimal(number);
    }

    /// The name of a JSON member, with what stands before it.
    pub(crate) fn json_name(&mut self, before: u8, name: &str) {
        self.byte(before);
        self.json_string(name);
        self.byte(b':');
    }

    /// A number in decimal digits.
    pub(crate) fn decimal(&mut self, number: u64) {
        // Divided by ten byte by byte: a division of 64 bits is a kilobyte of code where the processor has none.
        let mut rest = number.to_be_bytes();
        // u64::MAX has 20 digits.
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        for (at, place) in digits.iter_mut().enumerate().rev() {
            let mut left = 0;
            for byte in &mut rest {
                let part = left << 8 | u32::from(*byte);
                (*byte, left) = ((part / 10) as u8, part % 10);
            }
            *place = b'0' + left as u8;
            first = at;
            if rest == [0; 8] {
                break;
            }
        }
        self.bytes(digits.get(first..).unwrap_or_default());
    }

    /// A number in hexadecimal digits, at least `min` of them.
    pub(crate) fn hexadecimal(&mut self, number: u32, min: u32) {
        let count = (u32::BITS - number.leading_zeros()).div_ceil(4).max(min);
        for at in (0..count).rev() {
            self.digit((number >> (4 * at)) as u8 & 0xF);
        }
    }

    fn digit(&mut self, nibble: u8) {
        self.byte(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble });
    }

    /// What was written, as text.
    pub(crate) fn into_str(self) -> Result<&'b str, EncodeError> {
        if self.overflow {
            return Err(EncodeError::BufferTooSmall);
        }
        let written: &'b [u8] = self.buf;
        let written = written.get(..self.at).unwrap_or_default();
        // Only whole strings were written, so this never fails.
        core::str::from_utf8(written).map_err(|_| EncodeError::OutOfRange)
    }

    /// The bytes written, or the first thing that went wrong.
    pub(crate) fn finish(self) -> Result<usize, EncodeError> {
        if self.overflow { Err(EncodeError::BufferTooSmall) } else { Ok(self.at) }
    }
}
