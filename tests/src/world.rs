//! Plays a scenario: boots, runs, loses its power, boots again.

use std::cell::{Cell, RefCell};
use std::pin::pin;

use ota_core::agent::{Agent, Config, Destination, Memory, Outcome, Timing};
use ota_core::boot::{Image, Images, SharedFlash};
use ota_core::driver::{Device, Local, run};
use ota_core::journal::{FlashJournal, Journal, NoJournal, Record};
use ota_core::verify::{EcdsaP256, PublicKey, Rules};
use ota_sim::aws::{Link, OtaSpec, Service, Status};

use crate::application::{Application, Consent, Tally};
use crate::board::{Board, Flash};
use crate::cloud::{Cloud, Ran, SimConnector, SimTimer};
use crate::director::Director;
use crate::ranges::SimRanges;
use crate::report::Report;
use crate::scenario::{Drops, Factory, JOB, Scenario, THING};
use crate::witness::{Promises, Witness};
use crate::yielding::Yielding;

/// How long a reset takes, ms.
const RESET_MS: u64 = 500;
/// More boots than this are a reset loop.
const BOOTS_MAX: u32 = 100;

pub(crate) struct World<'s, const PW: usize, const PE: usize, const SW: usize, const SE: usize> {
    scenario: &'s Scenario,
    board: Board<PW, PE, SW, SE>,
    cloud: Cloud,
    factory: &'s Factory,
    promises: Promises,
    /// Bytes served over HTTP.
    served: Cell<u64>,
}

impl<'s, const PW: usize, const PE: usize, const SW: usize, const SE: usize> World<'s, PW, PE, SW, SE> {
    pub(crate) fn new(scenario: &'s Scenario, factory: &'s Factory) -> Self {
        let plan = scenario.kind.plan(scenario.mode, scenario.slot_size, u32::from(scenario.image_count));
        let board = Board::new(plan);
        for (layout, old) in board.plan.layouts.iter().zip(&factory.old) {
            board.inside.borrow_mut().poke(layout.primary().start(), old).expect("the factory programs it");
        }
        let mut service = Service::new(scenario.service.clone());
        service.add_thing(THING);
        if let Some((job, spec)) = factory.specs.first() {
            service.create_ota_job(0, THING, job, spec);
        }
        let link = Link::new(service, THING, scenario.link.clone());
        let yields = scenario.drops != Drops::Never;
        let cloud = Cloud::new(link, board.supply.clone(), yields, scenario.mangle);
        World { scenario, board, cloud, factory, promises: Promises::new(factory), served: Cell::new(0) }
    }

    pub(crate) fn play(self) -> Report {
        let director =
            Director::new(&self.cloud, &self.factory.specs, &self.scenario.events, self.scenario.drops);
        let tally = RefCell::new(Tally::default());
        let mut cuts = self.scenario.cuts.iter();
        if let Some(cut) = cuts.next() {
            self.board.supply.arm(*cut);
        }
        let mut power_on = || {
            let was_planned = !self.board.supply.is_armed();
            self.board.supply.power_on();
            if let Some(cut) = cuts.next().filter(|_| was_planned) {
                self.board.supply.arm(*cut);
            }
        };
        let stuck = loop {
            if self.cloud.clock.get() > self.scenario.time_max_ms || tally.borrow().boots >= BOOTS_MAX {
                break true;
            }
            tally.borrow_mut().boots += 1;
            let before = self.board.supply.operations();
            let boot = self.board.boot();
            tally.borrow_mut().bootloader.push(before..self.board.supply.operations());
            let Some(boot) = boot else {
                power_on();
                continue;
            };
            if crate::is_tracing() {
                eprintln!("{} boot {:?}", self.cloud.clock.get(), boot.images());
            }
            assert!(boot.starts(), "nothing boots any more: a brick; {tally:#?}");
            let versions = boot.images().iter().map(|image| image.running.map(|running| running.version));
            tally.borrow_mut().booted.push(versions.collect());
            director.booting();
            match self.run_device(&director, &tally) {
                Ran::Returned(Outcome::Reset) => tally.borrow_mut().resets += 1,
                Ran::Returned(Outcome::Stopped) => break false,
                Ran::PowerLost => power_on(),
                Ran::Stuck | Ran::Dropped => break true,
            }
            self.cloud.clock.set(self.cloud.clock.get() + RESET_MS);
        };
        let drop_is_ahead = director.drop_is_ahead();
        self.report(tally.into_inner(), stuck, drop_is_ahead)
    }

    fn run_device(&self, director: &Director<'_>, tally: &RefCell<Tally>) -> Ran<Outcome> {
        let journal = self.scenario.journal.then(|| {
            let flash = Yielding { flash: SharedFlash::new(&self.board.inside), cloud: &self.cloud };
            FlashJournal::<_, PE>::with_buffer(flash, self.board.plan.journal).expect("a journal that fits")
        });
        match journal {
            Some(journal) => self.run_journaled(journal, director, tally),
            None => self.run_journaled(NoJournal, director, tally),
        }
    }

    fn run_journaled<J: Journal>(
        &self,
        journal: J,
        director: &Director<'_>,
        tally: &RefCell<Tally>,
    ) -> Ran<Outcome> {
        let Board { inside, outside, plan, .. } = &self.board;
        match *plan.secondaries {
            [1] => self.run_application(self.image(0, outside), journal, director, tally),
            [1, 1] => {
                let images = (self.image(0, outside), self.image(1, outside));
                self.run_application(images, journal, director, tally)
            }
            [1, 0] => {
                let images = (self.image(0, outside), self.image(1, inside));
                self.run_application(images, journal, director, tally)
            }
            _ => panic!("a device with secondaries in {:?} is not built", plan.secondaries),
        }
    }

    fn image<'w, const W: usize, const E: usize>(
        &'w self,
        number: usize,
        secondary: &'w RefCell<Flash<W, E>>,
    ) -> impl Images + 'w {
        let inside = Yielding { flash: SharedFlash::new(&self.board.inside), cloud: &self.cloud };
        let secondary = Yielding { flash: SharedFlash::new(secondary), cloud: &self.cloud };
        let image = Image::<_, _, 512>::with_unit(inside, secondary, self.board.plan.layouts[number]);
        image.expect("slots that fit").with_number(number as u8)
    }

    fn run_application<I: Images, J: Journal>(
        &self,
        images: I,
        journal: J,
        director: &Director<'_>,
        tally: &RefCell<Tally>,
    ) -> Ran<Outcome> {
        let (scenario, layouts) = (self.scenario, &self.board.plan.layouts);
        let block_size = scenario.block_size;
        let most = |bytes: fn(&ota_core::geometry::ImageLayout, u32) -> usize| {
            layouts.iter().map(|layout| bytes(layout, block_size)).max().unwrap_or(0)
        };
        let (blocks, sectors) = match scenario.bundle {
            Some(_) => {
                (Memory::bundle_block_bytes(layouts, block_size), Memory::bundle_sector_bytes(layouts))
            }
            None => (most(Memory::block_bytes), most(|layout, _| Memory::sector_bytes(layout))),
        };
        let (mut blocks, mut sectors) = (vec![0; blocks], vec![0; sectors]);
        let mut strings = [0; Memory::STRINGS_WITH_URL];
        let destination = |image| Destination { file_id: Some(image), image, ..Destination::default() };
        let destinations: Vec<_> = (0..scenario.image_count).map(destination).collect();
        let mut config = Config::new(THING, layouts);
        config.destinations = &destinations;
        config.block_size = block_size;
        config.format = scenario.format;
        config.planes = scenario.planes;
        config.one_session_ms = scenario.one_session_ms;
        config.range_size = scenario.range_size;
        config.record_blocks = scenario.record_blocks;
        config.seed = scenario.seed as u32 ^ tally.borrow().boots;
        config.timing = Timing { self_test_ms: 60_000, ..Timing::DEFAULT };
        let memory = Memory { strings: &mut strings, blocks: &mut blocks, sectors: &mut sectors };
        let mut agent = Agent::new(&config, memory).expect("a good configuration");

        let keys = [PublicKey::spki(self.factory.job_key.public_spki()).expect("a P-256 key")];
        // Whatever happens, a record promises only what flash holds: it is all that the next boot goes by.
        let faults = &scenario.link.faults;
        let no_flips = faults.blocks.flip_pct == 0 && faults.control.flip_pct == 0;
        let check = |record: &Record| {
            if !no_flips {
                // A block that came under another's number is flash's truth until the hash is taken.
                return;
            }
            let promised = self.promises.check(record, |image, len| self.secondary(image, len));
            tally.borrow_mut().promised += promised;
        };
        let rules =
            Rules { job: EcdsaP256::new(&keys).expect("one key"), image_keys: &[], reset_vector: None };
        let wear = || self.board.wear();
        let application = Application { director, tally, self_test: scenario.self_test, wear: &wear };
        let mut block = vec![0; block_size as usize];
        let mut buffer = vec![0; 2048.max(block_size as usize)];
        let mut device = Device {
            connector: SimConnector(&self.cloud),
            ranges: SimRanges::new(&self.cloud, &scenario.object, &self.factory.specs, &self.served),
            local: Local::new(
                images,
                Witness { journal, check: &check },
                rules,
                Consent { permissive: scenario.permissive },
                application,
            ),
            timer: SimTimer(&self.cloud),
            commands: &director.commands,
            buffer: &mut buffer,
            block: &mut block,
        };
        let ran = loop {
            let future = pin!(run(&mut agent, &mut device));
            match self.cloud.drive(future, scenario.time_max_ms, director) {
                Ran::Dropped => {}
                ran => break ran,
            }
        };
        tally.borrow_mut().add(agent.statistics());
        ran
    }

    /// What lies where the file for an image goes.
    fn secondary(&self, image: usize, len: usize) -> Vec<u8> {
        let (layout, device) = (&self.board.plan.layouts[image], self.board.plan.secondaries[image]);
        let (at, mut held) = (layout.secondary().start() + layout.image_offset(), vec![0; len]);
        let peeked = match device {
            0 => self.board.inside.borrow().peek(at, &mut held),
            _ => self.board.outside.borrow().peek(at, &mut held),
        };
        peeked.expect("in bounds");
        held
    }

    fn report(self, tally: Tally, stuck: bool, drop_is_ahead: bool) -> Report {
        let layouts = &self.board.plan.layouts;
        let holds = |number: usize, image: &[u8]| {
            let mut held = vec![0; image.len()];
            let start = layouts[number].primary().start();
            self.board.inside.borrow().peek(start, &mut held).expect("in bounds");
            held == image
        };
        let running = |number: usize| {
            let content = |spec: &OtaSpec| {
                spec.files.iter().find(|f| usize::from(f.id) == number).map(|f| f.content.clone())
            };
            let offered = |(_, spec): &(String, OtaSpec)| content(spec).is_some_and(|c| holds(number, &c));
            if holds(number, &self.factory.old[number]) {
                return Some(0);
            }
            let bundled =
                |images: &Vec<Vec<u8>>| images.get(number).is_some_and(|image| holds(number, image));
            let offer = self.factory.specs.iter().position(offered);
            offer.or_else(|| self.factory.bundled.iter().position(bundled)).map(|offer| offer + 1)
        };
        let link = self.cloud.link.borrow();
        let executions = link.service().executions(THING).to_vec();
        let last = link.service().job_execution(JOB, THING);
        Report {
            status: last.map_or(Status::Removed, |execution| execution.status),
            reason: last.and_then(|execution| execution.detail("reason")).unwrap_or_default().into(),
            executions,
            ended: tally.ended,
            running: (0..layouts.len()).map(running).collect(),
            booted: tally.booted,
            offered: self.factory.specs.iter().map(|(job, _)| job.clone()).collect(),
            boots: tally.boots,
            resets: tally.resets,
            layout: layouts[0],
            wear: tally.wear,
            most_erases: self.board.most_erases(),
            operations: self.board.supply.operations(),
            bootloader: tally.bootloader,
            violations: self.board.outside.borrow().strict_violations()
                + self.board.inside.borrow().strict_violations(),
            statistics: tally.statistics,
            promised: tally.promised,
            link: link.counters(),
            states: tally.states,
            entered_at: tally.entered_at,
            dropped: tally.dropped,
            stuck,
            drop_is_ahead,
            took_ms: self.cloud.clock.get(),
            image_size: self
                .factory
                .specs
                .first()
                .and_then(|(_, spec)| spec.files.first())
                .map_or(0, |f| f.content.len() as u32),
        }
    }
}
