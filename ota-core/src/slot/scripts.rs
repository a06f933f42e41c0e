//! What a slot does with flash beyond a read, an erase and a write: comparing and patching.

use core::ops::Range;

use super::{Compared, FlashError};
use crate::{
    bytes::{copy, front, is_all, unit_start},
    geometry::Geometry,
    script::{Script, Step},
};

/// Compares a place with data, write unit by write unit.
pub(super) struct Comparison<'d> {
    data: &'d [u8],
    at: u32,
    /// Where the slot starts in the device.
    start: u32,
    erased: u8,
    /// Units still to be looked at, as offsets in the slot.
    units: Range<u32>,
    /// Bytes of them that are being read.
    piece: u32,
    equal: bool,
    blank: bool,
}

impl<'d> Comparison<'d> {
    /// The place must lie in the slot.
    pub(super) fn new(geometry: &Geometry, at: u32, data: &'d [u8]) -> Self {
        let write_size = geometry.write_size();
        let end = at.saturating_add(data.len() as u32);
        // Both ends are units of the slot, whose size is a multiple of the write size.
        let units = unit_start(at, write_size)..unit_start(end.saturating_add(write_size - 1), write_size);
        let (start, erased) = (geometry.start(), geometry.erased());
        Self { data, at, start, erased, units, piece: 0, equal: true, blank: true }
    }

    pub(super) fn outcome(&self) -> Compared {
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
    fn next(&mut self, buffer: &mut [u8]) -> Result<Step, FlashError> {
        let piece = front(buffer, self.piece as usize);
        self.blank = self.blank && is_all(piece, self.erased);
        self.equal = self.equal && matches_data(piece, self.units.start, self.data, self.at);
        self.units.start = self.units.start.saturating_add(self.piece);
        if self.units.is_empty() || !(self.equal || self.blank) {
            return Ok(Step::Done);
        }
        self.piece = (self.units.end - self.units.start).min(buffer.len() as u32);
        let from = self.start.saturating_add(self.units.start);
        Ok(Step::Read(from..from.saturating_add(self.piece)))
    }
}

/// Changes some bytes and keeps the rest of their write units.
pub(super) struct Patch<'d> {
    data: &'d [u8],
    at: u32,
    geometry: Geometry,
    unit_at: u32,
    /// The unit has been read.
    looked: bool,
}

impl<'d> Patch<'d> {
    /// The place must lie in the slot.
    pub(super) fn new(geometry: &Geometry, at: u32, data: &'d [u8]) -> Self {
        let unit_at = unit_start(at, geometry.write_size());
        Self { data, at, geometry: *geometry, unit_at, looked: false }
    }
}

impl Script for Patch<'_> {
    fn next(&mut self, buffer: &mut [u8]) -> Result<Step, FlashError> {
        let size = self.geometry.write_size();
        if self.looked {
            let (unit, unit_at) = (front(buffer, size as usize), self.unit_at);
            self.looked = false;
            self.unit_at = unit_at.saturating_add(size);
            if !matches_data(unit, unit_at, self.data, self.at) {
                if !self.geometry.rewrite() && !is_all(unit, self.geometry.erased()) {
                    return Err(FlashError::NotErased);
                }
                overlay(unit, unit_at, self.data, self.at);
                return Ok(Step::Program(self.geometry.start().saturating_add(unit_at), 0..size as usize));
            }
        }
        if self.unit_at >= self.at.saturating_add(self.data.len() as u32) {
            return Ok(Step::Done);
        }
        self.looked = true;
        let from = self.geometry.start().saturating_add(self.unit_at);
        Ok(Step::Read(from..from.saturating_add(size)))
    }
}

/// The overlap of `part`, which lies at `part_at`, and `data` at `at`: the ranges of both.
fn overlap(part_len: usize, part_at: u32, data_len: usize, at: u32) -> (Range<usize>, Range<usize>) {
    let begin = part_at.max(at);
    let end = part_at.saturating_add(part_len as u32).min(at.saturating_add(data_len as u32)).max(begin);
    let within = |base: u32| (begin - base) as usize..(end - base) as usize;
    (within(part_at), within(at))
}

/// Whether the bytes `part` and `data` have in common are equal.
fn matches_data(part: &[u8], part_at: u32, data: &[u8], at: u32) -> bool {
    let (in_part, in_data) = overlap(part.len(), part_at, data.len(), at);
    in_part.is_empty() || part.get(in_part) == data.get(in_data)
}

fn overlay(part: &mut [u8], part_at: u32, data: &[u8], at: u32) {
    let (in_part, in_data) = overlap(part.len(), part_at, data.len(), at);
    if let (Some(part), Some(data)) = (part.get_mut(in_part), data.get(in_data)) {
        copy(part, data);
    }
}
