//! A slot dump: what lies at its start, and its trailer.

use std::fmt;

use anyhow::{Context, Result, ensure};
use ota_core::geometry::{BootMode, MaxAlign};
use ota_core::image::HEADER_MAGIC;
use ota_core::trailer::{Flag, MAGIC_SIZE, MAX_INFO_SIZE, Magic, SwapType, Trailer, TrailerLayout};
use serde::Serialize;

use super::image::Image;
use super::keys::KeyFile;

const MAX_ALIGNS: [MaxAlign; 3] = [MaxAlign::M8, MaxAlign::M16, MaxAlign::M32];

/// Sector sizes at which a swap-offset image may start: 512 bytes to 256 KiB.
const OFFSET_SECTOR_BITS: std::ops::RangeInclusive<u32> = 9..=18;

/// A slot that starts with this many erased bytes counts as erased: the smallest sector.
const ERASED_SIZE: usize = 512;

/// What lies where an image should.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    Image(Image),
    /// The first bytes are erased.
    Erased,
    /// MCUboot's magic with an impossible header: the reason.
    Damaged(String),
    /// No image starts here.
    Unknown,
}

impl Content {
    /// What stands at the start of `bytes`, or one sector in, where swap-offset puts new images.
    pub(super) fn read(bytes: &[u8], keys: &[KeyFile]) -> Self {
        let starts =
            |at: usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(&HEADER_MAGIC.to_le_bytes()));
        let places = std::iter::once(0).chain(OFFSET_SECTOR_BITS.map(|bits| 1 << bits));
        for at in places {
            if starts(at) {
                return match Image::read(at, &bytes[at..], keys) {
                    Ok(image) => Self::Image(image),
                    Err(error) => Self::Damaged(error.to_string()),
                };
            }
        }
        let start = &bytes[..bytes.len().min(ERASED_SIZE)];
        if uniform(start).is_some() { Self::Erased } else { Self::Unknown }
    }

    /// Where the image ends, from the start of `bytes`.
    pub(super) fn end(&self) -> Option<usize> {
        match self {
            Self::Image(image) => Some(image.at + image.size? as usize),
            Self::Erased | Self::Damaged(_) | Self::Unknown => None,
        }
    }
}

/// A slot's trailer and how it was read.
#[derive(Debug, Serialize)]
pub(super) struct Slot {
    pub(super) size: u32,
    /// The bootloader's max-align, given or told by the magic.
    max_align: u32,
    erased: u8,
    /// Whether the erased value was given or follows from the bytes; else it is a guess.
    erased_known: bool,
    magic: &'static str,
    image_ok: &'static str,
    copy_done: &'static str,
    swap_type: &'static str,
    swap_image: u8,
    swap_size: Option<u32>,
    #[serde(skip)]
    pub(super) trailer: Trailer,
    pub(super) problems: Vec<String>,
}

/// How a dump is to be read, where the user has said so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) erased: Option<u8>,
    pub(super) max_align: Option<MaxAlign>,
    pub(super) mode: BootMode,
}

impl Slot {
    /// Reads the trailer of the slot that `bytes` are all of.
    pub(super) fn read(bytes: &[u8], reading: &Reading) -> Result<Self> {
        let size = u32::try_from(bytes.len()).context("a slot is smaller than 4 GiB")?;
        ensure!(bytes.len() >= MAX_INFO_SIZE, "{size} bytes are too few for a slot with a trailer");
        let told = told_max_align(bytes);
        let max_align = reading.max_align.or(told).unwrap_or(MaxAlign::M8);
        let layout = TrailerLayout::new(size, max_align, reading.mode);
        let detected = detect_erased(bytes, &layout);
        let erased = reading.erased.unwrap_or(detected.unwrap_or_else(|| likely_erased(bytes)));
        let trailer = Trailer::decode(bytes, &layout, erased).context("too short for a trailer")?;
        let swap_size = bytes.get(layout.swap_size() as usize..).and_then(|rest| rest.first_chunk::<4>());
        let mut slot = Self {
            size,
            max_align: max_align.bytes(),
            erased,
            erased_known: reading.erased.or(detected).is_some(),
            magic: magic_word(trailer.magic),
            image_ok: flag_word(trailer.image_ok),
            copy_done: flag_word(trailer.copy_done),
            swap_type: swap_type_word(trailer.swap_info.0),
            swap_image: trailer.swap_info.1,
            swap_size: swap_size
                .filter(|bytes| **bytes != [erased; 4])
                .map(|bytes| u32::from_le_bytes(*bytes)),
            trailer,
            problems: Vec::new(),
        };
        slot.judge(told);
        Ok(slot)
    }

    fn judge(&mut self, told: Option<MaxAlign>) {
        match (self.trailer.magic, told) {
            (Magic::Bad, Some(other)) => self.problems.push(format!(
                "the magic is that of a bootloader with max-align {}; one with {} takes it for damaged",
                other.bytes(),
                self.max_align
            )),
            (Magic::Bad, None) => {
                self.problems
                    .push("the magic is neither MCUboot's nor erased: torn, or not a trailer".into());
            }
            (Magic::Good | Magic::Unset, _) => {}
        }
        for (name, state) in [("image_ok", self.trailer.image_ok), ("copy_done", self.trailer.copy_done)] {
            match state {
                Flag::Bad => self
                    .problems
                    .push(format!("{name} is neither set nor erased: torn, or another erased value")),
                Flag::Set | Flag::Unset => {}
            }
        }
    }
}

/// Does what follows the image end in a trailer magic?
pub(super) fn has_magic(rest: &[u8]) -> bool {
    told_max_align(rest).is_some()
}

/// Does what follows the image end in an erased trailer?
pub(super) fn has_erased_tail(rest: &[u8]) -> bool {
    rest.last_chunk::<MAX_INFO_SIZE>().is_some_and(|tail| uniform(tail).is_some())
}

/// The max-align whose magic ends `bytes`.
fn told_max_align(bytes: &[u8]) -> Option<MaxAlign> {
    MAX_ALIGNS.into_iter().find(|max_align| bytes.ends_with(max_align.magic()))
}

/// The erased value, when these bytes are all of one.
fn uniform(bytes: &[u8]) -> Option<u8> {
    let first = *bytes.first()?;
    (matches!(first, 0x00 | 0xFF) && bytes.iter().all(|&byte| byte == first)).then_some(first)
}

/// The bytes between the trailer's fields are never programmed, or programmed as erased.
fn between_fields(bytes: &[u8], layout: &TrailerLayout) -> Vec<u8> {
    let fields = [layout.image_ok(), layout.copy_done(), layout.swap_info()];
    let is_field = |at: u32| fields.contains(&at) || at >= layout.magic();
    (layout.swap_info()..layout.magic())
        .filter(|&at| !is_field(at))
        .filter_map(|at| bytes.get(at as usize).copied())
        .collect()
}

fn detect_erased(bytes: &[u8], layout: &TrailerLayout) -> Option<u8> {
    uniform(&between_fields(bytes, layout))
}

/// The more frequent of both in the last KiB.
fn likely_erased(bytes: &[u8]) -> u8 {
    let tail = &bytes[bytes.len().saturating_sub(1024)..];
    let count = |value: u8| tail.iter().filter(|&&byte| byte == value).count();
    if count(0x00) > count(0xFF) { 0x00 } else { 0xFF }
}

const fn magic_word(magic: Magic) -> &'static str {
    match magic {
        Magic::Good => "good",
        Magic::Bad => "bad",
        Magic::Unset => "unset",
    }
}

const fn flag_word(flag: Flag) -> &'static str {
    match flag {
        Flag::Set => "set",
        Flag::Bad => "bad",
        Flag::Unset => "unset",
    }
}

const fn swap_type_word(swap_type: SwapType) -> &'static str {
    match swap_type {
        SwapType::None => "none",
        SwapType::Test => "test",
        SwapType::Permanent => "permanent",
        SwapType::Revert => "revert",
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guessed = if self.erased_known { "" } else { " (guessed; say --erased)" };
        writeln!(f, "Trailer of a slot of {} bytes ({:#x})", self.size, self.size)?;
        writeln!(f, "  max-align     {}", self.max_align)?;
        writeln!(f, "  erased value  {:#04x}{guessed}", self.erased)?;
        writeln!(f, "  magic         {} (the last {MAGIC_SIZE} bytes)", self.magic)?;
        writeln!(f, "  image_ok      {}", self.image_ok)?;
        writeln!(f, "  copy_done     {}", self.copy_done)?;
        writeln!(f, "  swap_info     {}, image {}", self.swap_type, self.swap_image)?;
        match self.swap_size {
            Some(size) => writeln!(f, "  swap_size     {size} bytes"),
            None => writeln!(f, "  swap_size     unset"),
        }
    }
}
