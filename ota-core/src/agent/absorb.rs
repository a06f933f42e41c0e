//! The first half of a step: an input is applied to what the agent knows.

use super::blocks::Arrived;
use super::fetch::Sector;
use super::{
    Agent, Call, Doing, Failure, Input, Job, Link, Message, Outcome, Publication, Report, Request, Stage, State,
    Subscription,
};
use crate::boot::{Request as SwapRequest, Revert, Withdrawn};
use crate::command::Command;
use crate::policy::{Answer, Drop, Question};
use crate::slot::FlashError;
use crate::status::{Ended, Reason, number_of_stream_error, reason_of_verify};
use crate::verify::Verified;

/// Attempts at set pending or confirm.
const MAX_BOOT_FAILURES: u8 = 3;

impl Agent<'_> {
    pub(super) fn absorb(&mut self, now: u64, input: Input<'_>) {
        let doing = core::mem::replace(&mut self.doing, Doing::Nothing);
        match (doing, input) {
            (_, Input::Start) => self.started(now),
            (_, Input::ActionLost) => self.action_lost(now, doing),
            (Doing::Receive, Input::Message(message)) => self.message(now, message),
            (Doing::Receive | Doing::Pause, Input::Timeout | Input::Done) => {}
            (Doing::Receive | Doing::Pause, Input::Command(command)) => self.command(now, command),
            (Doing::Write, Input::Done) => self.part_held(),
            (Doing::Write, Input::Failed(Failure::Flash(error))) => self.flash_failed(error),
            (Doing::Compare, Input::Compared(compared)) => self.part_compared(compared),
            (Doing::Compare | Doing::Erase { .. }, Input::Failed(Failure::Flash(error))) => self.flash_failed(error),
            (Doing::Erase { sector }, Input::Done) => self.fetch.put_sector(sector, Sector::Open),
            (Doing::Hash { to }, Input::Done) => self.fetch.hashed = to,
            (Doing::Hash { .. }, Input::Failed(Failure::Flash(error))) => self.fail(Reason::FlashFailed, error as u32),
            (Doing::Record, Input::Done) => self.statistics.records += 1,
            // A journal that fails costs what it would have saved, nothing else.
            (Doing::Record, Input::Failed(_)) => {}
            (Doing::Inspect { image }, Input::Boot(state)) => self.inspected(image, Some(state)),
            (Doing::Inspect { image }, Input::Failed(_)) => self.inspected(image, None),
            (Doing::Load, Input::Loaded(record)) => self.loaded(now, record),
            (Doing::Load, Input::Failed(_)) => self.loaded(now, None),
            (Doing::Connect, Input::Done) => self.linked(now),
            (Doing::Disconnect, Input::Done | Input::Failed(_)) => self.link = Link::Suspended { closed: true },
            (Doing::Subscribe(subscription), Input::Done) => self.subscribed(now, subscription),
            (Doing::Publish(publication), Input::Done) => self.published(now, publication),
            (Doing::Publish(publication), Input::Failed(Failure::Refused)) => self.refused(now, publication),
            (
                Doing::Connect | Doing::Subscribe(_) | Doing::Publish(_) | Doing::Receive | Doing::Pause,
                Input::Failed(Failure::Link | Failure::Refused),
            ) => self.link_lost(now),
            (Doing::Consult(question), Input::Answer(answer)) => self.answer(now, question, answer),
            (Doing::Verify, Input::Verified(token)) => self.verified(now, token),
            (Doing::Verify, Input::Failed(Failure::Verify(error))) => {
                // What does not verify now never will: the next try starts from an erased slot.
                self.forget_data();
                self.fail(reason_of_verify(error), u32::from(error.number()));
            }
            (Doing::SetPending, Input::Done) => self.set_pending_done(now),
            (Doing::SetPending, Input::Failed(Failure::Flash(error))) => self.set_pending_failed(now, error),
            (Doing::Withdraw, Input::Withdrawn(withdrawn)) => self.withdrawn(now, Some(withdrawn)),
            (Doing::Withdraw, Input::Failed(_)) => self.withdrawn(now, None),
            (Doing::Confirm, Input::Done) => self.confirmed_one(),
            (Doing::Confirm, Input::Failed(_)) => self.confirm_failed(),
            (Doing::Finish(outcome), _) => self.doing = Doing::Finish(outcome),
            // Not legal for the outstanding action: counted, and the action is planned again.
            (_, _unexpected) => self.statistics.unexpected += 1,
        }
    }

    fn started(&mut self, now: u64) {
        self.booted_at = now;
        self.state = State::Booting { inspected: 0 };
        self.link = Link::Down { at: now, tries: 0 };
        self.call = Call::None;
        self.hand = None;
        self.record_due = false;
        self.tokens = [const { None }; super::MAX_IMAGES];
        self.fetch.identity = None;
        self.resume = None;
    }

    /// The driver was dropped in the middle of an action. The message in hand, the link and the digest went with it.
    fn action_lost(&mut self, now: u64, doing: Doing) {
        match doing {
            Doing::Write => self.distrust_part(),
            // Whether it was recorded is not known: once more costs one write.
            Doing::Record => self.record_due = true,
            Doing::Load | Doing::Inspect { .. } => self.state = State::Booting { inspected: 0 },
            Doing::Finish(_)
            | Doing::Nothing
            | Doing::Connect
            | Doing::Disconnect
            | Doing::Subscribe(_)
            | Doing::Publish(_)
            | Doing::Receive
            | Doing::Pause
            | Doing::Consult(_)
            | Doing::Erase { .. }
            | Doing::Compare
            | Doing::Hash { .. }
            | Doing::Verify
            | Doing::SetPending
            | Doing::Withdraw
            | Doing::Confirm => {}
        }
        self.hand = None;
        if let State::Judging { file, .. } = self.state {
            self.state = State::Judging { file, question: None };
        }
        if self.state == State::Custom {
            self.close(now, Ended::Gone);
        }
        self.fetch.hashed = 0;
        self.link_lost(now);
    }

    fn message(&mut self, now: u64, message: Message<'_>) {
        match message {
            Message::Block { stream, file_id, block_id, at, data } => {
                self.block(now, Arrived { stream, file_id, block_id, at, data });
            }
            Message::Described { job_id, token, answer } => self.described(now, job_id, token, &answer),
            Message::DescribeRejected { job_id, rejected } => self.describe_rejected(now, job_id, &rejected),
            Message::Updated { job_id, token, state } => self.updated(now, job_id, token, state.as_ref()),
            Message::UpdateRejected { job_id, rejected } => self.update_rejected(now, job_id, &rejected),
            Message::Notify => self.check_at = now,
            Message::StreamRejected { stream, code } => {
                let fetching = matches!(self.state, State::Judging { .. } | State::Downloading { .. });
                if !fetching || stream.as_bytes() != self.arena.get(self.job.stream) {
                    return self.drop_message(Drop::Late);
                }
                if code.is_retryable() {
                    // What is under way runs out and is asked for again, after a growing pause.
                    self.fetch.alive = false;
                    return;
                }
                self.fail(Reason::StreamRejected, number_of_stream_error(code));
            }
            Message::Useless(why) => self.drop_message(why),
        }
    }

    fn linked(&mut self, now: u64) {
        let tries = match self.link {
            Link::Down { tries, .. } | Link::Up { tries, .. } => tries,
            Link::Suspended { .. } => return,
        };
        self.link = Link::Up { jobs: false, stream: false, tries };
        // Answers to what was asked on the link before are lost, and so may be a notification.
        self.check_at = now;
        if !matches!(self.call, Call::Retry { request: Request::Report(_), .. }) {
            self.call = Call::None;
        }
    }

    fn subscribed(&mut self, now: u64, subscription: Subscription) {
        let Link::Up { jobs, stream, .. } = &mut self.link else { return };
        match subscription {
            Subscription::Jobs => *jobs = true,
            Subscription::Stream => {
                *stream = true;
                self.fetch.paced = now;
            }
        }
    }

    fn published(&mut self, now: u64, publication: Publication) {
        match publication {
            Publication::Jobs(request) => {
                let tries = match self.call {
                    Call::Retry { tries, .. } => tries,
                    Call::None | Call::Waiting { .. } => 0,
                };
                let until = now + u64::from(self.config.timing.request_ms);
                self.call = Call::Waiting { request, token: self.next_token, until, tries };
                self.next_token = self.next_token.wrapping_add(1);
                if !matches!(request, Request::Report(_)) {
                    self.check_at = u64::MAX;
                }
            }
            Publication::Progress => self.progress_due = false,
            Publication::Blocks(request) => {
                self.statistics.block_requests += 1;
                if self.fetch.alive {
                    self.fetch.grow(self.config.window_max());
                }
                self.fetch.asked(&request);
                self.fetch.due = now + u64::from(self.config.timing.block_ms);
                let pace = u64::from(request.count) * 1000;
                self.fetch.paced = now + pace.checked_div(u64::from(self.config.blocks_per_second)).unwrap_or(0);
            }
        }
    }

    /// The link is up but did not take a publication: later, or never mind.
    fn refused(&mut self, now: u64, publication: Publication) {
        match publication {
            Publication::Jobs(request) => {
                let tries = match self.call {
                    Call::Retry { tries, .. } => tries,
                    Call::None | Call::Waiting { .. } => 0,
                };
                let at = now + self.pause(self.config.timing.retry_ms, tries);
                self.call = Call::Retry { request, at, tries: tries.saturating_add(1) };
                if !matches!(request, Request::Report(_)) {
                    self.check_at = u64::MAX;
                }
            }
            Publication::Progress => self.progress_due = false,
            Publication::Blocks(_) => self.fetch.paced = now + self.pause(self.config.timing.retry_ms, 0),
        }
    }

    fn command(&mut self, now: u64, command: Command) {
        match command {
            Command::ShutDown => self.state = State::Stopped,
            Command::Suspend => {
                if !matches!(self.link, Link::Suspended { .. }) {
                    self.link_lost(now);
                    self.link = Link::Suspended { closed: false };
                }
            }
            Command::Resume => {
                if matches!(self.link, Link::Suspended { .. }) {
                    self.link = Link::Down { at: now, tries: 0 };
                }
            }
            Command::CheckNow => self.check_at = now,
            Command::Abort => self.abort(),
            Command::SelfTestPassed => {
                if let State::Testing { question: None, .. } = self.state {
                    self.state = State::Confirming { image: 0, failed: 0 };
                }
            }
            Command::SelfTestFailed => {
                if let State::Testing { .. } = self.state {
                    self.test_failed();
                }
            }
        }
    }

    fn abort(&mut self) {
        match self.state {
            State::Offered { .. }
            | State::Judging { .. }
            | State::Downloading { .. }
            | State::Verifying { .. }
            | State::Verified { .. }
            | State::Ready { .. }
            | State::Activating { .. }
            | State::Pending { .. } => self.fail(Reason::Aborted, 0),
            State::Testing { .. } => self.test_failed(),
            // Nothing to abort, or too late: the truth is told.
            State::Booting { .. }
            | State::Idle
            | State::Custom
            | State::Withdrawing { .. }
            | State::Confirming { .. }
            | State::Confirmed { .. }
            | State::Failed { .. }
            | State::Resetting
            | State::Stopped => {}
        }
    }

    fn answer(&mut self, now: u64, question: Question, answer: Answer) {
        let later = |ms: u32| now + u64::from(ms);
        match (question, answer) {
            (Question::Start, Answer::Yes) => self.start_job(now),
            (Question::RevertedBefore, Answer::Yes) => {
                (self.bad_image, self.bad_job) = ([0; 32], [0; 32]);
                self.record_due = true;
            }
            (Question::Start | Question::RevertedBefore, Answer::Later { ms }) => {
                if let State::Offered { stage, .. } = self.state {
                    self.state = State::Offered { at: later(ms), stage };
                }
            }
            (Question::Start, Answer::No) => self.fail(Reason::Declined, 0),
            (Question::RevertedBefore, Answer::No) => self.fail(Reason::RevertedBefore, 0),

            (Question::Downgrade { .. } | Question::SameVersion { .. } | Question::Erase, answer) => {
                self.version_or_erase_answer(now, question, answer);
            }

            (Question::Activate, Answer::Yes) => self.state = State::Activating { file: 0 },
            (Question::Activate, Answer::Later { ms }) => self.state = State::Ready { at: later(ms) },
            (Question::Activate, Answer::No) => self.fail(Reason::Declined, 0),
            (Question::ActivateOffline, Answer::Yes) => self.state = State::Activating { file: 0 },
            (Question::ActivateOffline, Answer::Later { ms }) => self.state = State::Verified { ask_at: later(ms) },
            (Question::ActivateOffline, Answer::No) => self.state = State::Verified { ask_at: u64::MAX },

            (Question::JobGoneInTest, Answer::Yes | Answer::Later { .. }) => self.test_goes_on(),
            (Question::JobGoneInTest, Answer::No) => self.test_failed(),

            (Question::Custom, Answer::Yes) => self.state = State::Confirmed { custom: true },
            (Question::Custom, Answer::Later { .. } | Answer::No) => {
                // Somebody else's: it is asked about again when the next job changes.
                self.arena.clear();
                self.job = Job::default();
                self.state = State::Idle;
            }
        }
    }

    /// Answers given while judging, verifying or testing.
    fn version_or_erase_answer(&mut self, now: u64, question: Question, answer: Answer) {
        let reason = match question {
            Question::Downgrade { .. } => Reason::Downgrade,
            Question::SameVersion { .. } => Reason::SameVersion,
            _erase => Reason::Declined,
        };
        match (self.state, answer) {
            (State::Judging { file, .. }, Answer::Yes) => {
                if question == Question::Erase || self.erase_agreed {
                    self.erase_agreed = true;
                    self.download(file);
                } else {
                    self.state = State::Judging { file, question: Some(Question::Erase) };
                }
            }
            (State::Judging { .. }, Answer::Later { ms }) => {
                // The block in hand does not wait; it is fetched again.
                self.hand = None;
                self.keep_progress();
                self.state = State::Offered { at: now + u64::from(ms), stage: Stage::New };
            }
            (State::Verifying { stage, .. }, Answer::Yes) => self.next_file(now, stage),
            (State::Verifying { .. }, Answer::Later { .. } | Answer::No) => self.fail(reason, 0),
            (State::Judging { .. }, Answer::No) => self.fail(reason, 0),
            (State::Testing { .. }, Answer::Yes) => self.test_goes_on(),
            (State::Testing { .. }, Answer::Later { .. } | Answer::No) => self.test_failed(),
            (_, Answer::Yes | Answer::Later { .. } | Answer::No) => {}
        }
    }

    fn test_goes_on(&mut self) {
        if let State::Testing { until, announced, .. } = self.state {
            self.state = State::Testing { until, announced, question: None };
        }
    }

    /// Policy agreed: the job starts, or goes on from what flash holds.
    fn start_job(&mut self, now: u64) {
        let State::Offered { stage, .. } = self.state else { return };
        if self.job.updated_by.is_none() || stage == Stage::New {
            self.job.updated_by = Some(self.running_version().word());
        }
        let known = self.resume.filter(|resume| resume.identity == self.job.digest);
        self.complete = match (stage, known) {
            (Stage::Verified | Stage::Ready, _) => self.job.file_count,
            (Stage::New, Some(resume)) => resume.file.min(self.job.file_count),
            (Stage::New, None) => 0,
        };
        self.tokens = [const { None }; super::MAX_IMAGES];
        self.failures = 0;
        self.next_file(now, stage);
        if known.is_none() {
            self.resume = None;
        }
    }

    fn verified(&mut self, now: u64, token: Verified) {
        let State::Verifying { file, stage, .. } = self.state else { return };
        let image = token.image();
        let info = *token.info();
        let counter = |info: &crate::image::ImageInfo| info.security_counter;
        let running = self.images.get(usize::from(image)).and_then(|i| i.state).and_then(|s| s.running);
        if running.as_ref().and_then(counter).is_some_and(|least| info.security_counter.is_none_or(|c| c < least)) {
            return self.fail(Reason::SecurityCounter, 0);
        }
        if info.hash == self.bad_image {
            return self.fail(Reason::RevertedBefore, 0);
        }
        if let Some(place) = self.images.get_mut(usize::from(image)) {
            place.intended = info.hash;
        }
        if let Some(place) = self.tokens.get_mut(usize::from(file)) {
            *place = Some(token);
        }
        self.complete = self.complete.max(file + 1);
        match self.version_question(image, info.version) {
            // Agreed to before the download; what flash holds now is asked about once more.
            Some(question) => self.state = State::Verifying { file, stage, question: Some(question) },
            None => self.next_file(now, stage),
        }
    }

    /// What flash holds is not to be gone on from.
    fn forget_data(&mut self) {
        self.fetch.identity = None;
        self.resume = None;
        self.complete = 0;
    }

    fn set_pending_done(&mut self, now: u64) {
        let State::Activating { file } = self.state else { return };
        self.set_request(self.job.file(file).image, SwapRequest::Test);
        self.failures = 0;
        self.state = if file + 1 < self.job.file_count {
            State::Activating { file: file + 1 }
        } else {
            self.record_due = true;
            self.check_at = now;
            State::Pending { until: now + u64::from(self.config.timing.request_ms) }
        };
    }

    fn set_pending_failed(&mut self, now: u64, error: FlashError) {
        let State::Activating { file } = self.state else { return };
        self.failures += 1;
        if self.failures >= MAX_BOOT_FAILURES {
            return self.fail(Reason::SetPendingFailed, error as u32);
        }
        let held = self.job.file(file);
        let Some(layout) = self.layout(held.image) else { return };
        if error == FlashError::Trailer {
            // The trailer's sector is given up; what it holds of the image is fetched again.
            self.fetch.start(self.job.digest, file, held.size);
            self.fetch.restore(u32::MAX, &[0; 32], layout);
            for sector in layout.trailer_sectors() {
                self.fetch.give_up(sector, layout);
            }
            self.complete = file;
            self.statistics.sectors_given_up += 1;
            self.cleared = false;
            self.record_due = true;
            if let Some(token) = self.tokens.get_mut(usize::from(file)) {
                *token = None;
            }
            self.state = if self.fetch.is_complete() {
                State::Verifying { file, stage: Stage::Ready, question: None }
            } else {
                State::Downloading { file }
            };
        } else {
            // The token is spent: hash and verify again, then once more.
            self.next_file(now, Stage::Ready);
        }
    }

    fn set_request(&mut self, image: u8, request: SwapRequest) {
        if let Some(state) = self.images.get_mut(usize::from(image)).and_then(|i| i.state.as_mut()) {
            state.request = request;
        }
    }

    fn withdrawn(&mut self, now: u64, withdrawn: Option<Withdrawn>) {
        let State::Withdrawing { image, reason } = self.state else { return };
        self.set_request(image, SwapRequest::None);
        if let Some(Withdrawn::SectorLost(_)) | None = withdrawn {
            // Rare, and only on parts whose trailer shares a sector with the image: start over rather than guess.
            self.forget_data();
        }
        self.state = State::Withdrawing { image: image + 1, reason };
        if usize::from(image) + 1 < self.config.images.len() {
            return;
        }
        match reason {
            Some(reason) => {
                self.record_due = true;
                self.state = self.failed(reason, 0);
            }
            None => self.close(now, Ended::Gone),
        }
    }

    fn confirmed_one(&mut self) {
        let State::Confirming { image, .. } = self.state else { return };
        if let Some(state) = self.images.get_mut(usize::from(image)).and_then(|i| i.state.as_mut()) {
            state.revert = Revert::No;
            state.confirmed = true;
        }
        self.state = State::Confirming { image: image + 1, failed: 0 };
        if usize::from(image) + 1 < self.config.images.len() {
            return;
        }
        self.record_due = true;
        self.state = if self.job.is_held() { State::Confirmed { custom: false } } else { self.done() };
    }

    fn confirm_failed(&mut self) {
        let State::Confirming { image, failed } = self.state else { return };
        if failed + 1 < MAX_BOOT_FAILURES {
            self.state = State::Confirming { image, failed: failed + 1 };
        } else if self.revert() == Revert::Yes {
            self.state = State::Resetting;
        } else {
            self.fail(Reason::ConfirmFailed, 0);
        }
    }

    /// Time is up for a request to Jobs.
    pub(super) fn call_expired(&mut self, now: u64, request: Request, tries: u8) {
        // Twice with the document, once without: an answer larger than the receive buffer never arrives.
        let document = tries % 3 != 1;
        let request = match request {
            Request::Next { .. } => Request::Next { document },
            Request::Held { .. } => Request::Held { document: document && !self.job.loaded },
            Request::Report(report) => Request::Report(report),
        };
        let at = now + self.pause(self.config.timing.retry_ms, tries);
        self.call = Call::Retry { request, at, tries: tries.saturating_add(1) };
        // A link on which nothing is answered may be half dead: make a new one now and then.
        if tries % 4 == 3 {
            if let Link::Up { tries, .. } = &mut self.link {
                *tries = 0;
            }
            self.link_lost(now);
        }
    }

    /// Whether `report` is what the state owes.
    pub(super) fn owed(&self) -> Option<Report> {
        match self.state {
            State::Verified { .. } => Some(Report::Ready),
            State::Testing { announced: false, .. } => Some(Report::Active),
            State::Confirmed { .. } => Some(Report::Succeeded),
            State::Failed { .. } => Some(Report::Ended),
            State::Booting { .. }
            | State::Idle
            | State::Custom
            | State::Offered { .. }
            | State::Judging { .. }
            | State::Downloading { .. }
            | State::Verifying { .. }
            | State::Ready { .. }
            | State::Activating { .. }
            | State::Pending { .. }
            | State::Withdrawing { .. }
            | State::Testing { .. }
            | State::Confirming { .. }
            | State::Resetting
            | State::Stopped => None,
        }
    }

    /// What the agent finishes with, if it has.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match (self.doing, self.state) {
            (Doing::Finish(outcome), _) => Some(outcome),
            (_, State::Stopped) => Some(Outcome::Stopped),
            (_, State::Resetting) => Some(Outcome::Reset),
            (_, _) => None,
        }
    }
}
