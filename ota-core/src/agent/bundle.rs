//! Bundles: one TAR file that brings several images.
//!
//! The bundle is one file of blocks like any other. Its images are written to their slots as they come; what lies between
//! them (headers, list, padding: *bare* bytes) is signed but not kept, so it is hashed from the block in hand, and blocks that
//! hold such bytes are taken only when the digest has reached them. All others may come in any order. Whatever makes the
//! digest start anew makes exactly the blocks with bare bytes missing again.
//!
//! Where the images lie is known from the bundle's head, in block 0, and forgotten with it: after a restart block 0 is among
//! the blocks that are fetched again anyway.
//!
//! When the job's signature over the whole is proved, the images take the place of the file in the job and are verified and
//! activated like the files of any job with several.

use super::blocks::judge_header;
use super::config::BUNDLE_MARGIN;
use super::fetch::Fetch;
use super::job::{File, Job};
use super::plan::{HASH_SIZE, Next};
use super::sectors::Sector;
use super::{Action, Agent, Hand, MAX_IMAGES, Part, State};
use crate::geometry::{ImageLayout, Reprogram};
use crate::image::{HEADER_MAGIC, HEADER_SIZE};
use crate::policy::Drop;
use crate::status::Reason;
use crate::verify::SignedBundle;
use crate::version::Version;
use crate::wire::tar::{self, Head, TarError};

/// One image in a bundle.
#[derive(Clone, Copy, Default)]
struct Member {
    image: u8,
    /// Hash of the name its header must have.
    name: u32,
    /// Where its payload lies in the file.
    start: u32,
    size: u32,
}

impl Member {
    const NONE: Self = Self { image: 0, name: 0, start: 0, size: 0 };

    const fn end(&self) -> u32 {
        self.start.saturating_add(self.size)
    }
}

/// The bundle of the held job. Without members: its files are bare images, or not known yet.
pub(crate) struct Bundle {
    /// The bundle as file of the job.
    file: File,
    members: [Member; MAX_IMAGES],
    count: u8,
    /// Blocks without a gap of which flash holds all that belongs there. Blocks with bare bytes may be missing among them.
    front: u32,
    /// The job's signature signs what flash holds.
    proof: Option<SignedBundle>,
}

impl Bundle {
    pub(crate) const NONE: Self =
        Self { file: File::NONE, members: [Member::NONE; MAX_IMAGES], count: 0, front: 0, proof: None };

    /// The file in hand is a bundle whose images are not verified yet.
    pub(crate) fn is_open(&self) -> bool {
        self.count > 0 && self.proof.is_none()
    }

    fn members(&self) -> &[Member] {
        self.members.get(..usize::from(self.count)).unwrap_or(&[])
    }

    fn member_at(&self, at: u32) -> Option<&Member> {
        self.members().iter().find(|member| (member.start..member.end()).contains(&at))
    }

    fn of_image(&self, image: u8) -> Option<&Member> {
        self.members().iter().find(|member| member.image == image)
    }

    /// The first image that starts behind `at`, or the end of the file.
    fn bare_end(&self, at: u32) -> u32 {
        let starts = self.members().iter().map(|member| member.start);
        starts.filter(|start| *start > at).min().unwrap_or(self.file.size)
    }

    /// Where the bytes are that no slot holds.
    fn bare(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (members, count, size) = (self.members, usize::from(self.count), self.file.size);
        (0..=count).map(move |k| {
            let from = k.checked_sub(1).and_then(|k| members.get(k)).map_or(0, Member::end);
            let to = members.get(k).filter(|_| k < count).map_or(size, |member| member.start);
            (from, to)
        })
    }

    /// Whether a block of these bytes holds any that no slot does.
    fn is_bare(&self, (from, to): (u32, u32)) -> bool {
        self.bare().any(|bare| from.max(bare.0) < to.min(bare.1))
    }

    /// Headers in this block are those of the list, and nothing but zeros follows the last member.
    fn check(&self, (from, to): (u32, u32), data: &[u8]) -> Result<(), Reason> {
        let inside = |at: u32| data.get(at.checked_sub(from)? as usize..);
        for member in self.members().iter().skip(1) {
            let at = member.start.saturating_sub(tar::RECORD_SIZE);
            let Some(record) = inside(at).filter(|record| !record.is_empty()) else { continue };
            let header = tar::Header::parse(record).map_err(reason_of_tar)?;
            if header.size != member.size || name_hash(header.name.bytes()) != member.name {
                return Err(Reason::BundleMismatch);
            }
        }
        let last = self.members().last().and_then(|member| tar::padded(member.end())).unwrap_or(u32::MAX);
        if last < to && inside(last.max(from)).unwrap_or(&[]).iter().any(|byte| *byte != 0) {
            return Err(Reason::BundleMalformed);
        }
        Ok(())
    }
}

/// Where in the file an image lies, and where in the memory of sectors its own stand.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    start: u32,
    end: u32,
    sectors_at: u32,
}

impl Place {
    /// The file is one image.
    pub(super) const fn of_file(size: u32) -> Self {
        Self { start: 0, end: size, sectors_at: 0 }
    }
}

impl Fetch<'_> {
    /// Another image is written from now on.
    fn put_place(&mut self, place: Place) {
        self.place = place;
        self.open = (0, 0);
    }

    /// First byte of the file that belongs to the image being written.
    pub(super) const fn image_start(&self) -> u32 {
        self.place.start
    }

    /// One past the last byte.
    pub(super) const fn image_end(&self) -> u32 {
        self.place.end
    }

    /// Where the image's sectors begin among those of all images.
    pub(super) const fn sectors_at(&self) -> u32 {
        self.place.sectors_at
    }
}

impl Job {
    /// The job's one file is the bundle again, not its images; what it holds is not known.
    pub(crate) fn close_bundle(&mut self) {
        if self.bundle.count > 0 {
            self.put_bundle();
        }
        self.bundle = Bundle::NONE;
    }

    fn put_bundle(&mut self) {
        self.bundle.proof = None;
        self.files = [File::default(); MAX_IMAGES];
        if let Some(place) = self.files.first_mut() {
            *place = self.bundle.file;
        }
        self.file_count = 1;
    }
}

impl<'a> Agent<'a> {
    /// The driver's digest is of a bundle: where in it the bytes of an image lie.
    pub fn digest_offset(&self, image: u8) -> u32 {
        let member = self.job.bundle.of_image(image).filter(|_| self.job.bundle.is_open());
        member.map_or(0, |member| member.start)
    }

    /// The file to verify is a bundle: first the job's signature over the whole.
    pub fn is_bundle(&self) -> bool {
        self.job.bundle.is_open()
    }

    /// The proof the bundle's images are verified with.
    pub fn bundle_proof(&self) -> Option<&SignedBundle> {
        self.job.bundle.proof.as_ref()
    }

    /// Most bytes a file may have for all a job says: those of the largest bundle, if the memory given serves it.
    pub(super) fn largest_file(&self) -> u32 {
        let images: u32 = self.config.images.iter().map(ImageLayout::max_image_size).sum();
        let memory = self.fetch.block_memory().saturating_mul(self.config.block_size);
        memory.min(images.saturating_add(BUNDLE_MARGIN))
    }

    /// Block 0 is in hand. True when it is that of a bundle: it was judged.
    pub(super) fn judge_bundle(&mut self, data: &[u8]) -> bool {
        if !tar::is_tar(data) || data.get(..4) == Some(&HEADER_MAGIC.to_le_bytes()) {
            return false;
        }
        match self.read_head(data) {
            Err(reason) => self.fail(reason),
            Ok((bundle, version)) => {
                let first = bundle.members.first().copied().unwrap_or_default();
                self.job.bundle = bundle;
                self.put_place(&first);
                let resume = self.resume.take_if(|r| r.identity == self.job.digest);
                match resume.filter(|resume| resume.bundle) {
                    Some(resume) => self.resume_bundle(resume.front, &resume.window),
                    None => self.ask_about(first.image, version),
                }
            }
        }
        true
    }

    /// What the head says, and whether this device takes it.
    fn read_head(&self, data: &[u8]) -> Result<(Bundle, Version), Reason> {
        let file = *self.job.file(0);
        if self.job.file_count != 1 {
            return Err(Reason::TooManyFiles);
        }
        let head = Head::parse(data).map_err(|error| match error {
            TarError::Truncated if data.len() < file.size as usize => Reason::BundleUnsupported,
            error => reason_of_tar(error),
        })?;
        let mut bundle = Bundle { file, ..Bundle::NONE };
        let mut start = head.payload_at;
        // The one whose header was read comes first, the others in the order of the list.
        let first = head.components.entry(&head.first).map_err(reason_of_tar)?;
        let others = head.components.members().filter(|other| !other.name.is(head.first.name));
        for component in core::iter::once(first).chain(others) {
            let image = self.config.component(component.kind).ok_or(Reason::NoDestination)?;
            let layout = self.layout(image).ok_or(Reason::NoDestination)?;
            if bundle.of_image(image).is_some() {
                return Err(Reason::DuplicateDestination);
            }
            let size = component.size.filter(|size| *size > 0).ok_or(Reason::ZeroSize)?;
            if size > layout.max_image_size() {
                return Err(Reason::FileTooLarge);
            }
            if !tar::RECORD_SIZE.is_multiple_of(layout.secondary().write_size()) {
                return Err(Reason::BundleUnsupported);
            }
            let member = Member { image, name: name_hash(component.name.bytes()), start, size };
            if member.end() > file.size {
                return Err(Reason::BundleTruncated);
            }
            *bundle.members.get_mut(usize::from(bundle.count)).ok_or(Reason::TooManyFiles)? = member;
            bundle.count += 1;
            start = tar::padded(member.end()).unwrap_or(u32::MAX).saturating_add(tar::RECORD_SIZE);
        }
        let sectors: u32 = self.config.images.iter().map(|image| image.secondary().sector_count()).sum();
        let judged = head.payload_at.saturating_add(HEADER_SIZE) as usize;
        if !self.config.block_size.is_multiple_of(tar::RECORD_SIZE)
            || data.len() < judged
            || sectors > self.fetch.sector_memory()
        {
            return Err(Reason::BundleUnsupported);
        }
        let first = bundle.members.first().copied().unwrap_or_default();
        let payload = data.get(first.start as usize..).unwrap_or(&[]);
        let version = judge_header(payload, first.size, self.config.reset_vector(first.image))?;
        Ok((bundle, version))
    }

    /// Goes on from what the journal says flash holds.
    fn resume_bundle(&mut self, front: u32, window: &[u8; 32]) {
        self.fetch.restore_blocks(front, window);
        self.each_member(|fetch, layout| {
            fetch.distrust_held(layout);
            if layout.secondary().reprogram() == Reprogram::Forbidden && !layout.secondary().rewrite() {
                fetch.give_up_torn(layout);
            }
        });
        self.statistics.resumed_blocks += self.fetch.held_count();
        self.record_due = true;
        self.lose_bare();
        self.fetch.window = self.config.first_window();
        self.state = State::Downloading;
    }

    /// The digest starts anew: what it needs beside flash is fetched again. Sectors that hold a part of the block in hand are
    /// `hand` from now on.
    pub(super) fn rehash(&mut self, hand: Sector) {
        self.fetch.hashed = 0;
        if !self.job.bundle.is_open() {
            return;
        }
        if let Some(block) = self.hand.take() {
            self.distrust_block(self.fetch.block_at(block.at), hand);
        }
        self.lose_bare();
        if let State::Verifying = self.state {
            self.question = None;
            self.state = State::Downloading;
        }
    }

    fn lose_bare(&mut self) {
        self.job.bundle.front = self.job.bundle.front.max(self.fetch.front);
        for (from, to) in self.job.bundle.bare() {
            for block in self.fetch.blocks_of_bytes(from, to) {
                if !self.fetch.is_missing(block) {
                    self.distrust_block(block, Sector::Shared);
                    self.fetch.lose(block);
                    // No record tells of it.
                    self.fetch.unrecorded = self.fetch.unrecorded.saturating_sub(1);
                }
            }
        }
        self.close_range();
    }

    /// The sectors that hold a part of the block are compared before they are written again.
    fn distrust_block(&mut self, block: u32, to: Sector) {
        self.each_member(|fetch, layout| {
            for sector in fetch.sectors_of(block, layout) {
                fetch.distrust(sector, to);
            }
        });
    }

    fn each_member(&mut self, mut act: impl FnMut(&mut Fetch<'a>, &'a ImageLayout)) {
        let before = self.fetch.place;
        for at in 0..MAX_IMAGES {
            let member = self.job.bundle.members().get(at).copied();
            if let Some((member, layout)) = member.and_then(|m| Some((m, self.layout(m.image)?))) {
                let place = self.place_of(&member);
                self.fetch.put_place(place);
                act(&mut self.fetch, layout);
            }
        }
        self.fetch.put_place(before);
    }

    fn place_of(&self, member: &Member) -> Place {
        let before = self.config.images.iter().take(usize::from(member.image));
        let sectors_at = before.map(|image| image.secondary().sector_count()).sum();
        Place { start: member.start, end: member.end(), sectors_at }
    }

    /// Blocks are written to this member's slot now.
    fn put_place(&mut self, member: &Member) {
        let place = self.place_of(member);
        self.fetch.put_place(place);
        self.cleared = false;
        if let Some(file) = self.job.files.first_mut() {
            file.image = member.image;
        }
    }

    /// A block of an open bundle arrived: is it one to take now?
    pub(super) fn takes_bundle_block(&mut self, block: u32, data: &[u8]) -> bool {
        let bytes = self.fetch.block_range(block);
        if !self.job.bundle.is_open() || !self.job.bundle.is_bare(bytes) {
            return true;
        }
        if block != self.fetch.front {
            self.drop_message(Drop::OutOfWindow);
            return false;
        }
        match self.job.bundle.check(bytes, data) {
            Ok(()) => true,
            Err(reason) => {
                self.fail(reason);
                false
            }
        }
    }

    /// The block in hand, where its next bytes are bare or belong to another image than those before.
    pub(super) fn plan_bundle(&mut self, hand: &Hand) -> Next {
        if !self.job.bundle.is_open() {
            return Next::Nothing;
        }
        let (from, to) = (hand.at, hand.at.saturating_add(hand.len));
        if self.fetch.hashed < from && self.job.bundle.is_bare((from, to)) {
            return self.hash_bundle(from);
        }
        let at = from.saturating_add(hand.done);
        if let Some(member) = self.job.bundle.member_at(at).copied() {
            if self.fetch.image_start() != member.start {
                self.put_place(&member);
            }
            return Next::Nothing;
        }
        let end = hand.done + self.job.bundle.bare_end(at).min(to).saturating_sub(at);
        let part = Part { image: 0, at, from: hand.done, to: end, hash: self.fetch.hashed == at };
        if part.hash {
            return self.act(Action::HashHeld(part));
        }
        // Hashed before a sector of the block was given up.
        self.part_held(part.to, false);
        Next::Again
    }

    /// Lets the digest of an open bundle catch up, no further than `end`.
    pub(super) fn hash_bundle(&mut self, end: u32) -> Next {
        let at = self.fetch.hashed;
        let Some(member) = self.job.bundle.member_at(at).copied() else {
            self.rehash(Sector::Shared);
            return Next::Again;
        };
        let to = end.min(member.end()).min(at.saturating_add(HASH_SIZE)) - member.start;
        self.act(Action::Hash { image: member.image, from: at - member.start, to })
    }

    /// A sector was given up; `lost`: the digest had run over some of it.
    pub(super) fn bundle_given_up(&mut self, sector: u32, layout: &ImageLayout, lost: bool) {
        if !self.job.bundle.is_open() {
            return;
        }
        let (from, to) = self.fetch.sector_bytes(sector, layout);
        let blocks = self.fetch.blocks_of_bytes(from, to);
        // The first and the last block may hold a part of another image.
        for block in [blocks.start, blocks.end.saturating_sub(1)] {
            self.distrust_block(block, Sector::Shared);
        }
        self.job.bundle.front = self.job.bundle.front.min(blocks.start);
        if lost {
            self.rehash(Sector::Shared);
        }
    }

    /// The job's signature signs the bundle: from here on its images are the job's files.
    pub(super) fn bundle_signed(&mut self, proof: SignedBundle) {
        let State::Verifying = self.state else { return };
        self.job.bundle.proof = Some(proof);
        let (members, count, file) = (self.job.bundle.members, self.job.bundle.count, self.job.bundle.file);
        self.job.file_count = 0;
        for member in members.iter().take(count.into()) {
            self.job.add_file(File { image: member.image, size: member.size, ..file });
        }
        self.complete = self.job.file_count;
        self.next_file();
    }

    /// The request for a swap failed, so what was verified is not any more. True when it was a bundle's: what stands between
    /// its images is fetched again, and all that lies in `sectors` of the image.
    pub(super) fn reopen_bundle(&mut self, image: u8, sectors: core::ops::Range<u32>) -> bool {
        let Some(member) = self.job.bundle.of_image(image).copied() else { return false };
        self.job.put_bundle();
        self.tokens = super::NO_TOKENS;
        self.complete = 0;
        self.fetch.start(0, self.job.bundle.file.size);
        self.fetch.restore_blocks(u32::MAX, &[0; 32]);
        self.each_member(|fetch, layout| fetch.distrust_held(layout));
        self.put_place(&member);
        if let Some(layout) = self.layout(image) {
            for sector in sectors {
                self.fetch.give_up(sector, layout);
            }
        }
        self.job.bundle.front = 0;
        self.record_due = true;
        self.lose_bare();
        self.fetch.window = self.config.first_window();
        self.state = State::Downloading;
        true
    }

    /// What a journal record tells of a bundle: front and window.
    pub(super) fn bundle_progress(&self) -> Option<(u32, [u8; 32])> {
        let bundle = &self.job.bundle;
        match (bundle.count, &bundle.proof) {
            (0, _) => None,
            (_, Some(_)) => Some((bundle.file.size.div_ceil(self.config.block_size.max(1)), [0; 32])),
            (_, None) => {
                let front = bundle.front.max(self.fetch.front);
                Some((front, self.fetch.held_window(front)))
            }
        }
    }
}

/// FNV-1a: a name in four bytes.
fn name_hash(name: impl Iterator<Item = u8>) -> u32 {
    name.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn reason_of_tar(error: TarError) -> Reason {
    match error {
        TarError::Truncated => Reason::BundleTruncated,
        TarError::Mismatch => Reason::BundleMismatch,
        TarError::Magic
        | TarError::Checksum
        | TarError::Member
        | TarError::Number
        | TarError::List
        | TarError::Json => Reason::BundleMalformed,
    }
}
