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

use super::{
    ImageState, Withdrawn,
    info::Survey,
    states::{is_confirmed, is_pending, is_reverted, request_of, revert_of},
};
use crate::{
    bytes::{front, is_all, unit_start},
    geometry::{BootMode, Geometry, ImageLayout},
    image::HEADER_MAGIC,
    script::{Script, Step},
    slot::FlashError,
    trailer::{FLAG_SET, Flag, Magic, Pending, Trailer, TrailerLayout},
};

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Primary,
    Secondary,
}

/// What is to be done in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Read what the image says of itself.
    Survey,
    /// Read the fields.
    Look,
    /// The secondary asks for its image.
    Request,
    /// The secondary asks for nothing.
    Withdraw,
    /// `image_ok` of the primary is set, where the mode has one.
    Confirm,
    /// Swap-status bootloaders before 1.8.1 never clear the primary's `image_ok`: what confirmed the running image would
    /// confirm the next one before it has run. It goes once the request is safe (which outranks the revert this could
    /// look like); 1.8.1 and later write that trailer anew themselves.
    Forget,
}

/// Goals in their order.
type Plan = &'static [(Side, Goal)];

pub(super) const INSPECT: Plan =
    &[(Side::Primary, Goal::Survey), (Side::Primary, Goal::Look), (Side::Secondary, Goal::Look)];
pub(super) const REQUEST: Plan = &[(Side::Secondary, Goal::Request)];
pub(super) const REQUEST_AND_FORGET: Plan =
    &[(Side::Secondary, Goal::Request), (Side::Primary, Goal::Forget)];
pub(super) const WITHDRAW: Plan = &[(Side::Secondary, Goal::Survey), (Side::Secondary, Goal::Withdraw)];
pub(super) const CONFIRM_AND_WITHDRAW: Plan =
    &[(Side::Primary, Goal::Confirm), (Side::Secondary, Goal::Survey), (Side::Secondary, Goal::Withdraw)];
pub(super) const CONFIRM: Plan = &[(Side::Primary, Goal::Confirm)];

/// The script of a plan. Places are offsets in the slot that is worked on.
pub(super) struct Control<'i> {
    layout: &'i ImageLayout,
    plan: Plan,
    goal: Goal,
    slot: &'i Geometry,
    trailer: TrailerLayout,
    /// Where the write units with fields start.
    start: u32,
    survey: Survey,
    /// What is asked for, and MCUboot's number of the image.
    pub(super) asked: (Pending, u8),
    /// Where the image in the secondary ends.
    pub(super) image_end: u32,
    /// What the fields say, as read last, and before that in the other slot.
    states: [Trailer; 2],
    /// A withdrawal took image bytes of this sector along.
    lost: Option<u32>,
    /// A write torn in an earlier life may have left units that only look blank.
    pub(super) torn: bool,
    /// Sector 0 is to be looked at for an old header first.
    lead: bool,
    /// Something was programmed or wiped for this goal.
    changed: bool,
    /// The fields have just been read.
    looked: bool,
    /// Old fields were cleared: at most once.
    cleared: bool,
    /// The driver refused to program, or what it programmed is not there.
    refused: bool,
    /// A request is written up to here.
    written: u32,
    /// Sectors still to wipe, from the last one down: the magic goes first.
    wipe: Range<u32>,
}

impl<'i> Control<'i> {
    // One copy: the struct is large.
    #[inline(never)]
    pub(super) fn new(layout: &'i ImageLayout, plan: Plan) -> Self {
        Self {
            layout,
            plan,
            goal: Goal::Look,
            slot: layout.primary(),
            trailer: layout.primary_trailer(),
            start: 0,
            survey: Survey::new(layout.primary(), 0),
            asked: (Pending::Test, 0),
            image_end: 0,
            states: [Trailer::UNSET; 2],
            lost: None,
            torn: false,
            lead: false,
            changed: false,
            looked: false,
            cleared: false,
            refused: false,
            written: 0,
            wipe: 0..0,
        }
    }

    /// Goes on to the next goal of the plan and says in which slot; `None` at the end.
    pub(super) fn turn(&mut self) -> Option<Side> {
        let (&(side, goal), plan) = self.plan.split_first()?;
        let mut offset = 0;
        (self.plan, self.goal) = (plan, goal);
        (self.slot, self.trailer) = (self.layout.primary(), self.layout.primary_trailer());
        if side == Side::Secondary {
            (self.slot, self.trailer) = (self.layout.secondary(), self.layout.secondary_trailer());
            offset = self.layout.image_offset();
        }
        self.start = unit_start(self.trailer.swap_info(), self.slot.write_size());
        (self.changed, self.looked) = (false, false);
        match goal {
            Goal::Survey => self.survey = Survey::new(self.slot, offset),
            Goal::Request => self.lead = !self.layout.lead_sectors().is_empty(),
            Goal::Withdraw => {
                let size = self.survey.outcome().map_or(self.layout.max_image_size(), |image| image.size);
                self.image_end = offset.saturating_add(size);
            }
            Goal::Look | Goal::Confirm | Goal::Forget => {}
        }
        Some(side)
    }

    /// What was found, after [`INSPECT`].
    pub(super) fn image_state(&self) -> ImageState {
        let (mode, [secondary, primary]) = (self.layout.mode(), &self.states);
        ImageState {
            running: self.survey.outcome(),
            request: request_of(mode, secondary),
            revert: revert_of(mode, primary, secondary),
            confirmed: is_confirmed(mode, primary),
            reverted: is_reverted(mode, primary),
        }
    }

    /// What is left, after [`WITHDRAW`].
    pub(super) fn withdrawn(&self) -> Withdrawn {
        self.lost.map_or(Withdrawn::ImageKept, Withdrawn::SectorLost)
    }

    /// Whether the last goal changed something.
    pub(super) const fn has_changed(&self) -> bool {
        self.changed
    }

    /// Device offsets of a part of the slot.
    fn place(&self, part: Range<u32>) -> Range<u32> {
        let start = self.slot.start();
        start.saturating_add(part.start)..start.saturating_add(part.end)
    }

    /// Where a place is in what was read.
    fn within(&self, at: u32) -> usize {
        at.saturating_sub(self.start) as usize
    }

    fn program(&mut self, units: Range<u32>) -> Step {
        self.changed = true;
        let part = self.within(units.start)..self.within(units.end);
        Step::Program(self.place(units).start, part)
    }

    /// Writes `value` to `image_ok` and keeps the rest of its unit. [`FlashError::NotErased`] where it cannot be written.
    fn put_image_ok(&mut self, fields: &mut [u8], value: u8) -> Result<Step, FlashError> {
        let at = self.trailer.image_ok();
        let begin = unit_start(at, self.slot.write_size());
        let unit = begin..begin.saturating_add(self.slot.write_size());
        let bytes = fields.get_mut(self.within(begin)..self.within(unit.end)).unwrap_or_default();
        if !self.slot.rewrite() && !is_all(bytes, self.slot.erased()) {
            return Err(FlashError::NotErased);
        }
        if let Some(byte) = bytes.get_mut((at - begin) as usize) {
            *byte = value;
        }
        Ok(self.program(unit))
    }

    /// The next step towards a request.
    fn request(&mut self, fields: &mut [u8], state: &Trailer) -> Result<Step, FlashError> {
        let (pending, number) = self.asked;
        let is_asked = |state: &Trailer, pending| is_pending(self.trailer.mode(), state, pending);
        let asked = is_asked(state, pending);
        if asked && (!self.changed || self.written == self.slot.size()) {
            return Ok(Step::Done);
        }
        let once = !self.slot.rewrite();
        let upgrades = once && pending == Pending::Permanent && is_asked(state, Pending::Test);
        if !self.cleared {
            if self.refused || once && self.torn {
                return self.clear(fields);
            }
            // By `image_ok` alone: the table does not read `swap_info`, and no moment without a request is needed.
            if upgrades {
                self.written = self.slot.size();
                return match self.put_image_ok(fields, FLAG_SET) {
                    Err(_) => self.clear(fields),
                    step => step,
                };
            }
        }
        let mut wrong: Option<Range<u32>> = None;
        let mut begin = unit_start(self.trailer.info_start(), self.slot.write_size());
        while begin < self.slot.size() {
            // The magic is one piece and the last.
            let unit_end = begin.saturating_add(self.slot.write_size());
            let end = if unit_end <= self.trailer.magic() { unit_end } else { self.slot.size() };
            let piece = fields.get_mut(self.within(begin)..self.within(end)).unwrap_or_default();
            let (mut right, mut blank) = (true, true);
            for (byte, at) in piece.iter_mut().zip(begin..) {
                let wanted = self.trailer.request_byte(pending, number, self.slot.erased(), at);
                right &= *byte == wanted;
                blank &= *byte == self.slot.erased();
                *byte = wanted;
            }
            if !right && !blank && once {
                // With nothing written: a unit must be erased first.
                return if self.cleared { Err(FlashError::NotErased) } else { self.clear(fields) };
            }
            if !right && wrong.is_none() {
                wrong = Some(begin..end);
            }
            begin = end;
        }
        match wrong {
            Some(piece) if piece.start >= self.written => {
                self.written = piece.end;
                Ok(self.program(piece))
            }
            None if asked => Ok(Step::Done),
            // Good magic with a wrong field would be another request than the one wanted.
            Some(_) | None => Err(FlashError::ReadBack),
        }
    }

    /// Makes all fields read as erased, once. Rows are rewritten; else the sectors are wiped, when no byte of the image lies
    /// in them: [`FlashError::Trailer`], with nothing erased, when one does.
    fn clear(&mut self, fields: &mut [u8]) -> Result<Step, FlashError> {
        (self.cleared, self.written) = (true, 0);
        if self.slot.rewrite() {
            return Ok(self.clear_rows(fields));
        }
        let first = self.slot.sector_of(self.trailer.info_start());
        if self.slot.sector_range(first).start < self.image_end {
            return Err(FlashError::Trailer);
        }
        self.wipe = first..self.slot.sector_count();
        self.wipe_next()
    }

    fn clear_rows(&mut self, fields: &mut [u8]) -> Step {
        let first = unit_start(self.trailer.info_start(), self.slot.write_size());
        fields.get_mut(self.within(first)..).unwrap_or_default().fill(self.slot.erased());
        self.program(first..self.slot.size())
    }

    fn wipe_next(&mut self) -> Result<Step, FlashError> {
        self.changed = true;
        self.wipe.end = self.wipe.end.saturating_sub(1);
        self.slot.sector(self.wipe.end).map(Step::Wipe).ok_or(FlashError::OutOfBounds)
    }

    /// The next step towards no request. The bootloader acts on a good magic only.
    fn withdraw(&mut self, fields: &mut [u8], state: &Trailer) -> Result<Step, FlashError> {
        if state.magic != Magic::Good {
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
        self.wipe = sector..sector.saturating_add(1);
        self.wipe_next()
    }

    /// The next step towards a confirmed image.
    fn confirm(&mut self, fields: &mut [u8], state: &Trailer) -> Result<Step, FlashError> {
        match (self.trailer.mode(), state.magic) {
            (BootMode::SwapStatus, _) => {}
            (BootMode::Overwrite, _) | (_, Magic::Unset) => return Ok(Step::Done),
            (_, Magic::Bad) => return Err(FlashError::Trailer),
            (_, Magic::Good) => {}
        }
        if state.image_ok == Flag::Set {
            return Ok(Step::Done);
        }
        if self.changed {
            return Err(FlashError::ReadBack);
        }
        // A torn flag on write-once flash: its sector holds the running image's trailer and cannot be erased here.
        self.put_image_ok(fields, FLAG_SET).map_err(|_| FlashError::Trailer)
    }

    /// The step towards an `image_ok` that does not outlive the image it was set for.
    fn forget(&mut self, fields: &mut [u8], state: &Trailer) -> Result<Step, FlashError> {
        let theirs = state.magic == Magic::Good && state.copy_done == Flag::Set;
        // Write-once flash could not forget it without an erase next to the running image.
        if state.image_ok != Flag::Set || theirs || !self.slot.rewrite() || self.changed {
            return Ok(Step::Done);
        }
        self.put_image_ok(fields, self.slot.erased())
    }
}

impl Script for Control<'_> {
    fn next(&mut self, buffer: &mut [u8]) -> Result<Step, FlashError> {
        if self.goal == Goal::Survey {
            return Ok(self.survey.next(buffer));
        }
        if !self.wipe.is_empty() {
            return self.wipe_next();
        }
        if !core::mem::replace(&mut self.looked, true) {
            let header = 0..HEADER_MAGIC.to_le_bytes().len() as u32;
            let look = if self.lead { header } else { self.start..self.slot.size() };
            return Ok(Step::Read(self.place(look)));
        }
        self.looked = false;
        if core::mem::take(&mut self.lead) {
            // It makes a swap-offset bootloader take the upload for misplaced and erase the slot. No byte of the image
            // lies in that sector.
            let old = buffer.starts_with(&HEADER_MAGIC.to_le_bytes());
            self.wipe = 0..u32::from(old);
            return if old { self.wipe_next() } else { self.next(buffer) };
        }
        let fields = front(buffer, self.within(self.slot.size()));
        let state =
            Trailer::decode(fields, &self.trailer, self.slot.erased()).ok_or(FlashError::OutOfBounds)?;
        match self.goal {
            Goal::Survey | Goal::Look => {
                self.states = [state, self.states[0]];
                Ok(Step::Done)
            }
            Goal::Request => self.request(fields, &state),
            Goal::Withdraw => self.withdraw(fields, &state),
            Goal::Confirm => self.confirm(fields, &state),
            Goal::Forget => self.forget(fields, &state),
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
