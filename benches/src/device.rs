//! A device in the middle of a download: the library's agent and the driver's own pieces, over [`RamFlash`].
//!
//! The loops here are a super-loop's (`ota_core::driver`, "Without an async runtime") with two things left out: waiting, since
//! the next message is always there, and the socket, so that a publication ends when its bytes are encoded.

use std::hint::black_box;

use embassy_futures::block_on;
use ota_core::{
    agent::{self, Action, Agent, Config, Input, MAX_PAYLOAD_SIZE, Publication, StateKind, TopicBuffer},
    boot::Image,
    driver::{Completion, Held, Local},
    geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout},
    journal::NoJournal,
    policy::{DefaultPolicy, NoObserver},
    transport::Received,
    verify::{Rules, Scheme, VerifyError},
};

use crate::{Message, RamFlash, SLOT_SIZE};

const THING: &str = "bench-thing";
const BLOCK_TOPIC: &str = "$aws/things/bench-thing/streams/bench-stream/data/cbor";
const JOB_TOPIC: &str = "$aws/things/bench-thing/jobs/$next/get/accepted";
/// The clock stands still: nothing is ever late.
const NOW_MS: u64 = 1;

/// The kits' external NOR: sectors of 256 KiB, pages of 512 bytes.
const SECONDARY: Geometry = Geometry::checked(SlotLayout {
    start: 0,
    size: SLOT_SIZE,
    sector_size: 256 << 10,
    write_size: 512,
    erased: 0xff,
    reprogram: Reprogram::Forbidden,
    rewrite: false,
    erase_ms: 520,
});
/// The primary is only looked at when the device starts; nothing reads the image in it.
const LAYOUT: ImageLayout = ImageLayout::checked(ImageSlots {
    primary: SECONDARY,
    secondary: SECONDARY,
    mode: BootMode::Overwrite,
    max_align: MaxAlign::M16,
    boot_write_size: 16,
    max_sectors: 2048,
});

/// What happens to a block between the message and flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Decoded, judged and programmed; not hashed, not read back, and erased sectors are there.
    Ingest,
    /// What a device does: sectors erased and looked at, blocks programmed, read back, compared and hashed.
    Full,
    /// Decoded and dropped, because flash holds it.
    Duplicate,
}

/// The memory a device borrows: made before the device, and outlives it.
pub struct Memory {
    config: Option<Config<'static>>,
    flash: Vec<u8>,
    primary: Vec<u8>,
    strings: Vec<u8>,
    blocks: Vec<u8>,
    sectors: Vec<u8>,
}

impl Memory {
    /// For one device at a time, with blocks of any size.
    pub fn new() -> Self {
        Self {
            config: None,
            flash: vec![0xff; SLOT_SIZE as usize],
            primary: vec![0xff; SLOT_SIZE as usize],
            strings: vec![0; agent::Memory::STRINGS],
            blocks: vec![0; agent::Memory::block_bytes(&LAYOUT, 512)],
            sectors: vec![0; agent::Memory::sector_bytes(&LAYOUT)],
        }
    }

    /// The flash array blocks land in; also the target of the `memcpy` yardstick.
    pub fn flash_mut(&mut self) -> &mut [u8] {
        &mut self.flash
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

type Images<'m> = Image<RamFlash<'m>, RamFlash<'m>>;
type Parts<'m> = Local<'static, Images<'m>, NoJournal, DefaultPolicy, NoObserver, NoScheme>;

/// Nothing is verified here.
struct NoScheme;

impl Scheme for NoScheme {
    fn check(&self, _: &[u8; 32], _: &[u8]) -> Result<(), VerifyError> {
        Err(VerifyError::BadSignature)
    }
}

/// A device in the middle of a download, see the head of this file.
pub struct Device<'m> {
    agent: Agent<'m>,
    local: Parts<'m>,
    buffer: [u8; MAX_PAYLOAD_SIZE],
}

/// A device that took a job for a file of `size` bytes and waits for its first block.
pub fn device(memory: &mut Memory, size: u32, block_size: u32) -> Device<'_> {
    memory.config = Some(Config {
        block_size,
        // The broker's limit would make the device wait.
        blocks_per_second: 0,
        // Every message is here already: two whole requests may be under way.
        window_max: 64,
        // There is no journal to write to.
        record_blocks: u16::MAX,
        ..Config::new(THING, core::slice::from_ref(&LAYOUT))
    });
    let Memory { config, flash, primary, strings, blocks, sectors } = memory;
    let config = config.as_ref().expect("just put there");
    let agent = Agent::new(config, agent::Memory { strings, blocks, sectors }).expect("a good configuration");
    let images = Image::new(RamFlash::new(primary), RamFlash::new(flash), LAYOUT).expect("a good image");
    let rules = Rules { job: NoScheme, image_keys: &[], reset_vector: None };
    let mut device = Device {
        agent,
        local: Local::new(images, NoJournal, rules, DefaultPolicy, NoObserver),
        buffer: [0; MAX_PAYLOAD_SIZE],
    };
    device.start(size);
    device
}

impl Device<'_> {
    /// Takes a job and asks for the first block.
    fn start(&mut self, size: u32) {
        self.local.step(&mut self.agent, NOW_MS, Input::Start);
        self.work(Way::Full, &Held::NONE);
        // Every request carries a counter and the seed as its token: this is the first one.
        let job = format!(
            r#"{{"clientToken":"0:0","timestamp":1,"execution":{{"jobId":"bench-job","status":"QUEUED","versionNumber":1,
            "executionNumber":1,"jobDocument":{{"afr_ota":{{"protocols":["MQTT"],"streamname":"bench-stream","files":[
            {{"filepath":"/","filesize":{size},"fileid":0,"certfile":"/","sig-sha256-ecdsa":"MAYCAQECAQE="}}]}}}}}}}}"#
        );
        self.receive(Way::Full, &Received { topic: JOB_TOPIC, payload: job.as_bytes() });
        assert_eq!(self.agent.state().kind(), StateKind::Judging, "the job is taken");
    }

    /// Takes one message after the other the way `way`, until the file is whole or the messages are used up.
    #[inline(never)]
    pub fn take(&mut self, way: Way, messages: &[Message]) {
        for message in messages {
            self.receive(way, &Received { topic: BLOCK_TOPIC, payload: black_box(&*message.bytes) });
        }
    }

    /// Blocks that flash holds, and duplicates that were dropped. Panics where anything else was dropped.
    pub fn blocks(&self) -> (u32, u32) {
        let statistics = self.agent.statistics();
        assert_eq!(statistics.dropped, statistics.duplicates, "{:?}", statistics.last_drop);
        (self.agent.progress().0, statistics.duplicates)
    }

    /// The outstanding receive brings `received`; works until the device receives again, or is to verify the file.
    fn receive(&mut self, way: Way, received: &Received<'_>) {
        let mut scratch = [];
        let held = self.local.receive(&mut self.agent, NOW_MS, received, &mut scratch);
        self.work(way, &held);
    }

    /// Two things are done in another way on the way of [`Way::Ingest`]: blocks are written without read-back and hash, and
    /// erases are done, since how long a chip takes for one is not the library's, and a new array is blank.
    fn work(&mut self, way: Way, held: &Held<'_>) {
        loop {
            match self.agent.action() {
                Action::Receive { .. } | Action::Verify { .. } => return,
                Action::Write(part) if way == Way::Ingest => {
                    let bytes = held.part(part.from, part.to);
                    let written = block_on(self.local.images.secondary().program(part.at, bytes));
                    written.expect("flash takes what is written");
                }
                Action::Erase { .. } if way == Way::Ingest => {}
                _ => {
                    self.act(held);
                    continue;
                }
            }
            self.local.step(&mut self.agent, NOW_MS, Input::Done);
        }
    }

    /// The outstanding action, as the driver does it.
    #[inline(never)]
    fn act(&mut self, held: &Held<'_>) {
        match *self.agent.action() {
            Action::Connect | Action::Subscribe(_) => {
                self.local.step(&mut self.agent, NOW_MS, Input::Done);
            }
            Action::Publish(publication) => {
                self.publish(&publication);
                self.local.step(&mut self.agent, NOW_MS, Input::Done);
            }
            _ => {
                let completion = block_on(self.local.perform(&mut self.agent, held));
                assert!(!matches!(completion, Completion::Failed(_)), "everything succeeds");
                self.local.step_with(&mut self.agent, NOW_MS, completion);
            }
        }
    }

    fn publish(&mut self, publication: &Publication) {
        let mut topic = TopicBuffer::new();
        let encoded = self.agent.encode(publication, &mut topic, &mut self.buffer);
        let (len, _) = encoded.expect("a publication fits its buffer");
        black_box((topic.as_str(), &self.buffer[..len]));
    }
}
