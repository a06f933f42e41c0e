//! A whole update, from the factory image to the job's end, as data.

use std::cell::{Cell, RefCell};
use std::pin::pin;

use ota_core::agent::{Agent, Config, Memory, Outcome, Plane, StateKind, Statistics, Timing};
use ota_core::boot::{Image, SharedFlash};
use ota_core::command::{Command, Commands};
use ota_core::driver::{Device, Local, run};
use ota_core::geometry::BootMode;
use ota_core::journal::{FlashJournal, Journal, NoJournal};
use ota_core::policy::{Answer, Drop, Observer, Policy, Question};
use ota_core::status::Ended;
use ota_core::verify::{EcdsaP256, PublicKey, Rules};
use ota_core::wire::Format;
use ota_sim::Version;
use ota_sim::aws::{Faults, Link, LinkConfig, OtaSpec, Service, ServiceConfig, Status};
use ota_sim::flash::{Cut, Device as _};
use ota_sim::image::{ImageBuilder, Key};

use crate::board::{Board, Kind};
use crate::cloud::{Cloud, Ran, SimConnector, SimTimer};
use crate::ranges::{Object, SimRanges};

/// Name of the device.
pub const THING: &str = "dev-7";
/// Name of the job.
pub const JOB: &str = "AFR_OTA-rel-1";

/// What the new image makes of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// It works.
    Pass,
    /// It does not.
    Fail,
    /// It never says.
    Hang,
}

/// One update.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Source of everything random: keys, payloads, faults.
    pub seed: u64,
    /// The device.
    pub kind: Kind,
    /// Its bootloader.
    pub mode: BootMode,
    /// With a journal.
    pub journal: bool,
    /// Bytes of the new image's payload.
    pub payload: usize,
    /// Bytes of a block.
    pub block_size: u32,
    /// Encoding of blocks.
    pub format: Format,
    /// Version offered; 0.9.0 runs.
    pub offered: Version,
    /// The link's faults and limits.
    pub link: LinkConfig,
    /// Power cut, counted over the operations of application and bootloader.
    pub cut: Option<Cut>,
    /// Result of the self test.
    pub self_test: SelfTest,
    /// Drop the driver's future after so many polls, again and again.
    pub drop_after: Option<u32>,
    /// Answers `Yes` to everything the policy is asked.
    pub permissive: bool,
    /// The data planes of the device, in its order.
    pub planes: &'static [Plane],
    /// What the URL of a job over HTTP leads to.
    pub object: Object,
    /// Changes the job before it is queued.
    pub tamper: fn(&mut OtaSpec),
    /// Virtual milliseconds the whole may take.
    pub time_max_ms: u64,
}

impl Scenario {
    /// A good update of a small image on a perfect link.
    pub fn new(kind: Kind, mode: BootMode) -> Self {
        Scenario {
            seed: 1,
            kind,
            mode,
            journal: true,
            payload: match kind {
                Kind::Nor4k => 20_000,
                Kind::Nor512 => 6_000,
                Kind::Nor32 => 14_000,
                Kind::Rows => 9_000,
                Kind::External => 40_000,
            },
            block_size: match kind {
                Kind::Nor512 | Kind::Rows => 512,
                Kind::Nor4k | Kind::Nor32 => 1024,
                Kind::External => 4096,
            },
            format: Format::Cbor,
            offered: Version { major: 1, minor: 0, revision: 0, build: 0 },
            link: LinkConfig { faults: Faults::default(), ..LinkConfig::default() },
            cut: None,
            self_test: SelfTest::Pass,
            drop_after: None,
            permissive: false,
            planes: &[Plane::Mqtt],
            object: Object::default(),
            tamper: |_| {},
            time_max_ms: 24 * 3_600_000,
        }
    }

    /// Plays it.
    pub fn run(&self) -> Report {
        match self.kind {
            Kind::Nor4k => self.play::<8, 4096, 8, 4096>(),
            Kind::Nor512 => self.play::<1, 512, 1, 512>(),
            Kind::Nor32 => self.play::<32, 2048, 32, 2048>(),
            Kind::Rows => self.play::<512, 512, 512, 512>(),
            Kind::External => self.play::<512, 512, 512, 0x40000>(),
        }
    }

    fn play<const PW: usize, const PE: usize, const SW: usize, const SE: usize>(&self) -> Report {
        let plan = self.kind.plan(self.mode);
        let board = Board::<PW, PE, SW, SE>::new(plan);
        let (boot_key, job_key) = (Key::from_seed(self.seed), Key::from_seed(self.seed ^ 0x4A4F_4253));
        let image = |version, seed| {
            ImageBuilder::with_random_payload(version, self.payload, seed)
                .header_size(0x400)
                .erased(plan.layout.primary().erased())
                .signed(&boot_key)
        };
        let old = image(Version { major: 0, minor: 9, revision: 0, build: 0 }, self.seed);
        let new = image(self.offered, self.seed + 1);
        board.inside.borrow_mut().poke(plan.layout.primary().start(), &old).expect("the factory programs it");

        let mut service = Service::new(ServiceConfig { seed: self.seed, ..ServiceConfig::default() });
        service.add_thing(THING);
        let mut spec = OtaSpec::mqtt(new.clone(), &job_key.sign_job_base64(&new));
        if self.planes.contains(&Plane::Http) {
            spec.protocols = self.planes.iter().map(|plane| format!("{plane:?}").to_uppercase()).collect();
            spec.files[0].url = Some("${aws:iot:s3-presigned-url:https://bucket.example/app.bin}".into());
        }
        (self.tamper)(&mut spec);
        service.create_ota_job(0, THING, JOB, &spec);
        let cloud = Cloud::new(Link::new(service, THING, self.link.clone()), board.supply.clone());
        let world = World { scenario: self, board, cloud, old, new, job_key, served: Cell::new(0) };
        world.play()
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Report {
    /// Final status of the job at the cloud.
    pub status: Status,
    /// `statusDetails.reason`, if any.
    pub reason: String,
    /// How the agent says the job ended, if it said.
    pub ended: Option<Ended>,
    /// The primary slot holds exactly the old image.
    pub old_runs: bool,
    /// The primary slot holds exactly the new image.
    pub new_runs: bool,
    /// Times the device came up.
    pub boots: u32,
    /// Resets the agent asked for.
    pub resets: u32,
    /// Most erases of one sector of the secondary slot by the application.
    pub max_erases_per_sector: u32,
    /// Bytes the application wrote to the secondary's device.
    pub bytes_written: u64,
    /// Operations of the application and the bootloader together.
    pub operations: u32,
    /// Operations that real flash would have refused.
    pub violations: u32,
    /// Counters of the agent, summed over all boots.
    pub statistics: Statistics,
    /// The states gone through.
    pub states: Vec<StateKind>,
    /// The scenario ran out of time.
    pub stuck: bool,
    /// Virtual milliseconds it took.
    pub took_ms: u64,
    /// Bytes of the image file.
    pub image_size: usize,
}

impl Report {
    /// The device is alive and tells the truth: it runs one whole image, the job has ended, and `SUCCEEDED` stands exactly
    /// where the new image runs.
    ///
    /// # Panics
    /// It is not.
    pub fn assert_sane(&self, context: &str) {
        assert!(!self.stuck, "{context}: stuck: {self:#?}");
        assert!(self.old_runs != self.new_runs, "{context}: neither image is whole: {self:#?}");
        assert_eq!(self.violations, 0, "{context}: real flash would have refused: {self:#?}");
        assert!(self.status.is_terminal(), "{context}: the job never ended: {self:#?}");
        if self.status == Status::Succeeded {
            assert!(self.new_runs, "{context}: SUCCEEDED is a lie: {self:#?}");
        }
    }

    /// The update went through.
    ///
    /// # Panics
    /// It did not.
    pub fn assert_updated(&self, context: &str) {
        self.assert_sane(context);
        assert_eq!(self.status, Status::Succeeded, "{context}: {self:#?}");
    }
}

struct World<'s, const PW: usize, const PE: usize, const SW: usize, const SE: usize> {
    scenario: &'s Scenario,
    board: Board<PW, PE, SW, SE>,
    cloud: Cloud,
    old: Vec<u8>,
    new: Vec<u8>,
    job_key: Key,
    /// Bytes served over HTTP.
    served: Cell<u64>,
}

impl<const PW: usize, const PE: usize, const SW: usize, const SE: usize> World<'_, PW, PE, SW, SE> {
    fn play(self) -> Report {
        let mut tally = Tally::default();
        if let Some(cut) = self.scenario.cut {
            self.board.supply.arm(cut);
        }
        let stuck = loop {
            if self.cloud.clock.get() > self.scenario.time_max_ms {
                break true;
            }
            tally.boots += 1;
            let Some(boot) = self.board.boot() else {
                self.board.supply.power_on();
                continue;
            };
            if std::env::var_os("TRACE").is_some() {
                eprintln!("{} boot {:?}", self.cloud.clock.get(), boot.image(0));
            }
            assert!(boot.starts(), "nothing boots any more: a brick; {tally:#?}");
            match self.boot_once(&mut tally) {
                Ran::Returned(Outcome::Reset) => tally.resets += 1,
                Ran::Returned(Outcome::Stopped) => break false,
                Ran::PowerLost => self.board.supply.power_on(),
                Ran::Stuck | Ran::Dropped => break true,
            }
            // A reset takes a while.
            self.cloud.clock.set(self.cloud.clock.get() + 500);
        };
        self.report(tally, stuck)
    }

    fn boot_once(&self, tally: &mut Tally) -> Ran<Outcome> {
        if self.scenario.journal {
            let journal = FlashJournal::<_, PE>::with_buffer(
                SharedFlash::new(&self.board.inside),
                self.board.plan.journal,
            );
            self.run_application(journal.expect("a journal that fits"), tally)
        } else {
            self.run_application(NoJournal, tally)
        }
    }

    fn run_application<J: Journal>(&self, journal: J, tally: &mut Tally) -> Ran<Outcome> {
        let layouts = [self.board.plan.layout];
        let block_size = self.scenario.block_size;
        let mut blocks = vec![0; Memory::block_bytes(&layouts[0], block_size)];
        let mut sectors = vec![0; Memory::sector_bytes(&layouts[0])];
        let mut strings = [0; Memory::STRINGS_WITH_URL];
        let mut config = Config::new(THING, &layouts);
        config.block_size = block_size;
        config.planes = self.scenario.planes;
        config.format = self.scenario.format;
        config.record_blocks = 4;
        config.seed = self.scenario.seed as u32 ^ tally.boots;
        config.timing = Timing { self_test_ms: 60_000, ..Timing::DEFAULT };
        let memory = Memory { strings: &mut strings, blocks: &mut blocks, sectors: &mut sectors };
        let mut agent = Agent::new(config, memory).expect("a good configuration");

        let inside = || SharedFlash::new(&self.board.inside);
        let image =
            Image::<_, _, 512>::with_unit(inside(), SharedFlash::new(&self.board.outside), layouts[0]);
        let spki = self.job_key.public_spki();
        let keys = [PublicKey::spki(spki).expect("a P-256 key")];
        let rules =
            Rules { job: EcdsaP256::new(&keys).expect("one key"), image_keys: &[], reset_vector: None };
        let commands = Commands::new();
        let seen = RefCell::new(Vec::new());
        let ended = Cell::new(None);
        let application = Application {
            cloud: &self.cloud,
            commands: &commands,
            seen: &seen,
            ended: &ended,
            self_test: self.scenario.self_test,
        };
        let mut block = vec![0; block_size as usize];
        let mut buffer = vec![0; 2048.max(block_size as usize)];
        let mut device = Device {
            connector: SimConnector(&self.cloud),
            ranges: SimRanges::new(&self.cloud, &self.scenario.object, &self.new, &self.served),
            local: Local::new(
                image.expect("slots that fit"),
                journal,
                rules,
                Consent { permissive: self.scenario.permissive },
                application,
            ),
            timer: SimTimer(&self.cloud),
            commands: &commands,
            buffer: &mut buffer,
            block: &mut block,
        };
        let ran = loop {
            let future = pin!(run(&mut agent, &mut device));
            match self.cloud.drive(future, self.scenario.time_max_ms, self.scenario.drop_after) {
                Ran::Dropped => {}
                ran => break ran,
            }
        };
        tally.states.extend(seen.borrow().iter());
        tally.ended = ended.get().or(tally.ended);
        tally.add(agent.statistics());
        ran
    }

    fn report(self, tally: Tally, stuck: bool) -> Report {
        let plan = &self.board.plan;
        let holds = |image: &[u8]| {
            let mut held = vec![0; image.len()];
            self.board.inside.borrow().peek(plan.layout.primary().start(), &mut held).expect("in bounds");
            held == image
        };
        let link = self.cloud.link.borrow();
        let execution = link.service().job_execution(JOB, THING).expect("the job was queued");
        let outside = self.board.outside.borrow();
        let counters = outside.counters_of(ota_sim::flash::Actor::Application);
        let end = outside.config().size;
        Report {
            status: execution.status,
            reason: execution
                .details
                .iter()
                .find(|(name, _)| name == "reason")
                .map(|(_, value)| value.clone())
                .unwrap_or_default(),
            ended: tally.ended,
            old_runs: holds(&self.old),
            new_runs: holds(&self.new),
            boots: tally.boots,
            resets: tally.resets,
            max_erases_per_sector: outside.max_erases_per_sector(0..end),
            bytes_written: counters.bytes_written,
            operations: self.board.supply.operations(),
            violations: outside.strict_violations() + self.board.inside.borrow().strict_violations(),
            statistics: tally.statistics,
            states: tally.states,
            stuck,
            took_ms: self.cloud.clock.get(),
            image_size: self.new.len(),
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    boots: u32,
    resets: u32,
    states: Vec<StateKind>,
    ended: Option<Ended>,
    statistics: Statistics,
}

impl Tally {
    fn add(&mut self, more: &Statistics) {
        let sum = &mut self.statistics;
        sum.block_requests += more.block_requests;
        sum.ranges += more.ranges;
        sum.url_refreshes += more.url_refreshes;
        sum.blocks_received += more.blocks_received;
        sum.duplicates += more.duplicates;
        sum.dropped += more.dropped;
        sum.last_drop = more.last_drop.or(sum.last_drop);
        sum.resumed_blocks += more.resumed_blocks;
        sum.sectors_given_up += more.sectors_given_up;
        sum.records += more.records;
        sum.unexpected += more.unexpected;
    }
}

struct Consent {
    permissive: bool,
}

impl Policy for Consent {
    fn consult(&mut self, question: &Question) -> Answer {
        match question {
            Question::Start | Question::Erase | Question::Activate | Question::JobGoneInTest => Answer::Yes,
            _asked if self.permissive => Answer::Yes,
            _asked => Answer::No,
        }
    }
}

struct Application<'t> {
    cloud: &'t Cloud,
    commands: &'t Commands,
    seen: &'t RefCell<Vec<StateKind>>,
    ended: &'t Cell<Option<Ended>>,
    self_test: SelfTest,
}

impl Observer for Application<'_> {
    fn state(&mut self, _: StateKind, to: StateKind) {
        self.seen.borrow_mut().push(to);
        if to == StateKind::Idle {
            // A boot after everything was said and written down: nothing is left to wait for.
            let link = self.cloud.link.borrow();
            if link
                .service()
                .job_execution(JOB, THING)
                .is_some_and(|execution| execution.status.is_terminal())
            {
                self.commands.say(Command::ShutDown);
            }
        }
        if to == StateKind::Testing {
            match self.self_test {
                SelfTest::Pass => self.commands.say(Command::SelfTestPassed),
                SelfTest::Fail => self.commands.say(Command::SelfTestFailed),
                SelfTest::Hang => {}
            }
        }
    }

    fn dropped(&mut self, _: Drop, _: u32) {}

    fn ended(&mut self, how: Ended) {
        self.ended.set(Some(how));
        self.commands.say(Command::ShutDown);
    }
}
