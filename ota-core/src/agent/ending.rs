//! How a job ends on this side: failed, reported, closed.

use super::clock::Wait;
use super::job::Job;
use super::{Agent, NO_HASHES, NO_TOKENS, State};
use crate::boot::{Request as SwapRequest, Revert};
use crate::status::{Ended, Reason};

impl Agent<'_> {
    /// The job fails (or is rejected, where nothing has started yet). What flash holds of it stays.
    #[inline(never)]
    pub(super) fn fail(&mut self, reason: Reason) {
        self.fail_with(reason, 0);
    }

    /// With the number reported beside the reason.
    #[inline(never)]
    pub(super) fn fail_with(&mut self, reason: Reason, detail: u32) {
        self.stop_work();
        if self.is_requested() {
            // A job that failed must not be activated by the next reset.
            self.state = State::Withdrawing { image: 0, reason: Some(reason) };
        } else {
            self.report(reason, detail);
        }
    }

    /// A swap is requested for some image (whose secondary slot is not somebody's way back).
    pub(super) fn is_requested(&self) -> bool {
        self.any_image(|slots| slots.request != SwapRequest::None && slots.revert != Revert::Yes)
    }

    /// The failure is reported, where there is somebody to report it to.
    #[inline(never)]
    pub(super) fn report(&mut self, reason: Reason, detail: u32) {
        // REJECTED is accepted only from QUEUED.
        let rejected = reason.is_judgement() && !self.job.started;
        self.detail = detail;
        self.state = State::Failed { reason, rejected };
        if !self.job.is_held() {
            self.ended = Some(Ended::Failed(reason));
            // The question for a job that was under way is forgotten: ask again.
            self.clock.set(Wait::Check, 0);
            self.state = State::Idle;
        }
    }

    /// No job is held.
    #[inline(never)]
    pub(super) fn drop_job(&mut self) {
        self.arena.clear();
        self.job = Job::NONE;
    }

    /// Nothing is verified, and nothing is under way.
    #[inline(never)]
    pub(super) fn stop_work(&mut self) {
        self.hand = None;
        self.question = None;
        self.vain = 0;
        self.drop_tokens();
        self.fetch.forget_requests();
        self.call.end();
        self.record_due = true;
    }

    pub(super) fn drop_tokens(&mut self) {
        self.tokens = NO_TOKENS;
    }

    /// The job is over and everybody knows.
    #[inline(never)]
    pub(super) fn close(&mut self, how: Ended) {
        self.ended = Some(how);
        self.keep_progress();
        self.stop_work();
        self.drop_job();
        self.intended = NO_HASHES;
        self.withheld = 0;
        self.resets = 0;
        self.complete = 0;
        self.erase_agreed = false;
        self.progress_due = false;
        self.clock.set(Wait::Check, 0);
        self.state = State::Idle;
    }
}
