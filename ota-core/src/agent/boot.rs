//! What happened while nobody looked: the job's state is derived from the journal and from what boots, never assumed.

use super::clock::Wait;
use super::job::Number;
use super::{Agent, NO_HASHES, Resume, Slots, Stage, State};
use crate::boot::{ImageState, Revert};
use crate::geometry::BootMode;
use crate::journal::{Phase, Record};
use crate::policy::Question;
use crate::status::{Ended, Reason};
use crate::version::Version;

const NONE: [u8; 32] = [0; 32];

/// How the images that run compare with those meant to boot.
enum Running {
    /// All of them run.
    Intended,
    /// Some of them run.
    Mixed,
    /// None of them runs, or none was meant to.
    Other,
}

/// Resets after which a revert that is due and does not come is no longer waited for.
const REVERT_RESETS: u8 = 2;

impl Agent<'_> {
    pub(super) fn inspected(&mut self, image: u8, state: Option<&ImageState>) {
        let running = state.and_then(|state| state.running.as_ref());
        if let Some(intended) = self.intended.get_mut(usize::from(image)) {
            *intended = running.map_or(NONE, |running| running.hash);
        }
        if let Some(slots) = self.slots.get_mut(usize::from(image)) {
            *slots = state.map_or(Slots::UNKNOWN, |state| Slots {
                version: running.map_or(Version::new(0, 0, 0, 0), |running| running.version),
                security_counter: running.and_then(|running| running.security_counter),
                request: state.request,
                revert: state.revert,
                unconfirmed: !state.confirmed,
                reverted: state.reverted,
            });
        }
        self.state = State::Booting { inspected: image.saturating_add(1) };
    }

    /// The journal's newest record is here (or there is none): where does the job stand?
    #[inline(never)]
    pub(super) fn loaded(&mut self, record: Option<&Record>) {
        self.clock.set(Wait::Check, 0);
        self.remembers = record.is_some();
        match record {
            Some(record) => self.recall(record),
            None => self.recall(&Record::default()),
        }
    }

    #[inline(never)]
    fn recall(&mut self, record: &Record) {
        let running = self.running(record);
        self.restore(record);
        self.restore_data(record, &running);
        self.derive(record, running);
    }

    fn derive(&mut self, record: &Record, running: Running) {
        match (record.phase(), running) {
            // Confirmed, and yet another image runs: somebody else changed it. SUCCEEDED would not be true any more.
            (Phase::Confirmed, Running::Other | Running::Mixed) if self.intended != NO_HASHES => {
                self.fail(Reason::Reverted)
            }
            (Phase::Confirmed, _) if self.job.is_held() => self.state = State::Confirmed { custom: false },
            (Phase::Ended, _) if self.job.is_held() => {
                self.detail = record.detail();
                self.state = State::Failed {
                    reason: Reason::from_number(record.reason()).unwrap_or(Reason::StateLost),
                    rejected: record.status() == super::record::REJECTED,
                }
            }
            (Phase::Verified | Phase::Ready | Phase::Pending | Phase::Testing, Running::Intended) => {
                self.booted(record)
            }
            (Phase::Verified | Phase::Ready | Phase::Pending | Phase::Testing, Running::Mixed) => {
                self.mixed()
            }
            // An image under test that nobody knows: test it, report nothing, touch nothing.
            (_, Running::Other | Running::Intended | Running::Mixed) if self.revert() == Revert::Yes => {
                self.forget_job();
                self.test(None);
            }
            // An unknown image was tested and is confirmed by now, or gone; if the cloud has a job for it, it says so.
            (Phase::Testing, Running::Other) if self.intended == NO_HASHES => self.idle(),
            (Phase::Testing, Running::Other) => {
                self.remember_bad();
                self.fail(Reason::Reverted);
            }
            (Phase::Pending, Running::Other) => {
                // The sign of a revert stays until the next swap: one that stood there before says nothing.
                if self.was_reverted() && record.detail() & super::wear::REVERTED_BEFORE == 0 {
                    self.remember_bad();
                    self.fail(Reason::Reverted);
                } else {
                    self.fail(Reason::NotSwapped);
                }
            }
            (Phase::Verified, Running::Other) => self.offered(Stage::Verified),
            (Phase::Ready, Running::Other) => self.offered(Stage::Ready),
            (Phase::Downloading, _) if self.job.is_held() => self.offered(Stage::New),
            (Phase::Idle | Phase::Downloading | Phase::Confirmed | Phase::Ended, _) => self.idle(),
        }
    }

    /// The old image runs; the job's document is asked for.
    fn offered(&mut self, stage: Stage) {
        self.clock.set(Wait::State, 0);
        self.stage = stage;
        self.state = State::Offered;
    }

    #[inline(never)]
    fn idle(&mut self) {
        self.forget_job();
        self.state = State::Idle;
    }

    /// The image meant to boot runs.
    fn booted(&mut self, record: &Record) {
        let is_new = record.phase() != Phase::Testing;
        if !is_new && self.is_confirmed() {
            // Confirmed, and the power went before the journal knew.
            return self.all_confirmed();
        }
        self.record_due |= is_new;
        let offered = self.running_version();
        let question = (offered.word() < record.updated_by())
            .then(|| Question::Downgrade { running: Version::from_word(record.updated_by()), offered });
        self.test(question);
    }

    /// The running image is tested.
    pub(super) fn test(&mut self, question: Option<Question>) {
        self.question = question;
        self.state = State::Testing { announced: false };
    }

    /// Every image is confirmed; where there is nobody to report it to, that is all.
    #[inline(never)]
    pub(super) fn all_confirmed(&mut self) {
        self.record_due = true;
        self.state = State::Confirmed { custom: false };
        if !self.job.is_held() {
            self.ended = Some(Ended::Succeeded);
            self.intended = NO_HASHES;
            self.state = State::Idle;
        }
    }

    /// While the images' hashes are still those of what runs.
    fn running(&self, record: &Record) -> Running {
        let (mut meant, mut run) = (0, 0);
        for (runs, intended) in self.intended.iter().zip(record.intended()) {
            meant += u8::from(*intended != NONE);
            run += u8::from(*intended != NONE && runs == intended);
        }
        match run {
            0 => Running::Other,
            all if all == meant => Running::Intended,
            _some => Running::Mixed,
        }
    }

    /// The bootloader's last swap was a revert.
    pub(super) fn was_reverted(&self) -> bool {
        self.any_image(|slots| slots.reverted)
    }

    /// The image that runs was tested and is here to stay: the slots say so, or it was confirmed in this life.
    #[inline(never)]
    pub(super) fn is_confirmed(&self) -> bool {
        // After an overwrite no trailer tells.
        self.config.images.iter().all(|image| image.mode() != BootMode::Overwrite)
            && self.revert() == Revert::No
            && !self.any_image(|slots| slots.unconfirmed)
    }

    /// Only some images were exchanged. Where a reset takes those back, one is spent on it.
    fn mixed(&mut self) {
        if self.revert() == Revert::No || self.resets > 0 {
            self.fail(Reason::MixedImages);
        } else {
            self.reset();
        }
    }

    /// A reset is spent on having the image taken back.
    fn reset(&mut self) {
        self.resets += 1;
        self.record_due = true;
        self.state = State::Resetting;
    }

    /// The image meant to boot is not to be tried again.
    pub(super) fn remember_bad(&mut self) {
        self.bad_image = self.intended.into_iter().find(|hash| *hash != NONE).unwrap_or(NONE);
        self.bad_job = self.job.digest;
        self.record_due = true;
    }

    fn forget_job(&mut self) {
        self.drop_job();
        self.intended = NO_HASHES;
    }

    /// The self test is lost.
    pub(super) fn test_failed(&mut self) {
        // Where nobody knows whether a reset reverts, one is spent on finding out, if the next boot remembers that it was spent.
        if self.revert() == Revert::Unknown && self.resets == 0 && self.remembers {
            self.reset();
        } else if !self.goes_back() {
            self.remember_bad();
            self.fail(Reason::SelfTestFailedNoRevert);
        }
    }

    /// A reset takes the image back that runs, as far as flags tell.
    ///
    /// A bootloader may refuse what they announce: another image needs this one, or the old one is damaged, and swap-scratch
    /// then leaves the flags as they are. A device that remembers its resets does not reset for ever.
    pub(super) fn goes_back(&mut self) -> bool {
        if self.revert() != Revert::Yes {
            return false;
        }
        if self.resets < REVERT_RESETS {
            self.reset();
            return true;
        }
        for slots in &mut self.slots {
            slots.revert = Revert::No;
        }
        false
    }

    /// Takes over what the journal knows.
    fn restore(&mut self, record: &Record) {
        self.forget_job();
        self.job.id = self.arena.push(record.job_id().as_bytes());
        self.job.execution = record.execution_number();
        self.job.version = Number::of(record.version_number());
        self.job.started = record.started();
        self.job.digest = *record.job_digest();
        self.job.updated_by = record.updated_by();
        self.intended = *record.intended();
        self.bad_image = *record.reverted();
        self.bad_job = *record.reverted_job();
        self.resets = record.first_boots();
        self.restore_wear(record.detail());
    }

    /// Takes over what it knows of the secondary slots, if no bootloader had a reason to touch them since: after a swap the
    /// old image lies there, or nothing, and what a bootloader refuses it erases.
    fn restore_data(&mut self, record: &Record, running: &Running) {
        let is_untouched = match (record.phase(), running) {
            (Phase::Idle | Phase::Downloading | Phase::Ended, _) => true,
            (Phase::Verified | Phase::Ready, Running::Other) => true,
            (Phase::Verified | Phase::Ready, Running::Intended | Running::Mixed) => false,
            (Phase::Pending | Phase::Testing | Phase::Confirmed, _) => false,
        };
        self.resume = None;
        if is_untouched && *record.job_digest() != NONE && record.block_size() == self.config.block_size {
            let (front, window) = (record.front(), record.window());
            self.resume =
                Some(Resume::new(record.job_digest(), record.file_index(), front, window, record.bundle()));
        }
    }
}
