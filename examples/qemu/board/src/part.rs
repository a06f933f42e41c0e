//! Flash parts the board can be given, each with the boot mode that suits it, and how the bootloader boots from them.

use ota_sim::flash::{Device, FlashConfig, FlashFault, Kind};
use ota_sim::mcuboot::{
    Area, Bootloader, Config, ImageBoot, ImageSlots, LayoutError, Mode, PublicKey, StatusVersion, Validation,
};

use crate::STATUS_SIZE;

/// `ih_hdr_size` of all images: the vector table behind it must lie on a multiple of its own size.
pub const HEADER_SIZE: u32 = 0x400;
/// Sectors of the scratch area.
const SCRATCH_SECTORS: u32 = 4;
/// Sectors of the journal.
const JOURNAL_SECTORS: u32 = 4;
/// Row of the status partition.
const STATUS_ROW: u32 = 512;

/// A flash part and what lies in it: primary slot, secondary slot, scratch area, journal, one behind the other. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the command line calls it.
    pub name: &'static str,
    /// How the bootloader exchanges images.
    pub mode: Mode,
    /// Length of each slot.
    pub slot_size: u32,
    /// Erase unit.
    pub sector_size: u32,
    /// Write unit.
    pub write_size: u32,
    /// What an erased byte reads as.
    pub erased: u8,
    /// What a write may meet.
    pub kind: Kind,
}

/// All parts; the first is the default.
pub const PARTS: [Part; 5] = [
    Part {
        name: "nor",
        mode: Mode::SwapMove,
        slot_size: 0x8_0000,
        sector_size: 4096,
        write_size: 8,
        erased: 0xFF,
        kind: Kind::NorReprogram,
    },
    Part {
        name: "offset",
        mode: Mode::SwapOffset,
        slot_size: 0x8_0000,
        sector_size: 4096,
        write_size: 8,
        erased: 0xFF,
        kind: Kind::NorReprogram,
    },
    // As the external NOR of the PSoC kits: large sectors, ECC over 16 bytes, so no unit twice.
    Part {
        name: "s25fl512s",
        mode: Mode::SwapScratch,
        slot_size: 0x10_0000,
        sector_size: 0x4_0000,
        write_size: 16,
        erased: 0xFF,
        kind: Kind::Nor,
    },
    // As inside a PSoC 62, with the bootloader of V2.1.1: no way back.
    Part {
        name: "psoc62",
        mode: Mode::Overwrite,
        slot_size: 0x8_0000,
        sector_size: 512,
        write_size: 512,
        erased: 0x00,
        kind: Kind::RowRewrite,
    },
    // The same with the bootloader that keeps its state in a status partition.
    Part {
        name: "psoc62-status",
        mode: Mode::SwapStatus(StatusVersion::V1_8),
        slot_size: 0x8_0000,
        sector_size: 512,
        write_size: 512,
        erased: 0x00,
        kind: Kind::RowRewrite,
    },
];

/// Why a device does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The layout does not fit the mode: a fault of the part's description.
    Layout(LayoutError),
    /// The flash refused an operation, or the power failed in it.
    Flash(FlashFault),
    /// No image that may boot.
    NoImage(ImageBoot),
}

impl Part {
    /// The part of this name.
    pub fn named(name: &str) -> Option<&'static Part> {
        PARTS.iter().find(|part| part.name == name)
    }

    /// Offset of the journal.
    pub const fn journal_at(&self) -> u32 {
        2 * self.slot_size + SCRATCH_SECTORS * self.sector_size
    }

    /// Sectors of the journal.
    pub const fn journal_sectors(&self) -> u32 {
        JOURNAL_SECTORS
    }

    /// The shape of the part that holds everything but the status partition.
    pub const fn flash(&self) -> FlashConfig {
        FlashConfig {
            size: self.journal_at() + JOURNAL_SECTORS * self.sector_size,
            sector_size: self.sector_size,
            write_size: self.write_size,
            erased: self.erased,
            kind: self.kind,
        }
    }

    /// The shape of the part that holds the status partition.
    pub const fn status(&self) -> FlashConfig {
        FlashConfig::row_rewrite(STATUS_SIZE, STATUS_ROW)
    }

    /// `BOOT_MAX_ALIGN` of the bootloader: what the write unit needs, 8 where whole rows are rewritten.
    pub const fn max_align(&self) -> u32 {
        match self.write_size {
            16 | 32 => self.write_size,
            _ => 8,
        }
    }

    /// `BOOT_MAX_IMG_SECTORS` of the bootloader.
    pub const fn max_sectors(&self) -> u32 {
        let count = self.slot_size / self.sector_size;
        if count > 128 { count } else { 128 }
    }

    /// Boots as MCUboot built for this part does: finishes or begins a swap, checks what is to run. `status` is looked at in
    /// swap-status mode only.
    ///
    /// # Errors
    /// Why there is nothing to start.
    pub fn boot(
        &self,
        flash: &mut dyn Device,
        status: &mut dyn Device,
        keys: &[PublicKey],
    ) -> Result<ImageBoot, Halt> {
        let area = |start, size| Area { device: 0, start, size };
        let slots = [ImageSlots {
            primary: area(0, self.slot_size),
            secondary: area(self.slot_size, self.slot_size),
        }];
        let mut config = Config::new(self.mode, &slots);
        config.scratch = Some(area(2 * self.slot_size, SCRATCH_SECTORS * self.sector_size));
        config.status = Some(Area { device: 1, start: 0, size: STATUS_SIZE });
        config.max_align = self.max_align();
        config.write_size = self.max_align();
        config.max_sectors = self.max_sectors();
        config.validation = Validation::Keys(keys);
        let bootloader = Bootloader::new(config, &[flash.config(), status.config()]).map_err(Halt::Layout)?;
        let boot = bootloader.boot(&mut [flash, status], &mut []).map_err(Halt::Flash)?;
        match boot.image(0) {
            Some(image) if image.running.is_some() => Ok(*image),
            Some(image) => Err(Halt::NoImage(*image)),
            None => Err(Halt::NoImage(ImageBoot::default())),
        }
    }
}
