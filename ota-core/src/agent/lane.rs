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
        if self.record_due || !self.cleared || self.job.bundle.is_open() {
            return None;
        }
        if !self.is_block_topic(received.topic) {
            return None;
        }
        // Where the block goes is known from the front. Were it taken from the message, the copy into flash would wait for
        // the message's first bytes to come from memory.
        let front = self.fetch.front;
        let (from, to) = self.fetch.block_range(front);
        let file = self.job.files.get(usize::from(self.fetch.file))?;
        let hand = Hand { at: from, len: to - from, done: 0, blank: false };
        let part = self.part_to(&hand, file.image, hand.len);
        let is_due = self.fetch.was_asked(front) && self.fetch.is_open(from, to);
        // Last of all, for the message is not in any cache: what comes before is done while it is fetched.
        let data = match block_as_expected(received.payload, file.id, front, hand.len) {
            Some(data) if is_due => data,
            _other => return None,
        };
        // The front is the first missing block, and beyond the last one none was asked for.
        debug_assert!(self.fetch.is_missing(front));
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

    /// A block is in flash, and nothing is due but to wait for the next one: until when. `None`: more may be due.
    #[inline]
    pub(super) fn next_wait(&self, now: i32) -> Option<i32> {
        let fetch = &self.fetch;
        let waits = fetch.under_way() > fetch.enough
            && now < self.clock.at(Wait::Blocks)
            && fetch.hashed >= fetch.front_bytes()
            && !self.progress_due;
        let poll = now.saturating_add(after(self.config.timing.poll_ms));
        waits.then(|| self.deadline_of_blocks(now, poll.min(self.clock.at(Wait::Quiet))))
    }
}
