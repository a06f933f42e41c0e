//! Flash wears out: what was done to it in vain is counted, and is not done for ever.
//!
//! Whatever makes the agent do work on flash again (a driver that is dropped, power that fails, a part that fails) costs
//! points. They are forgotten when flash holds more of the job than ever before, and by nothing less: an erase that comes to
//! its end between two writes that do not is no gain, and neither are blocks that are lost again with their sector. Up to the
//! swap points and the most that was held are kept in the journal too, so that a device does not start over for ever.

use super::Agent;
use crate::journal::Record;

/// So many points without a gain are too many.
const MAX: u8 = 32;
/// A point: the driver was dropped in the middle of it, what it left has to be given up, or the device was started again.
pub(super) const AGAIN: u8 = 1;
/// It failed: the third time in a row is the last.
pub(super) const FAILED: u8 = MAX.div_ceil(3);
/// In a record's detail: where the number of the file stands, above the count of its blocks.
const FILE_AT: u32 = 24;
/// The points, above what was reached.
const POINTS_AT: u32 = 26;
/// The primary shows an earlier revert.
pub(super) const REVERTED_BEFORE: u32 = 1 << 31;

/// What a journal record tells of wear (SPEC.md, section 10), for tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wear {
    /// Points of work on flash in vain since the most was held: 32 end the job.
    pub points: u32,
    /// The most blocks of the file that were held.
    pub most_blocks: u32,
    /// Which file of the job.
    pub file_index: u32,
    /// The primary showed a revert before this job's swap.
    pub reverted_before: bool,
}

impl Wear {
    /// Of a record by which no status is owed; where one is, the detail is the reason's.
    pub fn of(record: &Record) -> Option<Self> {
        let detail = record.detail();
        (record.status() == 0).then_some(Self {
            points: (detail & !REVERTED_BEFORE) >> POINTS_AT,
            most_blocks: detail & ((1 << FILE_AT) - 1),
            file_index: (detail & ((1 << POINTS_AT) - 1)) >> FILE_AT,
            reverted_before: detail & REVERTED_BEFORE != 0,
        })
    }
}

impl Agent<'_> {
    /// What was done to flash was in vain; unless flash holds more of the job than ever before, for then nothing was. True when
    /// that happened too often.
    #[inline(never)]
    pub(super) fn in_vain(&mut self, points: u8) -> bool {
        let reaches = self.reaches();
        if reaches > self.reached {
            (self.reached, self.vain) = (reaches, 0);
        }
        self.vain = self.vain.saturating_add(points);
        self.has_worn()
    }

    /// Too much was in vain.
    pub(super) fn has_worn(&self) -> bool {
        self.vain >= MAX
    }

    /// How far the job has come: the file and how many of its blocks flash holds. 2^24 blocks do not fit a slot.
    pub(super) fn reaches(&self) -> u32 {
        let fetch = &self.fetch;
        if fetch.begun { u32::from(fetch.file) << FILE_AT | fetch.held_count() } else { 0 }
    }

    /// What the journal keeps of it; bit 31 is not used.
    pub(super) fn wear(&self) -> u32 {
        self.reached | u32::from(self.vain.min(MAX - 1)) << POINTS_AT
    }

    /// Takes over what the journal kept.
    pub(super) fn restore_wear(&mut self, wear: u32) {
        self.reached = wear & ((1 << POINTS_AT) - 1);
        // The start that asks for it is one more.
        self.vain = (wear >> POINTS_AT) as u8 % MAX + AGAIN;
    }
}
