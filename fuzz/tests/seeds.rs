//! Every target on its seeds, and on seeds changed by a seeded generator.
//!
//! `OTA_FUZZ=N` takes N times as many; `OTA_SEED=S` starts from another seed, or repeats the one a failure names.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ota_fuzz::Target;
use ota_sim::aws::Rng;

/// Longest input, bytes.
const MAX_SIZE: usize = 4096;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Bytes that mean something to one parser or another.
const TELLING: [u8; 24] = *b"\0\x01\x02\x08\x10\x1f\x7f\x80\xbf\xc0\xff\"\\/{}[]:,0-=\n";

/// A seed, changed in one place or a few.
fn changed(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let pick = |rng: &mut Rng, end: usize| rng.between(0..=end.saturating_sub(1) as u64) as usize;
    let seed = pick(rng, seeds.len());
    let mut bytes = seeds[seed].clone();
    for _ in 0..rng.between(1..=4) {
        let at = pick(rng, bytes.len() + 1);
        let len = rng.between(1..=8) as usize;
        let end = (at + len).min(bytes.len());
        match rng.between(0..=8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.between(0..=7),
            1 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
            2 if at < bytes.len() => bytes[at] = TELLING[pick(rng, TELLING.len())],
            3 => bytes.insert(at, TELLING[pick(rng, TELLING.len())]),
            4 => drop(bytes.drain(at..end)),
            5 => bytes.truncate(at),
            6 => {
                // A piece once more, here or elsewhere.
                let piece = bytes[at..end].to_vec();
                let to = pick(rng, bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            7 => {
                // The front of one and the end of another.
                let other = &seeds[pick(rng, seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[pick(rng, other.len() + 1)..]);
            }
            _ => bytes[at..end].iter_mut().for_each(|byte| *byte = rng.next_u64() as u8),
        }
    }
    bytes.truncate(MAX_SIZE);
    bytes
}

fn check(name: &str) {
    let target: &Target = ota_fuzz::target(name);
    let seeds = (target.seeds)();
    for (at, seed) in seeds.iter().enumerate() {
        let ended = catch_unwind(|| (target.run)(seed));
        assert!(ended.is_ok(), "{name}: seed input {at} as it is: {seed:02x?}");
    }
    let (first, count) = match number("OTA_SEED") {
        Some(seed) => (seed, number("OTA_FUZZ").unwrap_or(1)),
        None => (1, u64::from(target.count) * number("OTA_FUZZ").unwrap_or(1)),
    };
    for seed in first..first.saturating_add(count) {
        let bytes = changed(&mut Rng::new(seed), &seeds);
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))).is_err() {
            panic!(
                "{name}: {:?}\n{bytes:02x?}\nagain: OTA_SEED={seed} cargo test -p ota-fuzz --test seeds {name}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn wire() {
    check("wire");
}

#[test]
fn topic() {
    check("topic");
}

#[test]
fn tar() {
    check("tar");
}

#[test]
fn stored() {
    check("stored");
}

#[test]
fn keys() {
    check("keys");
}

#[test]
fn http() {
    check("http");
}

#[test]
fn slot() {
    check("slot");
}

#[test]
fn agent() {
    check("agent");
}

/// A target without a test here, or without one for `cargo fuzz`, is run by nobody.
#[test]
fn every_target_is_run() {
    let tests = include_str!("seeds.rs");
    let manifest = include_str!("../targets/Cargo.toml");
    for target in ota_fuzz::TARGETS {
        assert!(tests.contains(&format!("check(\"{}\")", target.name)), "{} has no test", target.name);
        assert!(manifest.contains(&format!("name = \"{}\"\n", target.name)), "{} is not fuzzed", target.name);
    }
}
