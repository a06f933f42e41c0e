//! The driver's future dropped at every await of an update, and run again.

use ota_core::geometry::BootMode;
use ota_tests::{Drops, Kind, Scenario, bundle};

/// Drops after 1, 2, 3 … polls until the update needs fewer.
fn sweep(kind: Kind, mode: BootMode, block_size: u32) {
    let mut scenario = Scenario::new(kind, mode);
    scenario.block_size = block_size;
    let factory = scenario.factory();
    for polls in 1.. {
        scenario.drops = Drops::Once(polls);
        let report = scenario.run_with(&factory);
        report.assert_updated(&format!("{kind:?} {mode:?} dropped after {polls} polls"));
        if report.drop_is_ahead {
            assert!(polls > 100, "an update has more awaits than {polls}");
            return;
        }
    }
}

macro_rules! sweeps {
    ($($name:ident: $kind:ident, $mode:ident, $block_size:literal;)*) => {$(
        #[test]
        fn $name() {
            sweep(Kind::$kind, BootMode::$mode, $block_size);
        }
    )*};
}

sweeps! {
    nor4k_overwrite: Nor4k, Overwrite, 4096;
    nor4k_swap_move: Nor4k, SwapMove, 1024;
    nor512_swap_offset: Nor512, SwapOffset, 512;
    nor512_blocks_of_two_sectors: Nor512, SwapMove, 1024;
    nor32_swap_scratch: Nor32, SwapScratch, 1024;
    nor32_blocks_of_two_sectors: Nor32, SwapOffset, 4096;
    rows_swap_status: Rows, SwapStatus, 2048;
}

/// How often a sector may be erased by one job that never gets anywhere: see DESIGN.md, "Wear".
const MOST_ERASES: u32 = 60;

/// An application that never lets the driver live longer than so: whatever takes longer than that is begun again and again,
/// but no sector is erased, and no record written, without end.
/// Answers how many updates went through, and how many failed.
fn same_lives(mut scenario: Scenario, lengths: impl Iterator<Item = u32>) -> (u32, u32) {
    scenario.time_max_ms = 6 * 3_600_000;
    let factory = scenario.factory();
    let (mut updated, mut failed) = (0, 0);
    for polls in lengths {
        scenario.drops = Drops::Always(polls);
        let report = scenario.run_with(&factory);
        let context = format!("{:?} {:?} lives of {polls} polls", scenario.kind, scenario.mode);
        // Rows of status are the bootloader's.
        if scenario.kind != Kind::Rows {
            assert!(report.most_erases <= MOST_ERASES, "{context}: {report:#?}");
        }
        assert!(report.statistics.records < 200, "{context}: {report:#?}");
        assert_eq!(report.violations, 0, "{context}: {report:#?}");
        if !report.stuck {
            report.assert_sane(&context);
            updated += u32::from(report.new_runs());
            failed += u32::from(report.old_runs());
        }
    }
    (updated, failed)
}

#[test]
fn lives_too_short_wear_nothing_out() {
    for (kind, mode) in [
        (Kind::Nor4k, BootMode::SwapMove),
        (Kind::Nor512, BootMode::SwapOffset),
        (Kind::Nor32, BootMode::SwapScratch),
        (Kind::Rows, BootMode::SwapStatus),
    ] {
        let (updated, _) = same_lives(Scenario::new(kind, mode), (30..300).step_by(9));
        assert!(updated > 0, "{kind:?} {mode:?}");
    }
}

/// The erase of a sector of 256 KiB and its blank check take some 520 polls: the shorter lives never see their end.
#[test]
fn lives_too_short_for_a_large_sector() {
    let scenario = Scenario::new(Kind::External, BootMode::Overwrite);
    let (updated, failed) = same_lives(scenario, (20..1_200).step_by(97));
    assert!(updated > 0 && failed > 0, "{updated} updated, {failed} failed");
}

/// What stands between the images of a bundle is fetched again in every life, and nothing of it is worth a record.
#[test]
fn lives_too_short_for_a_bundle() {
    for kind in [Kind::Nor4k, Kind::Nor32] {
        let mut scenario = Scenario::new(kind, BootMode::SwapMove);
        scenario.bundle = Some(bundle);
        scenario.block_size = 2048;
        let (updated, _) = same_lives(scenario, (20..400).step_by(17));
        assert!(updated > 0, "{kind:?}");
    }
}
