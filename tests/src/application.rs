//! The application beside the agent: it consents, tests the new image, and is watched by the director.

use std::cell::RefCell;
use std::ops::Range;

use ota_core::agent::{StateKind, Statistics};
use ota_core::command::Command;
use ota_core::policy::{Answer, Drop, Observer, Policy, Question};
use ota_core::status::Ended;
use ota_sim::Version;

use crate::board::Wear;
use crate::director::Director;
use crate::scenario::SelfTest;

/// What was seen over all boots.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) boots: u32,
    pub(crate) resets: u32,
    /// Version of each image, at each boot.
    pub(crate) booted: Vec<Vec<Option<Version>>>,
    pub(crate) states: Vec<StateKind>,
    /// Operations before each of them.
    pub(crate) entered_at: Vec<u32>,
    /// Operations of the bootloader at each boot.
    pub(crate) bootloader: Vec<Range<u32>>,
    pub(crate) ended: Vec<Ended>,
    pub(crate) dropped: Vec<Drop>,
    pub(crate) statistics: Statistics,
    /// At the first reset the agent asked for.
    pub(crate) wear: Option<Wear>,
    /// Blocks that journal records promised, each of which flash held.
    pub(crate) promised: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, more: &Statistics) {
        let sum = &mut self.statistics;
        sum.block_requests += more.block_requests;
        sum.ranges += more.ranges;
        sum.url_refreshes += more.url_refreshes;
        sum.blocks_received += more.blocks_received;
        sum.duplicates += more.duplicates;
        sum.dropped += more.dropped;
        sum.last_drop = more.last_drop.or(sum.last_drop);
        sum.resumed_blocks += more.resumed_blocks;
        sum.sectors_given_up += more.sectors_given_up;
        sum.records += more.records;
        sum.unexpected += more.unexpected;
    }
}

pub(crate) struct Consent {
    pub(crate) permissive: bool,
}

impl Policy for Consent {
    fn consult(&mut self, question: &Question) -> Answer {
        match question {
            Question::Start | Question::Erase | Question::Activate | Question::JobGoneInTest => Answer::Yes,
            _asked if self.permissive => Answer::Yes,
            _asked => Answer::No,
        }
    }
}

pub(crate) struct Application<'t> {
    pub(crate) director: &'t Director<'t>,
    pub(crate) tally: &'t RefCell<Tally>,
    pub(crate) self_test: SelfTest,
    /// What was done to the secondary slot so far.
    pub(crate) wear: &'t dyn Fn() -> Wear,
}

impl Observer for Application<'_> {
    fn state(&mut self, _: StateKind, to: StateKind) {
        if crate::is_tracing() {
            eprintln!("  state {to:?}");
        }
        let mut tally = self.tally.borrow_mut();
        tally.states.push(to);
        tally.entered_at.push(self.director.cloud.supply.operations());
        drop(tally);
        self.director.entered(to);
        if to == StateKind::Testing {
            match self.self_test {
                SelfTest::Pass => self.director.commands.say(Command::SelfTestPassed),
                SelfTest::Fail => self.director.commands.say(Command::SelfTestFailed),
                SelfTest::Hang => {}
            }
        }
    }

    fn progress(&mut self, held: u32, _: u32) {
        self.director.held(held);
    }

    fn dropped(&mut self, why: Drop, _: u32) {
        self.tally.borrow_mut().dropped.push(why);
    }

    fn ended(&mut self, how: Ended) {
        self.tally.borrow_mut().ended.push(how);
    }

    fn about_to_reset(&mut self) {
        self.tally.borrow_mut().wear.get_or_insert_with(self.wear);
    }
}
