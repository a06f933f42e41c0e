//! `ota inspect`: an image, a bundle, a slot dump or a journal dump in plain words.

mod bundle;
mod image;
mod journal;
mod keys;
mod slot;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use ota_core::geometry::{BootMode, MaxAlign};
use ota_core::trailer::Trailer;
use serde::Serialize;

use crate::number;
use bundle::Bundle;
use journal::Journal;
use keys::KeyFile;
use slot::{Content, Reading, Slot};

/// Exit code when something was found and is not in order.
const DAMAGED: u8 = 3;

/// Say in plain words what a file is: an MCUboot image, a TAR bundle, the dump of a slot, or the dump of a journal.
///
/// Exit code: 0 in order, 3 damaged or not signed by --key, 1 nothing known was found or the tool failed, 2 wrong
/// arguments.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// An image or a dump; with --primary the dump of the secondary slot
    file: PathBuf,
    /// Verify the image's signature with this key: private, public or a certificate, PEM; may be given several times
    #[arg(short, long = "key", value_name = "PEM")]
    keys: Vec<PathBuf>,
    /// Where in FILE the slot or journal starts
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = number::size)]
    offset: u32,
    /// Size of the slot [default: the rest of the file]
    #[arg(short = 'S', long, value_name = "BYTES", value_parser = number::size)]
    slot_size: Option<u32>,
    /// What this slot's erased flash reads as, 0 or 0xff [default: told by the trailer's gaps]
    #[arg(short = 'R', long, value_name = "BYTE", value_parser = number::erased)]
    erased: Option<u8>,
    /// The bootloader's MCUBOOT_BOOT_MAX_ALIGN: 8, 16 or 32 [default: told by the magic, else 8]
    #[arg(long, value_name = "BYTES", value_parser = number::max_align)]
    max_align: Option<MaxAlign>,
    /// How the bootloader installs images
    #[arg(long, value_name = "MODE", default_value = "swap-move")]
    boot_mode: Mode,
    /// Dump of the primary slot: says what the bootloader makes of both
    #[arg(long, value_name = "FILE", conflicts_with = "journal")]
    primary: Option<PathBuf>,
    /// What the primary's erased flash reads as, 0 or 0xff [default: told by the trailer's gaps]
    #[arg(long, value_name = "BYTE", requires = "primary", value_parser = number::erased)]
    primary_erased: Option<u8>,
    /// Look for journal records only
    #[arg(long)]
    journal: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Overwrite,
    SwapScratch,
    SwapMove,
    SwapOffset,
    SwapStatus,
}

impl Mode {
    const fn boot_mode(self) -> BootMode {
        match self {
            Self::Overwrite => BootMode::Overwrite,
            Self::SwapScratch => BootMode::SwapScratch,
            Self::SwapMove => BootMode::SwapMove,
            Self::SwapOffset => BootMode::SwapOffset,
            Self::SwapStatus => BootMode::SwapStatus,
        }
    }
}

/// What a file turned out to be.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    size: usize,
    content: Option<Content>,
    bundle: Option<Bundle>,
    /// Bytes after the image in a file that is no slot dump.
    trailing: usize,
    slot: Option<Slot>,
    primary: Option<Box<Report>>,
    journal: Option<Journal>,
    /// What the bootloader will do, and what the trailers tell of the past.
    verdict: Vec<String>,
    problems: Vec<String>,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let keys = self.keys.iter().map(|path| KeyFile::load(path)).collect::<Result<Vec<_>>>()?;
        let bytes = read(&self.file)?;
        let offset = self.offset as usize;
        let Some(part) = bytes.get(offset..).filter(|part| !part.is_empty()) else {
            bail!("{} has {} bytes, nothing lies at {offset:#x}", self.file.display(), bytes.len());
        };
        let mut report = if self.journal {
            journal_report(&self.file, part)?
        } else {
            self.slot_report(&self.file, part, self.erased, &keys)?
        };
        if let Some(path) = &self.primary {
            let primary = self.slot_report(path, &read(path)?, self.primary_erased, &keys)?;
            report.problems.extend(primary.problems.iter().map(|problem| format!("primary: {problem}")));
            report.primary = Some(Box::new(primary));
        }
        report.verdict = self.verdict(&report)?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            report.print();
        }
        Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
    }

    /// Image and trailer of `bytes`; a journal if they are neither.
    fn slot_report(&self, path: &Path, bytes: &[u8], erased: Option<u8>, keys: &[KeyFile]) -> Result<Report> {
        let slot_bytes = match self.slot_size {
            None => bytes,
            Some(size) => bytes.get(..size as usize).with_context(|| {
                format!("{} holds {} bytes there, fewer than a slot of {size}", path.display(), bytes.len())
            })?,
        };
        // Before images are looked for: those in a bundle may well lie at a sector's border.
        if let Some(bundle) = Bundle::read(bytes, keys) {
            let problems = bundle.problems.clone();
            return Ok(Report { bundle: Some(bundle), problems, ..Report::empty(path, bytes) });
        }
        let content = Content::read(slot_bytes, keys);
        let end = content.end();
        let rest = slot_bytes.get(end.unwrap_or(0)..).unwrap_or_default();
        let is_slot = self.slot_size.is_some() || slot::has_magic(rest);
        let is_slot = match &content {
            Content::Image(_) | Content::Damaged(_) => is_slot || slot::has_erased_tail(rest),
            Content::Erased | Content::Unknown if is_slot => true,
            // Journals end in erased flash too, so their records are looked for first.
            Content::Erased | Content::Unknown => {
                if let Some(journal) = Journal::find(bytes) {
                    return Ok(Report { journal: Some(journal), ..Report::empty(path, bytes) });
                }
                if !matches!(content, Content::Erased) || !slot::has_erased_tail(rest) {
                    bail!(
                        "{} holds no MCUboot image, no slot trailer and no journal record; for a slot say --slot-size",
                        path.display()
                    );
                }
                true
            }
        };
        let reading = Reading { erased, max_align: self.max_align, mode: self.boot_mode.boot_mode() };
        let slot = is_slot.then(|| Slot::read(slot_bytes, &reading)).transpose()?;
        let mut problems = match &content {
            Content::Image(image) => image.objections(),
            Content::Damaged(why) => vec![why.clone()],
            Content::Erased | Content::Unknown => Vec::new(),
        };
        problems.extend(slot.iter().flat_map(|slot| slot.problems.iter().cloned()));
        // A key is there to be verified with.
        if !keys.is_empty() && !matches!(content, Content::Image(_)) {
            problems.push("no image to verify".into());
        }
        let trailing = if is_slot { 0 } else { end.map_or(0, |end| slot_bytes.len() - end) };
        let content = Some(content);
        Ok(Report { content, trailing, slot, problems, ..Report::empty(path, bytes) })
    }

    fn verdict(&self, report: &Report) -> Result<Vec<String>> {
        let mode = self.boot_mode.boot_mode();
        let content = report.content.as_ref();
        let trailer = |report: &Report| report.slot.as_ref().map(|slot| slot.trailer);
        if let Some(primary) = &report.primary {
            let name = || format!("{} is no slot dump; say --slot-size", primary.file);
            let running = trailer(primary).with_context(name)?;
            let secondary = trailer(report)
                .with_context(|| format!("{} is no slot dump; say --slot-size", report.file))?;
            return Ok(vec![
                format!("Now: {}.", verdict::standing(mode, &running)),
                format!("At the next reset {}.", verdict::next_boot(mode, &running, &secondary, content)),
            ]);
        }
        let Some(trailer) = trailer(report) else { return Ok(Vec::new()) };
        Ok(vec![
            format!(
                "As a secondary slot: at the next reset {}.",
                verdict::next_boot(mode, &Trailer::UNSET, &trailer, content)
            ),
            format!(
                "As a primary slot: {}; at the next reset {}.",
                verdict::standing(mode, &trailer),
                verdict::next_boot(mode, &trailer, &Trailer::UNSET, None)
            ),
        ])
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn journal_report(path: &Path, bytes: &[u8]) -> Result<Report> {
    let journal =
        Journal::find(bytes).with_context(|| format!("{} holds no whole journal record", path.display()))?;
    Ok(Report { journal: Some(journal), ..Report::empty(path, bytes) })
}

impl Report {
    fn empty(path: &Path, bytes: &[u8]) -> Self {
        Self {
            file: path.display().to_string(),
            size: bytes.len(),
            content: None,
            bundle: None,
            trailing: 0,
            slot: None,
            primary: None,
            journal: None,
            verdict: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn print(&self) {
        self.print_found();
        if let Some(primary) = &self.primary {
            print!("\nPrimary: ");
            primary.print_found();
            println!();
        }
        self.verdict.iter().for_each(|sentence| println!("{sentence}"));
        self.problems.iter().for_each(|problem| println!("Problem: {problem}."));
    }

    fn print_found(&self) {
        println!("{}, {} bytes", self.file, self.size);
        match &self.content {
            Some(Content::Image(image)) => print!("{image}"),
            Some(Content::Erased) => println!("No image: erased"),
            Some(Content::Damaged(why)) => println!("Damaged MCUboot image: {why}"),
            Some(Content::Unknown) => println!("No MCUboot image at the start"),
            None => {}
        }
        if let Some(bundle) = &self.bundle {
            print!("{bundle}");
        }
        if self.trailing != 0 {
            println!("  followed by   {} other bytes", self.trailing);
        }
        if let Some(slot) = &self.slot {
            print!("{slot}");
        }
        if let Some(journal) = &self.journal {
            print!("{journal}");
        }
    }
}
