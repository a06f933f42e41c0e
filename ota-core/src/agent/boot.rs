//! What happened while nobody looked: the job's state is derived from the journal and from what boots, never assumed.

use super::job::Number;
use super::{Agent, Resume, Slots, Stage, State};
use crate::boot::{ImageState, Revert};
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
    pub(super) fn inspected(&mut self, image: u8, state: Option<ImageState>) {
        if let Some(place) = self.images.get_mut(usize::from(image)) {
            let running = state.and_then(|state| state.running);
            place.intended = running.map_or(NONE, |running| running.hash);
            place.state = state.map(|state| Slots {
                version: running.map_or(Version::new(0, 0, 0, 0), |running| running.version),
                security_counter: running.and_then(|running| running.security_counter),
                request: state.request,
                revert: state.revert,
                confirmed: state.confirmed,
                reverted: state.reverted,
            });
        }
        self.state = State::Booting { inspected: image.saturating_add(1) };
    }

    /// The journal's newest record is here (or there is none): where does the job stand?
    pub(super) fn loaded(&mut self, now: u64, record: Option<&Record>) {
        self.check_at = now;
        self.remembers = record.is_some();
        let none = Record::default();
        let record = record.unwrap_or(&none);
        let running = self.running(record);
        self.restore(record);
        self.state = self.derive(record, running);
    }

    fn derive(&mut self, record: &Record, running: Running) -> State {
        match (record.phase, running) {
            // Confirmed, and yet another image runs: somebody else changed it. SUCCEEDED would not be true any more.
            (Phase::Confirmed, Running::Other | Running::Mixed)
                if self.images.iter().any(|image| image.intended != NONE) =>
            {
                self.end(Reason::Reverted)
            }
            (Phase::Confirmed, _) if self.job.is_held() => State::Confirmed { custom: false },
            (Phase::Ended, _) if self.job.is_held() => State::Failed {
                reason: Reason::from_number(record.reason).unwrap_or(Reason::StateLost),
                rejected: record.status == super::record::REJECTED,
                detail: record.detail,
            },
            (Phase::Verified | Phase::Ready | Phase::Pending | Phase::Testing, Running::Intended) => {
                self.booted(record)
            }
            (Phase::Verified | Phase::Ready | Phase::Pending | Phase::Testing, Running::Mixed) => {
                self.mixed()
            }
            // An image under test that nobody knows: test it, report nothing, touch nothing.
            (_, Running::Other | Running::Intended | Running::Mixed) if self.revert() == Revert::Yes => {
                self.forget_job();
                self.testing(None)
            }
            // An unknown image was tested and is confirmed by now, or gone; if the cloud has a job for it, it says so.
            (Phase::Testing, Running::Other) if self.images.iter().all(|i| i.intended == NONE) => {
                self.forget_job();
                State::Idle
            }
            (Phase::Testing, Running::Other) => {
                self.remember_bad();
                self.end(Reason::Reverted)
            }
            (Phase::Pending, Running::Other) => {
                // The sign of a revert stays until the next swap: one that stood there before says nothing.
                if self.was_reverted() && record.detail != super::record::REVERTED_BEFORE {
                    self.remember_bad();
                    self.end(Reason::Reverted)
                } else {
                    self.end(Reason::NotSwapped)
                }
            }
            (Phase::Verified, Running::Other) => State::Offered { at: 0, stage: Stage::Verified },
            (Phase::Ready, Running::Other) => State::Offered { at: 0, stage: Stage::Ready },
            (Phase::Downloading, _) if self.job.is_held() => State::Offered { at: 0, stage: Stage::New },
            (Phase::Idle | Phase::Downloading | Phase::Confirmed | Phase::Ended, _) => {
                self.forget_job();
                State::Idle
            }
        }
    }

    /// The image meant to boot runs.
    fn booted(&mut self, record: &Record) -> State {
        self.record_due = true;
        // What the secondary slot held runs now; in its place lies the old image, or nothing.
        self.resume = None;
        let reverts = self.config.images.iter().all(|image| image.mode().has_trailer_state());
        let confirmed = self.images.iter().filter_map(|i| i.state).all(|s| s.confirmed);
        if record.phase == Phase::Testing && reverts && confirmed && self.revert() == Revert::No {
            // Confirmed, and the power went before the journal knew.
            return if self.job.is_held() { State::Confirmed { custom: false } } else { self.done() };
        }
        let offered = self.running_version();
        let question = (offered.word() < record.updated_by)
            .then(|| Question::Downgrade { running: Version::from_word(record.updated_by), offered });
        self.testing(question)
    }

    /// The state that tests the running image.
    pub(super) fn testing(&self, question: Option<Question>) -> State {
        let until = self.booted_at + u64::from(self.config.timing.self_test_ms);
        State::Testing { until, announced: false, question }
    }

    /// Confirmed with nobody to report to.
    pub(super) fn done(&mut self) -> State {
        self.ended = Some(Ended::Succeeded);
        for image in &mut self.images {
            image.intended = NONE;
        }
        self.record_due = true;
        State::Idle
    }

    fn end(&mut self, reason: Reason) -> State {
        self.fail(reason, 0);
        self.state
    }

    /// While the images' hashes are still those of what runs.
    fn running(&self, record: &Record) -> Running {
        let (mut meant, mut run) = (0, 0);
        for (image, intended) in self.images.iter().zip(&record.intended) {
            meant += u8::from(*intended != NONE);
            run += u8::from(*intended != NONE && image.intended == *intended);
        }
        match run {
            0 => Running::Other,
            all if all == meant => Running::Intended,
            _some => Running::Mixed,
        }
    }

    /// The bootloader's last swap was a revert.
    pub(super) fn was_reverted(&self) -> bool {
        self.images.iter().any(|image| image.state.is_some_and(|state| state.reverted))
    }

    /// Only some images were exchanged. Where a reset takes those back, one is spent on it.
    fn mixed(&mut self) -> State {
        if self.revert() == Revert::No || self.resets > 0 {
            return self.end(Reason::MixedImages);
        }
        self.resets = 1;
        self.record_due = true;
        State::Resetting
    }

    /// The image meant to boot is not to be tried again.
    pub(super) fn remember_bad(&mut self) {
        self.bad_image = self.images.iter().map(|i| i.intended).find(|hash| *hash != NONE).unwrap_or(NONE);
        self.bad_job = self.job.digest;
        self.record_due = true;
    }

    fn forget_job(&mut self) {
        self.drop_job();
        for image in &mut self.images {
            image.intended = NONE;
        }
    }

    /// The self test is lost.
    pub(super) fn test_failed(&mut self) {
        match self.revert() {
            // With several images a bootloader may refuse what its flags announce, because another image needs this one: a
            // device that remembers its resets does not reset for ever.
            Revert::Yes if !self.remembers || self.config.images.len() < 2 => self.state = State::Resetting,
            Revert::Yes if self.resets < REVERT_RESETS => {
                self.resets += 1;
                self.record_due = true;
                self.state = State::Resetting;
            }
            Revert::Yes => {
                for state in self.images.iter_mut().filter_map(|image| image.state.as_mut()) {
                    state.revert = Revert::No;
                }
                self.remember_bad();
                self.fail(Reason::SelfTestFailedNoRevert, 0);
            }
            // Nobody knows whether a reset reverts: spend one on finding out, if the next boot remembers that it was spent.
            Revert::Unknown if self.resets == 0 && self.remembers => {
                self.resets = 1;
                self.record_due = true;
                self.state = State::Resetting;
            }
            Revert::Unknown | Revert::No => {
                self.remember_bad();
                self.fail(Reason::SelfTestFailedNoRevert, 0);
            }
        }
    }

    /// Takes over what the journal knows.
    fn restore(&mut self, record: &Record) {
        self.forget_job();
        if let Ok(id) = self.arena.push(record.job_id().as_bytes()) {
            self.job.id = id;
            self.job.execution = record.execution_number;
            self.job.version = Number::of(record.version_number);
            self.job.started = record.started;
            self.job.digest = record.job_digest;
            // 0: ended before anything was updated.
            self.job.updated_by = Number::of((record.updated_by != 0).then_some(record.updated_by));
        }
        for (image, intended) in self.images.iter_mut().zip(record.intended) {
            image.intended = intended;
        }
        self.bad_image = record.reverted;
        self.bad_job = record.reverted_job;
        self.resets = record.first_boots;
        self.resume =
            (record.job_digest != NONE && record.block_size == self.config.block_size).then_some(Resume {
                bundle: record.bundle,
                ..Resume::new(record.job_digest, record.file_index, record.front, record.window)
            });
    }
}
