//! The driver's future dropped at every await of an update, and run again.

use ota_core::geometry::BootMode;
use ota_tests::{Drops, Kind, Scenario};

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
