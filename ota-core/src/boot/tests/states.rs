//! What is read back, and what confirm and withdraw do.

use super::*;
use crate::{trailer::Magic, verify::Verified, version::Version};

const MODES: [BootMode; 5] = [
    BootMode::Overwrite,
    BootMode::SwapScratch,
    BootMode::SwapMove,
    BootMode::SwapOffset,
    BootMode::SwapStatus,
];

const MAGIC: &[u8; 16] = MaxAlign::M8.magic();
/// Places of max-align 8, back from the slot's end.
const IMAGE_OK: u32 = 24;
const COPY_DONE: u32 = 32;
const SWAP_INFO: u32 = 40;

const ROWS: Place = Place { erased: 0, kind: Kind::RowRewrite, ..NOR };

type Fine = Device<8, 4096, 8, 4096>;

fn fine(mode: BootMode) -> Fine {
    Device::new(mode, MaxAlign::M8, NOR, NOR)
}

/// Name, whether the magic is good, fields; revert, confirmed, reverted.
type Row = (&'static str, bool, &'static [(u32, u8)], Revert, bool, bool);

/// Primary fields, then what they mean for the three trailer modes.
#[test]
fn primary_states() {
    #[rustfmt::skip]
    let table: [Row; 9] = [
        ("never swapped", false, &[], Revert::No, true, false),
        ("test image", true, &[(COPY_DONE, 1), (SWAP_INFO, 2)], Revert::Yes, false, false),
        ("confirmed", true, &[(COPY_DONE, 1), (SWAP_INFO, 2), (IMAGE_OK, 1)], Revert::No, true, false),
        ("permanent", true, &[(COPY_DONE, 1), (SWAP_INFO, 3), (IMAGE_OK, 1)], Revert::No, true, false),
        ("reverted", true, &[(COPY_DONE, 1), (SWAP_INFO, 4), (IMAGE_OK, 1)], Revert::No, true, true),
        ("programmed --pad --confirm", true, &[(IMAGE_OK, 1)], Revert::No, true, false),
        ("programmed --pad", true, &[], Revert::No, false, false),
        ("torn confirm", true, &[(COPY_DONE, 1), (SWAP_INFO, 2), (IMAGE_OK, 3)], Revert::No, false, false),
        ("magic missing", false, &[(COPY_DONE, 1), (SWAP_INFO, 4)], Revert::No, true, false),
    ];
    for mode in MODES {
        for (name, magic, fields, revert, confirmed, reverted) in table {
            let mut device = fine(mode);
            if magic {
                device.poke_primary(16, MAGIC);
            }
            for &(back, value) in fields {
                device.poke_primary(back, &[value]);
            }
            let ok = fields.contains(&(IMAGE_OK, 1));
            let done = magic && fields.contains(&(COPY_DONE, 1)) && !fields.contains(&(IMAGE_OK, 3));
            let expected = match mode {
                BootMode::Overwrite => (Revert::No, true, false),
                BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
                    (revert, confirmed, reverted)
                }
                BootMode::SwapStatus if !done => (Revert::Unknown, ok, reverted),
                BootMode::SwapStatus => (if ok { Revert::No } else { Revert::Yes }, ok, reverted),
            };
            let (_, state) = device.run(async |image| image.inspect(0).await.unwrap());
            assert_eq!((state.revert, state.confirmed, state.reverted), expected, "{mode:?} {name}");
        }
    }
}

#[test]
fn a_waiting_request_does_not_hide_a_revert() {
    let mut device = fine(BootMode::SwapMove);
    device.poke_primary(16, MAGIC);
    device.poke_primary(COPY_DONE, &[1]);
    device.poke_secondary(16, MAGIC);
    let (_, state) = device.run(async |image| image.inspect(0).await.unwrap());
    assert_eq!((state.revert, state.request), (Revert::Yes, Request::Test));
}

#[test]
fn swap_offset_reads_the_secondary_for_a_revert() {
    for mode in MODES {
        let mut device = fine(mode);
        device.poke_secondary(16, MAGIC);
        device.poke_secondary(COPY_DONE, &[1]);
        let (_, state) = device.run(async |image| image.inspect(0).await.unwrap());
        let expected = match mode {
            BootMode::SwapOffset => (Revert::Yes, Request::None),
            BootMode::SwapStatus => (Revert::Unknown, Request::Test),
            BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove => (Revert::No, Request::Test),
        };
        assert_eq!((state.revert, state.request), expected, "{mode:?}");
    }
}

#[test]
fn damaged_requests_are_named() {
    let request = |bytes: &[u8], image_ok: u8| {
        let mut device = fine(BootMode::SwapMove);
        device.poke_secondary(16, bytes);
        device.poke_secondary(IMAGE_OK, &[image_ok]);
        device.run(async |image| image.inspect(0).await.unwrap()).1.request
    };
    assert_eq!(request(MAGIC, 0xFF), Request::Test);
    assert_eq!(request(MAGIC, 1), Request::Permanent);
    assert_eq!(request(MAGIC, 0), Request::Damaged);
    assert_eq!(request(&MAGIC[..15], 0xFF), Request::Damaged);
    assert_eq!(request(MaxAlign::M32.magic(), 0xFF), Request::Damaged);
    assert_eq!(request(&[0xFF; 16], 1), Request::None);
}

#[test]
fn running_image_is_described_from_flash() {
    let mut device = fine(BootMode::SwapMove);
    let image = image_of(0x800);
    let (device_, state) = device.run(async |image| image.inspect(0).await.unwrap());
    assert_eq!(state.running, None);
    device = device_;
    device.primary.poke(0, &image).unwrap();
    let (mut device, state) = device.run(async |image| image.inspect(0).await.unwrap());
    let running = state.running.unwrap();
    assert_eq!((running.version, running.size), (Version::new(1, 0, 0, 0), 0x800));
    assert_eq!(running.hash[..], image[0x800 - 32..]);
    assert_eq!(running.security_counter, None);
    device.primary.poke(0x800 - 40, &[0x08]).unwrap();
    assert_eq!(device.run(async |image| image.inspect(0).await.unwrap()).1.running, None);
}

#[test]
fn security_counter_of_the_protected_area_only() {
    let mut device = fine(BootMode::SwapMove);
    let mut image = image_of(0x800);
    let tlvs = 0x800 - 40;
    // 16 bytes more: a protected area with counter 7 before, or the same entry after the hash.
    image.truncate(tlvs);
    let hash: Vec<u8> = [&[0x10, 0, 32, 0][..], &[9; 32]].concat();
    let counter = [0x50, 0, 4, 0, 7, 0, 0, 0];
    let protected = [&image[..], &[0x08, 0x69, 12, 0], &counter, &[0x07, 0x69, 40, 0], &hash].concat();
    let outside = [&image[..], &[0x07, 0x69, 48, 0], &hash, &counter].concat();
    device.primary.poke(0, &protected).unwrap();
    device.primary.poke(10, &[12, 0]).unwrap();
    let (mut device, state) = device.run(async |image| image.inspect(0).await.unwrap());
    assert_eq!(state.running.unwrap().security_counter, Some(7));
    assert_eq!(state.running.unwrap().size, protected.len() as u32);
    device.primary.poke(0, &outside).unwrap();
    let (_, state) = device.run(async |image| image.inspect(0).await.unwrap());
    assert_eq!(state.running.unwrap().security_counter, None);
    assert_eq!(state.running.unwrap().size, outside.len() as u32);
}

#[test]
fn confirm_writes_image_ok_alone() {
    for mode in MODES {
        let mut device = fine(mode);
        device.poke_primary(16, MAGIC);
        device.poke_primary(COPY_DONE, &[1]);
        let mut before = vec![0; NOR.size as usize];
        device.primary.peek(0, &mut before).unwrap();
        let (device, done) = device.run(async |image| (image.confirm(0).await, image.confirm(0).await));
        assert_eq!(done, (Ok(()), Ok(())), "{mode:?}");
        let mut after = vec![0; NOR.size as usize];
        device.primary.peek(0, &mut after).unwrap();
        if mode != BootMode::Overwrite {
            before[(NOR.size - IMAGE_OK) as usize] = 1;
        }
        assert_eq!(after, before, "{mode:?}");
        assert_eq!(device.violations(), 0);
    }
}

#[test]
fn confirm_of_a_device_never_swapped_or_damaged() {
    for (magic, expected) in [(&[0xFF; 16], Ok(())), (&[0x77; 16], Err(FlashError::Trailer))] {
        let mut device = fine(BootMode::SwapMove);
        device.poke_primary(16, magic);
        let (device, done) = device.run(async |image| image.confirm(0).await);
        assert_eq!((done, device.primary.counters().operations), (expected, 0));
    }
    // A torn flag: rewritten in a row, not to be repaired on write-once flash.
    let mut rows = Device::<512, 512, 512, 512>::new(BootMode::SwapMove, MaxAlign::M8, ROWS, ROWS);
    rows.poke_primary(16, MAGIC);
    rows.poke_primary(IMAGE_OK, &[3]);
    let (_, state) = rows.run(async |image| {
        image.confirm(0).await.unwrap();
        image.inspect(0).await.unwrap()
    });
    assert!(state.confirmed);
    let mut device = fine(BootMode::SwapMove);
    device.poke_primary(16, MAGIC);
    device.poke_primary(IMAGE_OK, &[3]);
    assert_eq!(device.run(async |image| image.confirm(0).await).1, Err(FlashError::Trailer));
}

#[test]
fn stale_token_leaves_flash_alone() {
    let info = ImageInfo { version: Version::default(), size: 0x800, hash: [0; 32], security_counter: None };
    let (_, ()) = fine(BootMode::SwapMove).run(async |image| {
        download(image, &image_of(0x800)).await.unwrap();
        let generation = image.generation(0);
        let token = || Verified::for_tests(0, info, generation);
        assert_eq!(
            image.set_pending(Verified::for_tests(1, info, generation), Pending::Test).await,
            Err(FlashError::NoImage)
        );
        image.set_pending(token(), Pending::Test).await.unwrap();
        let written = image.generation(0);
        assert_eq!(image.set_pending(token(), Pending::Permanent).await, Err(FlashError::Stale));
        assert_eq!(image.generation(0), written);
        assert_eq!(image.inspect(0).await.unwrap().request, Request::Test);
    });
}

#[test]
fn requests_of_an_image_number() {
    let (device, ()) = fine(BootMode::SwapMove).run(async |image| {
        image.number = 2;
        image.request(0x800, Pending::Permanent).await.unwrap();
    });
    assert_eq!((device.peek_secondary(SWAP_INFO), device.peek_secondary(IMAGE_OK)), (0x23, 1));
}

#[test]
fn withdraw_takes_a_request_back() {
    for mode in MODES {
        for pending in [Pending::Test, Pending::Permanent] {
            let image = image_of(0x1234);
            let (device, ()) = fine(mode).run(async |device| {
                download(device, &image).await.unwrap();
                assert_eq!(device.withdraw(0).await, Ok(Withdrawn::ImageKept));
                device.request(0x1234, pending).await.unwrap();
                assert_eq!(device.withdraw(0).await, Ok(Withdrawn::ImageKept));
                assert_eq!(device.inspect(0).await.unwrap().request, Request::None);
                assert_eq!(device.compare(0, 0, &image).await, Ok(Compared::Equal));
                device.request(0x1234, pending).await.unwrap();
                assert_ne!(device.inspect(0).await.unwrap().request, Request::None);
            });
            assert_eq!(device.violations(), 0, "{mode:?}");
        }
    }
}

#[test]
fn withdraw_from_a_shared_sector_names_it() {
    let device = Device::<8, 4096, 512, 4096>::new(BootMode::Overwrite, MaxAlign::M8, NOR, NOR);
    let (_, ()) = device.run(async |device| {
        download(device, &image_of(0x7E00)).await.unwrap();
        device.request(0x7E00, Pending::Test).await.unwrap();
        assert_eq!(device.withdraw(0).await, Ok(Withdrawn::SectorLost(7)));
        assert_eq!(device.inspect(0).await.unwrap().request, Request::None);
    });
}

/// Swap-status before 1.8.1 keeps the primary's `image_ok` of the last update.
#[test]
fn old_confirm_does_not_reach_the_next_image() {
    let make = || {
        let mut device = Device::<512, 512, 512, 512>::new(BootMode::SwapStatus, MaxAlign::M8, ROWS, ROWS);
        device.poke_primary(IMAGE_OK, &[1]);
        device
    };
    let confirmed = async |image: &mut Booted<512, 512, 512, 512>| image.inspect(0).await.unwrap().confirmed;
    make().run(async |image| {
        assert!(confirmed(image).await);
        image.request(0x800, Pending::Test).await.unwrap();
        assert!(!confirmed(image).await);
        // A withdrawn request leaves the running image as confirmed as it was.
        image.withdraw(0).await.unwrap();
        assert!(confirmed(image).await);
        image.request(0x800, Pending::Permanent).await.unwrap();
        assert!(confirmed(image).await);
    });
    // The trailer of 1.8.1 and later is the bootloader's own.
    let mut device = make();
    device.poke_primary(16, MAGIC);
    device.poke_primary(COPY_DONE, &[1]);
    device.run(async |image| {
        image.request(0x800, Pending::Test).await.unwrap();
        assert!(confirmed(image).await);
    });
}

#[test]
fn swap_offset_clears_an_old_header_below_the_image() {
    let mut device = fine(BootMode::SwapOffset);
    device.secondary.poke(0, &image_of(0x100)).unwrap();
    let (device, ()) = device.run(async |image| image.request(0x800, Pending::Test).await.unwrap());
    let mut first = [0; 4];
    device.secondary.peek(0, &mut first).unwrap();
    assert_eq!(first, [0xFF; 4]);
}

/// A good magic over a set copy-done means revert to a swap-offset bootloader, so it is no test request yet.
#[test]
fn swap_offset_request_clears_an_old_copy_done() {
    let mut device = fine(BootMode::SwapOffset);
    device.poke_secondary(16, MAGIC);
    device.poke_secondary(COPY_DONE, &[1]);
    let (device, state) = device.run(async |image| {
        image.request(0x800, Pending::Test).await.unwrap();
        image.inspect(0).await.unwrap()
    });
    assert_eq!((state.request, state.revert), (Request::Test, Revert::No));
    assert_eq!(device.peek_secondary(COPY_DONE), 0xFF);
}

#[test]
fn writes_keep_out_of_the_trailer() {
    for mode in MODES {
        let (_, ()) = fine(mode).run(async |image| {
            let limit = image.layout(0).unwrap().max_image_size();
            assert_eq!(image.write(0, limit - 8, &[1; 9]).await, Err(FlashError::OutOfBounds), "{mode:?}");
            image.write(0, limit - 8, &[1; 8]).await.unwrap();
            let mut held = [0; 8];
            image.read(0, limit - 8, &mut held).await.unwrap();
            assert_eq!(held, [1; 8]);
            assert_eq!(image.generation(0), 1);
        });
    }
}

#[test]
fn a_tuple_numbers_its_elements() {
    let image = |mode| {
        let device = fine(mode);
        Image::<_, _>::new(device.primary, device.secondary, device.layout).unwrap()
    };
    let mut images = (image(BootMode::SwapMove), image(BootMode::SwapOffset).with_number(1));
    block_on(async {
        assert_eq!(images.layout(0).map(ImageLayout::mode), Some(BootMode::SwapMove));
        assert_eq!(images.layout(1).map(ImageLayout::mode), Some(BootMode::SwapOffset));
        assert!(images.layout(2).is_none());
        images.write(1, 0, &[5; 8]).await.unwrap();
        assert_eq!((images.generation(0), images.generation(1)), (0, 1));
        assert_eq!(images.compare(1, 0, &[5; 8]).await, Ok(Compared::Equal));
        let mut held = [0; 8];
        images.1.secondary.read(4096, &mut held).await.unwrap();
        assert_eq!(held, [5; 8]);
        let info =
            ImageInfo { version: Version::default(), size: 0x800, hash: [0; 32], security_counter: None };
        images.set_pending(Verified::for_tests(1, info, 1), Pending::Test).await.unwrap();
        assert_eq!(images.inspect(0).await.unwrap().request, Request::None);
        assert_eq!(images.inspect(1).await.unwrap().request, Request::Test);
        assert_eq!(images.erase(2, 0).await, Err(FlashError::NoImage));
        assert_eq!(images.confirm(2).await, Err(FlashError::NoImage));
    });
}

#[test]
#[allow(clippy::await_holding_refcell_ref)] // That is what it tests.
fn one_device_under_two_slots() {
    use core::cell::RefCell;
    let config = FlashConfig::nor(0x1_0000, 4096, 8);
    let flash = RefCell::new(VecFlash::<8, 4096>::blank(config).unwrap());
    let slot = |start| Place { start, ..NOR }.geometry(8, 4096);
    let slots = ImageSlots {
        primary: slot(0),
        secondary: slot(0x8000),
        mode: BootMode::SwapMove,
        max_align: MaxAlign::M8,
        boot_write_size: 8,
        max_sectors: 128,
    };
    let layout = ImageLayout::new(slots).unwrap();
    let mut image = Image::new(SharedFlash::new(&flash), SharedFlash::new(&flash), layout).unwrap();
    block_on(async {
        download(&mut image, &image_of(0x1234)).await.unwrap();
        image.request(0x1234, Pending::Test).await.unwrap();
        // Somebody else holds the device: an error, not a panic.
        let held = flash.borrow_mut();
        assert_eq!(image.inspect(0).await, Err(FlashError::Driver));
        drop(held);
        assert_eq!(image.inspect(0).await.unwrap().request, Request::Test);
    });
    let mut magic = [0; 16];
    flash.borrow().peek(0x1_0000 - 16, &mut magic).unwrap();
    assert_eq!(Magic::decode(&magic, MaxAlign::M8, 0xFF), Magic::Good);
}
