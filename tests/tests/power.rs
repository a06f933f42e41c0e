//! Power cuts: before, inside and after every flash operation of an update, bootloader included.

use ota_core::geometry::BootMode;
use ota_core::status::Reason;
use ota_sim::Version;
use ota_sim::aws::Status;
use ota_sim::flash::{Cut, Tear, When};
use ota_tests::{Act, Event, Kind, Moment, Offer, Report, Scenario, SelfTest};

/// Every way the power can fail at one operation.
fn ways(seed: u64) -> [When; 6] {
    [
        When::Before,
        When::Inside(Tear::ReadsErased),
        When::Inside(Tear::ReadsComplete),
        When::Inside(Tear::Half),
        When::Inside(Tear::Garbage(seed)),
        When::After,
    ]
}

fn sweep(kind: Kind, mode: BootMode, journal: bool) {
    let mut scenario = Scenario::new(kind, mode);
    scenario.journal = journal;
    let factory = scenario.factory();
    let whole = scenario.run_with(&factory);
    whole.assert_updated(&format!("{kind:?} {mode:?} uncut"));
    // The bound is counted, not chosen.
    for operation in 0..whole.operations {
        for when in ways(u64::from(operation)) {
            let cut = Cut { operation, when };
            scenario.cuts = vec![cut];
            let report = scenario.run_with(&factory);
            let context = format!("{kind:?} {mode:?} journal {journal} {cut:?}");
            assert_allowed(&report, cut, journal, &context);
            if journal {
                assert_resumed(&report, &scenario, &context);
            }
        }
    }
}

/// SUCCEEDED; or FAILED because the bootloader took the image back before its confirmation was whole.
fn assert_allowed(report: &Report, cut: Cut, journal: bool, context: &str) {
    report.assert_sane(context);
    let torn = matches!(cut.when, When::Inside(Tear::Garbage(_)));
    let allowed = match report.reason.split(':').next().unwrap_or_default() {
        _any if report.status == Status::Succeeded => true,
        // `copy_done` had landed and the confirmation had not, be it that the new image never came to run.
        "reverted" => report.old_runs(),
        "confirm_failed" => torn,
        // Without a journal, or when the second cut tears what a revert leaves, nothing tells a swap that was not done
        // from one that was taken back.
        "not_swapped" => !journal && report.old_runs(),
        _other => false,
    };
    assert!(allowed, "{context}: {report:#?}");
}

/// What a journal promises: at most one recording interval and the open sectors are fetched again, besides what was on its
/// way.
fn assert_resumed(report: &Report, scenario: &Scenario, context: &str) {
    /// `Config::window_max` as it is unless set.
    const WINDOW: u32 = 16;
    let blocks = report.image_size.div_ceil(scenario.block_size);
    let sector = report.layout.secondary().sector_size();
    // A block may lie across the border of two open sectors.
    let open = 2 * (sector.div_ceil(scenario.block_size) + 1);
    let again = report.statistics.blocks_received.saturating_sub(blocks);
    let most = u32::from(scenario.record_blocks) + open + WINDOW;
    assert!(again <= most, "{context}: {again} blocks again, {most} allowed: {report:#?}");
}

macro_rules! sweeps {
    ($($name:ident: $kind:ident, $mode:ident;)*) => {$(
        #[test]
        fn $name() {
            sweep(Kind::$kind, BootMode::$mode, true);
        }
    )*};
}

sweeps! {
    nor4k_overwrite: Nor4k, Overwrite;
    nor4k_swap_scratch: Nor4k, SwapScratch;
    nor4k_swap_move: Nor4k, SwapMove;
    nor4k_swap_offset: Nor4k, SwapOffset;
    nor512_overwrite: Nor512, Overwrite;
    nor512_swap_scratch: Nor512, SwapScratch;
    nor512_swap_move: Nor512, SwapMove;
    nor512_swap_offset: Nor512, SwapOffset;
    nor32_overwrite: Nor32, Overwrite;
    nor32_swap_scratch: Nor32, SwapScratch;
    nor32_swap_move: Nor32, SwapMove;
    nor32_swap_offset: Nor32, SwapOffset;
    rows_overwrite: Rows, Overwrite;
    rows_swap_status: Rows, SwapStatus;
    external_overwrite: External, Overwrite;
    external_swap_status: External, SwapStatus;
}

/// One kind of device for each boot mode.
const EACH_MODE: [(Kind, BootMode); 5] = [
    (Kind::Nor4k, BootMode::Overwrite),
    (Kind::Nor32, BootMode::SwapScratch),
    (Kind::Nor4k, BootMode::SwapMove),
    (Kind::Nor512, BootMode::SwapOffset),
    (Kind::Rows, BootMode::SwapStatus),
];

#[test]
fn without_a_journal() {
    for (kind, mode) in EACH_MODE {
        sweep(kind, mode, false);
    }
}

/// A second cut while the first is being recovered from, for a sample.
#[test]
fn twice() {
    for (kind, mode) in EACH_MODE {
        let mut scenario = Scenario::new(kind, mode);
        let factory = scenario.factory();
        let whole = scenario.run_with(&factory);
        for first in (0..whole.operations).step_by(7) {
            for second in [0, 1, 2, 5, 11] {
                let when = ways(u64::from(first))[(first as usize + second as usize) % 6];
                scenario.cuts =
                    vec![Cut { operation: first, when }, Cut { operation: second, when: When::Before }];
                let context = format!("{kind:?} {mode:?} {:?}", scenario.cuts);
                assert_allowed(&scenario.run_with(&factory), scenario.cuts[0], false, &context);
            }
        }
    }
}

#[test]
fn overwritten_and_failed_in_test() {
    for kind in Kind::ALL {
        let mut scenario = Scenario::new(kind, BootMode::Overwrite);
        scenario.self_test = SelfTest::Fail;
        let report = scenario.run();
        report.assert_sane(&format!("{kind:?}"));
        let told = (report.status, report.reason.as_str());
        assert_eq!(
            told,
            (Status::Failed, Reason::SelfTestFailedNoRevert.spelling()),
            "{kind:?}: {report:#?}"
        );
        assert_eq!((report.resets, report.new_runs()), (1, true), "{kind:?}: {report:#?}");
    }
}

#[test]
fn swapped_failed_in_test_and_offered_again() {
    for (kind, mode) in &EACH_MODE[1..] {
        for self_test in [SelfTest::Fail, SelfTest::Hang] {
            let mut scenario = Scenario::new(*kind, *mode);
            scenario.self_test = self_test;
            // The same image under another id.
            scenario.offers.push(Offer::new("AFR_OTA-rel-2", Version::new(1, 0, 0, 0)));
            scenario.events.push(Event::new(Moment::Settled, Act::Queue(1)));
            let report = scenario.run();
            let context = format!("{kind:?} {mode:?} {self_test:?}");
            report.assert_refused(&context, Status::Failed, Reason::Reverted);
            let again = report.execution("AFR_OTA-rel-2", 1);
            let told = (again.status, again.detail("reason"));
            assert_eq!(told, (Status::Rejected, Some(Reason::RevertedBefore.spelling())), "{context}");
        }
    }
}
