//! A pull parser for JSON (RFC 8259): values and strings are views of the message.
//!
//! [`parse`] checks the whole message once, with a bound on nesting and without recursion; the views walk text that is known
//! to be JSON. A generic deserializer does not serve here: it recurses over members it skips, so that a few kilobytes of
//! brackets from the network overflow the stack of a small device, and it hands out strings with their escapes left in.

use core::fmt;

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
    let text = core::str::from_utf8(message).map_err(|_| JsonError::Utf8)?;
    let mut scanner = Scanner { bytes: message, at: 0 };
    scanner.skip_space();
    let start = scanner.at;
    scanner.value()?;
    let end = scanner.at;
    scanner.skip_space();
    if scanner.peek().is_some() {
        return Err(JsonError::Trailing);
    }
    Ok(Value(text.get(start..end).unwrap_or_default()))
}

/// What may come next while a message is checked.
#[derive(Clone, Copy)]
enum Expect {
    Value,
    ElementOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::Syntax)?;
        self.step();
        Ok(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.step();
        }
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    /// Checks one value with all it holds.
    fn value(&mut self) -> Result<(), JsonError> {
        // Bit 0 of `objects` says whether the innermost open container is an object; the bits above it are its parents'.
        let (mut objects, mut depth) = (0u32, 0u32);
        let mut expect = Expect::Value;
        // Every turn consumes a byte or moves from `ElementOrEnd` to `Value`.
        loop {
            self.skip_space();
            let closed = match expect {
                Expect::ElementOrEnd if self.eat(b']') => true,
                Expect::KeyOrEnd if self.eat(b'}') => true,
                Expect::ElementOrEnd | Expect::Value => match self.peek().ok_or(JsonError::Syntax)? {
                    open @ (b'{' | b'[') => {
                        self.step();
                        depth = depth.saturating_add(1);
                        if depth > MAX_DEPTH {
                            return Err(JsonError::TooDeep);
                        }
                        objects = objects << 1 | u32::from(open == b'{');
                        expect = if open == b'{' { Expect::KeyOrEnd } else { Expect::ElementOrEnd };
                        continue;
                    }
                    _ => {
                        self.scalar()?;
                        false
                    }
                },
                Expect::KeyOrEnd | Expect::Key => {
                    self.string()?;
                    self.skip_space();
                    if !self.eat(b':') {
                        return Err(JsonError::Syntax);
                    }
                    expect = Expect::Value;
                    continue;
                }
                Expect::CommaOrEnd => {
                    let object = objects & 1 != 0;
                    if self.eat(b',') {
                        expect = if object { Expect::Key } else { Expect::Value };
                        continue;
                    }
                    if !self.eat(if object { b'}' } else { b']' }) {
                        return Err(JsonError::Syntax);
                    }
                    true
                }
            };
            if closed {
                depth = depth.saturating_sub(1);
                objects >>= 1;
            }
            if depth == 0 {
                return Ok(());
            }
            expect = Expect::CommaOrEnd;
        }
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => self.number(),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        for byte in word {
            if !self.eat(*byte) {
                return Err(JsonError::Syntax);
            }
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.next()?.is_ascii_digit() {
            return Err(JsonError::Syntax);
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        if !self.eat(b'"') {
            return Err(JsonError::Syntax);
        }
        loop {
            self.skip_plain();
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                // A control character.
                _ => return Err(JsonError::Syntax),
            }
        }
    }

    /// Steps to the next byte that means something in a string. A payload is one long string, so this loop is kept bare.
    fn skip_plain(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let size = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(size);
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.hex4()? {
                // RFC 8259, 7: characters beyond the basic plane are two escapes; half of such a pair is no character.
                0xD800..=0xDBFF => {
                    if !self.eat(b'\\') || !self.eat(b'u') || !matches!(self.hex4()?, 0xDC00..=0xDFFF) {
                        return Err(JsonError::Syntax);
                    }
                    Ok(())
                }
                0xDC00..=0xDFFF => Err(JsonError::Syntax),
                _ => Ok(()),
            },
            _ => Err(JsonError::Syntax),
        }
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut number = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(JsonError::Syntax)?;
            number = number << 4 | digit;
        }
        Ok(number)
    }

    /// Steps over a value of text that was checked before.
    fn skip_checked(&mut self) {
        let mut depth = 0u32;
        while let Some(byte) = self.peek() {
            match byte {
                // The text was checked, so the string ends; if it did not, the end of the text would end this loop.
                b'"' => self.skip_checked_string(),
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.step();
                }
                b'}' | b']' if depth > 0 => {
                    depth = depth.saturating_sub(1);
                    self.step();
                }
                b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return,
                _ => {
                    self.step();
                    continue;
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_checked_string(&mut self) {
        self.step();
        self.skip_plain();
        while let Some(byte) = self.peek() {
            self.step();
            if byte == b'"' {
                return;
            }
            // A backslash, and the character it guards.
            self.step();
            self.skip_plain();
        }
    }
}

/// A JSON value of a checked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// The value as it stands in the message.
    pub const fn raw(&self) -> &'a str {
        self.0
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// Whether this is a number of any kind.
    pub fn is_number(&self) -> bool {
        matches!(self.0.as_bytes().first(), Some(b'-' | b'0'..=b'9'))
    }

    /// The value if it is a string.
    pub fn as_text(&self) -> Option<Text<'a>> {
        self.inside(b'"', b'"').map(Text::new)
    }

    /// The value if it is a string without an escape.
    pub(super) fn as_plain(&self) -> Option<&'a str> {
        self.as_text()?.as_plain()
    }

    /// The value if it is a whole number of at least 0 that fits, written without fraction and exponent.
    pub fn as_u64(&self) -> Option<u64> {
        decimal(self.0)
    }

    /// As [`Value::as_u64`], for numbers up to `u32::MAX`.
    pub fn as_u32(&self) -> Option<u32> {
        u32::try_from(self.as_u64()?).ok()
    }

    /// Names and values if this is an object.
    pub fn members(&self) -> Option<Members<'a>> {
        Some(Members(Items { text: self.inside(b'{', b'}')?, at: 0 }))
    }

    /// The elements if this is an array.
    pub fn elements(&self) -> Option<Elements<'a>> {
        Some(Elements(Items { text: self.inside(b'[', b']')?, at: 0 }))
    }

    /// What stands between these two.
    #[inline(never)]
    fn inside(&self, open: u8, close: u8) -> Option<&'a str> {
        let [first, .., last] = self.0.as_bytes() else { return None };
        if (*first, *last) == (open, close) { self.0.get(1..self.0.len().saturating_sub(1)) } else { None }
    }

    /// The members of these names, in this order; `null` counts as absent, other members are passed over.
    ///
    /// # Errors
    /// [`JsonError::Value`] if this is no object, [`JsonError::Duplicate`] if one of the names occurs twice.
    pub fn fields<const N: usize>(&self, names: [&str; N]) -> Result<[Option<Value<'a>>; N], JsonError> {
        let mut found = [None; N];
        self.find(&names, &mut found)?;
        Ok(found)
    }

    /// [`fields`](Self::fields), for any number of names.
    #[inline(never)]
    fn find(&self, names: &[&str], found: &mut [Option<Value<'a>>]) -> Result<(), JsonError> {
        for (name, value) in self.members().ok_or(JsonError::Value)? {
            for (place, wanted) in found.iter_mut().zip(names) {
                if name.is(wanted) && place.replace(value).is_some() {
                    return Err(JsonError::Duplicate);
                }
            }
        }
        for place in found {
            *place = place.filter(|value| !value.is_null());
        }
        Ok(())
    }
}

/// A number of decimal digits and nothing else.
#[inline(never)]
pub(super) fn decimal(digits: &str) -> Option<u64> {
    let mut number = 0u64;
    for byte in digits.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!digits.is_empty()).then_some(number)
}

/// What stands between the brackets of a checked container.
#[derive(Debug, Clone)]
struct Items<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Items<'a> {
    /// The next value after blanks and the separators `,` and `:`.
    fn next(&mut self) -> Option<Value<'a>> {
        let mut scanner = Scanner { bytes: self.text.as_bytes(), at: self.at };
        while matches!(scanner.peek(), Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':')) {
            scanner.step();
        }
        let start = scanner.at;
        scanner.skip_checked();
        self.at = scanner.at;
        self.text.get(start..self.at).filter(|text| !text.is_empty()).map(Value)
    }
}

/// Iterates over the members of an object in their order.
#[derive(Debug, Clone)]
pub struct Members<'a>(Items<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.next()?.as_text()?;
        Some((name, self.0.next()?))
    }
}

/// Iterates over the elements of an array in their order.
#[derive(Debug, Clone)]
pub struct Elements<'a>(Items<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
