//! After a reset: what happened is derived from the journal and from what boots.

use ota_core::agent::{Config, StateKind};
use ota_core::boot::{ImageState, Revert};
use ota_core::command::Command;
use ota_core::geometry::BootMode;
use ota_core::journal::Phase;
use ota_core::slot::FlashError;
use ota_core::status::{Ended, Reason};

use crate::device::{self, OLD, REVERTED};
use crate::talk::{In, Setup, Talk};
use crate::wire::{accepted, block, document, file_member, held, job, next, no_job, refused_stored};

const STATUS: Setup = Setup { mode: BootMode::SwapStatus, ..Setup::ONE };
const OVERWRITE: Setup = Setup { mode: BootMode::Overwrite, ..Setup::ONE };

/// Pending; then the reset.
fn swapped(setup: Setup, state: fn(&[u8]) -> ImageState) -> Talk {
    let mut t = Talk::pending(setup);
    t.idle("reset");
    let state = state(&t.files[0]);
    t.reboot(&[state])
}

#[test]
fn a_failed_test_resets_where_that_reverts() {
    for say in [In::Say(Command::SelfTestFailed), In::Timeout] {
        let mut t = Talk::testing(Setup::ONE, Revert::Yes);
        // The deadline counts from boot.
        t.on(60_570, say, "record Testing");
        t.on(60_570, In::Done, "reset");
        let mut t = t.reboot(&[REVERTED]);
        let now = t.now;
        assert_eq!(t.shown(), "update rel-1 FAILED reason=reverted updatedBy=0x90000 v3");
        t.on(now, In::Done, "receive …");
        t.on(now, accepted("FAILED", 4), "record …");
        assert_eq!(t.ended, Some(Ended::Failed(Reason::Reverted)));
    }
}

/// The flags announce a revert that the bootloader refuses at each reset: swap-scratch has found the old image damaged, erased
/// it, and leaves the flags. Two resets are spent, be it the test that fails or the confirm, with a job or without.
#[test]
fn a_revert_that_never_comes_is_not_waited_for_for_ever() {
    let fails = |t: &mut Talk, confirm: bool, end: &str| {
        let now = t.now;
        if confirm {
            t.on(now, In::Say(Command::SelfTestPassed), "confirm 0");
            t.on(now, In::Flash(FlashError::Trailer), "confirm 0");
            t.on(now, In::Flash(FlashError::Trailer), "confirm 0");
            t.on(now, In::Flash(FlashError::Trailer), end);
        } else {
            t.on(now, In::Say(Command::SelfTestFailed), end);
        }
    };
    for (confirm, reason) in [(false, "self_test_failed_no_revert"), (true, "confirm_failed")] {
        for has_job in [true, false] {
            let mut t = if has_job { Talk::testing(Setup::ONE, Revert::Yes) } else { Talk::new(Setup::ONE) };
            let state = device::tests(&t.files[0].clone(), Revert::Yes);
            if !has_job {
                t.boot(&[state]);
                t.on(t.now, In::Done, "receive …");
            }
            for resets in 1..=2 {
                fails(&mut t, confirm, "record Testing");
                t.on(t.now, In::Done, "reset");
                assert_eq!(t.journal.unwrap().first_boots(), resets);
                t = t.reboot(&[state]);
                assert_eq!(t.kind(), StateKind::Testing);
                t.on(t.now, In::Done, "receive …");
            }
            if has_job {
                fails(&mut t, confirm, "record Ended");
                let told = format!("update rel-1 FAILED reason={reason} updatedBy=0x90000 v3");
                t.on(t.now, In::Done, &told);
            } else {
                // Nobody is told; the device runs on and takes the next job.
                fails(&mut t, confirm, "record Idle");
                t.on(t.now, In::Done, "get $next");
                t.on(t.now, In::Done, "receive …");
                assert_eq!(t.agent.record().first_boots(), 2);
                let offered = job().document(&document(&[file_member(0, t.files[0].len(), &[1])]));
                t.on(t.now, next(offered), "…");
                assert_eq!(t.agent.record().first_boots(), 0, "the next job has its own");
            }
        }
    }
}

/// Nobody knows whether a reset reverts: one reset finds out.
#[test]
fn a_failed_test_resets_once_where_nobody_knows() {
    let mut t = Talk::testing(STATUS, Revert::Unknown);
    t.on(600, In::Say(Command::SelfTestFailed), "record Testing");
    assert_eq!(t.journal.unwrap().first_boots(), 1);
    t.on(600, In::Done, "reset");
    let (journal, files, now) = (t.journal, t.files.clone(), t.now);
    // It was taken back.
    let mut back = t.reboot(&[REVERTED]);
    assert_eq!(back.shown(), "update rel-1 FAILED reason=reverted updatedBy=0x90000 v3");
    back.on(back.now, In::Done, "receive …");
    // It was not: it keeps running, and the truth is told.
    let mut t = Talk::new(STATUS);
    (t.journal, t.files, t.now) = (journal, files, now + 500);
    let state = device::tests(&t.files[0], Revert::Unknown);
    t.boot(&[state]);
    assert_eq!(t.kind(), StateKind::Testing);
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now, In::Say(Command::SelfTestFailed), "record Ended");
    t.on(now, In::Done, "update rel-1 FAILED reason=self_test_failed_no_revert updatedBy=0x90000 v3");
}

/// A reset that the next boot would not remember would be spent again and again: none is.
#[test]
fn a_failed_test_does_not_reset_where_nothing_is_remembered() {
    let mut t = Talk::new(STATUS);
    t.boot(&[ImageState { confirmed: false, revert: Revert::Unknown, ..OLD }]);
    t.on(0, In::Done, "receive until 5000");
    let job = job().is("IN_PROGRESS", 3).with("self_test", "active").with("updatedBy", "0x80000");
    t.on(10, next(job), "record Testing");
    t.on(10, In::Done, "update rel-1 IN_PROGRESS self_test=active …");
    t.on(10, In::Done, "receive …");
    t.on(20, In::Say(Command::SelfTestFailed), "record Ended");
    t.on(20, In::Done, "update rel-1 FAILED reason=self_test_failed_no_revert …");
}

#[test]
fn a_failed_test_keeps_running_where_nothing_reverts() {
    let mut t = Talk::testing(OVERWRITE, Revert::No);
    t.on(600, In::Say(Command::SelfTestFailed), "record Ended");
    t.on(600, In::Done, "update rel-1 FAILED reason=self_test_failed_no_revert updatedBy=0x90000 v3");
    t.on(600, In::Done, "receive until 5600");
    t.on(610, accepted("FAILED", 4), "record Idle");
    assert_eq!(t.ended, Some(Ended::Failed(Reason::SelfTestFailedNoRevert)));
    t.on(610, In::Done, "get $next");
}

/// Confirm reads back; where it fails three times it is a failed test.
#[test]
fn confirm_is_tried_three_times() {
    let mut t = Talk::testing(Setup::ONE, Revert::Yes);
    t.on(600, In::Say(Command::SelfTestPassed), "confirm 0");
    t.on(600, In::Flash(FlashError::ReadBack), "confirm 0");
    t.on(600, In::Flash(FlashError::ReadBack), "confirm 0");
    t.on(600, In::Flash(FlashError::ReadBack), "record Testing");
    t.on(600, In::Done, "reset");
    let mut t = Talk::testing(OVERWRITE, Revert::No);
    t.on(600, In::Say(Command::SelfTestPassed), "confirm 0");
    t.on(600, In::Flash(FlashError::ReadBack), "confirm 0");
    t.on(600, In::Flash(FlashError::ReadBack), "confirm 0");
    t.on(600, In::Flash(FlashError::ReadBack), "record Ended");
    t.on(600, In::Done, "update rel-1 FAILED reason=confirm_failed updatedBy=0x90000 v3");
}

/// The power goes between confirm and its record: the trailer knows.
#[test]
fn a_confirm_the_journal_missed_is_seen() {
    let mut t = Talk::testing(Setup::ONE, Revert::Yes);
    t.on(600, In::Say(Command::SelfTestPassed), "confirm 0");
    let state = device::tests(&t.files[0], Revert::No);
    let t = t.reboot(&[ImageState { confirmed: true, ..state }]);
    // The version of the journal's last record; should it be old, the refusal names the right one.
    assert_eq!(t.shown(), "update rel-1 SUCCEEDED reason=accepted v1.0.0 updatedBy=0x90000 v2");
}

/// `updatedBy` keeps naming the version that did the download, whatever runs and however often the power goes.
#[test]
fn a_power_cut_in_the_test_starts_the_test_again() {
    let t = Talk::testing(Setup::ONE, Revert::Yes);
    let state = device::tests(&t.files[0], Revert::Yes);
    let mut t = t.reboot(&[state]);
    assert_eq!(t.kind(), StateKind::Testing);
    let now = t.now;
    t.on(now, In::Done, "receive …");
    let answer = held(job().is("IN_PROGRESS", 3).with("self_test", "active").with("updatedBy", "0x90000"));
    t.on(now, answer, "update rel-1 IN_PROGRESS self_test=active updatedBy=0x90000 v3");
}

#[test]
fn pending_but_never_booted_is_not_swapped() {
    let mut t = swapped(Setup::ONE, |_| OLD);
    assert_eq!(t.shown(), "update rel-1 FAILED reason=not_swapped updatedBy=0x90000 v2");
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now, accepted("FAILED", 3), "record …");
    assert_eq!(t.ended, Some(Ended::Failed(Reason::NotSwapped)));
}

/// The new image ran, never came as far as its first record, and MCUboot took it back.
#[test]
fn a_revert_nobody_recorded_is_seen() {
    let t = swapped(Setup::ONE, |_| REVERTED);
    assert_eq!(t.shown(), "update rel-1 FAILED reason=reverted updatedBy=0x90000 v2");
}

/// The old image and no request yet: what flash holds is verified again and the update goes on.
#[test]
fn a_power_cut_before_pending_goes_on() {
    for (reach, question) in [
        (Talk::verified as fn(Setup) -> Talk, "update rel-1 IN_PROGRESS self_test=ready …"),
        (Talk::ready, "ask Activate"),
    ] {
        let mut t = reach(Setup::ONE).reboot(&[OLD]);
        let now = t.now;
        assert_eq!(t.shown(), "get rel-1");
        t.on(now, In::Done, "receive …");
        t.on(now, held(job().is("IN_PROGRESS", 2)), "ask Start");
        t.on(now, In::Yes, "hash 0 0..1272");
        t.on(now, In::Done, "verify 0 1272");
        // The journal knows.
        t.on(now, In::Verified, question);
        assert_eq!(t.agent.statistics().blocks_received, 0);
    }
}

/// A status that is owed outlives power cuts, until it is accepted.
#[test]
fn an_owed_status_is_sent_until_accepted() {
    let mut t = swapped(Setup::ONE, |_| OLD);
    for _ in 0..3 {
        let update = "update rel-1 FAILED reason=not_swapped updatedBy=0x90000 v2";
        assert_eq!(t.shown(), update);
        let now = t.now;
        t.on(now, In::Done, "receive …");
        t.idle("receive …");
        t.idle(update);
        t = t.reboot(&[OLD]);
    }
    let now = t.now;
    t.on(now, In::Done, "receive …");
    // It had been accepted all along.
    let stored = r#""reason":"not_swapped""#;
    t.on(now, refused_stored("InvalidStateTransition", "FAILED", 3, stored), "record …");
    assert_eq!(t.ended, Some(Ended::Failed(Reason::NotSwapped)));
    t.on(now, In::Done, "get $next");
    let confirmed = Talk::confirmed(Setup::ONE);
    let state = device::tests(&confirmed.files[0], Revert::No);
    let t = confirmed.reboot(&[ImageState { confirmed: true, ..state }]);
    assert_eq!(t.shown(), "update rel-1 SUCCEEDED reason=accepted v1.0.0 updatedBy=0x90000 v3");
}

/// A rejection that is owed names the version that runs, also after a power cut.
#[test]
fn an_owed_rejection_outlives_a_power_cut() {
    let mut t = Talk::offered(Setup::ONE);
    let zero = document(&[file_member(0, 0, &[1])]);
    t.on(10, In::Later(1000), "receive …");
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, next(job().document(&zero)), "record Ended");
    let t = t.reboot(&[OLD]);
    assert_eq!(t.shown(), "update rel-1 REJECTED reason=zero_size updatedBy=0x90000 v1");
}

/// The image that was reverted is not fetched again: not under the same signature, and not under another one.
#[test]
fn an_image_that_was_reverted_is_not_tried_again() {
    for (signature, answer) in [(1, In::No), (1, In::Yes), (2, In::No), (2, In::Yes)] {
        let mut t = Talk::testing(Setup::ONE, Revert::Yes);
        t.on(600, In::Say(Command::SelfTestFailed), "record Testing");
        t.on(600, In::Done, "reset");
        let mut t = t.reboot(&[REVERTED]);
        let now = t.now;
        t.on(now, In::Done, "receive …");
        t.on(now, accepted("FAILED", 4), "record …");
        assert_ne!(t.journal.unwrap().reverted(), &[0; 32]);
        t.on(now, In::Done, "get $next");
        t.on(now, In::Done, "receive …");
        let again = document(&[file_member(0, t.files[0].len(), &[signature])]);
        if signature == 1 {
            t.on(now, next(job().id("rel-2").document(&again)), "ask RevertedBefore");
        } else {
            // The same image signed anew: known by its hash when flash holds it.
            t.on(now, next(job().id("rel-2").document(&again)), "ask Start");
            t.on(now, In::Yes, "subscribe stream");
            for number in 0..3 {
                while !t.shown().starts_with("receive") {
                    t.on(now, if t.shown().starts_with("ask") { In::Yes } else { In::Done }, "…");
                }
                t.on(now, block(&t.files[0].clone(), number), "…");
            }
            while !t.shown().starts_with("verify") {
                t.on(now, In::Done, "…");
            }
            t.on(now, In::Verified, "ask RevertedBefore");
        }
        match (signature, answer) {
            (_, In::No) => {
                t.on(now, In::No, "record Ended");
                t.on(now, In::Done, "update rel-2 REJECTED reason=reverted_before updatedBy=0x90000 v1");
            }
            (1, _) => {
                t.on(now, In::Yes, "record …");
                assert_eq!(t.journal.unwrap().reverted(), &[0; 32]);
                t.on(now, In::Done, "ask Start");
            }
            (_, _) => {
                t.on(now, In::Yes, "record Verified");
                assert_eq!(t.journal.unwrap().reverted(), &[0; 32]);
                t.on(now, In::Done, "update rel-2 IN_PROGRESS self_test=ready …");
            }
        }
    }
}

/// The version rule again after the reboot: what runs is older than what did the download.
#[test]
fn a_downgrade_that_got_through_is_asked_about_after_the_reboot() {
    for (answer, expected) in [(In::Yes, "connect"), (In::No, "record Testing")] {
        let mut t =
            Talk::pending(Setup { tweak: |c: &mut Config<'static>| c.running_version = None, ..Setup::ONE });
        t.idle("reset");
        // The record names 2.0.0 as the version that did the download.
        t.journal.as_mut().unwrap().set_updated_by(0x0200_0000);
        let state = device::tests(&t.files[0], Revert::Yes);
        let mut t = t.reboot(&[state]);
        let now = t.now;
        assert_eq!(t.shown(), "ask Downgrade 2.0.0 to 1.0.0");
        t.on(now, answer, expected);
    }
}

/// An image under test that no journal knows: the cloud says which job it belongs to.
#[test]
fn an_unknown_image_under_test_finds_its_job() {
    let mut t = Talk::new(Setup::ONE);
    let state = device::tests(&t.files[0].clone(), Revert::Yes);
    t.boot(&[state]);
    assert_eq!(t.kind(), StateKind::Testing);
    t.on(0, In::Done, "receive until 5000");
    let answer = next(job().is("IN_PROGRESS", 7).with("self_test", "ready").with("updatedBy", "0x90000"));
    t.on(10, answer, "update rel-1 IN_PROGRESS self_test=active updatedBy=0x90000 v7");
    t.on(10, In::Done, "receive until 5010");
    t.on(20, accepted("IN_PROGRESS", 8), "receive until 60000");
    t.on(30, In::Say(Command::SelfTestPassed), "confirm 0");
    t.on(30, In::Done, "record Confirmed");
    t.on(30, In::Done, "update rel-1 SUCCEEDED reason=accepted v1.0.0 updatedBy=0x90000 v8");
}

#[test]
fn an_unknown_image_without_a_job_is_tested_all_the_same() {
    for (say, expected) in
        [(Command::SelfTestPassed, "confirm 0"), (Command::SelfTestFailed, "record Testing")]
    {
        let mut t = Talk::new(Setup::ONE);
        let state = device::tests(&t.files[0].clone(), Revert::Yes);
        t.boot(&[state]);
        t.on(0, In::Done, "receive until 5000");
        t.on(10, no_job(), "receive until 60000");
        t.on(20, In::Say(say), expected);
    }
}

/// No journal: versions and the boot state are left to go by.
#[test]
fn without_a_journal_the_versions_decide() {
    let activated =
        |updated_by| job().is("IN_PROGRESS", 3).with("self_test", "active").with("updatedBy", updated_by);
    for (updated_by, state, expected) in [
        ("0x80000", OLD, "record Confirmed"),
        ("0x80000", ImageState { confirmed: false, ..OLD }, "record Testing"),
        ("0x90000", OLD, "record Ended"),
        ("0x90000", REVERTED, "record Ended"),
        ("0xA0000", OLD, "record Ended"),
    ] {
        let mut t = Talk::new(Setup::ONE);
        t.boot(&[state]);
        t.on(0, In::Done, "receive until 5000");
        t.on(10, next(activated(updated_by)), expected);
        if expected == "record Ended" {
            let reason = if state.reverted {
                "reverted"
            } else if updated_by == "0x90000" {
                "not_swapped"
            } else {
                "downgrade"
            };
            let update =
                format!("update rel-1 FAILED reason={reason} updatedBy={} v3", updated_by.to_lowercase());
            t.on(10, In::Done, &update);
        }
    }
}

/// A bootloader may erase what it refuses, and a swap leaves something else: nothing of it is promised any more.
#[test]
fn what_a_bootloader_had_its_hands_on_is_fetched_again() {
    for (state, reason) in [(OLD, "not_swapped"), (REVERTED, "reverted")] {
        let mut t = Talk::pending(Setup::ONE);
        t.idle("reset");
        assert_eq!(t.journal.unwrap().file_index(), 1);
        let t = t.reboot(&[state]);
        assert_eq!(t.shown(), format!("update rel-1 FAILED reason={reason} updatedBy=0x90000 v2"));
        let record = t.journal.unwrap();
        assert_eq!((record.phase(), record.file_index(), record.front()), (Phase::Ended, 0, 0));
    }
}

/// Confirmed before the service was heard, with no journal to remember: what this life confirmed counts.
#[test]
fn a_confirmation_before_the_job_is_known_is_reported() {
    for setup in [Setup::ONE, STATUS] {
        let mut t = Talk::new(setup);
        let state = device::tests(&t.files[0].clone(), Revert::Yes);
        t.boot(&[state]);
        t.on(0, In::Done, "receive until 5000");
        t.on(10, In::Say(Command::SelfTestPassed), "confirm 0");
        t.on(10, In::Done, "record …");
        t.on(10, In::Done, "receive …");
        let activated = job().is("IN_PROGRESS", 3).with("self_test", "ready").with("updatedBy", "0x90000");
        t.on(70_000, next(activated), "record Confirmed");
        t.on(70_000, In::Done, "update rel-1 SUCCEEDED reason=accepted v1.0.0 updatedBy=0x90000 v3");
    }
}

/// Whatever its document says, or that it does not fit the buffer: the job was activated before.
#[test]
fn a_job_in_test_needs_no_document() {
    let activated = || job().is("IN_PROGRESS", 3).with("self_test", "ready").with("updatedBy", "0x80000");
    for answer in [activated().bare(), activated().document(r#"{"afr_ota":{}}"#)] {
        let mut t = Talk::new(Setup::ONE);
        t.boot(&[OLD]);
        t.on(0, In::Done, "receive …");
        t.on(10, next(answer), "record Confirmed");
    }
    // Another component's may say what it likes.
    let mut t = Talk::new(Setup::ONE);
    t.boot(&[OLD]);
    t.on(0, In::Done, "receive …");
    t.on(10, next(activated().document(r#"{"other":{}}"#)), "ask Custom");
}

/// The versions are all it takes: a document that never arrives turns no update that went through into one that failed.
#[test]
fn without_a_journal_and_without_the_document_the_versions_decide() {
    for (updated_by, expected) in
        [("0x80000", "SUCCEEDED reason=accepted v0.9.0"), ("0x90000", "FAILED reason=not_swapped")]
    {
        let mut t = Talk::new(Setup::ONE);
        t.boot(&[OLD]);
        while !t.shown().starts_with("update") {
            let (now, bare) = (t.now, t.shown() == "get $next bare");
            t.on(now, In::Done, "receive …");
            let activated =
                job().is("IN_PROGRESS", 3).with("self_test", "active").with("updatedBy", updated_by);
            match bare {
                true => t.on(now, next(activated.bare()), "…"),
                false => t.idle("receive …"),
            }
            let next = if t.shown().starts_with("record") { "update" } else { "get" };
            t.until_published(next);
        }
        assert_eq!(t.shown(), format!("update rel-1 {expected} updatedBy={updated_by} v3"));
    }
}

/// Where nothing but the cloud knows of a test, it begins when the cloud tells, however long that took.
#[test]
fn a_test_that_nobody_knew_of_has_its_time() {
    let mut t = Talk::online(OVERWRITE);
    t.on(0, In::Done, "receive until 5000");
    t.on(70_000, In::Link, "pause …");
    t.until_published("get $next");
    let now = t.now;
    t.on(now, In::Done, "receive …");
    let activated = job().is("IN_PROGRESS", 3).with("self_test", "ready").with("updatedBy", "0x80000");
    t.on(now, next(activated), "record Testing");
    t.on(now, In::Done, "update rel-1 IN_PROGRESS self_test=active updatedBy=0x80000 v3");
    t.on(now, In::Done, "receive …");
    t.on(now, accepted("IN_PROGRESS", 4), &format!("receive until {}", now + 60_000));
    t.idle("record Ended");
}

/// A power cut in the test of an image whose update no journal knew: found again the same way, and never stuck.
#[test]
fn an_unknown_test_outlives_a_power_cut() {
    let activated =
        || next(job().is("IN_PROGRESS", 3).with("self_test", "active").with("updatedBy", "0x80000"));
    let state = ImageState { confirmed: false, revert: Revert::Unknown, ..OLD };
    let mut t = Talk::new(STATUS);
    t.boot(&[state]);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, activated(), "record Testing");
    let mut t = t.reboot(&[state]);
    let now = t.now;
    assert_eq!(t.shown(), "get $next");
    t.on(now, In::Done, "receive …");
    t.on(now, activated(), "record Testing");
    assert_eq!(t.kind(), StateKind::Testing);
}

/// A test that failed with nobody to report to does not stop the device from asking for jobs.
#[test]
fn after_an_unknown_test_failed_jobs_are_asked_for() {
    let mut t = Talk::testing(OVERWRITE, Revert::No);
    t.on(600, In::Link, "pause …");
    t.idle("connect");
    t.until_published("get rel-1");
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now, Talk::canceled(job()), "record Testing");
    t.on(now, In::Done, "ask JobGoneInTest");
    t.on(now, In::Yes, "receive …");
    t.on(now, In::Say(Command::CheckNow), "get $next");
    t.on(now, In::Done, "receive …");
    t.on(now, In::Say(Command::SelfTestFailed), "record …");
    t.on(now, In::Done, "get $next");
    assert_eq!(t.ended, Some(Ended::Failed(Reason::SelfTestFailedNoRevert)));
}

/// The journal's flash fails: everything works but what the journal is for.
#[test]
fn a_failing_journal_costs_only_what_it_would_have_saved() {
    let mut t = Talk::judging(Setup::ONE);
    t.on(20, block(&t.files[0], 0), "ask Erase");
    t.on(20, In::Yes, "record Downloading");
    t.on(20, In::Flash(FlashError::Driver), "erase 0/7");
    assert_eq!(t.agent.statistics().records, 0);
    let mut t = Talk::new(Setup::ONE);
    t.on(0, In::Start, "inspect 0");
    t.on(0, In::Flash(FlashError::Driver), "load");
    t.on(0, In::Flash(FlashError::Driver), "connect");
    assert_eq!(t.kind(), StateKind::Idle);
    assert_eq!(t.agent.record().phase(), Phase::Idle);
}
