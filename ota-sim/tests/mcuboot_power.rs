//! Power cut before, inside and after every flash operation of the bootloader, and again while it recovers.
#![cfg(feature = "std")]

mod support;

use std::rc::Rc;

use ota_sim::Version;
use ota_sim::flash::{Cut, Device, FlashConfig, FlashFault, Supply, Tear, VecFlash, When};
use ota_sim::image::ImageBuilder;
use ota_sim::mcuboot::{Area, Bootloader, Config, ImageSlots, Mode, trailer_magic};
use support::{ALL_MODES, World, new_image, old_image, running};

const SLOT: u32 = 0x8000;

/// Where the images of a run come from.
type Images = fn() -> (Vec<u8>, Vec<u8>);

fn ordinary() -> (Vec<u8>, Vec<u8>) {
    (old_image(), new_image())
}

/// The new image ends in the sector in which the trailer begins; scratch mode exchanges it under the scratch trailer.
fn reaching_the_trailer() -> (Vec<u8>, Vec<u8>) {
    let image = ImageBuilder::with_random_payload(Version::new(2, 0, 0, 0), 0x7300, 8).unsigned();
    (old_image(), image)
}

fn world<const W: usize>(mode: Mode, erased: u8, images: Images, request: Request) -> World<W, 4096> {
    let (old, new) = images();
    let mut world = World::<W, 4096>::new(mode, SLOT, erased);
    world.write_size = W.max(8) as u32;
    world.max_align = if W > 8 { W as u32 } else { 8 };
    world.max_sectors = 8;
    world.install(&old);
    world.download(&new);
    match request {
        Request::Test => world.request(false),
        Request::Permanent => world.request(true),
        Request::Revert => {
            world.request(false);
            assert_eq!(running(&world.boot()), Some(2));
        }
    }
    world
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Test,
    Permanent,
    Revert,
}

fn sweep<const W: usize>(
    mode: Mode,
    erased: u8,
    images: Images,
    request: Request,
    whens: &[When],
    twice: bool,
) {
    let (old, new) = images();
    let mut whole = world::<W>(mode, erased, images, request);
    whole.supply.arm(Cut { operation: u32::MAX, when: When::Before });
    whole.boot();
    let operations = whole.supply.operations();
    assert!(operations > 4, "{mode:?} {request:?}");
    for operation in 0..operations {
        for &when in whens {
            let told = format!(
                "{mode:?} W {W} erased {erased:#x} {request:?} cut {operation}/{operations} {when:?}"
            );
            let mut world = world::<W>(mode, erased, images, request);
            world.supply.arm(Cut { operation, when });
            assert_eq!(world.try_boot(), Err(FlashFault::PowerLost), "{told}");
            world.supply.power_on();
            if twice {
                // A second cut a few operations into the recovery.
                world.supply.arm(Cut { operation: operation % 7, when });
                if world.try_boot() == Err(FlashFault::PowerLost) {
                    world.supply.power_on();
                }
                world.supply.arm(Cut { operation: u32::MAX, when: When::Before });
            }
            let boot = world.boot();
            let (wanted, other) = if request == Request::Revert { (&old, &new) } else { (&new, &old) };
            // Once copy_done is in flash the test is over: the next boot reverts, though the image never ran.
            let reverted = request == Request::Test
                && mode != Mode::Overwrite
                && (operation + 8 > operations || twice)
                && world.primary_holds(&old);
            let garbage = matches!(when, When::Inside(Tear::Garbage(_)));
            assert!(boot.starts(), "{told}");
            if !world.primary_holds(wanted) {
                assert!((reverted || garbage) && world.primary_holds(other), "{told}: {boot:?}");
            }
            // What was not lost in the primary is not lost in the secondary either.
            if mode != Mode::Overwrite && !garbage {
                let kept = if world.primary_holds(&old) { &new } else { &old };
                assert!(
                    world.secondary_holds(0, kept) || world.secondary_holds(world.update_offset(), kept),
                    "{told}: an image is lost"
                );
            }
        }
    }
}

const WHENS: [When; 6] = [
    When::Before,
    When::After,
    When::Inside(Tear::ReadsErased),
    When::Inside(Tear::ReadsComplete),
    When::Inside(Tear::Half),
    When::Inside(Tear::Garbage(1)),
];

#[test]
fn every_operation_of_every_swap() {
    for mode in ALL_MODES {
        for request in [Request::Test, Request::Permanent, Request::Revert] {
            if (mode, request) == (Mode::Overwrite, Request::Revert) {
                continue;
            }
            sweep::<8>(mode, 0xFF, ordinary, request, &WHENS, false);
        }
    }
}

#[test]
fn the_other_erased_value_and_write_sizes() {
    for mode in [Mode::SwapScratch, Mode::SwapMove, Mode::SwapOffset] {
        for request in [Request::Test, Request::Revert] {
            sweep::<1>(mode, 0x00, ordinary, request, &WHENS[..5], false);
            sweep::<32>(mode, 0x00, ordinary, request, &WHENS[..5], false);
        }
    }
}

#[test]
fn power_fails_again_while_recovering() {
    for mode in ALL_MODES {
        for request in [Request::Test, Request::Permanent] {
            sweep::<8>(mode, 0xFF, ordinary, request, &WHENS[..5], true);
        }
    }
    for mode in [Mode::SwapScratch, Mode::SwapMove, Mode::SwapOffset] {
        sweep::<8>(mode, 0xFF, ordinary, Request::Revert, &WHENS[..5], true);
    }
}

/// Small sectors inside, large ones outside; short and long images, the long one sharing the trailer's large sector.
#[test]
fn sectors_of_two_sizes() {
    let slots = [ImageSlots {
        primary: Area { device: 0, start: 0, size: 0x1_0000 },
        secondary: Area { device: 1, start: 0, size: 0x1_0000 },
    }];
    let mut config = Config::new(Mode::SwapScratch, &slots);
    config.scratch = Some(Area { device: 1, start: 0x1_0000, size: 0x4000 });
    let old = old_image();
    for size in [0x2800, 0xE000] {
        let new = ImageBuilder::with_random_payload(Version::new(2, 0, 0, 0), size, 9).unsigned();
        let device = |supply: &Rc<Supply>| {
            let inside = FlashConfig::nor(0x1_0000, 4096, 8).with_erased(0x00);
            let outside = FlashConfig::nor(0x1_4000, 0x4000, 8);
            let mut inside = VecFlash::<8, 4096, _>::blank_on(Rc::clone(supply), inside).unwrap();
            let mut outside = VecFlash::<8, 0x4000, _>::blank_on(Rc::clone(supply), outside).unwrap();
            inside.poke(0, &old).unwrap();
            outside.poke(0, &new).unwrap();
            outside.poke(0x1_0000 - 16, &trailer_magic(8).unwrap()).unwrap();
            (inside, outside)
        };
        let (mut inside, mut outside) = device(&Rc::new(Supply::new()));
        let bootloader = Bootloader::new(config, &[inside.config(), outside.config()]).unwrap();
        assert_eq!(running(&bootloader.boot(&mut [&mut inside, &mut outside], &mut []).unwrap()), Some(2));
        let operations = inside.supply().operations();
        for operation in (0..operations).step_by(3) {
            for when in [When::Before, When::Inside(Tear::Half)] {
                let supply = Rc::new(Supply::new());
                let (mut inside, mut outside) = device(&supply);
                supply.arm(Cut { operation, when });
                let cut = bootloader.boot(&mut [&mut inside, &mut outside], &mut []);
                assert_eq!(cut, Err(FlashFault::PowerLost));
                supply.power_on();
                let boot = bootloader.boot(&mut [&mut inside, &mut outside], &mut []).unwrap();
                // After the last operation a test is over, and the boot above has taken it back.
                let expected = if operation + 2 >= operations { running(&boot) } else { Some(2) };
                assert_eq!(running(&boot), expected, "size {size:#x} cut {operation}/{operations} {when:?}");
                assert!(boot.starts());
                let back = bootloader.boot(&mut [&mut inside, &mut outside], &mut []).unwrap();
                assert!(back.starts());
                assert_eq!(inside.strict_violations() + outside.strict_violations(), 0);
            }
        }
    }
}

#[test]
fn an_image_that_shares_the_trailers_sector() {
    for request in [Request::Test, Request::Permanent, Request::Revert] {
        sweep::<8>(Mode::SwapScratch, 0xFF, reaching_the_trailer, request, &WHENS[..5], false);
        sweep::<8>(Mode::SwapScratch, 0xFF, reaching_the_trailer, request, &[When::Inside(Tear::Half)], true);
    }
}
