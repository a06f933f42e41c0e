//! The way of a block from the MQTT client's receive buffer into flash.
//!
//! `memcpy` is the yardstick: the same payloads from the same message buffers into the same array in the same order.
//! One iteration moves a whole image, so `thrpt` compares block sizes as well as ways.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ota_benches::{BLOCK_SIZES, IMAGE_SIZE, Message, RamFlash, image, messages};

fn block_path(criterion: &mut Criterion) {
    let image = image(IMAGE_SIZE);
    let mut group = criterion.benchmark_group("block_path");
    group.throughput(Throughput::Bytes(IMAGE_SIZE.into()));
    for block_size in BLOCK_SIZES {
        let messages = messages(&image, block_size);
        let mut flash = RamFlash::new(IMAGE_SIZE);
        group.bench_function(BenchmarkId::new("memcpy", block_size), |bencher| {
            // Nothing to prepare, but measured with the same loop as the ways that have.
            bencher.iter_batched_ref(|| (), |()| copy(&messages, flash.bytes_mut()), BatchSize::PerIteration);
        });
        assert_eq!(flash.bytes_mut(), image, "the yardstick moved the image");
    }
    group.finish();
}

/// Copies each message's block to its place.
fn copy(messages: &[Message], flash: &mut [u8]) {
    let mut at = 0;
    for message in messages {
        let block = black_box(message).block();
        flash[at..at + block.len()].copy_from_slice(block);
        at += block.len();
        // Flash is written for others to read: no copy may be put off or merged with the next.
        black_box(&mut *flash);
    }
}

criterion_group!(benches, block_path);
criterion_main!(benches);
