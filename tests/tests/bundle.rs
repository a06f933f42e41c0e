//! Several images in one TAR file: routed to their slots, signed as a whole, all or none.

use std::collections::BTreeSet;

use ota_core::agent::{Plane, StateKind};
use ota_core::geometry::BootMode;
use ota_core::status::Reason;
use ota_core::wire::Format;
use ota_sim::Version;
use ota_sim::aws::{Faults, Status};
use ota_sim::flash::{Cut, Tear, When};
use ota_sim::image::BundleBuilder;
use ota_tests::{Act, Drops, Event, Kind, Moment, Pack, Report, Scenario, SelfTest, bundle};

const NEW: Version = Version::new(1, 0, 0, 0);
/// Blocks of 2 KiB hold the head of these bundles.
const BLOCK: u32 = 2048;

/// Two images that need each other, in one file.
fn pair(kind: Kind, mode: BootMode) -> Scenario {
    let mut scenario = Scenario::new(kind, mode);
    scenario.image_count = 2;
    scenario.payload /= 2;
    scenario.offers[0].build = |image, builder| builder.dependency(1 - image, NEW);
    scenario.bundle = Some(bundle);
    scenario.block_size = scenario.block_size.max(BLOCK);
    scenario
}

/// A device of one image, as PSoC 62.
fn single(kind: Kind, mode: BootMode, pack: Pack) -> Scenario {
    let mut scenario = Scenario::new(kind, mode);
    scenario.bundle = Some(pack);
    scenario.block_size = scenario.block_size.max(BLOCK);
    scenario
}

fn members(images: &[Vec<u8>], order: [usize; 2]) -> BundleBuilder {
    let names = [("cm4.bin", "NSPE"), ("cm0p.bin", "SPE")];
    let put = |to: BundleBuilder, k: &usize| to.member(names[*k].0, names[*k].1, &images[*k]);
    order.iter().fold(BundleBuilder::new("1.0.0"), put)
}

#[test]
fn both_images_are_updated() {
    for kind in Kind::ALL {
        for mode in kind.modes() {
            let report = pair(kind, *mode).run();
            report.assert_updated(&format!("{kind:?} {mode:?}"));
            assert_eq!(report.statistics.duplicates, 0, "{kind:?} {mode:?}");
        }
    }
}

#[test]
fn over_http_and_from_plane_to_plane() {
    let planes: [&[Plane]; 3] = [&[Plane::Http], &[Plane::Http, Plane::Mqtt], &[Plane::Mqtt, Plane::Http]];
    for (kind, mode) in [(Kind::Nor4k, BootMode::SwapMove), (Kind::External, BootMode::SwapStatus)] {
        for planes in planes {
            let mut scenario = pair(kind, mode);
            scenario.planes = planes;
            if planes.len() > 1 {
                scenario.object.dies_after = Some(9_000);
                scenario.link.faults.blocks.loss_pct = if planes[0] == Plane::Mqtt { 100 } else { 0 };
                scenario.object.dies_after = (planes[0] == Plane::Http).then_some(9_000);
            }
            let report = scenario.run();
            report.assert_updated(&format!("{kind:?} {planes:?}"));
            assert_eq!(report.statistics.blocks_received, report.image_size.div_ceil(scenario.block_size));
        }
    }
}

#[test]
fn any_order_of_members_and_either_magic() {
    let packs: [Pack; 4] = [
        |images| members(images, [1, 0]).build(),
        |images| members(images, [0, 1]).posix().build(),
        |images| members(images, [1, 0]).posix().filled_to(512).build(),
        // Nothing behind the last byte: neither padding nor the closing records.
        |images| {
            let mut file = members(images, [0, 1]).filled_to(512).build();
            file.truncate(file.iter().rposition(|byte| *byte != 0).unwrap() + 1);
            file
        },
    ];
    for (at, pack) in packs.into_iter().enumerate() {
        for format in [Format::Cbor, Format::Json] {
            let mut scenario = pair(Kind::Nor32, BootMode::SwapOffset);
            scenario.bundle = Some(pack);
            scenario.format = format;
            scenario.run().assert_updated(&format!("{at} {format:?}"));
        }
    }
}

#[test]
fn one_image_bundled_or_bare() {
    let packs: [Pack; 2] = [bundle, |images| images[0].clone()];
    for kind in Kind::ALL {
        for (at, pack) in packs.into_iter().enumerate() {
            single(kind, kind.modes()[1], pack).run().assert_updated(&format!("{kind:?} {at}"));
        }
    }
}

/// Only blocks with bytes that no slot keeps have to wait for their turn.
#[test]
fn blocks_are_lost_doubled_and_overtake_each_other() {
    for seed in 0..12 {
        for kind in [Kind::Nor4k, Kind::External, Kind::Rows] {
            let mut scenario = pair(kind, kind.modes()[1]);
            scenario.seed = seed;
            scenario.link.faults = Faults::on_blocks(seed, 15, 15, 30);
            scenario.run().assert_updated(&format!("{kind:?} seed {seed}"));
        }
    }
}

#[test]
fn a_failed_self_test_takes_both_back() {
    let mut scenario = pair(Kind::Rows, BootMode::SwapStatus);
    scenario.self_test = SelfTest::Fail;
    scenario.run().assert_refused("both", Status::Failed, Reason::Reverted);
}

/// What is wrong with a bundle, and what is said of it.
#[test]
fn bad_bundles() {
    fn listed(images: &[Vec<u8>], entries: &str, count: u32) -> Vec<u8> {
        let list = format!(
            r#"{{"numberOfComponents":"{count}","version":"1","files":[{{"fileName":"components.json","fileType":"component_list"}}{entries}]}}"#
        );
        members(images, [0, 1]).list(&list).build()
    }
    fn entry(name: &str, kind: &str, size: usize) -> String {
        format!(r#",{{"fileName":"{name}","fileType":"{kind}","fileSize":"{size}"}}"#)
    }
    fn flipped(images: &[Vec<u8>], at: fn(&[u8], usize) -> usize) -> Vec<u8> {
        let mut file = members(images, [0, 1]).build();
        let at = at(&file, images[0].len());
        file[at] ^= 1;
        file
    }
    // Where the header of the second member stands: behind the head and the padded first one.
    fn second(_: &[u8], first: usize) -> usize {
        1536 + first.next_multiple_of(512)
    }
    let judged = Status::Rejected;
    let cases: &[(&str, Pack, Status, Reason)] = &[
        (
            "unknown type",
            |i| listed(i, &(entry("cm4.bin", "NSPE", i[0].len()) + &entry("cm0p.bin", "APP", i[1].len())), 3),
            judged,
            Reason::NoDestination,
        ),
        (
            "two for one image",
            |i| {
                listed(i, &(entry("cm4.bin", "NSPE", i[0].len()) + &entry("cm0p.bin", "NSPE", i[1].len())), 3)
            },
            judged,
            Reason::DuplicateDestination,
        ),
        (
            "first size",
            |i| {
                listed(
                    i,
                    &(entry("cm4.bin", "NSPE", i[0].len() + 1) + &entry("cm0p.bin", "SPE", i[1].len())),
                    3,
                )
            },
            judged,
            Reason::BundleMismatch,
        ),
        (
            "second size",
            |i| {
                listed(
                    i,
                    &(entry("cm4.bin", "NSPE", i[0].len()) + &entry("cm0p.bin", "SPE", i[1].len() - 1)),
                    3,
                )
            },
            Status::Failed,
            Reason::BundleMismatch,
        ),
        (
            "second name",
            |i| {
                listed(i, &(entry("cm4.bin", "NSPE", i[0].len()) + &entry("other.bin", "SPE", i[1].len())), 3)
            },
            Status::Failed,
            Reason::BundleMismatch,
        ),
        (
            "a member that is not listed",
            |i| listed(i, &entry("cm4.bin", "NSPE", i[0].len()), 2),
            Status::Failed,
            Reason::BundleMalformed,
        ),
        ("count", |i| listed(i, &entry("cm4.bin", "NSPE", i[0].len()), 3), judged, Reason::BundleMalformed),
        ("no member", |i| listed(i, "", 1), judged, Reason::BundleMismatch),
        ("no JSON", |i| members(i, [0, 1]).list("{").build(), judged, Reason::BundleMalformed),
        (
            "larger than its slot",
            |i| members(&[i[0].clone(), vec![0; 0xA000]], [0, 1]).build(),
            judged,
            Reason::FileTooLarge,
        ),
        (
            "list too long",
            |i| members(i, [0, 1]).list(&" ".repeat(1025)).build(),
            judged,
            Reason::BundleMalformed,
        ),
        (
            "head beyond the first block",
            |i| {
                let image = |k: usize| entry(["cm4.bin", "cm0p.bin"][k], ["NSPE", "SPE"][k], i[k].len());
                listed(i, &(image(0) + &" ".repeat(512) + &image(1)), 3)
            },
            judged,
            Reason::BundleUnsupported,
        ),
        ("first header", |i| flipped(i, |_, _| 5), judged, Reason::BundleMalformed),
        ("second header", |i| flipped(i, second), Status::Failed, Reason::BundleMalformed),
        (
            "something behind the end",
            |i| flipped(i, |file, _| file.len() - 1),
            Status::Failed,
            Reason::BundleMalformed,
        ),
        ("first image", |i| flipped(i, |_, _| 1536), judged, Reason::NotAnImage),
        (
            "second image",
            |i| flipped(i, |file, first| second(file, first) + 512),
            Status::Failed,
            Reason::ImageInvalid,
        ),
        ("payload", |i| flipped(i, |_, _| 5000), Status::Failed, Reason::ImageHash),
        (
            "truncated",
            |i| members(i, [0, 1]).filled_to(512).build()[..8000].to_vec(),
            judged,
            Reason::BundleTruncated,
        ),
        ("truncated head", |i| members(i, [0, 1]).build()[..1000].to_vec(), judged, Reason::BundleTruncated),
    ];
    let mut wrong = Vec::new();
    for (name, pack, status, reason) in cases {
        let mut scenario = pair(Kind::Nor4k, BootMode::SwapMove);
        scenario.bundle = Some(*pack);
        let report = scenario.run();
        report.assert_sane(name);
        let told = (report.status, report.reason.split(':').next().unwrap_or_default());
        if told != (*status, reason.spelling()) || !report.old_runs() || report.resets > 0 {
            wrong.push(format!("{name}: {told:?} instead of {:?}", (status, reason.spelling())));
        }
        if *status == judged {
            report.assert_untouched(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Bytes that no slot keeps are signed like the others.
#[test]
fn padding_is_signed_too() {
    let places: [fn(usize) -> usize; 3] =
        [|_| 400, |first| 1536 + first, |first| 1536 + first.next_multiple_of(512) + 300];
    for place in places {
        let mut scenario = pair(Kind::Nor4k, BootMode::SwapMove);
        let factory = scenario.factory();
        let first = factory.image_size(0, 0);
        let at = place(first);
        assert!(factory.content(0)[at] == 0, "{at} is padding");
        let factory = factory.with_flip(0, at);
        scenario.seed = 1;
        let report = scenario.run_with(&factory);
        // A header's padding is covered by its checksum.
        let reason = if (1536 + first..).contains(&at) && at < 1536 + first.next_multiple_of(512) {
            Reason::SignatureInvalid
        } else {
            Reason::BundleMalformed
        };
        report.assert_sane("padding");
        assert!(report.reason.starts_with(reason.spelling()) && report.old_runs(), "{at}: {report:#?}");
    }
}

#[test]
fn images_that_do_not_need_each_other_are_refused() {
    let mut scenario = pair(Kind::Nor4k, BootMode::SwapMove);
    scenario.offers[0].build = |_, builder| builder;
    scenario.run().assert_refused("not mutual", Status::Failed, Reason::NotMutual);
}

#[test]
fn an_older_one_is_refused_before_a_slot_is_touched() {
    let mut scenario = pair(Kind::Nor4k, BootMode::SwapMove);
    scenario.offers[0].version = Version::new(0, 8, 0, 0);
    let report = scenario.run();
    report.assert_refused("downgrade", Status::Rejected, Reason::Downgrade);
    report.assert_untouched("downgrade");
}

/// Both or neither, at every boot and in the end, wherever the power fails, in the swap at every so many operations; and little
/// is fetched twice.
fn sweep(mut scenario: Scenario, whens: &[When], every: u32, context: &str) {
    let factory = scenario.factory();
    let whole = scenario.run_with(&factory);
    whole.assert_updated(context);
    assert!(whole.operations > 100, "{context}");
    let blocks = whole.statistics.blocks_received;
    let swap = whole.bootloader.iter().max_by_key(|boot| boot.len()).expect("a boot").clone();
    let is_cut = |at: &u32| !swap.contains(at) || (at - swap.start).is_multiple_of(every);
    for operation in (0..whole.operations).filter(is_cut) {
        for when in whens {
            scenario.cuts = vec![Cut { operation, when: *when }];
            let report = scenario.run_with(&factory);
            let context = format!("{context} {:?} of {}", scenario.cuts, whole.operations);
            assert_together(&report, &context);
            let again = report.statistics.blocks_received.saturating_sub(blocks);
            assert!(again <= allowed(&scenario, &report), "{context}: {again} blocks again: {report:#?}");
        }
    }
}

fn assert_together(report: &Report, context: &str) {
    report.assert_sane(context);
    assert!(report.booted.iter().all(|pair| pair[0] == pair[1]), "{context}: apart: {report:#?}");
    let ended = match report.reason.split(':').next().unwrap_or_default() {
        _any if report.status == Status::Succeeded => report.new_runs(),
        "reverted" => report.old_runs(),
        _other => false,
    };
    assert!(ended, "{context}: {report:#?}");
}

/// A recording interval, the open sectors of both images, a window under way, and the blocks with bytes no slot keeps: the
/// first, two between the images, and up to 10 KiB at the end; once more for each boot that had to verify again.
fn allowed(scenario: &Scenario, report: &Report) -> u32 {
    const WINDOW: u32 = 16;
    let sector = report.layout.secondary().sector_size();
    let open = 2 * 2 * (sector.div_ceil(scenario.block_size) + 1);
    let bare = 1 + 2 + (10 * 1024 / scenario.block_size + 2);
    u32::from(scenario.record_blocks) + open + WINDOW + bare * report.boots
}

macro_rules! sweeps {
    ($($name:ident: $kind:ident, $mode:ident, $planes:expr, $whens:expr;)*) => {$(
        #[test]
        fn $name() {
            let mut scenario = pair(Kind::$kind, BootMode::$mode);
            scenario.planes = &$planes;
            sweep(scenario, &$whens, 1, stringify!($name));
        }
    )*};
}

const TORN: [When; 2] = [When::Before, When::Inside(Tear::Half)];
const OTHERWISE: [When; 2] = [When::After, When::Inside(Tear::ReadsErased)];

sweeps! {
    nor4k_overwrite: Nor4k, Overwrite, [Plane::Mqtt], TORN;
    nor4k_swap_move: Nor4k, SwapMove, [Plane::Mqtt], TORN;
    nor4k_swap_move_over_http: Nor4k, SwapMove, [Plane::Http], TORN;
    nor32_swap_offset: Nor32, SwapOffset, [Plane::Mqtt], TORN;
    nor512_swap_scratch: Nor512, SwapScratch, [Plane::Mqtt], OTHERWISE;
    rows_swap_status: Rows, SwapStatus, [Plane::Mqtt], TORN;
}

/// Sectors of 256 KiB, slow to erase and not to be programmed twice. A swap of them takes the simulator long: every 7th
/// operation of it.
#[test]
fn external_swap_status() {
    let scenario = pair(Kind::External, BootMode::SwapStatus);
    sweep(scenario, &[When::Inside(Tear::ReadsErased)], 7, "external_swap_status");
}

/// Held whole and verified when the power fails: exactly the blocks with bytes that no slot keeps are fetched again.
#[test]
fn a_restart_fetches_what_no_slot_keeps() {
    for (kind, mode) in [(Kind::Nor4k, BootMode::SwapMove), (Kind::External, BootMode::SwapStatus)] {
        for planes in [&[Plane::Mqtt], &[Plane::Http]] {
            let mut scenario =
                pair(kind, mode).with(Event::new(Moment::Entered(StateKind::Verified), Act::CutPower));
            scenario.planes = planes;
            let factory = scenario.factory();
            let sizes = [0, 1].map(|image| factory.image_size(0, image));
            let end = factory.content(0).len();
            let second = 1536 + sizes[0].next_multiple_of(512) + 512;
            let block = scenario.block_size as usize;
            let bare = [0..1536, 1536 + sizes[0]..second, second + sizes[1]..end];
            let again: BTreeSet<_> =
                bare.into_iter().flat_map(|bytes| bytes.start / block..bytes.end.div_ceil(block)).collect();
            let report = scenario.run_with(&factory);
            let context = format!("{kind:?} {planes:?}");
            report.assert_updated(&context);
            assert_eq!((report.boots, report.statistics.sectors_given_up), (3, 0), "{context}: {report:#?}");
            let received = report.statistics.blocks_received as usize;
            assert_eq!(received, end.div_ceil(block) + again.len(), "{context}: {report:#?}");
        }
    }
}

#[test]
fn without_a_journal() {
    let mut scenario = pair(Kind::Nor4k, BootMode::SwapMove);
    scenario.journal = false;
    let factory = scenario.factory();
    let operations = scenario.run_with(&factory).operations;
    for operation in (0..operations).step_by(3) {
        scenario.cuts = vec![Cut { operation, when: When::Before }];
        let report = scenario.run_with(&factory);
        let context = format!("{:?}", scenario.cuts);
        report.assert_sane(&context);
        assert!(report.booted.iter().all(|pair| pair[0] == pair[1]), "{context}: apart: {report:#?}");
    }
}

/// The driver's future dropped after 1, 2, 3 … polls.
/// Dropped while the swap was being requested, so the bundle is fetched in part again, and then the power goes: the request may
/// stand. Then what boots is tested and told, whether a trailer shows that it is new or not.
#[test]
fn dropped_in_the_request_and_the_power_goes() {
    for (kind, mode) in [(Kind::Nor4k, BootMode::SwapMove), (Kind::Nor4k, BootMode::Overwrite)] {
        let mut scenario = single(kind, mode, bundle);
        let factory = scenario.factory();
        let mut swapped = 0;
        for polls in 1.. {
            scenario.drops = Drops::Once(polls);
            scenario.cuts.clear();
            let report = scenario.run_with(&factory);
            if report.drop_is_ahead {
                break;
            }
            let again = report
                .states
                .windows(2)
                .position(|two| two == [StateKind::Activating, StateKind::Downloading]);
            let Some(again) = again else { continue };
            for operation in (report.entered_at[again + 1]..).take(6) {
                scenario.cuts = vec![Cut { operation, when: When::Before }];
                let report = scenario.run_with(&factory);
                let context = format!("{kind:?} {mode:?} {polls} polls, {operation} operations");
                report.assert_updated(&context);
                // The bootloader did it before the agent asked again.
                swapped += u32::from(report.resets == 0);
            }
        }
        assert!(swapped > 0, "{kind:?} {mode:?}: the request never stood");
    }
}

#[test]
fn dropped_at_every_await() {
    for (kind, mode) in [(Kind::Nor4k, BootMode::SwapMove), (Kind::Nor32, BootMode::SwapOffset)] {
        let mut scenario = pair(kind, mode);
        let factory = scenario.factory();
        for polls in 1.. {
            scenario.drops = Drops::Once(polls);
            let report = scenario.run_with(&factory);
            report.assert_updated(&format!("{kind:?} dropped after {polls} polls"));
            if report.drop_is_ahead {
                assert!(polls > 100, "an update has more awaits than {polls}");
                break;
            }
        }
    }
}
