//! The three kits: which map the options choose, and the board it describes, with the kit's flashes and their times.

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use ota_core::geometry::BootMode;
use ota_psoc6::boot::reset_vectors;
use ota_psoc6::layout::{Area as Place, Bootloader, Device, FlashMap, Secondary, psoc62};
use ota_psoc64::layout::Policy;
use ota_sim::flash::{FlashConfig, Kind as FlashKind};
use ota_sim::mcuboot::Area;

use crate::options::{Mode, Options};
use crate::plan::{ImagePlan, Part, PartTiming, Plan, boot_mode};

/// Bytes of a journal at an address of the caller's: two sectors, or eight rows.
const JOURNAL_SIZE: u32 = 4096;

/// A kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kit {
    #[value(name = "CY8CPROTO-062-4343W")]
    Proto062,
    #[value(name = "CY8CKIT-062S2-43012")]
    Kit062,
    #[value(name = "CY8CKIT-064S0S2-4343W")]
    Kit064,
}

/// Where the secondary of a PSoC 62 lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecondaryPlace {
    Internal,
    External,
}

/// Which bootloader a PSoC 62 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BootloaderSize {
    #[value(name = "0x18000")]
    Small,
    /// Later swap builds
    #[value(name = "0x28000")]
    Large,
}

/// Which policy a PSoC 64 was provisioned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    /// Trusted Firmware-M 1.3's
    Tfm,
    /// Amazon FreeRTOS 202007's: overwrite only
    Older,
}

impl Options {
    /// How the bootloader installs an update: as asked for, or as the board comes.
    pub(crate) fn mode(&self) -> Mode {
        let usual = match (self.kit, self.policy) {
            (None, _) => Mode::SwapMove,
            (Some(Kit::Proto062 | Kit::Kit062), _) | (Some(Kit::Kit064), PolicyName::Older) => {
                Mode::Overwrite
            }
            (Some(Kit::Kit064), PolicyName::Tfm) => Mode::SwapStatus,
        };
        self.boot_mode.unwrap_or(usual)
    }

    /// The kit's map, if it is to be a kit.
    pub(crate) fn map(&self) -> anyhow::Result<Option<FlashMap>> {
        let Some(kit) = self.kit else { return Ok(None) };
        let mode = BootMode::from(self.mode());
        let map = match kit {
            Kit::Proto062 | Kit::Kit062 => {
                let secondary = match self.secondary {
                    SecondaryPlace::Internal => Secondary::Internal,
                    SecondaryPlace::External => Secondary::External,
                };
                let bootloader = match self.bootloader {
                    BootloaderSize::Small => Bootloader::Small,
                    BootloaderSize::Large => Bootloader::Large,
                };
                psoc62::map(secondary, mode, bootloader)
            }
            Kit::Kit064 => {
                let policy = match self.policy {
                    PolicyName::Tfm => Policy::Tfm,
                    PolicyName::Older => Policy::Older,
                };
                ota_psoc64::layout::map(policy, mode)
            }
        };
        let map = map.map_err(|error| anyhow!("--kit, --boot-mode: {error}"))?;
        let Some(address) = self.journal else { return Ok(Some(map)) };
        let sector = Place::new(address, 1).device().map_or(0, |device| device.sector_size());
        let journal = Place::new(address, sector.saturating_mul(2).max(JOURNAL_SIZE));
        map.with_journal(Some(journal)).map(Some).map_err(|error| anyhow!("--journal: {error}"))
    }
}

/// Which part holds a device.
fn part_of(place: Place) -> anyhow::Result<usize> {
    Ok(match place.device().context("a place outside the flashes")? {
        Device::Internal => 0,
        Device::External => 1,
        Device::Work => 2,
    })
}

fn area(place: Place) -> anyhow::Result<Area> {
    Ok(Area { device: part_of(place)?, start: place.offset(), size: place.size() })
}

/// The board of a map.
pub(crate) fn plan(map: &FlashMap) -> anyhow::Result<Plan> {
    let spec = map.spec();
    let mut external = Device::External.sector_size();
    let mut images = Vec::new();
    for (index, pair) in spec.images.iter().enumerate() {
        images.push(ImagePlan {
            layout: map.image(index),
            primary: part_of(pair.primary)?,
            secondary: part_of(pair.secondary)?,
            reset_vector: Some(reset_vectors(map, index)),
            bootloader_confirms: !pair.confirmable,
        });
    }
    for place in spec.images.iter().map(|pair| pair.secondary).chain(spec.scratch).chain(spec.journal) {
        if place.device() == Some(Device::External) {
            let covered = place.covered();
            external = external.max(covered.offset() + covered.size());
        }
    }
    // Typical times: 11 ms an erase and 5 ms a program of a row inside, 520 ms and 340 us outside.
    let rows = PartTiming { erase_us: 11_000, write_us: 16_000, eight_us: Some(51_000) };
    let part = |name, device: Device, size, timing| {
        let kind = if device.rewrite() { FlashKind::RowRewrite } else { FlashKind::Nor };
        let (sector_size, write_size) = (device.sector_size(), device.write_size());
        let config = FlashConfig { size, sector_size, write_size, erased: device.erased(), kind };
        Part { name, config, timing, is_kept: true }
    };
    let outside = PartTiming { erase_us: 520_000, write_us: 340, eight_us: None };
    let journal = match (map.journal(), spec.journal) {
        (Some(region), Some(place)) => Some((part_of(place)?, region)),
        (_, _) => None,
    };
    let mode = match spec.mode {
        BootMode::Overwrite => Mode::Overwrite,
        // A map has no other mode.
        BootMode::SwapStatus | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
            Mode::SwapStatus
        }
    };
    Ok(Plan {
        name: spec.name,
        parts: vec![
            part("", Device::Internal, Device::Internal.size(), rows),
            // What lies behind the last area is never touched.
            part("external", Device::External, external, outside),
            part("work", Device::Work, Device::Work.size(), rows),
        ],
        images,
        journal,
        scratch: spec.scratch.map(area).transpose()?,
        status: spec.status.map(area).transpose()?,
        mode: boot_mode(mode),
    })
}
