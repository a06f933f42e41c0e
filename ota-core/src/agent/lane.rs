//! The lane of nearly every block: from the message to the part to write, and from there back to receiving, without what a
//! step goes through for anything else.
//!
//! It decides nothing of its own. What it takes the general way would have taken with the same outcome, and whatever it
//! does not recognise at once is left to that way untouched.

use super::clock::{Wait, after};
use super::{Action, Agent, Hand, Message, State};
use crate::transport::Received;
use crate::wire::stream::{block_as_expected, block_as_sent};
use crate::wire::topic::stream_of;

impl Agent<'_> {
    /// Takes `received` if it is the first missing block of the held job's file, written as the service writes it, and its
    /// sector is ready for all of it: answers the block's payload, and its [`Action::Write`] is outstanding, as the general
    /// way through [`decode`](crate::driver::decode) and [`step`](Self::step) would have it. `None`: nothing has changed, and
    /// the message goes that way.
    pub fn take_block<'m>(&mut self, now_ms: u64, received: &Received<'m>) -> Option<&'m [u8]> {
        let (Action::Receive { .. }, State::Downloading) = (&self.doing, self.state) else {
            return None;
        };
        // Blocks of a bundle may have to be hashed from the hand.
        if self.job.bundle.is_open() || !self.is_block_topic(received.topic) {
            return None;
        }
        // Where the block goes is known from the front. Were it taken from the message, the copy into flash would wait for
        // the message's first bytes to come from memory.
        let front = self.fetch.front;
        let (from, to) = self.fetch.block_range(front);
        let file = self.job.files.get(usize::from(self.fetch.file))?;
        let hand = Hand { at: from, len: to - from, done: 0, blank: false };
        let part = self.part_to(&hand, file.image, hand.len);
        // An open sector says, too, that the slot was cleared.
        let is_due = self.fetch.was_asked(front) && self.fetch.is_open(from, to);
        // Last of all, for the message is not in any cache: what comes before is done while it is fetched.
        let data = match block_as_expected(received.payload, file.id, front, hand.len) {
            Some(data) if is_due => data,
            _other => return None,
        };
        // The front is the first missing block, and beyond the last one none was asked for.
        debug_assert!(self.fetch.is_missing(front) && self.cleared && self.is_in_one_sector(&hand));
        self.accept(self.clock.since(now_ms), front);
        self.hand = Some(hand);
        self.doing = Action::Write(part);
        Some(data)
    }

    /// A block of the held job's stream, written as the service writes it, that was not [taken](Self::take_block): what
    /// [`decode`](crate::driver::decode) makes of it, sooner.
    pub fn read_block<'m>(&self, received: &Received<'m>) -> Option<Message<'m>> {
        if !self.is_block_topic(received.topic) {
            return None;
        }
        let (file_id, block_id, data) = block_as_sent(received.payload)?;
        let stream = stream_of(received.topic, self.config.thing_name);
        Some(Message::Block { stream, file_id, block_id, data })
    }

    #[inline]
    fn is_block_topic(&self, topic: &str) -> bool {
        let wanted = self.arena.get(self.job.block_topic);
        !wanted.is_empty() && topic.as_bytes() == wanted
    }

    /// The write of a block that was [taken](Self::take_block) is done, and nothing is due but to wait for the next one: it is
    /// held, and an [`Action::Receive`] is outstanding, as [`step`](Self::step) would have it. False: nothing has changed.
    #[inline]
    pub(crate) fn hold_block(&mut self, now_ms: u64) -> bool {
        let fetch = &mut self.fetch;
        // While it is calm no other block comes into the hand, and no part of one.
        let (1.., Action::Write(part)) = (fetch.calm, &self.doing) else { return false };
        let now = self.clock.since(now_ms);
        let until = self.clock.at(Wait::Quiet).min(self.clock.at(Wait::Blocks));
        if now >= until || !part.hash || !fetch.is_missing(fetch.front + 1) {
            return false;
        }
        fetch.calm -= 1;
        fetch.hashed += part.to;
        fetch.hold_front();
        self.hand = None;
        let poll = now.saturating_add(after(self.config.timing.poll_ms));
        self.doing = Action::Receive { until_ms: self.clock.time(until.min(poll)) };
        if cfg!(debug_assertions) {
            self.debug_hold(now_ms);
        }
        true
    }

    /// Debug builds look at everything, which must come to the same. A block that nobody waited for any more leaves more of calm
    /// than the lane counts on.
    fn debug_hold(&mut self, now_ms: u64) {
        let (doing, calm) = (self.doing, self.fetch.calm);
        self.clock.step(now_ms);
        self.waited = false;
        self.plan();
        debug_assert_eq!(self.doing, doing);
        debug_assert!(self.fetch.calm >= calm);
        self.fetch.calm = calm;
    }
}
