//! Instructions a block costs, counted by valgrind's callgrind: numbers that do not depend on what else the host does.
//!
//! `cargo bench --bench instructions` runs itself once under valgrind for each way and block size, and prints
//! instructions a block. Only [`Device::take`](ota_benches::Device::take) is counted, where the blocks go their way.

use std::process::Command;

use ota_benches::{BLOCK_SIZES, Memory, Way, device, image, messages};

/// Valgrind is slow; a mebibyte has blocks enough.
const IMAGE_SIZE: u32 = 1 << 20;
/// Valgrind's name of what is counted.
const COUNTED: &str = "*ota_benches::device::Device*::take*";
const WAYS: [(&str, Way); 3] = [("ingest", Way::Ingest), ("full", Way::Full), ("duplicate", Way::Duplicate)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [] => print_table(),
        [way, block_size] => go(way, block_size.parse().expect("a block size")),
        _ => panic!("instructions [WAY BLOCK_SIZE]"),
    }
}

/// Brings every block into flash, for `duplicate` twice.
fn go(way: &str, block_size: u32) {
    let (_, way) = WAYS.into_iter().find(|(name, _)| *name == way).expect("one of the ways");
    let messages = messages(&image(IMAGE_SIZE), block_size);
    let mut memory = Memory::new();
    let mut device = device(&mut memory, IMAGE_SIZE, block_size);
    match way {
        Way::Ingest | Way::Full => device.take(way, &messages),
        Way::Duplicate => {
            let (_, held) = messages.split_last().expect("an image has blocks");
            device.take(Way::Ingest, held);
            device.take(way, held);
        }
    }
    device.blocks();
}

fn print_table() {
    println!("{:<12} {}", "a block", BLOCK_SIZES.map(|size| format!("{size:>10}")).concat());
    for (name, way) in WAYS {
        let counts = BLOCK_SIZES.map(|block_size| {
            let blocks = u64::from(IMAGE_SIZE / block_size);
            match way {
                Way::Ingest | Way::Full => count(name, block_size) / blocks,
                // Its run begins with a download of all but the last block, which it shares with `ingest`.
                Way::Duplicate => {
                    count(name, block_size).saturating_sub(count("ingest", block_size)) / (blocks - 1)
                }
            }
        });
        println!("{name:<12} {}", counts.map(|count| format!("{count:>10}")).concat());
    }
}

/// Instructions of one run.
fn count(way: &str, block_size: u32) -> u64 {
    let own = std::env::current_exe().expect("the path of this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(own)
        .args([way, &block_size.to_string()])
        .output()
        .expect("valgrind starts; is it installed?");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let collected = report.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.expect("valgrind prints what it collected");
    count.trim().parse().expect("a number")
}
