//! Devices: what flash they have and how their bootloader exchanges images.

use std::cell::RefCell;
use std::rc::Rc;

use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::journal::{JournalLayout, JournalRegion};
use ota_sim::flash::{Actor, Device, FlashConfig, Kind as FlashKind, Supply, VecFlash};
use ota_sim::mcuboot::{
    Area, Boot, Bootloader, Config, ImageSlots as Slots, Mode, StatusVersion, Validation,
};

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
        }
    }

    pub(crate) fn plan(self, mode: BootMode) -> Plan {
        // Internal: primary | secondary (where it is inside) | journal | scratch | status. Offsets are small on purpose:
        // a power cut is played at every operation.
        let slot = match self {
            Kind::Nor4k => 0xA000,
            Kind::Nor512 => 0x4000,
            Kind::Nor32 => 0xC000,
            Kind::Rows => 0x6000,
            Kind::External => 0x44400,
        };
        let (write, sector, erased, rewrite) = match self {
            Kind::Nor4k => (8, 4096, 0xFF, false),
            Kind::Nor512 => (1, 512, 0x00, false),
            Kind::Nor32 => (32, 2048, 0xFF, false),
            Kind::Rows | Kind::External => (512, 512, 0x00, true),
        };
        let reprogram = if self == Kind::Nor32 { Reprogram::Forbidden } else { Reprogram::Allowed };
        let inside = |start, size| SlotLayout {
            start,
            size,
            sector_size: sector,
            write_size: write,
            erased,
            reprogram,
            rewrite,
            erase_ms: 0,
        };
        // Where the second device is inside too, it is a device of the same kind.
        let secondary = match self {
            Kind::External => SlotLayout {
                // 0x44400 bytes from here end 0x400 behind a sector boundary: the trailer owns its sector.
                start: 0x3C000,
                size: slot,
                sector_size: 0x40000,
                write_size: 512,
                erased: 0xFF,
                reprogram: Reprogram::Forbidden,
                rewrite: false,
                erase_ms: 520,
            },
            Kind::Nor4k | Kind::Nor512 | Kind::Nor32 | Kind::Rows => inside(0, slot),
        };
        let max_align = if self == Kind::Nor32 { MaxAlign::M32 } else { MaxAlign::M8 };
        let layout = ImageLayout::checked(ImageSlots {
            primary: Geometry::checked(inside(0, slot)),
            secondary: Geometry::checked(secondary),
            mode,
            max_align,
            boot_write_size: if write == 512 { 8 } else { write.max(1) },
            max_sectors: (slot / sector).next_multiple_of(8),
        });
        let journal_start = slot;
        let journal_size = if sector == 512 { 8 * 512 } else { 2 * sector };
        let journal = JournalRegion::checked(JournalLayout {
            start: journal_start,
            sector_count: journal_size / sector,
            sector_size: sector,
            write_size: write,
            erased,
            reprogram,
            rewrite,
        });
        let scratch_start = journal_start + journal_size;
        let scratch_size = if self == Kind::External { 0 } else { 2 * sector.max(4096) };
        let status_start = scratch_start + scratch_size;
        let inside_size = (status_start + 0x10000).next_multiple_of(sector);
        let outside_size = match self {
            Kind::External => 0x40000 * 4,
            Kind::Nor4k | Kind::Nor512 | Kind::Nor32 | Kind::Rows => slot.next_multiple_of(sector),
        };
        Plan { mode, layout, journal, scratch_start, scratch_size, status_start, inside_size, outside_size }
    }
}

/// Where everything lies.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    mode: BootMode,
    pub(crate) layout: ImageLayout,
    pub(crate) journal: JournalRegion,
    scratch_start: u32,
    scratch_size: u32,
    status_start: u32,
    inside_size: u32,
    outside_size: u32,
}

pub(crate) type Flash<const WRITE: usize, const ERASE: usize> = VecFlash<WRITE, ERASE, Rc<Supply>>;

/// Two flashes on one supply.
pub(crate) struct Board<const PW: usize, const PE: usize, const SW: usize, const SE: usize> {
    pub(crate) plan: Plan,
    pub(crate) supply: Rc<Supply>,
    pub(crate) inside: RefCell<Flash<PW, PE>>,
    pub(crate) outside: RefCell<Flash<SW, SE>>,
}

impl<const PW: usize, const PE: usize, const SW: usize, const SE: usize> Board<PW, PE, SW, SE> {
    pub(crate) fn new(plan: Plan) -> Self {
        let config = |geometry: &Geometry, size| {
            let kind = match (geometry.rewrite(), geometry.reprogram()) {
                (true, _) => FlashKind::RowRewrite,
                (false, Reprogram::Allowed) => FlashKind::NorReprogram,
                (false, Reprogram::Forbidden) => FlashKind::Nor,
            };
            FlashConfig {
                size,
                sector_size: geometry.sector_size(),
                write_size: geometry.write_size(),
                erased: geometry.erased(),
                kind,
            }
        };
        let supply = Rc::new(Supply::new());
        let inside = config(plan.layout.primary(), plan.inside_size);
        let outside = config(plan.layout.secondary(), plan.outside_size);
        Self {
            plan,
            inside: RefCell::new(VecFlash::blank_on(supply.clone(), inside).expect("a good flash")),
            outside: RefCell::new(VecFlash::blank_on(supply.clone(), outside).expect("a good flash")),
            supply,
        }
    }

    /// Lets the bootloader run. `None`: the power went.
    pub(crate) fn boot(&self) -> Option<Boot> {
        let layout = &self.plan.layout;
        let area =
            |device, geometry: &Geometry| Area { device, start: geometry.start(), size: geometry.size() };
        let images = [Slots { primary: area(0, layout.primary()), secondary: area(1, layout.secondary()) }];
        let mode = match self.plan.mode {
            BootMode::Overwrite => Mode::Overwrite,
            BootMode::SwapScratch => Mode::SwapScratch,
            BootMode::SwapMove => Mode::SwapMove,
            BootMode::SwapOffset => Mode::SwapOffset,
            BootMode::SwapStatus => Mode::SwapStatus(StatusVersion::V1_8),
        };
        let mut config = Config::new(mode, &images);
        // A status swap exchanges what both parts can erase: the scratch area holds one sector of the larger one.
        let scratch = if self.plan.scratch_size == 0 {
            Area { device: 1, start: 0xC0000, size: 0x40000 }
        } else {
            Area { device: 0, start: self.plan.scratch_start, size: self.plan.scratch_size }
        };
        if matches!(self.plan.mode, BootMode::SwapScratch | BootMode::SwapStatus) {
            config.scratch = Some(scratch);
        }
        if self.plan.mode == BootMode::SwapStatus {
            config.status = Some(Area { device: 0, start: self.plan.status_start, size: 0x10000 });
        }
        config.max_align = layout.max_align().bytes();
        config.write_size = layout.boot_write_size();
        config.max_sectors = layout.max_sectors();
        config.validation = Validation::HashOnly;
        let (mut inside, mut outside) = (self.inside.borrow_mut(), self.outside.borrow_mut());
        let flashes = [Device::config(&*inside), Device::config(&*outside)];
        let bootloader = Bootloader::new(config, &flashes).expect("a layout the bootloader takes");
        inside.set_actor(Actor::Bootloader);
        outside.set_actor(Actor::Bootloader);
        let boot = bootloader.boot(&mut [&mut *inside, &mut *outside], &mut [0]);
        inside.set_actor(Actor::Application);
        outside.set_actor(Actor::Application);
        boot.ok()
    }
}
