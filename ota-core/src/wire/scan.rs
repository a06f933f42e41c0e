//! Stepping over JSON (RFC 8259): what is checked, and what is passed over, goes the same way.

use super::json::{JsonError, MAX_DEPTH, Value, number_u32};

/// Stands for the end of the text. In JSON this byte is wrong wherever it may stand, as the end is.
const END: u8 = 0;

/// A place in a text that is, or is to be, JSON.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Whether nothing but blanks is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.at >= self.text.len()
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(END)
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// The byte here, which is stepped over; [`END`] for as long as it is asked for at the end.
    pub(super) fn next(&mut self) -> u8 {
        let byte = self.peek();
        self.step();
        byte
    }

    /// Steps over `byte` if it is here.
    #[inline(never)]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        if found {
            self.step();
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(JsonError::Syntax) }
    }

    #[inline(never)]
    fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.step();
        }
    }

    /// The value here, with all it holds.
    #[inline(never)]
    pub(super) fn value(&mut self) -> Result<Value<'a>, JsonError> {
        self.skip_blanks();
        let from = self.at;
        self.skip_value()?;
        self.text.get(from..self.at).map(Value::new).ok_or(JsonError::Syntax)
    }

    /// The value behind a separator, in an object or array that was checked; `None` where it ends.
    pub(super) fn item(&mut self) -> Option<Value<'a>> {
        self.skip_blanks();
        if matches!(self.peek(), b',' | b':') {
            self.step();
        }
        self.value().ok()
    }

    fn skip_value(&mut self) -> Result<(), JsonError> {
        // One bit for each open object (1) or array (0), the innermost lowest, below a 1 that marks the end.
        let mut open = 1u32;
        // Every turn steps over a byte at least.
        loop {
            self.skip_blanks();
            let byte = self.peek();
            let mut begun = matches!(byte, b'{' | b'[');
            if begun {
                if open >> MAX_DEPTH != 0 {
                    return Err(JsonError::TooDeep);
                }
                open = open << 1 | u32::from(byte == b'{');
                self.step();
            } else {
                self.skip_scalar(byte)?;
            }
            // What ends here.
            while open > 1 {
                self.skip_blanks();
                if !self.eat(if open & 1 == 1 { b'}' } else { b']' }) {
                    break;
                }
                open >>= 1;
                begun = false;
            }
            if open == 1 {
                return Ok(());
            }
            if !begun {
                self.expect(b',')?;
            }
            if open & 1 == 1 {
                self.skip_blanks();
                self.skip_string()?;
                self.skip_blanks();
                self.expect(b':')?;
            }
        }
    }

    fn skip_scalar(&mut self, first: u8) -> Result<(), JsonError> {
        match first {
            b'"' => self.skip_string(),
            b't' => self.skip_word("true"),
            b'f' => self.skip_word("false"),
            b'n' => self.skip_word("null"),
            _ => self.skip_number(),
        }
    }

    fn skip_word(&mut self, word: &str) -> Result<(), JsonError> {
        word.bytes().try_for_each(|byte| self.expect(byte))
    }

    fn skip_number(&mut self) -> Result<(), JsonError> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.skip_digits()?;
        }
        if self.eat(b'.') {
            self.skip_digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.skip_digits()?;
        }
        Ok(())
    }

    /// One digit at least.
    #[inline(never)]
    fn skip_digits(&mut self) -> Result<(), JsonError> {
        let from = self.at;
        while self.peek().is_ascii_digit() {
            self.step();
        }
        if self.at == from { Err(JsonError::Syntax) } else { Ok(()) }
    }

    #[inline(never)]
    fn skip_string(&mut self) -> Result<(), JsonError> {
        self.expect(b'"')?;
        loop {
            self.skip_plain();
            match self.next() {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                // A control character, or the end.
                _ => return Err(JsonError::Syntax),
            };
        }
    }

    /// Steps to the next byte that means something in a string. A payload is one long string, so this loop is kept bare.
    fn skip_plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
        let size = rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(size);
    }

    /// The character an escape means, behind its backslash.
    #[inline(never)]
    pub(super) fn escape(&mut self) -> Result<u32, JsonError> {
        match self.next() {
            byte @ (b'"' | b'\\' | b'/') => Ok(byte.into()),
            b'b' => Ok(0x08),
            b'f' => Ok(0x0C),
            b'n' => Ok(b'\n'.into()),
            b'r' => Ok(b'\r'.into()),
            b't' => Ok(b'\t'.into()),
            b'u' => {
                let unit = self.hex4()?;
                // RFC 8259, 7: characters beyond the basic plane are two escapes; half of such a pair is no character.
                if unit >> 11 != 0xD800 >> 11 {
                    return Ok(unit);
                }
                self.expect(b'\\')?;
                self.expect(b'u')?;
                let low = self.hex4()?;
                if unit >> 10 != 0xD800 >> 10 || low >> 10 != 0xDC00 >> 10 {
                    return Err(JsonError::Syntax);
                }
                Ok(0x1_0000 + ((unit & 0x3FF) << 10 | low & 0x3FF))
            }
            _ => Err(JsonError::Syntax),
        }
    }

    #[inline(never)]
    fn hex4(&mut self) -> Result<u32, JsonError> {
        let from = self.at;
        self.at = from.saturating_add(4);
        self.text.get(from..self.at).and_then(|digits| number_u32(digits, 16)).ok_or(JsonError::Syntax)
    }
}
