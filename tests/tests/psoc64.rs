//! Both images of a PSoC 64 in one TAR file, with the power cut at the operations of application and bootloader. Addresses, slots and
//! sectors are the kit's: the application arrives in external sectors of 256 KiB at 0x1802_4400 (older policy 0x1800_0000), the
//! secure firmware in internal rows of 512 bytes; the bootloader confirms the latter. The images are small.

use std::collections::{BTreeMap, BTreeSet};

use ota_core::agent::StateKind;
use ota_core::geometry::BootMode;
use ota_psoc6::layout::FlashMap;
use ota_psoc64::layout;
use ota_sim::Version;
use ota_sim::flash::{Cut, Tear, When};
use ota_tests::{Kind, Report, Scenario, SelfTest, bundle};

static TFM: FlashMap = layout::TFM;
static TFM_OVERWRITE: FlashMap = layout::TFM_OVERWRITE;
static OLDER: FlashMap = layout::OLDER;
const NEW: Version = Version::new(1, 0, 0, 0);

/// Where an overwriting bootloader copies whole slots, only every so many of its like operations is cut.
const EVERY: usize = 61;
/// Operations on either side of where the bootloader goes from one image to the other.
const NEAR: u32 = 8;

/// An update of both images over MQTT: they need each other, or policy takes them all the same.
fn job(map: &'static FlashMap, depending: bool) -> Scenario {
    let mut scenario = Scenario::new(Kind::Map(map), map.spec().mode);
    scenario.image_count = 2;
    scenario.payload = 6_000;
    scenario.bundle = Some(bundle);
    scenario.permissive = !depending;
    if depending {
        scenario.offers[0].build = |image, builder| builder.dependency(1 - image, NEW);
    }
    scenario
}

/// The operations to be cut: all of a swap, of an overwrite all but the like ones within a slot.
fn places(map: &FlashMap, whole: &Report) -> BTreeSet<u32> {
    let mut places: BTreeSet<u32> = (0..whole.operations).collect();
    if map.spec().mode != BootMode::Overwrite {
        return places;
    }
    let boot = whole.bootloader.iter().max_by_key(|boot| boot.len()).expect("a boot").clone();
    // Image 0 comes first; operations are as many as bytes are copied.
    let [first, second] = [0, 1].map(|image| u64::from(map.primary(image).size()));
    let joint = boot.start + (u64::from(boot.end - boot.start) * first / (first + second)) as u32;
    let near = |at: u32| [boot.start, joint, boot.end].iter().any(|edge| at.abs_diff(*edge) < NEAR);
    let sampled: BTreeSet<u32> = boot.clone().step_by(EVERY).collect();
    places.retain(|at| !boot.contains(at) || near(*at) || sampled.contains(at));
    places
}

/// What ran at the boots, and what the cloud was told; and in how many cuts.
fn sweep(mut scenario: Scenario, ways: &[When]) -> BTreeMap<String, u32> {
    let Kind::Map(map) = scenario.kind else { panic!("a kit's map") };
    let factory = scenario.factory();
    let whole = scenario.run_with(&factory);
    whole.assert_sane(map.spec().name);
    let entered = |state| {
        let at = whole.states.iter().position(|entered| *entered == state);
        whole.entered_at[at.expect("a state gone through")]
    };
    assert_eq!(entered(StateKind::Pending) - entered(StateKind::Activating), 2, "a request for each image");
    let mut seen = BTreeMap::new();
    for operation in places(map, &whole) {
        for when in ways {
            scenario.cuts = vec![Cut { operation, when: *when }];
            let report = scenario.run_with(&factory);
            report.assert_sane(&format!("{} {:?} of {}", map.spec().name, scenario.cuts, whole.operations));
            let reason = report.reason.split([':', ' ']).next().unwrap_or_default();
            *seen.entry(format!("{}: {reason}", report.pairs().join(", "))).or_insert(0) += 1;
        }
    }
    println!("{}: {} operations, {seen:#?}", map.spec().name, whole.operations);
    seen
}

/// All that is seen, and nothing else.
fn assert_seen(scenario: Scenario, ways: &[When], wanted: &[&str]) {
    let seen = sweep(scenario, ways);
    assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), wanted, "{seen:#?}");
}

const ALL: [When; 3] = [When::Before, When::Inside(Tear::Half), When::Inside(Tear::ReadsErased)];
const TORN: [When; 2] = [When::Before, When::Inside(Tear::Half)];

const UPDATED: &str = "old old, new new: accepted";
/// The application's request is not written any more: the bootloader overwrites the secure firmware, or confirms it.
const BETWEEN_REQUESTS: &str = "old old, old new: mixed_images";
/// Behind both swaps, before the bootloader has confirmed the secure firmware.
const UNCONFIRMED: &str = "old old: reverted";
/// Behind the bootloader's confirm, before the application's.
const BETWEEN_CONFIRMS: &str = "old old, new new, old new: mixed_images";
const KEPT: &str = "old old, new new: self_test_failed_no_revert";

/// Both or neither at every boot, and in the end: the requests, the swaps and the confirms cannot be parted.
#[test]
fn swap_with_dependencies() {
    assert_seen(job(&TFM, true), &ALL, &[UPDATED, UNCONFIRMED]);
}

/// Each mixture that DESIGN.md lists under "PSoC 64: what is assumed", and no other.
#[test]
fn swap_without_dependencies() {
    assert_seen(job(&TFM, false), &TORN, &[BETWEEN_CONFIRMS, UPDATED, BETWEEN_REQUESTS, UNCONFIRMED]);
}

/// The secure firmware stays, and so does the application it needs.
#[test]
fn a_failed_self_test_with_dependencies() {
    let mut scenario = job(&TFM, true);
    scenario.self_test = SelfTest::Fail;
    assert_seen(scenario, &TORN[1..], &[KEPT, UNCONFIRMED]);
}

/// The secure firmware stays, the application goes back.
#[test]
fn a_failed_self_test_without_dependencies() {
    let mut scenario = job(&TFM, false);
    scenario.self_test = SelfTest::Fail;
    assert_seen(scenario, &TORN[1..], &[BETWEEN_CONFIRMS, BETWEEN_REQUESTS, UNCONFIRMED]);
}

#[test]
fn overwrite_with_dependencies() {
    for map in [&TFM_OVERWRITE, &OLDER] {
        assert_seen(job(map, true), &TORN, &[UPDATED]);
    }
}

#[test]
fn overwrite_without_dependencies() {
    for map in [&TFM_OVERWRITE, &OLDER] {
        assert_seen(job(map, false), &TORN, &[UPDATED, BETWEEN_REQUESTS]);
    }
}
