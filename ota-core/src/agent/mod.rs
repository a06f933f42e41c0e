//! The agent: the whole protocol as a function of (state, time, input).
//!
//! [`Agent::step`] takes the completion of the action it asked for last and answers with the next one. It does no I/O,
//! knows no clock and waits for nothing, so the [driver](crate::driver), a simulator with virtual time and a blocking
//! super-loop can all drive it.
//!
//! Five small types say what goes on, each answering one question:
//!
//! | Question | Type |
//! |---|---|
//! | Where does the job stand? | [`State`], with the data that state needs |
//! | Which action is outstanding? | [`Action`] |
//! | Is the link to the broker up, and what is subscribed? | `Link` |
//! | Is a request to AWS IoT Jobs waiting for its answer? | `Call` |
//! | What is due, and when is the rest? | `Clock` |
//!
//! A step has two halves. *Absorb* applies the input to these (`absorb.rs`, `jobs.rs`, `words.rs`, `blocks.rs`,
//! `boot.rs`, `activate.rs`). *Plan* looks at them and finds the one thing to do next (`plan.rs`, `call.rs`, `ask.rs`,
//! `planes.rs`); it needs no memory of how they came about. That is why a power cut, a dropped future and a lost link need
//! no code of their own: what they leave behind is looked at like anything else, and planned from.
//!
//! Flash is small. What several places do is a function, and `#[inline(never)]` keeps one copy of it where the compiler
//! would make several, or keeps the way of a block short; where neither was measured there is no attribute. What is not
//! known, not held or not verified is zero, which costs nothing to write.

mod absorb;
mod activate;
mod ask;
mod blocks;
mod boot;
#[cfg(feature = "bundle")]
mod bundle;
#[cfg(not(feature = "bundle"))]
#[path = "no_bundle.rs"]
mod bundle;
mod call;
mod clock;
mod config;
mod encode;
mod ending;
mod fetch;
mod io;
mod job;
mod jobs;
mod lane;
mod plan;
mod planes;
mod record;
mod sectors;
mod state;
mod wear;
mod words;

use crate::boot::{Request as SwapRequest, Revert};
use crate::geometry::ImageLayout;
use crate::policy::{Drop, Question};
use crate::status::Ended;
use crate::verify::{Kept, Verified};
use crate::version::Version;
use crate::wire::topic::stream_of;

use call::Call;
use clock::{Clock, Wait};
pub use config::{
    BLOCK_SIZES, Component, Config, ConfigError, Destination, MAX_DETAILS_SIZE, MAX_REQUEST_SIZE, Memory,
    Plane, Timing,
};
pub use encode::{Filters, MAX_PAYLOAD_SIZE, TopicBuffer};
pub use fetch::BlockRequest;
use fetch::Fetch;
pub use io::{
    Action, Failure, Input, Message, Outcome, Part, Publication, RangeRequest, Report, Request, Subscription,
};
use job::{Arena, Job};
use planes::Planes;
pub use state::{Stage, State, StateKind};
pub use wear::Wear;

/// Images one device may have, and files one job may have.
pub const MAX_IMAGES: usize = 3;

/// No image is meant to boot.
const NO_HASHES: [[u8; 32]; MAX_IMAGES] = [[0; 32]; MAX_IMAGES];
/// Nothing is verified.
const NO_TOKENS: [Option<Kept>; MAX_IMAGES] = [const { None }; MAX_IMAGES];

/// The link to the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    /// The application wants no network.
    Suspended { closed: bool },
    /// Put aside for a range over HTTP, where memory allows one session only; wanted again at [`Wait::Link`].
    Aside { closed: bool },
    /// Down; tried again at [`Wait::Link`].
    Down,
    /// Up; what is subscribed.
    Up { jobs: bool, stream: bool },
}

/// The block in the message in hand, on its way to flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Hand {
    /// Where it goes in the file, and how long it is.
    at: u32,
    len: u32,
    /// Bytes of its payload that flash holds.
    done: u32,
    /// The part that comes next was compared: flash is blank there.
    blank: bool,
}

/// What flash holds of a job, as the journal keeps it.
#[derive(Clone, Copy)]
struct Resume {
    identity: [u8; 32],
    /// The file, as numbered in the job.
    file: u8,
    front: u32,
    window: [u8; 32],
    /// The file is a bundle.
    bundle: bool,
}

impl Resume {
    #[inline(never)]
    fn new(identity: &[u8; 32], file: u8, front: u32, window: &[u8; 32], bundle: bool) -> Self {
        Resume { identity: *identity, file, front, window: *window, bundle }
    }
}

/// What is kept of an [`ImageState`](crate::boot::ImageState).
#[derive(Clone, Copy)]
struct Slots {
    /// The running image's, 0.0.0 where there is none.
    version: Version,
    security_counter: Option<u32>,
    request: SwapRequest,
    revert: Revert,
    unconfirmed: bool,
    reverted: bool,
}

impl Slots {
    /// Not looked at, or flash failed.
    const UNKNOWN: Self = Self {
        version: Version::new(0, 0, 0, 0),
        security_counter: None,
        request: SwapRequest::None,
        revert: Revert::No,
        unconfirmed: false,
        reverted: false,
    };
}

/// Counters since [`Agent::new`], for tables and telemetry. They start over after 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Requests for blocks published.
    pub block_requests: u32,
    /// Ranges asked for over HTTP.
    pub ranges: u32,
    /// URLs asked for afresh.
    pub url_refreshes: u32,
    /// Blocks accepted.
    pub blocks_received: u32,
    /// How many of them came in ranges over HTTP.
    pub range_blocks: u32,
    /// Blocks flash held already.
    pub duplicates: u32,
    /// Messages dropped, duplicates included.
    pub dropped: u32,
    /// Why the last one was dropped.
    pub last_drop: Option<Drop>,
    /// Blocks a journal record saved from being fetched again.
    pub resumed_blocks: u32,
    /// Sectors given up because what they held could not be trusted.
    pub sectors_given_up: u32,
    /// Journal records written.
    pub records: u32,
    /// Inputs that were not legal for the outstanding action, and ignored.
    pub unexpected: u32,
}

/// The update agent. See the [module](self).
// In this order, so that what is looked at most lies where short instructions reach it (Thumb-2: bytes up to 31, words up to
// 124 bytes from the start).
#[repr(C)]
pub struct Agent<'a> {
    planes: Planes,
    state: State,
    link: Link,
    /// Links lost, or not made, since Jobs answered over one.
    link_tries: u8,
    call: Call,
    stage: Stage,
    /// A journal record is due.
    record_due: bool,
    /// A progress update is due.
    progress_due: bool,
    /// The slot was cleared of an old trailer (and of what lies before the image).
    cleared: bool,
    /// What was done to flash in vain (`wear.rs`).
    vain: u8,
    /// The policy agreed to erase for this job.
    erase_agreed: bool,
    /// Files of the held job, from the first, that flash is known to hold whole.
    complete: u8,
    /// Resets spent on an image of which nobody knows whether a reset reverts it.
    resets: u8,
    /// The journal held a record at boot: what is written to it now is there at the next one.
    remembers: bool,
    /// Describes without the document answered while those with it were not.
    withheld: u8,
    /// The link was listened to until now, so what is due and not here is late. Otherwise it may lie in the receive buffer,
    /// where a long flash operation kept it waiting.
    waited: bool,
    /// No step was made yet.
    is_new: bool,
    ended: Option<Ended>,
    config: &'a Config<'a>,
    clock: Clock,
    /// The outstanding action, while a step is made the one that ended.
    doing: Action,
    hand: Option<Hand>,
    arena: Arena<'a>,
    next_token: u32,
    /// What policy has to answer before the state goes on.
    question: Option<Question>,
    /// The number reported beside the reason of a failure; 0: none.
    detail: u32,
    /// The most that flash held of the job (`wear.rs`).
    reached: u32,
    fetch: Fetch<'a>,
    job: Job,
    statistics: Statistics,
    /// What was found in the slots of each image.
    slots: [Slots; MAX_IMAGES],
    random: u32,
    /// MCUboot's hash of each image meant to boot; zero: none. Until the journal is loaded: of the image that runs.
    intended: [[u8; 32]; MAX_IMAGES],
    tokens: [Option<Kept>; MAX_IMAGES],
    /// What flash holds of a job that is not (yet) loaded.
    resume: Option<Resume>,
    /// MCUboot's hash and the job digest of the last image that was reverted or failed its test; zero: none.
    bad_image: [u8; 32],
    bad_job: [u8; 32],
}

impl<'a> Agent<'a> {
    /// Checks the configuration and the memory.
    ///
    /// # Errors
    /// What is wrong with them; [`ConfigError`] says how to mend it.
    pub fn new(config: &'a Config<'a>, memory: Memory<'a>) -> Result<Self, ConfigError> {
        config.check(&memory)?;
        Ok(Agent {
            arena: Arena::new(memory.strings),
            fetch: Fetch::new(memory.blocks, memory.sectors, config.block_size),
            state: State::Booting { inspected: 0 },
            doing: Action::Pause { until_ms: 0 },
            is_new: true,
            link: Link::Down,
            link_tries: 0,
            call: Call::NONE,
            job: Job::NONE,
            hand: None,
            question: None,
            stage: Stage::New,
            detail: 0,
            planes: Planes::new(),
            slots: const { [Slots::UNKNOWN; MAX_IMAGES] },
            intended: NO_HASHES,
            tokens: NO_TOKENS,
            clock: Clock::new(),
            withheld: 0,
            record_due: false,
            complete: 0,
            resume: None,
            cleared: false,
            erase_agreed: false,
            progress_due: false,
            bad_image: [0; 32],
            bad_job: [0; 32],
            remembers: false,
            resets: 0,
            vain: 0,
            reached: 0,
            waited: false,
            next_token: 0,
            // Any odd number keeps xorshift away from its fixed point.
            random: config.seed | 1,
            ended: None,
            statistics: Statistics::default(),
            config,
        })
    }

    /// Takes the completion of the last action and says what to do next. `now_ms` is the time in milliseconds since any
    /// fixed moment, never going back.
    ///
    /// An input that is not legal for the outstanding action is counted and ignored: the action asked for last is
    /// planned again.
    #[inline]
    pub fn step(&mut self, now_ms: u64, input: Input<'_>) -> Action {
        if !matches!(input, Input::Done) || !self.hold_block(now_ms) {
            self.other_step(now_ms, input);
        }
        *self.action()
    }

    /// The outstanding action: what the last step answered.
    #[inline]
    pub fn action(&self) -> &Action {
        &self.doing
    }

    /// No step was made yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Where the job stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Blocks held and blocks in all, of the file being downloaded.
    pub fn progress(&self) -> (u32, u32) {
        (self.fetch.held_count(), self.fetch.block_count)
    }

    /// The held job's id; empty: none is held.
    pub fn job_id(&self) -> &str {
        self.arena.text(self.job.id)
    }

    /// The held job's stream; empty: it has none.
    fn stream(&self) -> &str {
        stream_of(self.arena.text(self.job.block_topic), self.config.thing_name)
    }

    /// The decoded signature of a file of the held job.
    pub fn signature(&self, file: u8) -> &[u8] {
        self.arena.get(self.job.file(file).signature)
    }

    /// The URL of a file of the held job, for the plane over HTTP. A secret: never log it.
    pub fn url(&self, file: u8) -> &str {
        self.arena.text(self.job.file(file).url)
    }

    /// The token that the outstanding [`Action::SetPending`] is done with; `None` where there is no such action, or the
    /// token was taken already.
    pub fn take_token(&mut self) -> Option<Verified> {
        match self.doing {
            Action::SetPending { image, .. } => {
                let kept = self.token_in_turn()?.take()?;
                Some(kept.token(*self.intended.get(usize::from(image))?))
            }
            _other => None,
        }
    }

    /// The blocks that the outstanding [`Publication::Blocks`] asks for.
    pub fn block_request(&self) -> &BlockRequest {
        &self.fetch.request
    }

    /// How the last job ended, since the last call.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    /// Counters.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The configuration.
    pub fn config(&self) -> &'a Config<'a> {
        self.config
    }

    /// The version that runs: configured, else from the header in the primary slot of image 0, else 0.0.0.
    #[inline(never)]
    pub fn running_version(&self) -> Version {
        self.config.running_version.unwrap_or_else(|| self.version_of(0))
    }

    #[inline(never)]
    fn version_of(&self, image: u8) -> Version {
        self.slots.get(usize::from(image)).unwrap_or(&Slots::UNKNOWN).version
    }

    /// Some image's slots are so.
    fn any_image(&self, is_so: fn(&Slots) -> bool) -> bool {
        self.slots.iter().any(is_so)
    }

    /// Does a reset take the running image back? The worst answer of all images.
    #[inline(never)]
    fn revert(&self) -> Revert {
        self.slots.iter().fold(Revert::No, |worst, slots| worst.max(slots.revert))
    }

    fn layout(&self, image: u8) -> Option<&'a ImageLayout> {
        self.config.images.get(usize::from(image))
    }

    #[inline(never)]
    fn drop_message(&mut self, why: Drop) {
        self.statistics.dropped = self.statistics.dropped.wrapping_add(1);
        self.statistics.last_drop = Some(why);
    }

    /// The link is wanted, and nothing speaks against making it.
    #[inline(never)]
    fn connect_now(&mut self) {
        self.clock.set(Wait::Link, 0);
        (self.link, self.link_tries) = (Link::Down, 0);
    }

    #[inline(never)]
    fn link_lost(&mut self) {
        if let Link::Suspended { .. } = self.link {
            return;
        }
        // Never at once, even after a link that was fine: two devices with one client id throw each other off the broker
        // for ever, and it takes one connection a second.
        let at = self.retry_at(self.link_tries);
        self.clock.set(Wait::Link, at);
        (self.link, self.link_tries) = (Link::Down, self.link_tries.saturating_add(1));
        // The driver works with one link, and a range beside it.
        self.range_closed();
        self.fetch.forget_requests();
        self.clock.set(Wait::Call, at);
        self.call.waits = false;
    }
}
