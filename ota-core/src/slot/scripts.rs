//! What a slot does with flash beyond a read, an erase and a write: comparing and patching.

use core::ops::Range;

use super::{Compared, FlashError};
use crate::{
    bytes::{copy, front, is_all, unit_start},
    geometry::Geometry,
    script::{Desk, Next, Script, Step},
};

/// Compares a place with data, write unit by write unit.
pub(crate) struct Comparison<'d> {
    /// What is not compared yet.
    data: &'d [u8],
    /// Bytes of the first unit that lie before the data.
    lead: u32,
    /// Units still to be looked at, as device offsets.
    units: Range<u32>,
    /// Bytes of them that are being read.
    piece: u32,
    erased: u8,
    equal: bool,
    blank: bool,
}

impl<'d> Comparison<'d> {
    /// The place must lie in the slot.
    pub(super) fn new(geometry: &Geometry, at: u32, data: &'d [u8]) -> Self {
        let write_size = geometry.write_size();
        let (begin, last) = (unit_start(at, write_size), at + data.len() as u32 + write_size - 1);
        // Both ends are units of the slot, whose size is a multiple of the write size.
        let units = geometry.start() + begin..geometry.start() + unit_start(last, write_size);
        let erased = geometry.erased();
        Self { data, lead: at - begin, units, piece: 0, erased, equal: true, blank: true }
    }

    pub(crate) fn outcome(&self) -> Compared {
        if self.equal {
            Compared::Equal
        } else if self.blank {
            Compared::Blank
        } else {
            Compared::Different
        }
    }
}

impl Script for Comparison<'_> {
    fn next(&mut self, desk: &mut Desk<'_>) -> Next {
        if self.piece != 0 {
            let piece = front(desk.buffer, self.piece as usize);
            self.blank = self.blank && is_all(piece, self.erased);
            let (held, wanted) = common(piece, core::mem::take(&mut self.lead), &mut self.data);
            self.equal = self.equal && held == wanted;
        }
        self.units.start = self.units.start.saturating_add(self.piece);
        if self.units.is_empty() || !(self.equal || self.blank) {
            return Ok(Step::Done);
        }
        self.piece = (self.units.end - self.units.start).min(desk.buffer.len() as u32);
        desk.read(self.units.start..self.units.start.saturating_add(self.piece))
    }
}

/// Changes some bytes and keeps the rest of their write units.
pub(super) struct Patch<'d> {
    /// What is not written yet.
    data: &'d [u8],
    /// Bytes of the first unit that lie before the data.
    lead: u32,
    geometry: Geometry,
    /// The unit in turn, as a device offset.
    unit: u32,
    /// It has been read.
    looked: bool,
}

impl<'d> Patch<'d> {
    /// The place must lie in the slot.
    pub(super) fn new(geometry: &Geometry, at: u32, data: &'d [u8]) -> Self {
        let begin = unit_start(at, geometry.write_size());
        let unit = geometry.start().saturating_add(begin);
        Self { data, lead: at - begin, geometry: *geometry, unit, looked: false }
    }
}

impl Script for Patch<'_> {
    fn next(&mut self, desk: &mut Desk<'_>) -> Next {
        let (size, at) = (self.geometry.write_size(), self.unit);
        if core::mem::take(&mut self.looked) {
            self.unit = at.saturating_add(size);
            let unit = front(desk.buffer, size as usize);
            let is_blank = is_all(unit, self.geometry.erased());
            let (held, wanted) = common(unit, core::mem::take(&mut self.lead), &mut self.data);
            if held != wanted {
                if !self.geometry.rewrite() && !is_blank {
                    return Err(FlashError::NotErased);
                }
                copy(held, wanted);
                return desk.program(at, 0..size as usize);
            }
        }
        if self.data.is_empty() {
            return Ok(Step::Done);
        }
        self.looked = true;
        desk.read(self.unit..self.unit.saturating_add(size))
    }
}

/// What lies in `units` behind the first `lead` bytes, and as much of `data`, which is taken from it.
fn common<'u, 'd>(units: &'u mut [u8], lead: u32, data: &mut &'d [u8]) -> (&'u mut [u8], &'d [u8]) {
    let held = units.get_mut(lead as usize..).unwrap_or_default();
    let (now, later) = data.split_at_checked(held.len()).unwrap_or((data, &[]));
    *data = later;
    (front(held, now.len()), now)
}
