//! Answers of AWS IoT Jobs: judged by token and job id, then applied.

use super::clock::{Wait, after};
use super::job::Number;
use super::{Agent, Report, Request, Stage, State};
use crate::policy::{Drop, Question};
use crate::status::{Ended, Reason, reason_of_document};
use crate::wire::{Document, Execution, JobStatus, JobsAnswer, OtaDocument, RejectedCode};

/// Refusals of one status update before it is given up.
const MAX_REFUSALS: u8 = 4;
/// Describes answered without the document while those with it were not: it does not fit the receive buffer. On a bad network
/// two come by chance now and then.
const MAX_WITHHELD: u8 = 3;

impl Agent<'_> {
    /// An answer of Jobs about the job of this id (`None`: the next one), to a report or to a question.
    #[inline(never)]
    pub(super) fn answer_of_jobs(
        &mut self,
        job_id: Option<&str>,
        reported: bool,
        accepted: bool,
        answer: &JobsAnswer<'_>,
    ) {
        match self.answered(job_id, answer.token, reported) {
            None => self.unasked(job_id, reported, accepted, answer),
            Some(request) if !accepted => self.rejected(request, answer),
            Some(Request::Report(report)) => {
                self.job.count_version();
                if let Some(number) = answer.execution.and_then(|execution| execution.version_number) {
                    self.job.version = Number::of(Some(number));
                }
                self.accepted(report);
            }
            Some(request) => self.described(request, answer.execution.as_ref()),
        }
    }

    /// An answer to no call: to one of before, or to a progress update, which is sent without a token.
    fn unasked(&mut self, job_id: Option<&str>, reported: bool, accepted: bool, answer: &JobsAnswer<'_>) {
        if reported && !accepted {
            // Canceled, deleted, or just throttled. Look.
            self.clock.set(Wait::Check, 0);
        } else if reported && answer.token.0.is_none() && job_id == Some(self.job_id()) {
            // All it tells is that the version went up by one.
            self.job.count_version();
            self.job.started = true;
            return;
        }
        self.drop_message(Drop::Late);
    }

    fn described(&mut self, request: Request, execution: Option<&Execution<'_>>) {
        self.call.end();
        // Due since the question went out: the answer may be older than what made it so.
        if !self.clock.is_due(Wait::Check) {
            self.clock.set(Wait::Check, after(self.config.timing.poll_ms));
        }
        match (request, execution) {
            (Request::Next { document }, Some(execution)) => self.next_job(execution, document),
            (Request::Next { .. }, None) => self.withheld = 0,
            (Request::Held { .. }, Some(execution)) if execution.job_id != self.job_id() => {
                self.drop_message(Drop::Unknown);
            }
            (Request::Held { document }, Some(execution)) if !execution.status.is_terminal() => {
                self.held_job(execution, document);
            }
            (Request::Held { .. } | Request::Report(_), _) => self.gone(),
        }
    }

    fn rejected(&mut self, request: Request, answer: &JobsAnswer<'_>) {
        match (answer.code, request) {
            (RejectedCode::InternalError | RejectedCode::RequestThrottled, _) | (_, Request::Next { .. }) => {
                self.again()
            }
            (RejectedCode::ResourceNotFound | RejectedCode::TerminalStateReached, _) => self.gone(),
            (_, Request::Held { .. }) => self.again(),
            (
                RejectedCode::VersionMismatch
                | RejectedCode::InvalidStateTransition
                | RejectedCode::InvalidTopic
                | RejectedCode::InvalidJson
                | RejectedCode::InvalidRequest
                | RejectedCode::Unknown,
                Request::Report(report),
            ) => self.report_rejected(report, answer.execution.as_ref()),
        }
    }

    /// A report was refused; with a conflict comes what the service has.
    fn report_rejected(&mut self, report: Report, stored: Option<&Execution<'_>>) {
        // Perhaps it was the number: some services want none.
        self.job.version = Number::of(stored.and_then(|execution| execution.version_number));
        match stored {
            // The answer to an earlier attempt got lost.
            Some(execution) if self.is_reported(report, execution) => return self.accepted(report),
            Some(execution) if execution.status.is_terminal() => return self.gone(),
            Some(execution) => {
                self.job.started = execution.status == JobStatus::InProgress;
                if let State::Failed { reason, rejected: true } = self.state {
                    self.state = State::Failed { reason, rejected: !self.job.started };
                }
            }
            None if self.call.tries >= MAX_REFUSALS => return self.gone(),
            None => {}
        }
        // With what the refusal taught: at once, then after pauses.
        self.again();
        if self.call.tries == 1 {
            self.clock.set(Wait::Call, 0);
        }
    }

    /// `$next` answered with a job while none is held (or only an unknown image under test).
    fn next_job(&mut self, execution: &Execution<'_>, document: bool) {
        if self.job.is_held() || execution.status.is_terminal() {
            return self.drop_message(Drop::Late);
        }
        if matches!(self.state, State::Testing { .. }) {
            // A job in self test is the one whose image runs here; any other has to wait until the test is over.
            if execution.self_test().is_some() {
                self.identify(execution);
            }
            return;
        }
        if !matches!(self.state, State::Idle) || !self.identify(execution) {
            return;
        }
        self.complete = 0;
        self.stage = Stage::New;
        self.document(execution, document);
    }

    /// The document of the held job, where it came: does this device update itself by it? `asked`: it had to come.
    #[inline(never)]
    fn document(&mut self, execution: &Execution<'_>, asked: bool) {
        let is_idle = matches!(self.state, State::Idle);
        let in_test = execution.status == JobStatus::InProgress && execution.self_test().is_some();
        match &execution.document() {
            Document::Ota(document) if self.job.loaded => self.refresh_urls(document),
            _known if self.job.loaded && self.planes.stale => self.withheld(),
            _known if self.job.loaded => {}
            Document::Custom(_) if is_idle => self.state = State::Custom,
            // Activated before, by whatever its document says.
            _ours if is_idle && in_test => {
                self.withheld = 0;
                self.orphaned_test();
            }
            Document::Ota(document) => {
                self.withheld = 0;
                self.adopt(document);
            }
            Document::Malformed(error) => self.fail(reason_of_document(*error)),
            Document::Absent if !asked => self.withheld(),
            Document::Custom(_) | Document::Absent => self.fail(Reason::DocumentMalformed),
        }
    }

    /// The job in hand is none of this library's.
    pub(super) fn leave_alone(&mut self) {
        self.drop_job();
        self.state = State::Idle;
    }

    /// A describe without the document was answered where those with it were not: the broker withholds messages larger
    /// than the receive buffer, and says nothing.
    fn withheld(&mut self) {
        self.withheld += 1;
        if self.withheld >= MAX_WITHHELD {
            self.withheld = 0;
            return if core::mem::take(&mut self.planes.stale) {
                self.plane_lost(Reason::UrlExpired, 0);
            } else {
                self.fail(Reason::DocumentTooLarge);
            };
        }
        if let State::Idle = self.state {
            self.drop_job();
        }
        self.clock.set(Wait::Check, 0);
    }

    /// Takes the execution's identity and status over, without the document.
    fn identify(&mut self, execution: &Execution<'_>) -> bool {
        self.drop_job();
        // Cannot be reported: not even the id fits. The memory is too small for any job.
        self.job.id = self.arena.push(execution.job_id.as_bytes());
        if self.job.is_held() {
            self.job.refresh(execution);
        }
        self.job.is_held()
    }

    /// An OTA job's document: the job is offered.
    fn adopt(&mut self, document: &OtaDocument<'_>) {
        if let State::Idle = self.state {
            (self.job.updated_by, self.vain, self.reached, self.resets) = (0, 0, 0, 0);
        }
        let digest = self.job.digest;
        let largest = self.largest_file();
        match self.job.load(&mut self.arena, self.config, document, largest) {
            Err(reason) => self.fail(reason),
            Ok(()) => {
                if self.job.digest != digest {
                    self.stage = Stage::New;
                }
                self.clock.set(Wait::State, 0);
                self.state = State::Offered;
            }
        }
    }

    /// The service says an update was activated, and no journal knows of it: only versions and the boot state are left
    /// to go by (AWS' agents always do it this way). The document is not needed.
    fn orphaned_test(&mut self) {
        let (running, before) = (self.running_version().word(), self.job.updated_by);
        if self.was_reverted() {
            self.fail(Reason::Reverted);
        } else if running == before {
            self.fail(Reason::NotSwapped);
        } else if running < before {
            self.fail(Reason::Downgrade);
        } else {
            self.record_due = true;
            // Nobody knew before that there is something to test.
            self.clock.set(Wait::Test, after(self.config.timing.self_test_ms));
            self.test(None);
            if self.is_confirmed() {
                self.state = State::Confirmed { custom: false };
            }
        }
    }

    /// A describe of the held job was answered: it still is ours.
    fn held_job(&mut self, execution: &Execution<'_>, document: bool) {
        let before = self.job.execution;
        self.job.refresh(execution);
        if before != 0 && before != self.job.execution {
            self.retried();
        }
        if self.job.loaded || matches!(self.state, State::Offered) {
            self.document(execution, document);
        }
    }

    /// Same job, new execution: its status starts afresh, what flash holds stays.
    fn retried(&mut self) {
        self.record_due = true;
        if self.stage == Stage::Ready {
            self.stage = Stage::Verified;
        }
        match self.state {
            State::Ready | State::Activating { .. } => {
                self.clock.set(Wait::State, 0);
                self.state = State::Verified;
            }
            State::Testing { .. } => self.state = State::Testing { announced: false },
            // The failure owed belongs to the execution before; the new one gets its own try.
            State::Failed { .. } => self.close(Ended::Gone),
            State::Booting { .. }
            | State::Idle
            | State::Custom
            | State::Offered
            | State::Judging
            | State::Downloading
            | State::Verifying
            | State::Verified
            | State::Pending
            | State::Withdrawing { .. }
            | State::Confirming { .. }
            | State::Confirmed { .. }
            | State::Resetting
            | State::Stopped => {}
        }
    }

    /// The held job is canceled, deleted or timed out.
    pub(super) fn gone(&mut self) {
        self.call.end();
        match self.state {
            state if state.is_before_reset() && self.is_requested() => {
                self.vain = 0;
                self.state = State::Withdrawing { image: 0, reason: None }
            }
            State::Offered
            | State::Judging
            | State::Downloading
            | State::Verifying
            | State::Verified
            | State::Ready
            | State::Activating { .. }
            | State::Pending
            | State::Custom
            | State::Confirmed { .. }
            | State::Failed { .. } => self.close(Ended::Gone),
            State::Withdrawing { image, .. } => self.state = State::Withdrawing { image, reason: None },
            State::Testing { .. } => {
                // Nobody is left to report to. The image still has to be confirmed or taken back.
                let digest = self.job.digest;
                self.drop_job();
                self.job.digest = digest;
                self.record_due = true;
                self.state = State::Testing { announced: false };
                self.question = Some(Question::JobGoneInTest);
            }
            State::Confirming { .. } => {
                self.drop_job();
                self.fetch.begun = false;
            }
            State::Booting { .. } | State::Idle | State::Resetting | State::Stopped => {}
        }
    }

    /// The service has what was reported.
    fn accepted(&mut self, report: Report) {
        self.call.end();
        self.job.started = true;
        match (report, self.state) {
            (Report::Ready, State::Verified) => {
                self.record_due = true;
                self.clock.set(Wait::State, 0);
                self.state = State::Ready;
            }
            (Report::Active, State::Testing { .. }) => {
                self.state = State::Testing { announced: true };
            }
            (Report::Succeeded, State::Confirmed { .. }) => self.close(Ended::Succeeded),
            (Report::Ended, State::Failed { reason, rejected, .. }) => {
                self.close(if rejected { Ended::Rejected(reason) } else { Ended::Failed(reason) });
            }
            // The state moved on meanwhile; nothing hangs on the answer any more.
            (Report::Ready | Report::Active | Report::Succeeded | Report::Ended, _) => {}
        }
    }

    /// The state the service has is what `report` says.
    fn is_reported(&self, report: Report, state: &Execution<'_>) -> bool {
        let (status, word) = match (report, self.state) {
            (Report::Ready, _) => (JobStatus::InProgress, "ready"),
            (Report::Active, _) => (JobStatus::InProgress, "active"),
            (Report::Succeeded, _) => (JobStatus::Succeeded, ""),
            (Report::Ended, State::Failed { rejected: true, .. }) => (JobStatus::Rejected, ""),
            (Report::Ended, _) => (JobStatus::Failed, ""),
        };
        state.status == status && (word.is_empty() || state.self_test().is_some_and(|found| found.is(word)))
    }
}
