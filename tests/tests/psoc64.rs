//! Both images of a PSoC 64 in one TAR file.

use std::collections::BTreeMap;

use ota_core::agent::StateKind;
use ota_psoc6::layout::FlashMap;
use ota_psoc64::layout;
use ota_sim::Version;
use ota_sim::flash::{Cut, Tear, When};
use ota_tests::{Kind, Report, Scenario, SelfTest, bundle};

static TFM: FlashMap = layout::TFM;
static TFM_OVERWRITE: FlashMap = layout::TFM_OVERWRITE;
static OLDER: FlashMap = layout::OLDER;
const NEW: Version = Version::new(1, 0, 0, 0);

fn job(map: &'static FlashMap, depending: bool) -> Scenario {
    let mut scenario = Scenario::new(Kind::Map(map), map.spec().mode);
    scenario.image_count = 2;
    scenario.payload = 6_000;
    scenario.bundle = Some(bundle);
    if depending {
        scenario.offers[0].build = |image, builder| builder.dependency(1 - image, NEW);
    } else {
        scenario.permissive = true;
    }
    scenario
}

#[test]
fn explore() {
    for map in [&TFM, &TFM_OVERWRITE, &OLDER] {
        let begin = std::time::Instant::now();
        let report = job(map, true).run();
        report.assert_updated(map.spec().name);
        println!("{} {} ops {:?} {:?} {:?} {:?}", map.spec().name, report.operations, report.bootloader, report.states.iter().zip(&report.entered_at).collect::<Vec<_>>(), begin.elapsed(), report.statistics.blocks_received);
    }
    for test in [SelfTest::Pass, SelfTest::Fail] {
        for (map, depending) in [(&TFM, true), (&TFM, false), (&OLDER, true), (&OLDER, false)] {
            let begin = std::time::Instant::now();
            let mut scenario = job(map, depending);
            scenario.self_test = test;
            let factory = scenario.factory();
            let whole = scenario.run_with(&factory);
            let mut seen: BTreeMap<String, Vec<u32>> = BTreeMap::new();
            let every = if map.spec().name == "psoc64-tfm-swap" { 1 } else { 32 };
            for operation in (0..whole.operations).step_by(every) {
                for when in [When::Before, When::Inside(Tear::Half)] {
                    scenario.cuts = vec![Cut { operation, when }];
                    let report = scenario.run_with(&factory);
                    report.assert_sane(&format!("{:?}", scenario.cuts));
                    seen.entry(format!("{}: {:?} {}", report.pairs().join(", "), report.status, report.reason)).or_default().push(operation);
                }
            }
            println!("{} {depending} {test:?} {:?}", map.spec().name, begin.elapsed());
            for (name, at) in seen {
                println!("    {name}: {} {:?}..{:?}", at.len(), at[0], at.last());
            }
        }
    }
}
