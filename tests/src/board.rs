//! A device's flashes, and the bootloader that works on them.

use std::cell::RefCell;
use std::rc::Rc;

use ota_core::geometry::{BootMode, Geometry, Reprogram};
use ota_sim::flash::{Actor, Device, FlashConfig, FlashFault, Kind as FlashKind, Supply, VecFlash};
use ota_sim::mcuboot::{
    Area, Boot, Bootloader, Config, ImageSlots as Slots, Mode, StatusVersion, Validation,
};

use crate::kind::Plan;

pub(crate) type Flash<const WRITE: usize, const ERASE: usize> = VecFlash<WRITE, ERASE, Rc<Supply>>;

/// Two flashes on one supply.
pub(crate) struct Board<const PW: usize, const PE: usize, const SW: usize, const SE: usize> {
    pub(crate) plan: Plan,
    pub(crate) supply: Rc<Supply>,
    pub(crate) inside: RefCell<Flash<PW, PE>>,
    pub(crate) outside: RefCell<Flash<SW, SE>>,
}

/// What the application did to the secondary slot of image 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wear {
    /// Sectors erased at least once.
    pub sectors_erased: u32,
    /// Erases of the most erased sector.
    pub max_erases_per_sector: u32,
    /// Bit n: sector n, one of the first 32, was erased more than once.
    pub erased_again: u32,
    /// Bytes written in the place of the file, padding included.
    pub image_bytes: u64,
    /// Bytes written elsewhere in the slot.
    pub trailer_bytes: u64,
}

/// Zone of the flash double that counts the writes below the trailer.
const IMAGE_ZONE: usize = 0;
/// Zone of the flash double that counts the writes to the trailer.
const TRAILER_ZONE: usize = 1;

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
                // Of a part that rewrites rows each row is erased on its own, whatever the application erases at once.
                sector_size: if geometry.rewrite() { geometry.write_size() } else { geometry.sector_size() },
                write_size: geometry.write_size(),
                erased: geometry.erased(),
                kind,
            }
        };
        let supply = Rc::new(Supply::new());
        let layout = plan.layouts[0];
        let inside = config(layout.primary(), plan.inside_size);
        let outside = config(layout.secondary(), plan.outside_size);
        let inside = VecFlash::blank_on(supply.clone(), inside).expect("a good flash");
        let mut outside = VecFlash::blank_on(supply.clone(), outside).expect("a good flash");
        let start = layout.secondary().start();
        let file_end = start + layout.image_offset() + layout.max_image_size();
        outside.watch(IMAGE_ZONE, start..file_end);
        outside.watch(TRAILER_ZONE, file_end..start + layout.secondary().size());
        Self { plan, inside: RefCell::new(inside), outside: RefCell::new(outside), supply }
    }

    /// What was done to the secondary slot of image 0 so far. Erases of the bootloader count too.
    pub(crate) fn wear(&self) -> Wear {
        let outside = self.outside.borrow();
        let secondary = self.plan.layouts[0].secondary();
        let sector_size = secondary.sector_size();
        let mut wear = Wear {
            image_bytes: outside.watched(IMAGE_ZONE).bytes_written,
            trailer_bytes: outside.watched(TRAILER_ZONE).bytes_written,
            ..Wear::default()
        };
        for (number, at) in secondary.covered().step_by(sector_size as usize).enumerate() {
            let erases = outside.max_erases_per_sector(at..at + sector_size);
            wear.sectors_erased += u32::from(erases > 0);
            wear.max_erases_per_sector = wear.max_erases_per_sector.max(erases);
            if erases > 1 && number < 32 {
                wear.erased_again |= 1 << number;
            }
        }
        wear
    }

    /// Erases of the most erased sector.
    pub(crate) fn most_erases(&self) -> u32 {
        let (inside, outside) = (self.inside.borrow(), self.outside.borrow());
        let most = [
            inside.max_erases_per_sector(0..self.plan.inside_size),
            outside.max_erases_per_sector(0..self.plan.outside_size),
        ];
        most.into_iter().max().unwrap_or(0)
    }

    /// Lets the bootloader run. `None`: the power went.
    pub(crate) fn boot(&self) -> Option<Boot> {
        let plan = &self.plan;
        let area =
            |device, geometry: &Geometry| Area { device, start: geometry.start(), size: geometry.size() };
        let images: Vec<Slots> = plan
            .layouts
            .iter()
            .zip(&plan.secondaries)
            .map(|(layout, device)| Slots {
                primary: area(0, layout.primary()),
                secondary: area(*device, layout.secondary()),
            })
            .collect();
        let mode = match plan.mode {
            BootMode::Overwrite => Mode::Overwrite,
            BootMode::SwapScratch => Mode::SwapScratch,
            BootMode::SwapMove => Mode::SwapMove,
            BootMode::SwapOffset => Mode::SwapOffset,
            BootMode::SwapStatus => Mode::SwapStatus(StatusVersion::V1_8),
        };
        let mut config = Config::new(mode, &images);
        if matches!(plan.mode, BootMode::SwapScratch | BootMode::SwapStatus) {
            let (device, start, size) = plan.scratch;
            config.scratch = Some(Area { device, start, size });
        }
        if plan.mode == BootMode::SwapStatus {
            config.status = Some(Area { device: 0, start: plan.status.0, size: plan.status.1 });
        }
        let layout = &plan.layouts[0];
        config.max_align = layout.max_align().bytes();
        config.write_size = layout.boot_write_size();
        config.max_sectors = layout.max_sectors();
        config.validation = Validation::HashOnly;
        config.set_img_ok = &plan.set_img_ok;
        let (mut inside, mut outside) = (self.inside.borrow_mut(), self.outside.borrow_mut());
        let flashes = [Device::config(&*inside), Device::config(&*outside)];
        let bootloader = Bootloader::new(config, &flashes).expect("a layout the bootloader takes");
        inside.set_actor(Actor::Bootloader);
        outside.set_actor(Actor::Bootloader);
        let mut counters = [0; 4];
        let boot = bootloader.boot(&mut [&mut *inside, &mut *outside], &mut counters[..images.len()]);
        inside.set_actor(Actor::Application);
        outside.set_actor(Actor::Application);
        match boot {
            Ok(boot) => Some(boot),
            Err(FlashFault::PowerLost) => None,
            Err(fault) => panic!("the bootloader: {fault:?}"),
        }
    }
}
