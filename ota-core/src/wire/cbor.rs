//! The part of CBOR (RFC 8949) stream messages need: a pull decoder with a bound on nesting, and heads for writing.
//!
//! `minicbor` without an allocator cannot skip an indefinite item inside a definite one, and unknown members may hold
//! just that.

use super::{
    field::Fault::{self, Malformed, NotAMap, TooDeep, Truncated, Type},
    writer::Writer,
};

/// Arrays and maps inside each other that are skipped.
pub(crate) const MAX_DEPTH: usize = 8;

/// Ends an item of indefinite length.
pub(crate) const BREAK: u8 = 0xFF;
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

/// What is left of an array or map that is open while an item is passed over: items, two for each entry of a map. Bits tell
/// where only a break ends it. A message never has as many items, so no counting reaches the bits.
mod open {
    /// It ends with a break.
    pub(super) const INDEFINITE: u32 = 1 << 31;
    /// The break may come at any item. (That of a map only where an even number is left.)
    pub(super) const ARRAY: u32 = 1 << 30;
    pub(super) const MOST: u32 = ARRAY - 2;
}

/// Whether an item is of this major type.
pub(crate) fn is_of(item: &[u8], major: u8) -> bool {
    item.first().is_some_and(|first| first >> info::BITS == major)
}

/// Checks that `message` is one map and nothing else.
pub(crate) fn check(message: &[u8]) -> Result<(), Fault> {
    if !message.is_empty() && !is_of(message, major::MAP) {
        return Err(NotAMap);
    }
    let mut decoder = Decoder::new(message);
    decoder.skip()?;
    if decoder.rest.is_empty() { Ok(()) } else { Err(Fault::Trailing) }
}

/// A place in a message.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    /// That of the last head: a number, a length or a count. One that does not fit is as large as can be, which is more than
    /// any message holds.
    argument: u32,
    /// The last argument does not fit.
    wide: bool,
}

impl<'a> Decoder<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, argument: 0, wide: false }
    }

    /// Behind the head of an item that was checked.
    pub(crate) fn inside(item: &'a [u8]) -> Self {
        let mut decoder = Self::new(item);
        // It was checked, so that it has one.
        let _ = decoder.head();
        decoder
    }

    /// The next item of an array or map that was checked, as it stands in the message; `None` where it ends.
    #[inline(never)]
    pub(crate) fn item(&mut self) -> Option<&'a [u8]> {
        let from = self.rest;
        if from == [BREAK] {
            return None;
        }
        self.skip().ok()?;
        from.get(..from.len().saturating_sub(self.rest.len()))
    }

    /// Reads the first byte of an item, and its argument.
    #[inline(never)]
    fn head(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or(Truncated)?;
        self.rest = rest;
        let short = first & info::MASK;
        (self.argument, self.wide) = (short.into(), false);
        match short {
            0..info::ONE_BYTE => {}
            info::ONE_BYTE..=info::EIGHT_BYTES => {
                self.argument = 0;
                for byte in self.take(1 << (short - info::ONE_BYTE)).ok_or(Truncated)? {
                    self.wide |= self.argument >> 24 != 0;
                    self.argument = self.argument << 8 | u32::from(*byte);
                }
                if self.wide {
                    self.argument = u32::MAX;
                }
            }
            info::INDEFINITE
                if !matches!(first >> info::BITS, major::UNSIGNED | major::NEGATIVE | major::TAG) => {}
            _ => return Err(Malformed),
        }
        Ok(*first)
    }

    #[inline(never)]
    fn take(&mut self, size: u32) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(size as usize)?;
        self.rest = rest;
        Some(taken)
    }

    /// The number of at least 0, of any width, that `item` is.
    pub(crate) fn number(item: &[u8]) -> Result<u32, Fault> {
        let mut decoder = Decoder::new(item);
        match decoder.head()? >> info::BITS {
            major::UNSIGNED if !decoder.wide => Ok(decoder.argument),
            major::UNSIGNED | major::NEGATIVE => Err(Fault::Number),
            _ => Err(Type),
        }
    }

    /// The string of this type that `item` is; `None` for another item, and for a string in several pieces.
    #[inline(never)]
    pub(crate) fn string(item: &'a [u8], major: u8) -> Option<&'a [u8]> {
        let mut decoder = Decoder::new(item);
        let first = decoder.head().ok().filter(|first| first >> info::BITS == major)?;
        if !is_indefinite(first) {
            return Some(decoder.rest);
        }
        let mut found: &[u8] = &[];
        while decoder.head().ok()? != BREAK {
            match (found, decoder.take(decoder.argument)?) {
                (_, []) => {}
                ([], chunk) => found = chunk,
                _ => return None,
            }
        }
        Some(found)
    }

    /// Steps over one item with all it holds. Every turn consumes a byte at least.
    #[inline(never)]
    fn skip(&mut self) -> Result<(), Fault> {
        // That of the message itself, and those in it.
        let mut open = [0u32; 1 + MAX_DEPTH];
        let mut depth = 0usize;
        let mut tagged = false;
        loop {
            let first = self.head()?;
            let (major, indefinite) = (first >> info::BITS, is_indefinite(first));
            match major {
                // A tag belongs to the item behind it.
                major::TAG => {
                    tagged = true;
                    continue;
                }
                // Chunks are strings of the same type and of definite length (RFC 8949, 3.2.3).
                major::BYTES | major::TEXT if indefinite => loop {
                    let chunk = self.head()?;
                    if chunk == BREAK {
                        break;
                    }
                    if chunk >> info::BITS != major || is_indefinite(chunk) {
                        return Err(Malformed);
                    }
                    self.take(self.argument).ok_or(Truncated)?;
                },
                major::BYTES | major::TEXT => {
                    self.take(self.argument).ok_or(Truncated)?;
                }
                major::ARRAY | major::MAP => {
                    let is_map = major == major::MAP;
                    let left = match (indefinite, is_map) {
                        (true, true) => open::INDEFINITE | open::MOST,
                        (true, false) => open::INDEFINITE | open::ARRAY | open::MOST,
                        (false, _) => self.argument.min(open::MOST / 2) << u32::from(is_map),
                    };
                    *open.get_mut(depth).ok_or(TooDeep)? = left;
                    if left > 0 {
                        depth = depth.saturating_add(1);
                        tagged = false;
                        continue;
                    }
                }
                // A break: not where an item belongs, nor behind a name without its value.
                major::SIMPLE if indefinite => {
                    depth = depth.checked_sub(1).ok_or(Malformed)?;
                    let left = open.get(depth).copied().unwrap_or_default();
                    if tagged || left & open::INDEFINITE == 0 || left & (open::ARRAY | 1) == 1 {
                        return Err(Malformed);
                    }
                }
                _ => {}
            }
            tagged = false;
            // What ends with this item.
            loop {
                let Some(around) = depth.checked_sub(1) else { return Ok(()) };
                let Some(left) = open.get_mut(around) else { return Ok(()) };
                *left = left.saturating_sub(1);
                if *left > 0 {
                    break;
                }
                depth = around;
            }
        }
    }
}

/// Whether the item has no length of its own; the break is told by it too.
const fn is_indefinite(first: u8) -> bool {
    first & info::MASK == info::INDEFINITE
}

/// Writes the head of an item, in its shortest form.
#[inline(never)]
pub(crate) fn head(writer: &mut Writer<'_>, major: u8, argument: u32) {
    let (info, size) = match argument {
        0..=0x17 => (argument as u8, 0),
        0x18..=0xFF => (info::ONE_BYTE, 1),
        0x100..=0xFFFF => (info::TWO_BYTES, 2),
        _ => (info::FOUR_BYTES, 4),
    };
    writer.byte(major << info::BITS | info);
    let bytes = argument.to_be_bytes();
    writer.bytes(bytes.get(bytes.len().saturating_sub(size)..).unwrap_or_default());
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
