//! Power cuts: before, inside and after every flash operation of an update, bootloader included.

use ota_core::geometry::BootMode;
use ota_sim::flash::{Cut, Tear, When};
use ota_tests::{Kind, Scenario};

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
    let whole = scenario.run();
    whole.assert_updated(&format!("{kind:?} {mode:?} uncut"));
    // The bound is counted, not chosen.
    for operation in 0..whole.operations {
        for when in ways(u64::from(operation)) {
            let cut = Cut { operation, when };
            scenario.cuts = vec![cut];
            let report = scenario.run();
            let context = format!("{kind:?} {mode:?} journal {journal} {cut:?}");
            report.assert_sane(&context);
            if report.status != ota_sim::aws::Status::Succeeded {
                println!("{context}: {:?} {}", report.status, report.reason);
            }
        }
    }
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
