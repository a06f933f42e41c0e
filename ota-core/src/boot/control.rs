//! Work on the fields of a slot's trailer: ask for the image in the secondary, take that back, confirm the running one.
//!
//! | mode | request | confirm |
//! |---|---|---|
//! | overwrite | magic, `swap_info`, `image_ok` if permanent | nothing to confirm |
//! | swap-scratch, -move, -offset | the same | `image_ok` of the primary |
//! | swap-status | magic, `image_ok` if permanent | `image_ok` of the primary, whatever its magic says |
//!
//! Each of these, and the inspection, is a short plan of goals. All goals are one script: read the write units that hold the fields, decide one thing, do it, look again. The magic is
//! written last: it is the one commit point, and a power cut before it leaves no request. Fields that share a write unit are
//! composed in RAM and programmed once, since a unit of write-once flash has no second chance.

use core::ops::Range;

use super::{
    ImageState, Withdrawn,
    info::Survey,
    states::{image_state, pending_of},
};
use crate::{
    bytes::{front, unit_start},
    geometry::{BootMode, Geometry, ImageLayout},
    image::HEADER_MAGIC,
    script::{Desk, Next, Script, Step},
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
    /// No old header lies before the image in the secondary: it makes a swap-offset bootloader take the upload for misplaced
    /// and erase the slot. No byte of the image lies in that sector.
    ClearLead,
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

/// What the fields are to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    /// What is asked for.
    Request,
    /// As they are, but for `image_ok`.
    ImageOk(u8),
    /// Erased, all at once.
    Erase,
}

/// Goals in their order.
type Plan = &'static [(Side, Goal)];

pub(super) const INSPECT: Plan =
    &[(Side::Primary, Goal::Survey), (Side::Primary, Goal::Look), (Side::Secondary, Goal::Look)];
pub(super) const REQUEST: Plan = &[(Side::Secondary, Goal::Request)];
pub(super) const CLEAR_AND_REQUEST: Plan =
    &[(Side::Secondary, Goal::ClearLead), (Side::Secondary, Goal::Request)];
pub(super) const REQUEST_AND_FORGET: Plan =
    &[(Side::Secondary, Goal::Request), (Side::Primary, Goal::Forget)];
pub(super) const WITHDRAW: Plan = &[(Side::Secondary, Goal::Survey), (Side::Secondary, Goal::Withdraw)];
pub(super) const CONFIRM_AND_WITHDRAW: Plan =
    &[(Side::Primary, Goal::Confirm), (Side::Secondary, Goal::Survey), (Side::Secondary, Goal::Withdraw)];
pub(super) const CONFIRM: Plan = &[(Side::Primary, Goal::Confirm)];

/// How an image begins.
const OLD_HEADER: [u8; 4] = HEADER_MAGIC.to_le_bytes();

/// The script of a plan. Places are offsets in the slot that is worked on.
pub(super) struct Control<'i> {
    layout: &'i ImageLayout,
    /// What is still to be done.
    pub(super) plan: Plan,
    goal: Goal,
    slot: &'i Geometry,
    trailer: TrailerLayout,
    /// Where the write units with fields start.
    start: u32,
    /// What the goal looks at.
    look: Range<u32>,
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
    /// Something was programmed or wiped for this goal.
    changed: bool,
    /// It has just been read.
    looked: bool,
    /// Old fields were cleared: at most once.
    cleared: bool,
    /// The driver refused to program, or what it programmed is not there.
    refused: bool,
    /// A request becomes permanent by `image_ok` alone.
    upgraded: bool,
    /// What was read is written up to here.
    written: usize,
    /// Sectors still to wipe, from the last one down: the magic goes first.
    wipe: Range<u32>,
}

impl<'i> Control<'i> {
    // One copy: the struct is large.
    #[inline(never)]
    pub(super) fn new(layout: &'i ImageLayout) -> Self {
        Self {
            layout,
            plan: &[],
            goal: Goal::Look,
            slot: layout.primary(),
            trailer: layout.primary_trailer(),
            start: 0,
            look: 0..0,
            survey: Survey::new(0, 0),
            asked: (Pending::Test, 0),
            image_end: 0,
            states: [Trailer::UNSET; 2],
            lost: None,
            torn: false,
            changed: false,
            looked: false,
            cleared: false,
            refused: false,
            upgraded: false,
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
        self.look = self.start..self.slot.size();
        (self.changed, self.looked, self.written) = (false, false, 0);
        match goal {
            Goal::Survey => {
                self.survey = Survey::new(offset, self.slot.size() - offset);
                self.look = self.survey.header();
            }
            Goal::ClearLead => self.look = 0..OLD_HEADER.len() as u32,
            Goal::Withdraw => {
                let size = self.survey.outcome().map_or(self.layout.max_image_size(), |image| image.size);
                self.image_end = offset.saturating_add(size);
            }
            Goal::Look | Goal::Request | Goal::Confirm | Goal::Forget => {}
        }
        Some(side)
    }

    /// What was found, after [`INSPECT`].
    pub(super) fn image_state(&self) -> ImageState {
        let [secondary, primary] = &self.states;
        image_state(self.layout.mode(), self.survey.outcome(), primary, secondary)
    }

    /// What is left, after [`WITHDRAW`].
    pub(super) fn withdrawn(&self) -> Withdrawn {
        self.lost.map_or(Withdrawn::ImageKept, Withdrawn::SectorLost)
    }

    /// Whether the last goal took an `image_ok` away.
    pub(super) fn has_forgotten(&self) -> bool {
        self.goal == Goal::Forget && self.changed
    }

    /// Reads a part of the slot.
    fn read(&self, desk: &mut Desk<'_>, part: Range<u32>) -> Next {
        desk.read(self.slot.start() + part.start..self.slot.start() + part.end)
    }

    /// Changes the first piece of the fields that is not yet as the edit wants it; [`Step::Done`] when all are.
    /// [`FlashError::Trailer`], with nothing written, when any of them is written once only and not blank.
    fn edit(&mut self, desk: &mut Desk<'_>, edit: Edit) -> Next {
        let fields = front(desk.buffer, (self.slot.size() - self.start) as usize);
        let (slot, trailer, erased) = (self.slot, self.trailer, self.slot.erased());
        let mut wrong = 0..0;
        let mut begin = unit_start(trailer.info_start(), slot.write_size());
        while begin < slot.size() {
            // The magic is one piece and the last.
            let unit_end = begin + slot.write_size();
            let single = unit_end > trailer.magic() || edit == Edit::Erase;
            let end = if single { slot.size() } else { unit_end };
            let part = (begin - self.start) as usize..(end - self.start) as usize;
            let (mut right, mut blank) = (true, true);
            for (byte, at) in fields.get_mut(part.clone()).unwrap_or_default().iter_mut().zip(begin..) {
                let wanted = match edit {
                    Edit::Request => trailer.request_byte(self.asked.0, self.asked.1, erased, at),
                    Edit::ImageOk(value) if at == trailer.image_ok() => value,
                    Edit::ImageOk(_) => *byte,
                    Edit::Erase => erased,
                };
                right &= *byte == wanted;
                blank &= *byte == erased;
                *byte = wanted;
            }
            if !right && !blank && !slot.rewrite() {
                return Err(FlashError::Trailer);
            }
            if !right && wrong.is_empty() {
                wrong = part;
            }
            begin = end;
        }
        if wrong.is_empty() {
            return Ok(Step::Done);
        }
        // A piece is written once: it was read back, and flash that changes afterwards is broken.
        if wrong.start < self.written {
            return Err(FlashError::ReadBack);
        }
        (self.changed, self.written) = (true, wrong.end);
        desk.program(slot.start() + self.start + wrong.start as u32, wrong)
    }

    /// The next step towards a request.
    fn request(&mut self, desk: &mut Desk<'_>, state: &Trailer) -> Next {
        let (pending, _) = self.asked;
        let held = pending_of(self.trailer.mode(), state);
        let asked = held == Some(pending);
        if asked && (!self.changed || self.upgraded) {
            return Ok(Step::Done);
        }
        let once = !self.slot.rewrite();
        let blocked = !self.cleared && (self.refused || once && self.torn);
        if blocked && !once {
            // Rows are written over.
            (self.cleared, self.written) = (true, 0);
        }
        // By `image_ok` alone: the table does not read `swap_info`, and no moment without a request is needed.
        self.upgraded = once && !self.cleared && pending == Pending::Permanent && held == Some(Pending::Test);
        let edit = if self.upgraded { Edit::ImageOk(FLAG_SET) } else { Edit::Request };
        let step = if blocked && once { Err(FlashError::Trailer) } else { self.edit(desk, edit) };
        match step {
            Err(FlashError::Trailer) if !self.cleared => self.clear(desk),
            // Good magic with a wrong field would be another request than the one wanted.
            Ok(Step::Done) if !asked => Err(FlashError::ReadBack),
            _other => step,
        }
    }

    /// Makes the way free, once: the sectors with fields are wiped, when no byte of the image lies in them:
    /// [`FlashError::Trailer`], with nothing erased, when one does.
    fn clear(&mut self, desk: &mut Desk<'_>) -> Next {
        (self.cleared, self.written) = (true, 0);
        self.wipe = self.layout.field_sectors();
        if self.holds_image(self.wipe.start) {
            return Err(FlashError::Trailer);
        }
        self.wipe_next(desk)
    }

    /// Whether bytes of the image in the secondary lie in a sector.
    fn holds_image(&self, sector: u32) -> bool {
        self.slot.sector_range(sector).start < self.image_end
    }

    #[inline(never)]
    fn wipe_next(&mut self, desk: &mut Desk<'_>) -> Next {
        self.changed = true;
        self.wipe.end = self.wipe.end.saturating_sub(1);
        desk.wipe(self.slot.whole_sector(self.wipe.end)?)
    }

    /// The next step towards no request. The bootloader acts on a good magic only.
    fn withdraw(&mut self, desk: &mut Desk<'_>, state: &Trailer) -> Next {
        if state.magic != Magic::Good {
            return Ok(Step::Done);
        }
        if self.changed {
            return Err(FlashError::ReadBack);
        }
        if self.slot.rewrite() {
            return self.edit(desk, Edit::Erase);
        }
        let sector = self.slot.sector_of(self.trailer.magic());
        self.lost = self.holds_image(sector).then_some(sector);
        self.wipe = sector..sector + 1;
        self.wipe_next(desk)
    }

    /// The next step towards a confirmed image. A torn flag on write-once flash stays: its sector holds the running image's
    /// trailer and cannot be erased here.
    fn confirm(&mut self, desk: &mut Desk<'_>, state: &Trailer) -> Next {
        match (self.trailer.mode(), state.magic) {
            (BootMode::Overwrite, _) => Ok(Step::Done),
            (BootMode::SwapStatus, _) | (_, Magic::Good) => self.edit(desk, Edit::ImageOk(FLAG_SET)),
            (_, Magic::Unset) => Ok(Step::Done),
            (_, Magic::Bad) => Err(FlashError::Trailer),
        }
    }

    /// The step towards an `image_ok` that does not outlive the image it was set for.
    fn forget(&mut self, desk: &mut Desk<'_>, state: &Trailer) -> Next {
        let theirs = state.magic == Magic::Good && state.copy_done == Flag::Set;
        // Write-once flash could not forget it without an erase next to the running image.
        if state.image_ok != Flag::Set || theirs || !self.slot.rewrite() {
            return Ok(Step::Done);
        }
        self.edit(desk, Edit::ImageOk(self.slot.erased()))
    }
}

impl Script for Control<'_> {
    fn next(&mut self, desk: &mut Desk<'_>) -> Next {
        if !self.wipe.is_empty() {
            return self.wipe_next(desk);
        }
        self.looked = !self.looked;
        if self.looked {
            return self.read(desk, self.look.clone());
        }
        match self.goal {
            Goal::Survey => {
                let Some(part) = self.survey.next(desk.buffer) else { return Ok(Step::Done) };
                self.looked = true;
                return self.read(desk, part);
            }
            Goal::ClearLead => {
                if !desk.buffer.starts_with(&OLD_HEADER) {
                    return Ok(Step::Done);
                }
                return desk.wipe(self.slot.whole_sector(0)?);
            }
            Goal::Look | Goal::Request | Goal::Withdraw | Goal::Confirm | Goal::Forget => {}
        }
        let fields = front(desk.buffer, (self.slot.size() - self.start) as usize);
        let Some(state) = Trailer::decode(fields, &self.trailer, self.slot.erased()) else {
            return Err(FlashError::OutOfBounds);
        };
        match self.goal {
            Goal::Request => self.request(desk, &state),
            Goal::Withdraw => self.withdraw(desk, &state),
            Goal::Confirm => self.confirm(desk, &state),
            Goal::Forget => self.forget(desk, &state),
            Goal::Look | Goal::Survey | Goal::ClearLead => {
                self.states = [state, self.states[0]];
                Ok(Step::Done)
            }
        }
    }

    /// A request that the driver refused to write is written once more, to cleared units.
    fn failed(&mut self, error: FlashError) -> Result<(), FlashError> {
        if self.goal != Goal::Request || self.refused || self.cleared || self.written == 0 {
            return Err(error);
        }
        (self.refused, self.looked) = (true, false);
        Ok(())
    }
}
