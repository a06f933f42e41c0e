//! What the journal is told.

use super::wear::REVERTED_BEFORE;
use super::{Agent, Resume, Stage, State};
use crate::journal::{Phase, Record};

/// `Record::status` of a `REJECTED` execution.
pub(super) const REJECTED: u8 = 2;
const FAILED: u8 = 1;

impl Agent<'_> {
    /// The journal record that [`Action::Record`](super::Action::Record) asks for.
    pub fn record(&self) -> Record {
        let mut record = Record::default();
        self.put_job(&mut record);
        self.put_held(&mut record);
        record
    }

    fn put_job(&self, record: &mut Record) {
        record.set_phase(self.phase());
        record.set_job_id(self.job_id());
        record.set_execution_number(self.job.execution);
        record.set_job_digest(&self.job.digest);
        record.set_version_number(self.job.version.get());
        record.set_started(self.job.started);
        record.set_updated_by(self.job.updated_by);
        record.set_block_size(self.config.block_size);
        record.set_intended(&self.intended);
        record.set_reverted(&self.bad_image);
        record.set_reverted_job(&self.bad_job);
        record.set_first_boots(self.resets);
        let mut detail = self.wear();
        if let State::Failed { reason, rejected } = self.state {
            record.set_status(if rejected { REJECTED } else { FAILED });
            record.set_reason(reason.number());
            detail = self.detail;
        } else if self.was_reverted() {
            detail |= REVERTED_BEFORE;
        }
        record.set_detail(detail);
    }

    fn put_held(&self, record: &mut Record) {
        // One identity only: that of the job in hand, else that of what flash happens to hold.
        let held = match &self.resume {
            Some(resume) if !self.job.loaded || resume.identity == self.job.digest => Some(*resume),
            Some(_) | None => self.progress_made(),
        };
        if let Some(held) = held {
            if !self.job.is_held() {
                record.set_job_digest(&held.identity);
            }
            if *record.job_digest() == held.identity {
                record.set_file_index(held.file);
                record.set_front(held.front);
                record.set_window(&held.window);
                record.set_bundle(held.bundle);
            }
        }
    }

    /// What flash holds of the job in hand, if its download has begun.
    #[inline(never)]
    fn progress_made(&self) -> Option<Resume> {
        let identity = &self.job.digest;
        let file = self.fetch.file;
        if !self.fetch.begun {
            None
        } else if let Some((front, window)) = self.bundle_progress() {
            Some(Resume::new(identity, 0, front, &window, true))
        } else if file < self.complete {
            Some(Resume::new(identity, self.complete, 0, &[0; 32], false))
        } else {
            let front = self.fetch.front;
            Some(Resume::new(identity, file, front, &self.fetch.held_window(front), false))
        }
    }

    /// Remembers what flash holds, so that the same data under another job goes on from there.
    pub(super) fn keep_progress(&mut self) {
        if let Some(held) = self.progress_made() {
            self.resume = Some(held);
            self.fetch.begun = false;
        }
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Booting { .. } | State::Idle | State::Custom | State::Stopped => {
                if self.resume.is_some() {
                    Phase::Downloading
                } else {
                    Phase::Idle
                }
            }
            // A bundle that was to be set pending is fetched in part again, and the request may stand: as for the next two.
            State::Downloading if self.job.bundle.is_open() && self.is_requested() => Phase::Ready,
            State::Judging | State::Downloading => Phase::Downloading,
            State::Offered | State::Verifying => match self.stage {
                Stage::New => Phase::Downloading,
                Stage::Verified => Phase::Verified,
                Stage::Ready => Phase::Ready,
            },
            State::Verified => Phase::Verified,
            State::Ready | State::Activating { .. } => Phase::Ready,
            State::Pending => Phase::Pending,
            // Should the power go now, the request may stand or not: what boots decides.
            State::Withdrawing { .. } => Phase::Pending,
            State::Testing { .. } | State::Confirming { .. } | State::Resetting => Phase::Testing,
            State::Confirmed { .. } => Phase::Confirmed,
            State::Failed { .. } => Phase::Ended,
        }
    }
}
