//! The flash drivers keep every rule `ota-core` relies on, by the suites a port runs too.

use embassy_futures::block_on;
use ota_psoc6::flash::{ExternalFlash, InternalFlash, Windows};
use ota_psoc6::layout::{Device, psoc62};
use ota_psoc6::model::{Family, Model};
use ota_psoc6::smif::Smif;
use ota_psoc6::syscall::{DirectCache, SystemCalls};
use ota_psoc6::watchdog::Watchdog;
use ota_sim::conformance::{Area, nor_flash, slot};

const CORE_HZ: u32 = 1_000_000;

#[test]
fn internal_flash_conforms() {
    let map = psoc62::INTERNAL_SWAP;
    let model = Model::new(Family::Psoc62);
    let chip = model.chip();
    let driver = || {
        let calls = SystemCalls::new(chip, DirectCache, model.ram(), CORE_HZ);
        InternalFlash::new(chip, calls, Windows::new(&map, Device::Internal), Watchdog::new(chip))
    };
    // Erased row by row, and by eight.
    for sector_size in [512, 4096] {
        let start = map.secondary(0).offset();
        let area = Area { start, sector_count: 4, sector_size, write_size: 512, erased: 0x00, rewrite: true };
        assert_eq!(block_on(nor_flash(&mut driver(), &area)), Ok(()), "sectors of {sector_size}");
    }
    assert_eq!(block_on(slot(driver(), *map.image(0).secondary())), Ok(()));
}

#[test]
fn external_flash_conforms() {
    let map = psoc62::EXTERNAL_SWAP;
    let model = Model::new(Family::Psoc62);
    let chip = model.chip();
    let driver = || {
        let smif = Smif::new(chip).unwrap();
        let windows = Windows::new(&map, Device::External);
        block_on(ExternalFlash::new_async(smif, model.clock(), windows, Watchdog::new(chip))).unwrap()
    };
    let area = Area {
        start: 0,
        sector_count: 3,
        sector_size: 0x4_0000,
        write_size: 512,
        erased: 0xFF,
        rewrite: false,
    };
    assert_eq!(block_on(nor_flash(&mut driver(), &area)), Ok(()));
    assert_eq!(block_on(slot(driver(), *map.image(0).secondary())), Ok(()));
}
