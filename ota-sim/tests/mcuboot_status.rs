//! The Cypress status partition: records byte for byte, what the import erases, confirm by one byte.
#![cfg(feature = "std")]

mod support;

use std::rc::Rc;

use ota_sim::Version;
use ota_sim::flash::{Actor, Cut, Device, FlashConfig, FlashFault, Supply, VecFlash, When};
use ota_sim::image::ImageBuilder;
use ota_sim::mcuboot::{Action, Area, Boot, Bootloader, Config, ImageSlots, Mode, Refused, StatusVersion};
use support::running;

const MAGIC: [u8; 16] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
const ROW: u32 = 512;
/// One area with `max_sectors` up to 500: a sector row and a trailer row, twice.
const AREA: u32 = 0x800;

/// A PSoC 62 in small: rows inside for primary and status, NOR with large sectors outside for secondary and scratch.
struct Device62 {
    inside: VecFlash<512, 512, Rc<Supply>>,
    outside: VecFlash<16, 0x4_0000, Rc<Supply>>,
    slots: ImageSlots,
    version: StatusVersion,
    max_sectors: u32,
    status: Area,
    scratch: Area,
}

impl Device62 {
    /// `secondary` is where the secondary begins outside.
    fn new(version: StatusVersion, secondary: u32, size: u32) -> Self {
        let supply = Rc::new(Supply::new());
        let status_at = size.next_multiple_of(ROW);
        let max_sectors = size.div_ceil(ROW);
        let status = Area { device: 0, start: status_at, size: 0xC000 };
        let outside = FlashConfig::nor(0x28_0000, 0x4_0000, 16);
        Self {
            inside: VecFlash::blank_on(Rc::clone(&supply), FlashConfig::row_rewrite(status_at + 0xC000, ROW))
                .unwrap(),
            outside: VecFlash::blank_on(supply, outside).unwrap(),
            slots: ImageSlots {
                primary: Area { device: 0, start: 0, size },
                secondary: Area { device: 1, start: secondary, size },
            },
            version,
            max_sectors,
            status,
            scratch: Area { device: 1, start: 0x20_0000, size: 0x8_0000 },
        }
    }

    fn boot(&mut self) -> Boot {
        let slots = [self.slots];
        let mut config = Config::new(Mode::SwapStatus(self.version), &slots);
        (config.max_sectors, config.status, config.scratch) =
            (self.max_sectors, Some(self.status), Some(self.scratch));
        let bootloader = Bootloader::new(config, &[self.inside.config(), self.outside.config()]).unwrap();
        let boot = bootloader.boot(&mut [&mut self.inside, &mut self.outside], &mut []).unwrap();
        assert_eq!(self.inside.strict_violations() + self.outside.strict_violations(), 0);
        assert_eq!(
            self.inside.counters().operations + self.outside.counters().operations,
            0,
            "all is the bootloader's"
        );
        boot
    }

    fn download(&mut self, image: &[u8]) {
        self.outside.poke(0, &vec![0xFF; 0x20_0000]).unwrap();
        self.outside.poke(self.slots.secondary.start, image).unwrap();
    }

    fn request(&mut self, permanent: bool) {
        let end = self.slots.secondary.start + self.slots.secondary.size;
        if permanent {
            self.outside.poke(end - 24, &[1]).unwrap();
        }
        self.outside.poke(end - 16, &MAGIC).unwrap();
    }

    fn confirm(&mut self) {
        self.inside.poke(self.slots.primary.size - 24, &[1]).unwrap();
    }

    fn slot_tail(&self) -> Vec<u8> {
        let mut bytes = vec![0; 48];
        self.inside.peek(self.slots.primary.size - 48, &mut bytes).unwrap();
        bytes
    }

    /// A row of the status partition from payload offset 461: what precedes it is checked to be blank.
    fn row(&self, at: u32) -> Vec<u8> {
        let mut bytes = vec![0; ROW as usize];
        self.inside.peek(self.status.start + at, &mut bytes).unwrap();
        assert!(bytes[..461].iter().all(|&byte| byte == 0));
        bytes.split_off(461)
    }
}

fn image(major: u8, size: usize) -> Vec<u8> {
    ImageBuilder::with_random_payload(Version::new(major, 0, 0, 0), size, u64::from(major))
        .header_size(0x400)
        .unsigned()
}

/// Everything inside, `max_sectors` 128: the device the record vectors were taken from. Cuts the power after the import's
/// first `operations` and answers the newest bytes of the secondary's trailer row, copy 0 and copy 1.
fn imported(version: StatusVersion, permanent: bool, operations: u32) -> [Vec<u8>; 2] {
    let mut flash = VecFlash::<512, 512>::blank(FlashConfig::row_rewrite(0x2_0000, ROW)).unwrap();
    let size = 0x8000;
    let slots = [ImageSlots {
        primary: Area { device: 0, start: 0, size },
        secondary: Area { device: 0, start: size, size },
    }];
    flash.poke(0, &image(1, 5000)).unwrap();
    flash.poke(size, &image(2, 5000)).unwrap();
    if permanent {
        flash.poke(2 * size - 24, &[1]).unwrap();
    }
    flash.poke(2 * size - 16, &MAGIC).unwrap();
    let status = Area { device: 0, start: 2 * size, size: 0x1800 };
    let mut config = Config::new(Mode::SwapStatus(version), &slots);
    (config.status, config.scratch) = (Some(status), Some(Area { device: 0, start: 0x1_8000, size: 0x1000 }));
    let bootloader = Bootloader::new(config, &[flash.config()]).unwrap();
    flash.arm(Cut { operation: operations, when: When::Before });
    assert_eq!(bootloader.boot(&mut [&mut flash], &mut []), Err(FlashFault::PowerLost));
    [0x200, 0x600].map(|at| {
        let mut bytes = vec![0; 512];
        flash.peek(status.start + AREA + at, &mut bytes).unwrap();
        assert!(bytes[..472].iter().all(|&byte| byte == 0));
        bytes.split_off(472)
    })
}

fn record(image_ok: u8, area_magic: [u8; 4], counter: u8, crc: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0; 11];
    bytes.push(image_ok);
    bytes.extend(MAGIC);
    bytes.extend(area_magic);
    bytes.extend([counter, 0, 0, 0]);
    bytes.extend(crc);
    bytes
}

/// Rows read out of flash after v1.7.2-cypress had imported a request; those of v1.8 with the newer area magic.
#[test]
fn an_imported_request_is_byte_exact() {
    let beaf = [0xaf, 0xbe, 0xad, 0xde];
    let beef = [0xef, 0xbe, 0xad, 0xde];
    for (version, magic, first, second) in [
        (StatusVersion::V1_7, beaf, [0xa6, 0x63, 0xbb, 0x5f], [0x02, 0x21, 0xad, 0x13]),
        (StatusVersion::V1_8, beef, [0x94, 0xa8, 0xbb, 0x45], [0x30, 0xea, 0xad, 0x09]),
    ] {
        let [copy_0, copy_1] = imported(version, false, 1);
        assert_eq!(copy_0, record(0, magic, 1, first));
        assert_eq!(copy_1, [0; 40]);
        let [copy_0, copy_1] = imported(version, true, 2);
        assert_eq!(copy_0, record(0, magic, 1, first));
        assert_eq!(copy_1, record(1, magic, 2, second));
    }
}

/// The primary's trailer row after a test swap by v1.7.2-cypress.
#[test]
fn the_record_of_a_test_swap_is_byte_exact() {
    let mut device = Device62::new(StatusVersion::V1_7, 0x200, 0x4_0200);
    // Two chunks, since sectors outside are large; one sector row, as with the default of 128.
    device.max_sectors = 128;
    let new = image(2, 0x3B47 - 0x400 - 40);
    assert_eq!(new.len(), 0x3B47);
    device.inside.poke(0, &image(1, 5000)).unwrap();
    device.download(&new);
    device.request(false);
    assert_eq!(running(&device.boot()), Some(2));
    let tail = |copy_done: u8, counter: u8, crc: [u8; 4]| {
        let mut bytes = vec![0; 16];
        bytes.extend([0x47, 0x3b, 0, 0, 0x02, copy_done, 0x00]);
        bytes.extend(MAGIC);
        bytes.extend([0xaf, 0xbe, 0xad, 0xde, counter, 0, 0, 0]);
        bytes.extend(crc);
        bytes
    };
    assert_eq!(device.row(0x600), tail(1, 4, [0xfe, 0xa0, 0x7d, 0x33]));
    assert_eq!(device.row(0x200), tail(0, 3, [0x3b, 0x9c, 0xd3, 0x07]));
}

#[test]
fn the_primary_slot_gets_a_trailer_from_v1_8_on() {
    let new = image(2, 9000);
    let trailer = |swap_info: u8, image_ok: u8| {
        let mut bytes = vec![0; 48];
        bytes[..4].copy_from_slice(&(new.len() as u32).to_le_bytes());
        (bytes[8], bytes[16], bytes[24]) = (swap_info, 1, image_ok);
        bytes[32..].copy_from_slice(&MAGIC);
        bytes
    };
    for version in [StatusVersion::V1_7, StatusVersion::V1_8] {
        let seen = |bytes: Vec<u8>| if version == StatusVersion::V1_8 { bytes } else { vec![0; 48] };
        let mut device = Device62::new(version, 0x200, 0x4_0200);
        device.inside.poke(0, &image(1, 5000)).unwrap();
        device.download(&new);
        device.request(false);
        let boot = device.boot();
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::Test));
        assert_eq!(device.slot_tail(), seen(trailer(2, 0)));
        let boot = device.boot();
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(1), Action::Revert));
        assert_eq!(device.slot_tail(), seen(trailer(4, 1)));
        assert_eq!(device.boot().image(0).unwrap().action, Action::None);

        device.download(&new);
        device.request(true);
        let boot = device.boot();
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::Permanent));
        assert_eq!(device.slot_tail(), seen(trailer(3, 1)));
        let boot = device.boot();
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::None));
    }
}

#[test]
fn one_byte_confirms_and_does_not_confirm_the_next_image() {
    for version in [StatusVersion::V1_7, StatusVersion::V1_8] {
        let mut device = Device62::new(version, 0x200, 0x4_0200);
        device.inside.poke(0, &image(1, 5000)).unwrap();
        device.download(&image(2, 9000));
        device.request(false);
        device.boot();
        device.confirm();
        for _ in 0..2 {
            let boot = device.boot();
            assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::None));
        }
        device.download(&image(3, 4000));
        device.request(false);
        assert_eq!(running(&device.boot()), Some(3));
        let boot = device.boot();
        assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(2), Action::Revert), "{version:?}");
    }
}

/// What v1.7.2-cypress did with external sectors of 256 KiB: a slot must end a little past a sector.
#[test]
fn the_import_erases_a_sector_with_what_lies_in_it() {
    for (start, size, image_size, works) in [
        (0x0_0000, 0x1C_0000, 14_000, true),
        (0x0_0000, 0x1C_0000, 1_600_000, false),
        (0x0_0200, 0x1C_0000, 1_600_000, true),
        (0x2_4400, 0x11_C000, 14_000, true),
        (0x2_4400, 0x11_C000, 1_000_000, true),
        (0x3_8400, 0x1C_8000, 1_500_000, true),
        (0x0_0000, 0x4_0200, 200_000, true),
    ] {
        let told = format!("{start:#x} {size:#x} {image_size}");
        let mut device = Device62::new(StatusVersion::V1_7, start, size);
        device.inside.poke(0, &image(1, 14_000)).unwrap();
        device.download(&image(2, image_size));
        device.request(false);
        let boot = device.boot();
        if works {
            assert_eq!(running(&boot), Some(2), "{told}");
            assert_eq!(running(&device.boot()), Some(1), "{told}");
        } else {
            assert_eq!(
                (running(&boot), boot.image(0).unwrap().refused),
                (Some(1), Some(Refused::Tlv)),
                "{told}"
            );
            let mut slot = vec![0; size as usize];
            device.outside.peek(start, &mut slot).unwrap();
            assert!(slot.iter().all(|&byte| byte == 0xFF), "the whole secondary is erased");
        }
        assert!(device.outside.counters_of(Actor::Bootloader).erases > 0);
    }
}

#[test]
fn a_torn_request_is_erased_and_not_imported() {
    let mut device = Device62::new(StatusVersion::V1_8, 0x200, 0x4_0200);
    device.inside.poke(0, &image(1, 5000)).unwrap();
    device.download(&image(2, 9000));
    let end = device.slots.secondary.start + device.slots.secondary.size;
    device.outside.poke(end - 16, &MAGIC[..8]).unwrap();
    let boot = device.boot();
    assert_eq!((running(&boot), boot.image(0).unwrap().action), (Some(1), Action::None));
    let mut tail = [0; 16];
    device.outside.peek(end - 16, &mut tail).unwrap();
    assert_eq!(tail, [0xFF; 16]);
}
