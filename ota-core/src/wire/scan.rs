//! Stepping over JSON (RFC 8259): what is checked, and what is passed over, goes the same way.

use core::slice::Iter;

use super::json::{JsonError, MAX_DEPTH, Value, number_u32};

/// Stands for the end of the text. In JSON this byte is wrong wherever it may stand, as the end is.
const END: u8 = 0;

/// A place in a text that is, or is to be, JSON.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'a> {
    rest: Iter<'a, u8>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text.iter() }
    }

    fn peek(&self) -> u8 {
        self.rest.as_slice().first().copied().unwrap_or(END)
    }

    /// The byte here, which is stepped over; [`END`] for as long as it is asked for at the end.
    #[inline(never)]
    pub(super) fn next(&mut self) -> u8 {
        self.rest.next().copied().unwrap_or(END)
    }

    #[inline(never)]
    fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.next();
        }
    }

    /// The byte behind blanks, as [`next`](Self::next).
    #[inline(never)]
    pub(super) fn token(&mut self) -> u8 {
        self.skip_blanks();
        self.next()
    }

    /// Whether nothing but blanks is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.rest.as_slice().is_empty()
    }

    /// Steps over `byte` if it is here.
    #[inline(never)]
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        if found {
            self.next();
        }
        found
    }

    /// The value behind a separator, in an object or array that was checked; `None` where it ends.
    #[inline(never)]
    pub(super) fn item(&mut self) -> Option<Value<'a>> {
        self.skip_blanks();
        if matches!(self.peek(), b',' | b':') {
            self.next();
        }
        self.value()
    }

    /// The value here, with all it holds.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        self.skip_blanks();
        let from = self.rest.as_slice();
        self.skip().ok()?;
        from.get(..from.len().saturating_sub(self.rest.len())).map(Value::new)
    }

    /// Steps over the value here, with all it holds. An object is taken for a list whose every other item is a name.
    #[inline(never)]
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        // One bit for each open object (1) or array (0), the innermost lowest, below a 1 that marks the end.
        let mut open = 1u32;
        // Here is a value, not a name.
        let mut value = true;
        let mut byte = self.token();
        // Every turn steps over a byte at least.
        loop {
            if value && matches!(byte, b'{' | b'[') {
                if open >> MAX_DEPTH != 0 {
                    return Err(JsonError::TooDeep);
                }
                open = open << 1 | u32::from(byte == b'{');
                byte = self.token();
                if byte != end_of(open) {
                    value = open & 1 == 0;
                    continue;
                }
            } else {
                if !value && byte != b'"' || !self.skip_scalar(byte) {
                    return Err(JsonError::Syntax);
                }
                if open == 1 {
                    return Ok(());
                }
                byte = self.token();
            }
            while value && byte == end_of(open) {
                open >>= 1;
                if open == 1 {
                    return Ok(());
                }
                byte = self.token();
            }
            if byte != if value { b',' } else { b':' } {
                return Err(JsonError::Syntax);
            }
            value = !value || open & 1 == 0;
            byte = self.token();
        }
    }

    /// Behind its first byte; whether it is one.
    fn skip_scalar(&mut self, first: u8) -> bool {
        let word = match first {
            b'"' => return self.skip_string(),
            b't' => "rue",
            b'f' => "alse",
            b'n' => "ull",
            _ => return self.skip_number(first),
        };
        word.bytes().all(|byte| self.next() == byte)
    }

    fn skip_number(&mut self, first: u8) -> bool {
        let first = if first == b'-' { self.next() } else { first };
        let mut right = first.is_ascii_digit();
        if first != b'0' {
            self.skip_digits();
        }
        if self.eat(b'.') {
            right &= self.skip_digits();
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            right &= self.skip_digits();
        }
        right
    }

    /// Whether there was a digit.
    #[inline(never)]
    fn skip_digits(&mut self) -> bool {
        let mut found = false;
        while self.peek().is_ascii_digit() {
            self.next();
            found = true;
        }
        found
    }

    /// Behind the quote that opens it; whether it is a string.
    #[inline(never)]
    fn skip_string(&mut self) -> bool {
        loop {
            self.skip_plain();
            match self.next() {
                b'"' => return true,
                b'\\' if self.escape().is_some() => {}
                // A control character, or the end.
                _ => return false,
            }
        }
    }

    /// Steps to the next byte that means something in a string. A payload is one long string, so this loop is kept bare.
    fn skip_plain(&mut self) {
        let rest = self.rest.as_slice();
        let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
        let size = rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
        self.rest = rest.get(size..).unwrap_or_default().iter();
    }

    /// The character an escape means, behind its backslash.
    #[inline(never)]
    pub(super) fn escape(&mut self) -> Option<u32> {
        const LETTERS: &[u8; 8] = b"\"\\/bfnrt";
        const MEANINGS: &[u8; 8] = b"\"\\/\x08\x0C\n\r\t";
        let letter = self.next();
        if letter != b'u' {
            let place = LETTERS.iter().position(|known| *known == letter)?;
            return MEANINGS.get(place).map(|byte| u32::from(*byte));
        }
        let unit = self.hex4()?;
        // RFC 8259, 7: characters beyond the basic plane are two escapes; half of such a pair is no character.
        if unit >> 11 != 0xD800 >> 11 {
            return Some(unit);
        }
        let pair = self.next() == b'\\' && self.next() == b'u';
        let low = self.hex4()?;
        if !pair || unit >> 10 != 0xD800 >> 10 || low >> 10 != 0xDC00 >> 10 {
            return None;
        }
        Some(0x1_0000 + ((unit & 0x3FF) << 10 | low & 0x3FF))
    }

    #[inline(never)]
    fn hex4(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.as_slice().split_at_checked(4)?;
        self.rest = rest.iter();
        number_u32(digits, 16)
    }
}

/// What ends the innermost of what is open: `}` an object, `]` an array.
const fn end_of(open: u32) -> u8 {
    if open & 1 == 1 { b'}' } else { b']' }
}
