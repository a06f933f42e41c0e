//! `cargo xtask sizes`: what the library takes on a Cortex-M4, measured on linked programs.
//!
//! The programs are made from `xtask/size-probe`: each of its features puts one part of the library to use. Numbers
//! are differences to the same program with no part in it. They hold for a peer that does nothing: no network stack,
//! no flash driver, no executor.

use std::path::PathBuf;

use anyhow::Context;

use crate::{
    cargo,
    ci::TARGET,
    elf::{self, Footprint},
    stage,
};

/// The crate the programs are made from, seen from the root.
pub(crate) const PROBE_MANIFEST: &str = "xtask/size-probe/Cargo.toml";

/// What is measured: a name and the probe's features. To add a probe, add a line.
const PROBES: &[(&str, &[&str])] = &[
    ("crate sha2 alone", &["sha256"]),
    ("crates sha2 and p256 alone", &["sha256", "p256"]),
    ("wire", &["wire"]),
    ("block path (CBOR, bitmap, slot)", &["block"]),
    ("verify", &["verify"]),
    ("verify + boot", &["boot"]),
    ("journal", &["journal"]),
    ("wire + block + boot + journal", &["wire", "block", "boot", "journal"]),
    ("mqtt", &["mqtt"]),
    ("whole library without mqtt", &["agent"]),
    ("whole library with mqtt", &["agent", "mqtt"]),
];

/// The program that holds one static per measured type or future, see `xtask/size-probe/src/ram.rs`.
const RAM_FEATURE: &str = "ram";
/// How the names of these statics start.
const RAM_PREFIX: &str = "sizeof ";

/// Builds and prints.
pub(crate) fn run() -> anyhow::Result<()> {
    let base = elf::footprint(&build(&[])?)?;
    let mut rows = Vec::new();
    for (name, features) in PROBES {
        let taken = elf::footprint(&build(features)?).with_context(|| (*name).to_owned())?;
        rows.push((*name, less(taken, base)));
    }
    println!("\n{TARGET}, opt-level \"s\", fat LTO; bytes above an empty program");
    println!("{:<34} {:>8} {:>8} {:>8}", "part", "text", "data", "bss");
    for (name, size) in rows {
        println!("{name:<34} {:>8} {:>8} {:>8}", size.text, size.data, size.bss);
    }

    let sizes = elf::symbol_sizes(&build(&[RAM_FEATURE])?, RAM_PREFIX)?;
    anyhow::ensure!(
        !sizes.is_empty(),
        "the probe with feature `{RAM_FEATURE}` holds no `{RAM_PREFIX}..` symbol"
    );
    println!("\n{:<34} {:>8}", "value or future", "bytes");
    for (name, size) in sizes {
        println!("{name:<34} {size:>8}");
    }
    Ok(())
}

fn less(size: Footprint, base: Footprint) -> Footprint {
    Footprint {
        text: size.text.saturating_sub(base.text),
        data: size.data.saturating_sub(base.data),
        bss: size.bss.saturating_sub(base.bss),
    }
}

/// Builds the probe with `features` and returns the linked program.
fn build(features: &[&str]) -> anyhow::Result<Vec<u8>> {
    let root = crate::root();
    let manifest = root.join(PROBE_MANIFEST);
    // Measured are the versions that are tested: the probe starts from the workspace's own lock file each time, and
    // cargo adds the few packages which only the probe has.
    let lock = manifest.with_file_name("Cargo.lock");
    std::fs::copy(root.join("Cargo.lock"), &lock).with_context(|| lock.display().to_string())?;
    let folder = target_folder().join("size-probe");
    let mut command = cargo();
    // The configuration beside the probe's manifest names processor and linker script; cargo looks for it from the
    // current folder upwards.
    command.current_dir(manifest.with_file_name(""));
    command.args(["build", "--quiet", "--release", "--features", &features.join(",")]);
    stage::run(command.arg("--target-dir").arg(&folder))?;
    let program = folder.join(TARGET).join("release").join("size-probe");
    std::fs::read(&program).with_context(|| program.display().to_string())
}

fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => crate::root().join(folder),
        None => crate::root().join("target"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_measured_above_the_empty_program() {
        let base = Footprint { text: 1000, data: 4, bss: 8 };
        let size = Footprint { text: 1500, data: 4, bss: 0 };
        assert_eq!(less(size, base), Footprint { text: 500, data: 0, bss: 0 });
    }
}
