//! The first half of a step: an input is applied to what the agent knows.

use super::clock::{FAR, Wait, after};
use super::sectors::Sector;
use super::wear::{AGAIN, FAILED};
use super::{Action, Agent, Failure, Input, Link, Message, Publication, Request, State, Subscription};
use crate::boot::Request as SwapRequest;
use crate::policy::Drop;
use crate::slot::FlashError;
use crate::status::{Reason, number_of_stream_error, reason_of_verify};

impl Agent<'_> {
    /// A step, whatever the input.
    #[inline(never)]
    pub(crate) fn other_step(&mut self, now_ms: u64, input: Input<'_>) {
        if matches!(self.doing, Action::Finish(_)) && !matches!(input, Input::Start) {
            return;
        }
        self.clock.step(now_ms);
        self.waited = matches!(input, Input::Timeout);
        self.fetch.calm = 0;
        self.absorb(input);
        self.plan();
    }

    fn absorb(&mut self, input: Input<'_>) {
        let mut failure = None;
        match (input, &self.doing) {
            (Input::Start, _) => self.started(),
            (Input::ActionLost, _) => failure = self.action_lost(),
            (Input::Done, _) => self.action_done(),
            (Input::Failed(why), _) => failure = Some(why),
            (Input::Message(message), Action::Receive { .. }) => self.message(message),
            (Input::Timeout, Action::Receive { .. } | Action::Pause { .. }) => {}
            (Input::Command(command), Action::Receive { .. } | Action::Pause { .. }) => self.command(command),
            (Input::Loaded(record), Action::Load) => self.loaded(record),
            (Input::Boot(state), &Action::Inspect { image }) => self.inspected(image, Some(&state)),
            (Input::Compared(compared), &Action::Compare(part)) => {
                self.part_compared(part.to, part.hash, compared)
            }
            (Input::Answer(answer), &Action::Consult(question)) => self.answer(&question, answer),
            (Input::Verified(token), Action::Verify { .. }) => self.verified(token),
            (Input::Signed(proof), Action::Verify { .. }) => self.bundle_signed(proof),
            (Input::Withdrawn(withdrawn), Action::Withdraw { .. }) => self.withdrawn(Some(withdrawn)),
            (_, _) => self.unexpected(),
        }
        if let Some(why) = failure {
            self.action_failed(why);
        }
    }

    /// Not legal for the outstanding action: counted, and the action is planned again.
    fn unexpected(&mut self) {
        self.statistics.unexpected += 1;
    }

    fn action_done(&mut self) {
        match self.doing {
            Action::Erase { sector, .. } => {
                self.fetch.put_sector(sector, Sector::Open);
                // Before the slot is cleared no block may find its sector open.
                if let (true, Some(layout)) = (self.cleared, self.layout_in_hand()) {
                    self.fetch.extend_open(sector, layout);
                }
            }
            Action::Write(part) | Action::HashHeld(part) => self.part_held(part.to, part.hash),
            Action::Hash { image, to, .. } => {
                self.fetch.hashed = to.saturating_add(self.digest_offset(image));
            }
            Action::Record => self.statistics.records += 1,
            Action::Connect => self.linked(),
            Action::Disconnect => self.disconnected(),
            Action::Subscribe(subscription) => self.subscribed(subscription),
            Action::Publish(publication) => self.published(publication),
            Action::CloseRange => self.range_closed(),
            // Done without the token is done without a request: not legal, and planned again.
            Action::SetPending { .. } if !self.holds_token() => self.set_pending_done(),
            Action::Confirm { .. } => self.confirmed_one(),
            Action::OpenRange(_) | Action::Receive { .. } | Action::Pause { .. } => {}
            Action::Load
            | Action::Inspect { .. }
            | Action::Consult(_)
            | Action::Compare(_)
            | Action::Verify { .. }
            | Action::SetPending { .. }
            | Action::Withdraw { .. }
            | Action::Finish(_) => self.unexpected(),
        }
    }

    fn action_failed(&mut self, why: Failure) {
        match (why, self.doing) {
            // A journal that fails costs what it would have saved, nothing else.
            (_, Action::Record) => {}
            (_, Action::Load) => self.loaded(None),
            (_, Action::Inspect { image }) => self.inspected(image, None),
            (_, Action::Disconnect) => self.disconnected(),
            (_, Action::Withdraw { .. }) => {
                if self.in_vain(FAILED) {
                    self.withdrawn(None);
                }
            }
            (_, Action::Confirm { .. }) => self.confirm_failed(),
            (Failure::Flash(error), Action::Erase { .. } | Action::Compare(_) | Action::Write(_)) => {
                self.flash_failed(error)
            }
            (Failure::Flash(error), Action::Hash { .. }) => self.fail_with(Reason::FlashFailed, error as u32),
            (Failure::Flash(error), Action::SetPending { .. }) => self.set_pending_failed(error),
            (Failure::Verify(error), Action::Verify { .. }) => {
                // What does not verify now never will: the next try starts from an erased slot.
                self.forget_data();
                self.fail_with(reason_of_verify(error), u32::from(error.number()));
            }
            (Failure::Refused, Action::Publish(publication)) => self.refused(publication),
            (
                Failure::Link | Failure::Refused,
                Action::Connect
                | Action::Subscribe(_)
                | Action::Publish(_)
                | Action::Receive { .. }
                | Action::Pause { .. },
            ) => {
                // Perhaps over the answer. A report counts its refusals, and this is none.
                if self.call.waits && !matches!(self.call.request, Some(Request::Report(_))) {
                    self.unanswered();
                }
                self.link_lost();
            }
            (_, _) => self.unexpected(),
        }
    }

    fn started(&mut self) {
        self.clock.set(Wait::Test, after(self.config.timing.self_test_ms));
        self.is_new = false;
        self.state = State::Booting { inspected: 0 };
        self.connect_now();
        self.stop_work();
        self.record_due = false;
        self.fetch.begun = false;
        self.resume = None;
    }

    /// The driver was dropped in the middle of an action. The message in hand, the link and the digest went with it. The action is
    /// done again; what is answered is why not, where it was lost too often.
    fn action_lost(&mut self) -> Option<Failure> {
        let mut is_last = false;
        match self.doing {
            Action::Write(_) => {
                is_last = self.in_vain(AGAIN);
                self.distrust_hand(true);
            }
            Action::Record => {
                is_last = self.in_vain(AGAIN);
                // Whether it was recorded is not known: once more costs one write.
                self.record_due = !is_last;
            }
            Action::Load | Action::Inspect { .. } => self.state = State::Booting { inspected: 0 },
            Action::SetPending { .. } => {
                is_last = self.in_vain(AGAIN);
                self.drop_token();
                self.requested(SwapRequest::Damaged);
            }
            Action::Erase { .. } | Action::Withdraw { .. } | Action::Confirm { .. } => {
                is_last = self.in_vain(AGAIN);
            }
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
            | Action::Compare(_)
            | Action::HashHeld(_)
            | Action::Hash { .. }
            | Action::Verify { .. } => {}
        }
        self.distrust_hand(false);
        if let State::Judging = self.state {
            self.question = None;
        }
        if matches!(self.state, State::Custom) {
            // Its document went with the message: ask for it again.
            self.clock.set(Wait::Check, 0);
            self.leave_alone();
        }
        self.rehash(Sector::Untrusted);
        self.link_lost();
        is_last.then_some(Failure::Flash(FlashError::Unfinished))
    }

    fn message(&mut self, message: &Message<'_>) {
        match *message {
            Message::Block { stream, file_id, block_id, data } => {
                self.block(Some(stream), file_id, block_id, data);
            }
            Message::Described { job_id, accepted, ref answer } => {
                self.answer_of_jobs(job_id, false, accepted, answer)
            }
            Message::Updated { job_id, accepted, ref answer } => {
                self.answer_of_jobs(Some(job_id), true, accepted, answer)
            }
            Message::Notify => self.clock.set(Wait::Check, 0),
            Message::StreamRejected { stream, code } => {
                if !self.state.is_fetching() || stream != self.stream() {
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
        if let Link::Suspended { .. } | Link::Aside { .. } = self.link {
            return;
        }
        self.link = Link::Up { jobs: false, stream: false };
        // Answers to what was asked on the link before are lost, and so may be a notification.
        self.clock.set(Wait::Check, 0);
        self.clock.set(Wait::Call, 0);
        self.call.waits = false;
    }

    fn disconnected(&mut self) {
        self.link = match self.link {
            Link::Aside { .. } => Link::Aside { closed: true },
            Link::Suspended { .. } | Link::Down | Link::Up { .. } => Link::Suspended { closed: true },
        };
    }

    fn subscribed(&mut self, subscription: Subscription) {
        let Link::Up { jobs, stream, .. } = &mut self.link else { return };
        match subscription {
            Subscription::Jobs => *jobs = true,
            Subscription::Stream => {
                *stream = true;
                self.clock.set(Wait::Pace, 0);
            }
        }
    }

    fn published(&mut self, publication: Publication) {
        match publication {
            Publication::Jobs(request) => {
                self.call.request = Some(request);
                self.call.waits = true;
                self.clock.set(Wait::Call, after(self.config.timing.request_ms));
                self.next_token = self.next_token.wrapping_add(1);
                self.asked(request);
            }
            Publication::Progress => self.progress_due = false,
            Publication::Blocks => {
                self.statistics.block_requests += 1;
                if self.fetch.alive {
                    self.fetch.grow(self.config.window_max());
                }
                self.fetch.asked();
                self.clock.set(Wait::Blocks, after(self.config.timing.block_ms));
                let pace = self.fetch.request.count * 1000;
                let pace = pace.checked_div(self.config.blocks_per_second.into()).unwrap_or(0);
                self.clock.set(Wait::Pace, after(pace));
            }
        }
    }

    /// The link is up but did not take a publication: later, or never mind.
    fn refused(&mut self, publication: Publication) {
        match publication {
            Publication::Jobs(request) => {
                self.call.request = Some(request);
                self.again();
                self.asked(request);
            }
            Publication::Progress => self.progress_due = false,
            Publication::Blocks => self.blocks_useless(),
        }
    }

    /// The question is on its way: no other one before it is answered.
    fn asked(&mut self, request: Request) {
        if !matches!(request, Request::Report(_)) {
            self.clock.set(Wait::Check, FAR);
        }
    }
}
