//! Work on the fields of a slot's trailer: ask for the image in the secondary, take that back, confirm the running one.
//!
//! | mode | request | confirm |
//! |---|---|---|
//! | overwrite | magic, `swap_info`, `image_ok` if permanent | nothing to confirm |
//! | swap-scratch, -move, -offset | the same | `image_ok` of the primary |
//! | swap-status | magic, `image_ok` if permanent | `image_ok` of the primary, whatever its magic says |
//!
//! All of it is one script: read the write units that hold the fields, decide one thing, do it, look again. The magic is
//! written last: it is the one commit point, and a power cut before it leaves no request. Fields that share a write unit are
//! composed in RAM and programmed once, since a unit of write-once flash has no second chance.

use core::ops::Range;

use super::states::is_pending;
use crate::{
    bytes::{front, is_all, unit_start},
    geometry::{BootMode, Geometry},
    image::HEADER_MAGIC,
    script::{Script, Step},
    slot::FlashError,
    trailer::{FLAG_SET, Flag, Magic, Pending, Trailer, TrailerLayout},
};

/// What is wanted of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Know them.
    Look,
    /// The secondary's request, by MCUboot's number of the image.
    Request(Pending, u8),
    /// No request.
    Withdraw,
    /// The primary's `image_ok` set, where the mode has one.
    Confirm,
    /// Swap-status bootloaders before 1.8.1 never clear the primary's `image_ok`: what confirmed the running image would
    /// confirm the next one before it has run. It goes once the request is safe (which outranks the revert this could
    /// look like); 1.8.1 and later write that trailer anew themselves.
    Forget,
}

/// Units of the fields, in the order in which they are written; see [`Fields::piece`].
const PIECES: u8 = 4;

/// The script.
pub(super) struct Fields<'s> {
    slot: &'s Geometry,
    trailer: TrailerLayout,
    goal: Goal,
    /// Where the image in the slot ends.
    pub(super) image_end: u32,
    /// A write torn in an earlier life may have left units that only look blank.
    pub(super) torn: bool,
    /// Sector 0 is to be looked at for an old header first.
    pub(super) lead: bool,
    /// What the fields say, as read last.
    pub(super) state: Trailer,
    /// What was done took image bytes of this sector along.
    pub(super) lost: Option<u32>,
    /// Something was programmed or wiped.
    pub(super) changed: bool,
    /// The fields have just been read.
    looked: bool,
    /// Pieces written so far.
    written: u8,
    /// Programming failed.
    refused: bool,
    /// Old fields were cleared: at most once.
    cleared: bool,
    /// Sectors still to wipe, from the last one down: the magic goes first.
    wipe: Range<u32>,
}

impl<'s> Fields<'s> {
    pub(super) const fn new(slot: &'s Geometry, trailer: TrailerLayout, goal: Goal) -> Self {
        Self {
            slot,
            trailer,
            goal,
            image_end: 0,
            torn: false,
            lead: false,
            state: Trailer::UNSET,
            lost: None,
            changed: false,
            looked: false,
            written: 0,
            refused: false,
            cleared: false,
            wipe: 0..0,
        }
    }

    /// The first write unit that is read: `swap_info` lies in it.
    fn start(&self) -> u32 {
        unit_start(self.trailer.swap_info(), self.slot.write_size())
    }

    /// The write units from that of the field at `at` up to `end`, as a part of what was read.
    fn part(&self, at: u32, end: u32) -> Range<usize> {
        let begin = unit_start(at, self.slot.write_size());
        (begin.saturating_sub(self.start())) as usize..end.saturating_sub(self.start()) as usize
    }

    /// The write unit of the field at `at`.
    fn unit(&self, at: u32) -> Range<usize> {
        let begin = unit_start(at, self.slot.write_size());
        self.part(begin, begin.saturating_add(self.slot.write_size()))
    }

    /// The write units of field `n` of [`PIECES`]; `None` where they are the magic's, whose units come last.
    fn piece(&self, n: u8) -> Option<Range<usize>> {
        let magic = self.part(self.trailer.magic(), self.slot.size());
        let at = match n {
            0 => self.trailer.image_ok(),
            1 | 2 if self.trailer.mode() == BootMode::SwapStatus => return None,
            1 => self.trailer.copy_done(),
            2 => self.trailer.swap_info(),
            3.. => return Some(magic),
        };
        let unit = self.unit(at);
        (unit.start < magic.start).then_some(unit)
    }

    fn program(&mut self, part: Range<usize>) -> Step {
        self.changed = true;
        let at = self.slot.start().saturating_add(self.start()).saturating_add(part.start as u32);
        Step::Program(at, part)
    }

    /// Writes `value` to `image_ok` and keeps the rest of its unit. [`FlashError::NotErased`] where it cannot be written.
    fn put_image_ok(&mut self, fields: &mut [u8], value: u8) -> Result<Step, FlashError> {
        let unit = self.unit(self.trailer.image_ok());
        let bytes = fields.get_mut(unit.clone()).unwrap_or_default();
        if !self.slot.rewrite() && !is_all(bytes, self.slot.erased()) {
            return Err(FlashError::NotErased);
        }
        let within = self.trailer.image_ok().saturating_sub(self.start()) as usize - unit.start;
        if let Some(byte) = bytes.get_mut(within) {
            *byte = value;
        }
        Ok(self.program(unit))
    }

    /// The next step towards a request.
    fn request(&mut self, fields: &mut [u8], pending: Pending, number: u8) -> Result<Step, FlashError> {
        let mode = self.trailer.mode();
        let asked = is_pending(mode, &self.state, pending);
        if asked && (!self.changed || self.written == PIECES) {
            return Ok(Step::Done);
        }
        if !self.cleared {
            let once = !self.slot.rewrite();
            if self.refused || once && self.torn {
                return self.clear(fields);
            }
            // By `image_ok` alone: the table does not read `swap_info`, and no moment without a request is needed.
            if once && pending == Pending::Permanent && is_pending(mode, &self.state, Pending::Test) {
                self.written = PIECES;
                return match self.put_image_ok(fields, FLAG_SET) {
                    Err(_) => self.clear(fields),
                    step => step,
                };
            }
        }
        self.write_request(fields, pending, number)
    }

    /// Programs the next piece that is not as it should be.
    fn write_request(&mut self, fields: &mut [u8], pending: Pending, number: u8) -> Result<Step, FlashError> {
        let (erased, start, trailer) = (self.slot.erased(), self.start(), self.trailer);
        let wanted =
            |at: usize| trailer.request_byte(pending, number, erased, start.saturating_add(at as u32));
        let is_wanted = |fields: &[u8], piece: &Range<usize>| {
            piece.clone().all(|at| fields.get(at).is_some_and(|&byte| byte == wanted(at)))
        };
        for n in self.written..PIECES {
            let Some(piece) = self.piece(n) else { continue };
            // Nothing is written when a unit must be erased first.
            if !self.slot.rewrite()
                && !is_wanted(fields, &piece)
                && !is_all(fields.get(piece).unwrap_or_default(), erased)
            {
                return if self.cleared { Err(FlashError::NotErased) } else { self.clear(fields) };
            }
        }
        while self.written < PIECES {
            let piece = self.piece(self.written);
            self.written += 1;
            if let Some(piece) = piece
                && !is_wanted(fields, &piece)
            {
                for at in piece.clone() {
                    if let Some(byte) = fields.get_mut(at) {
                        *byte = wanted(at);
                    }
                }
                return Ok(self.program(piece));
            }
        }
        // Good magic with a wrong field would be another request than the one wanted.
        if is_pending(trailer.mode(), &self.state, pending) {
            Ok(Step::Done)
        } else {
            Err(FlashError::ReadBack)
        }
    }

    /// Makes all fields read as erased. Rows are rewritten; else the sectors are wiped, when no byte of the image lies in
    /// them: [`FlashError::Trailer`], with nothing erased, when one does.
    fn clear(&mut self, fields: &mut [u8]) -> Result<Step, FlashError> {
        self.cleared = true;
        self.written = 0;
        let first = unit_start(self.trailer.info_start(), self.slot.write_size());
        if self.slot.rewrite() {
            return Ok(self.clear_rows(fields));
        }
        let sector = self.slot.sector_of(first);
        if self.slot.sector_range(sector).start < self.image_end {
            return Err(FlashError::Trailer);
        }
        self.wipe = sector..self.slot.sector_count();
        self.wipe_next()
    }

    fn clear_rows(&mut self, fields: &mut [u8]) -> Step {
        let rows = self.part(self.trailer.info_start(), self.slot.size());
        fields.get_mut(rows.clone()).unwrap_or_default().fill(self.slot.erased());
        self.program(rows)
    }

    fn wipe_next(&mut self) -> Result<Step, FlashError> {
        self.changed = true;
        self.wipe.end = self.wipe.end.saturating_sub(1);
        self.slot.sector(self.wipe.end).map(Step::Wipe).ok_or(FlashError::OutOfBounds)
    }

    /// The next step towards no request. The bootloader acts on a good magic only.
    fn withdraw(&mut self, fields: &mut [u8]) -> Result<Step, FlashError> {
        if self.state.magic != Magic::Good {
            return Ok(Step::Done);
        }
        if self.changed {
            return Err(FlashError::ReadBack);
        }
        if self.slot.rewrite() {
            return Ok(self.clear_rows(fields));
        }
        let sector = self.slot.sector_of(self.trailer.magic());
        self.lost = (self.slot.sector_range(sector).start < self.image_end).then_some(sector);
        self.wipe = sector..sector + 1;
        self.wipe_next()
    }

    /// The next step towards a confirmed image.
    fn confirm(&mut self, fields: &mut [u8]) -> Result<Step, FlashError> {
        match (self.trailer.mode(), self.state.magic) {
            (BootMode::Overwrite, _) => return Ok(Step::Done),
            (BootMode::SwapStatus, _) | (_, Magic::Good) => {}
            (_, Magic::Unset) => return Ok(Step::Done),
            (_, Magic::Bad) => return Err(FlashError::Trailer),
        }
        if self.state.image_ok == Flag::Set {
            return Ok(Step::Done);
        }
        if self.changed {
            return Err(FlashError::ReadBack);
        }
        // A torn flag on write-once flash: its sector holds the running image's trailer and cannot be erased here.
        self.put_image_ok(fields, FLAG_SET).map_err(|_| FlashError::Trailer)
    }

    /// The step towards an `image_ok` that does not outlive the image it was set for.
    fn forget(&mut self, fields: &mut [u8]) -> Result<Step, FlashError> {
        let theirs = self.state.magic == Magic::Good && self.state.copy_done == Flag::Set;
        // Write-once flash could not forget it without an erase next to the running image.
        if self.state.image_ok != Flag::Set || theirs || !self.slot.rewrite() || self.changed {
            return Ok(Step::Done);
        }
        self.put_image_ok(fields, self.slot.erased())
    }
}

impl Script for Fields<'_> {
    fn next(&mut self, buffer: &mut [u8]) -> Result<Step, FlashError> {
        if !self.wipe.is_empty() {
            return self.wipe_next();
        }
        if self.lead {
            let from = self.slot.start();
            if !core::mem::replace(&mut self.looked, true) {
                return Ok(Step::Read(from..from.saturating_add(4)));
            }
            (self.lead, self.looked) = (false, false);
            // It makes a swap-offset bootloader take the upload for misplaced and erase the slot. No byte of the image
            // lies in that sector.
            if buffer.starts_with(&HEADER_MAGIC.to_le_bytes()) {
                return self.slot.sector(0).map(Step::Wipe).ok_or(FlashError::OutOfBounds);
            }
        }
        if !core::mem::replace(&mut self.looked, true) {
            let from = self.slot.start();
            return Ok(Step::Read(from.saturating_add(self.start())..from.saturating_add(self.slot.size())));
        }
        self.looked = false;
        let fields = front(buffer, self.slot.size().saturating_sub(self.start()) as usize);
        self.state =
            Trailer::decode(fields, &self.trailer, self.slot.erased()).ok_or(FlashError::OutOfBounds)?;
        match self.goal {
            Goal::Look => Ok(Step::Done),
            Goal::Request(pending, number) => self.request(fields, pending, number),
            Goal::Withdraw => self.withdraw(fields),
            Goal::Confirm => self.confirm(fields),
            Goal::Forget => self.forget(fields),
        }
    }

    /// A request that the driver refused to write is written once more, to cleared units.
    fn failed(&mut self, error: FlashError) -> Result<(), FlashError> {
        if self.refused || self.cleared || self.written == 0 {
            return Err(error);
        }
        (self.refused, self.looked) = (true, false);
        Ok(())
    }
}
