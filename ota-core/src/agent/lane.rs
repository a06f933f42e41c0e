//! The lane of nearly every block: from the message to the part to write, and from there back to receiving, without what a
//! step goes through for anything else.
//!
//! It decides nothing of its own. What it takes the general way would have taken with the same outcome, and whatever it
//! does not recognise at once is left to that way untouched.

use super::{Action, Agent, Hand, Message, State};
use crate::transport::Received;
use crate::wire::stream::{block_as_expected, block_as_sent};
use crate::wire::topic::stream_of;

impl Agent<'_> {
    /// Takes `received` if it is the first missing block of the held job's file, written as the service writes it, and its
    /// sector is ready for all of it: answers the block's payload, and its [`Action::Write`] is outstanding, as the general
    /// way through [`decode`](crate::driver::decode) and [`step`](Self::step) would have it.
    ///
    /// # Errors
    /// Nothing has changed, and the message goes the general way: to [`step`](Self::step) at once where it was decoded here,
    /// as [`decode`](crate::driver::decode) would have.
    // It lives on the stack until the step; a box is what this library does not have.
    #[allow(clippy::result_large_err)]
    pub fn take_block<'m>(
        &mut self,
        now_ms: u64,
        received: &Received<'m>,
    ) -> Result<&'m [u8], Option<Message<'m>>> {
        let (Some(Action::Receive { .. }), State::Downloading { file }) = (&self.doing, self.state) else {
            return Err(None);
        };
        // Blocks of a bundle may have to be hashed from the hand.
        if self.record_due || !self.cleared || self.job.bundle.is_open() {
            return Err(None);
        }
        let topic = self.arena.get(self.job.block_topic);
        if topic.is_empty() || received.topic.as_bytes() != topic {
            return Err(None);
        }
        // Where the block goes is known from the front. Were it taken from the message, the copy into flash would wait for
        // the message's first bytes to come from memory.
        let front = self.fetch.front;
        let (from, to) = self.fetch.block_range(front);
        let file = self.job.files.get(usize::from(file)).ok_or(None)?;
        let data = match block_as_expected(received.payload, file.id, front, to - from) {
            Some(data) if self.fetch.was_asked(front) && self.fetch.is_open(from, to) => data,
            _other => return Err(self.another_block(received)),
        };
        // The front is the first missing block, and beyond the last one none was asked for.
        debug_assert!(self.fetch.is_missing(front));
        let hand = Hand { at: from, len: to - from, done: 0, blank: false };
        let part = self.part_to(&hand, file.image, hand.len);
        self.accept(now_ms, front);
        self.hand = Some(hand);
        self.doing = Some(Action::Write(part));
        Ok(data)
    }

    /// A block of the held job's stream that is not the one waited for, or must wait for its sector.
    #[inline(never)]
    fn another_block<'m>(&self, received: &Received<'m>) -> Option<Message<'m>> {
        let (file_id, block_id, data) = block_as_sent(received.payload)?;
        let stream = stream_of(received.topic, self.config.thing_name);
        Some(Message::Block { stream, file_id, block_id, data })
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
