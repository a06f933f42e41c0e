//! What MCUboot does with trailers and images, as its documents and its own runs on a host say.
#![cfg(feature = "std")]

mod support;

use ota_sim::Version;
use ota_sim::flash::{Actor, Device, FlashConfig, VecFlash};
use ota_sim::image::{Corruption, ImageBuilder, Key, corrupt};
use ota_sim::mcuboot::{
    Action, Area, Boot, Bootloader, Config, ImageSlots, LayoutError, Mode, PublicKey, Refused, StatusVersion,
    Validation,
};
use support::{ALL_MODES, World, new_image, old_image, running};

const SLOT: u32 = 0x10000;
const M8_MAGIC: [u8; 16] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
const M32_MAGIC: [u8; 16] =
    [0x20, 0x00, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a];

/// The last 0x30 bytes of a primary with `max_align` 8, as bootutil v2.4.0 leaves them; `e` is the erased value.
fn info_8(e: u8, size: u32, swap_info: u8, image_ok: u8) -> Vec<u8> {
    let [a, b, c, d] = size.to_le_bytes();
    let mut bytes = vec![a, b, c, d, e, e, e, e, swap_info, e, e, e, e, e, e, e];
    bytes.extend([0x01, e, e, e, e, e, e, e, image_ok, e, e, e, e, e, e, e]);
    bytes.extend(M8_MAGIC);
    bytes
}

/// The last 0xA0 bytes with `max_align` 32.
fn info_32(e: u8, size: u32, swap_info: u8, image_ok: u8) -> Vec<u8> {
    let mut bytes = vec![e; 0xA0];
    bytes[..4].copy_from_slice(&size.to_le_bytes());
    bytes[0x20] = swap_info;
    bytes[0x40] = 0x01;
    bytes[0x60] = image_ok;
    bytes[0x90..].copy_from_slice(&M32_MAGIC);
    bytes
}

/// Test, confirm, permanent and revert: the primary's trailer byte for byte, the images exchanged, the request gone.
fn primary_states<const W: usize>(
    mode: Mode,
    erased: u8,
    max_align: u32,
    info: fn(u8, u32, u8, u8) -> Vec<u8>,
) {
    let (old, new) = (old_image(), new_image());
    let size = old.len().max(new.len()) as u32;
    let fresh = || {
        let mut world = World::<W, 4096>::new(mode, SLOT, erased);
        (world.max_align, world.write_size) = (max_align, W as u32);
        world.install(&old);
        world.download(&new);
        world
    };
    let length = info(erased, 0, 0, 0).len();
    let e = erased;

    let mut world = fresh();
    world.request(false);
    let boot = world.boot();
    assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::Test));
    assert_eq!(world.tail(length), info(e, size, 2, e), "after a test swap");
    assert!(world.secondary_holds(0, &old));
    assert!(world.secondary_tail(length).iter().all(|&byte| byte == e));

    world.confirm();
    assert_eq!(world.tail(length), info(e, size, 2, 1), "after confirm");
    let boot = world.boot();
    assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::None));

    let mut world = fresh();
    world.request(true);
    let boot = world.boot();
    assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::Permanent));
    assert_eq!(world.tail(length), info(e, size, 3, 1), "after a permanent swap");
    assert_eq!(world.boot().image(0).unwrap().action, Action::None);

    let mut world = fresh();
    world.request(false);
    world.boot();
    let boot = world.boot();
    assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(1), Action::Revert));
    assert_eq!(world.tail(length), info(e, size, 4, 1), "after a revert");
    assert!(world.secondary_holds(world.update_offset(), &new));
    assert!(world.primary_holds(&old));
    let boot = world.boot();
    assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(1), Action::None));

    // And the whole again, over what the first round left behind.
    world.download(&new);
    world.request(false);
    assert_eq!(running(&world.boot()), Some(2));
}

#[test]
fn primary_trailers_are_byte_exact() {
    for mode in [Mode::SwapMove, Mode::SwapScratch] {
        for erased in [0x00, 0xFF] {
            primary_states::<1>(mode, erased, 8, info_8);
            primary_states::<8>(mode, erased, 8, info_8);
            primary_states::<32>(mode, erased, 32, info_32);
        }
    }
}

#[test]
fn swap_offset_keeps_its_size_one_field_lower() {
    let (old, new) = (old_image(), new_image());
    for erased in [0x00, 0xFF] {
        let mut world = World::<8, 4096>::new(Mode::SwapOffset, SLOT, erased);
        world.install(&old);
        world.download(&new);
        world.request(false);
        assert_eq!(running(&world.boot()), Some(2));
        let e = erased;
        let mut expected = info_8(e, 0, 2, e);
        // Unprotected TLVs of both: info 4, SHA256 4 + 32.
        expected[..8].copy_from_slice(&[40, 0, 40, 0, e, e, e, e]);
        let [a, b, c, d] = (new.len() as u32).to_le_bytes();
        let size = [a, b, c, d, e, e, e, e];
        assert_eq!(world.tail(0x38), [&size[..], &expected[..]].concat());
        assert!(world.secondary_holds(0, &old), "the old image lies in sector 0");
        let boot = world.boot();
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(1), Action::Revert));
        assert_eq!(world.tail(0x28)[0], 4);
        assert!(world.primary_holds(&old) && world.secondary_holds(4096, &new));
        assert_eq!(world.boot().image(0).unwrap().action, Action::None);
    }
}

#[test]
fn overwrite_copies_the_request_too_and_never_reverts() {
    let (old, new) = (old_image(), new_image());
    let mut world = World::<8, 4096>::new(Mode::Overwrite, SLOT, 0xFF);
    world.install(&old);
    world.download(&new);
    world.request(false);
    let boot = world.boot();
    assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::Permanent));
    let mut expected = info_8(0xFF, 0xFFFF_FFFF, 2, 0xFF);
    expected[0x10] = 0xFF;
    assert_eq!(world.tail(0x30), expected, "magic GOOD, copy_done UNSET");
    assert!(world.secondary_tail(4096).iter().all(|&byte| byte == 0xFF));
    assert!(!world.secondary_holds(0, &new[..32]), "the first sector is erased");
    assert!(world.secondary_holds(4096, &new[4096..8192]), "what lies between is not");
    let boot = world.boot();
    assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::None));
}

/// Rows that erase to 0x00 inside, NOR that erases to 0xFF outside, and the outer slot not on a sector: a usual PSoC 62.
#[test]
fn overwrite_from_one_kind_of_flash_to_another() {
    let mut inside = VecFlash::<512, 512>::blank(FlashConfig::row_rewrite(SLOT, 512)).unwrap();
    let mut outside = VecFlash::<16, 0x8000>::blank(FlashConfig::nor(0x2_0000, 0x8000, 16)).unwrap();
    let slots = [ImageSlots {
        primary: Area { device: 0, start: 0, size: SLOT },
        secondary: Area { device: 1, start: 0x4400, size: SLOT },
    }];
    let configs = [inside.config(), outside.config()];
    let bootloader = Bootloader::new(Config::new(Mode::Overwrite, &slots), &configs).unwrap();
    inside.poke(0, &old_image()).unwrap();
    outside.poke(0x4400, &new_image()).unwrap();
    outside.poke(0x4400 + SLOT - 16, &M8_MAGIC).unwrap();
    let boot = bootloader.boot(&mut [&mut inside, &mut outside], &mut []).unwrap();
    assert_eq!(running(&boot), Some(2));
    let mut tail = [0; 48];
    inside.peek(SLOT - 48, &mut tail).unwrap();
    // Bytes are copied as they are: "erased" outside is neither set nor erased inside.
    assert_eq!((&tail[..32], &tail[32..]), (&[0xFF; 32][..], &M8_MAGIC[..]));
    assert_eq!(inside.strict_violations() + outside.strict_violations(), 0);
    assert_eq!(inside.counters().operations, 0);
    assert_eq!(inside.counters_of(Actor::Bootloader).erases, SLOT / 512);
    assert_eq!(running(&bootloader.boot(&mut [&mut inside, &mut outside], &mut []).unwrap()), Some(2));
}

fn requested(mode: Mode, change: impl FnOnce(&mut World<8, 4096>)) -> (World<8, 4096>, Boot) {
    let mut world = World::<8, 4096>::new(mode, SLOT, 0xFF);
    world.install(&old_image());
    world.download(&new_image());
    change(&mut world);
    let boot = world.boot();
    (world, boot)
}

#[test]
fn the_request_is_image_ok_and_magic_never_swap_info() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset] {
        let action = |change: fn(&mut World<8, 4096>)| requested(mode, change).1.image(0).unwrap().action;
        assert_eq!(action(|_| {}), Action::None);
        assert_eq!(action(|world| world.request(false)), Action::Test);
        assert_eq!(action(|world| world.request(true)), Action::Permanent);
        // swap_info says TEST, image_ok is set.
        assert_eq!(
            action(|world| {
                world.request(true);
                world.secondary.poke(SLOT - 40, &[2]).unwrap();
            }),
            Action::Permanent
        );
        // swap_info says PERM, image_ok is not set.
        assert_eq!(
            action(|world| {
                world.request(false);
                world.secondary.poke(SLOT - 40, &[3]).unwrap();
            }),
            Action::Test
        );
    }
}

#[test]
fn damaged_trailers_are_left_alone() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset, Mode::Overwrite] {
        // A magic torn in the middle.
        let (mut world, boot) = requested(mode, |world| {
            world.request(false);
            world.secondary.poke(SLOT - 8, &[0xFF; 8]).unwrap();
        });
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(1), Action::None));
        let offset = world.update_offset();
        assert!(world.secondary_holds(offset, &new_image()));
        assert_eq!(world.boot().image(0).unwrap().refused, None);
        // image_ok neither set nor erased.
        let (world, boot) = requested(mode, |world| {
            world.request(false);
            world.secondary.poke(SLOT - 24, &[0]).unwrap();
        });
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(1), Action::None));
        assert_eq!(world.secondary_tail(16), M8_MAGIC);
    }
}

#[test]
fn a_bad_image_is_erased() {
    for mode in ALL_MODES {
        for (corruption, refused) in [
            (Corruption::Payload, Refused::Hash),
            (Corruption::Hash, Refused::Hash),
            (Corruption::Truncated(8), Refused::Hash),
            (Corruption::Truncated(40), Refused::Tlv),
        ] {
            let mut world = World::<8, 4096>::new(mode, SLOT, 0xFF);
            world.install(&old_image());
            world.download(&corrupt(new_image(), corruption));
            world.request(true);
            let boot = world.boot();
            assert_eq!(running(&boot), Some(1), "{mode:?} {corruption:?}");
            assert_eq!(boot.image(0).unwrap().refused, Some(refused), "{mode:?} {corruption:?}");
            assert!(world.secondary_is_blank());
            assert_eq!(world.boot().image(0).unwrap().refused, None);
        }
    }
}

#[test]
fn an_empty_slot_with_a_request_loses_the_request() {
    for mode in ALL_MODES {
        let mut world = World::<8, 4096>::new(mode, SLOT, 0xFF);
        world.install(&old_image());
        world.request(false);
        let boot = world.boot();
        assert_eq!((running(&boot), boot.image(0).unwrap().refused), (Some(1), Some(Refused::NoImage)));
        // Overwrite-only leaves the trailer and looks at it at every boot.
        assert_eq!(world.secondary_is_blank(), mode != Mode::Overwrite, "{mode:?}");
        let again = world.boot().image(0).unwrap().refused;
        assert_eq!(again, if mode == Mode::Overwrite { Some(Refused::NoImage) } else { None });
    }
}

#[test]
fn a_non_bootable_image_is_no_image() {
    let image = ImageBuilder::new(Version::new(2, 0, 0, 0), vec![1; 64]).flags(0x10).unsigned();
    let mut world = World::<8, 4096>::new(Mode::SwapMove, SLOT, 0xFF);
    world.install(&old_image());
    world.download(&image);
    world.request(false);
    assert_eq!(world.boot().image(0).unwrap().refused, Some(Refused::NoImage));
    assert!(world.secondary_holds(0, &image), "only the trailer is erased");
    let encrypted = ImageBuilder::new(Version::new(2, 0, 0, 0), vec![1; 64]).flags(0x4).unsigned();
    world.download(&encrypted);
    world.request(false);
    assert_eq!(world.boot().image(0).unwrap().refused, Some(Refused::Flags));
}

/// `loader.c`, `boot_validate_slot`: only swap-move clears the primary's trailer; with scratch and offset the revert is asked for,
/// and refused, at every boot.
#[test]
fn a_revert_with_nothing_to_go_back_to_is_given_up_by_some() {
    for mode in ALL_MODES.into_iter().filter(|&mode| mode != Mode::Overwrite) {
        let (mut world, _) = requested(mode, |world| world.request(false));
        let blank = vec![0xFF; SLOT as usize];
        world.secondary.poke(0, &blank).unwrap();
        let boot = world.boot();
        assert_eq!(
            (running(&boot), boot.image(0).unwrap().refused),
            (Some(2), Some(Refused::NoImage)),
            "{mode:?}"
        );
        let boot = world.boot();
        let refused = match mode {
            Mode::SwapScratch | Mode::SwapOffset => Some(Refused::NoImage),
            Mode::Overwrite | Mode::SwapMove | Mode::SwapStatus(_) => None,
        };
        assert_eq!((running(&boot), boot.image(0).unwrap().refused), (Some(2), refused), "{mode:?}");
    }
}

#[test]
fn a_request_outranks_a_revert() {
    let third = ImageBuilder::with_random_payload(Version::new(3, 0, 0, 0), 500, 3).unsigned();
    for mode in ALL_MODES.into_iter().filter(|&mode| mode != Mode::Overwrite) {
        let (mut world, _) = requested(mode, |world| world.request(false));
        world.download(&third);
        world.request(false);
        let boot = world.boot();
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(3), Action::Test), "{mode:?}");
    }
}

#[test]
fn an_upload_to_the_wrong_sector_is_destroyed() {
    let (world, boot) = requested(Mode::SwapOffset, |world| {
        world.secondary.poke(0, &new_image()).unwrap();
        world.request(false);
    });
    assert_eq!((running(&boot), boot.image(0).unwrap().refused), (Some(1), Some(Refused::WrongOffset)));
    assert!(world.secondary_is_blank());
}

#[test]
fn a_swap_type_written_to_the_primary_exchanges_the_slots() {
    for mode in [Mode::SwapMove, Mode::SwapScratch, Mode::SwapOffset] {
        let (world, boot) = requested(mode, |world| {
            world.primary.poke(SLOT - 40, &[2]).unwrap();
            world.primary.poke(SLOT - 16, &M8_MAGIC).unwrap();
        });
        assert_eq!(running(&boot), Some(2), "{mode:?}: taken for an interrupted swap");
        assert!(world.secondary_holds(0, &old_image()));
        // Without the swap type it is a factory image.
        let (_, boot) = requested(mode, |world| world.primary.poke(SLOT - 16, &M8_MAGIC).unwrap());
        assert_eq!(running(&boot), Some(1));
    }
}

#[test]
fn keys_decide() {
    let (good, other) = (Key::from_seed(1), Key::from_seed(2));
    let keys = [
        PublicKey::from_sec1(&other.public_sec1()).unwrap(),
        PublicKey::from_spki(good.public_spki()).unwrap(),
    ];
    let only_good = &keys[1..];
    let builder = |version| ImageBuilder::with_random_payload(Version::new(version, 0, 0, 0), 3000, 4);
    let verdict = |image: Vec<u8>, keys: &[PublicKey]| {
        let mut world = World::<8, 4096>::new(Mode::SwapMove, SLOT, 0xFF);
        world.install(&builder(1).signed(&good));
        world.download(&image);
        world.request(true);
        let boot = world.try_boot_with(|config| config.validation = Validation::Keys(keys), &mut []).unwrap();
        (running(&boot), boot.image(0).unwrap().refused)
    };
    assert_eq!(verdict(builder(2).signed(&good), only_good), (Some(2), None));
    assert_eq!(verdict(builder(2).signed(&good), &keys), (Some(2), None));
    assert_eq!(verdict(builder(2).signed(&other), only_good), (Some(1), Some(Refused::Signature)));
    assert_eq!(verdict(builder(2).unsigned(), only_good), (Some(1), Some(Refused::Signature)));
    let bad = corrupt(builder(2).signed(&good), Corruption::Signature);
    assert_eq!(verdict(bad, only_good), (Some(1), Some(Refused::Signature)));
    assert!(PublicKey::from_sec1(&[4; 65]).is_none() && PublicKey::from_spki(&[]).is_none());
}

#[test]
fn older_versions_and_counters_are_refused() {
    let image = |major, counter| {
        ImageBuilder::with_random_payload(Version::new(major, 0, 0, 0), 900, 5)
            .security_counter(counter)
            .unsigned()
    };
    for mode in ALL_MODES {
        let mut world = World::<8, 4096>::new(mode, SLOT, 0xFF);
        world.install(&image(5, 3));
        for (version, refused) in [(4, Some(Refused::Downgrade)), (5, None)] {
            world.download(&image(version, 3));
            world.request(true);
            let boot = world.try_boot_with(|config| config.downgrade_prevention = true, &mut []).unwrap();
            assert_eq!(boot.image(0).unwrap().refused, refused, "{mode:?}");
        }
        assert_eq!(running(&world.boot()), Some(5));
        let mut stored = [3];
        for (version, counter, refused, after) in
            [(6, 2, Some(Refused::SecurityCounter), 3), (6, 3, None, 3), (7, 9, None, 9)]
        {
            world.download(&image(version, counter));
            world.request(true);
            let boot = world.try_boot_with(|config| config.rollback_protection = true, &mut stored).unwrap();
            assert_eq!(boot.image(0).unwrap().refused, refused, "{mode:?}");
            assert_eq!(stored, [after]);
        }
    }
}

#[test]
fn the_counter_follows_a_test_image_after_confirm_and_reset() {
    let image = |major, counter| {
        ImageBuilder::with_random_payload(Version::new(major, 0, 0, 0), 900, 5)
            .security_counter(counter)
            .unsigned()
    };
    let mut world = World::<8, 4096>::new(Mode::SwapMove, SLOT, 0xFF);
    world.install(&image(1, 1));
    world.download(&image(2, 2));
    world.request(false);
    let mut stored = [1];
    world.try_boot_with(|config| config.rollback_protection = true, &mut stored).unwrap();
    assert_eq!(stored, [1]);
    world.confirm();
    world.try_boot_with(|config| config.rollback_protection = true, &mut stored).unwrap();
    assert_eq!(stored, [2]);
}

#[test]
fn images_up_to_the_limit_and_not_one_byte_more() {
    for mode in ALL_MODES {
        let mut world = World::<8, 4096>::new(mode, SLOT, 0xFF);
        let Some(limit) = world.bootloader().max_image_size(0, &world.flashes()) else { continue };
        let sized = |size: u32| {
            let rest = ImageBuilder::new(Version::new(2, 0, 0, 0), Vec::new()).unsigned().len();
            ImageBuilder::with_random_payload(Version::new(2, 0, 0, 0), size as usize - rest, 6).unsigned()
        };
        world.install(&old_image());
        world.download(&sized(limit + 1));
        world.request(false);
        assert_eq!(world.boot().image(0).unwrap().refused, Some(Refused::TooLarge), "{mode:?}");
        world.download(&sized(limit));
        world.request(false);
        assert_eq!(running(&world.boot()), Some(2), "{mode:?}");
        assert!(world.primary_holds(&sized(limit)));
        if mode != Mode::Overwrite {
            assert_eq!(running(&world.boot()), Some(1), "{mode:?}");
            assert!(world.primary_holds(&old_image()));
        }
    }
}

/// Limits and trailer sizes worked out by hand from the sources, per slot, sector, `max_sectors` and write size.
#[test]
fn limits_are_those_of_the_table() {
    fn limits<const W: usize, const E: usize>(slot: u32, sectors: u32) -> [u32; 4] {
        [Mode::SwapScratch, Mode::SwapMove, Mode::SwapOffset, Mode::Overwrite].map(|mode| {
            let mut world = World::<W, E>::new(mode, slot, 0xFF);
            (world.max_sectors, world.write_size) = (sectors, W as u32);
            world.bootloader().max_image_size(0, &world.flashes()).unwrap()
        })
    }
    assert_eq!(limits::<1, 512>(0xEE000, 1904), [0xEC980, 0xEC600, 0xECE00, 0xEDFD8]);
    assert_eq!(limits::<8, 512>(0xEE000, 1904), [0xE2D50, 0xE2A00, 0xE6600, 0xEDFD8]);
    // The trailer has 0x30 bytes in its first sector, the scratch area's own trailer needs 0x48: 0x18 more are lost.
    assert_eq!(limits::<8, 512>(0x1C0000, 3584), [0x1AAFD0 - 0x18, 0x1AAC00, 0x1B1C00, 0x1BFFD8]);
    assert_eq!(limits::<8, 512>(0x11C000, 2272), [0x10EAD0, 0x10E800, 0x112E00, 0x11BFD8]);
    assert_eq!(limits::<8, 4096>(0x60000, 96), [0x5F6D0, 0x5E000, 0x5E000, 0x5FFD8]);

    fn trailer<const W: usize>(mode: Mode, max_align: u32, sectors: u32) -> u32 {
        let mut world = World::<W, 4096>::new(mode, 0x80000, 0xFF);
        (world.max_sectors, world.write_size, world.max_align) = (sectors, W as u32, max_align);
        world.bootloader().trailer_size()
    }
    assert_eq!(trailer::<1>(Mode::SwapMove, 8, 128), 0x1B0);
    assert_eq!(trailer::<8>(Mode::SwapMove, 8, 512), 0x3030);
    assert_eq!(trailer::<16>(Mode::SwapScratch, 16, 256), 0x3050);
    assert_eq!(trailer::<32>(Mode::SwapScratch, 32, 128), 0x30A0);
    assert_eq!(trailer::<1>(Mode::SwapOffset, 8, 128), 0x138);
    assert_eq!(trailer::<32>(Mode::SwapOffset, 32, 128), 0x20C0);
}

#[test]
fn layouts_that_cannot_work_are_refused() {
    let refused = |change: fn(&mut World<8, 4096>)| {
        let mut world = World::<8, 4096>::new(Mode::SwapMove, SLOT, 0xFF);
        change(&mut world);
        Bootloader::new(world.config(), &world.flashes()).err()
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|world| world.max_align = 4), Some(LayoutError::MaxAlign));
    assert_eq!(refused(|world| world.write_size = 16), Some(LayoutError::WriteSize));
    assert_eq!(refused(|world| world.write_size = 4), Some(LayoutError::WriteSize));
    assert_eq!(refused(|world| world.max_sectors = 15), Some(LayoutError::TooManySectors));
    assert_eq!(refused(|world| world.slots[0].primary.device = 9), Some(LayoutError::Outside));
    assert_eq!(refused(|world| world.slots[0].primary.start = 4096), Some(LayoutError::Outside));
    assert_eq!(refused(|world| world.slots[0].secondary.size -= 8192), Some(LayoutError::SlotsDiffer));
    assert_eq!(refused(|world| world.slots[0].secondary.size -= 4), Some(LayoutError::Unaligned));
    assert_eq!(refused(|world| world.max_sectors = 4096), Some(LayoutError::NoRoom));
    let without_scratch = |mode| {
        let world = World::<8, 4096>::new(mode, SLOT, 0xFF);
        Bootloader::new(Config { scratch: None, status: None, ..world.config() }, &world.flashes()).err()
    };
    for mode in ALL_MODES {
        let needs = matches!(mode, Mode::SwapScratch | Mode::SwapStatus(_));
        assert_eq!(without_scratch(mode), needs.then_some(LayoutError::Scratch));
    }
    let world = World::<512, 512>::new(Mode::SwapMove, SLOT, 0x00);
    let config = world.config();
    assert_eq!(Bootloader::new(config, &world.flashes()).err(), Some(LayoutError::WriteSize), "rows of 512");
}

/// `set_img_ok` writes one byte, where a swap has come to its end, and no other: what was swapped in stays.
/// v1.7 has no trailer in the primary slot to write it to.
#[test]
fn set_img_ok_confirms_what_was_swapped_in_and_nothing_else() {
    for mode in ALL_MODES {
        let mut world = World::<8, 4096>::new(mode, SLOT, 0xFF);
        world.install(&old_image());
        let boot = |world: &mut World<8, 4096>| {
            running(&world.try_boot_with(|config| config.set_img_ok = &[0], &mut []).unwrap())
        };
        assert_eq!(boot(&mut world), Some(1));
        assert_eq!(world.tail(48), [0xFF; 48], "{mode:?}: nothing was swapped in");
        world.download(&new_image());
        world.request(false);
        assert_eq!(boot(&mut world), Some(2));
        let keeps = mode != Mode::SwapStatus(StatusVersion::V1_7);
        let has_trailer = keeps && mode != Mode::Overwrite;
        assert_eq!(world.tail(24)[0], if has_trailer { 1 } else { 0xFF }, "{mode:?}");
        assert_eq!(boot(&mut world), Some(if keeps { 2 } else { 1 }), "{mode:?}");
    }
}
