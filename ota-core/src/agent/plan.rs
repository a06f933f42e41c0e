//! The second half of a step: from what is known to the one thing to do next.
//!
//! In this order: the journal; the block in hand; what the state can do without the network; the link and what goes over
//! it; wait.

use super::clock::{Wait, after};
use super::job::File;
use super::sectors::Sector;
use super::{Action, Agent, Link, Outcome, Plane, Publication, Request, Stage, State, Subscription};
use crate::boot::{Request as SwapRequest, Revert};
use crate::geometry::ImageLayout;
use crate::policy::Question;
use crate::slot::FlashError;
use crate::status::Reason;
use crate::trailer::Pending;

/// Bytes hashed by one action: short enough for a watchdog and for the application's words.
pub(super) const HASH_SIZE: u32 = 16 * 1024;
/// Changes of state without an action one step may make; more would be a bug, and ends in a short pause.
const MAX_TURNS: u32 = 16;
/// Attempts to reach the cloud before policy is asked about activating offline.
const OFFLINE_TRIES: u8 = 3;

/// One look at what is known.
pub(super) enum Next {
    /// An action is outstanding now.
    Act,
    /// The state changed: look again.
    Again,
    /// Nothing to do here.
    Nothing,
}

impl<'a> Agent<'a> {
    pub(super) fn plan(&mut self) {
        for _ in 0..MAX_TURNS {
            match self.look() {
                Next::Act => return,
                Next::Again | Next::Nothing => {}
            }
        }
        self.pause(1000);
    }

    #[inline(never)]
    fn look(&mut self) -> Next {
        if self.record_due && !matches!(self.state, State::Booting { .. } | State::Stopped) {
            self.record_due = false;
            self.in_vain(0);
            self.fetch.unrecorded = 0;
            return self.act(Action::Record);
        }
        match self.plan_state() {
            Next::Nothing => self.plan_link(),
            next => next,
        }
    }

    pub(super) fn act(&mut self, action: Action) -> Next {
        self.doing = action;
        Next::Act
    }

    /// Waits for a message.
    pub(super) fn receive(&mut self, until: i32) -> Next {
        self.act(Action::Receive { until_ms: self.clock.time(until) })
    }

    /// Waits, offline.
    pub(super) fn pause(&mut self, until: i32) -> Next {
        self.act(Action::Pause { until_ms: self.clock.time(until) })
    }

    fn consult(&mut self, question: Question) -> Next {
        self.act(Action::Consult(question))
    }

    /// The block in hand goes to flash, part by part.
    #[inline]
    fn plan_hand(&mut self) -> Next {
        let Some(hand) = &self.hand else { return Next::Nothing };
        if self.cleared && self.fetch.is_open(hand.at + hand.done, hand.at + hand.len) {
            let image = self.job.file(self.fetch.file).image;
            debug_assert!(self.is_in_one_sector(hand));
            return self.act(Action::Write(self.part_to(hand, image, hand.len)));
        }
        self.plan_sector()
    }

    /// The sector that the block in hand goes to, and the part of the block that does.
    #[inline(never)]
    fn plan_sector(&mut self) -> Next {
        let Some(hand) = self.hand else { return Next::Nothing };
        match self.plan_bundle(&hand) {
            Next::Nothing => {}
            next => return next,
        }
        let image = self.job.file(self.fetch.file).image;
        let Some(layout) = self.layout(image) else { return Next::Nothing };
        if !self.cleared {
            if let Some(sector) = self.sector_to_clear(layout) {
                return self.act(Action::Erase { image, sector });
            }
            self.slot_cleared(image, layout);
        }
        let (sector, part) = self.part(&hand, image, layout);
        match self.fetch.sector(sector) {
            Sector::Closed if layout.secondary().rewrite() => {
                self.fetch.put_sector(sector, Sector::Open);
                Next::Again
            }
            Sector::Closed => self.act(Action::Erase { image, sector }),
            Sector::Shared | Sector::Untrusted if !hand.blank => self.act(Action::Compare(part)),
            Sector::Shared | Sector::Untrusted => self.act(Action::Write(part)),
            Sector::Open => {
                self.fetch.keep_open(sector, layout);
                self.act(Action::Write(part))
            }
        }
    }

    pub(super) fn slot_cleared(&mut self, image: u8, layout: &ImageLayout) {
        self.cleared = true;
        // Whatever an old trailer asked for went with it, unless it shares its sector with blocks that are held.
        if layout.trailer_sectors().all(|sector| self.fetch.sector(sector) == Sector::Open) {
            self.set_request(image, SwapRequest::None);
        }
    }

    /// What the state can do without the network.
    fn plan_state(&mut self) -> Next {
        if let Some(question) = self.question {
            return self.consult(question);
        }
        match self.state {
            State::Downloading if self.hand.is_some() => self.plan_hand(),
            State::Booting { inspected } if usize::from(inspected) < self.config.images.len() => {
                self.act(Action::Inspect { image: inspected })
            }
            State::Booting { .. } => self.act(Action::Load),
            State::Custom => self.consult(Question::Custom),
            State::Offered if self.clock.is_due(Wait::State) && self.job.loaded => self.plan_offer(),
            State::Verifying => self.plan_verify(),
            State::Verified if self.clock.is_due(Wait::State) && self.is_offline() => {
                self.consult(Question::ActivateOffline)
            }
            State::Ready if self.clock.is_due(Wait::State) => self.consult(Question::Activate),
            State::Activating { file } => self.plan_activate(file),
            // One last look for a cancel, no longer than an answer may take.
            State::Pending => {
                let looking = matches!(self.link, Link::Up { jobs: true, .. })
                    && (self.clock.is_due(Wait::Check)
                        || self.call.waits && matches!(self.call.request, Some(Request::Held { .. })));
                if !self.clock.is_due(Wait::State) && looking {
                    return Next::Nothing;
                }
                self.state = State::Resetting;
                self.record_due = false;
                Next::Again
            }
            State::Withdrawing { image, .. } => self.act(Action::Withdraw { image }),
            State::Testing { .. } if self.clock.is_due(Wait::Test) => {
                self.test_failed();
                Next::Again
            }
            State::Confirming { image } => self.act(Action::Confirm { image }),
            State::Idle
            | State::Offered
            | State::Judging
            | State::Downloading
            | State::Verified
            | State::Ready
            | State::Testing { .. }
            | State::Confirmed { .. }
            | State::Failed { .. } => Next::Nothing,
            State::Resetting => self.act(Action::Finish(Outcome::Reset)),
            State::Stopped => self.act(Action::Finish(Outcome::Stopped)),
        }
    }

    /// A job is held and its document is here.
    fn plan_offer(&mut self) -> Next {
        // The secondary slot may be somebody's only way back.
        if self.revert() == Revert::Yes {
            return Next::Nothing;
        }
        if self.has_worn() {
            // The device starts over and over.
            self.fail_with(Reason::FlashFailed, FlashError::Unfinished as u32);
            return Next::Again;
        }
        if self.job.digest == self.bad_job {
            return self.consult(Question::RevertedBefore);
        }
        self.consult(Question::Start)
    }

    /// Flash holds the whole file: hash what is not hashed yet, then verify.
    fn plan_verify(&mut self) -> Next {
        let &File { image, size, .. } = self.file_in_hand();
        if self.fetch.hashed < size {
            return self.hash(image, size);
        }
        self.act(Action::Verify { image, file: self.fetch.file, size })
    }

    #[inline(never)]
    pub(super) fn hash(&mut self, image: u8, end: u32) -> Next {
        if self.job.bundle.is_open() {
            return self.hash_bundle(end);
        }
        let from = self.fetch.hashed;
        let to = from + (end - from).min(HASH_SIZE);
        self.act(Action::Hash { image, from, to })
    }

    fn plan_activate(&mut self, file: u8) -> Next {
        let image = self.job.file(file).image;
        if self.holds_token() {
            return self.act(Action::SetPending { image, pending: Pending::Test });
        }
        // The token was lost with an action: hash and verify again.
        if self.reopen_bundle(image, 0..0) {
            return Next::Again;
        }
        self.complete = self.job.file_count;
        self.stage = Stage::Ready;
        self.next_file();
        Next::Again
    }

    fn is_offline(&self) -> bool {
        let link_is = match self.link {
            Link::Down => self.link_tries >= OFFLINE_TRIES,
            Link::Up { .. } | Link::Aside { .. } => false,
            Link::Suspended { .. } => true,
        };
        link_is || self.call.tries >= OFFLINE_TRIES
    }

    /// The link, and what goes over it.
    fn plan_link(&mut self) -> Next {
        match self.link {
            Link::Suspended { closed: false } => self.act(Action::Disconnect),
            Link::Suspended { closed: true } => self.pause(self.local_deadline()),
            Link::Down if !self.clock.is_due(Wait::Link) => {
                self.pause(self.local_deadline().min(self.clock.at(Wait::Link)))
            }
            Link::Down => self.act(Action::Connect),
            Link::Up { jobs: false, .. } => self.act(Action::Subscribe(Subscription::Jobs)),
            Link::Up { stream, .. } => self.plan_online(stream),
            Link::Aside { closed: false, .. } => self.act(Action::Disconnect),
            Link::Aside { closed: true } => self.plan_aside(),
        }
    }

    fn plan_online(&mut self, stream: bool) -> Next {
        match self.plan_beside_blocks(stream) {
            Next::Nothing => {}
            next => return next,
        }
        self.clock.set(Wait::Quiet, self.call_at());
        self.plan_waiting()
    }

    /// What goes over the link before blocks are waited for.
    fn plan_beside_blocks(&mut self, stream: bool) -> Next {
        match self.plan_unwanted() {
            Next::Nothing => {}
            next => return next,
        }
        match self.plan_jobs() {
            Next::Nothing => {}
            next => return next,
        }
        if self.state.is_fetching() {
            if !stream && self.planes.current == Plane::Mqtt {
                return self.act(Action::Subscribe(Subscription::Stream));
            }
            if self.put_aside() {
                return Next::Again;
            }
        }
        Next::Nothing
    }

    /// Blocks are asked for and waited for.
    fn plan_waiting(&mut self) -> Next {
        if self.state.is_fetching() {
            if !self.has_one_session() {
                match self.plan_fetch() {
                    Next::Nothing => {}
                    next => return next,
                }
            }
            if self.progress_due && self.call.request.is_none() {
                return self.act(Action::Publish(Publication::Progress));
            }
        }
        self.receive(self.deadline())
    }

    /// The next moment something is due without the network.
    #[inline(never)]
    pub(super) fn local_deadline(&self) -> i32 {
        let poll = after(self.config.timing.poll_ms);
        let at = self.state.waits().map_or(0, |wait| self.clock.at(wait));
        if at > 0 { at.min(poll) } else { poll }
    }

    /// The next moment something is due.
    fn deadline(&self) -> i32 {
        let mut until = self.local_deadline();
        // The report's own answer tells whether the job is still there.
        if self.call.request.is_some()
            || !matches!(self.state, State::Confirmed { .. } | State::Failed { .. })
        {
            until = until.min(self.call_at());
        }
        if self.state.is_fetching() {
            until = self.deadline_of_blocks(until);
        }
        until.max(1)
    }

    /// The next moment something is due while blocks are waited for, if nothing else is before `until`.
    fn deadline_of_blocks(&self, mut until: i32) -> i32 {
        if self.fetch.under_way() > 0 || self.planes.is_open() {
            until = until.min(self.clock.at(Wait::Blocks));
        }
        if self.fetch.under_way() <= self.few() && self.clock.at(Wait::Pace) > 0 {
            until = until.min(self.clock.at(Wait::Pace));
        }
        until
    }
}
