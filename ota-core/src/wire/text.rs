//! Strings of JSON messages (RFC 8259, 7), left in the message with their escapes until they are asked for.

use core::str::Chars;

use super::writer::{EncodeError, Writer};

/// A JSON string as it stands in the message, escapes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Of what stands between the quotes of a string that was checked: each escape is whole and means a character.
    pub(super) const fn new(raw: &'a str) -> Self {
        Self(raw)
    }

    /// The string if it holds no escape.
    pub fn as_plain(&self) -> Option<&'a str> {
        (!self.0.contains('\\')).then_some(self.0)
    }

    /// What stands between the quotes, escapes included.
    pub const fn raw(&self) -> &'a str {
        self.0
    }

    /// The characters, escapes undone.
    pub fn chars(&self) -> Unescaped<'a> {
        Unescaped(self.0.chars())
    }

    /// Whether the string, escapes undone, is `other`.
    pub fn is(&self, other: &str) -> bool {
        match self.as_plain() {
            Some(plain) => plain == other,
            None => self.chars().eq(other.chars()),
        }
    }

    /// Whether the string, escapes undone, starts with `prefix`.
    pub fn starts_with(&self, prefix: &str) -> bool {
        let mut chars = self.chars();
        prefix.chars().all(|wanted| chars.next() == Some(wanted))
    }

    /// Writes the string, escapes undone, into `buf`, which needs at most `raw().len()` bytes.
    ///
    /// # Errors
    /// [`EncodeError::BufferTooSmall`].
    pub fn unescape<'b>(&self, buf: &'b mut [u8]) -> Result<&'b str, EncodeError> {
        let mut writer = Writer::new(buf);
        for character in self.chars() {
            writer.str(character.encode_utf8(&mut [0; 4]));
        }
        writer.into_str()
    }
}

/// The characters of a [`Text`], escapes undone.
#[derive(Debug, Clone)]
pub struct Unescaped<'a>(Chars<'a>);

impl Unescaped<'_> {
    fn hex4(&mut self) -> u32 {
        (0..4).fold(0, |number, _| {
            number << 4 | self.0.next().and_then(|digit| digit.to_digit(16)).unwrap_or(0)
        })
    }

    fn code_point(&mut self) -> u32 {
        let high = self.hex4();
        if !matches!(high, 0xD800..=0xDBFF) {
            return high;
        }
        // The check has seen `\u` and the other half of the pair.
        self.0.next();
        self.0.next();
        0x1_0000 + ((high & 0x3FF) << 10 | self.hex4() & 0x3FF)
    }
}

impl Iterator for Unescaped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.0.next()? {
            '\\' => Some(match self.0.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => char::from_u32(self.code_point()).unwrap_or(char::REPLACEMENT_CHARACTER),
                other => other,
            }),
            plain => Some(plain),
        }
    }
}
