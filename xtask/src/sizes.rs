//! `cargo xtask sizes [--json]`: what the library takes on a Cortex-M4, measured on linked programs.
//!
//! The programs are made from `xtask/size-probe`: each of its features puts one part of the library to use. Flash is the
//! difference to the same program with no part in it (which has the stack's setup, `memcpy`, and what stands for flash, a
//! network stream and an executor). It holds for a peer that does nothing: no network stack, no flash driver.
//!
//! `ota_path_text` is the program of feature `path` (see its head), functions and constants of the crates that hash taken
//! off. Stack and instructions of a block come from `block-path`, run in QEMU; those of a download, of TLS and of verification
//! from a whole update there (`cargo xtask emulate`).

use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};

use crate::{
    calls::{Calls, crate_of},
    cargo,
    ci::TARGET,
    elf::{self, Footprint},
    emulate, qemu, stage, target_folder,
};

/// The crate the programs are made from, seen from the root.
pub(crate) const PROBE_MANIFEST: &str = "xtask/size-probe/Cargo.toml";

/// What is measured: a name and the probe's features. To add a probe, add a line.
const PROBES: &[(&str, &[&str])] = &[
    (PATH, &["path"]),
    ("verify (with sha2 and p256)", &["verify"]),
    ("crate sha2 alone", &["sha256"]),
    ("crates sha2 and p256 alone", &["sha256", "p256"]),
    ("MQTT over minimq", &["mqtt"]),
    ("HTTP over reqwless", &["http"]),
    ("TLS (with its cryptography)", &["tls"]),
    ("network (embassy-net, DHCP, DNS, TCP)", &["network"]),
    ("library with driver, no network", &["agent"]),
    ("library with driver and MQTT", &["agent", "mqtt"]),
    ("all of that, HTTP and TLS", &["agent", "mqtt", "http", "tls"]),
];
/// Agent, formats, bitmap, image, slot, trailer, boot control, journal.
const PATH: &str = "OTA path";
/// Keeps the kinds of panics apart.
const PANICS: &str = "panics";

/// The two levels firmware is built with.
const LEVELS: [&str; 2] = ["z", "s"];

/// Crates that do cryptography: no part of the OTA path.
const CRYPTO: &[&str] = &["sha2", "digest", "block_buffer", "crypto_common", "generic_array"];

/// Where the library hands blocks to that crate: the optimiser puts the whole of SHA-256 in here.
const HASHING: &[&str] = &["ota_core::sha256::"];

/// The program that holds one static per measured type or future, see `xtask/size-probe/src/ram.rs`.
const RAM_FEATURE: &str = "ram";
/// How the names of these statics start.
const RAM_PREFIX: &str = "sizeof ";
/// What an update needs of RAM, besides what the caller sizes: strings of the job, sector memory, message buffers.
const AGENT_RAM: &[&str] = &["Agent", "block bitmap, 2 MiB in 4 KiB", "journal row"];

/// What a whole emulated update tells, built with `"s"`: how it is shown, and the name of the peak.
const UPDATE: &[(&str, &str)] = &[
    ("peak stack of a download, bytes", "stack_download"),
    ("peak stack of a TLS open, bytes", "stack_tls_open"),
    ("peak stack of verification, bytes", "stack_verify"),
    ("instructions of verification", "instructions_verify"),
];

/// What may not be exceeded, by the names in the object. The text's goal is 17,000 bytes; until it is reached, this keeps what
/// has been reached.
const MUST: &[(&str, u64)] = &[
    ("ota_path_text", 41_000),
    ("agent_ram", 1_536),
    ("block_path_stack", 848),
    ("block_instructions", 8_790),
];

/// Builds, measures and prints: a table, or with `json` one object.
pub(crate) fn run(json: bool) -> anyhow::Result<()> {
    let found = measure()?;
    if json {
        println!("{}", serde_json::to_string_pretty(&found.json())?);
    } else {
        found.print();
    }
    found.check()
}

/// Everything that was measured.
struct Sizes {
    /// Name, and footprint for each of [`LEVELS`].
    parts: Vec<(&'static str, Vec<Footprint>)>,
    /// The OTA path without [`CRYPTO`], for each of [`LEVELS`].
    path_text: Vec<u64>,
    /// Values and futures, in bytes.
    ram: Vec<(String, u64)>,
    /// What QEMU said for each of [`LEVELS`], where it is installed.
    emulated: Option<Vec<Map<String, Value>>>,
    /// Peaks of an emulated update, by the names of [`UPDATE`], where QEMU is installed.
    update: Option<emulate::Counters>,
    /// Our functions that can panic in the OTA path.
    panic_paths: Vec<String>,
    /// Functions that can panic in the program with everything, by crate.
    panics_by_crate: Vec<(String, usize)>,
}

fn measure() -> anyhow::Result<Sizes> {
    let mut parts: Vec<(&str, Vec<Footprint>)> = PROBES.iter().map(|probe| (probe.0, Vec::new())).collect();
    let (mut path_text, mut emulated) = (Vec::new(), Some(Vec::new()));
    let mut panic_paths = Vec::new();
    for level in LEVELS {
        let base = elf::footprint(&build(level, &[])?)?;
        for ((name, features), part) in PROBES.iter().zip(&mut parts) {
            let program = build(level, features)?;
            let taken = less(elf::footprint(&program)?, base);
            part.1.push(taken);
            if *name == PATH {
                path_text.push(taken.text.saturating_sub(elf::text_of(&program, CRYPTO, HASHING)?));
                for name in Calls::of(&build(level, &["path", PANICS])?)?.panicking() {
                    if !panic_paths.iter().any(|known| known == name) {
                        panic_paths.push(name.to_owned());
                    }
                }
            }
        }
        emulated = match (emulated, qemu::run(&build_program(level, &["qemu"], "block-path")?)?) {
            (Some(mut levels), Some(numbers)) => {
                levels.push(numbers.into_iter().map(|(name, number)| (name, number.into())).collect());
                Some(levels)
            }
            _ => None,
        };
    }
    let mut panics_by_crate: Vec<(String, usize)> = Vec::new();
    let all = build(LEVELS[0], &["agent", "mqtt", "http", "tls", PANICS])?;
    for name in Calls::of(&all)?.panicking() {
        match panics_by_crate.iter_mut().find(|known| known.0 == crate_of(name)) {
            Some(known) => known.1 += 1,
            None => panics_by_crate.push((crate_of(name).to_owned(), 1)),
        }
    }
    panics_by_crate.sort();
    let ram = elf::symbol_sizes(&build(LEVELS[0], &[RAM_FEATURE])?, RAM_PREFIX)?;
    ensure!(!ram.is_empty(), "the probe with feature `{RAM_FEATURE}` holds no `{RAM_PREFIX}..` symbol");
    let update = emulate::numbers()?;
    Ok(Sizes { parts, path_text, ram, emulated, update, panic_paths, panics_by_crate })
}

impl Sizes {
    fn agent_ram(&self) -> u64 {
        self.ram.iter().filter(|(name, _)| AGENT_RAM.contains(&name.as_str())).map(|(_, size)| size).sum()
    }

    fn emulated(&self, level: usize, name: &str) -> Value {
        let numbers = self.emulated.as_ref().and_then(|levels| levels.get(level));
        numbers.and_then(|numbers| numbers.get(name)).cloned().unwrap_or(Value::Null)
    }

    fn peak(&self, name: &str) -> Value {
        self.update.as_ref().and_then(|peaks| peaks.get(name)).map_or(Value::Null, |peak| (*peak).into())
    }

    fn json(&self) -> Value {
        let footprint = |size: &Footprint| json!({"text": size.text, "data": size.data, "bss": size.bss});
        let by_level = |sizes: &[Footprint]| -> Map<String, Value> {
            LEVELS.iter().zip(sizes).map(|(level, size)| ((*level).to_owned(), footprint(size))).collect()
        };
        let parts: Map<String, Value> =
            self.parts.iter().map(|(name, sizes)| ((*name).to_owned(), by_level(sizes).into())).collect();
        json!({
            "target": TARGET,
            "opt_level": LEVELS[0],
            "ota_path_text": self.path_text.first(),
            "ota_path_text_s": self.path_text.get(1),
            "agent_ram": self.agent_ram(),
            "block_path_stack": self.emulated(0, "block_path_stack"),
            "block_path_stack_s": self.emulated(1, "block_path_stack"),
            "block_instructions": self.emulated(0, "block_instructions"),
            "block_instructions_s": self.emulated(1, "block_instructions"),
            "copy_instructions": self.emulated(0, "copy_instructions"),
            "update_s": UPDATE.iter().map(|(_, name)| ((*name).to_owned(), self.peak(name))).collect::<Map<String, Value>>(),
            "panic_paths": self.panic_paths.len(),
            "panic_functions": self.panic_paths,
            "panics_by_crate": self.panics_by_crate.iter().cloned().map(|(name, count)| (name, count.into())).collect::<Map<String, Value>>(),
            "parts": parts,
            "ram": self.ram.iter().cloned().map(|(name, size)| (name, size.into())).collect::<Map<String, Value>>(),
        })
    }

    fn print(&self) {
        println!("\n{TARGET}, fat LTO; bytes above an empty program");
        println!("{:<37} {:>9} {:>9} {:>6} {:>6}", "part", "text \"z\"", "text \"s\"", "data", "bss");
        for (name, sizes) in &self.parts {
            let [z, s] = [0, 1].map(|level| sizes.get(level).copied().unwrap_or_default());
            println!("{name:<37} {:>9} {:>9} {:>6} {:>6}", z.text, s.text, z.data, z.bss);
        }
        println!("\n{:<34} {:>8}", "value or future", "bytes");
        for (name, size) in &self.ram {
            println!("{name:<34} {size:>8}");
        }
        println!("\n{:<34} {:>9} {:>9}", "promised", "\"z\"", "\"s\"");
        let text = |level: usize| self.path_text.get(level).copied().unwrap_or_default();
        println!("{:<34} {:>9} {:>9}", "text of the OTA path, without sha2", text(0), text(1));
        println!("{:<34} {:>9}", "RAM of agent, bitmap, journal row", self.agent_ram());
        for (shown, name) in [
            ("peak stack of the block path", "block_path_stack"),
            ("instructions a block of 4 KiB", "block_instructions"),
            ("of which the driver's copy", "copy_instructions"),
        ] {
            let [z, s] = [0, 1].map(|level| self.emulated(level, name).to_string());
            println!("{shown:<34} {z:>9} {s:>9}");
        }
        for (shown, name) in UPDATE {
            println!("{shown:<34} {:>9} {:>9}", "", self.peak(name).to_string());
        }
        println!("{:<34} {:>9}", "functions of ours that can panic", self.panic_paths.len());
        let by_crate: Vec<String> =
            self.panics_by_crate.iter().map(|(name, count)| format!("{name} {count}")).collect();
        println!("functions that can panic in all of the library, by crate: {}", by_crate.join(", "));
    }

    /// Fails where a promise is broken.
    fn check(&self) -> anyhow::Result<()> {
        for (what, most) in MUST {
            let value = self.json()[*what].as_u64();
            ensure!(
                value.is_none_or(|value| value <= *most),
                "{what} is {value:?}, at most {most} is promised"
            );
        }
        ensure!(
            self.panic_paths.is_empty(),
            "the OTA path can panic in:\n  {}\nuse get() and checked arithmetic there",
            self.panic_paths.join("\n  ")
        );
        Ok(())
    }
}

fn less(size: Footprint, base: Footprint) -> Footprint {
    Footprint {
        text: size.text.saturating_sub(base.text),
        data: size.data.saturating_sub(base.data),
        bss: size.bss.saturating_sub(base.bss),
    }
}

/// Builds the probe with `features` and returns the linked program.
fn build(level: &str, features: &[&str]) -> anyhow::Result<Vec<u8>> {
    let program = build_program(level, features, "size-probe")?;
    std::fs::read(&program).with_context(|| program.display().to_string())
}

/// Builds one of the probe's programs; returns where it lies.
fn build_program(level: &str, features: &[&str], name: &str) -> anyhow::Result<PathBuf> {
    build_with(level, features, name, &[])
}

/// The same with other settings of the profile in the environment.
pub(crate) fn build_with(
    level: &str,
    features: &[&str],
    name: &str,
    settings: &[(&str, &str)],
) -> anyhow::Result<PathBuf> {
    let root = crate::root();
    let manifest = root.join(PROBE_MANIFEST);
    // Measured are the versions that are tested: the probe starts from the workspace's own lock file each time, and
    // cargo adds the few packages which only the probe has.
    let lock = manifest.with_file_name("Cargo.lock");
    std::fs::copy(root.join("Cargo.lock"), &lock).with_context(|| lock.display().to_string())?;
    let folder = target_folder().join("size-probe").join(level);
    let mut command = cargo();
    // The configuration beside the probe's manifest names processor and linker script; cargo looks for it from the
    // current folder upwards.
    command.current_dir(manifest.with_file_name("")).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", level);
    command.envs(settings.iter().copied());
    command.args(["build", "--quiet", "--release", "--bin", name, "--features", &features.join(",")]);
    stage::quietly(command.arg("--target-dir").arg(&folder))?;
    Ok(folder.join(TARGET).join("release").join(name))
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

    fn sizes(panic_paths: &[&str]) -> Sizes {
        let ram =
            [("Agent", 900), ("journal row", 512), ("Mqtt", 736)].map(|(name, size)| (name.to_owned(), size));
        Sizes {
            parts: vec![(PATH, vec![Footprint::default(); 2])],
            path_text: vec![1, 2],
            ram: ram.to_vec(),
            emulated: None,
            update: Some(emulate::Counters::from([("stack_verify".to_owned(), 19_000)])),
            panic_paths: panic_paths.iter().map(|name| (*name).to_owned()).collect(),
            panics_by_crate: Vec::new(),
        }
    }

    #[test]
    fn the_promised_numbers_are_in_the_object() {
        let object = sizes(&[]).json();
        assert_eq!((&object["ota_path_text"], &object["agent_ram"]), (&json!(1), &json!(1412)));
        assert_eq!((&object["panic_paths"], &object["block_path_stack"]), (&json!(0), &Value::Null));
        let update = &object["update_s"];
        assert_eq!((&update["stack_verify"], &update["stack_tls_open"]), (&json!(19_000), &Value::Null));
    }

    #[test]
    fn a_part_above_its_limit_is_an_error_that_names_it() {
        let (what, most) = MUST[0];
        let mut sizes = sizes(&[]);
        sizes.path_text = vec![most, most];
        assert!(sizes.check().is_ok(), "the limit itself is held");
        sizes.path_text = vec![most + 1, 1];
        let error = sizes.check().expect_err("too large").to_string();
        assert!(error.contains(what) && error.contains(&most.to_string()), "{error}");
    }

    #[test]
    fn a_panic_path_of_ours_is_an_error_that_names_it() {
        assert!(sizes(&[]).check().is_ok());
        let error = sizes(&["ota_core::slot::erase"]).check().expect_err("a panic path");
        assert!(error.to_string().contains("ota_core::slot::erase"), "{error}");
    }
}
