//! Answers of AWS IoT Jobs: judged by token and job id, then applied.

use super::clock::{Wait, after};
use super::job::Number;
use super::{Agent, Report, Request, Stage, State};
use crate::policy::{Drop, Question};
use crate::status::{Ended, Reason, reason_of_document};
use crate::wire::{Document, Execution, JobStatus, JobsAnswer, OtaDocument, RejectedCode};

/// Refusals of one status update before it is given up.
const MAX_REFUSALS: u8 = 4;
/// Describes answered without the document while those with it were not: it does not fit the receive buffer.
const MAX_WITHHELD: u8 = 2;

impl Agent<'_> {
    #[inline(never)]
    pub(super) fn described(&mut self, job_id: Option<&str>, answer: &JobsAnswer<'_>) {
        let Some(request) = self.answered(job_id, answer.token, false) else {
            return self.drop_message(Drop::Late);
        };
        self.call.end();
        self.clock.set(Wait::Check, after(self.config.timing.poll_ms));
        match (request, &answer.execution) {
            (Request::Next { document }, Some(execution)) => self.next_job(execution, document),
            (Request::Next { .. }, None) => self.withheld = 0,
            (Request::Held { document }, Some(execution)) => {
                if execution.job_id != self.job_id() {
                    self.drop_message(Drop::Unknown);
                } else if execution.status.is_terminal() {
                    self.gone();
                } else {
                    self.held_job(execution, document);
                }
            }
            (Request::Held { .. } | Request::Report(_), _) => self.gone(),
        }
    }

    pub(super) fn describe_rejected(&mut self, job_id: Option<&str>, rejected: &JobsAnswer<'_>) {
        let Some(request) = self.answered(job_id, rejected.token, false) else {
            return self.drop_message(Drop::Late);
        };
        let held = matches!(request, Request::Held { .. });
        match rejected.code {
            RejectedCode::ResourceNotFound | RejectedCode::TerminalStateReached if held => self.gone(),
            RejectedCode::ResourceNotFound
            | RejectedCode::TerminalStateReached
            | RejectedCode::InvalidTopic
            | RejectedCode::InvalidJson
            | RejectedCode::InvalidRequest
            | RejectedCode::InvalidStateTransition
            | RejectedCode::VersionMismatch
            | RejectedCode::InternalError
            | RejectedCode::RequestThrottled
            | RejectedCode::Unknown => self.again(),
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
        match &execution.document() {
            Document::Ota(document) => {
                self.withheld = 0;
                self.adopt(execution, document);
            }
            Document::Custom(_) if matches!(self.state, State::Idle) => self.state = State::Custom,
            Document::Malformed(error) => self.fail(reason_of_document(*error), 0),
            Document::Absent if !asked => self.withheld(),
            Document::Custom(_) | Document::Absent => self.fail(Reason::DocumentMalformed, 0),
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
            return self.fail(Reason::DocumentTooLarge, 0);
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
        let Ok(id) = self.arena.push(execution.job_id.as_bytes()) else { return false };
        self.job.id = id;
        self.job.refresh(execution);
        true
    }

    /// An OTA job's document: the job is offered.
    fn adopt(&mut self, execution: &Execution<'_>, document: &OtaDocument<'_>) {
        if let State::Idle = self.state {
            if execution.self_test().is_some() && execution.status == JobStatus::InProgress {
                return self.orphaned_test();
            }
            self.job.updated_by = Number::of(None);
        }
        let digest = self.job.digest;
        let largest = self.largest_file();
        match self.job.load(&mut self.arena, self.config, document, largest) {
            Err(reason) => self.fail(reason, 0),
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
    /// to go by (AWS' agents always do it this way).
    fn orphaned_test(&mut self) {
        let running = self.running_version();
        match running.word().cmp(&self.job.updated_by.get().unwrap_or(0)) {
            _ if self.was_reverted() => self.fail(Reason::Reverted, 0),
            core::cmp::Ordering::Equal => self.fail(Reason::NotSwapped, 0),
            core::cmp::Ordering::Less => self.fail(Reason::Downgrade, 0),
            core::cmp::Ordering::Greater => {
                self.record_due = true;
                if self.is_confirmed() {
                    self.state = State::Confirmed { custom: false };
                } else {
                    self.test(None);
                }
            }
        }
    }

    /// A describe of the held job was answered: it still is ours.
    fn held_job(&mut self, execution: &Execution<'_>, document: bool) {
        let retried =
            execution.execution_number.is_some_and(|n| self.job.execution != 0 && n != self.job.execution);
        let updated_by = self.job.updated_by.get();
        self.job.refresh(execution);
        // What this device wrote down outranks what the service stored last.
        self.job.updated_by = Number::of(updated_by.or(self.job.updated_by.get()));
        if retried {
            self.retried();
        }
        if self.job.loaded {
            if let Document::Ota(ota) = &execution.document() {
                self.refresh_urls(ota);
            }
            return;
        }
        if let State::Offered = self.state {
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
            State::Offered
            | State::Judging
            | State::Downloading
            | State::Verifying
            | State::Verified
            | State::Ready
            | State::Activating { .. }
            | State::Pending
                if self.is_requested() =>
            {
                self.failures = 0;
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

    pub(super) fn updated(&mut self, job_id: &str, answer: &JobsAnswer<'_>) {
        let Some(Request::Report(report)) = self.answered(Some(job_id), answer.token, true) else {
            // A progress update: all it tells is that the version went up by one.
            if answer.token.0.is_none() && job_id == self.job_id() {
                self.job.count_version();
                self.job.started = true;
                return;
            }
            return self.drop_message(Drop::Late);
        };
        self.job.count_version();
        if let Some(number) = answer.execution.and_then(|execution| execution.version_number) {
            self.job.version = Number::of(Some(number));
        }
        self.accepted(report);
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

    pub(super) fn update_rejected(&mut self, job_id: &str, rejected: &JobsAnswer<'_>) {
        let Some(Request::Report(report)) = self.answered(Some(job_id), rejected.token, true) else {
            // A progress update was refused: canceled, deleted, or just throttled. Look.
            self.clock.set(Wait::Check, 0);
            return self.drop_message(Drop::Late);
        };
        match rejected.code {
            RejectedCode::VersionMismatch | RejectedCode::InvalidStateTransition => match &rejected.execution
            {
                // The answer to an earlier attempt got lost.
                Some(state) if self.is_reported(report, state) => {
                    self.job.version = Number::of(state.version_number);
                    self.accepted(report);
                }
                Some(state) if state.status.is_terminal() => self.gone(),
                Some(state) => {
                    self.job.version = Number::of(state.version_number);
                    self.job.started = state.status == JobStatus::InProgress;
                    if let State::Failed { reason, rejected: true } = self.state {
                        self.state = State::Failed { reason, rejected: !self.job.started };
                    }
                    self.repeat();
                }
                None => {
                    self.job.version = Number::of(None);
                    self.retry_or_give_up();
                }
            },
            RejectedCode::ResourceNotFound | RejectedCode::TerminalStateReached => self.gone(),
            RejectedCode::InvalidTopic
            | RejectedCode::InvalidJson
            | RejectedCode::InvalidRequest
            | RejectedCode::Unknown => {
                // Perhaps it was the number: some services want none.
                self.job.version = Number::of(None);
                self.retry_or_give_up();
            }
            RejectedCode::InternalError | RejectedCode::RequestThrottled => self.again(),
        }
    }

    fn retry_or_give_up(&mut self) {
        if self.call.tries >= MAX_REFUSALS {
            return self.gone();
        }
        self.repeat();
    }

    /// The same request with what the refusal taught: at once, then after pauses.
    fn repeat(&mut self) {
        self.again();
        if self.call.tries == 1 {
            self.clock.set(Wait::Call, 0);
        }
    }

    /// The state the service has is what `report` says.
    fn is_reported(&self, report: Report, state: &Execution<'_>) -> bool {
        let in_self_test = |word| {
            state.status == JobStatus::InProgress && state.self_test().is_some_and(|found| found.is(word))
        };
        match report {
            Report::Ready => in_self_test("ready"),
            Report::Active => in_self_test("active"),
            Report::Succeeded => state.status == JobStatus::Succeeded,
            Report::Ended => match self.state {
                State::Failed { rejected: true, .. } => state.status == JobStatus::Rejected,
                _failed => state.status == JobStatus::Failed,
            },
        }
    }
}
