//! The lane of nearly every block: from the message to the part to write, and from there back to receiving, without what a
//! step goes through for anything else.
//!
//! It decides nothing of its own. What it takes the general way would have taken with the same outcome, and whatever it
//! does not recognise at once is left to that way untouched.

use super::{Action, Agent, Hand, State};
use crate::transport::Received;
use crate::wire::stream::block_as_expected;

impl Agent<'_> {
    /// Takes `received` if it is the first missing block of the held job's file, written as the service writes it, and its
    /// sector is ready for all of it: answers the block's payload, and its [`Action::Write`] is outstanding. `None`: nothing
    /// has changed, and the message goes the general way, through [`decode`](crate::driver::decode) and
    /// [`step`](Self::step), which comes to the same action for such a block too.
    pub fn take_block<'m>(&mut self, now_ms: u64, received: &Received<'m>) -> Option<&'m [u8]> {
        let (Some(Action::Receive { .. }), State::Downloading { file }) = (&self.doing, self.state) else {
            return None;
        };
        // Blocks of a bundle may have to be hashed from the hand.
        if self.record_due || !self.cleared || self.job.bundle.is_open() {
            return None;
        }
        // Where the block goes is known from the front. Were it taken from the message, the copy into flash would wait for
        // the message's first bytes to come from memory.
        let front = self.fetch.front;
        let (from, to) = self.fetch.block_range(front);
        if !self.fetch.was_asked(front) || !self.fetch.is_open(from, to) {
            return None;
        }
        let file = self.job.files.get(usize::from(file))?;
        let data = block_as_expected(received.payload, file.id, front, to - from)?;
        let topic = self.arena.get(self.job.block_topic);
        if topic.is_empty() || received.topic.as_bytes() != topic {
            return None;
        }
        // The front is the first missing block.
        debug_assert!(self.fetch.is_missing(front));
        let hand = Hand { at: from, len: to - from, done: 0, blank: false };
        let part = self.part_to(&hand, file.image, hand.len);
        self.accept(now_ms, front);
        self.hand = Some(hand);
        self.doing = Some(Action::Write(part));
        Some(data)
    }

    /// A block is in flash, and nothing is due but to wait for the next one: until when. `None`: more may be due.
    #[inline]
    pub(super) fn next_wait(&self, now: u64) -> Option<u64> {
        let fetch = &self.fetch;
        let waits = fetch.under_way() > fetch.enough
            && now < fetch.due
            && fetch.hashed >= fetch.front_bytes()
            && !self.progress_due;
        let poll = now + u64::from(self.config.timing.poll_ms);
        waits.then(|| self.deadline_of_blocks(now, poll.min(self.quiet_until)))
    }
}
