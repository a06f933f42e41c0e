//! The end-to-end cases of AWS' OTA test suite that need no HTTP.
//!
//! Source: AWS "FreeRTOS Libraries Integration Tests" and the qualification guide's OTA test cases, by their names there.

use ota_core::agent::StateKind;
use ota_core::geometry::BootMode;
use ota_core::status::{Ended, Reason};
use ota_sim::Version;
use ota_sim::aws::Status;
use ota_sim::image::Key;
use ota_tests::{Act, Event, JOB, Kind, Moment, Offer, Scenario, firmware};

fn device() -> Scenario {
    Scenario::new(Kind::Nor4k, BootMode::SwapMove)
}

fn offering(version: Version) -> Scenario {
    let mut scenario = device();
    scenario.offers[0].version = version;
    scenario
}

#[test]
fn greater_version() {
    for version in [Version::new(0, 9, 1, 0), Version::new(0, 10, 0, 0), Version::new(1, 0, 0, 0)] {
        offering(version).run().assert_updated(&format!("{version:?}"));
    }
}

#[test]
fn same_version() {
    let report = offering(Version::new(0, 9, 0, 0)).run();
    report.assert_refused("same version", Status::Rejected, Reason::SameVersion);
    report.assert_untouched("same version");
}

#[test]
fn previous_version() {
    let report = offering(Version::new(0, 8, 255, 0)).run();
    report.assert_refused("previous version", Status::Rejected, Reason::Downgrade);
    report.assert_untouched("previous version");
}

#[test]
fn one_byte_image() {
    let report = device().tampered(|spec, key| spec.files[0] = firmware(vec![0x3D], key)).run();
    report.assert_refused("one byte", Status::Rejected, Reason::NotAnImage);
    report.assert_untouched("one byte");
}

#[test]
fn missing_file_name() {
    let report = device().tampered(|spec, _| spec.files[0].path = None).run();
    report.assert_refused("no file name", Status::Rejected, Reason::DocumentMalformed);
    report.assert_untouched("no file name");
}

/// An image for another platform: no MCUboot header at all, then one that this bootloader cannot boot.
#[test]
fn incompatible_platform() {
    let report = device().tampered(|spec, key| spec.files[0] = firmware(vec![0x7F; 9000], key)).run();
    report.assert_refused("foreign", Status::Rejected, Reason::NotAnImage);
    report.assert_untouched("foreign");
    // MCUboot, include/bootutil/image.h: IMAGE_F_NON_BOOTABLE is bit 4 of the flags at offset 16.
    let non_bootable = |spec: &mut ota_sim::aws::OtaSpec, key: &Key| {
        let mut image = spec.files[0].content.clone();
        image[16] |= 0x10;
        spec.files[0] = firmware(image, key);
    };
    let report = device().tampered(non_bootable).run();
    report.assert_refused("not bootable", Status::Rejected, Reason::NotBootable);
    report.assert_untouched("not bootable");
}

#[test]
fn unsigned() {
    let report = device().tampered(|spec, _| spec.files[0].signature = None).run();
    report.assert_refused("unsigned", Status::Rejected, Reason::Unsigned);
    report.assert_untouched("unsigned");
}

#[test]
fn untrusted_certificate() {
    let by_another_key = |spec: &mut ota_sim::aws::OtaSpec, _: &Key| {
        spec.files[0] = firmware(spec.files[0].content.clone(), &Key::from_seed(0xBAD));
    };
    let report = device().tampered(by_another_key).run();
    report.assert_refused("another key", Status::Failed, Reason::SignatureInvalid);
    assert_eq!(report.resets, 0, "it must not be activated");
}

#[test]
fn back_to_back_downloads() {
    let mut scenario = device();
    for (number, job, minor) in [(1, "AFR_OTA-rel-2", 1), (2, "AFR_OTA-rel-3", 2)] {
        scenario
            .offers
            .push(Offer { payload: minor + 1, ..Offer::new(job, Version::new(1, minor as u8, 0, 0)) });
        scenario.events.push(Event::new(Moment::Settled, Act::Queue(number)));
    }
    let report = scenario.run();
    report.assert_sane("back to back");
    assert_eq!(report.running, [Some(3)]);
    assert_eq!(report.ended, [Ended::Succeeded; 3]);
    assert!(report.executions.iter().all(|execution| execution.status == Status::Succeeded));
}

#[test]
fn disconnect_and_resume() {
    for held in [1, 5, 12] {
        let report = device()
            .with(Event::new(Moment::Held(held), Act::Plug(false)))
            .with(Event::new(Moment::At(30_000), Act::Plug(true)))
            .run();
        report.assert_updated(&format!("disconnected at block {held}"));
        assert!(report.took_ms > 30_000, "it went on before the network was back");
        // What was on its way is asked for again, what was held is not.
        assert_eq!(report.statistics.blocks_received, report.image_size.div_ceil(1024));
    }
}

#[test]
fn disconnect_and_cancel() {
    for force in [false, true] {
        let report = device()
            .with(Event::new(Moment::Held(5), Act::Plug(false)))
            .with(Event::new(Moment::At(10_000), Act::Cancel { force }))
            .with(Event::new(Moment::At(30_000), Act::Plug(true)))
            .run();
        report.assert_sane("canceled");
        // The first progress update has made it IN_PROGRESS: only force reaches it.
        let expected = if force { Status::Canceled } else { Status::Succeeded };
        assert_eq!(report.execution(JOB, 1).status, expected, "{report:#?}");
        assert_eq!(report.old_runs(), force);
        assert_eq!(report.states.contains(&StateKind::Activating), !force);
    }
}

#[test]
fn smallest_and_largest_block() {
    for block_size in [256, 65_536] {
        let mut scenario = device();
        scenario.slot_size = 0x60000;
        scenario.payload = 200_000;
        scenario.block_size = block_size;
        let report = scenario.run();
        report.assert_updated(&format!("blocks of {block_size}"));
        assert_eq!(report.statistics.blocks_received, report.image_size.div_ceil(block_size));
    }
}
