//! Several images in one TAR file: routed to their slots, signed as a whole, all or none.

use ota_core::agent::Plane;
use ota_core::geometry::BootMode;
use ota_core::status::Reason;
use ota_core::wire::Format;
use ota_sim::Version;
use ota_sim::aws::Status;
use ota_sim::flash::{Cut, Tear, When};
use ota_sim::image::BundleBuilder;
use ota_tests::{Kind, Pack, Report, Scenario, SelfTest, bundle};

const NEW: Version = Version::new(1, 0, 0, 0);

/// Two images that need each other, in one file.
fn pair(kind: Kind, mode: BootMode) -> Scenario {
    let mut scenario = Scenario::new(kind, mode);
    scenario.image_count = 2;
    scenario.payload /= 2;
    scenario.offers[0].build = |image, builder| builder.dependency(1 - image, NEW);
    scenario.bundle = Some(bundle);
    // The head of a bundle lies in the first block.
    scenario.block_size = scenario.block_size.max(2048);
    scenario
}

#[test]
fn both_images_are_updated() {
    for kind in Kind::ALL {
        for mode in kind.modes() {
            let report = pair(kind, *mode).run();
            report.assert_updated(&format!("{kind:?} {mode:?}"));
        }
    }
}
