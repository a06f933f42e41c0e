//! Two images under one bootloader: dependencies, and a power cut at every operation of an update of both.
#![cfg(feature = "std")]

mod support;

use ota_sim::Version;
use ota_sim::flash::{Cut, Device, FlashFault, Tear, When};
use ota_sim::image::ImageBuilder;
use ota_sim::mcuboot::{Area, Bootloader, Config, ImageSlots, Mode, trailer_magic};
use support::World;

const SLOT: u32 = 0x8000;
const MODES: [Mode; 4] = [Mode::Overwrite, Mode::SwapScratch, Mode::SwapMove, Mode::SwapOffset];
const WHENS: [When; 2] = [When::Before, When::Inside(Tear::Half)];

/// Two images in one pair of flashes, the second behind the first.
struct Pair {
    world: World<8, 4096>,
    slots: [ImageSlots; 2],
}

impl Pair {
    /// Both images are of version 1.
    fn new(mode: Mode) -> Self {
        let half = |start| ImageSlots {
            primary: Area { device: 0, start, size: SLOT },
            secondary: Area { device: 1, start, size: SLOT },
        };
        let mut world = World::new(mode, 2 * SLOT, 0xFF);
        world.max_sectors = 8;
        world.primary.poke(0, &image(1, None, 1)).unwrap();
        world.primary.poke(SLOT, &image(1, None, 2)).unwrap();
        Self { world, slots: [half(0), half(SLOT)] }
    }

    /// Version 2 of both is asked for.
    fn requested(mode: Mode, depending: bool) -> Self {
        let mut pair = Self::new(mode);
        pair.request(1, &image(2, depending.then_some((0, 2)), 4));
        pair.request(0, &image(2, depending.then_some((1, 2)), 3));
        pair
    }

    /// The major versions that run.
    fn boot(&mut self) -> Result<[u8; 2], FlashFault> {
        let world = &mut self.world;
        let config = Config { images: &self.slots, ..world.config() };
        let bootloader = Bootloader::new(config, &world.flashes()).unwrap();
        let mut devices: [&mut dyn Device; 4] =
            [&mut world.primary, &mut world.secondary, &mut world.scratch, &mut world.status];
        let boot = bootloader.boot(&mut devices, &mut [])?;
        Ok([0, 1].map(|image| boot.image(image).unwrap().running.unwrap().version.major))
    }

    fn request(&mut self, number: u32, image: &[u8]) {
        let start = number * SLOT;
        self.world.secondary.poke(start + self.world.update_offset(), image).unwrap();
        self.world.secondary.poke(start + SLOT - 16, &trailer_magic(8).unwrap()).unwrap();
    }

    fn confirm(&mut self, number: u32) {
        self.world.primary.poke((number + 1) * SLOT - 24, &[1]).unwrap();
    }
}

fn image(major: u8, needs: Option<(u8, u8)>, seed: u64) -> Vec<u8> {
    let builder = ImageBuilder::with_random_payload(Version::new(major, 0, 0, 0), 5000, seed);
    match needs {
        Some((other, version)) => builder.dependency(other, Version::new(version, 0, 0, 0)),
        None => builder,
    }
    .unsigned()
}

#[test]
fn two_images_depend_on_each_other() {
    for mode in MODES {
        let mut pair = Pair::new(mode);
        assert_eq!(pair.boot(), Ok([1, 1]));
        pair.request(0, &image(2, Some((1, 2)), 3));
        assert_eq!(pair.boot(), Ok([1, 1]), "{mode:?}: image 1 is still too old");
        pair.request(1, &image(2, Some((0, 2)), 4));
        assert_eq!(pair.boot(), Ok([2, 2]), "{mode:?}: both or neither");
    }
}

/// `make` a pair, cut its boot at every operation: the boot after the cut ends with these versions. Torn, the last operation
/// may have ended the last swap: then it is a boot like any other, which reverts both images.
fn sweep(make: impl Fn() -> Pair, wanted: [u8; 2], context: &str) {
    let mut whole = make();
    whole.world.supply.arm(Cut { operation: u32::MAX, when: When::Before });
    assert_eq!(whole.boot(), Ok(wanted), "{context}");
    let operations = whole.world.supply.operations();
    assert!(operations > 8, "{context}");
    for operation in 0..operations {
        for when in WHENS {
            let told = format!("{context}, cut {operation}/{operations} {when:?}");
            let mut pair = make();
            pair.world.supply.arm(Cut { operation, when });
            assert_eq!(pair.boot(), Err(FlashFault::PowerLost), "{told}");
            pair.world.supply.power_on();
            let boot = pair.boot();
            let reverted = boot == Ok([1, 1]) && operation + 1 == operations;
            assert!(boot == Ok(wanted) || reverted, "{told}: {boot:?}");
        }
    }
}

/// `boot_review_image_swap_types`: without it the first image would be reverted, or the second never be swapped.
#[test]
fn a_cut_between_two_swaps_changes_nothing() {
    for mode in MODES {
        for depending in [true, false] {
            let context = format!("{mode:?}, depending: {depending}");
            sweep(|| Pair::requested(mode, depending), [2, 2], &context);
        }
    }
}

#[test]
fn a_cut_between_two_reverts_changes_nothing() {
    for mode in [Mode::SwapScratch, Mode::SwapMove, Mode::SwapOffset] {
        for depending in [true, false] {
            let make = || {
                let mut pair = Pair::requested(mode, depending);
                assert_eq!(pair.boot(), Ok([2, 2]));
                pair
            };
            sweep(make, [1, 1], &format!("{mode:?}, depending: {depending}"));
        }
    }
}

/// The one confirmed needs the other, so the other is not reverted: `boot_verify_dependencies` counts a revert as an upgrade.
#[test]
fn a_confirmed_image_keeps_what_it_needs() {
    for mode in [Mode::SwapScratch, Mode::SwapMove, Mode::SwapOffset] {
        for confirmed in [0, 1] {
            let boots = |depending| {
                let mut pair = Pair::requested(mode, depending);
                assert_eq!(pair.boot(), Ok([2, 2]));
                pair.confirm(confirmed);
                [pair.boot(), pair.boot()]
            };
            assert_eq!(boots(true), [Ok([2, 2]); 2], "{mode:?}, {confirmed} confirmed");
            let apart = if confirmed == 0 { [2, 1] } else { [1, 2] };
            assert_eq!(boots(false), [Ok(apart); 2], "{mode:?}, {confirmed} confirmed");
        }
    }
}
