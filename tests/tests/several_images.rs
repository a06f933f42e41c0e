//! Two images of one device in one job, as on a PSoC 64: each depends on the other, or on nothing.

use ota_core::geometry::BootMode;
use ota_core::status::Reason;
use ota_sim::Version;
use ota_sim::aws::Status;
use ota_sim::flash::{Cut, Tear, When};
use ota_tests::{Kind, Report, Scenario, SelfTest};

const NEW: Version = Version::new(1, 0, 0, 0);

fn pair(kind: Kind, mode: BootMode, depending: bool) -> Scenario {
    let mut scenario = Scenario::new(kind, mode);
    scenario.image_count = 2;
    scenario.payload /= 2;
    if depending {
        scenario.offers[0].build = |image, builder| builder.dependency(1 - image, NEW);
    }
    scenario
}

#[test]
fn both_images_are_updated() {
    for kind in Kind::ALL {
        for mode in kind.modes() {
            pair(kind, *mode, true).run().assert_updated(&format!("{kind:?} {mode:?}"));
        }
    }
}

/// A power cut between the two requests would let one image boot without the other.
#[test]
fn images_that_do_not_depend_on_each_other_are_refused() {
    for kind in Kind::ALL {
        let report = pair(kind, kind.modes()[1], false).run();
        report.assert_refused(&format!("{kind:?}"), Status::Failed, Reason::NotMutual);
    }
}

#[test]
fn a_failed_self_test_takes_both_back() {
    for (kind, mode) in [(Kind::Nor4k, BootMode::SwapMove), (Kind::External, BootMode::SwapStatus)] {
        let mut scenario = pair(kind, mode, true);
        scenario.self_test = SelfTest::Fail;
        let report = scenario.run();
        report.assert_refused(&format!("{kind:?} {mode:?}"), Status::Failed, Reason::Reverted);
    }
}

/// Cuts the power around every operation (of a long update: every few).
fn sweep(kind: Kind, mode: BootMode) {
    let mut scenario = pair(kind, mode, true);
    let factory = scenario.factory();
    let whole = scenario.run_with(&factory);
    whole.assert_updated(&format!("{kind:?} {mode:?} uncut"));
    let mut apart = 0;
    for operation in 0..whole.operations {
        for when in [When::Before, When::Inside(Tear::Half)] {
            let cut = Cut { operation, when };
            scenario.cuts = vec![cut];
            let report = scenario.run_with(&factory);
            apart += u32::from(assert_consistent(&report, &format!("{kind:?} {mode:?} {cut:?}")));
        }
    }
    println!("{kind:?} {mode:?}: {apart} cuts part the images");
}

/// Each image is whole and the cloud knows the truth. The one moment in which a cut parts the two is between the
/// confirmation of one and of the other: then that is what is reported.
fn assert_consistent(report: &Report, context: &str) -> bool {
    assert!(!report.stuck && report.violations == 0, "{context}: {report:#?}");
    assert!(report.running.iter().all(Option::is_some), "{context}: no image is whole: {report:#?}");
    assert!(report.status.is_terminal(), "{context}: {report:#?}");
    assert!(report.status != Status::Succeeded || report.new_runs(), "{context}: a lie: {report:#?}");
    let apart = !report.old_runs() && !report.new_runs();
    let told = report.reason.starts_with(Reason::MixedImages.spelling());
    assert!(!apart || (report.status == Status::Failed && told), "{context}: apart: {report:#?}");
    apart
}

macro_rules! sweeps {
    ($($name:ident: $kind:ident, $mode:ident;)*) => {$(
        #[test]
        fn $name() {
            sweep(Kind::$kind, BootMode::$mode);
        }
    )*};
}

sweeps! {
    nor4k_swap_move: Nor4k, SwapMove;
    nor32_swap_offset: Nor32, SwapOffset;
    rows_swap_status: Rows, SwapStatus;
}
