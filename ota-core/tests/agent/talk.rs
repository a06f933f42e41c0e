//! Conversations with the agent: each line is a moment, what happened, and what the agent wants next.
//!
//! ```text
//! t.on(0, next(job()), "ask Start");
//! ```
//! Actions are written as text: `get $next`, `update rel-1 FAILED reason=aborted …`, `blocks 0: 0 1`, `write 0 0..512`,
//! `set pending 0`. An expectation that ends in `…` is a beginning. Messages go through the library's own decoder; what is
//! published is read back from the bytes.

use std::fmt::Write as _;

use ota_core::agent::{
    Action, Agent, Config, Failure, Input, MAX_PAYLOAD_SIZE, Memory, Message, Part, Publication, StateKind,
    Subscription, Timing, TopicBuffer,
};
use ota_core::boot::{ImageState, Withdrawn};
use ota_core::command::Command;
use ota_core::driver::decode;
use ota_core::geometry::{BootMode, ImageLayout};
use ota_core::journal::Record;
use ota_core::policy::{Answer, Question};
use ota_core::slot::{Compared, FlashError};
use ota_core::status::Ended;
use ota_core::transport::{RangeError, Received};
use ota_core::verify::VerifyError;

use crate::device::{self, BLOCK_SIZE, OLD};
use crate::wire::{Job, TOKEN, accepted, block, held, job, next};

pub(crate) const THING: &str = "dev-7";
/// Longest a wait may be, milliseconds: the poll interval.
pub(crate) const LONGEST_WAIT_MS: u64 = 6 * 3_600_000;

/// What happened.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // It lives for one line of a script.
pub(crate) enum In {
    Start,
    Done,
    Lost,
    Timeout,
    Link,
    Refused,
    Flash(FlashError),
    Invalid(VerifyError),
    Loaded(Option<Record>),
    Boot(ImageState),
    Compared(Compared),
    /// The outstanding verification succeeds.
    Verified,
    Withdrawn(Withdrawn),
    Yes,
    No,
    Later(u32),
    Say(Command),
    /// A message of the broker.
    Message {
        topic: String,
        payload: String,
    },
    Block {
        stream: &'static str,
        file: u32,
        block: u32,
        data: Vec<u8>,
    },
    /// The open range came to nothing.
    Range(RangeError),
}

/// How the device is built.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) mode: BootMode,
    pub(crate) images: usize,
    pub(crate) tweak: fn(&mut Config<'static>),
}

impl Setup {
    pub(crate) const ONE: Setup = Setup { mode: BootMode::SwapMove, images: 1, tweak: |_| {} };
}

/// A conversation.
pub(crate) struct Talk {
    pub(crate) agent: Agent<'static>,
    pub(crate) setup: Setup,
    /// The files of the job, by image.
    pub(crate) files: Vec<Vec<u8>>,
    /// What was recorded last.
    pub(crate) journal: Option<Record>,
    pub(crate) now: u64,
    /// The outstanding action.
    pub(crate) action: Action,
    /// How the last job ended.
    pub(crate) ended: Option<Ended>,
    /// The driver says "done" without the token of what it was to set pending.
    pub(crate) careless: bool,
    token: String,
    trace: Vec<String>,
}

impl Talk {
    /// Before the first input.
    pub(crate) fn new(setup: Setup) -> Self {
        let layouts: &'static [ImageLayout] = vec![device::layout(setup.mode); setup.images].leak();
        let mut config = Config::new(THING, layouts);
        config.block_size = BLOCK_SIZE;
        config.progress_blocks = 0;
        config.blocks_per_second = 0;
        config.timing = Timing { self_test_ms: 60_000, ..Timing::DEFAULT };
        (setup.tweak)(&mut config);
        let memory = Memory {
            strings: vec![0; Memory::STRINGS].leak(),
            blocks: vec![0; Memory::block_bytes(&config.images[0], config.block_size)].leak(),
            sectors: vec![0; Memory::sector_bytes(&config.images[0])].leak(),
        };
        let agent = Agent::new(Box::leak(Box::new(config)), memory).expect("a good configuration");
        Talk {
            agent,
            setup,
            files: vec![device::file((1, 0, 0), None)],
            journal: None,
            now: 0,
            action: Action::Pause { until_ms: 1 },
            ended: None,
            careless: false,
            token: String::new(),
            trace: Vec::new(),
        }
    }

    /// Up, subscribed, and `$next` was asked for; nothing journaled.
    pub(crate) fn online(setup: Setup) -> Self {
        let mut t = Talk::new(setup);
        t.boot(&vec![OLD; setup.images]);
        t
    }

    /// From start to the first request, with what is journaled.
    #[track_caller]
    pub(crate) fn boot(&mut self, states: &[ImageState]) {
        let now = self.now;
        self.on(now, In::Start, "inspect 0");
        for (image, state) in (1..).zip(states) {
            let next = if image == states.len() { "load".into() } else { format!("inspect {image}") };
            self.on(now, In::Boot(*state), &next);
        }
        let journal = self.journal;
        self.on(now, In::Loaded(journal), "…");
        if self.shown().starts_with("record") {
            self.on(now, In::Done, "…");
        }
        if self.shown() == "connect" {
            self.on(now, In::Done, "subscribe jobs");
            self.on(now, In::Done, "…");
        }
    }

    /// The same device after a reset.
    #[track_caller]
    pub(crate) fn reboot(self, states: &[ImageState]) -> Self {
        let mut t = Talk::new(self.setup);
        (t.files, t.journal, t.now) = (self.files, self.journal, self.now + 500);
        t.boot(states);
        t
    }

    /// A job is here and policy is asked.
    pub(crate) fn offered(setup: Setup) -> Self {
        let mut t = Talk::online(setup);
        t.on(0, In::Done, "receive until 5000");
        t.on(10, next(job()), "ask Start");
        t
    }

    /// The first block is asked for.
    pub(crate) fn judging(setup: Setup) -> Self {
        let mut t = Talk::offered(setup);
        t.on(10, In::Yes, "subscribe stream");
        t.on(10, In::Done, "blocks 0: 0");
        t.on(10, In::Done, "receive until 2510");
        t
    }

    /// The first block is in flash, the others are asked for.
    pub(crate) fn downloading(setup: Setup) -> Self {
        let mut t = Talk::judging(setup);
        t.on(20, block(&t.files[0], 0), "ask Erase");
        t.on(20, In::Yes, "record Downloading");
        t.on(20, In::Done, "erase 0/7");
        t.on(20, In::Done, "erase 0/0");
        t.on(20, In::Done, "write 0 0..512 hash");
        t.on(20, In::Done, "blocks 0: 1 2");
        t.on(20, In::Done, "erase 0/1");
        t.on(20, In::Done, "receive until 2520");
        t
    }

    /// Flash holds everything; verification is asked for.
    pub(crate) fn verifying(setup: Setup) -> Self {
        let mut t = Talk::downloading(setup);
        t.on(30, block(&t.files[0], 1), "write 0 512..1024 hash");
        t.on(30, In::Done, "receive until 2530");
        t.on(40, block(&t.files[0], 2), "write 0 1024..1272 hash");
        t.on(40, In::Done, "record Downloading");
        t.on(40, In::Done, "verify 0 1272");
        t
    }

    /// Verified; the cloud was told.
    pub(crate) fn verified(setup: Setup) -> Self {
        let mut t = Talk::verifying(setup);
        t.on(50, In::Verified, "record Verified");
        t.on(50, In::Done, "update rel-1 IN_PROGRESS self_test=ready updatedBy=0x90000 v1");
        t.on(50, In::Done, "receive until 5050");
        t
    }

    /// The cloud accepted; policy is asked.
    pub(crate) fn ready(setup: Setup) -> Self {
        let mut t = Talk::verified(setup);
        t.on(60, accepted("IN_PROGRESS", 2), "record Ready");
        t.on(60, In::Done, "ask Activate");
        t
    }

    /// The swap is requested; a last look at the job is under way.
    pub(crate) fn pending(setup: Setup) -> Self {
        let mut t = Talk::ready(setup);
        t.on(60, In::Yes, "set pending 0");
        t.on(60, In::Done, "record Pending");
        t.on(60, In::Done, "get rel-1 bare");
        t.on(60, In::Done, "receive until 5060");
        t
    }

    /// The new image runs for the first time and has told the cloud.
    pub(crate) fn testing(setup: Setup, revert: ota_core::boot::Revert) -> Self {
        let mut t = Talk::pending(setup);
        t.on(70, held(job().is("IN_PROGRESS", 2)), "reset");
        let state = device::tests(&t.files[0], revert);
        let mut t = t.reboot(&[state]);
        t.on(570, In::Done, "receive until 5570");
        t.on(
            580,
            held(job().is("IN_PROGRESS", 2).with("self_test", "ready")),
            "update rel-1 IN_PROGRESS self_test=active updatedBy=0x90000 v2",
        );
        t.on(580, In::Done, "receive until 5580");
        t.on(590, accepted("IN_PROGRESS", 3), "receive until 60570");
        t
    }

    /// Confirmed; SUCCEEDED was reported.
    pub(crate) fn confirmed(setup: Setup) -> Self {
        let mut t = Talk::testing(setup, ota_core::boot::Revert::Yes);
        t.on(1000, In::Say(Command::SelfTestPassed), "confirm 0");
        t.on(1000, In::Done, "record Confirmed");
        t.on(1000, In::Done, "update rel-1 SUCCEEDED reason=accepted v1.0.0 updatedBy=0x90000 v3");
        t.on(1000, In::Done, "receive until 6000");
        t
    }

    /// `input` happens at `at`; the agent must want `expected` next.
    #[track_caller]
    pub(crate) fn on(&mut self, at: u64, input: In, expected: &str) {
        assert!(at >= self.now, "time goes on: {at} after {}", self.now);
        self.now = at;
        let said = format!("{at:>6} {}", describe(&input));
        self.step(&input);
        let shown = self.shown();
        self.trace.push(format!("{said} -> {shown}"));
        assert!(self.trace.len() < 1000, "this conversation never ends:\n{}", self.trace[950..].join("\n"));
        let fits = match expected.strip_suffix('…') {
            Some(beginning) => shown.starts_with(beginning),
            None => shown == expected,
        };
        assert!(fits, "\n{}\nexpected -> {expected}\nstate {:?}", self.trace.join("\n"), self.agent.state());
    }

    /// Steps the agent and keeps what it asked for.
    pub(crate) fn step(&mut self, input: &In) {
        let now = self.now;
        let mut scratch = [0; 1024];
        let (topic, payload, message);
        let input = match input {
            In::Start => Input::Start,
            In::Done => Input::Done,
            In::Lost => Input::ActionLost,
            In::Timeout => Input::Timeout,
            In::Link => Input::Failed(Failure::Link),
            In::Refused => Input::Failed(Failure::Refused),
            In::Flash(error) => Input::Failed(Failure::Flash(*error)),
            In::Invalid(error) => Input::Failed(Failure::Verify(*error)),
            In::Loaded(record) => Input::Loaded(record.as_ref()),
            In::Boot(state) => Input::Boot(*state),
            In::Compared(compared) => Input::Compared(*compared),
            In::Verified => {
                let image = match self.action {
                    Action::Verify { image, .. } => image,
                    _ => 0,
                };
                let file = self.files.get(usize::from(image)).unwrap_or(&self.files[0]);
                Input::Verified(device::token(image, file))
            }
            In::Withdrawn(withdrawn) => Input::Withdrawn(*withdrawn),
            In::Yes => Input::Answer(Answer::Yes),
            In::No => Input::Answer(Answer::No),
            In::Later(ms) => Input::Answer(Answer::Later { ms: *ms }),
            In::Say(command) => Input::Command(*command),
            In::Message { topic: to, payload: text } => {
                (topic, payload) = (to.clone(), text.replace(TOKEN, &self.token));
                let received = Received { topic: &topic, payload: payload.as_bytes() };
                message = decode(THING, &received, &mut scratch);
                Input::Message(&message)
            }
            In::Block { stream, file, block, data } => {
                message = Message::Block { stream, file_id: *file, block_id: *block, data };
                Input::Message(&message)
            }
            In::Range(error) => {
                message = Message::RangeFailed(*error);
                Input::Message(&message)
            }
        };
        self.action = self.agent.step(now, input);
        self.ended = self.agent.take_ended().or(self.ended);
        match &self.action {
            Action::Record => self.journal = Some(self.agent.record()),
            Action::SetPending { image, .. } if !self.careless => {
                let token = self.agent.take_token().expect("the token of what is set pending");
                assert_eq!(token.image(), *image);
            }
            Action::Publish(publication) => {
                if let Some(token) = published(&self.agent, publication).token {
                    self.token = token;
                }
            }
            Action::Receive { until_ms } | Action::Pause { until_ms } => {
                assert!(
                    *until_ms > now && *until_ms <= now + LONGEST_WAIT_MS,
                    "waits until {until_ms} at {now}"
                );
            }
            _ => {}
        }
    }

    /// The outstanding action in words.
    pub(crate) fn shown(&self) -> String {
        match &self.action {
            Action::Load => "load".into(),
            Action::Inspect { image } => format!("inspect {image}"),
            Action::Connect => "connect".into(),
            Action::Disconnect => "disconnect".into(),
            Action::Subscribe(Subscription::Jobs) => "subscribe jobs".into(),
            Action::Subscribe(Subscription::Stream) => "subscribe stream".into(),
            Action::Publish(publication) => published(&self.agent, publication).words,
            Action::Receive { until_ms } => format!("receive until {until_ms}"),
            Action::Pause { until_ms } => format!("pause until {until_ms}"),
            Action::Consult(Question::Downgrade { running, offered }) => {
                format!("ask Downgrade {running} to {offered}")
            }
            Action::Consult(Question::SameVersion { version }) => format!("ask SameVersion {version}"),
            Action::Consult(question) => format!("ask {question:?}"),
            Action::OpenRange(range) => format!("open range {} {}..{}", range.file, range.from, range.to),
            Action::CloseRange => "close range".into(),
            Action::Erase { image, sector } => format!("erase {image}/{sector}"),
            Action::Compare(part) => format!("compare {}", part_in_words(part)),
            Action::Write(part) => format!("write {}", part_in_words(part)),
            Action::HashHeld(part) => format!("hash held {}", part_in_words(part)),
            Action::Hash { image, from, to } => format!("hash {image} {from}..{to}"),
            Action::Record => {
                let record = self.journal.as_ref().expect("a record was taken");
                format!("record {:?}", record.phase())
            }
            Action::Verify { image, size, .. } => format!("verify {image} {size}"),
            Action::SetPending { image, .. } => format!("set pending {image}"),
            Action::Withdraw { image } => format!("withdraw {image}"),
            Action::Confirm { image } => format!("confirm {image}"),
            Action::Finish(outcome) => format!("{outcome:?}").to_lowercase(),
        }
    }

    /// When the outstanding wait ends.
    #[track_caller]
    pub(crate) fn until(&self) -> u64 {
        match self.action {
            Action::Receive { until_ms } | Action::Pause { until_ms } => until_ms,
            _ => panic!("no wait but {}", self.shown()),
        }
    }

    /// Nothing happens until the wait is over.
    #[track_caller]
    pub(crate) fn idle(&mut self, expected: &str) {
        let until = self.until();
        self.on(until, In::Timeout, expected);
    }

    /// Every wait ends, every action is done, policy says no, until a publication that begins with `verb`.
    #[track_caller]
    pub(crate) fn until_published(&mut self, verb: &str) {
        while !self.shown().starts_with(verb) {
            let now = self.now;
            match self.action {
                Action::Receive { .. } | Action::Pause { .. } => self.idle("…"),
                Action::Consult(_) => self.on(now, In::No, "…"),
                _ => self.on(now, In::Done, "…"),
            }
        }
    }

    pub(crate) fn kind(&self) -> StateKind {
        self.agent.state().kind()
    }

    /// A block that is not wanted: dropped and counted, and the agent waits on.
    #[track_caller]
    pub(crate) fn dropped(&mut self, at: u64, input: In, why: ota_core::policy::Drop) {
        let before = self.agent.statistics().dropped;
        self.on(at, input, "receive until …");
        assert_eq!(self.agent.statistics().dropped, before + 1);
        assert_eq!(self.agent.statistics().last_drop, Some(why));
    }

    /// The held job is canceled: the describe of its id says so.
    pub(crate) fn canceled(job: Job) -> In {
        held(job.is("CANCELED", 9))
    }
}

fn part_in_words(part: &Part) -> String {
    let hash = if part.hash { " hash" } else { "" };
    format!("{} {}..{}{hash}", part.image, part.at, part.at + part.to - part.from)
}

struct Published {
    words: String,
    token: Option<String>,
}

/// What goes over the wire, read back from its bytes.
fn published(agent: &Agent<'_>, publication: &Publication) -> Published {
    let mut topic = TopicBuffer::new();
    let mut payload = [0; MAX_PAYLOAD_SIZE];
    let (len, _) = agent.encode(publication, &mut topic, &mut payload).expect("room enough");
    if let Publication::Blocks = publication {
        let request = agent.block_request();
        let mut words = format!("blocks {}:", request.file_id);
        for (byte, bits) in (0..).zip(request.bits) {
            for bit in (0..8).filter(|bit| bits & (1 << bit) != 0) {
                write!(words, " {}", request.offset + byte * 8 + bit).unwrap();
            }
        }
        return Published { words, token: None };
    }
    let body: serde_json::Value = serde_json::from_slice(&payload[..len]).expect("JSON");
    let rest = topic.as_str().strip_prefix("$aws/things/dev-7/jobs/").expect("a topic of Jobs");
    let (id, verb) = rest.split_once('/').expect("job and verb");
    let mut words = format!("{verb} {id}");
    if body["includeJobDocument"] == false {
        words += " bare";
    }
    if verb == "update" {
        write!(words, " {}", body["status"].as_str().unwrap()).unwrap();
        for (name, value) in body["statusDetails"].as_object().unwrap() {
            write!(words, " {name}={}", value.as_str().unwrap()).unwrap();
        }
        if let Some(version) = body["expectedVersion"].as_u64() {
            write!(words, " v{version}").unwrap();
        }
        if let Some(number) = body["executionNumber"].as_u64().filter(|number| *number != 1) {
            write!(words, " #{number}").unwrap();
        }
    }
    Published { words, token: body["clientToken"].as_str().map(Into::into) }
}

/// An input in words.
pub(crate) fn describe(input: &In) -> String {
    match input {
        In::Message { topic, payload } => {
            let topic = topic.trim_start_matches("$aws/things/dev-7/");
            format!("{topic} {}", payload.get(..payload.len().min(100)).unwrap_or(payload))
        }
        In::Block { stream, file, block, data } => {
            format!("block {block} of {stream}/{file}, {} bytes", data.len())
        }
        In::Boot(state) => {
            let version = state.running.map(|running| running.version);
            format!("Boot({version:?}, revert {:?}, confirmed {})", state.revert, state.confirmed)
        }
        In::Loaded(record) => format!("Loaded({:?})", record.map(|r| r.phase())),
        other => format!("{other:?}"),
    }
}
