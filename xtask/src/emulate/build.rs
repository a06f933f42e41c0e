//! The firmware, and the tool that plays the cloud.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use object::read::elf::ProgramHeader;
use object::{LittleEndian, elf::FileHeader32, read::elf::ElfFile};
use ota_sim::image::{ImageBuilder, Key, Version};
use qemu_board::{FLASH_BASE, HEADER_SIZE, Part};

use crate::{cargo, ci::TARGET, stage, target_folder};

/// The workspace of the firmware, seen from the root.
pub(crate) const FOLDER: &str = "examples/qemu";

/// The linked programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    First,
    Second,
    Broken,
}

/// What was built.
pub(crate) struct Firmware {
    pub(crate) bootloader: PathBuf,
    pub(crate) ota: PathBuf,
    first: Vec<u8>,
    second: Vec<u8>,
    broken: Vec<u8>,
}

impl Firmware {
    /// Builds what has changed.
    pub(crate) fn build() -> anyhow::Result<Self> {
        for package in ["bootloader", "application"] {
            in_workspace(&["build", "--quiet", "--release", "--package", package])?;
        }
        stage::run(cargo().args(["build", "--quiet", "--package", "ota-cli"]))?;
        let programs = firmware_folder().join(TARGET).join("release");
        let payload = |name: &str| payload(&programs.join(name));
        Ok(Self {
            bootloader: programs.join("bootloader"),
            ota: target_folder().join("debug").join("ota"),
            first: payload("version-1")?,
            second: payload("version-2")?,
            broken: payload("version-2-broken")?,
        })
    }

    /// The version of a program.
    pub(crate) const fn version(program: Program) -> Version {
        match program {
            Program::First => Version::new(1, 0, 0, 0),
            Program::Second | Program::Broken => Version::new(2, 0, 0, 0),
        }
    }

    /// A program as an image in MCUboot's format.
    pub(crate) fn image(&self, program: Program, part: &Part, key: &Key) -> Vec<u8> {
        let payload = match program {
            Program::First => &self.first,
            Program::Second => &self.second,
            Program::Broken => &self.broken,
        };
        ImageBuilder::new(Self::version(program), payload.clone())
            .header_size(HEADER_SIZE as u16)
            .erased(part.erased)
            .signed(key)
    }
}

/// Runs cargo in the workspace of the firmware.
fn in_workspace(words: &[&str]) -> anyhow::Result<()> {
    let root = crate::root();
    let workspace = root.join(FOLDER);
    // The versions that are tested elsewhere; cargo adds the few packages which only the firmware has.
    fs::copy(root.join("Cargo.lock"), workspace.join("Cargo.lock")).context(FOLDER)?;
    let mut command = cargo();
    // The configuration beside the manifest names processor and linker script; cargo looks for it from the current folder
    // upwards.
    command.current_dir(&workspace).args(words).env("CARGO_TARGET_DIR", firmware_folder());
    stage::run(&mut command)
}

/// Lints of the firmware.
pub(crate) fn clippy() -> anyhow::Result<()> {
    in_workspace(&["clippy", "--quiet", "--release", "--workspace", "--", "-Dwarnings"])
}

/// Where the firmware is built: beside all else, since the flags differ.
fn firmware_folder() -> PathBuf {
    target_folder().join("qemu")
}

/// What of a linked program lies in flash, as one piece.
fn payload(program: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(program).with_context(|| program.display().to_string())?;
    let file = ElfFile::<FileHeader32<LittleEndian>>::parse(&*bytes).context("not an ELF file")?;
    let endian = file.endian();
    let start = FLASH_BASE + HEADER_SIZE;
    let mut payload = Vec::new();
    for segment in file.elf_program_headers() {
        let data = segment.data(endian, &*bytes).ok().context("a segment outside of the file")?;
        // Where it is loaded, not where it is used: start values of variables lie in flash.
        let (kind, at) = (segment.p_type(endian), segment.p_paddr(endian));
        if kind != object::elf::PT_LOAD || data.is_empty() {
            continue;
        }
        let at = at.checked_sub(start).context("a segment in front of the image")? as usize;
        ensure!(at >= payload.len() && at < 1 << 24, "segments out of order");
        payload.resize(at, 0);
        payload.extend_from_slice(data);
    }
    ensure!(!payload.is_empty(), "{} holds nothing", program.display());
    Ok(payload)
}
