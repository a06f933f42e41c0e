//! Several files in one job: judged, written and verified one after the other, image 1 before image 0.

use ota_core::agent::{Config, Destination};
use ota_core::boot::{Revert, Withdrawn};
use ota_core::command::Command;
use ota_core::slot::FlashError;

use crate::device::{self, OLD};
use crate::talk::{In, Setup, Talk};
use crate::wire::{Job, accepted, block_of, document, file_member, held, job, next};

const fn to(image: u8, file_id: u8) -> Destination {
    Destination { file_type: None, file_id: Some(file_id), image, reset_vector: None }
}

const DESTINATIONS: &[Destination] = &[to(0, 0), to(1, 1)];

const TWO: Setup = Setup {
    images: 2,
    tweak: |config: &mut Config<'static>| config.destinations = DESTINATIONS,
    ..Setup::ONE
};

fn two_files(files: &[Vec<u8>]) -> Job {
    let members = [file_member(0, files[0].len(), &[1]), file_member(1, files[1].len(), &[2])];
    job().document(&document(&members))
}

/// Both files are verified, and need each other if `mutual`.
fn verified(mutual: bool) -> Talk {
    let mut t = Talk::online(TWO);
    let needs = |image| mutual.then_some((image, (1, 0, 0)));
    t.files = vec![device::file((1, 0, 0), needs(1)), device::file((1, 0, 0), needs(0))];
    t.on(0, In::Done, "receive until 5000");
    t.on(10, next(two_files(&t.files)), "ask Start");
    t.on(10, In::Yes, "subscribe stream");
    for (id, image) in [(1, 1), (0, 0)] {
        let file = t.files[image].clone();
        if image == 1 {
            t.on(10, In::Done, &format!("blocks {id}: 0"));
        }
        t.on(10, In::Done, "receive …");
        // Agreed to erase once for the job.
        let first = if image == 1 { "ask Erase" } else { "record Downloading" };
        t.on(10, block_of(id, &file, 0), first);
        if image == 1 {
            t.on(10, In::Yes, "record Downloading");
        }
        t.on(10, In::Done, &format!("erase {image}/7"));
        t.on(10, In::Done, &format!("erase {image}/0"));
        t.on(10, In::Done, &format!("write {image} 0..512 hash"));
        t.on(10, In::Done, &format!("blocks {id}: 1 2"));
        t.on(10, In::Done, &format!("erase {image}/1"));
        t.on(10, In::Done, "receive …");
        t.on(10, block_of(id, &file, 1), &format!("write {image} 512..1024 hash"));
        t.on(10, In::Done, "receive …");
        t.on(10, block_of(id, &file, 2), &format!("write {image} 1024..{} hash", file.len()));
        t.on(10, In::Done, "record Downloading");
        t.on(10, In::Done, &format!("verify {image} {}", file.len()));
        if image == 1 {
            t.on(10, In::Verified, "blocks 0: 0");
        }
    }
    t
}

fn activating() -> Talk {
    let mut t = verified(true);
    t.on(20, In::Verified, "record Verified");
    t.on(20, In::Done, "update rel-1 IN_PROGRESS self_test=ready updatedBy=0x90000 v1");
    t.on(20, In::Done, "receive …");
    t.on(30, accepted("IN_PROGRESS", 2), "record Ready");
    t.on(30, In::Done, "ask Activate");
    t.on(30, In::Yes, "set pending 1");
    t
}

/// All are verified before any is set pending; image 1 first, the application last; both are tested and confirmed.
#[test]
fn two_images_go_together() {
    let mut t = activating();
    t.on(30, In::Done, "set pending 0");
    t.on(30, In::Done, "record Pending");
    t.on(30, In::Done, "get rel-1 bare");
    t.on(30, In::Done, "receive …");
    t.idle("reset");
    let states = [
        device::tests(&t.files[0], Revert::Yes),
        ota_core::boot::ImageState {
            running: Some(device::token(1, &t.files[1]).info()),
            ..device::tests(&t.files[0], Revert::Yes)
        },
    ];
    let mut t = t.reboot(&states);
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now, held(job().is("IN_PROGRESS", 2)), "update rel-1 IN_PROGRESS self_test=active …");
    t.on(now, In::Done, "receive …");
    t.on(now, accepted("IN_PROGRESS", 3), "receive …");
    t.on(now, In::Say(Command::SelfTestPassed), "confirm 0");
    t.on(now, In::Done, "confirm 1");
    t.on(now, In::Done, "record Confirmed");
    t.on(now, In::Done, "update rel-1 SUCCEEDED …");
}

/// Only one of the two was exchanged: that is the truth, and it is told.
#[test]
fn a_mixture_is_reported() {
    let mut t = activating();
    t.on(30, In::Done, "set pending 0");
    t.on(30, In::Done, "record Pending");
    let state = device::tests(&t.files[0], Revert::No);
    let t = t.reboot(&[state, OLD]);
    assert_eq!(t.shown(), "update rel-1 FAILED reason=mixed_images updatedBy=0x90000 v2");
}

/// Where a reset takes the exchanged one back, one is spent on it, and no second one.
#[test]
fn a_mixture_under_test_is_taken_back_once() {
    let mut t = activating();
    t.on(30, In::Done, "set pending 0");
    t.on(30, In::Done, "record Pending");
    let state = device::tests(&t.files[0], Revert::Yes);
    let t = t.reboot(&[state, OLD]);
    assert_eq!(t.shown(), "reset");
    assert_eq!(t.journal.unwrap().first_boots(), 1);
    let t = t.reboot(&[state, OLD]);
    assert_eq!(t.shown(), "update rel-1 FAILED reason=mixed_images updatedBy=0x90000 v2");
}

/// An image cannot be confirmed, and the bootloader does not take it back, because the other one needs it: the device does not
/// reset for ever.
#[test]
fn a_confirmation_that_fails_ends() {
    let mut t = activating();
    t.on(30, In::Done, "set pending 0");
    t.on(30, In::Done, "record Pending");
    let first = device::tests(&t.files[0], Revert::Yes);
    let running = Some(device::token(1, &t.files[1]).info());
    let states = [first, ota_core::boot::ImageState { running, ..first }];
    for expected in ["record Testing", "record Testing", "record Ended"] {
        t = t.reboot(&states);
        t.on(t.now, In::Done, "receive …");
        t.on(t.now, In::Say(Command::SelfTestPassed), "confirm 0");
        t.on(t.now, In::Flash(FlashError::NotErased), "confirm 0");
        t.on(t.now, In::Flash(FlashError::NotErased), "confirm 0");
        t.on(t.now, In::Flash(FlashError::NotErased), expected);
        if expected == "record Testing" {
            t.on(t.now, In::Done, "reset");
        }
    }
    assert_eq!(t.journal.unwrap().reason(), ota_core::status::Reason::ConfirmFailed.number());
}

/// Images that could boot one without the other are policy's to accept.
#[test]
fn images_that_do_not_need_each_other_are_asked_about() {
    for (answer, expected) in
        [(In::Yes, "record Verified"), (In::No, "record Ended"), (In::Later(9), "record Ended")]
    {
        let mut t = verified(false);
        t.on(20, In::Verified, "ask NotMutual");
        let failed = expected == "record Ended";
        t.on(20, answer, expected);
        if failed {
            t.on(
                20,
                In::Done,
                "update rel-1 FAILED reason=images_not_mutually_dependent updatedBy=0x90000 v1",
            );
        }
    }
}

/// The second request fails, the first stands: a cancel takes both back.
#[test]
fn a_cancel_between_two_requests_withdraws_both() {
    for cut in [In::Flash(FlashError::ReadBack), In::Lost] {
        let mut t = activating();
        t.on(30, In::Done, "set pending 0");
        t.on(30, cut, "hash 1 0..…");
        for _ in 0..2 {
            t.on(30, In::Done, "verify …");
            t.on(30, In::Verified, "…");
        }
        assert_eq!(t.shown(), "ask Activate");
        t.on(30, In::Later(60_000), "…");
        while !t.shown().starts_with("receive") {
            if t.shown().starts_with("pause") {
                t.idle("…");
            } else {
                t.on(t.now, In::Done, "…");
            }
        }
        let now = t.now;
        t.on(now, In::Say(Command::CheckNow), "…");
        if t.shown().starts_with("get") {
            t.on(now, In::Done, "receive …");
        }
        t.on(now, Talk::canceled(job()), "withdraw 0");
        t.on(now, In::Withdrawn(Withdrawn::ImageKept), "withdraw 1");
        t.on(now, In::Withdrawn(Withdrawn::ImageKept), "record …");
        t.on(now, In::Done, "get $next");
    }
}

/// After a power cut between the files the first one is verified again and not fetched again.
#[test]
fn the_first_file_is_not_fetched_again() {
    let mut t = verified(true).reboot(&[OLD, OLD]);
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now, held(two_files(&t.files)), "ask Start");
    let size = t.files[1].len();
    t.on(now, In::Yes, &format!("hash 1 0..{size}"));
    t.on(now, In::Done, &format!("verify 1 {size}"));
    t.on(now, In::Verified, &format!("hash 0 0..{size}"));
    t.on(now, In::Done, &format!("verify 0 {size}"));
    t.on(now, In::Verified, "record Verified");
    assert_eq!(t.agent.statistics().blocks_received, 0);
}
