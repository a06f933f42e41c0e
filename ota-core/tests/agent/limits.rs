//! Sizes, numbers, and what no input may do.

use std::collections::BTreeSet;
use std::mem::size_of;

use ota_core::agent::{
    Action, Agent, BLOCK_SIZES, BlockRequest, Config, ConfigError, Failure, Input, Memory, Part, Publication,
    State, StateKind,
};
use ota_core::boot::{ImageState, Request, Revert, Withdrawn};
use ota_core::command::Command;
use ota_core::geometry::BootMode;
use ota_core::image::ImageError;
use ota_core::slot::{Compared, FlashError};
use ota_core::status::{Ended, Reason};
use ota_core::verify::{Verified, VerifyError};

use crate::device::{self, OLD, REVERTED};
use crate::talk::{In, LONGEST_WAIT_MS, Setup, THING, Talk};
use crate::wire::{
    accepted, block, block_of, describe_refused, held, job, next, no_job, notify, progress_accepted, refused,
    refused_stored, stream_refused,
};

/// What a step moves, and what a device keeps in RAM for it (on a 64-bit host; a Cortex-M needs less).
#[test]
fn sizes() {
    const fn is_copy<T: Copy>() -> usize {
        size_of::<T>()
    }
    assert!(is_copy::<FlashError>() <= 1);
    assert!(is_copy::<ImageError>() <= 1);
    assert!(is_copy::<Reason>() <= 1);
    assert!(is_copy::<VerifyError>() <= 2);
    assert!(is_copy::<Failure>() <= 4);
    assert!(is_copy::<Ended>() <= 2);
    assert!(is_copy::<ConfigError>() <= 1);
    assert!(is_copy::<Command>() <= 1);
    assert!(is_copy::<StateKind>() <= 1);
    assert!(is_copy::<Part>() <= 20);
    assert!(is_copy::<State>() <= 56);
    assert!(is_copy::<BlockRequest>() <= 44);
    assert!(is_copy::<Publication>() <= 4);
    assert!(size_of::<Verified>() <= 128, "{}", size_of::<Verified>());
    assert!(size_of::<Action>() <= 24, "{}", size_of::<Action>());
    assert!(size_of::<Input<'_>>() <= 208, "{}", size_of::<Input<'_>>());
    assert!(size_of::<Agent<'_>>() <= 1792, "{}", size_of::<Agent<'_>>());
    const { assert!(Memory::STRINGS <= 1152) };
}

/// Dashboards match the spelling, the journal stores the number: neither ever changes.
#[test]
fn reasons_are_frozen() {
    let all: Vec<_> = Reason::ALL.iter().map(|r| format!("{} {}", r.number(), r.spelling())).collect();
    assert_eq!(
        all,
        [
            "1 declined",
            "2 not_an_image",
            "3 image_truncated",
            "4 file_too_large",
            "5 zero_size",
            "6 downgrade",
            "7 same_version",
            "8 reverted_before",
            "9 unknown_protocol",
            "10 duplicate_file_id",
            "11 duplicate_destination",
            "12 no_destination",
            "13 job_document_malformed",
            "14 job_document_too_large",
            "15 unsigned",
            "16 image_not_bootable",
            "17 wrong_slot",
            "18 too_many_files",
            "32 signature_invalid",
            "33 key_invalid",
            "34 image_hash_mismatch",
            "35 image_signature_invalid",
            "36 security_counter_too_low",
            "37 image_invalid",
            "40 no_blocks_received",
            "41 stream_rejected",
            "42 flash_failed",
            "43 set_pending_failed",
            "44 aborted",
            "45 not_swapped",
            "46 reverted",
            "47 self_test_failed_no_revert",
            "48 confirm_failed",
            "49 mixed_images",
            "50 state_lost",
            "51 images_not_mutually_dependent",
            "52 http_failed",
            "53 url_expired",
            "54 object_not_found",
            "55 object_changed",
            "56 no_data_plane_left",
            "57 bundle_malformed",
            "58 bundle_truncated",
            "59 bundle_mismatch",
            "60 server_not_trusted",
            "61 bundle_unsupported",
        ]
    );
}

#[test]
fn verify_errors_have_numbers_of_their_own() {
    let errors = [
        VerifyError::BadSignature,
        VerifyError::SignatureFormat,
        VerifyError::DigestIncomplete,
        VerifyError::TooLarge,
        VerifyError::ImageHash,
        VerifyError::ImageSignature,
        VerifyError::ResetVector,
        VerifyError::NoKey,
        VerifyError::BadKey,
        VerifyError::UnsupportedKey,
        VerifyError::BadCertificate,
        VerifyError::BadPem,
    ];
    let numbers: Vec<_> = errors.iter().map(|error| error.number()).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    assert!(VerifyError::Image(ImageError::NoHash).number() > 64);
    assert!(VerifyError::Flash(FlashError::Driver).number() > 128);
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let layouts: &'static [_] = vec![device::layout(BootMode::SwapMove); 1].leak();
    let make = |tweak: &dyn Fn(&mut Config<'static>), blocks: usize, sectors: usize| {
        let mut config = Config::new(THING, layouts);
        config.block_size = 512;
        tweak(&mut config);
        let (strings, blocks, sectors) =
            (vec![0; Memory::STRINGS].leak(), vec![0; blocks].leak(), vec![0; sectors].leak());
        Agent::new(&config, Memory { strings, blocks, sectors }).map(|_| ())
    };
    let block_bytes = Memory::block_bytes(&layouts[0], 512);
    let sector_bytes = Memory::sector_bytes(&layouts[0]);
    assert_eq!(make(&|_| {}, block_bytes, sector_bytes), Ok(()));
    assert_eq!(make(&|_| {}, block_bytes - 1, sector_bytes), Err(ConfigError::BlockMemory));
    assert_eq!(make(&|_| {}, block_bytes, sector_bytes - 1), Err(ConfigError::SectorMemory));
    let with = |tweak: &dyn Fn(&mut Config<'static>)| make(tweak, 64, 64);
    assert_eq!(with(&|c| c.thing_name = ""), Err(ConfigError::ThingName));
    assert_eq!(with(&|c| c.thing_name = "a b"), Err(ConfigError::ThingName));
    assert_eq!(with(&|c| c.images = &[]), Err(ConfigError::Images));
    assert_eq!(with(&|c| c.images = vec![layouts[0]; 4].leak()), Err(ConfigError::Images));
    for (block_size, good) in [
        (255, false),
        (256, true),
        (257, false),
        (264, true),
        (*BLOCK_SIZES.end(), true),
        (*BLOCK_SIZES.end() + 1, false),
        (0, false),
        (u32::MAX, false),
    ] {
        let result = with(&|c| c.block_size = block_size);
        assert_eq!(result, if good { Ok(()) } else { Err(ConfigError::BlockSize) }, "{block_size}");
    }
    assert_eq!(with(&|c| c.details = &[("a", "b"); 6]), Ok(()));
    assert_eq!(with(&|c| c.details = &[("a b", "c")]), Err(ConfigError::Details));
    assert_eq!(with(&|c| c.details = &[("a", "b"); 7]), Err(ConfigError::Details));
    let away = ota_core::agent::Destination { image: 1, ..Default::default() };
    assert_eq!(with(&|c| c.destinations = vec![away].leak()), Err(ConfigError::Destination));
}

/// xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.next(from.len() as u64) as usize].clone()
    }
}

const FLASH: [FlashError; 3] = [FlashError::Driver, FlashError::ReadBack, FlashError::Trailer];

/// The completion a driver would bring, now and then a failure.
fn completion(random: &mut Random, t: &Talk) -> In {
    let flash = |random: &mut Random| In::Flash(random.pick(&FLASH));
    let fails = random.next(12) == 0;
    match &t.action {
        Action::Load => In::Loaded(if fails { None } else { t.journal }),
        Action::Inspect { .. } => {
            let new = device::tests(&t.files[0], random.pick(&[Revert::Yes, Revert::No, Revert::Unknown]));
            let confirmed = ImageState { confirmed: true, revert: Revert::No, ..new };
            let damaged = ImageState { request: Request::Damaged, ..OLD };
            In::Boot(random.pick(&[OLD, OLD, REVERTED, new, new, confirmed, damaged]))
        }
        Action::Connect | Action::Subscribe(_) if fails => In::Link,
        Action::Publish(_) if fails => random.pick(&[In::Link, In::Refused]),
        Action::Connect | Action::Disconnect | Action::Subscribe(_) | Action::Publish(_) => In::Done,
        Action::Receive { .. } | Action::Pause { .. } => In::Timeout,
        Action::Consult(_) => random.pick(&[In::Yes, In::Yes, In::Yes, In::Yes, In::No, In::Later(5000)]),
        Action::Compare(_) => {
            In::Compared(random.pick(&[Compared::Equal, Compared::Blank, Compared::Different]))
        }
        Action::Verify { .. } if fails => In::Invalid(VerifyError::BadSignature),
        Action::Verify { .. } => In::Verified,
        Action::Withdraw { .. } if !fails => {
            In::Withdrawn(random.pick(&[Withdrawn::ImageKept, Withdrawn::SectorLost(7)]))
        }
        _ if fails => flash(random),
        _ => In::Done,
    }
}

/// Anything a cloud, a driver or an application may come up with, fitting or not.
fn anything(random: &mut Random, t: &Talk) -> In {
    let number = random.next(4) as u32;
    let version = random.next(9) as u32;
    match random.next(34) {
        0 => In::Lost,
        1 => In::Link,
        2 => In::Refused,
        3 => In::Flash(random.pick(&FLASH)),
        4 => In::Loaded(t.journal),
        5 => In::Boot(OLD),
        6 => In::Verified,
        7 => In::Compared(Compared::Different),
        8 => In::Done,
        9 => In::Say(random.pick(&Command::ALL[1..])),
        10 => next(job().id("rel-2").number(number)),
        11 => next(job().document(r#"{"operation":"reboot"}"#)),
        12 => no_job(),
        13 => held(job().is("CANCELED", version)),
        14 => held(job().number(number)),
        15 => held(job().is("IN_PROGRESS", version).bare()),
        16 => next(job().bare()),
        17 => accepted("IN_PROGRESS", version),
        18 => progress_accepted(),
        19 => refused(random.pick(&["RequestThrottled", "InvalidJson", "TerminalStateReached", "x"])),
        20 => {
            refused_stored("VersionMismatch", random.pick(&["QUEUED", "IN_PROGRESS", "FAILED"]), version, "")
        }
        21 => describe_refused(random.pick(&["$next", "rel-1"]), "InternalError"),
        22 => notify(),
        23 => stream_refused(random.pick(&["InternalError", "InternalError", "InvalidRequest"])),
        24 => block_of(number, &t.files[0], 1),
        25 => In::Block { stream: "x", file: 0, block: u32::MAX, data: vec![0; number as usize] },
        26 => In::Message { topic: "$aws/things/dev-7/jobs/rel-1/get/accepted".into(), payload: "{".into() },
        27 => next(job().is("IN_PROGRESS", version).with("self_test", "active").with("updatedBy", "0x80000")),
        _ => match t.kind() {
            StateKind::Idle => next(job().number(1 + number)),
            StateKind::Testing => In::Say(Command::SelfTestPassed),
            StateKind::Judging | StateKind::Downloading => block(&t.files[0], number % 3),
            _ => accepted("IN_PROGRESS", version),
        },
    }
}

/// Whatever comes in, legal or not: no panic, one action, and every wait has an end that a test in `Talk::step` checks.
/// After it all the agent still does its work.
#[test]
fn no_input_breaks_the_agent() {
    let seed = std::env::var("OTA_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x0DDB_1A5E_5BAD_5EED);
    let mut random = Random(seed);
    let mut seen = BTreeSet::new();
    let modes = [BootMode::SwapMove, BootMode::Overwrite, BootMode::SwapStatus, BootMode::SwapOffset];
    let mut inputs = 0;
    while inputs < 20_000 {
        let tweak: fn(&mut Config<'static>) = random.pick(&[
            (|_| {}) as fn(&mut Config<'static>),
            |config| (config.progress_blocks, config.record_blocks) = (1, 1),
            |config| config.useless_max = 2,
        ]);
        let mut t = Talk::new(Setup { mode: random.pick(&modes), images: 1, tweak });
        let mut input = In::Start;
        for _ in 0..500 {
            let context = format!("seed {seed}, input {inputs}: {input:?} for {}", t.shown());
            let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| t.step(&input)));
            assert!(stepped.is_ok(), "{context}");
            seen.insert(format!("{:?}", t.kind()));
            inputs += 1;
            if let Action::Receive { until_ms } | Action::Pause { until_ms } = t.action {
                assert!(until_ms > t.now && until_ms - t.now <= LONGEST_WAIT_MS, "{context}");
                if random.next(3) == 0 {
                    t.now = until_ms;
                }
            }
            input = match t.action {
                // The device resets, or the application runs the agent anew.
                Action::Finish(_) => In::Start,
                Action::Receive { .. } if random.next(4) != 0 => anything(&mut random, &t),
                _ if random.next(20) == 0 => anything(&mut random, &t),
                _ => completion(&mut random, &t),
            };
            t.now += random.next(200);
        }
        // Left alone it comes to a wait, and after waits to a request: it is never deaf.
        let mut published = matches!(t.action, Action::Publish(_));
        let mut resumed = false;
        for _ in 0..400 {
            let quiet = match t.action {
                Action::Finish(_) => In::Start,
                Action::Consult(_) => In::No,
                Action::Receive { .. } | Action::Pause { .. } if !resumed => {
                    resumed = true;
                    In::Say(Command::Resume)
                }
                Action::Receive { until_ms } | Action::Pause { until_ms } => {
                    t.now = until_ms;
                    In::Timeout
                }
                _ => completion(&mut random, &t),
            };
            t.step(&quiet);
            published |= matches!(t.action, Action::Publish(_));
        }
        assert!(
            published,
            "seed {seed}, input {inputs}: never asks again, {:?}, {}",
            t.agent.state(),
            t.shown()
        );
    }
    let missing: Vec<_> =
        ["Custom", "Offered", "Judging", "Downloading", "Verifying", "Verified", "Ready", "Pending"]
            .into_iter()
            .chain([
                "Activating",
                "Withdrawing",
                "Testing",
                "Confirming",
                "Confirmed",
                "Failed",
                "Resetting",
                "Idle",
            ])
            .filter(|kind| !seen.contains(*kind))
            .collect();
    assert!(missing.is_empty(), "seed {seed} never came to {missing:?}: the inputs are too tame");
}
