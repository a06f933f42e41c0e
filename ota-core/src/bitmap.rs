//! Which blocks of a file are still missing: one bit a block, set while the block is missing.
//!
//! The order is that of AWS' block bitmap, so a request needs no conversion: bit `k` of byte `j`, least significant first,
//! stands for block `8 * j + k` (AWS IoT developer guide, "Using AWS IoT MQTT-based file delivery in devices", GetStream).
//! Bits above the last block are always clear.
//!
//! [`Bitmap`] keeps the number of missing blocks beside the bits. The functions of this module do the same over plain bytes,
//! for a caller who owns the memory and the count itself; to them the length of a bitmap is that of its bytes.

use core::ops::Range;

const BITS: u32 = u8::BITS;

/// Bytes a bitmap of `block_count` blocks takes.
pub const fn size(block_count: u32) -> usize {
    block_count.div_ceil(BITS) as usize
}

/// Marks blocks `0..block_count` missing and clears every bit above; `false` if `bits` is too small, which leaves it alone.
pub fn fill(bits: &mut [u8], block_count: u32) -> bool {
    if bits.len() < size(block_count) {
        return false;
    }
    let (whole, rest) = ((block_count / BITS) as usize, block_count % BITS);
    for (at, byte) in bits.iter_mut().enumerate() {
        *byte = if at < whole {
            u8::MAX
        } else if at == whole {
            // The low `rest` bits: the high bits of the last byte stand for no block.
            !(u8::MAX << rest)
        } else {
            0
        };
    }
    true
}

#[inline]
const fn place(block: u32) -> (usize, u8) {
    ((block / BITS) as usize, 1 << (block % BITS))
}

/// Whether `block` is missing; `false` beyond the end.
#[inline]
pub fn is_missing(bits: &[u8], block: u32) -> bool {
    let (at, mask) = place(block);
    bits.get(at).is_some_and(|byte| byte & mask != 0)
}

/// Marks `block` as held; `true` if it was missing until now.
#[inline]
pub fn clear(bits: &mut [u8], block: u32) -> bool {
    let (at, mask) = place(block);
    let Some(byte) = bits.get_mut(at) else { return false };
    let was_missing = *byte & mask != 0;
    *byte &= !mask;
    was_missing
}

/// Marks `block` as missing again; `true` if it was held until now. The caller answers for `block` being one of the file.
#[inline]
pub fn set(bits: &mut [u8], block: u32) -> bool {
    let (at, mask) = place(block);
    let Some(byte) = bits.get_mut(at) else { return false };
    let was_held = *byte & mask == 0;
    *byte |= mask;
    was_held
}

/// Number of missing blocks.
pub fn count_missing(bits: &[u8]) -> u32 {
    bits.iter().fold(0u32, |sum, byte| sum.saturating_add(byte.count_ones()))
}

/// The first missing block at or after `from`.
pub fn first_missing_from(bits: &[u8], from: u32) -> Option<u32> {
    first_from(bits, from, 0)
}

/// The first run of missing blocks at or after `from`; empty when none is left.
pub fn missing_run(bits: &[u8], from: u32) -> Range<u32> {
    let end = (bits.len() as u64 * u64::from(BITS)).min(u64::from(u32::MAX)) as u32;
    let Some(start) = first_from(bits, from, 0) else { return end..end };
    start..first_from(bits, start, u8::MAX).unwrap_or(end)
}

/// The first bit at or after `from` that is set once each byte is combined with `invert` by exclusive or.
fn first_from(bits: &[u8], from: u32, invert: u8) -> Option<u32> {
    let (first, _) = place(from);
    let mut ignored = !(u8::MAX << (from % BITS));
    for (at, byte) in bits.iter().enumerate().skip(first) {
        let candidates = (byte ^ invert) & !ignored;
        ignored = 0;
        if candidates != 0 {
            return u32::try_from(at).ok()?.checked_mul(BITS)?.checked_add(candidates.trailing_zeros());
        }
    }
    None
}

/// Copies the bits of blocks `base..base + 8 * out.len()` to `out`, block `base` in the lowest bit of its first byte, as a
/// GetStream request with offset `base` wants them. Blocks beyond the end are not asked for. Returns how many bits are set.
pub fn window(bits: &[u8], base: u32, out: &mut [u8]) -> u32 {
    let (first, shift) = ((base / BITS) as usize, base % BITS);
    let mut count = 0u32;
    for (at, byte) in out.iter_mut().enumerate() {
        let low = first.checked_add(at);
        let high = low.and_then(|low| low.checked_add(1));
        let take = |at: Option<usize>| at.and_then(|at| bits.get(at)).copied().unwrap_or(0);
        // Two neighbours hold the eight bits wanted; the cast keeps the low eight after the shift.
        *byte = (u16::from_le_bytes([take(low), take(high)]) >> shift) as u8;
        count = count.saturating_add(byte.count_ones());
    }
    count
}

/// The missing blocks of one file, over memory the caller gives.
#[derive(Debug)]
pub struct Bitmap<'a> {
    bits: &'a mut [u8],
    len: u32,
    missing: u32,
}

impl<'a> Bitmap<'a> {
    /// A file of `block_count` blocks, all missing; `None` if `bits` has fewer than [`size`] bytes.
    pub fn new(bits: &'a mut [u8], block_count: u32) -> Option<Self> {
        let bits = bits.get_mut(..size(block_count))?;
        fill(bits, block_count);
        Some(Self { bits, len: block_count, missing: block_count })
    }

    /// Number of blocks of the file.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether the file has no block.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of blocks still missing.
    pub const fn missing(&self) -> u32 {
        self.missing
    }

    /// Whether `block` is still missing; `false` beyond the end.
    #[inline]
    pub fn is_missing(&self, block: u32) -> bool {
        is_missing(self.bits, block)
    }

    /// Marks `block` as held; `true` if it was missing until now.
    #[inline]
    pub fn clear(&mut self, block: u32) -> bool {
        let was_missing = clear(self.bits, block);
        self.missing = self.missing.saturating_sub(u32::from(was_missing));
        was_missing
    }

    /// Marks `block` as missing again; `true` if it was held until now. Beyond the end nothing happens.
    pub fn set(&mut self, block: u32) -> bool {
        let was_held = block < self.len && set(self.bits, block);
        self.missing = self.missing.saturating_add(u32::from(was_held));
        was_held
    }

    /// The first missing block at or after `from`.
    pub fn first_missing_from(&self, from: u32) -> Option<u32> {
        first_missing_from(self.bits, from)
    }

    /// The first run of missing blocks at or after `from`; empty at the end of the file when none is left.
    pub fn missing_run(&self, from: u32) -> Range<u32> {
        // Spare bits are clear, so a run never reaches past the last block; only an empty answer may.
        let run = missing_run(self.bits, from);
        run.start.min(self.len)..run.end.min(self.len)
    }

    /// See [`window`].
    pub fn window(&self, base: u32, out: &mut [u8]) -> u32 {
        window(self.bits, base, out)
    }

    /// The bits, [`size`] bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bits
    }
}
