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
    /// The client token is empty, longer than 64 bytes, or not of printable ASCII without `"` and `\`.
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
            Self::Token => {
                "a client token has 1 to 64 printable ASCII characters, but no quote and no backslash"
            }
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

/// A token that can be sent as it is, in CBOR and in JSON.
#[inline(never)]
pub(crate) fn checked_token(token: &str) -> Result<&str, EncodeError> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if (1..=MAX_TOKEN_SIZE).contains(&token.len()) && token.bytes().all(plain) {
        Ok(token)
    } else {
        Err(EncodeError::Token)
    }
}

/// Appends to a buffer; remembers an overflow until [`Writer::finish`], so that callers need not check each piece.
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    at: usize,
    overflow: bool,
}

/// How a number is written.
struct Digits {
    radix: u8,
    /// Least count of digits; zeros in front make up for those a number has not.
    min: u8,
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

    #[inline(never)]
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

    /// Writes a form: its bytes as they are, but for a `%` and the letter behind it what `hole` writes for that letter.
    #[inline(never)]
    pub(crate) fn fill(&mut self, form: &str, hole: &dyn Fn(&mut Self, u8)) {
        let mut rest = form.as_bytes();
        loop {
            let end = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
            let (literal, behind) = rest.split_at_checked(end).unwrap_or_default();
            self.bytes(literal);
            let [_, letter, tail @ ..] = behind else { return };
            hole(self, *letter);
            rest = tail;
        }
    }

    pub(crate) fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// The name of a JSON member; a comma before it unless it is the first of its object.
    #[inline(never)]
    pub(crate) fn json_name(&mut self, name: &str) {
        let last = self.at.checked_sub(1).and_then(|at| self.buf.get(at));
        self.str(if last == Some(&b'{') { "\"" } else { ",\"" });
        self.str(name);
        self.str("\":");
    }

    /// A JSON member with a string of which nothing has to be escaped.
    #[inline(never)]
    pub(crate) fn json_text(&mut self, name: &str, text: &str) {
        self.json_name(name);
        self.byte(b'"');
        self.str(text);
        self.byte(b'"');
    }

    /// A JSON member with a whole number.
    pub(crate) fn json_number(&mut self, name: &str, number: u64) {
        self.json_name(name);
        self.wide(number);
    }

    /// A number in decimal digits.
    #[inline(never)]
    pub(crate) fn decimal(&mut self, number: u32) {
        self.wide(number.into());
    }

    /// [`decimal`](Self::decimal), of 64 bits.
    pub(crate) fn wide(&mut self, number: u64) {
        self.digits(Digits { radix: 10, min: 1 }, number);
    }

    /// A number in hexadecimal digits, at least `min` of them.
    #[inline(never)]
    pub(crate) fn hexadecimal(&mut self, number: u32, min: u8) {
        self.digits(Digits { radix: 16, min }, number.into());
    }

    #[inline(never)]
    fn digits(&mut self, Digits { radix, min }: Digits, number: u64) {
        // Divided byte by byte: a division of 64 bits is a kilobyte of code where the processor has none.
        let mut rest = number.to_be_bytes();
        // u64::MAX has 20 digits.
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        for place in digits.iter_mut().rev() {
            let (mut left, mut more) = (0, 0);
            for byte in &mut rest {
                let part = left << 8 | u32::from(*byte);
                (*byte, left) = ((part / u32::from(radix)) as u8, part % u32::from(radix));
                more |= *byte;
            }
            let digit = left as u8;
            *place = if digit < 10 { b'0' + digit } else { b'a' - 10 + digit };
            first = first.saturating_sub(1);
            if more == 0 && first.saturating_add(min.into()) <= 20 {
                break;
            }
        }
        self.bytes(digits.get(first..).unwrap_or_default());
    }

    /// The bytes written, or the first thing that went wrong.
    pub(crate) fn finish(self) -> Result<usize, EncodeError> {
        if self.overflow { Err(EncodeError::BufferTooSmall) } else { Ok(self.at) }
    }
}
