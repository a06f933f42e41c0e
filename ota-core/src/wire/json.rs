//! A pull parser for JSON (RFC 8259): values and strings are views of the message.
//!
//! [`parse`] checks the whole message once, with a bound on nesting and without recursion; the views walk text that is known
//! to be JSON, in the same steps. A generic deserializer does not serve here: it recurses over members it skips, so that a few kilobytes of
//! brackets from the network overflow the stack of a small device, and it hands out strings with their escapes left in.

use core::fmt;

use super::scan::Scanner;
pub use super::text::{Text, Unescaped};

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
    let mut scanner = Scanner::new(core::str::from_utf8(message).map_err(|_| JsonError::Utf8)?);
    let value = scanner.value()?;
    if scanner.is_at_end() { Ok(value) } else { Err(JsonError::Trailing) }
}

/// A JSON value of a checked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// Of the text of one value, that was checked.
    pub(super) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The value as it stands in the message.
    pub const fn raw(&self) -> &'a str {
        self.0
    }

    /// What a value is shows in its first byte.
    fn starts_with(&self, byte: u8) -> bool {
        self.0.as_bytes().first() == Some(&byte)
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        self.starts_with(b'n')
    }

    /// Whether this is a number of any kind.
    pub fn is_number(&self) -> bool {
        matches!(self.0.as_bytes().first(), Some(b'-' | b'0'..=b'9'))
    }

    /// The value if it is a string.
    #[inline(never)]
    pub fn as_text(&self) -> Option<Text<'a>> {
        self.0.strip_prefix('"')?.strip_suffix('"').map(Text::new)
    }

    /// The value if it is a whole number of at least 0 that fits, written without fraction and exponent.
    pub fn as_u64(&self) -> Option<u64> {
        number(self.0, 10)
    }

    /// As [`Value::as_u64`], for numbers up to `u32::MAX`.
    #[inline(never)]
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

    fn items(&self, open: u8) -> Option<Scanner<'a>> {
        let mut scanner = Scanner::new(self.0);
        scanner.eat(open).then_some(scanner)
    }

    /// The member of this name, if it is there and not `null`.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn member(&self, name: &str) -> Result<Option<Value<'a>>, JsonError> {
        let mut found = [None];
        self.find(name, &mut found)?;
        Ok(found[0])
    }

    /// Puts the members of these names, with blanks between, into `found` in this order; `null` counts as absent, other
    /// members are passed over.
    ///
    /// # Errors
    /// [`JsonError::Value`] if this is no object, [`JsonError::Duplicate`] if one of the names occurs twice.
    #[inline(never)]
    pub fn find(&self, names: &str, found: &mut [Option<Value<'a>>]) -> Result<(), JsonError> {
        for (name, value) in self.members().ok_or(JsonError::Value)? {
            let place = name.position_in(names).and_then(|at| found.get_mut(at));
            if !value.is_null() && place.is_some_and(|place| place.replace(value).is_some()) {
                return Err(JsonError::Duplicate);
            }
        }
        Ok(())
    }
}

/// Values of an object, as what they should be. That one is something else is remembered to the [`end`](Self::end).
#[derive(Default)]
pub(super) struct Typed {
    wrong: bool,
}

impl Typed {
    /// A number that may be there.
    #[inline(never)]
    pub(super) fn number(&mut self, value: Option<Value<'_>>) -> Option<u32> {
        let number = value?.as_u32();
        self.wrong |= number.is_none();
        number
    }

    /// A string that may be there.
    #[inline(never)]
    pub(super) fn text<'a>(&mut self, value: Option<Value<'a>>) -> Option<Text<'a>> {
        let text = value?.as_text();
        self.wrong |= text.is_none();
        text
    }

    /// What must hold of some value.
    pub(super) fn check(&mut self, right: bool) {
        self.wrong |= !right;
    }

    pub(super) fn end(self) -> Result<(), JsonError> {
        if self.wrong { Err(JsonError::Value) } else { Ok(()) }
    }
}

/// A number of digits and nothing else.
#[inline(never)]
pub(super) fn number(digits: &str, radix: u32) -> Option<u64> {
    let mut number = 0u64;
    for byte in digits.bytes() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            letter => (letter | 0x20).wrapping_sub(b'a').saturating_add(10),
        };
        if u32::from(digit) >= radix {
            return None;
        }
        number = number.checked_mul(radix.into())?.checked_add(digit.into())?;
    }
    (!digits.is_empty()).then_some(number)
}

/// [`number`] below 2³².
pub(super) fn number_u32(digits: &str, radix: u32) -> Option<u32> {
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
