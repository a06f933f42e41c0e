//! stub
use super::writer::EncodeError;
/// Why a JSON message could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// Not UTF-8.
    Utf8,
    /// Not JSON: a token is wrong or the message ends too early.
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
/// Arrays and objects inside each other that are accepted.
pub const MAX_DEPTH: u32 = 16;
/// A JSON string as it stands in the message, escapes included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(&'a str);
impl<'a> Text<'a> {
    /// The string itself if it holds no escape.
    pub fn as_plain(&self) -> Option<&'a str> {
        None
    }
    /// What stands between the quotes, escapes included.
    pub fn raw(&self) -> &'a str {
        self.0
    }
    /// Writes the string without escapes into `buf`, which needs at most `raw().len()` bytes.
    pub fn unescape<'b>(&self, buf: &'b mut [u8]) -> Result<&'b str, EncodeError> {
        let _ = buf;
        Err(EncodeError::BufferTooSmall)
    }
}
/// A JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a str);
