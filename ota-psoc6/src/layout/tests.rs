//! Every rule of a map, and where the numbers of the maps come together.

use ota_core::geometry::{BootMode, GeometryError};
use ota_core::journal::RegionError;

use super::*;

const PAIR: SlotPair = SlotPair {
    name: "application",
    primary: Area::new(0x1001_8000, 0xE_E000),
    secondary: Area::new(0x1010_6000, 0xE_E000),
    confirmable: true,
};

/// What becomes of a map with one pair of slots changed.
macro_rules! pair {
    ($base:expr, $($field:ident: $value:expr),+) => {{
        const PAIRS: [SlotPair; 1] = [SlotPair { $($field: $value,)+ ..PAIR }];
        FlashMap::new(MapSpec { images: &PAIRS, ..*$base.spec() })
    }};
}

fn spec(change: impl FnOnce(&mut MapSpec)) -> Result<FlashMap, MapError> {
    let mut spec = *psoc62::INTERNAL_SWAP.spec();
    change(&mut spec);
    FlashMap::new(spec)
}

#[test]
fn each_rule_is_checked() {
    let swap = psoc62::INTERNAL_SWAP;
    for (map, error) in [
        (pair!(swap, primary: Area::new(0x1800_0000, 0xE_E000)), MapError::Outside),
        (pair!(swap, secondary: Area::new(0x1018_0000, 0xE_E000)), MapError::Outside),
        (pair!(swap, secondary: Area::new(0x1600_0000, 0xE_E000)), MapError::Outside),
        (pair!(swap, secondary: Area::new(0x1010_5000, 0xE_E000)), MapError::Overlap),
        (pair!(swap, primary: Area::new(0x1001_7000, 0xE_E000)), MapError::Reserved),
        (pair!(swap, primary: Area::new(0x1001_8000, 0xE_D000)), MapError::SlotSizes),
        (
            pair!(swap, primary: Area::new(0x1001_8200, 0xE_DE00), secondary: Area::new(0x1010_6000, 0xE_DE00)),
            MapError::VectorTable,
        ),
        (
            pair!(psoc62::EXTERNAL_SWAP, primary: Area::new(0x1001_8000, 0x1C_0000), secondary: Area::new(0x1800_0000, 0x1C_0000)),
            MapError::TrailerShared,
        ),
        (spec(|spec| spec.mode = BootMode::SwapScratch), MapError::TrailerMode),
        (spec(|spec| spec.mode = BootMode::SwapMove), MapError::TrailerMode),
        (spec(|spec| spec.mode = BootMode::SwapOffset), MapError::TrailerMode),
        (spec(|spec| spec.status = None), MapError::OverwriteOnly),
        (spec(|spec| spec.scratch = None), MapError::OverwriteOnly),
        (spec(|spec| spec.status = Some(Area::new(0x101F_4000, 0x3A00))), MapError::StatusSize),
        (spec(|spec| spec.scratch = Some(Area::new(0x101F_7D00, 0x1000))), MapError::ScratchSize),
        (spec(|spec| spec.scratch = Some(Area::new(0x101F_4000, 0x1000))), MapError::Overlap),
        (spec(|spec| spec.max_sectors = 1903), MapError::MaxSectors),
        (spec(|spec| spec.ram = Area::new(0x0803_FC00, 0x1000)), MapError::Ram),
        (spec(|spec| spec.ram = Area::new(0x0804_0000, 0xB_FC00)), MapError::Ram),
        (spec(|spec| spec.ram = Area::new(0x0700_0000, 0x1000)), MapError::Ram),
        (spec(|spec| spec.journal = Some(Area::new(0x1010_6000, 0x1000))), MapError::Overlap),
        (spec(|spec| spec.journal = Some(Area::new(0x1000_0000, 0x1000))), MapError::Reserved),
        (spec(|spec| spec.journal = Some(Area::new(0x1600_0800, 0x800))), MapError::Outside),
        (
            spec(|spec| spec.journal = Some(Area::new(0x1400_0000, 0x200))),
            MapError::Journal(RegionError::SectorCount),
        ),
    ] {
        assert_eq!(map, Err(error));
    }
    let odd =
        pair!(swap, primary: Area::new(0x1001_8000, 0xE_DF00), secondary: Area::new(0x1010_6000, 0xE_DF00));
    assert_eq!(odd, Err(MapError::Geometry(GeometryError::WriteSize)));
    assert!(spec(|_| ()).is_ok() && spec(|spec| spec.max_sectors = 1904).is_ok());
}

/// Small slots that follow each other in main flash, behind the bootloader.
const fn small(number: u32) -> SlotPair {
    let primary = 0x1001_8000 + number * 0x2_0000;
    SlotPair {
        primary: Area::new(primary, 0x1_0000),
        secondary: Area::new(primary + 0x1_0000, 0x1_0000),
        ..PAIR
    }
}

/// No image is no map, and of more than four a driver could not keep all windows.
#[test]
fn a_map_has_one_to_four_images() {
    use crate::flash::Windows;
    const PAIRS: [SlotPair; 5] = [small(0), small(1), small(2), small(3), small(4)];
    for count in [0, 5] {
        assert_eq!(spec(|spec| spec.images = &PAIRS[..count]), Err(MapError::ImageCount), "{count}");
    }
    for count in 1..5 {
        let map = spec(|spec| {
            (spec.images, spec.status) = (&PAIRS[..count], Some(Area::new(0x101C_0000, 0x1_2000)));
            spec.journal = Some(Area::new(0x101E_0000, 0x1000));
        });
        let windows = Windows::new(&map.unwrap(), Device::Internal);
        for pair in &PAIRS[..count] {
            let (primary, secondary) = (pair.primary.offset(), pair.secondary.offset());
            assert!(windows.may_read(&(primary..primary + 0x1_0000)), "{count}");
            assert!(windows.may_write(&(secondary..secondary + 0x1_0000)), "{count}");
            assert!(windows.may_write(&(secondary - ROW_SIZE..secondary)), "{count}: the primary's last row");
        }
        assert!(windows.may_write(&(0x1E_0000..0x1E_1000)), "{count}: the journal");
    }
}

/// A slot in the same 256 KiB sector as another external area would be erased with it.
#[test]
fn external_areas_keep_whole_sectors_apart() {
    let external = psoc62::EXTERNAL_SWAP;
    for (address, error) in [(0x181C_0200, MapError::Overlap), (0x181F_FE00, MapError::Overlap)] {
        assert_eq!(external.with_journal(Some(Area::new(address, 0x200))), Err(error), "{address:#x}");
    }
    let journal = Area::new(0x1820_0000, 0x8_0000);
    let map = external.with_journal(Some(journal)).unwrap();
    assert_eq!(map.journal().map(|region| region.layout().start), Some(0x20_0000));
}

#[test]
fn status_partitions_have_the_published_sizes() {
    for (images, max_sectors, size) in
        [(1, 2000, 0x3C00), (1, 3584, 0x6C00), (1, 128, 0x1800), (1, 2272, 0x4800), (2, 2400, 0x7800)]
    {
        assert_eq!(map::status_size(images, max_sectors), size, "{images} images, {max_sectors} sectors");
    }
}

#[test]
fn the_variable_is_read_as_the_original_reads_it() {
    for (value, secondary) in [
        ("0", Secondary::Internal),
        ("00", Secondary::Internal),
        ("1", Secondary::External),
        ("2", Secondary::External),
        ("", Secondary::External),
        ("yes", Secondary::External),
    ] {
        assert_eq!(Secondary::from_variable(value), secondary, "{value:?}");
    }
}

/// This build's choice, against the environment the tests run in, which is the one they were compiled in.
#[test]
fn the_build_takes_what_was_chosen() {
    extern crate std;
    let chosen = match std::env::var("OTA_USE_EXTERNAL_FLASH") {
        _ if cfg!(feature = "internal-secondary") => Secondary::Internal,
        Ok(value) => Secondary::from_variable(&value),
        Err(_) => Secondary::External,
    };
    assert_eq!(Secondary::SELECTED, chosen);
}

#[test]
fn a_choice_that_does_not_exist_says_why() {
    use Bootloader::{Large, Small};
    for secondary in [Secondary::Internal, Secondary::External] {
        for mode in [BootMode::SwapScratch, BootMode::SwapMove, BootMode::SwapOffset] {
            assert_eq!(psoc62::map(secondary, mode, Small), Err(MapError::TrailerMode));
        }
        assert_eq!(psoc62::map(secondary, BootMode::Overwrite, Large), Err(MapError::NoSuchMap));
    }
}

/// The last rows of image and trailer: what `memory.x` may use, and where `ota-core` ends an image, agree.
#[test]
fn images_end_before_the_trailer() {
    for (map, most) in [
        (psoc62::INTERNAL_OVERWRITE, 0xE_DE00),
        (psoc62::EXTERNAL_OVERWRITE, 0x1B_FE00),
        (psoc62::INTERNAL_SWAP, 0xE_DE00),
        (psoc62::EXTERNAL_SWAP, 0x1B_FE00),
        (psoc62::INTERNAL_SWAP_LARGE, 0xE_5E00),
        (psoc62::EXTERNAL_SWAP_LARGE, 0x1B_FE00),
    ] {
        let name = map.spec().name;
        assert_eq!(map.image(0).max_image_size(), most, "{name}");
        assert_eq!(map.program().size(), most - HEADER_SIZE, "{name}");
        assert_eq!(map.program().address(), map.primary(0).address() + HEADER_SIZE, "{name}");
        assert_eq!(map.journal().unwrap().record_count(), 64, "{name}");
    }
}
