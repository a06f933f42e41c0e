//! A device of four flashes for the tests of the bootloader model.
#![allow(dead_code, reason = "each test file uses its part")]

use std::rc::Rc;

use ota_sim::Version;
use ota_sim::flash::{Device, FlashConfig, FlashFault, Supply, VecFlash};
use ota_sim::image::ImageBuilder;
use ota_sim::mcuboot::{Area, Boot, Bootloader, Config, ImageSlots, Mode, trailer_magic};

pub(crate) const ALL_MODES: [Mode; 6] = [
    Mode::Overwrite,
    Mode::SwapScratch,
    Mode::SwapMove,
    Mode::SwapOffset,
    Mode::SwapStatus(ota_sim::mcuboot::StatusVersion::V1_7),
    Mode::SwapStatus(ota_sim::mcuboot::StatusVersion::V1_8),
];

/// Flash 0 holds the primary, 1 the secondary, 2 the scratch area, 3 the status partition.
pub(crate) struct World<const W: usize, const E: usize> {
    pub(crate) supply: Rc<Supply>,
    pub(crate) primary: VecFlash<W, E, Rc<Supply>>,
    pub(crate) secondary: VecFlash<W, E, Rc<Supply>>,
    pub(crate) scratch: VecFlash<W, E, Rc<Supply>>,
    pub(crate) status: VecFlash<512, 512, Rc<Supply>>,
    pub(crate) slots: [ImageSlots; 1],
    pub(crate) mode: Mode,
    pub(crate) max_align: u32,
    pub(crate) write_size: u32,
    pub(crate) max_sectors: u32,
    pub(crate) erased: u8,
}

impl<const W: usize, const E: usize> World<W, E> {
    pub(crate) fn new(mode: Mode, slot_size: u32, erased: u8) -> Self {
        let supply = Rc::new(Supply::new());
        let part = |size| FlashConfig::nor(size, E as u32, W as u32).with_erased(erased);
        let flash = |size| VecFlash::blank_on(Rc::clone(&supply), part(size)).unwrap();
        let slots = [ImageSlots {
            primary: Area { device: 0, start: 0, size: slot_size },
            secondary: Area { device: 1, start: 0, size: slot_size },
        }];
        Self {
            primary: flash(slot_size),
            secondary: flash(slot_size),
            scratch: flash(4 * E as u32),
            status: VecFlash::blank_on(Rc::clone(&supply), FlashConfig::row_rewrite(0x4000, 512)).unwrap(),
            supply,
            slots,
            mode,
            max_align: 8,
            write_size: 8,
            max_sectors: 128,
            erased,
        }
    }

    /// Holds no borrow: a test leaks a few bytes for it.
    pub(crate) fn config<'k>(&self) -> Config<'k> {
        let mut config = Config::new(self.mode, Box::leak(Box::new(self.slots)));
        config.max_align = self.max_align;
        config.write_size = self.write_size;
        config.max_sectors = self.max_sectors;
        config.scratch = Some(Area { device: 2, start: 0, size: self.scratch.config().size });
        config.status = Some(Area { device: 3, start: 0, size: 0x4000 });
        config
    }

    pub(crate) fn flashes(&self) -> [FlashConfig; 4] {
        [self.primary.config(), self.secondary.config(), self.scratch.config(), self.status.config()]
    }

    pub(crate) fn bootloader(&self) -> Bootloader<'static> {
        Bootloader::new(self.config(), &self.flashes()).unwrap()
    }

    pub(crate) fn try_boot(&mut self) -> Result<Boot, FlashFault> {
        self.try_boot_with(|_| {}, &mut [])
    }

    pub(crate) fn try_boot_with<'k>(
        &mut self,
        change: impl FnOnce(&mut Config<'k>),
        counters: &mut [u32],
    ) -> Result<Boot, FlashFault> {
        let mut config = self.config();
        change(&mut config);
        let bootloader = Bootloader::new(config, &self.flashes()).unwrap();
        let result = bootloader.boot(
            &mut [&mut self.primary, &mut self.secondary, &mut self.scratch, &mut self.status],
            counters,
        );
        let violations = [
            self.primary.strict_violations(),
            self.secondary.strict_violations(),
            self.scratch.strict_violations(),
            self.status.strict_violations(),
        ];
        assert_eq!(violations, [0; 4], "the bootloader broke a rule of the flash");
        result
    }

    pub(crate) fn boot(&mut self) -> Boot {
        self.try_boot().unwrap()
    }

    /// Where the mode wants an update to begin.
    pub(crate) fn update_offset(&self) -> u32 {
        if self.mode == Mode::SwapOffset { E as u32 } else { 0 }
    }

    /// Puts an image into the primary of a factory-new device.
    pub(crate) fn install(&mut self, image: &[u8]) {
        self.primary.poke(0, image).unwrap();
    }

    /// Puts an image into an erased secondary.
    pub(crate) fn download(&mut self, image: &[u8]) {
        let size = self.slots[0].secondary.size;
        self.secondary.poke(0, &vec![self.erased; size as usize]).unwrap();
        self.secondary.poke(self.update_offset(), image).unwrap();
    }

    pub(crate) fn request(&mut self, permanent: bool) {
        let size = self.slots[0].secondary.size;
        let align = self.max_align;
        let image_ok = (size - 16 - align) / align * align;
        if permanent {
            self.secondary.poke(image_ok, &[1]).unwrap();
        }
        self.secondary.poke(image_ok - 2 * align, &[if permanent { 3 } else { 2 }]).unwrap();
        self.secondary.poke(size - 16, &trailer_magic(align).unwrap()).unwrap();
    }

    pub(crate) fn confirm(&mut self) {
        let size = self.slots[0].primary.size;
        let align = self.max_align;
        self.primary.poke((size - 16 - align) / align * align, &[1]).unwrap();
    }

    pub(crate) fn tail(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.primary.peek(self.slots[0].primary.size - length as u32, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn secondary_tail(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.secondary.peek(self.slots[0].secondary.size - length as u32, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn secondary_is_blank(&self) -> bool {
        self.secondary_tail(self.slots[0].secondary.size as usize).iter().all(|&byte| byte == self.erased)
    }

    /// Whether `image` lies whole at `at` of the secondary.
    pub(crate) fn secondary_holds(&self, at: u32, image: &[u8]) -> bool {
        let mut bytes = vec![0; image.len()];
        self.secondary.peek(at, &mut bytes).unwrap();
        bytes == image
    }

    pub(crate) fn primary_holds(&self, image: &[u8]) -> bool {
        let mut bytes = vec![0; image.len()];
        self.primary.peek(0, &mut bytes).unwrap();
        bytes == image
    }
}

/// Version 1.0.0, 2 KiB more than the update to come.
pub(crate) fn old_image() -> Vec<u8> {
    ImageBuilder::with_random_payload(Version::new(1, 0, 0, 0), 0x1800, 1).header_size(0x200).unsigned()
}

/// Version 2.0.0.
pub(crate) fn new_image() -> Vec<u8> {
    ImageBuilder::with_random_payload(Version::new(2, 0, 0, 0), 0x2800, 2).header_size(0x200).unsigned()
}

pub(crate) fn running(boot: &Boot) -> Option<u8> {
    boot.image(0).unwrap().running.map(|image| image.version.major)
}
