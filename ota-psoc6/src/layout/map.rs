//! A flash map: what one kit holds where, under one bootloader. Checked once, at best while compiling.

use ota_core::geometry::{BootMode, ImageLayout, ImageSlots, MaxAlign};
use ota_core::journal::{JournalLayout, JournalRegion};

use super::{Area, Device, MapError, ROW_SIZE};

/// Header of every image on these kits (imgtool's `--header-size`).
pub const HEADER_SIZE: u32 = 0x400;
/// imgtool's `--align`: what the bootloader spaces trailer fields by.
pub const BOOT_WRITE_SIZE: u32 = 8;
/// Static RAM of the chip; its last 2 KiB belong to the system.
pub const SRAM: Area = Area::new(0x0800_0000, 0x10_0000);

/// The two slots of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPair {
    /// What runs from there, for people.
    pub name: &'static str,
    /// Where it runs.
    pub primary: Area,
    /// Where an update of it is written.
    pub secondary: Area,
    /// The application can write this primary, and so confirm the image. Where it cannot (secure firmware), the
    /// bootloader keeps what it has installed: to the application such an image behaves as one that is overwritten.
    pub confirmable: bool,
}

/// An area that belongs to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Whose.
    pub name: &'static str,
    /// What.
    pub area: Area,
}

/// A map as a kit describes it; [`FlashMap`] is the checked form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSpec {
    /// For people and file names.
    pub name: &'static str,
    /// Slots of image 0 (the application), 1, ...
    pub images: &'static [SlotPair],
    /// How the bootloader installs an image.
    pub mode: BootMode,
    /// Status partition of a swap build.
    pub status: Option<Area>,
    /// Scratch area of a swap build.
    pub scratch: Option<Area>,
    /// Where the update journal may lie, if there is a place for it.
    pub journal: Option<Area>,
    /// The bootloader, and whatever else must never be written.
    pub reserved: &'static [Reserved],
    /// The bootloader's `MCUBOOT_MAX_IMG_SECTORS`, in rows.
    pub max_sectors: u32,
    /// Bytes at the end of a slot that are no part of an image.
    pub trailer_size: u32,
    /// The application's RAM.
    pub ram: Area,
    /// The RAM of bootloader and secure firmware, which the application leaves alone: system calls run on its stack.
    pub boot_ram: Area,
}

/// A map that keeps every rule of [`MapError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashMap(MapSpec);

/// Most images of a map.
pub(crate) const MAX_IMAGES: usize = 4;
/// Most areas a map can name: two slots an image, status, scratch and journal.
const MAX_AREAS: usize = 2 * MAX_IMAGES + 3;

impl FlashMap {
    /// Checks a map.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub const fn new(spec: MapSpec) -> Result<Self, MapError> {
        match spec.mode {
            BootMode::Overwrite => {}
            BootMode::SwapStatus => {
                if spec.status.is_none() || spec.scratch.is_none() {
                    return Err(MapError::OverwriteOnly);
                }
            }
            BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
                return Err(MapError::TrailerMode);
            }
        }
        if spec.images.is_empty() || spec.images.len() > MAX_IMAGES {
            return Err(MapError::ImageCount);
        }
        if let Some(error) = areas_error(&spec) {
            return Err(error);
        }
        let mut index = 0;
        while index < spec.images.len() {
            let pair = &spec.images[index];
            if let Some(error) = pair_error(&spec, pair) {
                return Err(error);
            }
            if let Err(error) = layout_of(&spec, pair) {
                return Err(error);
            }
            index += 1;
        }
        if let Some(error) = partitions_error(&spec) {
            return Err(error);
        }
        if let Err(error) = journal_of(&spec) {
            return Err(error);
        }
        let ram_end = SRAM.end() - 2048;
        if spec.ram.address() < SRAM.address()
            || spec.ram.end() > ram_end
            || spec.ram.size() == 0
            || !spec.ram.is_disjoint(spec.boot_ram)
        {
            return Err(MapError::Ram);
        }
        Ok(Self(spec))
    }

    /// [`FlashMap::new`] for a `const`: a wrong map stops the build and names its rule.
    ///
    /// # Panics
    /// With the rule's sentence, which in a `const` is a compile error. At run time use [`FlashMap::new`].
    pub const fn checked(spec: MapSpec) -> Self {
        match Self::new(spec) {
            Ok(map) => map,
            Err(error) => panic!("{}", error.text()),
        }
    }

    /// The map as it was described.
    pub const fn spec(&self) -> &MapSpec {
        &self.0
    }

    /// Number of images.
    pub const fn image_count(&self) -> usize {
        self.0.images.len()
    }

    /// The two slots of image `index` as `ota-core` wants them, with offsets inside their devices.
    ///
    /// # Panics
    /// When there is no image of that number; in a `const` that does not compile.
    pub const fn image(&self, index: usize) -> ImageLayout {
        match layout_of(&self.0, &self.0.images[index]) {
            Ok(layout) => layout,
            Err(error) => panic!("{}", error.text()),
        }
    }

    /// Where image `index` runs.
    ///
    /// # Panics
    /// When there is no image of that number; in a `const` that does not compile.
    pub const fn primary(&self, index: usize) -> Area {
        self.0.images[index].primary
    }

    /// Where an update of image `index` is written.
    ///
    /// # Panics
    /// When there is no image of that number; in a `const` that does not compile.
    pub const fn secondary(&self, index: usize) -> Area {
        self.0.images[index].secondary
    }

    /// The journal's region, counted inside its device.
    pub const fn journal(&self) -> Option<JournalRegion> {
        match journal_of(&self.0) {
            Ok(region) => region,
            Err(_) => None,
        }
    }

    /// The same map with its journal elsewhere, or with none.
    ///
    /// # Errors
    /// The rule the new place breaks: [`MapError::Reserved`] where secure firmware or the bootloader keep things.
    pub const fn with_journal(self, journal: Option<Area>) -> Result<Self, MapError> {
        Self::new(MapSpec { journal, ..self.0 })
    }

    /// The same map for an application with another RAM.
    ///
    /// # Errors
    /// [`MapError::Ram`].
    pub const fn with_ram(self, ram: Area) -> Result<Self, MapError> {
        Self::new(MapSpec { ram, ..self.0 })
    }

    /// What the linker may use of the primary of image 0: behind the header, up to the trailer. Signature TLVs have to fit
    /// behind the program too; imgtool's `--slot-size` sees to that.
    pub const fn program(&self) -> Area {
        let primary = self.0.images[0].primary;
        let most = self.image(0).max_image_size();
        let before_trailer = primary.size() - self.0.trailer_size;
        let limit = if most < before_trailer { most } else { before_trailer };
        Area::new(primary.address() + HEADER_SIZE, limit - HEADER_SIZE)
    }

    /// Where the application's RAM lies.
    pub const fn ram(&self) -> Area {
        self.0.ram
    }
}

const fn areas_error(spec: &MapSpec) -> Option<MapError> {
    let mut areas = [None; MAX_AREAS];
    let mut count = 0;
    let mut index = 0;
    while index < spec.images.len() {
        areas[count] = Some(spec.images[index].primary);
        areas[count + 1] = Some(spec.images[index].secondary);
        count += 2;
        index += 1;
    }
    areas[count] = spec.status;
    areas[count + 1] = spec.scratch;
    areas[count + 2] = spec.journal;
    let mut first = 0;
    while first < MAX_AREAS {
        if let Some(area) = areas[first] {
            if area.device().is_none() {
                return Some(MapError::Outside);
            }
            let mut second = first + 1;
            while second < MAX_AREAS {
                if let Some(other) = areas[second]
                    && !area.covered().is_disjoint(other.covered())
                {
                    return Some(MapError::Overlap);
                }
                second += 1;
            }
            let mut index = 0;
            while index < spec.reserved.len() {
                // A swap build's own partitions may lie in what is reserved for the bootloader.
                let own = first == count || first == count + 1;
                if !own && !area.covered().is_disjoint(spec.reserved[index].area) {
                    return Some(MapError::Reserved);
                }
                index += 1;
            }
        }
        first += 1;
    }
    None
}

const fn pair_error(spec: &MapSpec, pair: &SlotPair) -> Option<MapError> {
    let SlotPair { primary, secondary, .. } = pair;
    if !matches!(primary.device(), Some(Device::Internal)) {
        return Some(MapError::Outside);
    }
    if primary.size() != secondary.size() {
        return Some(MapError::SlotSizes);
    }
    if primary.size().div_ceil(ROW_SIZE) > spec.max_sectors {
        return Some(MapError::MaxSectors);
    }
    if !(primary.address() + HEADER_SIZE).is_multiple_of(1024) {
        return Some(MapError::VectorTable);
    }
    let shared = match secondary.device() {
        Some(device) => {
            // The sector that holds the flags must begin at or behind the place where images have to end.
            let end = secondary.offset() + secondary.size();
            let flags = end - 24;
            let sector = flags - flags % device.sector_size();
            sector < end - spec.trailer_size
        }
        None => return Some(MapError::Outside),
    };
    match spec.mode {
        BootMode::SwapStatus if shared => Some(MapError::TrailerShared),
        BootMode::Overwrite
        | BootMode::SwapStatus
        | BootMode::SwapScratch
        | BootMode::SwapMove
        | BootMode::SwapOffset => None,
    }
}

/// Status partition: for each slot and for scratch two copies of `max_sectors` status bytes and a trailer, 500 bytes a row.
pub(super) const fn status_size(images: usize, max_sectors: u32) -> u32 {
    let copy = (max_sectors.div_ceil(500) + 1) * ROW_SIZE;
    (2 * images as u32 + 1) * 2 * copy
}

const fn partitions_error(spec: &MapSpec) -> Option<MapError> {
    if let Some(status) = spec.status
        && status.size() < status_size(spec.images.len(), spec.max_sectors)
    {
        return Some(MapError::StatusSize);
    }
    let Some(scratch) = spec.scratch else { return None };
    let Some(device) = scratch.device() else { return Some(MapError::Outside) };
    let mut largest = device.sector_size();
    let mut index = 0;
    while index < spec.images.len() {
        if let Some(device) = spec.images[index].secondary.device()
            && device.sector_size() > largest
        {
            largest = device.sector_size();
        }
        index += 1;
    }
    let whole = scratch.offset().is_multiple_of(device.sector_size())
        && scratch.size().is_multiple_of(device.sector_size());
    if !whole || scratch.size() < largest { Some(MapError::ScratchSize) } else { None }
}

const fn layout_of(spec: &MapSpec, pair: &SlotPair) -> Result<ImageLayout, MapError> {
    let (primary, secondary) = match (pair.primary.geometry(), pair.secondary.geometry()) {
        (Ok(primary), Ok(secondary)) => (primary, secondary),
        (Err(error), _) | (_, Err(error)) => return Err(MapError::Geometry(error)),
    };
    let mode = if pair.confirmable { spec.mode } else { BootMode::Overwrite };
    let layout = ImageLayout::new(ImageSlots {
        primary,
        secondary,
        mode,
        max_align: MaxAlign::M8,
        boot_write_size: BOOT_WRITE_SIZE,
        max_sectors: spec.max_sectors,
    });
    match layout {
        Ok(layout) => Ok(layout),
        Err(error) => Err(MapError::Geometry(error)),
    }
}

const fn journal_of(spec: &MapSpec) -> Result<Option<JournalRegion>, MapError> {
    let Some(area) = spec.journal else { return Ok(None) };
    let Some(device) = area.device() else { return Err(MapError::Outside) };
    let region = JournalRegion::new(JournalLayout {
        start: area.offset(),
        sector_count: area.size() / device.sector_size(),
        sector_size: device.sector_size(),
        write_size: device.write_size(),
        erased: device.erased(),
        reprogram: device.reprogram(),
        rewrite: device.rewrite(),
    });
    match region {
        Ok(region) => Ok(Some(region)),
        Err(error) => Err(MapError::Journal(error)),
    }
}
