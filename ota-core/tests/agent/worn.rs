//! A device whose cloud and network work; what becomes of an action on flash is the test's to say, and the flash it works on is a
//! model that counts.

use ota_core::agent::{Action, Agent, Config, Memory, Part, Publication, Timing};
use ota_core::boot::{ImageState, Withdrawn};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::journal::Record;
use ota_core::policy::Question;
use ota_core::slot::{Compared, FlashError};
use ota_core::status::{Ended, Reason};
use ota_sim::image::ImageBuilder;

use crate::device::OLD;
use crate::talk::{In, Setup, THING, Talk};
use crate::wire::{STREAM, accepted, document, file_member, held, job, next, no_job};

pub(crate) const SECTOR: usize = 1024;
pub(crate) const SLOT: usize = 8 * SECTOR;
/// More of anything than this, in one job, is without bound.
pub(crate) const MANY: u32 = 200;

/// What becomes of an action on flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Done,
    Fails(FlashError),
    /// The driver is dropped, or the power goes: nothing has happened.
    Lost,
    Off,
    /// The driver is dropped, half-way through.
    Torn,
    /// The power goes, half-way through.
    Cut,
}

/// How the device is built.
#[derive(Clone, Copy)]
pub(crate) struct Build {
    pub(crate) mode: BootMode,
    pub(crate) reprogram: Reprogram,
    pub(crate) block_size: u32,
    /// Bytes of the image's payload.
    pub(crate) payload: usize,
}

impl Build {
    pub(crate) const ONE: Build =
        Build { mode: BootMode::SwapMove, reprogram: Reprogram::Allowed, block_size: 512, payload: 5000 };

    fn layout(self) -> ImageLayout {
        let slot = SlotLayout {
            start: 0,
            size: SLOT as u32,
            sector_size: SECTOR as u32,
            write_size: 8,
            erased: 0xFF,
            reprogram: self.reprogram,
            rewrite: false,
            erase_ms: 0,
        };
        ImageLayout::checked(ImageSlots {
            primary: Geometry::checked(slot),
            secondary: Geometry::checked(slot),
            mode: self.mode,
            max_align: MaxAlign::M8,
            boot_write_size: 8,
            max_sectors: 8,
        })
    }

    fn talk(self) -> Talk {
        let layouts: &'static [ImageLayout] = vec![self.layout()].leak();
        let mut config = Config::new(THING, layouts);
        config.block_size = self.block_size;
        config.record_blocks = 1;
        config.progress_blocks = 0;
        config.blocks_per_second = 0;
        config.timing = Timing { self_test_ms: 60_000, ..Timing::DEFAULT };
        let memory = Memory {
            strings: vec![0; Memory::STRINGS].leak(),
            blocks: vec![0; Memory::block_bytes(&layouts[0], self.block_size)].leak(),
            sectors: vec![0; Memory::sector_bytes(&layouts[0])].leak(),
        };
        let mut talk = Talk::new(Setup { mode: self.mode, ..Setup::ONE });
        talk.agent = Agent::new(Box::leak(Box::new(config)), memory).expect("a good configuration");
        let version = ota_sim::Version::new(1, 0, 0, 0);
        talk.files = vec![ImageBuilder::with_random_payload(version, self.payload, 7).unsigned()];
        talk
    }
}

/// The device around the agent.
pub(crate) struct Device {
    pub(crate) build: Build,
    pub(crate) talk: Talk,
    /// The secondary slot; `None`: erased.
    pub(crate) flash: Vec<Option<u8>>,
    pub(crate) hand: Vec<u8>,
    /// Blocks asked for and not sent yet; the network loses those that `loses` says, once.
    pub(crate) asked: Vec<u32>,
    pub(crate) loses: Vec<u32>,
    /// What Jobs was asked, not answered yet.
    pub(crate) question: String,
    pub(crate) journal: Option<Record>,
    pub(crate) boots: ImageState,
    /// How often each sector's erase was begun, and records, requests, withdrawals and confirmations.
    pub(crate) erases: [u32; 8],
    pub(crate) records: u32,
    pub(crate) requests: u32,
    pub(crate) withdrawals: u32,
    pub(crate) confirmations: u32,
    pub(crate) lives: u32,
    /// Policy does not want to activate yet.
    pub(crate) waits: bool,
    pub(crate) trace: Vec<String>,
}

impl Device {
    pub(crate) fn new(build: Build) -> Self {
        let mut device = Device {
            build,
            talk: build.talk(),
            flash: vec![Some(0x55); SLOT],
            hand: Vec::new(),
            asked: Vec::new(),
            loses: Vec::new(),
            question: String::new(),
            journal: None,
            boots: OLD,
            erases: [0; 8],
            records: 0,
            requests: 0,
            withdrawals: 0,
            confirmations: 0,
            lives: 1,
            waits: false,
            trace: Vec::new(),
        };
        device.say(&In::Start);
        device
    }

    pub(crate) fn say(&mut self, input: &In) {
        if let In::Block { data, .. } = input {
            self.hand.clone_from(data);
        }
        self.trace.push(format!("{:>9} {}", self.talk.now, crate::talk::describe(input)));
        self.talk.step(input);
        self.trace.push(format!("    -> {}", self.talk.shown()));
    }

    pub(crate) fn reset(&mut self) {
        let (now, files) = (self.talk.now, std::mem::take(&mut self.talk.files));
        let ended = self.talk.ended;
        self.talk = self.build.talk();
        (self.talk.files, self.talk.now, self.talk.ended) = (files, now + 500, ended);
        self.asked.clear();
        self.lives += 1;
        self.say(&In::Start);
    }

    fn place(&self, part: &Part) -> std::ops::Range<usize> {
        let len = (part.to - part.from) as usize;
        part.at as usize..(part.at as usize + len).next_multiple_of(8)
    }

    fn program(&mut self, part: &Part, torn: bool) {
        let place = self.place(part);
        let mut data = self.hand[part.from as usize..part.to as usize].to_vec();
        data.resize(place.len(), 0xFF);
        let len = if torn { data.len() / 16 * 8 } else { data.len() };
        for (cell, byte) in self.flash[place].iter_mut().zip(data).take(len) {
            assert_eq!(*cell, None, "writes where flash holds something");
            *cell = Some(byte);
        }
    }

    fn compare(&self, part: &Part) -> Compared {
        let held = &self.flash[self.place(part)];
        let data = &self.hand[part.from as usize..part.to as usize];
        if held.iter().zip(data).all(|(held, byte)| *held == Some(*byte)) {
            Compared::Equal
        } else if held.iter().all(Option::is_none) {
            Compared::Blank
        } else {
            Compared::Different
        }
    }

    /// The action is over, as fate has it.
    fn end(&mut self, fate: Fate, done: &In) {
        match fate {
            Fate::Done => self.say(done),
            Fate::Fails(error) => self.say(&In::Flash(error)),
            Fate::Lost | Fate::Torn => {
                self.asked.clear();
                self.say(&In::Lost);
            }
            Fate::Off | Fate::Cut => self.reset(),
        }
    }

    /// Does what the agent asks for until `until` or until nothing more happens; actions on flash as `fate` has it.
    #[track_caller]
    pub(crate) fn play(&mut self, until: impl Fn(&Device) -> bool, mut fate: impl FnMut(&Action) -> Fate) {
        for _ in 0..40_000 {
            if until(self) {
                return;
            }
            self.turn(&mut fate);
        }
        let last = self.trace.len().saturating_sub(80);
        panic!("it never ends: erases {:?}\n{}", self.erases, self.trace[last..].join("\n"));
    }

    fn turn(&mut self, fate: &mut impl FnMut(&Action) -> Fate) {
        let action = self.talk.action;
        match action {
            Action::Inspect { .. } => self.say(&In::Boot(self.boots)),
            Action::Load => self.say(&In::Loaded(self.journal)),
            Action::Erase { sector, .. } => {
                let (fate, at) = (fate(&action), sector as usize * SECTOR);
                self.erases[sector as usize] += 1;
                match fate {
                    Fate::Done => self.flash[at..at + SECTOR].fill(None),
                    Fate::Torn | Fate::Cut => self.flash[at..at + SECTOR / 2].fill(None),
                    Fate::Fails(_) | Fate::Lost | Fate::Off => {}
                }
                self.end(fate, &In::Done);
            }
            Action::Write(part) => {
                let fate = fate(&action);
                match fate {
                    Fate::Done => self.program(&part, false),
                    Fate::Torn | Fate::Cut | Fate::Fails(_) => self.program(&part, true),
                    Fate::Lost | Fate::Off => {}
                }
                self.end(fate, &In::Done);
            }
            Action::Compare(part) => self.say(&In::Compared(self.compare(&part))),
            Action::Record => {
                self.records += 1;
                let fate = fate(&action);
                if fate == Fate::Done {
                    self.journal = Some(self.talk.agent.record());
                }
                self.end(fate, &In::Done);
            }
            Action::Verify { .. } => self.say(&In::Verified),
            Action::SetPending { .. } => {
                self.requests += 1;
                let fate = fate(&action);
                self.end(fate, &In::Done);
            }
            Action::Withdraw { .. } => {
                self.withdrawals += 1;
                let fate = fate(&action);
                self.end(fate, &In::Withdrawn(Withdrawn::ImageKept));
            }
            Action::Confirm { .. } => {
                self.confirmations += 1;
                let fate = fate(&action);
                self.end(fate, &In::Done);
            }
            Action::Consult(Question::Activate) if self.waits => self.say(&In::Later(60_000)),
            Action::Consult(_) => self.say(&In::Yes),
            Action::Publish(Publication::Blocks) => {
                let request = *self.talk.agent.block_request();
                let wanted = |bit: &u32| request.bits[*bit as usize / 8] & (1 << (bit % 8)) != 0;
                self.asked.extend((0..256).filter(wanted).map(|bit| request.offset + bit));
                self.say(&In::Done);
            }
            Action::Publish(Publication::Jobs(_)) => {
                self.question = self.talk.shown();
                self.say(&In::Done);
            }
            Action::Receive { until_ms } | Action::Pause { until_ms } => self.wait(until_ms),
            Action::Finish(_) => self.reset(),
            _network => self.say(&In::Done),
        }
    }

    /// What was asked for is answered; where nothing was, time goes by.
    fn wait(&mut self, until_ms: u64) {
        let question = std::mem::take(&mut self.question);
        let file = self.talk.files[0].clone();
        let job = || {
            let status = if self.records > 0 { "IN_PROGRESS" } else { "QUEUED" };
            job().is(status, 1).document(&document(&[file_member(0, file.len(), &[1])]))
        };
        match question.split_once(' ') {
            Some(("get", rest)) if rest.starts_with("$next") && self.talk.ended.is_none() => {
                self.say(&next(job()))
            }
            Some(("get", rest)) if !rest.starts_with("$next") => self.say(&held(job())),
            Some(("update", rest)) => {
                let status = rest.split(' ').nth(1).expect("a status");
                self.say(&accepted(status, 2));
            }
            Some(("get", _)) => self.say(&no_job()),
            _ if !self.asked.is_empty() => {
                let number = self.asked.remove(0);
                if let Some(lost) = self.loses.iter().position(|lost| *lost == number) {
                    self.loses.remove(lost);
                    return;
                }
                let size = self.build.block_size as usize;
                let from = number as usize * size;
                let data = file[from..file.len().min(from + size)].to_vec();
                self.say(&In::Block { stream: STREAM, file: 0, block: number, data });
            }
            _ => {
                self.talk.now = until_ms;
                self.say(&In::Timeout);
            }
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.talk.ended.is_some()
    }

    #[track_caller]
    pub(crate) fn assert_failed(&self, reason: Reason) {
        assert_eq!(self.talk.ended, Some(Ended::Failed(reason)), "{}", self.trace.join("\n"));
        self.assert_little_wear();
    }

    #[track_caller]
    pub(crate) fn assert_little_wear(&self) {
        let most = self.erases.iter().max().expect("sectors");
        let counts = [*most, self.records, self.requests, self.withdrawals, self.confirmations];
        assert!(counts.iter().all(|count| *count < MANY), "{counts:?}\n{}", self.trace.join("\n"));
    }
}

pub(crate) fn when(fits: impl Fn(&Action) -> bool, fate: Fate) -> impl FnMut(&Action) -> Fate {
    move |action| if fits(action) { fate } else { Fate::Done }
}

pub(crate) fn is_erase(action: &Action) -> bool {
    matches!(action, Action::Erase { .. })
}

pub(crate) fn is_write(action: &Action) -> bool {
    matches!(action, Action::Write(_))
}
