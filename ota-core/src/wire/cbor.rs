//! The part of CBOR (RFC 8949) stream messages need: a pull decoder with a bound on nesting, and heads for writing.
//!
//! `minicbor` without an allocator cannot skip an indefinite item inside a definite one, and unknown members may hold
//! just that.

use super::{
    stream::StreamDecodeError::{self, Chunked, Malformed, NotAMap, TooDeep, Truncated, Type},
    writer::Writer,
};

/// Arrays and maps inside each other that are skipped.
pub(crate) const MAX_DEPTH: usize = 8;

/// Ends an item of indefinite length.
pub(crate) const BREAK: u8 = 0xFF;
/// Starts a text of one byte.
const ONE_LETTER: u8 = major::TEXT << info::BITS | 1;
/// Starts a map of indefinite length.
pub(crate) const MAP_INDEFINITE: u8 = 0xBF;

/// Major types (RFC 8949, 3.1): the upper three bits of the first byte of an item.
pub(crate) mod major {
    pub(crate) const UNSIGNED: u8 = 0;
    pub(crate) const NEGATIVE: u8 = 1;
    pub(crate) const BYTES: u8 = 2;
    pub(crate) const TEXT: u8 = 3;
    pub(crate) const ARRAY: u8 = 4;
    pub(crate) const MAP: u8 = 5;
    pub(crate) const TAG: u8 = 6;
    pub(crate) const SIMPLE: u8 = 7;
}

/// Additional information (RFC 8949, 3): the lower five bits of the first byte.
pub(crate) mod info {
    pub(super) const MASK: u8 = 0x1F;
    pub(crate) const BITS: u32 = 5;
    /// Below this the value is the argument itself.
    pub(crate) const ONE_BYTE: u8 = 24;
    pub(crate) const TWO_BYTES: u8 = 25;
    pub(super) const FOUR_BYTES: u8 = 26;
    pub(super) const EIGHT_BYTES: u8 = 27;
    pub(super) const INDEFINITE: u8 = 31;
}

/// The first bytes of an item. `argument` is `None` where the length is indefinite, and in the break.
#[derive(Clone, Copy)]
struct Head {
    major: u8,
    argument: Option<u64>,
}

/// What is left of an array or map, in entries; `None` until a break.
pub(crate) struct Entries(Option<u64>);

impl Entries {
    /// Whether another entry follows; consumes the break.
    #[inline]
    pub(crate) fn more(&mut self, decoder: &mut Decoder<'_>) -> Result<bool, StreamDecodeError> {
        match &mut self.0 {
            Some(0) => Ok(false),
            Some(left) => {
                *left = left.saturating_sub(1);
                Ok(true)
            }
            None => Ok(!decoder.take_break()?),
        }
    }
}

/// An open array or map while an item is skipped. `left` counts items, so two for each entry of a map; of an indefinite
/// one it only says whether a value must follow.
#[derive(Clone, Copy, Default)]
struct Frame {
    left: u64,
    indefinite: bool,
    map: bool,
}

impl Frame {
    /// Counts an item that begins.
    fn begin(&mut self) {
        self.left =
            if self.indefinite { self.left ^ u64::from(self.map) } else { self.left.saturating_sub(1) };
    }

    fn ended(&self, decoder: &mut Decoder<'_>) -> Result<bool, StreamDecodeError> {
        if !self.indefinite {
            return Ok(self.left == 0);
        }
        let ended = decoder.take_break()?;
        // A name without its value.
        if ended && self.left != 0 { Err(Malformed) } else { Ok(ended) }
    }
}

pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Nothing may follow what was read.
    #[inline]
    pub(crate) fn end(&self) -> Result<(), StreamDecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(StreamDecodeError::Trailing) }
    }

    #[inline]
    fn take_break(&mut self) -> Result<bool, StreamDecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(Truncated)?;
        if *first == BREAK {
            self.rest = rest;
        }
        Ok(*first == BREAK)
    }

    #[inline]
    fn argument<const N: usize>(&mut self) -> Result<[u8; N], StreamDecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn head(&mut self) -> Result<Head, StreamDecodeError> {
        let [first] = self.argument::<1>()?;
        let major = first >> info::BITS;
        let argument = match first & info::MASK {
            small @ 0..info::ONE_BYTE => u64::from(small),
            info::ONE_BYTE => u64::from(u8::from_be_bytes(self.argument()?)),
            info::TWO_BYTES => u64::from(u16::from_be_bytes(self.argument()?)),
            info::FOUR_BYTES => u64::from(u32::from_be_bytes(self.argument()?)),
            info::EIGHT_BYTES => u64::from_be_bytes(self.argument()?),
            info::INDEFINITE if !matches!(major, major::UNSIGNED | major::NEGATIVE | major::TAG) => {
                return Ok(Head { major, argument: None });
            }
            _ => return Err(Malformed),
        };
        Ok(Head { major, argument: Some(argument) })
    }

    /// A head of this major type whose argument stands in up to two bytes behind it: all of a block but a number above 65,535.
    #[inline]
    pub(crate) fn short(&mut self, major: u8) -> Option<u32> {
        let (&first, rest) = self.rest.split_first()?;
        let small = first ^ (major << info::BITS);
        let (argument, rest) = match small {
            0..info::ONE_BYTE => (u32::from(small), rest),
            info::ONE_BYTE => rest.split_first().map(|(byte, rest)| (u32::from(*byte), rest))?,
            info::TWO_BYTES => {
                rest.split_first_chunk().map(|(bytes, rest)| (u32::from(u16::from_be_bytes(*bytes)), rest))?
            }
            _ => return None,
        };
        self.rest = rest;
        Some(argument)
    }

    /// The start of a map.
    #[inline]
    pub(crate) fn map(&mut self) -> Result<Entries, StreamDecodeError> {
        let head = self.head()?;
        if head.major == major::MAP { Ok(Entries(head.argument)) } else { Err(NotAMap) }
    }

    /// The start of an array.
    pub(crate) fn array(&mut self) -> Result<Entries, StreamDecodeError> {
        let head = self.head()?;
        if head.major == major::ARRAY { Ok(Entries(head.argument)) } else { Err(Type) }
    }

    /// The name of an entry; empty, so that it matches nothing, if it is no text in one piece.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<&'a [u8], StreamDecodeError> {
        // Names of blocks are one letter long: no head to take apart, and nothing to look for.
        if let [ONE_LETTER, name, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(core::slice::from_ref(name));
        }
        self.long_key()
    }

    fn long_key(&mut self) -> Result<&'a [u8], StreamDecodeError> {
        let start = self.rest;
        let head = self.head()?;
        if let Head { major: major::TEXT, argument: Some(size) } = head {
            return self.take(size);
        }
        self.rest = start;
        self.skip()?;
        Ok(&[])
    }

    /// A number of at least 0, of any width.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u32, StreamDecodeError> {
        match self.short(major::UNSIGNED) {
            Some(number) => Ok(number),
            None => self.any_number(),
        }
    }

    fn any_number(&mut self) -> Result<u32, StreamDecodeError> {
        match self.head()? {
            Head { major: major::UNSIGNED, argument: Some(number) } => {
                u32::try_from(number).map_err(|_| StreamDecodeError::Number)
            }
            Head { major: major::NEGATIVE, .. } => Err(StreamDecodeError::Number),
            _ => Err(Type),
        }
    }

    /// The contents of a byte string. One of indefinite length is taken while they are in one piece.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], StreamDecodeError> {
        match self.short(major::BYTES) {
            Some(size) => self.take(size.into()),
            None => self.any_bytes(),
        }
    }

    fn any_bytes(&mut self) -> Result<&'a [u8], StreamDecodeError> {
        match self.head()? {
            Head { major: major::BYTES, argument: Some(size) } => self.take(size),
            Head { major: major::BYTES, argument: None } => self.only_chunk(),
            _ => Err(Type),
        }
    }

    fn only_chunk(&mut self) -> Result<&'a [u8], StreamDecodeError> {
        let (mut found, _) = self.rest.split_at(0);
        while !self.take_break()? {
            let chunk = self.chunk(major::BYTES)?;
            if !found.is_empty() && !chunk.is_empty() {
                return Err(Chunked);
            }
            if !chunk.is_empty() {
                found = chunk;
            }
        }
        Ok(found)
    }

    /// Text in one piece.
    pub(crate) fn text(&mut self) -> Result<&'a str, StreamDecodeError> {
        match self.head()? {
            Head { major: major::TEXT, argument: Some(size) } => {
                core::str::from_utf8(self.take(size)?).map_err(|_| Malformed)
            }
            Head { major: major::TEXT, argument: None } => Err(Chunked),
            _ => Err(Type),
        }
    }

    /// A chunk of a string of indefinite length: a string of the same type and of definite length (RFC 8949, 3.2.3).
    fn chunk(&mut self, major: u8) -> Result<&'a [u8], StreamDecodeError> {
        match self.head()? {
            Head { major: found, argument: Some(size) } if found == major => self.take(size),
            _ => Err(Malformed),
        }
    }

    #[inline]
    fn take(&mut self, size: u64) -> Result<&'a [u8], StreamDecodeError> {
        let size = usize::try_from(size).map_err(|_| Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Steps over one item with all it holds. Every turn of the loops consumes a byte or closes a frame.
    pub(crate) fn skip(&mut self) -> Result<(), StreamDecodeError> {
        let mut frames = [Frame::default(); MAX_DEPTH];
        let mut depth = 0usize;
        loop {
            if let Some(top) = depth.checked_sub(1).and_then(|top| frames.get_mut(top)) {
                top.begin();
            }
            if let Some(frame) = self.item()? {
                *frames.get_mut(depth).ok_or(TooDeep)? = frame;
                depth = depth.saturating_add(1);
            }
            loop {
                let Some(top) = depth.checked_sub(1).and_then(|top| frames.get(top)) else { return Ok(()) };
                if !top.ended(self)? {
                    break;
                }
                depth = depth.saturating_sub(1);
            }
        }
    }

    /// Steps over a whole number, string or simple value, or over the head of an array or map, whose frame it returns.
    fn item(&mut self) -> Result<Option<Frame>, StreamDecodeError> {
        loop {
            let head = self.head()?;
            match (head.major, head.argument) {
                // A tag belongs to the item behind it.
                (major::TAG, _) => {}
                (string @ (major::BYTES | major::TEXT), None) => {
                    while !self.take_break()? {
                        self.chunk(string)?;
                    }
                    return Ok(None);
                }
                (major::BYTES | major::TEXT, Some(size)) => {
                    self.take(size)?;
                    return Ok(None);
                }
                (major::ARRAY | major::MAP, length) => {
                    let map = head.major == major::MAP;
                    let left = length.unwrap_or(0).checked_mul(if map { 2 } else { 1 }).ok_or(Truncated)?;
                    return Ok(Some(Frame { left, indefinite: length.is_none(), map }));
                }
                // A break where an item belongs.
                (major::SIMPLE, None) => return Err(Malformed),
                _ => return Ok(None),
            }
        }
    }
}

/// Writes the head of an item, in its shortest form.
pub(crate) fn head(writer: &mut Writer<'_>, major: u8, argument: u32) {
    let first = major << info::BITS;
    if argument < u32::from(info::ONE_BYTE) {
        writer.byte(first | argument as u8);
    } else if let Ok(argument) = u8::try_from(argument) {
        writer.bytes(&[first | info::ONE_BYTE, argument]);
    } else if let Ok(argument) = u16::try_from(argument) {
        writer.byte(first | info::TWO_BYTES);
        writer.bytes(&argument.to_be_bytes());
    } else {
        writer.byte(first | info::FOUR_BYTES);
        writer.bytes(&argument.to_be_bytes());
    }
}

/// Writes a name and a number of at least 0.
pub(crate) fn number_entry(writer: &mut Writer<'_>, name: &str, number: u32) {
    text(writer, name);
    head(writer, major::UNSIGNED, number);
}

/// Writes a text.
pub(crate) fn text(writer: &mut Writer<'_>, text: &str) {
    head(writer, major::TEXT, length(text.as_bytes()));
    writer.str(text);
}

/// Writes a byte string.
pub(crate) fn bytes(writer: &mut Writer<'_>, bytes: &[u8]) {
    head(writer, major::BYTES, length(bytes));
    writer.bytes(bytes);
}

/// A longer string does not fit any buffer that could follow, so the writer reports it.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
