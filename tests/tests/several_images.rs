//! Two images of one device in one job, as on a PSoC 64: each depends on the other, or on nothing.

use std::collections::BTreeSet;

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

/// Plays an update with the power cut before and inside every operation of application and bootloader, whose number is
/// counted first.
fn sweep(mut scenario: Scenario, context: &str, mut judge: impl FnMut(&Report, &str)) {
    let factory = scenario.factory();
    let operations = scenario.run_with(&factory).operations;
    assert!(operations > 100, "{context}");
    for operation in 0..operations {
        for when in [When::Before, When::Inside(Tear::Half)] {
            let cut = Cut { operation, when };
            scenario.cuts = vec![cut];
            let report = scenario.run_with(&factory);
            let context = format!("{context} {cut:?} of {operations}");
            report.assert_sane(&context);
            judge(&report, &context);
        }
    }
}

/// Both or neither, at every boot and in the end.
fn assert_together(report: &Report, context: &str) {
    assert!(report.booted.iter().all(|pair| pair[0] == pair[1]), "{context}: apart: {report:#?}");
    assert!(report.old_runs() || report.new_runs(), "{context}: apart: {report:#?}");
}

/// Cuts an update of two images that need each other: at no cut does one run without the other.
fn both_or_neither(kind: Kind, mode: BootMode) {
    sweep(pair(kind, mode, true), &format!("{kind:?} {mode:?}"), |report, context| {
        assert_together(report, context);
        assert!(report.new_runs() || report.status != Status::Succeeded, "{context}: {report:#?}");
    });
}

/// The same when the self test fails: a cut between two reverts parts nothing either.
fn neither(kind: Kind, mode: BootMode) {
    let mut scenario = pair(kind, mode, true);
    scenario.self_test = SelfTest::Fail;
    sweep(scenario, &format!("{kind:?} {mode:?}"), |report, context| {
        assert_together(report, context);
        assert!(report.old_runs() && report.status == Status::Failed, "{context}: {report:#?}");
    });
}

/// Without dependencies a cut may part the images. What is seen here stands in DESIGN.md, "Several images".
fn mixtures(kind: Kind, mode: BootMode, wanted: &[&str]) {
    let mut scenario = pair(kind, mode, false);
    scenario.permissive = true;
    let mut seen = BTreeSet::new();
    sweep(scenario, &format!("{kind:?} {mode:?}"), |report, context| {
        let apart = !report.old_runs() && !report.new_runs();
        let told = report.reason.starts_with(Reason::MixedImages.spelling());
        assert!(!apart || (report.status == Status::Failed && told), "{context}: {report:#?}");
        let boots = report.pairs();
        if boots.iter().any(|boot| boot == "old new" || boot == "new old") {
            seen.insert(format!("{}: {}", boots.join(", "), report.reason));
        }
    });
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), wanted, "{kind:?} {mode:?}");
}

/// Cut between the two confirms, and between the two requests.
const PARTED: [&str; 2] = ["old old, new new, new old: mixed_images", "old old, old new, old old: reverted"];

macro_rules! sweeps {
    ($($name:ident: $what:ident($kind:ident, $mode:ident $(, $seen:expr)?);)*) => {$(
        #[test]
        fn $name() {
            $what(Kind::$kind, BootMode::$mode $(, &$seen)?);
        }
    )*};
}

sweeps! {
    overwrite_both_or_neither: both_or_neither(Nor4k, Overwrite);
    swap_scratch_both_or_neither: both_or_neither(Nor4k, SwapScratch);
    swap_move_both_or_neither: both_or_neither(Nor4k, SwapMove);
    swap_offset_both_or_neither: both_or_neither(Nor32, SwapOffset);
    swap_status_both_or_neither: both_or_neither(Rows, SwapStatus);
    swap_move_neither: neither(Nor4k, SwapMove);
    swap_offset_neither: neither(Nor32, SwapOffset);
    swap_status_neither: neither(Rows, SwapStatus);
    overwrite_mixtures: mixtures(Nor4k, Overwrite, ["old old, old new: mixed_images"]);
    swap_move_mixtures: mixtures(Nor4k, SwapMove, PARTED);
    swap_status_mixtures: mixtures(Rows, SwapStatus, PARTED);
}
