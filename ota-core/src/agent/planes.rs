//! Two ways blocks come, one bitmap: which plane is used, the plane over HTTP, and falling over.
//!
//! Over HTTP there is no window. One range asks for the longest missing run from the front, its blocks arrive in order,
//! and the server waits while flash is busy (TCP sees to that).

use super::clock::{Wait, after};
use super::plan::Next;
use super::{Action, Agent, Link, Plane, RangeRequest, State};
use crate::bytes::unit_count;
use crate::policy::Drop;
use crate::status::Reason;
use crate::transport::RangeError;

/// New URLs in a row that brought no block.
const MAX_REFRESHES: u8 = 3;
/// Requests in a row without a block before a plane is left for another one. With the pauses of the default timing that is
/// half a minute; for the last plane there is `useless_max`, since nothing comes after it but the end of the job.
const FALL_OVER_AFTER: u8 = 4;
/// Times a file is started over because the object changed.
const MAX_RESTARTS: u8 = 2;
/// Longest pause a server may ask for.
const MAX_BUSY_MS: u32 = 120_000;

/// The planes of the held job.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    /// The one in use.
    pub(super) current: Plane,
    /// Why the other one is not, where it was given up.
    lost: Option<Reason>,
    /// The range, and while it is open the block that comes next and the first that is not asked for.
    range: Range,
    next: u32,
    end: u32,
    /// New URLs in a row without a block.
    refreshes: u8,
    /// A new URL has to be asked for.
    pub(super) stale: bool,
    restarts: u8,
}

/// The range over HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Range {
    /// None is open.
    Closed,
    /// Open, or being opened.
    Open,
    /// The driver has it open and the agent does not want it any more.
    Unwanted,
}

impl Planes {
    pub(super) const fn new() -> Self {
        Self {
            current: Plane::Mqtt,
            lost: None,
            range: Range::Closed,
            next: 0,
            end: 0,
            refreshes: 0,
            stale: false,
            restarts: 0,
        }
    }
}

impl Planes {
    /// A range is open.
    pub(super) fn is_open(&self) -> bool {
        self.range == Range::Open
    }
}

impl Agent<'_> {
    /// Starts a job on the preferred plane that it offers.
    pub(super) fn choose_plane(&mut self) {
        let preferred = self.config.planes.iter().find(|plane| self.job.offers(**plane));
        self.planes = Planes { current: preferred.copied().unwrap_or(Plane::Mqtt), ..Planes::new() };
    }

    /// The plane in use has given up: the next one goes on, or the job fails.
    #[inline(never)]
    pub(super) fn plane_lost(&mut self, reason: Reason, detail: u32) {
        self.close_range();
        self.fetch.forget_requests();
        let (mqtt, http) = match (self.other_plane(), self.planes.lost, self.planes.current) {
            (Some(other), _, _) => {
                (self.planes.current, self.planes.lost) = (other, Some(reason));
                self.fetch.useless = 0;
                self.clock.set(Wait::Pace, 0);
                return;
            }
            (None, None, _) => return self.fail_with(reason, detail),
            (None, Some(before), Plane::Mqtt) => (reason, before),
            (None, Some(before), Plane::Http) => (before, reason),
        };
        self.fail_with(Reason::NoPlane, u32::from(mqtt.number()) << 8 | u32::from(http.number()));
    }

    /// The plane not in use, if configuration and job agree on it and it is not given up.
    #[inline(never)]
    fn other_plane(&self) -> Option<Plane> {
        let other = match self.planes.current {
            Plane::Mqtt => Plane::Http,
            Plane::Http => Plane::Mqtt,
        };
        let left = self.planes.lost.is_none() && self.job.offers(other);
        left.then_some(other)
    }

    /// Requests in a row without a block before the plane in use is given up: few while another one is left.
    #[inline(never)]
    pub(super) fn useless_max(&self) -> u8 {
        let most = self.config.useless_max.max(1);
        if self.other_plane().is_some() { most.min(FALL_OVER_AFTER) } else { most }
    }

    /// The open range, if any, is of no use any more.
    pub(super) fn close_range(&mut self) {
        if self.planes.range != Range::Closed {
            self.planes.range = Range::Unwanted;
        }
    }

    /// The driver has closed it, or lost it with the link.
    pub(super) fn range_closed(&mut self) {
        self.planes.range = Range::Closed;
    }

    /// What is to be done about a range whatever the state is.
    pub(super) fn plan_unwanted(&mut self) -> Next {
        let fetching = self.state.is_fetching();
        match self.planes.range {
            Range::Unwanted => self.act(Action::CloseRange),
            Range::Open if !fetching => self.act(Action::CloseRange),
            Range::Open | Range::Closed => Next::Nothing,
        }
    }

    /// No range may be open beside the link.
    pub(super) fn has_one_session(&self) -> bool {
        self.planes.current == Plane::Http && self.config.one_session_ms.is_some()
    }

    /// With memory for one session only, the link makes room for a range once Jobs has been heard. True when it does.
    pub(super) fn put_aside(&mut self) -> bool {
        let Some(ms) = self.config.one_session_ms else { return false };
        if !self.has_one_session() || self.planes.stale || self.progress_due || self.call.request.is_some() {
            return false;
        }
        self.clock.set(Wait::Link, after(ms));
        (self.link, self.link_tries) = (Link::Aside { closed: false }, 0);
        true
    }

    /// The link is put aside: blocks of a range, then back to the link.
    pub(super) fn plan_aside(&mut self) -> Next {
        let is_over = !self.state.is_fetching() || self.clock.is_due(Wait::Link) || self.planes.stale;
        if is_over {
            self.close_range();
        }
        match self.plan_unwanted() {
            Next::Nothing => {}
            next => return next,
        }
        if is_over {
            self.connect_now();
            return Next::Again;
        }
        let until = self.clock.at(Wait::Link);
        match self.plan_fetch() {
            Next::Nothing if self.planes.is_open() => {
                self.receive(until.min(self.clock.at(Wait::Blocks)).max(1))
            }
            Next::Nothing => self.pause(until.min(self.clock.at(Wait::Pace).max(1))),
            next => next,
        }
    }

    /// The next range, when none is open.
    pub(super) fn plan_range(&mut self) -> Next {
        let Range::Closed = self.planes.range else {
            if self.is_late(Wait::Blocks, self.config.timing.request_ms) {
                self.close_range();
                self.range_lost(RangeError::Lost);
                return Next::Again;
            }
            return Next::Nothing;
        };
        if !self.clock.is_due(Wait::Pace) || self.planes.stale {
            return Next::Nothing;
        }
        let blocks = unit_count(self.config.range_size, self.config.block_size);
        let most = match self.state {
            // What else is missing of a bundle is known when its head is here.
            State::Judging if self.resume.as_ref().is_some_and(|resume| resume.bundle) => 1,
            _other if blocks == 0 => u32::MAX,
            _other => blocks,
        };
        let run = self.fetch.missing_run(most);
        if run.is_empty() {
            return Next::Nothing;
        }
        let (from, _) = self.fetch.block_range(run.start);
        let (_, to) = self.fetch.block_range(run.end - 1);
        (self.planes.range, self.planes.next, self.planes.end) = (Range::Open, run.start, run.end);
        self.fetch.expect(run);
        self.clock.set(Wait::Blocks, after(self.config.timing.request_ms));
        self.statistics.ranges += 1;
        let request = RangeRequest { file: self.fetch.file, from, to, size: self.fetch.size };
        self.act(Action::OpenRange(request))
    }

    /// A block of the open range arrived, in order.
    pub(super) fn range_block(&mut self, data: &[u8]) {
        if !self.planes.is_open() {
            return self.drop_message(Drop::Late);
        }
        let next = self.planes.next;
        self.planes.next = next + 1;
        if self.planes.next >= self.planes.end {
            self.planes.range = Range::Closed;
        }
        self.planes.refreshes = 0;
        let received = self.statistics.blocks_received;
        self.block(None, 0, next, data);
        let accepted = self.statistics.blocks_received.wrapping_sub(received);
        self.statistics.range_blocks = self.statistics.range_blocks.wrapping_add(accepted);
        self.clock.set(Wait::Blocks, after(self.config.timing.request_ms));
    }

    /// The open range came to nothing. The driver has closed it.
    pub(super) fn range_failed(&mut self, error: RangeError) {
        if self.planes.range == Range::Closed {
            return self.drop_message(Drop::Late);
        }
        self.planes.range = Range::Closed;
        self.range_lost(error);
    }

    #[inline(never)]
    fn range_lost(&mut self, error: RangeError) {
        let reason = match error {
            RangeError::Lost => return self.range_useless(!self.fetch.alive, 0),
            RangeError::Busy { after_ms } => return self.range_useless(true, after_ms.min(MAX_BUSY_MS)),
            RangeError::Expired => {
                self.planes.refreshes += 1;
                if self.planes.refreshes <= MAX_REFRESHES {
                    self.planes.stale = true;
                    self.clock.set(Wait::Check, 0);
                    return self.range_useless(false, 0);
                }
                Reason::UrlExpired
            }
            RangeError::Changed => {
                self.planes.restarts += 1;
                if self.planes.restarts <= MAX_RESTARTS {
                    return self.start_over();
                }
                Reason::ObjectChanged
            }
            RangeError::NotFound => Reason::ObjectNotFound,
            RangeError::Refused => Reason::HttpFailed,
            RangeError::Untrusted => Reason::ServerUntrusted,
        };
        self.plane_lost(reason, 0);
    }

    /// The range brought nothing, or not all: another one after a growing pause, not before `after_ms`. Too many that count
    /// in a row are the end of this plane.
    #[inline(never)]
    fn range_useless(&mut self, counts: bool, after_ms: u32) {
        self.fetch.useless += u8::from(counts);
        if self.fetch.useless >= self.useless_max() {
            return self.plane_lost(Reason::HttpFailed, 0);
        }
        self.fetch.alive = false;
        let at = self.retry_at(self.fetch.useless).max(after(after_ms));
        self.clock.set(Wait::Pace, at);
    }

    /// The object is another one: nothing held of the file counts.
    fn start_over(&mut self) {
        self.hand = None;
        self.job.close_bundle();
        self.fetch.start(self.fetch.file, self.fetch.size);
        self.cleared = false;
        self.record_due = true;
        self.clock.set(Wait::Pace, 0);
        self.state = State::Judging;
    }

    /// The document came again: its URLs are new.
    pub(super) fn refresh_urls(&mut self, document: &crate::wire::OtaDocument<'_>) {
        if !self.planes.stale {
            return;
        }
        self.planes.stale = false;
        self.withheld = 0;
        self.statistics.url_refreshes += 1;
        match self.job.load_urls(&mut self.arena, document) {
            Ok(()) => self.clock.set(Wait::Pace, 0),
            Err(_) => self.plane_lost(Reason::UrlExpired, 0),
        }
    }
}
