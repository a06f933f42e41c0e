//! Blocks are asked for, and what can be done while they travel is done.

use super::clock::Wait;
use super::plan::Next;
use super::{Action, Agent, Plane, Publication, State};
use crate::geometry::ImageLayout;
use crate::status::Reason;

impl<'a> Agent<'a> {
    /// Requests for blocks, sectors erased ahead, hashing while waiting.
    #[inline(never)]
    pub(super) fn plan_fetch(&mut self) -> Next {
        let Some(layout) = self.layout_in_hand() else { return Next::Nothing };
        let asked = match self.planes.current {
            Plane::Mqtt => self.plan_blocks(layout),
            Plane::Http => self.plan_range(),
        };
        match asked {
            // While blocks travel.
            Next::Nothing if matches!(self.state, State::Downloading) => self.plan_ahead(layout),
            next => next,
        }
    }

    /// Erases where the blocks under way will land, then lets the digest catch up.
    fn plan_ahead(&mut self, layout: &'a ImageLayout) -> Next {
        let image = self.image_in_hand();
        if self.cleared
            && !self.is_slow(layout)
            && !layout.secondary().rewrite()
            && let Some(sector) = self.fetch.closed_ahead(layout)
        {
            return self.act(Action::Erase { image, sector });
        }
        let front = self.fetch.front_bytes();
        if self.fetch.hashed < front {
            return self.hash(image, front);
        }
        Next::Nothing
    }

    /// The slot's erases take longer than the receive path can absorb: they are done first, with nothing under way.
    fn is_slow(&self, layout: &ImageLayout) -> bool {
        layout.secondary().erase_ms() > self.config.absorb_ms
    }

    /// Requests for blocks over MQTT.
    fn plan_blocks(&mut self, layout: &'a ImageLayout) -> Next {
        let under_way = self.fetch.under_way();
        if under_way > 0 && self.is_late(Wait::Blocks, self.config.timing.block_ms) {
            return self.blocks_overdue();
        }
        let few = self.few();
        let all_asked = u32::from(under_way) >= self.fetch.missing_count;
        if under_way > few || all_asked || !self.clock.is_due(Wait::Pace) {
            self.fetch.calm = self.calm(under_way.saturating_sub(few));
            return Next::Nothing;
        }
        // Only the first block can be judged: nothing else is asked for before it is here.
        let judging = matches!(self.state, State::Judging);
        let (window, slow) = if judging { (1, false) } else { (self.fetch.window, self.is_slow(layout)) };
        let wanted = u32::from((window - under_way).min(self.config.request_max()));
        let file = self.file_in_hand();
        let (file_id, image) = (file.id, file.image);
        if !self.fetch.next_request(file_id, wanted) {
            return Next::Nothing;
        }
        if slow {
            if !self.cleared {
                if let Some(sector) = self.sector_to_clear(layout) {
                    return self.act(Action::Erase { image, sector });
                }
                self.slot_cleared(image, layout);
            }
            if let Some(sector) = self.fetch.closed_sector(layout) {
                return self.act(Action::Erase { image, sector });
            }
        }
        self.act(Action::Publish(Publication::Blocks))
    }

    /// With no more blocks than this under way the next ones are asked for.
    pub(super) fn few(&self) -> u16 {
        match (self.state, self.layout_in_hand()) {
            (State::Downloading, Some(layout)) if !self.is_slow(layout) => self.fetch.window / 2,
            (_, _) => 0,
        }
    }

    /// How many of the next `most` blocks may be held one after the other with nothing due but to wait for the next.
    fn calm(&self, most: u16) -> u16 {
        let record = self.config.record_blocks.max(1).saturating_sub(self.fetch.unrecorded);
        let progress = self.until_progress();
        let next = u32::from(most.min(record)).min(progress).min(self.fetch.missing_count);
        next.saturating_sub(1) as u16
    }

    /// What is under way did not come.
    fn blocks_overdue(&mut self) -> Next {
        if !self.fetch.alive {
            self.blocks_useless();
        }
        self.fetch.forget_requests();
        self.fetch.shrink();
        Next::Again
    }

    /// A request for blocks brought nothing: again after a growing pause, until that is too much.
    #[inline(never)]
    pub(super) fn blocks_useless(&mut self) {
        let tries = self.fetch.useless;
        self.fetch.useless = tries.saturating_add(1);
        if self.fetch.useless >= self.useless_max() {
            return self.plane_lost(Reason::NoBlocks, 0);
        }
        // The job may have been canceled and its stream deleted, or the link be half dead.
        self.clock.set(Wait::Check, 0);
        let at = self.retry_at(tries);
        self.clock.set(Wait::Pace, at);
    }
}
