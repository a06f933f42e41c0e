//! The lane of a block is the general way, only shorter.

use ota_core::agent::{Action, Input, Message, Plane};
use ota_core::driver::{Held, decode};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::slot::{Compared, FlashError};
use ota_core::transport::Received;
use ota_core::wire::{Format, encode_block};
use ota_sim::image::ImageBuilder;

use crate::aside;
use crate::device::BLOCK_SIZE;
use crate::talk::{In, Setup, THING, Talk};
use crate::wire::{STREAM, block, document, file_member, job, next};

/// xorshift64*: the same on every host.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }
}

/// The first block of `file` is asked for, and it is the first message.
fn waiting(setup: Setup, file: &[u8]) -> Talk {
    let mut t = Talk::online(setup);
    t.files = vec![file.to_vec()];
    t.on(0, In::Done, "receive until 5000");
    t.on(10, next(job().document(&document(&[file_member(0, file.len(), &[1])]))), "ask Start");
    t.on(10, In::Yes, "subscribe stream");
    t.on(10, In::Done, "blocks 0: 0");
    t.on(10, In::Done, "receive …");
    t
}

/// Hands a message over. Answers whether the lane took it, and the payload of the block that is to be written.
fn deliver(t: &mut Talk, lane: bool, topic: &str, payload: &[u8]) -> (bool, Vec<u8>) {
    let received = Received { topic, payload };
    let mut scratch = [0; 1024];
    let general = decode(THING, &received, &mut scratch);
    if lane && let Some(block) = t.agent.take_block(t.now, &received) {
        t.action = *t.agent.action();
        return (true, block.to_vec());
    }
    let message = match t.agent.read_block(&received) {
        Some(message) => {
            assert_eq!(format!("{message:?}"), format!("{general:?}"));
            message
        }
        None => general,
    };
    t.action = t.agent.step(t.now, Input::Message(&message));
    (false, Held::new(&message, payload).block.to_vec())
}

/// A message: mostly a block that is wanted, in order or not, as it should be or not.
fn message(file: &[u8], front: usize, random: &mut Random) -> (String, Vec<u8>) {
    let count = file.len().div_ceil(BLOCK_SIZE as usize);
    let number = match random.next(8) {
        0 => random.next(count + 2),
        1 => front + random.next(4),
        2 => front.saturating_sub(1),
        _ => front,
    };
    let from = (number * BLOCK_SIZE as usize).min(file.len());
    let to = (from + BLOCK_SIZE as usize - usize::from(random.next(20) == 0)).min(file.len());
    let id = u32::from(random.next(20) == 0);
    let token = (random.next(8) == 0).then_some("t");
    let mut payload = vec![0; 1024];
    let len = encode_block(Format::Cbor, &mut payload, token, id, number as u32, &file[from..to]).unwrap();
    payload.truncate(len);
    match random.next(16) {
        0 => payload[random.next(len.min(24))] ^= 1 << random.next(8),
        1 => payload.truncate(len - 1 - random.next(3)),
        2 => payload.push(0xFF),
        _ => {}
    }
    let topic = match random.next(24) {
        0 => format!("$aws/things/{THING}/streams/stream-2/data/cbor"),
        1 => format!("$aws/things/{THING}8/streams/{STREAM}/data/cbor"),
        2 => format!("$aws/things/{THING}/streams/{STREAM}/data/json"),
        3 => format!("$aws/things/{THING}/streams/{STREAM}/data/cbor/x"),
        4 => format!("$aws/things/{THING}/streams//data/cbor"),
        5 => format!("$aws/things/{THING}/streams/{STREAM}/rejected/cbor"),
        6 => format!("$aws/things/{THING}/jobs/notify-next"),
        _ => format!("$aws/things/{THING}/streams/{STREAM}/data/cbor"),
    };
    (topic, payload)
}

/// Two agents get the same messages and completions, one of them through the lane: the same state and the same action after
/// each.
#[test]
fn the_lane_comes_to_what_the_general_way_comes_to() {
    let setups: [Setup; 4] = [
        Setup::ONE,
        Setup { tweak: |config| (config.progress_blocks, config.record_blocks) = (3, 2), ..Setup::ONE },
        Setup { tweak: |config| (config.progress_blocks, config.record_blocks) = (3, 100), ..Setup::ONE },
        Setup { tweak: |config| (config.window_max, config.blocks_per_second) = (2, 100), ..Setup::ONE },
    ];
    let version = ota_sim::Version { major: 1, minor: 0, revision: 0, build: 0 };
    let file = ImageBuilder::with_random_payload(version, 6000, 7).unsigned();
    let (mut taken, mut left, mut whole) = (0, 0, 0);
    for seed in 1..=600 {
        let random = &mut Random(seed);
        let setup = setups[random.next(4)];
        let (mut short, mut long) = (waiting(setup, &file), waiting(setup, &file));
        let first = format!("$aws/things/{THING}/streams/{STREAM}/data/cbor");
        let mut block = vec![0; 1024];
        let len = encode_block(Format::Cbor, &mut block, None, 0, 0, &file[..BLOCK_SIZE as usize]).unwrap();
        block.truncate(len);
        let mut next = Some((first, block));
        for _ in 0..200 {
            let input = match short.action {
                Action::Verify { .. } | Action::Finish(_) => break,
                Action::Receive { until_ms } => {
                    let later = [0, 0, 0, 1, 10, 3000][random.next(6)];
                    let now = if random.next(30) == 0 { until_ms } else { short.now + later };
                    (short.now, long.now) = (now, now);
                    let front = short.agent.record().front() as usize;
                    let (topic, payload) = next.take().unwrap_or_else(|| message(&file, front, random));
                    let (lane, data) = deliver(&mut short, true, &topic, &payload);
                    let (_, other) = deliver(&mut long, false, &topic, &payload);
                    if let Action::Write(_) = short.action {
                        assert_eq!(data, other, "seed {seed}");
                    }
                    (taken, left) = (taken + u32::from(lane), left + u32::from(!lane));
                    None
                }
                Action::Pause { until_ms } => {
                    (short.now, long.now) = (until_ms, until_ms);
                    Some(In::Timeout)
                }
                Action::Consult(_) => Some(In::Yes),
                Action::Compare(_) => {
                    Some(In::Compared([Compared::Equal, Compared::Different][random.next(2)]))
                }
                Action::Write(_) if random.next(40) == 0 => Some(In::Flash(FlashError::ReadBack)),
                Action::Publish(_) if random.next(40) == 0 => Some(In::Link),
                _ if random.next(100) == 0 => Some(In::Lost),
                _ => Some(In::Done),
            };
            if let Some(input) = input {
                short.step(&input);
                long.step(&input);
            }
            assert_eq!(short.action, long.action, "seed {seed}");
            assert_eq!(short.agent.state(), long.agent.state(), "seed {seed}");
            assert_eq!(short.agent.statistics(), long.agent.statistics(), "seed {seed}");
            assert_eq!(short.agent.record(), long.agent.record(), "seed {seed}");
        }
        whole += u32::from(matches!(short.action, Action::Verify { .. }));
    }
    // Both ways were gone, and often to the end.
    assert!(taken > 1000 && left > 1000 && whole > 50, "{taken} {left} {whole}");
}

/// While an agent waits for nothing but blocks it need not look at the link after each. A link put aside for a range is
/// another link: what was known of the first is worth nothing.
#[test]
fn a_link_put_aside_is_looked_at_after_a_block() {
    let mut t =
        aside::reading(|config| (config.planes, config.one_session_ms) = (&[Plane::Http], Some(1_000)));
    let file = t.files[0].clone();
    t.on(10, In::Done, "receive until 1010");
    t.now = 20;
    t.action = t.agent.step(20, Input::Message(&Message::RangeBlock { data: &file[..512] }));
    assert_eq!(t.shown(), "ask Erase");
    t.on(20, In::Yes, "record Downloading");
    for expected in ["erase 0/7", "erase 0/0", "write 0 0..512 hash", "receive until 1010"] {
        t.on(20, In::Done, expected);
    }
}

/// Two slots of this size, for a bootloader that overwrites.
const fn overwritten(size: u32, sector_size: u32, max_sectors: u32) -> ImageLayout {
    let slot = Geometry::checked(SlotLayout {
        start: 0,
        size,
        sector_size,
        write_size: 8,
        erased: 0xFF,
        reprogram: Reprogram::Allowed,
        rewrite: false,
        erase_ms: 0,
    });
    ImageLayout::checked(ImageSlots {
        primary: slot,
        secondary: slot,
        mode: BootMode::Overwrite,
        max_align: MaxAlign::M8,
        boot_write_size: 8,
        max_sectors,
    })
}

/// A slot all of whose sectors hold fields of the trailer: none of them takes a block before all are cleared.
#[test]
fn a_slot_that_is_not_cleared_takes_no_block() {
    const LAYOUT: ImageLayout = overwritten(2056, 2048, 2);
    let setup = Setup { tweak: |config| config.images = &[LAYOUT], ..Setup::ONE };
    let mut t = Talk::judging(setup);
    t.on(20, block(&t.files[0], 0), "ask Erase");
    t.on(20, In::Yes, "record Downloading");
    t.on(20, In::Done, "erase 0/0");
    t.on(20, In::Done, "erase 0/1");
    // The block in hand is lost with the erase, and asked for again.
    t.on(20, In::Lost, "pause …");
    t.idle("connect");
    let now = t.now;
    t.on(now, In::Done, "subscribe jobs");
    t.on(now, In::Done, "get rel-1 bare");
    t.on(now, In::Done, "subscribe stream");
    t.on(now, In::Done, "blocks 0: 0 1 2");
    t.on(now, In::Done, "receive …");
    let file = t.files[0].clone();
    let mut payload = vec![0; 1024];
    let len = encode_block(Format::Cbor, &mut payload, None, 0, 0, &file[..BLOCK_SIZE as usize]).unwrap();
    let topic = format!("$aws/things/{THING}/streams/{STREAM}/data/cbor");
    let (taken, _) = deliver(&mut t, true, &topic, &payload[..len]);
    assert_eq!((taken, t.shown().as_str()), (false, "erase 0/1"));
}

/// What is left of an older request is lost once three blocks of a newer one have overtaken it: the next ones are asked for
/// at once, in the lane too.
#[test]
fn a_request_overtaken_in_the_lane_is_followed_by_the_next() {
    const LAYOUT: ImageLayout = overwritten(0x8000, 4096, 8);
    let setup = Setup { tweak: |config| (config.images, config.window_max) = (&[LAYOUT], 8), ..Setup::ONE };
    let version = ota_sim::Version { major: 1, minor: 0, revision: 0, build: 0 };
    let file = ImageBuilder::with_random_payload(version, 11_900, 7).unsigned();
    let mut t = waiting(setup, &file);
    let topic = format!("$aws/things/{THING}/streams/{STREAM}/data/cbor");
    // Hands a block over, whose write fails at first; answers whether the lane took it, and what was done but writing.
    let mut hand = |number: u32, mut fails: bool| {
        let from = (number * BLOCK_SIZE) as usize;
        let data = &file[from..from + BLOCK_SIZE as usize];
        let mut payload = vec![0; 1024];
        let len = encode_block(Format::Cbor, &mut payload, None, 0, number, data).unwrap();
        let (lane, _) = deliver(&mut t, true, &topic, &payload[..len]);
        let mut done = Vec::new();
        while !matches!(t.action, Action::Receive { .. }) {
            let input = match t.action {
                Action::Consult(_) => In::Yes,
                Action::Write(_) if core::mem::take(&mut fails) => In::Flash(FlashError::ReadBack),
                _ => In::Done,
            };
            if !matches!(t.action, Action::Write(_)) {
                done.push(t.shown());
            }
            t.step(&input);
        }
        (lane, done.join(", "))
    };
    for number in (0..8).chain([9, 10, 11]) {
        hand(number, false);
    }
    // 8, 12 and 14 to 16 are under way. The sector from 8 on is lost, and what it held is asked for again.
    assert_eq!(hand(13, true), (false, "record Downloading, erase 0/1".into()));
    assert_eq!(hand(8, false), (true, "blocks 0: 9 10 11 17".into()));
    assert_eq!(hand(9, false), (true, String::new()));
    assert_eq!(hand(10, false), (true, String::new()));
    let (lane, done) = hand(11, false);
    assert!(lane && done.starts_with("blocks 0: 12 14 15"), "{lane} {done}");
}
