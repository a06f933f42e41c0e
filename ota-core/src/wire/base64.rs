//! stub
use super::json::Text;
/// Why base64 was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Base64Error {
    /// A character outside the alphabet.
    Character,
    /// Padding is missing, in the wrong place, or hides bits.
    Padding,
    /// The output does not fit.
    BufferTooSmall,
}
/// Decodes a JSON string (escapes such as `\/` undone) into `out`; returns bytes written.
pub fn decode_text(text: Text<'_>, out: &mut [u8]) -> Result<usize, Base64Error> {
    let _ = (text, out);
    Err(Base64Error::Character)
}
/// Decodes strict, padded base64 into `out`; returns bytes written.
pub fn decode(text: &[u8], out: &mut [u8]) -> Result<usize, Base64Error> {
    let _ = (text, out);
    Err(Base64Error::Character)
}
