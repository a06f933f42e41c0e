//! A cloud that says anything at any time, a network that fails, flash that fails and power that goes; but a driver, flash and
//! a bootloader that tell the truth. Whatever happens, nothing unverified is activated, nothing is written where flash holds
//! something, nobody's way back is touched, and what is reported is so.
//!
//! Where `limits.rs` also lies about flash, this has a model of it to check each action against.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ota_core::agent::{Action, Outcome, Part};
use ota_core::boot::{ImageState, Request, Revert, Withdrawn};
use ota_core::command::Command;
use ota_core::geometry::BootMode;
use ota_core::journal::Record;
use ota_core::policy::Question;
use ota_core::slot::{Compared, FlashError};
use ota_core::verify::VerifyError;
use ota_sim::aws::Rng;

use crate::device::{self, OLD, REVERTED};
use crate::talk::{In, Setup, Talk, describe};
use crate::wire::{
    accepted, block, describe_refused, held, job, next, no_job, notify, progress_accepted, refused,
    refused_stored, stream_refused,
};

const WALKS: u64 = 400;
const STEPS: u32 = 600;
/// Bytes of the slot of [`device::layout`], its sectors, and the largest image.
const SLOT: usize = 0x2000;
const SECTOR: usize = 1024;
const IMAGE_MAX: usize = SLOT - SECTOR;
/// Write units of the device.
const UNIT: usize = 8;
/// Actions in a row that neither wait nor ask: more of them would be a loop.
const BUSY: u32 = 100;

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Runs {
    Old,
    /// For the first time: a reset takes it back unless it is confirmed.
    Unconfirmed,
    Confirmed,
}

/// The device around the agent.
struct Device {
    talk: Talk,
    rng: Rng,
    /// The secondary slot; `None`: erased.
    flash: Vec<Option<u8>>,
    /// The block in the message in hand.
    hand: Vec<u8>,
    journal: Option<Record>,
    /// Flash as it is was verified.
    verified: bool,
    pending: bool,
    runs: Runs,
    was_reverted: bool,
    /// The application said so in this life.
    passed: bool,
    busy: u32,
    /// For the message of a failure.
    trace: Vec<String>,
    /// How often each interesting thing came about.
    reached: [u32; 3],
}

impl Device {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let flash = (0..SLOT).map(|at| (rng.chance(50) && at % SECTOR < 64).then_some(0x55)).collect();
        Device {
            talk: Talk::new(Self::setup()),
            rng,
            flash,
            hand: Vec::new(),
            journal: None,
            verified: false,
            pending: false,
            runs: Runs::Old,
            was_reverted: false,
            passed: false,
            busy: 0,
            trace: Vec::new(),
            reached: [0; 3],
        }
    }

    fn setup() -> Setup {
        let tweak = |config: &mut ota_core::agent::Config<'static>| config.record_blocks = 1;
        Setup { mode: BootMode::SwapMove, images: 1, tweak }
    }

    fn file(&self) -> &[u8] {
        &self.talk.files[0]
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.rng.between(0..=from.len() as u64 - 1) as usize].clone()
    }

    /// The bootloader's work, and a new life.
    fn reset(&mut self) {
        (self.runs, self.was_reverted) = match (self.runs, self.pending) {
            (Runs::Old, true) => {
                self.reached[0] += 1;
                assert!(self.holds_file(), "what was activated is not the file");
                (Runs::Unconfirmed, false)
            }
            (Runs::Unconfirmed, _) => {
                self.reached[1] += 1;
                (Runs::Old, true)
            }
            (runs, _) => (runs, self.was_reverted && runs == Runs::Old),
        };
        // The secondary slot holds what ran before.
        if self.pending || self.was_reverted {
            self.flash.fill(Some(0x77));
        }
        (self.pending, self.verified, self.passed, self.busy) = (false, false, false, 0);
        if self.rng.chance(5) {
            // Torn, or of another format: nothing is known.
            self.journal = None;
        }
        let now = self.talk.now;
        let files = std::mem::take(&mut self.talk.files);
        self.talk = Talk::new(Self::setup());
        (self.talk.files, self.talk.now) = (files, now + 500);
        self.trace.push(format!("reset: {:?} runs", self.runs));
        self.say(&In::Start);
    }

    fn holds_file(&self) -> bool {
        self.flash.iter().zip(self.file()).all(|(held, byte)| *held == Some(*byte))
    }

    fn state(&self) -> ImageState {
        let request = if self.pending { Request::Test } else { Request::None };
        match self.runs {
            Runs::Old if self.was_reverted => ImageState { request, ..REVERTED },
            Runs::Old => ImageState { request, ..OLD },
            Runs::Unconfirmed => device::tests(self.file(), Revert::Yes),
            Runs::Confirmed => {
                ImageState { confirmed: true, request, ..device::tests(self.file(), Revert::No) }
            }
        }
    }

    /// One step, and what holds after any.
    fn say(&mut self, input: &In) {
        self.trace.push(format!("{:>9} {}", self.talk.now, describe(input)));
        if let In::Block { data, .. } = input {
            self.hand.clone_from(data);
        }
        self.passed |= matches!(input, In::Say(Command::SelfTestPassed));
        self.talk.step(input);
        let shown = self.talk.shown();
        self.trace.push(format!("    -> {shown}"));
        if let Action::Receive { .. } | Action::Pause { .. } | Action::Consult(_) = self.talk.action {
            self.busy = 0;
        }
        self.busy += 1;
        assert!(self.busy < BUSY, "an endless loop");
        match self.talk.action {
            Action::Erase { image, sector } => {
                assert!(image == 0 && (sector as usize) < SLOT / SECTOR, "erases outside the slot");
                self.touches();
            }
            Action::Compare(part) => drop(self.place(&part)),
            Action::Write(part) => {
                let place = self.place(&part);
                assert!(self.flash[place].iter().all(Option::is_none), "writes where flash holds something");
                self.touches();
            }
            Action::Verify { size, .. } => {
                assert_eq!(size as usize, self.file().len());
                let held = &self.flash[..self.file().len()];
                assert!(held.iter().all(Option::is_some), "verifies before all of the file is there");
            }
            Action::SetPending { .. } => {
                assert!(self.verified && self.holds_file(), "activates what is not verified");
                assert_eq!(self.runs, Runs::Old, "activates over an image whose way back it is");
            }
            Action::Confirm { .. } => {
                assert!(self.passed, "confirms although the application did not say so");
                assert_ne!(self.runs, Runs::Old, "confirms nothing");
            }
            Action::Record => {
                let record = self.talk.agent.record();
                assert_eq!(Record::decode(&record.encode(1)), Some((record, 1)));
            }
            Action::Finish(Outcome::Reset) => {
                assert!(self.pending || self.runs == Runs::Unconfirmed, "resets for nothing");
            }
            _ => {}
        }
        if shown.contains(" SUCCEEDED reason=accepted v") {
            self.reached[2] += 1;
            assert_eq!(self.runs, Runs::Confirmed, "reports an update that did not happen");
        }
    }

    /// Flash is about to change.
    fn touches(&mut self) {
        assert_ne!(self.runs, Runs::Unconfirmed, "touches the image to go back to");
        assert!(!self.pending, "touches what is to be swapped");
        self.verified = false;
    }

    /// Where a part lies.
    fn place(&self, part: &Part) -> std::ops::Range<usize> {
        let len = (part.to - part.from) as usize;
        let place = part.at as usize..(part.at as usize + len).next_multiple_of(UNIT);
        assert!(part.image == 0 && place.end <= IMAGE_MAX && part.to as usize <= self.hand.len());
        assert!((part.at as usize).is_multiple_of(UNIT) && len > 0);
        place
    }

    fn data(&self, part: &Part) -> Vec<u8> {
        self.hand[part.from as usize..part.to as usize].to_vec()
    }

    /// Programs as much of a part as happened.
    fn program(&mut self, part: &Part, len: usize) {
        let place = self.place(part);
        let mut data = self.data(part);
        data.resize(place.len(), 0xFF);
        for (cell, byte) in self.flash[place].iter_mut().zip(data).take(len / UNIT * UNIT) {
            *cell = Some(byte);
        }
    }

    /// What becomes of a flash action: it is done, it fails, the driver is dropped, or the power goes; and how far it got.
    fn fate(&mut self) -> (Fate, bool) {
        let fate = match self.rng.between(0..=99) {
            0..=93 => Fate::Done,
            94..=95 => Fate::Fails,
            96..=97 => Fate::Lost,
            _ => Fate::PowerCut,
        };
        let happened = fate == Fate::Done || self.rng.chance(50);
        (fate, happened)
    }

    fn end(&mut self, fate: Fate, done: &In) {
        match fate {
            Fate::Done => self.say(done),
            Fate::Fails => self.say(&In::Flash(FlashError::Driver)),
            Fate::Lost => self.say(&In::Lost),
            Fate::PowerCut => self.reset(),
        }
    }

    /// Does what the agent asks for, as the world allows.
    fn go_on(&mut self) {
        self.talk.now += self.rng.between(0..=50);
        let (fate, happened) = self.fate();
        match self.talk.action {
            Action::Load => {
                let journal = self.journal;
                self.end(fate, &In::Loaded(journal));
            }
            Action::Inspect { .. } => {
                let state = self.state();
                self.end(fate, &In::Boot(state));
            }
            Action::Erase { sector, .. } => {
                if happened {
                    let from = sector as usize * SECTOR;
                    self.flash[from..from + SECTOR].fill(None);
                }
                self.end(fate, &In::Done);
            }
            Action::Compare(part) => {
                let (held, data) = (&self.flash[self.place(&part)], self.data(&part));
                let compared = if held.iter().zip(&data).all(|(held, byte)| *held == Some(*byte)) {
                    Compared::Equal
                } else if held.iter().all(Option::is_none) {
                    Compared::Blank
                } else {
                    Compared::Different
                };
                self.end(fate, &In::Compared(compared));
            }
            Action::Write(part) => {
                let len = (part.to - part.from) as usize;
                // As far as it got.
                let len = if happened { SLOT } else { self.rng.between(0..=len as u64) as usize };
                if fate == Fate::Done || happened || self.rng.chance(50) {
                    self.program(&part, len);
                }
                self.end(fate, &In::Done);
            }
            Action::Hash { .. } | Action::HashHeld(_) => self.end(fate, &In::Done),
            Action::Record => {
                if happened {
                    self.journal = Some(self.talk.agent.record());
                }
                self.end(fate, &In::Done);
            }
            Action::Verify { .. } => {
                self.verified = self.holds_file() && fate == Fate::Done;
                let end =
                    if self.holds_file() { In::Verified } else { In::Invalid(VerifyError::BadSignature) };
                self.end(fate, &end);
            }
            Action::SetPending { .. } => {
                self.pending = happened;
                self.end(fate, &In::Done);
            }
            Action::Withdraw { .. } => {
                self.pending &= !happened;
                self.end(fate, &In::Withdrawn(Withdrawn::ImageKept));
            }
            Action::Confirm { .. } => {
                if happened {
                    self.runs = Runs::Confirmed;
                }
                self.end(fate, &In::Done);
            }
            // One update is enough for a walk: the bootloader here knows two images.
            Action::Consult(Question::SameVersion { .. }) => self.say(&In::No),
            Action::Consult(_) => {
                let answer = self.pick(&[In::Yes, In::Yes, In::Yes, In::Yes, In::No, In::Later(1000)]);
                self.say(&answer);
            }
            Action::Receive { until_ms } | Action::Pause { until_ms } => self.wait(until_ms),
            Action::Finish(_) => self.reset(),
            Action::Connect
            | Action::Disconnect
            | Action::Subscribe(_)
            | Action::Publish(_)
            | Action::OpenRange(_)
            | Action::CloseRange => match self.rng.between(0..=19) {
                0 => self.say(&In::Link),
                1 => self.say(&In::Refused),
                2 => self.say(&In::Lost),
                _ => self.say(&In::Done),
            },
        }
    }

    /// A message, a word of the application, the end of the wait, the end of the link, or the power goes.
    fn wait(&mut self, until: u64) {
        let offline = matches!(self.talk.action, Action::Pause { .. });
        match self.rng.between(0..=99) {
            0..=1 => self.reset(),
            2..=3 => self.say(&In::Link),
            4..=9 => {
                let command = match self.runs {
                    Runs::Unconfirmed if self.rng.chance(50) => Command::SelfTestPassed,
                    Runs::Old | Runs::Unconfirmed | Runs::Confirmed => self.pick(&Command::ALL),
                };
                self.say(&In::Say(command));
                if self.rng.chance(50) {
                    self.talk.now += 1;
                    if let Action::Receive { .. } | Action::Pause { .. } = self.talk.action {
                        self.say(&In::Say(Command::Resume));
                    }
                }
            }
            10..=19 => {
                self.talk.now = until;
                self.say(&In::Timeout);
            }
            _ if offline => {
                self.talk.now = until;
                self.say(&In::Timeout);
            }
            20..=59 => {
                let wanted = self.rng.between(0..=2) as u32;
                let mut sent = block(self.file(), wanted);
                if let (In::Block { data, .. }, true) = (&mut sent, self.rng.chance(3)) {
                    // A good length and wrong bytes: the signature's business.
                    data[70] ^= 1;
                }
                self.say(&sent);
            }
            _ => {
                let message = self.message();
                self.say(&message);
            }
        }
    }

    fn message(&mut self) -> In {
        let version = self.rng.between(1..=6) as u32;
        let states = ["QUEUED", "IN_PROGRESS", "FAILED", "SUCCEEDED", "CANCELED"];
        let stored = self.pick(&states);
        let codes = ["VersionMismatch", "InvalidStateTransition", "RequestThrottled", "ResourceNotFound"];
        let code = self.pick(&codes);
        let self_test = self.pick(&["ready", "active"]);
        // Who does not say which version did the download says that it was none (AWS' agents take 0), so this one does.
        let tested =
            job().is("IN_PROGRESS", version).with("self_test", self_test).with("updatedBy", "0x90000");
        let detail = format!(r#""self_test":"{self_test}","updatedBy":"0x90000""#);
        self.pick(&[
            next(job()),
            next(job()),
            next(job().is("IN_PROGRESS", version)),
            next(tested.clone()),
            next(job().id("rel-2").number(2)),
            next(job().document("{}")),
            no_job(),
            notify(),
            held(job().is("IN_PROGRESS", version)),
            held(tested),
            held(job().is(stored, version)),
            held(job().number(2)),
            accepted("IN_PROGRESS", version),
            accepted("IN_PROGRESS", version),
            accepted("IN_PROGRESS", version),
            accepted(stored, version),
            progress_accepted(),
            refused(code),
            refused_stored(code, stored, version, &detail),
            describe_refused("$next", code),
            describe_refused("rel-1", code),
            stream_refused(code),
        ])
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Done,
    Fails,
    Lost,
    PowerCut,
}

#[test]
fn every_walk_is_safe() {
    let given = std::env::var("OTA_SEED").ok().map(|seed| seed.parse().expect("OTA_SEED is a number"));
    let seeds = given.map_or(1..=WALKS, |seed: u64| seed..=seed);
    let mut reached = [0; 3];
    for seed in seeds {
        let mut device = Device::new(seed);
        let walked = catch_unwind(AssertUnwindSafe(|| {
            device.say(&In::Start);
            (0..STEPS).for_each(|_| device.go_on());
        }));
        if walked.is_err() {
            let from = device.trace.len().saturating_sub(60);
            panic!(
                "{}\nagain: OTA_SEED={seed} cargo test -p ota-core --test agent every_walk_is_safe",
                device.trace[from..].join("\n")
            );
        }
        for (sum, count) in reached.iter_mut().zip(device.reached) {
            *sum += count;
        }
    }
    // Walks that lead nowhere show nothing.
    assert!(
        given.is_some() || reached.iter().all(|count| *count > 20),
        "swaps, reverts, reports: {reached:?}"
    );
}
