//! The first half of a step: an input is applied to what the agent knows.

use super::fetch::Sector;
use super::{
    Action, Agent, Call, Failure, Input, Link, Message, Publication, Report, Request, State, Subscription,
};
use crate::policy::Drop;
use crate::status::{Reason, number_of_stream_error, reason_of_verify};

impl Agent<'_> {
    #[inline(never)]
    pub(super) fn absorb(&mut self, now: u64, input: Input<'_>) {
        self.now = now;
        match (&self.doing, input) {
            (_, Input::Start) => self.started(),
            (_, Input::ActionLost) => self.action_lost(),
            (Some(Action::Receive { .. }), Input::Message(message)) => self.message(message),
            (Some(Action::Receive { .. } | Action::Pause { .. }), Input::Timeout | Input::Done) => {}
            (Some(Action::Receive { .. } | Action::Pause { .. }), Input::Command(command)) => {
                self.command(command)
            }
            (Some(Action::Write(_)), Input::Failed(Failure::Flash(error))) => self.flash_failed(error),
            (Some(Action::Compare(part)), Input::Compared(compared)) => {
                self.part_compared(part.to, part.hash, compared);
            }
            (Some(Action::Compare(_) | Action::Erase { .. }), Input::Failed(Failure::Flash(error))) => {
                self.flash_failed(error)
            }
            (&Some(Action::Erase { sector, .. }), Input::Done) => self.fetch.put_sector(sector, Sector::Open),
            (Some(Action::HashHeld(part)), Input::Done) => self.part_held(part.to, part.hash),
            (&Some(Action::Hash { image, to, .. }), Input::Done) => {
                self.fetch.hashed = to.saturating_add(self.digest_offset(image));
            }
            (Some(Action::Hash { .. }), Input::Failed(Failure::Flash(error))) => {
                self.fail(Reason::FlashFailed, error as u32)
            }
            (Some(Action::Record), Input::Done) => self.statistics.records += 1,
            // A journal that fails costs what it would have saved, nothing else.
            (Some(Action::Record), Input::Failed(_)) => {}
            (&Some(Action::Inspect { image }), Input::Boot(state)) => self.inspected(image, Some(state)),
            (&Some(Action::Inspect { image }), Input::Failed(_)) => self.inspected(image, None),
            (Some(Action::Load), Input::Loaded(record)) => self.loaded(record),
            (Some(Action::Load), Input::Failed(_)) => self.loaded(None),
            (Some(Action::Connect), Input::Done) => self.linked(),
            (Some(Action::Disconnect), Input::Done | Input::Failed(_)) => {
                self.link = match self.link {
                    Link::Aside { until, .. } => Link::Aside { until, closed: true },
                    Link::Suspended { .. } | Link::Down { .. } | Link::Up { .. } => {
                        Link::Suspended { closed: true }
                    }
                };
            }
            (Some(Action::OpenRange(_)), Input::Done) => {}
            (Some(Action::CloseRange), Input::Done) => self.range_closed(),
            (&Some(Action::Subscribe(subscription)), Input::Done) => self.subscribed(subscription),
            (&Some(Action::Publish(publication)), Input::Done) => self.published(publication),
            (&Some(Action::Publish(publication)), Input::Failed(Failure::Refused)) => {
                self.refused(publication)
            }
            (
                Some(
                    Action::Connect
                    | Action::Subscribe(_)
                    | Action::Publish(_)
                    | Action::Receive { .. }
                    | Action::Pause { .. },
                ),
                Input::Failed(Failure::Link | Failure::Refused),
            ) => self.link_lost(),
            (&Some(Action::Consult(question)), Input::Answer(answer)) => self.answer(question, answer),
            (Some(Action::Verify { .. }), Input::Verified(token)) => self.verified(token),
            (Some(Action::Verify { .. }), Input::Signed(proof)) => self.bundle_signed(proof),
            (Some(Action::Verify { .. }), Input::Failed(Failure::Verify(error))) => {
                // What does not verify now never will: the next try starts from an erased slot.
                self.forget_data();
                self.fail(reason_of_verify(error), u32::from(error.number()));
            }
            // Done without the token is done without a request: not legal, and planned again.
            (Some(Action::SetPending { .. }), Input::Done) if !self.holds_token() => {
                self.set_pending_done()
            }
            (Some(Action::SetPending { .. }), Input::Failed(Failure::Flash(error))) => {
                self.set_pending_failed(error)
            }
            (Some(Action::Withdraw { .. }), Input::Withdrawn(withdrawn)) => {
                self.withdrawn(Some(withdrawn))
            }
            (Some(Action::Withdraw { .. }), Input::Failed(_)) => self.withdrawn(None),
            (Some(Action::Confirm { .. }), Input::Done) => self.confirmed_one(),
            (Some(Action::Confirm { .. }), Input::Failed(_)) => self.confirm_failed(),
            // Not legal for the outstanding action: counted, and the action is planned again.
            (_, _unexpected) => self.statistics.unexpected += 1,
        }
    }

    fn started(&mut self) {
        self.booted_at = self.now;
        self.doing = None;
        self.state = State::Booting { inspected: 0 };
        self.link = Link::Down { at: self.now, tries: 0 };
        self.call = Call::None;
        self.hand = None;
        self.record_due = false;
        self.drop_tokens();
        self.fetch.begun = false;
        self.resume = None;
    }

    /// The driver was dropped in the middle of an action. The message in hand, the link and the digest went with it.
    fn action_lost(&mut self) {
        match self.doing {
            Some(Action::Write(_)) => self.distrust_hand(true),
            // Whether it was recorded is not known: once more costs one write.
            Some(Action::Record) => self.record_due = true,
            Some(Action::Load | Action::Inspect { .. }) => self.state = State::Booting { inspected: 0 },
            Some(Action::SetPending { .. }) => {
                self.drop_token();
                self.may_be_requested();
            }
            None
            | Some(
                Action::Finish(_)
                | Action::Connect
                | Action::Disconnect
                | Action::Subscribe(_)
                | Action::Publish(_)
                | Action::OpenRange(_)
                | Action::CloseRange
                | Action::Receive { .. }
                | Action::Pause { .. }
                | Action::Consult(_)
                | Action::Erase { .. }
                | Action::Compare(_)
                | Action::HashHeld(_)
                | Action::Hash { .. }
                | Action::Verify { .. }
                | Action::Withdraw { .. }
                | Action::Confirm { .. },
            ) => {}
        }
        self.distrust_hand(false);
        if let State::Judging { file, .. } = self.state {
            self.state = State::Judging { file, question: None };
        }
        if matches!(self.state, State::Custom) {
            // Its document went with the message: ask for it again.
            self.leave_alone(self.now);
        }
        self.rehash();
        self.link_lost();
    }

    fn message(&mut self, message: &Message<'_>) {
        match *message {
            // The step itself has taken it in.
            Message::Block { .. } => {}
            Message::Described { job_id, token, ref answer } => self.described(job_id, token, answer),
            Message::DescribeRejected { job_id, ref rejected } => {
                self.describe_rejected(job_id, rejected)
            }
            Message::Updated { job_id, token, ref state } => self.updated(job_id, token, state.as_ref()),
            Message::UpdateRejected { job_id, ref rejected } => self.update_rejected(job_id, rejected),
            Message::Notify => self.check_at = self.now,
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
                self.plane_lost(Reason::StreamRejected, number_of_stream_error(code));
            }
            Message::RangeBlock { data } => self.range_block(data),
            Message::RangeFailed(error) => self.range_failed(error),
            Message::Useless(why) => self.drop_message(why),
        }
    }

    fn linked(&mut self) {
        let tries = match self.link {
            Link::Down { tries, .. } | Link::Up { tries, .. } => tries,
            Link::Suspended { .. } | Link::Aside { .. } => return,
        };
        self.link = Link::Up { jobs: false, stream: false, tries };
        // Answers to what was asked on the link before are lost, and so may be a notification.
        self.check_at = self.now;
        if !matches!(self.call, Call::Retry { request: Request::Report(_), .. }) {
            self.call = Call::None;
        }
    }

    fn subscribed(&mut self, subscription: Subscription) {
        let Link::Up { jobs, stream, .. } = &mut self.link else { return };
        match subscription {
            Subscription::Jobs => *jobs = true,
            Subscription::Stream => {
                *stream = true;
                self.fetch.paced = self.now;
            }
        }
    }

    fn published(&mut self, publication: Publication) {
        match publication {
            Publication::Jobs(request) => {
                let tries = match self.call {
                    Call::Retry { tries, .. } => tries,
                    Call::None | Call::Waiting { .. } => 0,
                };
                let until = self.after(self.config.timing.request_ms);
                self.call = Call::Waiting { request, token: self.next_token, until, tries };
                self.next_token = self.next_token.wrapping_add(1);
                if !matches!(request, Request::Report(_)) {
                    self.check_at = u64::MAX;
                }
            }
            Publication::Progress => self.progress_due = false,
            Publication::Blocks => {
                self.statistics.block_requests += 1;
                if self.fetch.alive {
                    self.fetch.grow(self.config.window_max());
                }
                self.fetch.asked();
                self.fetch.due = self.after(self.config.timing.block_ms);
                let pace = self.fetch.request.count.saturating_mul(1000);
                self.fetch.paced =
                    self.now + u64::from(pace.checked_div(self.config.blocks_per_second.into()).unwrap_or(0));
            }
        }
    }

    /// The link is up but did not take a publication: later, or never mind.
    fn refused(&mut self, publication: Publication) {
        match publication {
            Publication::Jobs(request) => {
                let tries = match self.call {
                    Call::Retry { tries, .. } => tries,
                    Call::None | Call::Waiting { .. } => 0,
                };
                let at = self.retry_at(tries);
                self.call = Call::Retry { request, at, tries: tries.saturating_add(1) };
                if !matches!(request, Request::Report(_)) {
                    self.check_at = u64::MAX;
                }
            }
            Publication::Progress => self.progress_due = false,
            Publication::Blocks => self.blocks_useless(),
        }
    }

    /// Time is up for a request to Jobs.
    pub(super) fn call_expired(&mut self, request: Request, tries: u8) {
        // Twice with the document, once without: an answer larger than the receive buffer never arrives.
        let document = tries % 3 != 1;
        let request = match request {
            Request::Next { .. } => Request::Next { document },
            Request::Held { .. } => Request::Held { document: document && !self.job.loaded },
            Request::Report(report) => Request::Report(report),
        };
        let at = self.retry_at(tries);
        self.call = Call::Retry { request, at, tries: tries.saturating_add(1) };
        // A link on which nothing is answered may be half dead: make a new one self.now and then.
        if tries % 4 == 3 {
            self.link_lost();
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
}
