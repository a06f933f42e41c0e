//! Strings of JSON messages (RFC 8259, 7), left in the message with their escapes until they are asked for.

use super::{
    json,
    scan::Scanner,
    writer::{EncodeError, Writer},
};

/// A JSON string as it stands in the message, escapes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// Of what stands between the quotes of a string that was checked: each escape is whole and means a character.
    pub(super) const fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// The string if it holds no escape.
    pub fn as_plain(&self) -> Option<&'a str> {
        (!self.0.contains(&b'\\')).then(|| self.raw())
    }

    /// What stands between the quotes, escapes included.
    pub fn raw(&self) -> &'a str {
        json::text(self.0)
    }

    /// [`raw`](Self::raw), as bytes.
    pub(super) const fn raw_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The bytes of its UTF-8, escapes undone.
    pub fn bytes(&self) -> Unescaped<'a> {
        Unescaped { raw: Scanner::new(self.0), character: 0 }
    }

    /// Whether the string, escapes undone, is `other`.
    #[inline(never)]
    pub fn is(&self, other: &str) -> bool {
        self.bytes().eq(other.bytes())
    }

    /// Which of `words` the string is, escapes undone.
    #[inline(never)]
    pub(super) fn position_in(&self, words: &str) -> Option<usize> {
        words.split_ascii_whitespace().position(|word| self.is(word))
    }

    /// Whether the string, escapes undone, starts with `prefix`.
    pub fn starts_with(&self, prefix: &str) -> bool {
        let mut bytes = self.bytes();
        prefix.bytes().all(|wanted| bytes.next() == Some(wanted))
    }

    /// Writes the string, escapes undone, into `buf`, which needs at most `raw().len()` bytes.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`].
    pub fn unescape<'b>(&self, buf: &'b mut [u8]) -> Result<&'b str, EncodeError> {
        let size = self.write(buf)?;
        let text = buf.get(..size).and_then(|text| core::str::from_utf8(text).ok());
        text.ok_or(EncodeError::BufferTooSmall)
    }

    /// [`unescape`](Self::unescape), for a caller who looks at the text later; returns the bytes written.
    pub(crate) fn write(&self, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let mut writer = Writer::new(buf);
        self.bytes().for_each(|byte| writer.byte(byte));
        writer.finish()
    }
}

/// The bytes of a [`Text`], escapes undone.
#[derive(Debug, Clone)]
pub struct Unescaped<'a> {
    raw: Scanner<'a>,
    /// What is left of a character that stood as an escape: its bytes, the next one lowest.
    character: u32,
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    #[inline(never)]
    fn next(&mut self) -> Option<u8> {
        if self.character == 0 {
            match self.raw.next() {
                // Inside a string no byte is below the blank, so this is its end.
                0 => return None,
                b'\\' => {
                    self.character = utf8(self.raw.escape()?);
                }
                plain => return Some(plain),
            }
        }
        let byte = self.character as u8;
        self.character >>= 8;
        Some(byte)
    }
}

/// The bytes of a character, the first one lowest (RFC 3629, 3).
fn utf8(code: u32) -> u32 {
    if code < 0x80 {
        return code;
    }
    // What does not fit the first byte, six bits each, from the last byte to the second.
    let (mut rest, mut bytes, mut first) = (code, 0, 0x3F);
    while rest > first {
        bytes = bytes << 8 | 0x80 | rest & 0x3F;
        (rest, first) = (rest >> 6, first >> 1);
    }
    // As many ones as there are bytes, and a zero.
    bytes << 8 | !(first << 1 | 1) & 0xFF | rest
}
