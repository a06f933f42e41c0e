//! Blocks: judged when they arrive, written part by part, held only when flash holds them.

use super::clock::{Wait, after};
use super::fetch::Fetch;
use super::job::File;
use super::sectors::Sector;
use super::wear::{AGAIN, FAILED};
use super::{Agent, Hand, Part, Stage, State};
use crate::geometry::{ImageLayout, Reprogram};
use crate::image::{Header, ImageError};
use crate::policy::{Drop, Question};
use crate::slot::{Compared, FlashError};
use crate::status::Reason;
use crate::verify::Kept;
use crate::version::Version;

/// About so many progress updates a file: each is a message that AWS bills, and all devices of an account share 200 a second (AWS
/// IoT Jobs limits).
const MAX_PROGRESS: u32 = 16;
/// Where the reset vector stands behind the header: the second word of the vector table (Armv7-M, B1.5.3).
const RESET_VECTOR: usize = 4;

impl<'a> Agent<'a> {
    /// A block arrived, of this file of a stream or from the open range. Order of checks: stream and file, within what was
    /// asked, length, still missing.
    #[inline(never)]
    pub(super) fn block(&mut self, stream: Option<&str>, file_id: u32, block: u32, data: &[u8]) {
        let judging = match self.state {
            State::Judging => true,
            State::Downloading => false,
            State::Booting { .. }
            | State::Idle
            | State::Custom
            | State::Offered
            | State::Verifying
            | State::Verified
            | State::Ready
            | State::Activating { .. }
            | State::Pending
            | State::Withdrawing { .. }
            | State::Testing { .. }
            | State::Confirming { .. }
            | State::Confirmed { .. }
            | State::Failed { .. }
            | State::Resetting
            | State::Stopped => return self.drop_message(Drop::Late),
        };
        if let Some(stream) = stream {
            if stream != self.stream() {
                return self.drop_message(Drop::Unknown);
            }
            if file_id != u32::from(self.file_in_hand().id) {
                return self.drop_message(Drop::WrongFile);
            }
        }
        // What an earlier life asked for may still arrive: only the file's first block is judged.
        let judged = !judging || block == 0;
        if !self.fetch.was_asked(block) || !judged {
            return self.drop_message(Drop::OutOfWindow);
        }
        let (from, to) = self.fetch.block_range(block);
        if data.len() != (to - from) as usize {
            return self.drop_message(Drop::WrongLength);
        }
        if !self.fetch.is_missing(block) {
            self.statistics.duplicates = self.statistics.duplicates.wrapping_add(1);
            return self.drop_message(Drop::Duplicate);
        }
        self.accept(0, block);
        if !judging && !self.takes_bundle_block(block, data) {
            return;
        }
        self.hand = Some(Hand { at: from, len: to - from, done: 0, blank: false });
        if judging {
            self.judge(data);
        }
    }

    /// The block is what was asked for: the link works.
    #[inline]
    pub(super) fn accept(&mut self, now: i32, block: u32) {
        if self.fetch.arrived(block) {
            self.fetch.shrink();
            self.fetch.calm = 0;
        }
        self.clock.set(Wait::Blocks, now.saturating_add(after(self.config.timing.block_ms)));
        self.statistics.blocks_received = self.statistics.blocks_received.wrapping_add(1);
    }

    /// The first block is in hand: is this an image we want? Nothing is touched yet.
    #[inline(never)]
    fn judge(&mut self, data: &[u8]) {
        if self.judge_bundle(data) {
            return;
        }
        let &File { image, size, .. } = self.file_in_hand();
        if self.layout(image).is_none_or(|layout| size > layout.max_image_size()) {
            return self.fail(Reason::FileTooLarge);
        }
        match judge_header(data, size, self.config.reset_vector(image)) {
            Err(reason) => self.fail(reason),
            Ok(version) => self.ask_about(image, version),
        }
    }

    /// What policy has to be asked about a version, if anything.
    pub(super) fn version_question(&self, image: u8, offered: Version) -> Option<Question> {
        let running = if image == 0 { self.running_version() } else { self.version_of(image) };
        match offered.cmp(&running) {
            core::cmp::Ordering::Less => Some(Question::Downgrade { running, offered }),
            core::cmp::Ordering::Equal => Some(Question::SameVersion { version: running }),
            core::cmp::Ordering::Greater => None,
        }
    }

    /// Judged good: is the version, and may the slot be touched?
    pub(super) fn ask_about(&mut self, image: u8, version: Version) {
        self.question = self.version_question(image, version);
        if self.question.is_none() {
            self.ask_erase();
        }
    }

    /// May the slot be touched?
    pub(super) fn ask_erase(&mut self) {
        if self.erase_agreed {
            self.download();
        } else {
            self.question = Some(Question::Erase);
        }
    }

    /// Judged good and agreed: the slot may be touched.
    pub(super) fn download(&mut self) {
        self.cleared = false;
        self.record_due = true;
        self.fetch.window = self.config.first_window();
        self.state = State::Downloading;
    }

    /// Goes on with the first file that is not verified yet.
    #[inline(never)]
    pub(super) fn next_file(&mut self) {
        let count = self.job.file_count;
        let Some(file) = (0..count).find(|file| self.token_of(*file).is_none()) else {
            return self.files_verified();
        };
        self.fetch.start(file, self.job.file(file).size);
        self.cleared = false;
        let Some(layout) = self.layout_in_hand() else { return self.fail(Reason::NoDestination) };
        if file < self.complete {
            self.fetch.restore(u32::MAX, &[0; 32], layout);
        } else if let Some(resume) = &self.resume
            && resume.identity == self.job.digest
            && resume.file == file
            && !resume.bundle
        {
            self.fetch.restore(resume.front, &resume.window, layout);
            self.resume = None;
            if layout.secondary().reprogram() == Reprogram::Forbidden && !layout.secondary().rewrite() {
                self.fetch.give_up_torn(layout);
            }
            self.statistics.resumed_blocks += self.fetch.held_count();
        }
        self.fetch.window = self.config.first_window();
        self.state = if self.fetch.is_complete() {
            State::Verifying
        } else if self.fetch.held_count() == 0 {
            State::Judging
        } else {
            self.record_due = true;
            State::Downloading
        };
    }

    /// Every file is verified. Several of them must need each other, or policy must not mind (DESIGN.md, several images).
    fn files_verified(&mut self) {
        if self.are_mutual() {
            self.all_verified();
        } else {
            self.state = State::Verifying;
            self.question = Some(Question::NotMutual);
        }
    }

    /// Nothing is left to check.
    pub(super) fn all_verified(&mut self) {
        // Otherwise the journal knows.
        self.record_due |= self.stage == Stage::New;
        self.clock.set(Wait::State, 0);
        self.state = match self.stage {
            Stage::Ready => State::Ready,
            Stage::New | Stage::Verified => State::Verified,
        };
    }

    /// Each image of the job needs every other one, in a version that comes with it.
    fn are_mutual(&self) -> bool {
        let tokens = || self.tokens.iter().flatten();
        let needs = |one: &Kept, other: &Kept| {
            one.dependency(other.image()).is_some_and(|version| version <= other.version())
        };
        tokens().all(|one| tokens().all(|other| one.image() == other.image() || needs(one, other)))
    }

    /// The next part of the block in hand: within one sector.
    pub(super) fn part(&self, hand: &Hand, image: u8, layout: &ImageLayout) -> (u32, Part) {
        let sector = self.fetch.sector_at(hand.at + hand.done, layout);
        let (_, sector_end) = self.fetch.sector_bytes(sector, layout);
        let to = hand.len.min(sector_end - hand.at);
        (sector, self.part_to(hand, image, to))
    }

    /// The part of the block in hand from what flash holds of it to `to`.
    #[inline]
    pub(super) fn part_to(&self, hand: &Hand, image: u8, to: u32) -> Part {
        let at = hand.at.saturating_add(hand.done);
        let in_image = at - self.fetch.image_start();
        Part { image, at: in_image, from: hand.done, to, hash: self.fetch.hashed == at }
    }

    /// As parts promise: it lies within one sector.
    pub(super) fn is_in_one_sector(&self, hand: &Hand) -> bool {
        self.layout_in_hand().is_none_or(|layout| {
            let sector = |at| self.fetch.sector_at(at, layout);
            sector(hand.at + hand.done) == sector(hand.at + hand.len - 1)
        })
    }

    /// Flash holds the block in hand up to `to`; `hash`: and the digest ran over that.
    #[inline(never)]
    pub(super) fn part_held(&mut self, to: u32, hash: bool) {
        let Some(hand) = &mut self.hand else { return };
        if hash {
            self.fetch.hashed += to - hand.done;
        }
        (hand.done, hand.blank) = (to, false);
        if to < hand.len {
            return;
        }
        let block = self.fetch.block_at(hand.at);
        self.hand = None;
        self.fetch.hold(block);
        if self.fetch.is_complete() {
            // What is fetched again for the digest of a bundle was recorded before.
            self.record_due |= !self.job.bundle.is_open() || self.reaches() > self.reached;
            self.fetch.forget_requests();
            self.stage = Stage::New;
            self.state = State::Verifying;
            return;
        }
        if self.fetch.unrecorded >= self.config.record_blocks.max(1) {
            self.record_due = true;
        }
        // The first one tells the console early that the job runs.
        let every = self.progress_every();
        if every != 0 && (self.fetch.held_count() == 1 || self.until_progress() == every) {
            self.progress_due = true;
        }
    }

    /// Blocks from one progress update to the next; 0: none is published.
    fn progress_every(&self) -> u32 {
        match self.config.progress_blocks {
            0 => 0,
            every => (self.fetch.block_count / MAX_PROGRESS).max(every.into()),
        }
    }

    /// How many more blocks have to be held for the next progress update.
    pub(super) fn until_progress(&self) -> u32 {
        let every = self.progress_every();
        self.fetch.held_count().checked_rem(every).map_or(u32::MAX, |beyond| every - beyond)
    }

    /// How the part in hand compares with flash.
    pub(super) fn part_compared(&mut self, to: u32, hash: bool, compared: Compared) {
        let Some(layout) = self.layout_in_hand() else { return };
        let secondary = layout.secondary();
        let blank = match compared {
            Compared::Equal => return self.part_held(to, hash),
            Compared::Blank => {
                let is_shared =
                    || self.sector_in_hand().is_some_and(|at| self.fetch.sector(at) == Sector::Shared);
                secondary.reprogram() == Reprogram::Allowed || is_shared()
            }
            Compared::Different => false,
        };
        if !blank && !secondary.rewrite() {
            return self.give_up_in_hand(AGAIN, FlashError::Unfinished);
        }
        if let Some(hand) = &mut self.hand {
            hand.blank = true;
        }
    }

    /// Writing or erasing failed.
    pub(super) fn flash_failed(&mut self, error: FlashError) {
        self.give_up_in_hand(FAILED, error);
    }

    /// What the sector holds that the next part of the block in hand belongs to cannot be trusted: its blocks are fetched
    /// again, unless too much was in vain before.
    #[inline(never)]
    fn give_up_in_hand(&mut self, points: u8, why: FlashError) {
        if self.in_vain(points) {
            return self.fail_with(Reason::FlashFailed, why as u32);
        }
        let (Some(sector), Some(layout)) = (self.sector_in_hand(), self.layout_in_hand()) else { return };
        let lost = self.fetch.give_up(sector, layout);
        self.bundle_given_up(sector, layout, lost);
        self.statistics.sectors_given_up += 1;
        // The journal must not claim those blocks when the sector is erased.
        self.record_due = true;
        if let Some(hand) = &mut self.hand {
            (hand.done, hand.blank) = (0, false);
        }
    }

    /// The sector that the next part of the block in hand belongs to.
    #[inline(never)]
    fn sector_in_hand(&self) -> Option<u32> {
        let hand = self.hand.as_ref()?;
        Some(self.fetch.sector_at(hand.at + hand.done, self.layout_in_hand()?))
    }

    /// The file being downloaded.
    pub(super) fn file_in_hand(&self) -> &File {
        self.job.file(self.fetch.file)
    }

    /// The image it is for; of a bundle the one being written.
    pub(super) fn image_in_hand(&self) -> u8 {
        self.file_in_hand().image
    }

    #[inline(never)]
    pub(super) fn layout_in_hand(&self) -> Option<&'a ImageLayout> {
        self.layout(self.image_in_hand())
    }

    /// The block in hand is lost: the sectors that hold a part of it are compared before they are written again.
    /// `writing`: one more part may have been written.
    pub(super) fn distrust_hand(&mut self, writing: bool) {
        if self.job.bundle.is_open() {
            // Rehashing distrusts the whole block.
            return;
        }
        if let (Some(hand), Some(sector), Some(layout)) =
            (&self.hand, self.sector_in_hand(), self.layout_in_hand())
        {
            for sector in self.fetch.sector_at(hand.at, layout)..sector + u32::from(writing) {
                self.fetch.distrust(sector, Sector::Untrusted);
            }
        }
        self.hand = None;
    }

    /// The next sector to clear of what an old image left at the slot's ends.
    pub(super) fn sector_to_clear(&self, layout: &ImageLayout) -> Option<u32> {
        let closed = |sector: &u32| self.fetch.sector(*sector) == Sector::Closed;
        layout.lead_sectors().chain(layout.trailer_sectors()).find(closed)
    }
}

impl Fetch<'_> {
    /// Where a torn unit must not be programmed again, an untrusted sector with a missing place is given up at once.
    pub(super) fn give_up_torn(&mut self, layout: &ImageLayout) {
        for sector in 0..layout.secondary().sector_count() {
            let (from, to) = self.sector_bytes(sector, layout);
            if self.sector(sector) == Sector::Untrusted
                && self.blocks_of_bytes(from, to).any(|block| self.is_missing(block))
            {
                self.give_up(sector, layout);
            }
        }
    }
}

/// What the first block says about the image.
pub(super) fn judge_header(
    data: &[u8],
    file_size: u32,
    reset_vector: Option<(u32, u32)>,
) -> Result<Version, Reason> {
    let header = Header::parse(data).map_err(|error| match error {
        ImageError::TooLarge => Reason::ImageTruncated,
        ImageError::Truncated
        | ImageError::Magic
        | ImageError::Size
        | ImageError::NonBootable
        | ImageError::Encrypted
        | ImageError::Compressed
        | ImageError::Tlv
        | ImageError::TlvCount
        | ImageError::NoHash
        | ImageError::SecurityCounter => Reason::NotAnImage,
    })?;
    header.bootable().map_err(|_| Reason::NotBootable)?;
    // Behind the hashed part stands at least the head of the unprotected TLVs (MCUboot design, "Image format").
    if header.hashed_size().is_none_or(|end| end.saturating_add(4) > file_size) {
        return Err(Reason::ImageTruncated);
    }
    // A block may be too short to show the vector; it is checked again from flash.
    let vector_at = usize::from(header.header_size) + RESET_VECTOR;
    if let (Some((first, last)), Some(bytes)) = (reset_vector, data.get(vector_at..vector_at + 4)) {
        let vector = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        if !(first..last).contains(&(vector & !1)) {
            return Err(Reason::WrongSlot);
        }
    }
    Ok(header.version)
}
