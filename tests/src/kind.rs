//! Kinds of devices: what flash they have and where everything lies in it.

use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::journal::{JournalLayout, JournalRegion};
use ota_psoc6::layout::{Area, Device, FlashMap};

/// A kind of flash, each with something the others have not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// NOR, 8-byte units, 4 KiB sectors, erased to 0xFF: an ordinary MCU.
    Nor4k,
    /// NOR, 1-byte units, 512-byte sectors, erased to 0x00.
    Nor512,
    /// NOR with 32-byte units (max-align 32), 2 KiB sectors, a unit may not be programmed again after a torn write.
    Nor32,
    /// PSoC 62 inside: rows of 512 bytes that a write replaces whole, erased to 0x00.
    Rows,
    /// PSoC 62 or 64 with external NOR: primary in rows (erased 0x00), secondary in 256 KiB sectors with 512-byte pages
    /// (erased 0xFF, ECC: no second program of a unit), starting inside a sector so that its trailer has one to
    /// itself.
    External,
    /// A kit's map with its true numbers. An internal secondary of image 0 is given a device of its own, which is the same
    /// part; that of image 1, on PSoC 64, lies in the first device.
    Map(&'static FlashMap),
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Nor4k, Kind::Nor512, Kind::Nor32, Kind::Rows, Kind::External];

    /// The boot modes whose bootloader can be built for this kind: the trailer of upstream's swap modes needs write units
    /// of 32 bytes or less, Cypress' status partition needs rows erased to 0x00.
    pub fn modes(self) -> &'static [BootMode] {
        match self {
            Kind::Nor4k | Kind::Nor512 | Kind::Nor32 => {
                &[BootMode::Overwrite, BootMode::SwapScratch, BootMode::SwapMove, BootMode::SwapOffset]
            }
            Kind::Rows | Kind::External => &[BootMode::Overwrite, BootMode::SwapStatus],
            Kind::Map(map) => std::slice::from_ref(&map.spec().mode),
        }
    }

    /// Bytes of a slot in the ordinary scenarios. Small on purpose: a power cut is played at every operation.
    pub fn slot_size(self) -> u32 {
        match self {
            Kind::Nor4k => 0xA000,
            Kind::Nor512 => 0x4000,
            Kind::Nor32 => 0xC000,
            Kind::Rows => 0x6000,
            Kind::External => EXTERNAL_SLOT,
            Kind::Map(map) => map.primary(0).size(),
        }
    }

    /// Bytes of a write unit of the secondary slot.
    pub fn write_size(self) -> u32 {
        match self {
            Kind::Nor4k => 8,
            Kind::Nor512 => 1,
            Kind::Nor32 => 32,
            Kind::Rows | Kind::External | Kind::Map(_) => 512,
        }
    }

    /// What an erased byte of the primary slot reads as.
    pub fn erased(self) -> u8 {
        self.inside().2
    }

    /// Where the slots of `image` begin, in the primary's and in the secondary's device.
    fn starts(self, image: u32, slot: u32) -> (u32, u32) {
        match self {
            Kind::Nor4k | Kind::Nor512 | Kind::Nor32 | Kind::Rows => (image * slot, image * slot),
            Kind::External => (image * slot, EXTERNAL_START + image * EXTERNAL_STRIDE),
            Kind::Map(map) => (map.primary(image as usize).offset(), map.secondary(image as usize).offset()),
        }
    }

    fn layout(self, mode: BootMode, image: u32, slot: u32) -> ImageLayout {
        if let Kind::Map(map) = self {
            return map.image(image as usize);
        }
        let (write_size, sector_size, erased, rewrite) = self.inside();
        let (primary, secondary) = self.starts(image, slot);
        let reprogram = if self == Kind::Nor32 { Reprogram::Forbidden } else { Reprogram::Allowed };
        let inside = |start| SlotLayout {
            start,
            size: slot,
            sector_size,
            write_size,
            erased,
            reprogram,
            rewrite,
            erase_ms: 0,
        };
        let secondary = match self {
            Kind::External => SlotLayout {
                start: secondary,
                size: slot,
                sector_size: EXTERNAL_SECTOR,
                write_size: 512,
                erased: 0xFF,
                reprogram: Reprogram::Forbidden,
                rewrite: false,
                erase_ms: 520,
            },
            // A device of the same kind as the first.
            Kind::Nor4k | Kind::Nor512 | Kind::Nor32 | Kind::Rows | Kind::Map(_) => inside(secondary),
        };
        ImageLayout::checked(ImageSlots {
            primary: Geometry::checked(inside(primary)),
            secondary: Geometry::checked(secondary),
            mode,
            max_align: if self == Kind::Nor32 { MaxAlign::M32 } else { MaxAlign::M8 },
            boot_write_size: if write_size == 512 { 8 } else { write_size.max(1) },
            max_sectors: (slot / sector_size).next_multiple_of(8),
        })
    }

    /// Write unit, sector, erased value and whether writes replace whole rows, of the first device.
    fn inside(self) -> (u32, u32, u8, bool) {
        match self {
            Kind::Nor4k => (8, 4096, 0xFF, false),
            Kind::Nor512 => (1, 512, 0x00, false),
            Kind::Nor32 => (32, 2048, 0xFF, false),
            Kind::Rows | Kind::External | Kind::Map(_) => (512, 512, 0x00, true),
        }
    }

    /// First device: primaries | journal | scratch | status. Second device: secondaries.
    pub(crate) fn plan(self, mode: BootMode, slot: u32, image_count: u32) -> Plan {
        assert!(self != Kind::External || slot == EXTERNAL_SLOT, "external slots have one size");
        if let Kind::Map(map) = self {
            assert!(slot == map.primary(0).size(), "a map has its slots");
            return map_plan(map, image_count as usize);
        }
        let (write_size, sector_size, erased, rewrite) = self.inside();
        let layouts: Vec<ImageLayout> =
            (0..image_count).map(|image| self.layout(mode, image, slot)).collect();
        let journal_start = image_count * slot;
        let journal_size = if sector_size == 512 { 8 * 512 } else { 2 * sector_size };
        let journal = JournalRegion::checked(JournalLayout {
            start: journal_start,
            sector_count: journal_size / sector_size,
            sector_size,
            write_size,
            erased,
            reprogram: layouts[0].primary().reprogram(),
            rewrite,
        });
        let free = journal_start + journal_size;
        // A status swap exchanges what both parts can erase: the scratch area holds one sector of the larger one.
        let (scratch, free) = match self {
            Kind::External => {
                let start =
                    (EXTERNAL_START + image_count * EXTERNAL_STRIDE).next_multiple_of(EXTERNAL_SECTOR);
                ((1, start, EXTERNAL_SECTOR), free)
            }
            Kind::Nor4k | Kind::Nor512 | Kind::Nor32 | Kind::Rows | Kind::Map(_) => {
                let size = 2 * sector_size.max(4096);
                ((0, free, size), free + size)
            }
        };
        let status_size = 0x10000 * image_count * slot.div_ceil(EXTERNAL_SLOT);
        let outside_size = match self {
            Kind::External => scratch.1 + scratch.2,
            Kind::Nor4k | Kind::Nor512 | Kind::Nor32 | Kind::Rows | Kind::Map(_) => image_count * slot,
        };
        Plan {
            mode,
            secondaries: vec![1; layouts.len()],
            set_img_ok: Vec::new(),
            layouts,
            journal,
            scratch,
            status: (free, status_size),
            inside_size: (free + status_size).next_multiple_of(sector_size),
            outside_size,
        }
    }
}

/// The first images of a map, everything where the map has it; the journal behind the first device's last byte, instead of in a
/// third device.
fn map_plan(map: &FlashMap, image_count: usize) -> Plan {
    let spec = map.spec();
    let device = |area: Area| usize::from(area.device() == Some(Device::External));
    let place = |area: Area| (device(area), area.offset(), area.size());
    let secondary = |image| if image == 0 { 1 } else { device(map.secondary(image)) };
    let outside = spec.images[0].secondary.covered();
    let end = |area: Area| if area.device() == outside.device() { area.offset() + area.size() } else { 0 };
    let journal = JournalLayout {
        start: Device::Internal.size(),
        sector_count: 8,
        sector_size: 512,
        write_size: 512,
        erased: 0x00,
        reprogram: Reprogram::Allowed,
        rewrite: true,
    };
    Plan {
        mode: spec.mode,
        layouts: (0..image_count).map(|image| map.image(image)).collect(),
        secondaries: (0..image_count).map(secondary).collect(),
        set_img_ok: (0..image_count).filter(|image| !spec.images[*image].confirmable).collect(),
        journal: JournalRegion::checked(journal),
        scratch: spec.scratch.map_or((0, 0, 0), place),
        status: spec.status.map_or((0, 0), |area| (area.offset(), area.size())),
        inside_size: Device::Internal.size() + 8 * 512,
        outside_size: end(outside).max(spec.scratch.map_or(0, |area| end(area.covered()))),
    }
}

const EXTERNAL_SECTOR: u32 = 0x40000;
/// From [`EXTERNAL_START`] this ends 0x400 behind a sector boundary: the trailer owns its sector.
const EXTERNAL_SLOT: u32 = 0x44400;
const EXTERNAL_START: u32 = 0x3C000;
/// From one image's slot to the next, so that no two share a sector.
const EXTERNAL_STRIDE: u32 = 3 * EXTERNAL_SECTOR;

/// Where everything lies.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) mode: BootMode,
    pub(crate) layouts: Vec<ImageLayout>,
    /// Which device holds the secondary of each image.
    pub(crate) secondaries: Vec<usize>,
    /// Images that the bootloader confirms, because the application cannot.
    pub(crate) set_img_ok: Vec<usize>,
    pub(crate) journal: JournalRegion,
    /// Device, start and size.
    pub(crate) scratch: (usize, u32, u32),
    /// Start and size, in the first device.
    pub(crate) status: (u32, u32),
    pub(crate) inside_size: u32,
    pub(crate) outside_size: u32,
}
