//! `cargo xtask firmware [--json] [--features LIST] [KIT..]`: builds the kits' firmware and looks at what was linked; `cargo xtask
//! firmware --sign KEY [KIT..]` makes the images MCUboot installs, too.
//!
//! What must hold of every firmware: its vector table lies where the bootloader starts it, the image fits its slot
//! with header, TLVs and trailer, the routine that works on flash lies in RAM and calls nothing in flash, the largest stack
//! frame fits what RAM is left, and nothing allocates unless the feature `rsa` is on. CI looks at that routine in a build without
//! optimisation, too.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol};
use ota_psoc6::layout::{FlashMap, HEADER_SIZE, SRAM};
use serde_json::{Value, json};

use crate::{
    calls, cargo,
    ci::TARGET,
    elf::{self, Footprint},
    frames, root, sizes, stage,
};

/// The map of each firmware is the firmware's own file.
#[path = "../../examples/cy8ckit-062s2-43012/src/map.rs"]
mod pioneer;
#[path = "../../examples/cy8cproto-062-4343w/src/map.rs"]
mod prototyping;
#[path = "../../examples/cy8ckit-064s0s2-4343w/src/map.rs"]
mod secure;

/// The firmware of one kit: its folder under `examples/` and its map.
const KITS: &[(&str, &FlashMap)] = &[
    ("cy8cproto-062-4343w", &prototyping::MAP),
    ("cy8ckit-062s2-43012", &pioneer::MAP),
    ("cy8ckit-064s0s2-4343w", &secure::MAP),
];

/// What imgtool appends: digest, key hash and an ECDSA signature take some 150 bytes.
const TLV_MAX: u64 = 0x200;
/// The routine that has to be in RAM.
const RAM_ROUTINE: &str = "ota_psoc6::syscall::transact";
/// How the symbols of a program with a heap end, without their hash.
const ALLOCATES: &[&str] = &["__rust_alloc", "__rg_alloc", "__rdl_alloc", "__rust_realloc"];
/// The one feature that needs a heap.
const HEAP_FEATURE: &str = "rsa";
/// How a stand-in for a blob of the Wi-Fi chip begins.
const STAND_IN: &[u8] = b"OTA-STAND-IN: ";

/// What was found of one firmware.
struct Found {
    kit: &'static str,
    footprint: Footprint,
    image_size: u64,
    image_max: u64,
    ram_free: u64,
    /// Name and bytes.
    frame: (String, u64),
    stand_ins: bool,
}

/// Builds and checks the named kits, or all.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let (mut json, mut key, mut features, mut names) = (false, None, "", Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--json" => json = true,
            "--sign" => key = Some(PathBuf::from(words.next().context("--sign wants a key file")?)),
            "--features" => features = words.next().context("--features wants a list")?,
            name => names.push(name),
        }
    }
    if let Some(unknown) = names.iter().find(|name| !KITS.iter().any(|kit| kit.0 == **name)) {
        let all: Vec<&str> = KITS.iter().map(|kit| kit.0).collect();
        bail!("no firmware for `{unknown}`; there is: {}", all.join(", "));
    }
    let mut found = Vec::new();
    for (kit, map) in KITS.iter().filter(|kit| names.is_empty() || names.contains(&kit.0)) {
        let path = build(kit, features, json)?;
        let program = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let heap = features.split(',').any(|feature| feature == HEAP_FEATURE);
        found.push(check(kit, map, &program, heap).with_context(|| format!("firmware of {kit}"))?);
        if let Some(key) = &key {
            sign(kit, map, &program, key)?;
        }
    }
    if json {
        let all: serde_json::Map<String, Value> =
            found.iter().map(|one| (one.kit.to_owned(), one.json())).collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print(&found);
    }
    Ok(())
}

/// CI: all of them, built without a warning and linted; one of them with each feature.
pub(crate) fn stage() -> anyhow::Result<()> {
    let lint = |folder: &str, options: &[&str]| {
        let mut command = cargo();
        command.current_dir(root().join("examples").join(folder)).env("CARGO_TARGET_DIR", target_dir());
        stage::run(
            command
                .args(["clippy", "--release", "--target", TARGET])
                .args(options)
                .args(["--", "-Dwarnings"]),
        )
    };
    // Cargo lints what it was asked for, not what that depends on.
    lint("kit", &["--features=psoc62"])?;
    lint("kit", &["--features=psoc62,http,rtt"])?;
    lint("kit", &["--features=psoc64"])?;
    lint("kit", &["--features=psoc64,rsa"])?;
    KITS.iter().try_for_each(|(kit, _)| lint(kit, &["--locked"]))?;
    check_plain_build()?;
    let one = KITS[0].0;
    run(&["--features", HEAP_FEATURE, one])?;
    run(&["--features", "http,rtt", one])?;
    // Last, so that the programs left behind are those of a build without features.
    run(&[])
}

/// Not members of the workspace: they build for the kits' processor only.
pub(crate) fn fmt() -> anyhow::Result<()> {
    for folder in KITS.iter().map(|kit| kit.0).chain(["kit"]) {
        let manifest = format!("examples/{folder}/Cargo.toml");
        stage::run(cargo().args(["fmt", "--check", "--manifest-path", &manifest]))?;
    }
    Ok(())
}

fn target_dir() -> PathBuf {
    root().join("target/firmware")
}

/// Builds with the kit's own settings, which cargo finds in its folder. `quiet`: nothing on our output, cargo's own goes to the
/// screen.
fn build(kit: &str, features: &str, quiet: bool) -> anyhow::Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root().join("examples").join(kit)).env("CARGO_TARGET_DIR", target_dir());
    command.args(["build", "--release", "--locked", "--features", features]);
    if quiet {
        let status = command.status().context("cannot start cargo")?;
        ensure!(status.success(), "the build ended with {status}");
    } else {
        stage::run(&mut command)?;
    }
    Ok(target_dir().join(TARGET).join("release").join(kit))
}

/// `heap`: the program has to have one, and else must not.
fn check(kit: &'static str, map: &FlashMap, program: &[u8], heap: bool) -> anyhow::Result<Found> {
    let file = object::File::parse(program).context("not an ELF file")?;
    let (primary, place, ram) = (map.primary(0), map.program(), map.ram());
    let in_ram = |at: u64| (u64::from(ram.address())..u64::from(ram.end())).contains(&at);

    let start = u64::from(primary.address() + HEADER_SIZE);
    let table = file.section_by_name(".vector_table").context("no section .vector_table")?;
    ensure!(
        table.address() == start && start == u64::from(place.address()),
        "the vector table lies at {:#010x}, the bootloader starts {start:#010x}",
        table.address()
    );
    let words: Vec<u64> =
        table.data()?.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]).into()).collect();
    let (stack, reset) = (words.first().copied().unwrap_or(0), words.get(1).copied().unwrap_or(0));
    ensure!(in_ram(stack.saturating_sub(4)), "the stack would start at {stack:#010x}, outside of RAM");
    let end = start + u64::from(place.size());
    ensure!(reset & 1 == 1 && (start..end).contains(&reset), "the reset vector is {reset:#010x}");
    ensure!(words.len() == 16 + 168, "{} vectors; the chip has 16 + 168", words.len());

    let image = image(program)?;
    let image_size = u64::from(HEADER_SIZE) + image.len() as u64 + TLV_MAX;
    let image_max = u64::from(map.image(0).max_image_size());
    ensure!(
        image_size <= image_max,
        "the image takes {image_size} bytes with header and TLVs, the slot {image_max}"
    );

    check_routine(&file, in_ram)?;

    match allocator(&file) {
        Some(symbol) if !heap => bail!("the program allocates: it has {symbol}"),
        None if heap => bail!("no function of an allocator is known in a program that has a heap"),
        Some(_) | None => {}
    }
    let footprint = elf::footprint(program)?;
    let ram_free = u64::from(ram.size()).saturating_sub(footprint.data + footprint.bss);
    let stand_ins = program.windows(STAND_IN.len()).filter(|window| *window == STAND_IN).count() > 1;
    let frame = frames::largest(program)?;
    ensure!(frame.1 > 0, "no stack frame was found");
    ensure!(frame.1 < ram_free, "{} takes {} bytes of stack, {ram_free} are left", frame.0, frame.1);
    Ok(Found { kit, footprint, image_size, image_max, ram_free, frame, stand_ins })
}

/// The routine that works on flash lies in RAM and calls nothing.
fn check_routine(file: &object::File<'_>, in_ram: impl Fn(u64) -> bool) -> anyhow::Result<()> {
    let routine = file
        .symbols()
        .find(|symbol| symbol.name().is_ok_and(|name| calls::demangled(name).contains(RAM_ROUTINE)))
        .with_context(|| format!("no function {RAM_ROUTINE}"))?;
    ensure!(in_ram(routine.address()), "{RAM_ROUTINE} lies at {:#010x}, in flash", routine.address());
    ensure!(!calls_out(file, &routine)?, "{RAM_ROUTINE} calls something; in flash nothing may be called");
    Ok(())
}

/// The same where nothing is optimised, and unsafe operations check what they may: as others build who use the driver, not with the
/// kits' profile. The check of an addition that cannot overflow would be the one call left.
fn check_plain_build() -> anyhow::Result<()> {
    let settings = [
        ("CARGO_PROFILE_RELEASE_LTO", "off"),
        ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
        ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "false"),
    ];
    let path = sizes::build_with("0", &["ram-routine"], "ram-routine", &settings)?;
    let program = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let file = object::File::parse(program.as_slice()).context("not an ELF file")?;
    let sram = u64::from(SRAM.address())..u64::from(SRAM.end());
    check_routine(&file, |at| sram.contains(&at)).context("a build without optimisation")
}

/// The name of an allocating function, if the program has one.
fn allocator(file: &object::File<'_>) -> Option<String> {
    let mut names = file.symbols().filter_map(|symbol| Some(calls::demangled(symbol.name().ok()?)));
    names.find(|name| ALLOCATES.iter().any(|end| name.ends_with(end)))
}

/// Whether a function has a call or a branch out of itself.
fn calls_out<'d>(file: &object::File<'d>, function: &impl ObjectSymbol<'d>) -> anyhow::Result<bool> {
    let start = function.address() & !1;
    let section = file.section_by_index(function.section_index().context("a function without section")?)?;
    let code = section.data_range(start, function.size())?.context("a function without code")?;
    let mut at = 0;
    while let Some([a, b, rest @ ..]) = code.get(at..) {
        let first = u16::from_le_bytes([*a, *b]);
        if first >> 11 < 0b11101 {
            at += 2;
            continue;
        }
        let [c, d, ..] = rest else { break };
        let target = calls::branch(start + at as u64, first, u16::from_le_bytes([*c, *d]));
        if target.is_some_and(|target| !(start..start + function.size()).contains(&target)) {
            return Ok(true);
        }
        at += 4;
    }
    Ok(false)
}

/// The bytes of flash, from the vector table on: sections at the addresses they are loaded from.
fn image(program: &[u8]) -> anyhow::Result<Vec<u8>> {
    let file = object::read::elf::ElfFile32::<object::Endianness>::parse(program)?;
    let mut parts = Vec::new();
    for segment in file.segments() {
        use object::read::elf::ProgramHeader;
        let from = segment.elf_program_header().p_paddr(file.endian());
        let data = segment.data()?;
        if !data.is_empty() && segment.size() > 0 {
            parts.push((from, data));
        }
    }
    parts.sort_by_key(|part| part.0);
    let first = parts.first().context("nothing is loaded")?.0;
    let mut image = Vec::new();
    for (from, data) in parts {
        let at = (from - first) as usize;
        ensure!(at >= image.len(), "parts of the program overlap at {from:#010x}");
        // Erased internal flash is zeros.
        image.resize(at, 0);
        image.extend_from_slice(data);
    }
    Ok(image)
}

/// Signs with imgtool, as a bootloader of the map wants it.
fn sign(kit: &str, map: &FlashMap, program: &[u8], key: &Path) -> anyhow::Result<()> {
    let folder = target_dir().join("images");
    std::fs::create_dir_all(&folder)?;
    let (plain, signed) = (folder.join(format!("{kit}.bin")), folder.join(format!("{kit}.signed.bin")));
    std::fs::write(&plain, image(program)?)?;
    let mut command = std::process::Command::new("imgtool");
    command.args(["sign", "--key"]).arg(key);
    command.args(["--header-size", &format!("{HEADER_SIZE:#x}"), "--pad-header", "--align", "8"]);
    command.args(["--version", version(kit)?.as_str(), "--max-sectors", &map.spec().max_sectors.to_string()]);
    command.args(["--slot-size", &format!("{:#x}", map.primary(0).size())]);
    stage::run(command.arg(&plain).arg(&signed)).context("imgtool (pip install imgtool) signs images")?;
    println!("{}: program it at {:#010x}", signed.display(), map.primary(0).address());
    Ok(())
}

/// The version in the kit's `Cargo.toml` is the image's.
fn version(kit: &str) -> anyhow::Result<String> {
    let manifest = std::fs::read_to_string(root().join("examples").join(kit).join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \"")).context("no version")?;
    Ok(line.trim_end_matches('"').to_owned())
}

impl Found {
    fn json(&self) -> Value {
        let Footprint { text, data, bss } = self.footprint;
        json!({
            "text": text,
            "data": data,
            "bss": bss,
            "image": self.image_size,
            "image_max": self.image_max,
            "stack_room": self.ram_free,
            "largest_frame": self.frame.1,
            "largest_frame_of": self.frame.0,
            "stand_in_blobs": self.stand_ins,
        })
    }
}

fn print(found: &[Found]) {
    println!(
        "{:<26} {:>8} {:>6} {:>8} {:>10} {:>10} {:>11} {:>8}",
        "firmware", "text", "data", "bss", "image", "of", "stack room", "frame"
    );
    for one in found {
        let Footprint { text, data, bss } = one.footprint;
        println!(
            "{:<26} {text:>8} {data:>6} {bss:>8} {:>10} {:>10} {:>11} {:>8}",
            one.kit, one.image_size, one.image_max, one.ram_free, one.frame.1
        );
    }
    for one in found {
        println!("{}: largest frame in {}", one.kit, one.frame.0);
        if one.stand_ins {
            println!("{}: the blobs of the Wi-Fi chip are stand-ins", one.kit);
        }
    }
    println!("image: with header and {TLV_MAX} bytes for TLVs; all of it in bytes");
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_heap_is_known() {
        // This test's own is one.
        let program = std::fs::read("/proc/self/exe").expect("the running program can be read");
        let file = object::File::parse(program.as_slice()).expect("an ELF file");
        assert!(allocator(&file).is_some());
    }

    #[test]
    fn versions_are_those_of_the_manifests() {
        for (kit, _) in KITS {
            assert_eq!(version(kit).expect("a version").split('.').count(), 3, "{kit}");
        }
    }
}
