//! The way of a block from the MQTT client's receive buffer into flash.
//!
//! `memcpy` is the yardstick: the same payloads from the same message buffers into the same array in the same order.
//! One iteration moves a whole image, so `thrpt` compares block sizes as well as ways.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use ota_benches::{BLOCK_SIZES, IMAGE_SIZE, Memory, Message, Way, device, image, messages};

/// The block size the ratio to `memcpy` is promised for.
const RATIO_SIZE: u32 = 4096;
/// Rounds the ratio is taken from.
const ROUNDS: usize = 101;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    block_path(&mut criterion);
    criterion.final_summary();
    // Cargo tells a bench from a test of the bench.
    if std::env::args().any(|argument| argument == "--bench") {
        print_ratio();
    }
}

fn block_path(criterion: &mut Criterion) {
    let image = image(IMAGE_SIZE);
    let mut memory = Memory::new();
    let mut group = criterion.benchmark_group("block_path");
    group.throughput(Throughput::Bytes(IMAGE_SIZE.into()));
    for block_size in BLOCK_SIZES {
        let messages = messages(&image, block_size);
        let mut bench = |name, round: fn(&mut Memory, &[Message], u32) -> Duration| {
            group.bench_function(BenchmarkId::new(name, block_size), |bencher| {
                memory.flash_mut().fill(0xff);
                // Only the way of the blocks is timed, not how the device came to wait for them.
                bencher
                    .iter_custom(|count| (0..count).map(|_| round(&mut memory, &messages, block_size)).sum());
                assert!(memory.flash_mut().starts_with(&image), "{name} moved the image");
            });
        };
        bench("memcpy", copy);
        bench("ingest", ingest);
        bench("full", full);
        bench("duplicate", duplicate);
    }
    group.finish();
}

/// Copies each message's block to its place.
fn copy(memory: &mut Memory, messages: &[Message], _: u32) -> Duration {
    let flash = memory.flash_mut();
    let start = Instant::now();
    let mut at = 0;
    for message in messages {
        let block = black_box(message).block();
        flash[at..at + block.len()].copy_from_slice(block);
        at += block.len();
        // Flash is written for others to read: no copy may be put off or merged with the next.
        black_box(&mut *flash);
    }
    start.elapsed()
}

fn ingest(memory: &mut Memory, messages: &[Message], block_size: u32) -> Duration {
    download(Way::Ingest, memory, messages, block_size)
}

fn full(memory: &mut Memory, messages: &[Message], block_size: u32) -> Duration {
    download(Way::Full, memory, messages, block_size)
}

/// A whole download: the first block is judged, the last one ends it.
fn download(way: Way, memory: &mut Memory, messages: &[Message], block_size: u32) -> Duration {
    let mut device = device(memory, IMAGE_SIZE, block_size);
    let start = Instant::now();
    device.take(way, messages);
    let time = start.elapsed();
    assert_eq!(device.blocks(), (messages.len() as u32, 0));
    time
}

/// Every block but the last once more, while the device still waits for that one.
fn duplicate(memory: &mut Memory, messages: &[Message], block_size: u32) -> Duration {
    let mut device = device(memory, IMAGE_SIZE, block_size);
    let (_, held) = messages.split_last().expect("an image has blocks");
    device.take(Way::Ingest, held);
    let start = Instant::now();
    device.take(Way::Duplicate, held);
    let time = start.elapsed();
    assert_eq!(device.blocks(), (held.len() as u32, held.len() as u32));
    // The array is to hold the whole image for whoever looks.
    device.take(Way::Ingest, &messages[held.len()..]);
    time
}

/// Measures `ingest` and `memcpy` in turns, so that a change in the host's speed meets both.
fn print_ratio() {
    let messages = messages(&image(IMAGE_SIZE), RATIO_SIZE);
    let mut memory = Memory::new();
    let mut rounds: Vec<(Duration, Duration)> = (0..ROUNDS)
        .map(|_| (copy(&mut memory, &messages, RATIO_SIZE), ingest(&mut memory, &messages, RATIO_SIZE)))
        .collect();
    let per_block = |time: Duration| time.as_nanos() as f64 / messages.len() as f64;
    let ratio = |&(copy, ingest): &(Duration, Duration)| ingest.as_secs_f64() / copy.as_secs_f64();
    rounds.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let median = &rounds[ROUNDS / 2];
    let least = |time: fn(&(Duration, Duration)) -> Duration| rounds.iter().map(time).min().expect("rounds");
    println!(
        "ingest/{RATIO_SIZE} : memcpy/{RATIO_SIZE} = {:.2} (promised: at most 1.3); {:.0} ns and {:.0} ns a block, \
         image of {IMAGE_SIZE} bytes, median of {ROUNDS} rounds; at best {:.0} ns and {:.0} ns",
        ratio(median),
        per_block(median.1),
        per_block(median.0),
        per_block(least(|round| round.1)),
        per_block(least(|round| round.0)),
    );
}
