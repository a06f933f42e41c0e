//! What every parser, the slots, the journal and the agent owe to any bytes, as functions of those bytes.
//!
//! A target panics where a promise is broken; it is quiet where the bytes are refused for a good reason. Where another
//! crate reads the same format it is the judge: `serde_json`, `minicbor`, `base64ct`, `httparse`, `url`, `p256`.
//!
//! Two things run them. `fuzz/tests/seeds.rs` changes the [seeds](Target::seeds) with a seeded generator, on stable Rust and
//! in the ordinary tests. `fuzz/targets/` is a workspace of its own for `cargo fuzz`, which needs nightly Rust and looks for
//! new paths through the library on its own; see `fuzz/README.md`.

mod agent;
mod bytes;
mod cbor;
mod http;
mod job;
mod json;
mod keys;
mod slot;
mod stored;
mod tar;
mod topic;
mod wire;

/// A function of bytes, with bytes to begin with.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name here and for `cargo fuzz`.
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs that lead far, to be changed.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many changed seeds the ordinary tests take: about a second of them.
    pub count: u32,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "wire", run: wire::run, seeds: wire::seeds, count: 12_000 },
    Target { name: "topic", run: topic::run, seeds: topic::seeds, count: 40_000 },
    Target { name: "tar", run: tar::run, seeds: tar::seeds, count: 20_000 },
    Target { name: "stored", run: stored::run, seeds: stored::seeds, count: 20_000 },
    Target { name: "keys", run: keys::run, seeds: keys::seeds, count: 2_000 },
    Target { name: "http", run: http::run, seeds: http::seeds, count: 10_000 },
    Target { name: "slot", run: slot::run, seeds: slot::seeds, count: 1_000 },
    Target { name: "agent", run: agent::run, seeds: agent::seeds, count: 3_000 },
];

/// The target of this name.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no fuzz target {name}"))
}
