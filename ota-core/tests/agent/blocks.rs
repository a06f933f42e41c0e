//! Blocks: judged before the slot is touched, asked for with care, believed only when they fit.

use ota_core::agent::{Config, StateKind};
use ota_core::boot::{Request, Revert};
use ota_core::policy::Drop;
use ota_core::slot::{Compared, FlashError};
use ota_core::verify::VerifyError;
use ota_sim::image::ImageBuilder;

use crate::device::{self, OLD};
use crate::talk::{In, Setup, Talk};
use crate::wire::{
    STREAM, accepted, block, document, file_member, job, next, progress_accepted, stream_refused,
};

fn judged(file: Vec<u8>, expected: &str) -> Talk {
    let document = document(&[file_member(0, file.len(), &[1])]);
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, next(job().document(&document)), "ask Start");
    t.on(10, In::Yes, "subscribe stream");
    t.on(10, In::Done, "blocks 0: 0");
    t.on(10, In::Done, "receive until 2510");
    t.on(20, block(&file, 0), expected);
    t
}

/// Nothing is erased, written or recorded as begun before the first block was judged.
#[test]
fn the_first_block_is_judged_before_the_slot_is_touched() {
    let sim = |major, minor| ota_sim::Version { major, minor, revision: 0, build: 0 };
    let image = |major, minor| ImageBuilder::with_random_payload(sim(major, minor), 1200, 7);
    let not_bootable = image(1, 0).flags(0x10).unsigned();
    let encrypted = image(1, 0).flags(0x4).unsigned();
    let whole = device::file((1, 0, 0), None);
    let mut garbage = whole.clone();
    garbage[0] ^= 1;
    for (file, reason) in [
        (garbage, "not_an_image"),
        (vec![0x5A], "not_an_image"),
        (whole[..1232].to_vec(), "image_truncated"),
        (whole[..600].to_vec(), "image_truncated"),
        (not_bootable, "image_not_bootable"),
        (encrypted, "image_not_bootable"),
    ] {
        let mut t = judged(file, "record Ended");
        t.on(20, In::Done, &format!("update rel-1 REJECTED reason={reason} updatedBy=0x90000 v1"));
    }
    for (version, question, reason) in [
        ((0, 8), "ask Downgrade 0.9.0 to 0.8.0", "downgrade"),
        ((0, 9), "ask SameVersion 0.9.0", "same_version"),
    ] {
        let file = image(version.0, version.1).unsigned();
        let mut t = judged(file.clone(), question);
        t.on(20, In::No, "record Ended");
        t.on(20, In::Done, &format!("update rel-1 REJECTED reason={reason} updatedBy=0x90000 v1"));
        // Policy may want it all the same, and is asked once more about what flash holds.
        let mut t = judged(file, question);
        t.files = vec![device::file((version.0, version.1, 0), None)];
        t.on(20, In::Yes, "ask Erase");
        t.on(20, In::Yes, "record Downloading");
        t.until_verified();
        t.on(40, In::Verified, question);
        t.on(40, In::No, "record Ended");
        // No progress was published, so the execution is QUEUED still.
        t.on(40, In::Done, &format!("update rel-1 REJECTED reason={reason} updatedBy=0x90000 v1"));
    }
}

impl Talk {
    /// Every erase and write succeeds, every block asked for arrives.
    #[track_caller]
    fn until_verified(&mut self) {
        for number in 1..3 {
            while !self.shown().starts_with("receive") {
                let now = self.now;
                self.on(now, In::Done, "…");
            }
            self.on(30, block(&self.files[0].clone(), number), "…");
        }
        while !self.shown().starts_with("verify") {
            let now = self.now;
            self.on(now, In::Done, "…");
        }
        self.on(40, In::Timeout, "verify …");
    }
}

/// An image linked for another slot is rejected where the kit's place is known.
#[test]
fn an_image_for_another_slot_is_rejected() {
    let setup = Setup {
        tweak: |config| {
            config.destinations = &[ota_core::agent::Destination {
                file_type: None,
                file_id: Some(0),
                image: 0,
                reset_vector: Some((0x1000_0000, 0x1000_1FFF)),
            }];
        },
        ..Setup::ONE
    };
    for (reset, good) in
        [(0x1000_0401, true), (0x1000_1FFF, true), (0x1000_2000, false), (0x0FFF_FFFF, false)]
    {
        let sim = ota_sim::Version { major: 1, minor: 0, revision: 0, build: 0 };
        let file =
            ImageBuilder::with_random_payload(sim, 1200, 7).reset_vector(0x0800_0000, reset).unsigned();
        let mut t = Talk::judging(setup);
        t.on(20, block(&file, 0), if good { "ask Erase" } else { "record Ended" });
        if !good {
            t.on(20, In::Done, "update rel-1 REJECTED reason=wrong_slot updatedBy=0x90000 v1");
        }
    }
}

/// Only the first block can be judged, so nothing else is asked for before it is here.
#[test]
fn nothing_is_asked_for_beside_the_first_block() {
    let mut t = Talk::judging(Setup::ONE);
    t.dropped(20, block(&t.files[0].clone(), 1), Drop::OutOfWindow);
    assert_eq!(t.kind(), StateKind::Judging);
    t.until_published("blocks");
    assert_eq!(t.shown(), "blocks 0: 0");
}

/// Duplicate, out of the window, of another file, of another stream, too long, too short: dropped and counted.
#[test]
fn blocks_are_judged_not_obeyed() {
    let t = &mut Talk::downloading(Setup::ONE);
    let file = t.files[0].clone();
    let odd =
        |stream, id, number, data: &[u8]| In::Block { stream, file: id, block: number, data: data.to_vec() };
    let good = &file[512..1024];
    t.dropped(30, block(&file, 0), Drop::Duplicate);
    assert_eq!(t.agent.statistics().duplicates, 1);
    t.dropped(30, odd(STREAM, 0, 3, good), Drop::OutOfWindow);
    t.dropped(30, odd(STREAM, 0, u32::MAX, good), Drop::OutOfWindow);
    t.dropped(30, odd(STREAM, 1, 1, good), Drop::WrongFile);
    t.dropped(30, odd(STREAM, 256, 1, good), Drop::WrongFile);
    t.dropped(30, odd("stream-2", 0, 1, good), Drop::Unknown);
    t.dropped(30, odd(STREAM, 0, 1, &[]), Drop::WrongLength);
    t.dropped(30, odd(STREAM, 0, 1, &file[512..1023]), Drop::WrongLength);
    t.dropped(30, odd(STREAM, 0, 1, &file[511..1024]), Drop::WrongLength);
    // The last block is as long as the file is, no longer.
    t.dropped(30, odd(STREAM, 0, 2, good), Drop::WrongLength);
    let garbage =
        In::Message { topic: format!("$aws/things/dev-7/streams/{STREAM}/data/cbor"), payload: "x".into() };
    t.dropped(30, garbage, Drop::Undecodable);
    let foreign = In::Message { topic: "factory/light".into(), payload: "on".into() };
    t.dropped(30, foreign, Drop::Unknown);
    assert_eq!(t.agent.statistics().blocks_received, 1);
    // None of it held the good one up.
    t.on(40, block(&file, 2), "write 0 1024..1272");
    t.on(40, In::Done, "receive until 2540");
    t.on(50, block(&file, 1), "write 0 512..1024 hash");
}

/// A block that is late counts like any other; nothing but what is missing is asked for again.
#[test]
fn what_is_overdue_is_asked_for_again() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, block(&t.files[0], 2), "write 0 1024..1272");
    t.on(30, In::Done, "receive until 2530");
    t.idle("blocks 0: 1");
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now + 1, block(&t.files[0], 1), "write 0 512..1024 hash");
    t.on(now + 1, In::Done, "record Downloading");
}

/// Nothing comes at all: a bounded number of requests with growing pauses, then the reason.
#[test]
fn a_bounded_number_of_useless_requests_fails_the_job() {
    let setup = Setup { tweak: |config| config.useless_max = 3, ..Setup::ONE };
    for refused in [false, true] {
        let mut t = Talk::judging(setup);
        let mut requests = 1;
        let mut last = t.now;
        let mut gaps = vec![];
        while !t.shown().starts_with("record") {
            let now = t.now;
            if t.shown().starts_with("blocks") {
                requests += 1;
                gaps.push(now - last);
                last = now;
                t.on(now, if refused { In::Refused } else { In::Done }, "…");
            } else if t.shown().starts_with("receive") || t.shown().starts_with("pause") {
                t.idle("…");
            } else {
                // What has become of the job is asked in between; nobody answers that either.
                t.on(now, In::Done, "…");
            }
        }
        assert!((3..=5).contains(&requests), "{requests}");
        assert!(gaps.iter().all(|gap| *gap >= 1000), "{gaps:?}");
        let now = t.now;
        t.on(now, In::Done, "update rel-1 FAILED reason=no_blocks_received updatedBy=0x90000 v1");
    }
}

#[test]
fn a_refused_stream_fails_the_job_and_a_failing_one_is_asked_again() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, stream_refused("InternalError"), "receive until 2520");
    t.idle("…");
    assert_eq!(t.kind(), StateKind::Downloading);
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, stream_refused("ResourceNotFound"), "record Ended");
    t.on(30, In::Done, "update rel-1 FAILED reason=stream_rejected: 0x0000000…");
}

#[test]
fn progress_is_published_without_token() {
    let setup = Setup { tweak: |config: &mut Config<'static>| config.progress_blocks = 1, ..Setup::ONE };
    let mut t = Talk::judging(setup);
    t.on(20, block(&t.files[0], 0), "ask Erase");
    t.on(20, In::Yes, "record Downloading");
    t.on(20, In::Done, "erase 0/7");
    t.on(20, In::Done, "erase 0/0");
    t.on(20, In::Done, "write 0 0..512 hash");
    t.on(20, In::Done, "blocks 0: 1 2");
    t.on(20, In::Done, "erase 0/1");
    t.on(20, In::Done, "update rel-1 IN_PROGRESS receive=1/3 v1");
    t.on(20, In::Done, "receive until 2520");
    // The execution is IN_PROGRESS and its version one more: what is reported next expects that.
    t.on(30, progress_accepted(), "receive until 2520");
    t.on(40, In::Say(ota_core::command::Command::Abort), "record Ended");
    t.on(40, In::Done, "update rel-1 FAILED reason=aborted updatedBy=0x90000 v2");
}

/// Flash that fails is tried again in its place, then the job fails; a failure is never counted as held.
#[test]
fn flash_that_fails_three_times_fails_the_job() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, block(&t.files[0], 2), "write 0 1024..1272");
    t.on(30, In::Flash(FlashError::ReadBack), "record Downloading");
    t.on(30, In::Done, "erase 0/1");
    t.on(30, In::Flash(FlashError::Driver), "record Downloading");
    t.on(30, In::Done, "erase 0/1");
    t.on(30, In::Flash(FlashError::Driver), "record Ended");
    assert_eq!(t.agent.progress(), (1, 3));
    t.on(30, In::Done, "update rel-1 FAILED reason=flash_failed: 0x0000000…");
}

/// After a power cut what the journal knows is not fetched again, and what it cannot know is compared.
#[test]
fn a_download_goes_on_after_a_power_cut() {
    let setup = Setup { tweak: |config| config.record_blocks = 1, ..Setup::ONE };
    for (compared, expected) in [
        (Compared::Equal, "record Downloading"),
        (Compared::Blank, "write 0 512..1024"),
        (Compared::Different, "record Downloading"),
    ] {
        let mut t = Talk::judging(setup);
        t.on(20, block(&t.files[0], 0), "ask Erase");
        t.on(20, In::Yes, "record Downloading");
        for expected in ["erase 0/7", "erase 0/0", "write 0 0..512 hash", "record Downloading"] {
            t.on(20, In::Done, expected);
        }
        let mut t = t.reboot(&[OLD]);
        t.on(520, In::Done, "receive …");
        t.on(530, crate::wire::held(job()), "ask Start");
        t.on(530, In::Yes, "record Downloading");
        for expected in ["subscribe stream", "blocks 0: 1 2", "hash 0 0..512", "receive …"] {
            t.on(530, In::Done, expected);
        }
        assert_eq!(t.agent.statistics().resumed_blocks, 1);
        t.on(540, block(&t.files[0], 1), "erase 0/7");
        t.on(540, In::Done, "compare 0 512..1024 hash");
        let hash = if compared == Compared::Blank { " hash" } else { "" };
        t.on(540, In::Compared(compared), &format!("{expected}{hash}"));
        assert_eq!(t.agent.statistics().sectors_given_up, u32::from(compared == Compared::Different));
    }
}

/// What does not verify never will: it is forgotten, so that the next try does not go on from it.
#[test]
fn a_bad_signature_invalidates_what_flash_holds() {
    for (error, reason) in [
        (VerifyError::BadSignature, "signature_invalid: 0x00000001"),
        (VerifyError::ImageHash, "image_hash_mismatch: 0x00000005"),
        (VerifyError::ImageSignature, "image_signature_invalid: 0x00000006"),
        (VerifyError::NoKey, "key_invalid: 0x00000008"),
    ] {
        let mut t = Talk::verifying(Setup::ONE);
        t.on(50, In::Invalid(error), "record Ended");
        assert_eq!(t.journal.unwrap().front(), 0);
        t.on(50, In::Done, &format!("update rel-1 FAILED reason={reason} updatedBy=0x90000 v1"));
        t.on(50, In::Done, "receive until 5050");
        t.on(60, accepted("FAILED", 2), "record Idle");
        t.on(60, In::Done, "get $next");
        t.on(60, In::Done, "receive until 5060");
        t.on(70, next(job().id("rel-2")), "ask Start");
        t.on(70, In::Yes, "blocks 0: 0");
        assert_eq!(t.agent.statistics().resumed_blocks, 0);
    }
}

/// Over an image that the next reset takes back nothing is downloaded: its slot is the way back.
#[test]
fn no_download_while_a_revert_is_pending() {
    let mut t = Talk::new(Setup::ONE);
    let file = t.files[0].clone();
    let unconfirmed = device::tests(&file, Revert::Yes);
    t.boot(&[unconfirmed]);
    assert_eq!(t.kind(), StateKind::Testing);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, next(job().id("rel-2")), "receive until 60000");
    assert_eq!(t.agent.job_id(), "");
    // Unknown and no do not block.
    for revert in [Revert::No, Revert::Unknown] {
        let mut t = Talk::new(Setup::ONE);
        t.boot(&[ota_core::boot::ImageState { revert, request: Request::None, ..OLD }]);
        t.on(0, In::Done, "receive until 5000");
        t.on(10, next(job()), "ask Start");
    }
}
