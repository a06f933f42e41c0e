//! What lies where on the simulated board: as the options describe it, or as a kit has it.

use anyhow::{Context, bail, ensure};
use ota_core::geometry::{Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::journal::{JournalLayout, JournalRegion};
use ota_sim::flash::{FlashConfig, Kind};
use ota_sim::mcuboot::{Area, ImageSlots as BootSlots, Mode as BootMode, StatusVersion};

use crate::options::{Mode, Options};

/// Sectors of the journal: two are the least, more wear less.
const JOURNAL_SECTORS: u32 = 4;
/// Sectors of the scratch area.
const SCRATCH_SECTORS: u32 = 4;
/// Row of the part that holds the status partition of swap-status.
const ROW_SIZE: u32 = 512;
/// Room of that part: three records of up to 84 rows, each twice.
const STATUS_SIZE: u32 = 1 << 18;
/// A write unit above this is a row that is rewritten whole.
const WRITE_ONCE_MAX: u32 = 32;

/// A flash.
pub(crate) struct Part {
    /// Goes behind the name of the file it is kept in; the first part has the name itself.
    pub(crate) name: &'static str,
    pub(crate) config: FlashConfig,
    /// How long it works on things, in virtual time.
    pub(crate) timing: PartTiming,
    /// Whether there is anything in it that outlives a reset.
    pub(crate) is_kept: bool,
}

/// Microseconds of virtual time that operations take; zeros where nobody knows.
#[derive(Clone, Copy, Default)]
pub(crate) struct PartTiming {
    /// One sector erase.
    pub(crate) erase_us: u64,
    /// One write unit.
    pub(crate) write_us: u64,
    /// Eight units at a multiple of their size together, where the part can do that.
    pub(crate) eight_us: Option<u64>,
}

/// An image.
#[derive(Clone, Copy)]
pub(crate) struct ImagePlan {
    pub(crate) layout: ImageLayout,
    /// Which parts the slots lie in.
    pub(crate) primary: usize,
    pub(crate) secondary: usize,
    /// Addresses the reset vector of its program may have, where they are known.
    pub(crate) reset_vector: Option<(u32, u32)>,
    /// The application cannot confirm it, the bootloader does (`set_img_ok`).
    pub(crate) bootloader_confirms: bool,
}

/// The whole board.
pub(crate) struct Plan {
    /// The kit's map, where it is one.
    pub(crate) name: &'static str,
    pub(crate) parts: Vec<Part>,
    pub(crate) images: Vec<ImagePlan>,
    /// Part and place.
    pub(crate) journal: Option<(usize, JournalRegion)>,
    pub(crate) scratch: Option<Area>,
    pub(crate) status: Option<Area>,
    pub(crate) mode: BootMode,
}

impl Plan {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        match options.map()? {
            Some(map) => crate::kit::plan(&map),
            None => plain(options),
        }
    }

    /// The slots in the words of the bootloader.
    pub(crate) fn slots(&self) -> Vec<BootSlots> {
        let area =
            |device, geometry: &Geometry| Area { device, start: geometry.start(), size: geometry.size() };
        let slots = |image: &ImagePlan| BootSlots {
            primary: area(image.primary, image.layout.primary()),
            secondary: area(image.secondary, image.layout.secondary()),
        };
        self.images.iter().map(slots).collect()
    }

    /// The layouts in the words of the agent.
    pub(crate) fn layouts(&self) -> Vec<ImageLayout> {
        self.images.iter().map(|image| image.layout).collect()
    }
}

/// One flash with both slots, scratch and journal.
fn plain(options: &Options) -> anyhow::Result<Plan> {
    let &Options { slot_size, sector_size, write_size, erased, .. } = options;
    let mode = options.mode();
    let kind = if write_size > WRITE_ONCE_MAX { Kind::RowRewrite } else { Kind::NorReprogram };
    ensure!(
        write_size <= ROW_SIZE,
        "--write-size: this device has buffers for units of up to {ROW_SIZE} bytes"
    );
    let takes_rows = matches!(mode, Mode::Overwrite | Mode::SwapStatus);
    ensure!(
        kind != Kind::RowRewrite || takes_rows,
        "--boot-mode: with write units above {WRITE_ONCE_MAX} bytes MCUboot has overwrite and swap-status only"
    );
    let span = |sectors: u32| sectors.checked_mul(sector_size);
    let journal_start =
        slot_size.checked_mul(2).zip(span(SCRATCH_SECTORS)).and_then(|(a, b)| a.checked_add(b));
    let size = journal_start.zip(span(JOURNAL_SECTORS)).and_then(|(a, b)| a.checked_add(b));
    let (Some(journal_start), Some(size)) = (journal_start, size.filter(|size| *size <= 1 << 30)) else {
        bail!("two slots of this size make a flash of more than 1 GiB");
    };
    let config = FlashConfig { size, sector_size, write_size, erased, kind };
    config.check().context("--slot-size, --sector-size, --write-size")?;

    let slot = SlotLayout {
        start: 0,
        size: slot_size,
        sector_size,
        write_size,
        erased,
        reprogram: Reprogram::Allowed,
        rewrite: kind == Kind::RowRewrite,
        erase_ms: 0,
    };
    // A unit of 16 or 32 bytes needs a bootloader built for it; below, and with whole rows, MCUboot's default serves.
    let max_align = match (write_size, mode) {
        (_, Mode::SwapStatus) => MaxAlign::M8,
        (16, _) => MaxAlign::M16,
        (32, _) => MaxAlign::M32,
        (_, _) => MaxAlign::M8,
    };
    let layout = ImageLayout::new(ImageSlots {
        primary: Geometry::new(slot)?,
        secondary: Geometry::new(SlotLayout { start: slot_size, ..slot })?,
        mode: mode.into(),
        max_align,
        boot_write_size: max_align.bytes(),
        max_sectors: slot_size.div_ceil(sector_size).max(128),
    })?;
    let journal = JournalRegion::new(JournalLayout {
        start: journal_start,
        sector_count: JOURNAL_SECTORS,
        sector_size,
        write_size,
        erased,
        reprogram: Reprogram::Allowed,
        rewrite: kind == Kind::RowRewrite,
    })?;
    let main = Part { name: "", config, timing: PartTiming::default(), is_kept: true };
    // Only swap-status has a status partition; in the others nobody looks at this part.
    let status = Part {
        name: "status",
        config: FlashConfig::row_rewrite(STATUS_SIZE, ROW_SIZE),
        timing: PartTiming::default(),
        is_kept: mode == Mode::SwapStatus,
    };
    Ok(Plan {
        name: "plain",
        parts: vec![main, status],
        images: vec![ImagePlan {
            layout,
            primary: 0,
            secondary: 0,
            reset_vector: None,
            bootloader_confirms: false,
        }],
        journal: Some((0, journal)),
        scratch: Some(Area { device: 0, start: 2 * slot_size, size: SCRATCH_SECTORS * sector_size }),
        status: Some(Area { device: 1, start: 0, size: STATUS_SIZE }),
        mode: boot_mode(mode),
    })
}

/// The mode in the bootloader's words.
pub(crate) fn boot_mode(mode: Mode) -> BootMode {
    match mode {
        Mode::Overwrite => BootMode::Overwrite,
        Mode::SwapScratch => BootMode::SwapScratch,
        Mode::SwapMove => BootMode::SwapMove,
        Mode::SwapOffset => BootMode::SwapOffset,
        Mode::SwapStatus => BootMode::SwapStatus(StatusVersion::V1_8),
    }
}
