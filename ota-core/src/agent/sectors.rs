//! How the sectors of the slot stand, and which blocks share them.

use core::ops::Range;

use super::fetch::Fetch;
use crate::geometry::ImageLayout;

/// How sectors of the slot stand, two bits each in the caller's memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
#[repr(u8)]
pub(crate) enum Sector {
    /// Old contents: erase before the first write.
    Closed = 0,
    /// Erased in this run: a missing place in it is blank.
    Open = 1,
    /// Erased in this run, and a block that lies in a neighbour too is missing again: a missing place in it is blank or holds
    /// all of its bytes.
    Shared = 2,
    /// Holds blocks, but a missing place in it may be torn: compare before writing.
    Untrusted = 3,
}

impl Fetch<'_> {
    /// How a sector of the image being written stands.
    #[inline(never)]
    pub(crate) fn sector(&self, sector: u32) -> Sector {
        let sector = self.sectors_at() + sector;
        let (at, shift) = ((sector / 4) as usize, sector % 4 * 2);
        match self.sectors.get(at).map_or(0, |byte| byte >> shift & 3) {
            1 => Sector::Open,
            2 => Sector::Shared,
            3 => Sector::Untrusted,
            _closed => Sector::Closed,
        }
    }

    /// Whether file bytes `from..to` lie in the open sectors looked up last, and all of them in one.
    #[inline]
    pub(crate) fn is_open(&self, from: u32, to: u32) -> bool {
        self.open.0 <= from && to <= self.open.1
    }

    /// `sector` is open: what goes there needs no second look.
    pub(crate) fn keep_open(&mut self, sector: u32, image: &ImageLayout) {
        self.open = self.sector_bytes(sector, image);
    }

    /// The sector is open, too, behind those looked up last: for blocks of which none lies in both.
    pub(crate) fn extend_open(&mut self, sector: u32, image: &ImageLayout) {
        let (from, to) = self.sector_bytes(sector, image);
        if from == self.open.1 && from.is_multiple_of(self.block_size.get()) {
            self.open.1 = to;
        }
    }

    /// The file bytes that `sector` of the image being written holds.
    pub(crate) fn sector_bytes(&self, sector: u32, image: &ImageLayout) -> (u32, u32) {
        let range = image.secondary().sector_range(sector);
        let within =
            |at: u32| (at.saturating_sub(image.image_offset()) + self.image_start()).min(self.image_end());
        (within(range.start), within(range.end))
    }

    pub(crate) fn put_sector(&mut self, sector: u32, to: Sector) {
        if to != Sector::Open {
            self.open = (0, 0);
        }
        let sector = self.sectors_at() + sector;
        let (at, shift) = ((sector / 4) as usize, sector % 4 * 2);
        if let Some(byte) = self.sectors.get_mut(at) {
            *byte = *byte & !(3 << shift) | (to as u8) << shift;
        }
    }

    /// A missing place in an open sector is compared from now on.
    #[inline(never)]
    pub(crate) fn distrust(&mut self, sector: u32, to: Sector) {
        let before = self.sector(sector);
        if before != Sector::Closed && before < to {
            self.put_sector(sector, to);
        }
    }

    /// The sector that byte `at` of the file, one of the image being written, lies in.
    pub(crate) fn sector_at(&self, at: u32, image: &ImageLayout) -> u32 {
        image.secondary().sector_of(at - self.image_start() + image.image_offset())
    }

    /// The sectors of the image that hold a part of the block.
    pub(crate) fn sectors_of(&self, block: u32, image: &ImageLayout) -> Range<u32> {
        let (from, to) = self.block_range(block);
        self.sectors_of_bytes(from, to, image)
    }

    /// The sectors of the image that hold file bytes `from..to`.
    fn sectors_of_bytes(&self, from: u32, to: u32, image: &ImageLayout) -> Range<u32> {
        let (from, to) = (from.max(self.image_start()), to.min(self.image_end()));
        if from >= to {
            return 0..0;
        }
        self.sector_at(from, image)..self.sector_at(to - 1, image) + 1
    }

    /// Gives a sector up: its blocks are missing again, and a neighbour that shares one of them holds a part of it.
    /// True when the digest had run over some of it and must start again.
    pub(crate) fn give_up(&mut self, sector: u32, image: &ImageLayout) -> bool {
        let (from, to) = self.sector_bytes(sector, image);
        self.put_sector(sector, Sector::Closed);
        if from >= to {
            return false;
        }
        for block in self.blocks_of_bytes(from, to) {
            self.lose(block);
            for neighbour in self.sectors_of(block, image) {
                // The sector itself is closed.
                self.distrust(neighbour, Sector::Shared);
            }
        }
        let lost = self.hashed > from;
        if lost {
            self.hashed = 0;
        }
        lost
    }

    /// The first sector the request would write to that is still closed.
    pub(crate) fn closed_sector(&self, image: &ImageLayout) -> Option<u32> {
        let (from, _) = self.block_range(self.request.offset);
        let (_, to) = self.block_range(self.request.end() - 1);
        if self.is_open(from, to) {
            return None;
        }
        // A closed sector holds no block, so among those of a request there is none that it does not write to.
        self.closed_sector_in(from, to, image)
    }

    /// The first closed sector `block` lies in.
    fn closed_sector_of(&self, block: u32, image: &ImageLayout) -> Option<u32> {
        let (from, to) = self.block_range(block);
        self.closed_sector_in(from, to, image)
    }

    /// The first closed sector that file bytes `from..to` lie in.
    fn closed_sector_in(&self, from: u32, to: u32, image: &ImageLayout) -> Option<u32> {
        self.sectors_of_bytes(from, to, image).find(|sector| self.sector(*sector) == Sector::Closed)
    }

    /// The first sector under way that is still closed. Looks at every block once a request.
    pub(crate) fn closed_ahead(&mut self, image: &ImageLayout) -> Option<u32> {
        while self.ahead < self.asked_end {
            if self.asked.get(self.ahead)
                && let Some(closed) = self.closed_sector_of(self.ahead, image)
            {
                return Some(closed);
            }
            self.ahead += 1;
        }
        None
    }
}

/// Bytes of `sectors` memory for a slot of `sector_count` sectors.
pub(super) const fn sector_memory(sector_count: u32) -> usize {
    sector_count.div_ceil(4) as usize
}
