//! The agent with its own driver of flash, over strict flash whose power fails, and a cloud that says what the bytes say:
//! right answers, wrong ones and anything else.
//!
//! The program ends where the bootloader would swap: what comes after is the business of other tests.

use std::sync::OnceLock;

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::NorFlash as _;
use ota_core::agent::{
    Action, Agent, Config, Failure, Input, MAX_PAYLOAD_SIZE, Memory, Outcome, Publication, TopicBuffer,
};
use ota_core::boot::Image;
use ota_core::command::Command;
use ota_core::driver::{Held, Local};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::journal::{FlashJournal, JournalLayout, JournalRegion, NoJournal};
use ota_core::policy::{DefaultPolicy, NoObserver};
use ota_core::transport::Received;
use ota_core::verify::{Rules, Scheme, VerifyError};
use ota_core::wire::{Format, encode_block};
use ota_sim::Version;
use ota_sim::flash::{Cut, FlashConfig, Kind, Tear, VecFlash, When};
use ota_sim::image::{ImageBuilder, Key};
use serde_json::{Value as Json, json};
use sha2::Digest as _;

use crate::bytes::Bytes;

const BLOCK_SIZE: u32 = 512;
/// Most steps of a program, and of a row that neither waits nor asks the network.
const STEPS: u32 = 3000;
const BUSY: u32 = 100;

const SLOT: SlotLayout = SlotLayout {
    start: 0,
    size: 0x2000,
    sector_size: 1024,
    write_size: 8,
    erased: 0xFF,
    reprogram: Reprogram::Allowed,
    rewrite: false,
    erase_ms: 0,
};
const LAYOUT: ImageLayout = ImageLayout::checked(ImageSlots {
    primary: Geometry::checked(SLOT),
    secondary: Geometry::checked(SLOT),
    mode: BootMode::SwapMove,
    max_align: MaxAlign::M8,
    boot_write_size: 8,
    max_sectors: 8,
});
const JOURNAL: JournalRegion = JournalRegion::checked(JournalLayout {
    start: 0,
    sector_count: 2,
    sector_size: 1024,
    write_size: 8,
    erased: 0xFF,
    reprogram: Reprogram::Allowed,
    rewrite: false,
});

type Flash = VecFlash<8, 1024>;

/// The file of the job, and the image that runs.
fn images() -> &'static [Vec<u8>; 2] {
    static IMAGES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let image = |major, size| {
            let version = Version { major, minor: 0, revision: 0, build: 0 };
            ImageBuilder::with_random_payload(version, size, major.into()).signed(&Key::from_seed(1))
        };
        [image(2, 1200), image(1, 600)]
    })
}

fn file() -> &'static [u8] {
    &images()[0]
}

/// One file has a good signature: the job's. It stands for the arithmetic.
struct ThatFile;

impl Scheme for ThatFile {
    fn check(&self, digest: &[u8; 32], _: &[u8]) -> Result<(), VerifyError> {
        let good = sha2::Sha256::digest(file())[..] == digest[..];
        if good { Ok(()) } else { Err(VerifyError::BadSignature) }
    }
}

/// What the cloud knows of the job.
struct Cloud {
    status: String,
    version: u32,
    details: Json,
    /// Topic and answer of the last request of the device.
    answer: Option<(String, Vec<u8>)>,
}

impl Cloud {
    fn job(&self) -> Json {
        json!({
            "jobId": "j", "status": self.status, "statusDetails": self.details, "versionNumber": self.version,
            "executionNumber": 1,
            "jobDocument": {"afr_ota": {"protocols": ["MQTT"], "streamname": "s", "files": [{
                "filepath": "a", "filesize": file().len(), "fileid": 0, "certfile": "c",
                "sig-sha256-ecdsa": "MAYCAQECAQE=",
            }]}},
        })
    }

    /// What a request of the device does, and the answer to it.
    fn take(&mut self, topic: &str, payload: &[u8], accepts: bool) {
        let request: Json = serde_json::from_slice(payload).expect("the device writes JSON");
        let token = &request["clientToken"];
        let accepts =
            accepts && (request["expectedVersion"].is_null() || request["expectedVersion"] == self.version);
        let answer = if !accepts {
            let state =
                json!({"status": self.status, "versionNumber": self.version, "statusDetails": self.details});
            json!({"clientToken": token, "code": "VersionMismatch", "executionState": state})
        } else if topic.ends_with("/get") {
            json!({"clientToken": token, "execution": if self.is_over() { json!({}) } else { self.job() }})
        } else {
            self.status = request["status"].as_str().expect("an update has a status").to_owned();
            self.version += 1;
            if request["statusDetails"].is_object() {
                self.details = request["statusDetails"].clone();
            }
            let state =
                json!({"status": self.status, "versionNumber": self.version, "statusDetails": self.details});
            json!({"clientToken": token, "executionState": state})
        };
        let end = if accepts { "accepted" } else { "rejected" };
        self.answer = Some((format!("{topic}/{end}"), answer.to_string().into_bytes()));
    }

    fn is_over(&self) -> bool {
        !matches!(self.status.as_str(), "QUEUED" | "IN_PROGRESS")
    }
}

fn block(id: u32) -> (String, Vec<u8>) {
    let from = (id * BLOCK_SIZE) as usize;
    let data = &file()[from.min(file().len())..(from + BLOCK_SIZE as usize).min(file().len())];
    let mut message = vec![0; 700];
    let len = encode_block(Format::Cbor, &mut message, None, 0, id, data).expect("there is room");
    message.truncate(len);
    ("$aws/things/d/streams/s/data/cbor".to_owned(), message)
}

/// A message the device gets: the answer due, a block, or something made of them, or none.
fn message(cloud: &mut Cloud, bytes: &mut Bytes<'_>) -> Option<(String, Vec<u8>)> {
    let choice = bytes.u8();
    let mut sent = match choice {
        0..=7 => return None,
        8..=15 => {
            let ends = [
                "jobs/$next/get/accepted",
                "jobs/notify-next",
                "jobs/j/update/rejected",
                "streams/s/rejected/cbor",
            ];
            let (end, len) = (bytes.pick(&ends), usize::from(bytes.u8()));
            (format!("$aws/things/d/{end}"), bytes.take(len).to_vec())
        }
        16..=23 => ("$aws/things/d/jobs/notify-next".to_owned(), b"{}".to_vec()),
        _ => cloud.answer.take().unwrap_or_else(|| block(bytes.below(4))),
    };
    if choice % 16 == 15 && !sent.1.is_empty() {
        let at = bytes.below(sent.1.len() as u32) as usize;
        sent.1[at] ^= bytes.u8();
    }
    Some(sent)
}

pub(crate) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let blank = |size| {
        Flash::blank(FlashConfig::nor(size, 1024, 8).with_kind(Kind::NorReprogram)).expect("a good part")
    };
    let (mut primary, mut secondary, mut journal) = (blank(0x2000), blank(0x2000), blank(0x800));
    primary.poke(0, &images()[1]).expect("it fits");
    if bytes.u8().is_multiple_of(2) {
        let at = bytes.below(0x1F00 / 8) * 8;
        block_on(secondary.write(at, &[0x55; 64])).expect("it fits and is blank");
    }
    let runs = primary.memory().clone();
    let cloud = &mut Cloud { status: "QUEUED".to_owned(), version: 1, details: json!({}), answer: None };
    let (mut steps, mut now) = (0, 0);
    while steps < STEPS && !bytes.is_empty() {
        let operation = bytes.u8().into();
        let tears = [When::Before, When::After, When::Inside(Tear::Half), When::Inside(Tear::Garbage(1))];
        secondary.arm(Cut { operation, when: bytes.pick(&tears) });
        let ended = live(&mut primary, &mut secondary, &mut journal, cloud, &mut bytes, &mut steps, &mut now);
        secondary.power_on();
        assert_eq!(*primary.memory(), runs, "the image that runs was touched");
        assert_eq!(secondary.strict_violations() + journal.strict_violations(), 0, "flash refused a write");
        let memory = secondary.memory();
        if memory.ends_with(MaxAlign::M8.magic()) {
            assert!(memory.starts_with(file()), "a swap is asked for, but it is not the file");
            return;
        }
        if ended == Some(Outcome::Stopped) {
            return;
        }
    }
}

/// One life of the device; how it ended, unless the power failed or the bytes came to their end.
#[allow(clippy::too_many_arguments, reason = "what outlives a life of the device")]
fn live(
    primary: &mut Flash,
    secondary: &mut Flash,
    journal: &mut Flash,
    cloud: &mut Cloud,
    bytes: &mut Bytes<'_>,
    steps: &mut u32,
    now: &mut u64,
) -> Option<Outcome> {
    let layouts = [LAYOUT];
    let config = Config { block_size: BLOCK_SIZE, record_blocks: 1, ..Config::new("d", &layouts) };
    let (mut strings, mut blocks, mut sectors) = ([0; Memory::STRINGS], [0; 8], [0; 8]);
    let memory = Memory { strings: &mut strings, blocks: &mut blocks, sectors: &mut sectors };
    let mut agent = Agent::new(&config, memory).expect("a good configuration");
    let images = Image::new(primary, secondary, LAYOUT).expect("they fit");
    let journal = FlashJournal::<_, 512>::new(journal, JOURNAL).expect("it fits");
    let rules = Rules { job: ThatFile, image_keys: &[], reset_vector: None };
    let mut local = Local::new(images, journal, rules, DefaultPolicy, NoObserver);
    // Declared before what borrows it.
    let mut hand;
    let mut scratch = [0; 1024];
    let mut held = Held::NONE;
    let mut busy = 0;
    local.step(&mut agent, *now, Input::Start);
    while *steps < STEPS {
        *steps += 1;
        *now += u64::from(bytes.u8() % 16);
        busy += 1;
        assert!(busy < BUSY, "an endless loop at {:?}", agent.action());
        let (all_held, total) = agent.progress();
        assert!(all_held <= total);
        let action = *agent.action();
        if Local::<Image<Flash, Flash>, NoJournal, DefaultPolicy, NoObserver, ThatFile>::can_perform(&action)
        {
            let completion = block_on(local.perform(&mut agent, &held));
            local.step_with(&mut agent, *now, completion);
            continue;
        }
        match action {
            Action::Finish(outcome) => return Some(outcome),
            Action::Pause { until_ms } | Action::Receive { until_ms } => {
                if bytes.is_empty() {
                    return None;
                }
                busy = 0;
                let is_online = matches!(action, Action::Receive { .. });
                match bytes.u8() {
                    0 => {
                        let command = bytes.pick(&Command::ALL);
                        local.step(&mut agent, *now, Input::Command(command));
                    }
                    1 => drop(local.step(&mut agent, *now, Input::Failed(Failure::Link))),
                    _ => match is_online.then(|| message(cloud, bytes)).flatten() {
                        Some(sent) => {
                            hand = sent;
                            let received = Received { topic: &hand.0, payload: &hand.1 };
                            held = local.receive(&mut agent, *now, &received, &mut scratch);
                        }
                        None => {
                            *now = until_ms;
                            local.step(&mut agent, *now, Input::Timeout);
                        }
                    },
                }
            }
            _ => {
                busy = 0;
                if let Action::Publish(publication) = action {
                    publish(&agent, &publication, cloud, bytes);
                }
                let input = match bytes.u8() {
                    0 => Input::Failed(Failure::Link),
                    1 => Input::Failed(Failure::Refused),
                    2 => Input::ActionLost,
                    _ => Input::Done,
                };
                local.step(&mut agent, *now, input);
            }
        }
    }
    None
}

/// What the device publishes is well-formed, and the cloud hears it or does not.
fn publish(agent: &Agent<'_>, publication: &Publication, cloud: &mut Cloud, bytes: &mut Bytes<'_>) {
    let (mut topic, mut payload) = (TopicBuffer::new(), [0; MAX_PAYLOAD_SIZE]);
    let (len, _) = agent.encode(publication, &mut topic, &mut payload).expect("it can be written");
    let payload = &payload[..len];
    match publication {
        Publication::Blocks => {
            let mut bitmap = [0; 64];
            let request = ota_core::wire::parse_get_stream(Format::Cbor, payload, &mut bitmap);
            assert!(request.is_ok_and(|request| request.count > 0 && request.block_size == BLOCK_SIZE));
        }
        Publication::Jobs(_) | Publication::Progress => cloud.take(topic.as_str(), payload, bytes.u8() != 0),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..8u8)
        .map(|seed| {
            let mut rng = ota_sim::aws::Rng::new(seed.into());
            // What mostly goes well; changed bytes bring the rest.
            let mut program: Vec<u8> = (0..1500).map(|_| rng.between(24..=254) as u8 & !8).collect();
            // A slot that holds something where the file goes, or one that is blank; and when the power fails.
            let cut = rng.between(0..=40) as u8;
            match seed % 2 {
                0 => program[..4].copy_from_slice(&[seed, 37 * seed, 0, cut]),
                _ => program[..2].copy_from_slice(&[seed, cut]),
            }
            program
        })
        .collect()
}
