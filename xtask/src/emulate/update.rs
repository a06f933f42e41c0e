//! One update: a new device, a cloud with a job for it, and as many lives of the device as it takes.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use ota_sim::mcuboot::{Action, ImageRecord, Mode, SwapType};
use qemu_board::{Plan, Settings};

use crate::target_folder;

use super::{
    board::Board,
    build::Program,
    cloud::{Cloud, Service, THING},
    device::{Device, Event},
    setting::Setting,
};

/// Nothing may be silent for longer; the agent's longest pause is 64 s and a quarter.
const SILENCE: Duration = Duration::from_secs(120);
/// Longest update, with all its lives.
const UPDATE: Duration = Duration::from_secs(600);
/// How long the device may take to notice that the cloud is gone because the job is over.
const FAREWELL: Duration = Duration::from_secs(5);

/// How a life is to end before its time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kill {
    /// Where the device says that the power failed.
    Plan(Plan<'static>),
    /// At once after so many lines of the console, wherever the device is by then.
    Line(u32),
}

/// When to stop a device that cannot get to its job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Enough {
    /// It has refused the server so often.
    Refusals(usize),
    /// It has connected so often.
    Connections(usize),
}

/// How the job ended and what runs.
pub(crate) struct End {
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) running: ImageRecord,
    pub(crate) time: Duration,
}

impl End {
    /// In the words of the host example.
    pub(crate) fn outcome(&self) -> &'static str {
        match (&*self.status, self.cause()) {
            ("SUCCEEDED", _) => "updated",
            ("REJECTED", _) => "rejected",
            ("CANCELED" | "REMOVED" | "TIMED_OUT", _) => "canceled",
            (_, "reverted") => "reverted",
            (_, _) => "failed",
        }
    }

    /// The reason's fixed spelling; behind a colon may follow a number.
    pub(crate) fn cause(&self) -> &str {
        self.reason.split(':').next().unwrap_or_default()
    }
}

/// Counters by name.
pub(crate) type Counters = BTreeMap<String, u64>;

/// An update under way.
pub(crate) struct Update<'s, 'f> {
    pub(crate) setting: &'s Setting<'f>,
    folder: PathBuf,
    board: Board,
    pub(crate) cloud: Cloud,
    events: (Sender<Event>, Receiver<Event>),
    /// Sums over all lives that came to tell.
    pub(crate) sums: Counters,
    /// Largest values seen.
    pub(crate) peaks: Counters,
    pub(crate) boots: u32,
    pub(crate) resets: u32,
    pub(crate) kills: u32,
    /// In which operation the power failed last.
    pub(crate) power_cut: Option<String>,
    /// What the device said of servers it refused.
    pub(crate) refusals: Vec<String>,
    connections: usize,
    /// When a device that never gets to its job has tried often enough.
    pub(crate) enough: Option<Enough>,
    hashes: [[u8; 32]; 2],
    over: bool,
    lives: u32,
    tenth: u64,
    started: Instant,
}

impl<'s, 'f> Update<'s, 'f> {
    /// Makes the device and starts the cloud.
    pub(crate) fn new(setting: &'s Setting<'f>) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = target_folder().join("emulate").join(name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let events = channel();
        let options = setting.options;
        let pem = setting.job_key.private_pem();
        let service = Service {
            ota: &setting.firmware.ota,
            folder: &folder,
            file: &setting.file,
            job_key: &pem,
            protocol: options.protocol,
            more: &setting.more,
        };
        let cloud = Cloud::start(&service, (events.0.clone(), &events.1))?;
        let mut root = cloud.identity.root.clone();
        if setting.foreign_root {
            // The same name and another key: the device's certificate has one.
            root = cloud.identity.certificate.clone();
        }
        let certificate =
            if setting.foreign_device { &cloud.identity.root } else { &cloud.identity.certificate };
        let settings = Settings {
            part: options.part,
            thing: THING,
            broker: cloud.broker,
            server_name: setting.server_name,
            root: &root,
            certificate,
            device_key: &cloud.identity.key,
            job_key: setting.trusted_job_key.public_spki(),
            image_key: setting.image_key.public_spki(),
        };
        let board = Board::new(&folder, &setting.factory, &settings)?;
        let hash = |image: &[u8]| {
            let mut digest = ota_core::verify::Digest::new();
            let header = ota_core::image::Header::parse(image).ok();
            if let Some(end) = header.and_then(|header| header.hashed_size()) {
                digest.set_image_end(end);
            }
            digest.update(image);
            digest.finish().image.unwrap_or_default()
        };
        let hashes = [hash(&setting.factory), hash(&setting.file)];
        Ok(Self {
            setting,
            folder,
            board,
            cloud,
            events,
            sums: Counters::new(),
            peaks: Counters::new(),
            boots: 0,
            resets: 0,
            kills: 0,
            power_cut: None,
            refusals: Vec::new(),
            connections: 0,
            enough: None,
            hashes,
            over: false,
            lives: 0,
            tenth: 0,
            started: Instant::now(),
        })
    }

    /// Lets the device live until its job is over; `kill` says how each life is to end.
    pub(crate) fn run(&mut self, mut kill: impl FnMut(u32) -> Option<Kill>) -> anyhow::Result<()> {
        self.say("cloud", &format!("{} is queued", self.cloud.job_id));
        loop {
            let plan = kill(self.lives);
            if self.live(plan).with_context(|| format!("life {}, {plan:?}", self.lives))? {
                return Ok(());
            }
            // Whatever the power cut left behind boots, and is one of the two.
            let version = self.look()?.version;
            self.say("host", &format!("power cut; what lies in flash would boot version {version}"));
        }
    }

    /// One life of the device. `true`: there is nothing more to do for it.
    fn live(&mut self, kill: Option<Kill>) -> anyhow::Result<bool> {
        self.lives += 1;
        let life = self.lives;
        let options = self.setting.options;
        let (plan, last_line) = match kill {
            Some(Kill::Plan(plan)) => (Some(plan), None),
            Some(Kill::Line(line)) => (None, Some(line)),
            None => (None, None),
        };
        let device = Device::start(
            &self.setting.firmware.bootloader,
            &self.board.file,
            options.seed.wrapping_mul(1000).wrapping_add(life.into()),
            plan,
            options.count,
            (life, self.events.0.clone()),
        )?;
        let mut lines = 0;
        loop {
            let patience = if self.over { FAREWELL } else { SILENCE };
            ensure!(self.started.elapsed() < UPDATE, "the update does not end");
            match self.events.1.recv_timeout(patience) {
                Ok(Event::Device(of, _) | Event::DeviceEnd(of)) if of != life => {}
                Ok(Event::Device(_, line)) => {
                    lines += 1;
                    let power_lost = self.hear(&line)?;
                    if power_lost || last_line == Some(lines) {
                        if !power_lost {
                            self.power_cut = Some(format!("the work after `{line}`"));
                        }
                        device.kill()?;
                        self.kills += 1;
                        return Ok(false);
                    }
                    if self.has_tried_enough() {
                        device.kill()?;
                        return Ok(true);
                    }
                }
                Ok(Event::DeviceEnd(_)) => {
                    let status = device.wait()?;
                    ensure!(status.success(), "the device ended with {status}");
                    return Ok(true);
                }
                Ok(Event::Cloud(line)) => {
                    if self.cloud.hear(&line) {
                        self.say("cloud", &line);
                    }
                }
                Ok(Event::CloudEnd) => self.over = true,
                Err(RecvTimeoutError::Timeout) if self.over => {
                    device.kill()?;
                    return Ok(true);
                }
                Err(_) => bail!("nothing happens any more"),
            }
        }
    }

    fn has_tried_enough(&self) -> bool {
        match self.enough {
            Some(Enough::Refusals(count)) => self.refusals.len() >= count,
            Some(Enough::Connections(count)) => self.connections >= count,
            None => false,
        }
    }

    /// Takes note of a line of the console; `true` if the power has failed.
    fn hear(&mut self, line: &str) -> anyhow::Result<bool> {
        let Some(line) = line.strip_prefix("@ ") else {
            self.say("device", line);
            return Ok(false);
        };
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "bootloader" => {
                self.boots += 1;
                self.add("bootloader_", rest);
            }
            "agent" | "flash" => self.add("", rest),
            "stack" | "instructions" => {
                self.connections += usize::from(rest.starts_with("tls_open"));
                self.peak(kind, rest);
            }
            "held" => self.held(rest),
            "state" if rest == "Resetting" => self.resets += 1,
            "tls-refused" => {
                self.say("device", &format!("a server was refused: {rest}"));
                self.refusals.push(rest.to_owned());
            }
            "power-lost" => {
                self.say("device", &format!("power lost in {rest}"));
                self.power_cut = Some(rest.to_owned());
                return Ok(true);
            }
            "panic" => bail!("the device panicked: {rest}"),
            _ => {}
        }
        Ok(false)
    }

    /// Adds the numbers of `name=number ..`.
    fn add(&mut self, prefix: &str, numbers: &str) {
        for (name, number) in pairs(numbers) {
            let sum = self.sums.entry(format!("{prefix}{name}")).or_default();
            *sum = if name.starts_with("max_") { number.max(*sum) } else { *sum + number };
        }
    }

    fn peak(&mut self, kind: &str, numbers: &str) {
        for (name, number) in pairs(numbers) {
            let peak = self.peaks.entry(format!("{kind}_{name}")).or_default();
            *peak = number.max(*peak);
        }
    }

    /// Ten lines a download, not one a block.
    fn held(&mut self, words: &str) {
        let mut numbers = words.split('/').filter_map(|word| word.parse::<u64>().ok());
        if let (Some(held), Some(total)) = (numbers.next(), numbers.next())
            && total > 0
        {
            let tenth = held * 10 / total;
            if tenth != std::mem::replace(&mut self.tenth, tenth) && tenth > 0 {
                self.say("device", &format!("{held} of {total} blocks"));
            }
        }
    }

    fn say(&self, who: &str, text: &str) {
        if !self.setting.options.quiet {
            println!("{:<7} {text}", format!("{who}:"));
        }
    }

    /// Boots a copy of the flash: what runs must be one of the two images, whole; and so must be what it could be taken back
    /// to. Answers what runs first.
    fn look(&self) -> anyhow::Result<ImageRecord> {
        let boots = self.board.boot_copy()?;
        let running = boots.map(|boot| boot.running.unwrap_or_default());
        for image in running {
            ensure!(self.hashes.contains(&image.hash), "neither of the two images boots, but {image:?}");
        }
        if matches!(boots[0].action, Action::Test | Action::Resumed(SwapType::Test)) {
            let (old, back) = (self.hashes[0], boots[1]);
            ensure!(running[1].hash == old, "the way back from an image on trial is spoilt: {back:?}");
        }
        Ok(running[0])
    }

    /// The end: the job's status and what boots must agree.
    pub(crate) fn end(&mut self) -> anyhow::Result<End> {
        while !self.over {
            match self.events.1.recv_timeout(FAREWELL) {
                Ok(Event::Cloud(line)) => {
                    if self.cloud.hear(&line) {
                        self.say("cloud", &line);
                    }
                }
                Ok(Event::CloudEnd) => self.over = true,
                Ok(Event::Device(..) | Event::DeviceEnd(_)) => {}
                Err(_) => break,
            }
        }
        if self.over {
            self.cloud.finish()?;
        }
        let running = self.look()?;
        let end = End {
            status: self.cloud.status.clone(),
            reason: self.cloud.reason.clone(),
            running,
            time: self.started.elapsed(),
        };
        let new_runs = running.hash == self.hashes[1];
        let agree = match end.outcome() {
            "updated" => new_runs,
            "rejected" | "reverted" | "canceled" => !new_runs,
            // A test that fails with no way back leaves the new image running, and says so.
            _ => new_runs == (end.cause() == "self_test_failed_no_revert"),
        };
        let (status, version) = (&end.status, running.version);
        ensure!(agree, "the job is {status} ({}), but version {version} runs", end.reason);
        let violations = self.sums.get("flash_violations").copied().unwrap_or(0);
        ensure!(violations == 0, "{violations} flash operations that no chip would have taken");
        Ok(end)
    }

    /// Whether the bootloader takes an image back that has not confirmed itself.
    pub(crate) fn can_revert(&self) -> bool {
        self.setting.options.part.mode != Mode::Overwrite
    }

    /// How an update ends that nothing disturbs.
    pub(crate) fn expected_without_cuts(&self) -> &'static str {
        match (self.setting.program, self.setting.options.part.mode) {
            (Program::First | Program::Second, _) => "updated",
            (Program::Broken, Mode::Overwrite) => "failed",
            (
                Program::Broken,
                Mode::SwapScratch | Mode::SwapMove | Mode::SwapOffset | Mode::SwapStatus(_),
            ) => "reverted",
        }
    }
}

impl Drop for Update<'_, '_> {
    fn drop(&mut self) {
        if !self.setting.options.keep && !std::thread::panicking() {
            // What cannot be removed is in the folder of what is built.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// `name=number` pairs in a line.
fn pairs(numbers: &str) -> impl Iterator<Item = (&str, u64)> {
    numbers.split_whitespace().filter_map(|word| {
        let (name, number) = word.split_once('=')?;
        Some((name, number.parse().ok()?))
    })
}
