//! The kits' maps with their true numbers: slots of up to 1.75 MiB, sectors of 256 KiB that slots do not begin on.

use ota_core::geometry::BootMode;
use ota_core::status::Reason;
use ota_psoc6::layout::{FlashMap, psoc62};
use ota_psoc64::layout;
use ota_sim::aws::Status;
use ota_sim::flash::{Cut, Tear, When};
use ota_tests::{Kind, Scenario, SelfTest};

static MAPS: [FlashMap; 9] = [
    psoc62::INTERNAL_OVERWRITE,
    psoc62::EXTERNAL_OVERWRITE,
    psoc62::INTERNAL_SWAP,
    psoc62::EXTERNAL_SWAP,
    psoc62::INTERNAL_SWAP_LARGE,
    psoc62::EXTERNAL_SWAP_LARGE,
    layout::TFM,
    layout::TFM_OVERWRITE,
    layout::OLDER,
];
static TFM: FlashMap = layout::TFM;

fn scenario(map: &'static FlashMap) -> Scenario {
    Scenario::new(Kind::Map(map), map.spec().mode)
}

#[test]
fn every_map_is_updated() {
    for map in &MAPS {
        scenario(map).run().assert_updated(map.spec().name);
    }
}

/// Where the bootloader swaps it takes the image back; where it overwrites there is no way back, and that is what is said.
#[test]
fn a_failed_self_test_ends_as_the_mode_has_it() {
    for map in &MAPS {
        let mut scenario = scenario(map);
        scenario.self_test = SelfTest::Fail;
        let (report, name) = (scenario.run(), map.spec().name);
        match map.spec().mode {
            BootMode::Overwrite => {
                report.assert_sane(name);
                let told = (report.status, report.reason.split(':').next().unwrap_or_default());
                let wanted = (Status::Failed, Reason::SelfTestFailedNoRevert.spelling());
                assert!(told == wanted && report.new_runs(), "{name}: {report:#?}");
            }
            BootMode::SwapStatus | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
                report.assert_refused(name, Status::Failed, Reason::Reverted);
            }
        }
    }
}

/// Header and TLVs of a signed image: hash, key hash, and a signature whose DER has 70 to 72 bytes.
const OVERHEAD: u32 = 0x400 + 4 + 36 + 36 + 4 + 72;

/// The largest image that fits, up to the trailer, and one a little longer.
#[test]
fn images_up_to_the_trailer() {
    for map in [&MAPS[0], &MAPS[2], &MAPS[3], &MAPS[6]] {
        let (mut scenario, most) = (scenario(map), map.image(0).max_image_size());
        scenario.payload = (most - OVERHEAD) as usize;
        scenario.record_blocks = 64;
        let name = map.spec().name;
        let report = scenario.run();
        assert!((most - 2..=most).contains(&report.image_size), "{name}: {} of {most}", report.image_size);
        report.assert_updated(name);
        scenario.payload += 8;
        let report = scenario.run();
        assert!(report.status != Status::Succeeded && report.old_runs(), "{name}: {report:#?}");
    }
}

/// The slot at 0x24400 has its first sector boundary at 0x1BC00, in the middle of a block of 4 KiB. A power cut makes the
/// sector that was being written doubtful, and it is given up: the block's other half, in the other sector, stays.
#[test]
fn a_block_over_a_sector_boundary_survives_the_loss_of_either_sector() {
    let mut scenario = scenario(&TFM);
    assert_eq!(TFM.image(0).secondary().sector_range(0), 0..0x1_BC00);
    scenario.payload = 0x1_BC00 + 9_000;
    let factory = scenario.factory();
    scenario.run_with(&factory).assert_updated("uncut");
    let (mut given_up, mut most) = (0, 0);
    for operation in 0..64 {
        for when in [When::Inside(Tear::Half), When::Inside(Tear::ReadsErased), When::After] {
            scenario.cuts = vec![Cut { operation, when }];
            let report = scenario.run_with(&factory);
            report.assert_updated(&format!("{operation} {when:?}"));
            let blocks = report.image_size.div_ceil(scenario.block_size);
            most = most.max(report.statistics.blocks_received - blocks);
            given_up |= report.wear.map_or(0, |wear| wear.erased_again);
        }
    }
    assert_eq!(given_up & 0b11, 0b11, "each of the two sectors was given up in some run");
    assert!(most < 31, "never was everything fetched again: {most} blocks");
}
