//! What flash holds of the file being downloaded, and what is under way.
//!
//! Two sets over the same blocks: *missing* (the caller's bitmap, one bit a block of the whole file) and *asked* (requested
//! and not yet given up). Asked lives in a ring of [`WINDOW_BLOCKS`] bits, for no block further than that beyond the front is
//! ever asked for. That bound is also what makes a journal record small: front and one window describe every block held.

use core::num::NonZeroU32;
use core::ops::Range;

use super::bundle::Place;
use super::sectors::Sector;
use crate::bitmap;
use crate::geometry::ImageLayout;

/// No block further than this beyond the front is asked for, so none is held either.
pub(crate) const WINDOW_BLOCKS: u32 = 256;
/// This many blocks of a newer request overtaking an older one: what is left of the older one is lost. (Three, as TCP's
/// duplicate acknowledgements, RFC 5681 section 3.2: less would take reordering for loss.)
const OVERTAKEN: u16 = 3;

/// Bytes of a bitmap over the window.
const WINDOW_BYTES: usize = (WINDOW_BLOCKS / 8) as usize;

/// One bit for each block of the window, by block number modulo [`WINDOW_BLOCKS`].
#[derive(Clone, Copy, Default)]
pub(super) struct Ring {
    bytes: [u8; WINDOW_BYTES],
    count: u16,
}

impl Ring {
    pub(super) fn get(&self, block: u32) -> bool {
        self.bytes.get((block / 8) as usize % WINDOW_BYTES).is_some_and(|byte| byte & (1 << (block % 8)) != 0)
    }

    /// The blocks `8 * at..8 * at + 8`, as their byte of the bitmap of the whole file has them.
    fn byte(&mut self, at: u32) -> Option<&mut u8> {
        self.bytes.get_mut(at as usize % WINDOW_BYTES)
    }

    /// Puts in the blocks of a byte, as [`byte`](Self::byte) has it.
    fn insert(&mut self, at: u32, bits: u8) {
        if let Some(byte) = self.byte(at) {
            let new = bits & !*byte;
            *byte |= bits;
            self.count += new.count_ones() as u16;
        }
    }

    /// True when it was in.
    #[inline]
    fn remove(&mut self, block: u32) -> bool {
        let Some(byte) = self.byte(block / 8) else { return false };
        let rest = *byte & !(1 << (block % 8));
        let was = rest != *byte;
        *byte = rest;
        self.count -= u16::from(was);
        was
    }
}

/// A request for blocks: `offset`, `count` and the bitmap AWS calls `o`, `n` and `b`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockRequest {
    /// File id in the stream.
    pub file_id: u8,
    /// First block the bitmap speaks of, a multiple of 8.
    pub offset: u32,
    /// How many blocks are wanted.
    pub count: u32,
    /// Bit k, least significant first: block `offset + k` is wanted.
    pub bits: [u8; WINDOW_BYTES],
    /// Bytes of `bits` up to the last one that is not zero.
    size: u8,
}

impl BlockRequest {
    /// The bitmap up to its last set bit.
    pub fn bitmap(&self) -> &[u8] {
        self.bits.get(..usize::from(self.size)).unwrap_or(&[])
    }

    /// Whether `block` is wanted.
    #[inline]
    fn wants(&self, block: u32) -> bool {
        let at = (block / 8).wrapping_sub(self.offset / 8) as usize;
        self.bits.get(at).is_some_and(|byte| byte & (1 << (block % 8)) != 0)
    }

    /// One past the last block wanted; `offset` where there is none.
    pub(super) fn end(&self) -> u32 {
        let bits = self.bitmap();
        let beyond = bits.last().map_or(0, |last| last.leading_zeros());
        self.offset + u8::BITS * bits.len() as u32 - beyond
    }
}

/// Progress of one file.
pub(crate) struct Fetch<'a> {
    missing: &'a mut [u8],
    pub(super) sectors: &'a mut [u8],
    /// File bytes known to lie in open sectors, each block in one: from the last one looked up.
    pub(super) open: (u32, u32),
    /// The sets speak of data of the held job.
    pub(crate) begun: bool,
    pub(crate) file: u8,
    pub(super) block_size: NonZeroU32,
    pub(crate) size: u32,
    /// The image being written.
    pub(super) place: Place,
    pub(crate) block_count: u32,
    pub(crate) missing_count: u32,
    /// Blocks held without a gap from block 0.
    pub(crate) front: u32,
    /// Bytes the digest has run over.
    pub(crate) hashed: u32,
    /// Blocks held since the last journal record.
    pub(crate) unrecorded: u16,
    /// The request that goes out next, or went out last.
    pub(crate) request: BlockRequest,
    pub(super) asked: Ring,
    /// Blocks under way that an older request than the latest asked for.
    older: u16,
    /// Blocks of the latest request that overtook those.
    overtaking: u16,
    /// One past the highest block ever asked for, all of the file: what lies beyond was never ours.
    pub(super) asked_end: u32,
    /// Sectors of every block under way below this one are open.
    pub(super) ahead: u32,
    /// So many blocks may be held one after the other with nothing due but to wait for the next, as long as nothing but
    /// these blocks comes.
    pub(crate) calm: u16,
    /// Blocks that may be under way at once; follows what the link can take.
    pub(crate) window: u16,
    /// Requests in a row that brought nothing.
    pub(crate) useless: u8,
    /// A block arrived since the last request.
    pub(crate) alive: bool,
}

impl<'a> Fetch<'a> {
    pub(crate) fn new(missing: &'a mut [u8], sectors: &'a mut [u8], block_size: u32) -> Self {
        Self {
            missing,
            sectors,
            open: (0, 0),
            begun: false,
            file: 0,
            // Checked with the configuration.
            block_size: NonZeroU32::new(block_size).unwrap_or(NonZeroU32::MIN),
            size: 0,
            place: Place::of_file(0),
            block_count: 0,
            missing_count: 0,
            front: 0,
            hashed: 0,
            unrecorded: 0,
            request: BlockRequest::default(),
            asked: Ring::default(),
            older: 0,
            overtaking: 0,
            asked_end: 0,
            ahead: 0,
            calm: 0,
            window: 1,
            useless: 0,
            alive: false,
        }
    }

    /// Starts a file over: everything missing, every sector closed.
    pub(crate) fn start(&mut self, file: u8, size: u32) {
        self.begun = true;
        self.file = file;
        self.size = size;
        self.place = Place::of_file(size);
        self.block_count = self.blocks_of_bytes(0, size).end;
        // The memory was checked against the largest image when the agent was made.
        bitmap::fill(self.missing, self.block_count);
        self.sectors.fill(0);
        self.open = (0, 0);
        self.missing_count = self.block_count;
        (self.front, self.hashed, self.unrecorded, self.useless) = (0, 0, 0, 0);
        self.asked_end = 0;
        self.forget_requests();
    }

    /// Takes over what a journal record says flash holds. Sectors that hold a block become untrusted.
    pub(crate) fn restore(&mut self, front: u32, window: &[u8; 32], image: &ImageLayout) {
        self.restore_blocks(front, window);
        self.distrust_held(image);
    }

    /// The first half: the blocks.
    pub(crate) fn restore_blocks(&mut self, front: u32, window: &[u8; 32]) {
        let beyond = |k: &u32| window.get((k / 8) as usize).is_some_and(|b| b & (1 << (k % 8)) != 0);
        let beyond = (0..WINDOW_BLOCKS).filter(beyond).map(|k| front.saturating_add(k));
        let block_count = self.block_count;
        for block in (0..front).chain(beyond).take_while(|block| *block < block_count) {
            if bitmap::clear(self.missing, block) {
                self.missing_count -= 1;
            }
        }
        self.advance_front();
        self.asked_end = (self.front + WINDOW_BLOCKS).min(self.block_count);
    }

    /// The second half: the sectors of the image being written.
    pub(crate) fn distrust_held(&mut self, image: &ImageLayout) {
        for block in self.blocks_of_bytes(self.image_start(), self.image_end()) {
            if !self.is_missing(block) {
                for sector in self.sectors_of(block, image) {
                    self.put_sector(sector, Sector::Untrusted);
                }
            }
        }
    }

    /// The blocks held beyond `front`, for a journal record.
    pub(crate) fn held_window(&self, front: u32) -> [u8; WINDOW_BYTES] {
        let mut held = [0; WINDOW_BYTES];
        if front + self.missing_count == self.block_count {
            // As many are missing as lie beyond the front.
            return held;
        }
        bitmap::window(self.missing, front, &mut held);
        for (byte, at) in held.iter_mut().zip((front..).step_by(8)) {
            // The file ends within this byte, or before it: what lies beyond is not missing, and not held either.
            let beyond = u8::MAX.checked_shl(self.block_count.saturating_sub(at)).unwrap_or(0);
            *byte = !(*byte | beyond);
        }
        held
    }

    pub(crate) fn is_missing(&self, block: u32) -> bool {
        bitmap::is_missing(self.missing, block)
    }

    pub(crate) fn was_asked(&self, block: u32) -> bool {
        block < self.asked_end
    }

    /// File offsets of a block of the file; the last one is short.
    pub(crate) fn block_range(&self, block: u32) -> (u32, u32) {
        let from = block * self.block_size.get();
        (from, self.size.min(from.saturating_add(self.block_size.get())))
    }

    /// The block that byte `at` of the file lies in.
    #[inline]
    pub(crate) fn block_at(&self, at: u32) -> u32 {
        // Mostly the front, and whatever follows would wait for the division.
        if at == self.front.saturating_mul(self.block_size.get()) { self.front } else { at / self.block_size }
    }

    /// The blocks that hold file bytes `from..to`.
    pub(crate) fn blocks_of_bytes(&self, from: u32, to: u32) -> Range<u32> {
        let whole = to / self.block_size;
        from / self.block_size..whole + u32::from(to % self.block_size != 0)
    }

    /// Bytes held without a gap from byte 0.
    pub(crate) fn front_bytes(&self) -> u32 {
        (self.front * self.block_size.get()).min(self.size)
    }

    /// How many blocks flash holds.
    pub(crate) fn held_count(&self) -> u32 {
        self.block_count - self.missing_count
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.missing_count == 0
    }

    /// A block arrived: it is no longer under way. True when it was overtaken by newer ones and the rest is lost.
    #[inline(always)]
    pub(crate) fn arrived(&mut self, block: u32) -> bool {
        self.alive = true;
        self.useless = 0;
        if !self.asked.remove(block) || self.older == 0 {
            return false;
        }
        if !self.request.wants(block) {
            self.older -= 1;
            return false;
        }
        self.overtaking += 1;
        let overtaken = self.overtaking >= OVERTAKEN;
        if overtaken {
            self.forget_older();
        }
        overtaken
    }

    /// Of what is under way only the blocks of the latest request are left.
    #[inline(never)]
    fn forget_older(&mut self) {
        self.older = 0;
        let mut asked = core::mem::take(&mut self.asked);
        for (at, bits) in (self.request.offset / 8..).zip(self.request.bitmap()) {
            let under_way = asked.byte(at).map_or(0, |byte| *byte);
            self.asked.insert(at, bits & under_way);
        }
    }

    /// Flash holds the block.
    pub(crate) fn hold(&mut self, block: u32) {
        if !self.is_missing(block) {
            return;
        }
        if block != self.front {
            return self.mark_held(block);
        }
        self.hold_front();
        // Where blocks come in order, this is all.
        if self.missing_count != 0 && !self.is_missing(self.front) {
            self.advance_front();
        }
    }

    /// Flash holds the first missing block, and not the one behind it.
    #[inline]
    pub(crate) fn hold_front(&mut self) {
        self.mark_held(self.front);
        self.front += 1;
    }

    /// One block less is missing.
    #[inline]
    fn mark_held(&mut self, block: u32) {
        bitmap::clear(self.missing, block);
        self.missing_count -= 1;
        self.unrecorded = self.unrecorded.saturating_add(1);
    }

    #[inline(never)]
    fn advance_front(&mut self) {
        self.front = bitmap::first_missing_from(self.missing, self.front)
            .unwrap_or(self.block_count)
            .min(self.block_count);
    }

    pub(crate) fn under_way(&self) -> u16 {
        self.asked.count
    }

    /// Nothing is under way any more (given up, or the link is gone).
    pub(crate) fn forget_requests(&mut self) {
        self.asked = Ring::default();
        self.older = 0;
    }

    /// Fills in the next request: for the lowest missing blocks not under way, `wanted` at most. False: there are none.
    pub(crate) fn next_request(&mut self, file_id: u8, wanted: u32) -> bool {
        let request = &mut self.request;
        *request = BlockRequest { file_id, ..BlockRequest::default() };
        // The bytes of the window: what lies below the front in the first one is held.
        let first = self.front / 8;
        for (at, missing) in (first..).zip(self.missing.iter().skip(first as usize).take(WINDOW_BYTES)) {
            let under_way = self.asked.byte(at).map_or(0, |byte| *byte);
            let mut bits = missing & !under_way;
            while bits.count_ones() > wanted - request.count {
                // The highest one can wait.
                bits &= !(0x80 >> bits.leading_zeros());
            }
            if bits == 0 {
                continue;
            }
            if request.count == 0 {
                request.offset = at * 8;
            }
            let place = at - request.offset / 8;
            if let Some(byte) = request.bits.get_mut(place as usize) {
                *byte = bits;
                request.count += bits.count_ones();
                request.size = place as u8 + 1;
            }
            if request.count == wanted {
                break;
            }
        }
        request.count > 0
    }

    /// The missing blocks from the front to the next one held, `most` at most.
    pub(crate) fn missing_run(&self, most: u32) -> Range<u32> {
        let run = bitmap::missing_run(self.missing, self.front);
        run.start..run.end.min(self.block_count).min(run.start.saturating_add(most))
    }

    /// The blocks of `run` will come, in order.
    pub(crate) fn expect(&mut self, run: Range<u32>) {
        self.alive = false;
        self.asked_end = self.asked_end.max(run.end);
    }

    /// The request went out: its blocks are under way.
    pub(crate) fn asked(&mut self) {
        (self.older, self.overtaking) = (self.asked.count, 0);
        self.alive = false;
        for (at, bits) in (self.request.offset / 8..).zip(self.request.bitmap()) {
            self.asked.insert(at, *bits);
        }
        self.asked_end = self.asked_end.max(self.request.end());
        self.ahead = self.front;
    }

    pub(crate) fn grow(&mut self, max: u16) {
        self.window = (self.window * 2).min(max);
    }

    pub(crate) fn shrink(&mut self) {
        self.window = (self.window / 2).max(1);
    }

    /// Blocks there is memory for.
    #[cfg(feature = "bundle")]
    pub(crate) fn block_memory(&self) -> u32 {
        u32::try_from(self.missing.len()).unwrap_or(u32::MAX).saturating_mul(8)
    }

    /// Sectors there is memory for.
    #[cfg(feature = "bundle")]
    pub(crate) fn sector_memory(&self) -> u32 {
        u32::try_from(self.sectors.len()).unwrap_or(u32::MAX).saturating_mul(4)
    }

    /// The block is missing again.
    pub(crate) fn lose(&mut self, block: u32) {
        if bitmap::set(self.missing, block) {
            self.missing_count += 1;
        }
        self.front = self.front.min(block);
    }
}
