//! What the journal is told.

use super::{Agent, Stage, State};
use crate::journal::{JobId, Phase, Record};

/// `Record::status` of a `REJECTED` execution.
pub(super) const REJECTED: u8 = 2;
const FAILED: u8 = 1;
/// `Record::detail` of a swap that was requested while the primary still showed an earlier revert.
pub(super) const REVERTED_BEFORE: u32 = 1;

impl Agent<'_> {
    /// The journal record that [`Action::Record`](super::Action::Record) asks for.
    pub fn record(&self) -> Record {
        let mut record = Record {
            phase: self.phase(),
            job_id: JobId::new(self.job_id()).unwrap_or(JobId::NONE),
            execution_number: self.job.execution,
            job_digest: self.job.digest,
            version_number: self.job.version.get(),
            started: self.job.started,
            updated_by: self.job.updated_by.get().unwrap_or(0),
            block_size: self.config.block_size,
            reverted: self.bad_image,
            reverted_job: self.bad_job,
            first_boots: self.resets,
            ..Record::default()
        };
        for (place, image) in record.intended.iter_mut().zip(&self.images) {
            *place = image.intended;
        }
        if let State::Failed { reason, rejected, detail } = self.state {
            record.status = if rejected { REJECTED } else { FAILED };
            record.reason = reason.number();
            record.detail = detail;
        } else if self.was_reverted() {
            record.detail = REVERTED_BEFORE;
        }
        // One identity only: that of the job in hand, else that of what flash happens to hold.
        if let Some(resume) = self.resume.filter(|r| !self.job.loaded || r.identity == self.job.digest) {
            if !self.job.is_held() {
                record.job_digest = resume.identity;
            }
            if record.job_digest == resume.identity {
                record.file_index = resume.file();
                record.front = resume.front;
                record.window = resume.window;
                record.bundle = resume.bundle;
            }
        } else if self.fetch.begun
            && let Some((front, window)) = self.bundle_progress()
        {
            (record.front, record.window, record.bundle) = (front, window, true);
        } else if self.fetch.begun {
            record.file_index = self.fetch.file.max(self.complete);
            if self.fetch.file >= self.complete {
                record.front = self.fetch.front;
                record.window = self.fetch.held_window(self.fetch.front);
            }
        }
        record
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
            State::Judging { .. } | State::Downloading { .. } => Phase::Downloading,
            State::Offered { stage, .. } | State::Verifying { stage, .. } => match stage {
                Stage::New => Phase::Downloading,
                Stage::Verified => Phase::Verified,
                Stage::Ready => Phase::Ready,
            },
            State::Verified { .. } => Phase::Verified,
            State::Ready { .. } | State::Activating { .. } => Phase::Ready,
            State::Pending { .. } => Phase::Pending,
            // Should the power go now, the request may stand or not: what boots decides.
            State::Withdrawing { .. } => Phase::Pending,
            State::Testing { .. } | State::Confirming { .. } | State::Resetting => Phase::Testing,
            State::Confirmed { .. } => Phase::Confirmed,
            State::Failed { .. } => Phase::Ended,
        }
    }
}
