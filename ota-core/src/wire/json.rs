//! A pull parser for JSON (RFC 8259): values and strings are views of the message.
//!
//! [`parse`] checks the whole message once, with a bound on nesting and without recursion; the views walk text that is known
//! to be JSON, in the same steps. A generic deserializer does not serve here: it recurses over members it skips, so that a few kilobytes of
//! brackets from the network overflow the stack of a small device, and it hands out strings with their escapes left in.

use core::fmt;

pub use super::text::{Text, Unescaped};
use super::{
    field::{Shape, find, none},
    scan::Scanner,
    topic::Format,
};

/// Arrays and objects inside each other that are accepted. An OTA job document needs six.
pub const MAX_DEPTH: u32 = 16;

/// Why a JSON message could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// Not UTF-8.
    Utf8,
    /// Not JSON: a token is wrong, an escape means no character, or the message ends too early.
    Syntax,
    /// Something follows the value.
    Trailing,
    /// More than [`MAX_DEPTH`] arrays and objects inside each other.
    TooDeep,
    /// A member this library reads occurs twice.
    Duplicate,
    /// A member that must be there is not.
    Missing,
    /// A member has the wrong type, or its value is out of range.
    Value,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "the message is not UTF-8: drop it",
            Self::Syntax => "the message is not JSON: drop it",
            Self::Trailing => "something follows the JSON value: drop the message",
            Self::TooDeep => "the JSON is nested more than 16 deep: flatten the document",
            Self::Duplicate => "a member occurs twice: send it once",
            Self::Missing => "a required member is missing: add it",
            Self::Value => "a member has the wrong type or is out of range: correct it",
        })
    }
}

impl core::error::Error for JsonError {}

/// Checks that `message` is one JSON value and nothing else.
///
/// # Errors
/// See [`JsonError`]. Each byte is looked at a fixed number of times, whatever it holds.
pub fn parse(message: &[u8]) -> Result<Value<'_>, JsonError> {
    check(message)?;
    Scanner::new(message).value().ok_or(JsonError::Syntax)
}

/// [`parse`], for a caller who looks at the value later.
#[inline(never)]
pub(super) fn check(message: &[u8]) -> Result<(), JsonError> {
    core::str::from_utf8(message).map_err(|_| JsonError::Utf8)?;
    let mut scanner = Scanner::new(message);
    scanner.skip()?;
    if scanner.is_at_end() { Ok(()) } else { Err(JsonError::Trailing) }
}

/// What was checked to be UTF-8, as text.
#[inline(never)]
pub(super) fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// A JSON value of a checked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// Of the text of one value, that was checked.
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The value as it stands in the message.
    pub fn raw(&self) -> &'a str {
        text(self.0)
    }

    /// [`raw`](Self::raw), as bytes.
    pub(super) const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// What a value is shows in its first byte.
    pub(super) fn starts_with(&self, byte: u8) -> bool {
        self.0.first() == Some(&byte)
    }

    /// Whether this is an object without members.
    pub(super) fn is_empty_object(&self) -> bool {
        let mut scanner = Scanner::new(self.0);
        scanner.token() == b'{' && scanner.token() == b'}'
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        self.starts_with(b'n')
    }

    /// Whether this is a number of any kind.
    pub fn is_number(&self) -> bool {
        matches!(self.0, [b'-' | b'0'..=b'9', ..])
    }

    /// The value if it is a string.
    pub fn as_text(&self) -> Option<Text<'a>> {
        match self.0 {
            [b'"', raw @ .., b'"'] => Some(Text::new(raw)),
            _ => None,
        }
    }

    /// The value if it is a whole number of at least 0 that fits, written without fraction and exponent.
    pub fn as_u64(&self) -> Option<u64> {
        number(self.0, 10)
    }

    /// As [`Value::as_u64`], for numbers up to `u32::MAX`.
    pub fn as_u32(&self) -> Option<u32> {
        number_u32(self.0, 10)
    }

    /// Names and values if this is an object.
    pub fn members(&self) -> Option<Members<'a>> {
        self.items(b'{').map(Members)
    }

    /// The elements if this is an array.
    pub fn elements(&self) -> Option<Elements<'a>> {
        self.items(b'[').map(Elements)
    }

    /// What stands behind the first byte, if that is `open`.
    pub(super) fn items(&self, open: u8) -> Option<Scanner<'a>> {
        self.starts_with(open).then(|| Scanner::new(self.0.get(1..).unwrap_or_default()))
    }

    /// The member of this name, if it is there and not `null`.
    ///
    /// # Errors
    /// [`JsonError::Value`] if this is no object, [`JsonError::Duplicate`] if the name occurs twice.
    pub fn member(&self, name: &str) -> Result<Option<Value<'a>>, JsonError> {
        let mut found = none();
        find(Format::Json, self.0, &Shape { names: name, types: "*", required: 0 }, &mut found)?;
        Ok(found[0].bytes().map(Value))
    }
}

/// A number of digits and nothing else.
#[inline(never)]
pub(super) fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let mut number = 0;
    for byte in digits {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            letter => (letter | 0x20).wrapping_sub(b'a').saturating_add(10),
        };
        if u32::from(digit) >= radix {
            return None;
        }
        // 32 bits at a time.
        let low = (number & u64::from(u32::MAX)) * u64::from(radix) + u64::from(digit);
        let high = (number >> 32) * u64::from(radix) + (low >> 32);
        if high >> 32 != 0 {
            return None;
        }
        number = high << 32 | low & u64::from(u32::MAX);
    }
    (!digits.is_empty()).then_some(number)
}

/// [`number`] below 2³².
#[inline(never)]
pub(super) fn number_u32(digits: &[u8], radix: u32) -> Option<u32> {
    u32::try_from(number(digits, radix)?).ok()
}

/// Iterates over the members of an object in their order.
#[derive(Debug, Clone)]
pub struct Members<'a>(Scanner<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.item()?.as_text()?;
        Some((name, self.0.item()?))
    }
}

/// Iterates over the elements of an array in their order.
#[derive(Debug, Clone)]
pub struct Elements<'a>(Scanner<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.item()
    }
}
