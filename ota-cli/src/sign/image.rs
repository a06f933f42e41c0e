//! `ota sign image`: the bytes of imgtool 2.5.0's `sign`, with the options an update with this library needs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use ota_core::geometry::{BootMode, MaxAlign};
use ota_core::image::{HEADER_SIZE, MAX_TLV_COUNT};
use ota_core::trailer::{MAGIC_SIZE, TrailerLayout};
use ota_core::version::Version;
use ota_sim::image::{ImageBuilder, Pad, pad};

use crate::job_key::JobKey;
use crate::number;

/// Make an MCUboot image out of a linked program, as `imgtool sign` does.
///
/// Options have imgtool's names, meaning and bytes. Not here: encryption, compression, Intel HEX, keys other than
/// ECDSA P-256; use imgtool for images that need them.
#[derive(Debug, Args)]
pub(crate) struct Image {
    /// The program as a flat binary
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Where the image goes
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Private key (PEM, P-256); without it the image has a hash and no signature
    #[arg(short, long, value_name = "PEM")]
    key: Option<PathBuf>,
    /// Version in the header, like 1.2.3+4
    #[arg(short, long, value_parser = version)]
    version: Version,
    /// Bytes in front of the program, at least 32
    #[arg(short = 'H', long, value_name = "BYTES", value_parser = header_size)]
    header_size: u16,
    /// Put the header in front; without it the program starts with that many zeros
    #[arg(long)]
    pad_header: bool,
    /// Size of the secondary slot; 0 does not check whether the image fits
    #[arg(short = 'S', long, value_name = "BYTES", value_parser = number::size)]
    slot_size: u32,
    /// The bootloader's flash write size: 1, 2, 4, 8, 16 or 32
    #[arg(long, value_name = "BYTES", default_value = "1", value_parser = align)]
    align: u32,
    /// The bootloader's MCUBOOT_BOOT_MAX_ALIGN: 8, 16 or 32 [default: 8, or --align where that is more]
    #[arg(long, value_name = "BYTES", value_parser = number::max_align)]
    max_align: Option<MaxAlign>,
    /// Sectors the bootloader keeps status entries for
    #[arg(short = 'M', long, value_name = "COUNT", default_value = "128", value_parser = number::size)]
    max_sectors: u32,
    /// The bootloader overwrites and never swaps: a smaller trailer is kept free
    #[arg(long)]
    overwrite_only: bool,
    /// What erased flash reads as: 0 or 0xff
    #[arg(short = 'R', long, visible_alias = "erased-val", value_name = "BYTE", default_value = "0xff",
          value_parser = number::erased)]
    erased: u8,
    /// Protected security counter: a number, or auto for the version's
    #[arg(short, long, value_name = "N|auto", value_parser = security_counter)]
    security_counter: Option<SecurityCounter>,
    /// Another image this one needs, like "(1, 2.3.4+5)"; several in one text, or the option several times
    #[arg(short, long, visible_alias = "dependencies", value_name = "LIST", value_parser = dependencies)]
    dependency: Vec<Dependencies>,
    /// Pad to the slot's size, with the trailer magic that asks for a test
    #[arg(long, visible_alias = "test")]
    pad: bool,
    /// Pad, and mark as confirmed: asks for a permanent swap, or is what a factory flashes
    #[arg(long)]
    confirm: bool,
}

/// Devices read no more TLVs; security counter, hash, key hash and signature are four of them.
const DEPENDENCIES_MAX: usize = MAX_TLV_COUNT as usize - 4;

#[derive(Clone, Copy, Debug)]
enum SecurityCounter {
    Auto,
    Number(u32),
}

/// What one `--dependency` names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dependencies(Vec<(u8, Version)>);

impl Image {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let needed = self.dependency.iter().map(|list| list.0.len()).sum::<usize>();
        ensure!(needed <= DEPENDENCIES_MAX, "{needed} dependencies: devices read {DEPENDENCIES_MAX} at most");
        let key = self.key.as_deref().map(JobKey::load).transpose()?;
        let program = self.program()?;
        let mut builder = ImageBuilder::new(sim_version(self.version), program)
            .header_size(self.header_size)
            .erased(if self.pad_header { self.erased } else { 0 });
        match self.security_counter {
            None => {}
            Some(SecurityCounter::Auto) => builder = builder.security_counter(self.version.word()),
            Some(SecurityCounter::Number(counter)) => builder = builder.security_counter(counter),
        }
        for (image, version) in self.dependency.iter().flat_map(|list| &list.0) {
            builder = builder.dependency(*image, sim_version(*version));
        }
        let image = match &key {
            Some(key) => builder.signed(&key.image_key()?),
            None => builder.unsigned(),
        };
        self.check_fit(image.len())?;
        let size = image.len();
        let bytes = self.padded(image)?;
        std::fs::write(&self.output, &bytes)
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        let signed = if key.is_some() { "signed" } else { "NOT signed (no --key)" };
        println!("{}: image {}, {size} bytes, {signed}", self.output.display(), self.version);
        Ok(ExitCode::SUCCESS)
    }

    /// The program without the place of the header.
    fn program(&self) -> Result<Vec<u8>> {
        let name = self.input.display();
        let is_hex = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("hex"));
        for path in [&self.input, &self.output] {
            ensure!(!is_hex(path), "{}: Intel HEX is not supported, use a flat binary", path.display());
        }
        let bytes = std::fs::read(&self.input).with_context(|| format!("cannot read {name}"))?;
        ensure!(u32::try_from(bytes.len()).is_ok(), "{name} is 4 GiB or larger");
        if self.pad_header {
            return Ok(bytes);
        }
        let header_size = usize::from(self.header_size);
        let Some((place, program)) = bytes.split_at_checked(header_size) else {
            bail!("{name} is shorter than the header of {header_size} bytes; add --pad-header");
        };
        ensure!(
            place.iter().all(|&byte| byte == 0),
            "{name} does not start with {header_size} zeros for the header; link it so, or add --pad-header"
        );
        Ok(program.to_vec())
    }

    fn max_align(&self) -> MaxAlign {
        self.max_align.unwrap_or(match self.align {
            32 => MaxAlign::M32,
            16 => MaxAlign::M16,
            _ => MaxAlign::M8,
        })
    }

    fn pads(&self) -> bool {
        self.pad || self.confirm
    }

    /// imgtool's rule: image and trailer fit the slot. What a bootloader really takes depends on its mode; the device
    /// checks that (`ImageLayout::max_image_size`).
    fn check_fit(&self, size: usize) -> Result<()> {
        if self.slot_size == 0 && !self.pads() {
            return Ok(());
        }
        let align = self.max_align().bytes();
        let trailer = if self.overwrite_only {
            2 * align + MAGIC_SIZE.next_multiple_of(align)
        } else {
            let layout = TrailerLayout::new(self.slot_size, self.max_align(), BootMode::SwapMove);
            layout.size(self.align, self.max_sectors)
        };
        let needed = size as u64 + u64::from(trailer);
        ensure!(
            needed <= u64::from(self.slot_size),
            "too large: the image has {size} bytes ({size:#x}), its trailer {trailer} ({trailer:#x}), the slot {} ({:#x})",
            self.slot_size,
            self.slot_size
        );
        Ok(())
    }

    fn padded(&self, image: Vec<u8>) -> Result<Vec<u8>> {
        if !self.pads() {
            return Ok(image);
        }
        let align = self.max_align().bytes();
        ensure!(
            self.slot_size.is_multiple_of(align),
            "a slot of {} bytes is not a multiple of the bootloader's alignment {align}",
            self.slot_size
        );
        // Overwrite-only bootloaders keep every image: there is nothing to mark.
        let kind = if self.confirm && !self.overwrite_only { Pad::Confirmed } else { Pad::Test };
        Ok(pad(&image, self.slot_size as usize, align as usize, self.erased, kind))
    }
}

fn sim_version(version: Version) -> ota_sim::Version {
    let Version { major, minor, revision, build } = version;
    ota_sim::Version::new(major, minor, revision, build)
}

/// As imgtool reads it: numbers have no leading zeros.
fn version(text: &str) -> Result<Version, String> {
    let plain = |number: &str| number.len() == 1 || !number.starts_with('0');
    Version::parse(text)
        .filter(|_| text.split(['.', '+']).all(plain))
        .ok_or_else(|| "write a version as major.minor.revision or major.minor.revision+build".into())
}

fn header_size(text: &str) -> Result<u16, String> {
    match number::size(text)? {
        0..HEADER_SIZE => Err(format!("the header alone has {HEADER_SIZE} bytes")),
        bytes => u16::try_from(bytes).map_err(|_| "a header is smaller than 64 KiB".into()),
    }
}

fn align(text: &str) -> Result<u32, String> {
    match number::size(text)? {
        align @ (1 | 2 | 4 | 8 | 16 | 32) => Ok(align),
        _ => Err("write sizes are 1, 2, 4, 8, 16 or 32".into()),
    }
}

fn security_counter(text: &str) -> Result<SecurityCounter, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(SecurityCounter::Auto);
    }
    number::size(text).map(SecurityCounter::Number)
}

/// `(1, 2.3.4+5)`, and more of them with commas between.
fn dependencies(text: &str) -> Result<Dependencies, String> {
    let one = |part: &str| {
        let (image, needed) = part.trim().strip_prefix('(')?.split_once(',')?;
        Some((image.trim().parse().ok()?, version(needed.trim()).ok()?))
    };
    let list = text.trim().strip_suffix(')').and_then(|list| {
        let parts = list.split(')').enumerate();
        parts
            .map(|(at, part)| one(if at == 0 { part } else { part.trim_start().strip_prefix(',')? }))
            .collect()
    });
    list.map(Dependencies)
        .ok_or_else(|| "write dependencies as (image, version), like \"(1, 2.3.4+5)\"".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_as_lists() {
        let one = (1, Version::new(2, 3, 4, 5));
        for text in ["(1,2.3.4+5)", "(1, 2.3.4+5)", " ( 1 , 2.3.4+5 ) "] {
            assert_eq!(dependencies(text), Ok(Dependencies(vec![one])), "{text}");
        }
        let two = (2, Version::new(1, 0, 0, 0));
        assert_eq!(dependencies("(1, 2.3.4+5), (2, 1.0)"), Ok(Dependencies(vec![one, two])));
        for text in ["", "()", "1,2.3.4", "(1)", "(1,)", "(256,1.0)", "(1,1.0)(2,1.0)", "(1,1.0),", "(a,1.0)"]
        {
            assert!(dependencies(text).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_are_imgtools() {
        assert_eq!(version("1.2.3+4"), Ok(Version::new(1, 2, 3, 4)));
        assert_eq!((version("0"), version("0.10")), (Ok(Version::default()), Ok(Version::new(0, 10, 0, 0))));
        for text in ["01.2.3", "1.02", "1.2.3+04", "1.2+3.4", "256.0.0", ""] {
            assert!(version(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_of_the_header() {
        assert!(header_size("31").is_err() && header_size("0x10000").is_err());
        assert_eq!((header_size("32"), header_size("0xffff")), (Ok(32), Ok(0xFFFF)));
    }
}
