//! What happens to the device from outside, and when: the operator's words, the application's words, the network.

use std::cell::{Cell, RefCell};

use ota_core::agent::StateKind;
use ota_core::command::{Command, Commands};
use ota_sim::aws::{Link, OtaSpec};

use crate::cloud::Cloud;
use crate::scenario::{Drops, JOB, THING};

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At this virtual time, ms.
    At(u64),
    /// When the agent enters this state.
    Entered(StateKind),
    /// When flash holds this many blocks of a file.
    Held(u32),
    /// When everything said so far has come to its end: every execution is over and the device is idle. Several such
    /// events happen one after the other.
    Settled,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// The operator cancels [`JOB`].
    Cancel {
        /// Also when it is in progress.
        force: bool,
    },
    /// The operator deletes [`JOB`].
    Delete,
    /// The operator gives [`JOB`] another execution.
    Retry,
    /// The operator queues the offer of this number (0 is queued at the start).
    Queue(usize),
    /// `notify-next` is pushed once more.
    Redeliver,
    /// The application speaks.
    Say(Command),
    /// The network is gone, or back.
    Plug(bool),
    /// The power fails, with no flash operation under way.
    CutPower,
    /// Anything done to the link or the service.
    Adjust(fn(&mut Link)),
}

/// Something that happens once.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// When.
    pub moment: Moment,
    /// What.
    pub act: Act,
}

impl Event {
    /// An event.
    pub fn new(moment: Moment, act: Act) -> Self {
        Event { moment, act }
    }
}

/// Lets the events happen, and ends the play when nothing is left to happen.
pub(crate) struct Director<'w> {
    pub(crate) cloud: &'w Cloud,
    /// Of the device as it runs now.
    pub(crate) commands: Commands,
    specs: &'w [(String, OtaSpec)],
    ahead: RefCell<Vec<Event>>,
    state: Cell<StateKind>,
    drops: Drops,
    polls_left: Cell<Option<u32>>,
    /// Drops so far.
    dropped: Cell<u32>,
}

impl<'w> Director<'w> {
    pub(crate) fn new(
        cloud: &'w Cloud,
        specs: &'w [(String, OtaSpec)],
        events: &[Event],
        drops: Drops,
    ) -> Self {
        let polls_left = match drops {
            Drops::Never => None,
            Drops::Once(polls) | Drops::Every(polls) | Drops::Always(polls) => Some(polls),
        };
        Director {
            cloud,
            commands: Commands::new(),
            specs,
            ahead: RefCell::new(events.to_vec()),
            state: Cell::new(StateKind::Booting),
            drops,
            polls_left: Cell::new(polls_left),
            dropped: Cell::new(0),
        }
    }

    /// The device boots: nobody has said anything yet.
    pub(crate) fn booting(&self) {
        while self.commands.take().is_some() {}
        self.state.set(StateKind::Booting);
    }

    pub(crate) fn entered(&self, state: StateKind) {
        self.state.set(state);
        self.happen(|moment| moment == Moment::Entered(state));
    }

    pub(crate) fn held(&self, blocks: u32) {
        self.happen(|moment| matches!(moment, Moment::Held(at) if blocks >= at));
    }

    /// One look around between two polls. True when something happened: poll again before time goes on.
    pub(crate) fn turn(&self) -> bool {
        let now = self.cloud.clock.get();
        let acted = self.happen(|moment| matches!(moment, Moment::At(at) if at <= now));
        if acted || !self.is_settled() {
            return acted;
        }
        let next = self.ahead.borrow().iter().position(|event| event.moment == Moment::Settled);
        match next {
            Some(at) => {
                let event = self.ahead.borrow_mut().remove(at);
                self.act(event.act);
            }
            None => {
                // Said once a turn; a second time would find nobody.
                self.state.set(StateKind::Stopped);
                self.commands.say(Command::ShutDown);
            }
        }
        true
    }

    pub(crate) fn next_ms(&self) -> Option<u64> {
        let at = |event: &Event| match event.moment {
            Moment::At(at) => Some(at),
            Moment::Entered(_) | Moment::Held(_) | Moment::Settled => None,
        };
        self.ahead.borrow().iter().filter_map(at).min()
    }

    /// Counts a poll. True: drop the future instead.
    pub(crate) fn is_dropped(&self) -> bool {
        let Some(left) = self.polls_left.get() else { return false };
        if left > 0 {
            self.polls_left.set(Some(left - 1));
            return false;
        }
        self.dropped.set(self.dropped.get().saturating_add(1));
        self.polls_left.set(match self.drops {
            Drops::Never | Drops::Once(_) => None,
            Drops::Every(polls) => Some(polls.saturating_add(self.dropped.get())),
            Drops::Always(polls) => Some(polls),
        });
        true
    }

    /// The drop asked for has not happened.
    pub(crate) fn drop_is_ahead(&self) -> bool {
        matches!(self.drops, Drops::Once(_)) && self.polls_left.get().is_some()
    }

    fn is_settled(&self) -> bool {
        let link = self.cloud.link.borrow();
        self.state.get() == StateKind::Idle
            && self.next_ms().is_none()
            && link.service().executions(THING).iter().all(|execution| execution.status.is_terminal())
    }

    fn happen(&self, due: impl Fn(Moment) -> bool) -> bool {
        let mut happens = Vec::new();
        self.ahead.borrow_mut().retain(|event| {
            let due = due(event.moment);
            if due {
                happens.push(event.act);
            }
            !due
        });
        let any = !happens.is_empty();
        happens.into_iter().for_each(|act| self.act(act));
        any
    }

    fn act(&self, act: Act) {
        let now = self.cloud.clock.get();
        if crate::is_tracing() {
            eprintln!("{now} ! {act:?}");
        }
        let mut link = self.cloud.link.borrow_mut();
        match act {
            Act::Cancel { force } => link.service_mut().cancel(now, JOB, force),
            Act::Delete => link.service_mut().delete(now, JOB),
            Act::Retry => {
                link.service_mut().retry(now, JOB, THING);
            }
            Act::Queue(offer) => {
                let (job, spec) = &self.specs[offer];
                link.service_mut().create_ota_job(now, THING, job, spec);
            }
            Act::Redeliver => link.service_mut().redeliver(now, THING),
            Act::Say(command) => self.commands.say(command),
            Act::Plug(plugged) => {
                self.cloud.unreachable.set(!plugged);
                if !plugged {
                    link.disconnect(now);
                }
            }
            Act::CutPower => self.cloud.supply.power_off(),
            Act::Adjust(adjust) => adjust(&mut link),
        }
    }
}
