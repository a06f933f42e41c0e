//! Exchanging two slots so that a cut anywhere is made good at the next boot.
//!
//! A swap is a row of steps; a step erases one place and copies another into it, and can be repeated as long as the next one
//! has not begun. After each step one status entry is written. (`swap_move.c`, `swap_offset.c`, `swap_scratch.c`)

use super::area::{Area, Flashes};
use super::layout::{chunk_end, chunk_start};
use super::status::Which;
use super::trailer::{FLAG_SET, Fields, Flag, Magic, State, SwapType};
use super::{Bootloader, ImageSlots, Mode};
use crate::flash::FlashFault;

/// A swap under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub image: usize,
    pub swap: SwapType,
    /// Bytes to exchange: the length of the larger image.
    pub size: u32,
    /// Steps done.
    pub done: u32,
    /// The first chunk's steps are recorded in the scratch area, because the slots' trailers lie in that chunk.
    pub in_scratch: bool,
}

/// Unprotected TLV sizes of primary and secondary, which swap-offset records.
pub(super) type TlvSizes = (u16, u16);

impl Bootloader<'_> {
    pub(super) fn slots(&self, image: usize) -> ImageSlots {
        self.config.images[image]
    }

    /// Meaning of both trailers. With a status partition the records are read, not the slots.
    pub(super) fn states(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
    ) -> Result<(State, State), FlashFault> {
        let slots = self.slots(image);
        match self.config.mode {
            Mode::SwapStatus(_) => {
                let primary = self.record_state(flashes, Which::Primary(image))?;
                Ok((primary, self.record_state(flashes, Which::Secondary(image))?))
            }
            Mode::Overwrite | Mode::SwapScratch | Mode::SwapMove | Mode::SwapOffset => {
                let primary = self.state(flashes, slots.primary, &self.fields(slots.primary))?;
                Ok((primary, self.state(flashes, slots.secondary, &self.fields(slots.secondary))?))
            }
        }
    }

    /// The swap that was cut, if there is one.
    pub(super) fn interrupted(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
    ) -> Result<Option<Job>, FlashFault> {
        let (primary, secondary) = self.states(flashes, image)?;
        let started = primary.magic == Magic::Good && primary.copy_done == Flag::Unset;
        match self.config.mode {
            Mode::Overwrite => Ok(None),
            Mode::SwapMove | Mode::SwapOffset => {
                if !started || secondary.magic == Magic::Good {
                    return Ok(None);
                }
                self.job(flashes, image, &primary, false)
            }
            Mode::SwapScratch => {
                let job = if started { self.job(flashes, image, &primary, false)? } else { None };
                if job.is_some_and(|job| job.done >= 3) {
                    return Ok(job);
                }
                let Some(scratch) = self.config.scratch else { return Ok(None) };
                let state = self.state(flashes, scratch, &self.scratch_fields(scratch))?;
                if state.magic == Magic::Good && usize::from(state.swap_info >> 4) == image {
                    // Without an entry nothing but the scratch area was touched: the request still stands.
                    let from_scratch = self.job(flashes, image, &state, true)?;
                    if from_scratch.is_some_and(|job| job.done > 0) {
                        return Ok(from_scratch);
                    }
                }
                Ok(job)
            }
            Mode::SwapStatus(_) => {
                if !started {
                    return Ok(None);
                }
                let (done, size) =
                    (self.record_progress(flashes, image)?, self.record_swap_size(flashes, image)?);
                Ok(resumable(image, &primary, done, size, false))
            }
        }
    }

    fn job(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        state: &State,
        in_scratch: bool,
    ) -> Result<Option<Job>, FlashFault> {
        let (area, fields) = self.journal(image, in_scratch)?;
        let mut size = [0; 4];
        flashes.read(area, fields.swap_size, &mut size)?;
        let size = if size == [flashes.erased(area); 4] { 0 } else { u32::from_le_bytes(size) };
        let mut job = Job { image, swap: SwapType::None, size, done: 0, in_scratch };
        let total = self.step_count(flashes, &job);
        while job.done < total
            && flashes.read_byte(area, self.entry(flashes, &job, job.done)?)? != flashes.erased(area)
        {
            job.done += 1;
        }
        Ok(resumable(image, state, job.done, size, in_scratch))
    }

    /// The area whose trailer records the swap.
    fn journal(&self, image: usize, in_scratch: bool) -> Result<(Area, Fields), FlashFault> {
        if in_scratch {
            let scratch = self.config.scratch.ok_or(FlashFault::OutOfBounds)?;
            return Ok((scratch, self.scratch_fields(scratch)));
        }
        let primary = self.slots(image).primary;
        Ok((primary, self.fields(primary)))
    }

    /// Begins a swap: whatever is cut in here, the request still stands or the swap is found begun.
    pub(super) fn begin(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        swap: SwapType,
        size: u32,
        tlv_sizes: TlvSizes,
    ) -> Result<Job, FlashFault> {
        let slots = self.slots(image);
        let mut job = Job { image, swap, size, done: 0, in_scratch: false };
        if let Mode::SwapStatus(_) = self.config.mode {
            if swap == SwapType::Revert {
                self.record_revert(flashes, image)?;
            }
            self.record_begin(flashes, image, swap, size)?;
            return Ok(job);
        }
        job.in_scratch = self.shares_trailer(flashes, &job);
        if swap == SwapType::Revert {
            self.keep_revert(flashes, &job)?;
        }
        let (area, fields) = self.journal(image, job.in_scratch)?;
        if job.in_scratch {
            flashes.erase(area, 0, area.size)?;
        } else {
            self.erase_trailer(flashes, slots.primary)?;
        }
        self.write_info(flashes, &job, area, &fields, tlv_sizes)?;
        Ok(job)
    }

    /// The revert that is about to begin is asked for by the primary's trailer, which is erased first: before that the
    /// secondary must ask for it (`fixup_revert`).
    fn keep_revert(&self, flashes: &mut Flashes<'_, '_>, job: &Job) -> Result<(), FlashFault> {
        let area = self.slots(job.image).secondary;
        let fields = self.fields(area);
        let state = self.state(flashes, area, &fields)?;
        if state.magic == Magic::Good && state.copy_done == Flag::Set {
            // Row 0 brought us here: what is asked for already stands in the secondary.
            return Ok(());
        }
        if !flashes.is_blank(area, fields.swap_size, area.size)? {
            if job.in_scratch {
                return Ok(());
            }
            self.erase_trailer(flashes, area)?;
        }
        match self.config.mode {
            // Row 0 of the table: with this flag the image is known to lie in sector 0.
            Mode::SwapOffset => self.write_flag(flashes, area, fields.copy_done, FLAG_SET)?,
            Mode::SwapScratch | Mode::SwapMove | Mode::Overwrite | Mode::SwapStatus(_) => {
                self.write_flag(flashes, area, fields.image_ok, FLAG_SET)?;
            }
        }
        self.write_magic(flashes, area)
    }

    /// The info part of the trailer that records the swap, the magic last.
    fn write_info(
        &self,
        flashes: &mut Flashes<'_, '_>,
        job: &Job,
        area: Area,
        fields: &Fields,
        tlv_sizes: TlvSizes,
    ) -> Result<(), FlashFault> {
        self.write_flag(flashes, area, fields.swap_info, (job.image as u8) << 4 | job.swap as u8)?;
        if job.swap == SwapType::Perm {
            self.write_flag(flashes, area, fields.image_ok, FLAG_SET)?;
        }
        if let Some(at) = fields.tlv_sizes {
            let ([p0, p1], [s0, s1]) = (tlv_sizes.0.to_le_bytes(), tlv_sizes.1.to_le_bytes());
            flashes.write_field(area, at, &[p0, p1, s0, s1], self.config.write_size)?;
        }
        self.write_swap_size(flashes, job, area, fields)?;
        self.write_magic(flashes, area)
    }

    fn write_swap_size(
        &self,
        flashes: &mut Flashes<'_, '_>,
        job: &Job,
        area: Area,
        fields: &Fields,
    ) -> Result<(), FlashFault> {
        flashes.write_field(area, fields.swap_size, &job.size.to_le_bytes(), self.config.write_size)
    }

    /// Carries a swap on from where it is, to its end.
    pub(super) fn finish(&self, flashes: &mut Flashes<'_, '_>, mut job: Job) -> Result<(), FlashFault> {
        let slots = self.slots(job.image);
        if job.done == 0 && !job.in_scratch {
            self.forget_request(flashes, &job)?;
        }
        let total = self.step_count(flashes, &job);
        while job.done < total {
            self.step(flashes, &job)?;
            if job.in_scratch && job.done == 2 {
                self.leave_scratch(flashes, &mut job)?;
            } else {
                self.record(flashes, &job)?;
            }
            job.done += 1;
        }
        if let Mode::SwapStatus(_) = self.config.mode {
            return self.record_finish(flashes, job.image, job.swap, job.size);
        }
        self.clean_scratch(flashes)?;
        if self.config.mode == Mode::SwapOffset && job.swap == SwapType::Revert {
            // The image that was taken back lies one sector up again; its old first sector would look like a bad upload.
            let sector = flashes.config(slots.secondary).sector_size;
            flashes.erase(slots.secondary, 0, sector)?;
        }
        let fields = self.fields(slots.primary);
        let state = self.state(flashes, slots.primary, &fields)?;
        match job.swap {
            SwapType::Perm | SwapType::Revert | SwapType::Fail => {
                if state.image_ok == Flag::Unset {
                    self.write_flag(flashes, slots.primary, fields.image_ok, FLAG_SET)?;
                }
            }
            SwapType::Test | SwapType::None => {}
        }
        self.write_flag(flashes, slots.primary, fields.copy_done, FLAG_SET)
    }

    /// Erases the request from the secondary once the primary's trailer stands for it.
    fn forget_request(&self, flashes: &mut Flashes<'_, '_>, job: &Job) -> Result<(), FlashFault> {
        if let Mode::SwapStatus(_) = self.config.mode {
            return self.record_begun(flashes, job.image);
        }
        let slots = self.slots(job.image);
        let fields = self.fields(slots.primary);
        // Only when the application wrote this trailer: a swap of the bootloader's own has its size recorded.
        if flashes.is_blank(slots.primary, fields.swap_size, fields.swap_size + 4)? {
            self.write_swap_size(flashes, job, slots.primary, &fields)?;
        }
        if self.shares_trailer(flashes, job) {
            return Ok(());
        }
        self.erase_trailer(flashes, slots.secondary)
    }

    /// The first chunk is exchanged: the primary's trailer takes over from the scratch area's.
    fn leave_scratch(&self, flashes: &mut Flashes<'_, '_>, job: &mut Job) -> Result<(), FlashFault> {
        let primary = self.slots(job.image).primary;
        let fields = self.fields(primary);
        self.write_info(flashes, job, primary, &fields, (0, 0))?;
        job.in_scratch = false;
        for done in 0..=job.done {
            self.record(flashes, &Job { done, ..*job })?;
        }
        self.clean_scratch(flashes)
    }

    /// Removes a scratch trailer that would be taken for a swap under way.
    fn clean_scratch(&self, flashes: &mut Flashes<'_, '_>) -> Result<(), FlashFault> {
        let (Mode::SwapScratch, Some(scratch)) = (self.config.mode, self.config.scratch) else {
            return Ok(());
        };
        let fields = self.scratch_fields(scratch);
        if self.state(flashes, scratch, &fields)?.magic == Magic::Unset {
            return Ok(());
        }
        flashes.erase(scratch, fields.start, scratch.size)
    }

    /// Erases the sectors a trailer lies in.
    pub(super) fn erase_trailer(&self, flashes: &mut Flashes<'_, '_>, area: Area) -> Result<(), FlashFault> {
        let start = self.fields(area).start;
        if flashes.is_blank(area, start, area.size)? {
            return Ok(());
        }
        flashes.erase(area, start, area.size)
    }

    /// Whether image bytes and trailers lie in one chunk, which then is exchanged under the scratch area's trailer.
    pub(super) fn shares_trailer(&self, flashes: &Flashes<'_, '_>, job: &Job) -> bool {
        self.config.mode == Mode::SwapScratch && job.size > self.trailer_chunk(flashes, job)
    }

    fn sectors(&self, flashes: &Flashes<'_, '_>, slots: &ImageSlots) -> (u32, u32) {
        (flashes.config(slots.primary).sector_size, flashes.config(slots.secondary).sector_size)
    }

    fn trailer_chunk(&self, flashes: &Flashes<'_, '_>, job: &Job) -> u32 {
        let slots = self.slots(job.image);
        let (primary, secondary) = self.sectors(flashes, &slots);
        chunk_start(&slots, primary, secondary, self.fields(slots.primary).start + 1)
    }

    /// The chunk that is the `index`th from the top of what is exchanged.
    fn chunk(&self, flashes: &Flashes<'_, '_>, job: &Job, index: u32) -> (u32, u32) {
        let slots = self.slots(job.image);
        let (primary, secondary) = self.sectors(flashes, &slots);
        let mut end = chunk_end(&slots, primary, secondary, job.size);
        let mut start = chunk_start(&slots, primary, secondary, end);
        for _ in 0..index {
            end = start;
            start = chunk_start(&slots, primary, secondary, end.max(1));
        }
        (start, end)
    }

    fn step_count(&self, flashes: &Flashes<'_, '_>, job: &Job) -> u32 {
        let slots = self.slots(job.image);
        let (primary, secondary) = self.sectors(flashes, &slots);
        // A size nobody could have recorded must not lead past the slot.
        let size = job.size.min(slots.primary.size);
        match self.config.mode {
            Mode::Overwrite => 0,
            Mode::SwapMove => 3 * size.div_ceil(primary),
            Mode::SwapOffset => 2 * size.div_ceil(primary),
            Mode::SwapScratch | Mode::SwapStatus(_) => {
                let mut end = if size == 0 { 0 } else { chunk_end(&slots, primary, secondary, size) };
                let mut count = 0;
                while end > 0 {
                    end = chunk_start(&slots, primary, secondary, end);
                    count += 1;
                }
                3 * count
            }
        }
    }

    /// Does the next step.
    fn step(&self, flashes: &mut Flashes<'_, '_>, job: &Job) -> Result<(), FlashFault> {
        let slots = self.slots(job.image);
        let sector = flashes.config(slots.primary).sector_size;
        let count = job.size.div_ceil(sector);
        let mut copy = |from: Area, from_sector: u32, to: Area, to_sector: u32| {
            flashes.erase(to, to_sector * sector, (to_sector + 1) * sector)?;
            flashes.copy(from, from_sector * sector, to, to_sector * sector, sector)
        };
        match self.config.mode {
            Mode::Overwrite => Ok(()),
            Mode::SwapMove => match job.done.checked_sub(count) {
                None => copy(slots.primary, count - job.done - 1, slots.primary, count - job.done),
                Some(step) if step % 2 == 0 => copy(slots.secondary, step / 2, slots.primary, step / 2),
                Some(step) => copy(slots.primary, step / 2 + 1, slots.secondary, step / 2),
            },
            Mode::SwapOffset => {
                let (index, first) = (job.done / 2, job.done.is_multiple_of(2));
                match (job.swap == SwapType::Revert, first) {
                    (false, true) => copy(slots.primary, index, slots.secondary, index),
                    (false, false) => copy(slots.secondary, index + 1, slots.primary, index),
                    (true, true) => copy(slots.primary, count - 1 - index, slots.secondary, count - index),
                    (true, false) => {
                        copy(slots.secondary, count - 1 - index, slots.primary, count - 1 - index)
                    }
                }
            }
            Mode::SwapScratch | Mode::SwapStatus(_) => self.scratch_step(flashes, job, &slots),
        }
    }

    /// Secondary to scratch, primary to secondary, scratch to primary.
    fn scratch_step(
        &self,
        flashes: &mut Flashes<'_, '_>,
        job: &Job,
        slots: &ImageSlots,
    ) -> Result<(), FlashFault> {
        let scratch = self.config.scratch.ok_or(FlashFault::OutOfBounds)?;
        let (start, mut end) = self.chunk(flashes, job, job.done / 3);
        let mut data = end - start;
        if job.in_scratch {
            // Trailers are erased with the chunk but not copied.
            end = slots.primary.size;
            data = self.limit_of(flashes, slots).unwrap_or(end).min(end) - start;
        }
        match job.done % 3 {
            0 => {
                if !job.in_scratch {
                    flashes.erase(scratch, 0, data)?;
                }
                flashes.copy(slots.secondary, start, scratch, 0, data)
            }
            1 => {
                flashes.erase(slots.secondary, start, end)?;
                flashes.copy(slots.primary, start, slots.secondary, start, data)
            }
            _ => {
                flashes.erase(slots.primary, start, end)?;
                flashes.copy(scratch, 0, slots.primary, start, data)
            }
        }
    }

    /// Records the step just done.
    fn record(&self, flashes: &mut Flashes<'_, '_>, job: &Job) -> Result<(), FlashFault> {
        if let Mode::SwapStatus(_) = self.config.mode {
            return self.record_step(flashes, job.image, job.done);
        }
        let (area, _) = self.journal(job.image, job.in_scratch)?;
        let at = self.entry(flashes, job, job.done)?;
        let sectors = job.size.div_ceil(flashes.config(self.slots(job.image).primary).sector_size);
        let state = match self.config.mode {
            Mode::SwapMove => job.done.checked_sub(sectors).map_or(1, |step| step % 2 + 1),
            Mode::SwapOffset => job.done % 2 + 1,
            Mode::SwapScratch | Mode::Overwrite | Mode::SwapStatus(_) => job.done % 3 + 1,
        };
        self.write_flag(flashes, area, at, state as u8)
    }

    /// Where the entry of a step lies.
    fn entry(&self, flashes: &Flashes<'_, '_>, job: &Job, step: u32) -> Result<u32, FlashFault> {
        let (_, fields) = self.journal(job.image, job.in_scratch)?;
        let sectors = job.size.div_ceil(flashes.config(self.slots(job.image).primary).sector_size);
        let number = match self.config.mode {
            // Moves fill the first third of the status area, exchanges the rest.
            Mode::SwapMove => match step.checked_sub(sectors) {
                None => step,
                Some(exchange) => self.config.max_sectors + exchange,
            },
            Mode::SwapOffset | Mode::SwapScratch | Mode::Overwrite | Mode::SwapStatus(_) => step,
        };
        Ok(fields.start + number * self.config.write_size)
    }
}

/// A found trailer with neither progress nor a swap type means nothing is under way.
fn resumable(image: usize, state: &State, done: u32, size: u32, in_scratch: bool) -> Option<Job> {
    let swap = match state.swap_type() {
        SwapType::None if done == 0 => return None,
        SwapType::None | SwapType::Fail => SwapType::Test,
        swap @ (SwapType::Test | SwapType::Perm | SwapType::Revert) => swap,
    };
    Some(Job { image, swap, size, done, in_scratch })
}
