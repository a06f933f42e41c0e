//! How a job comes, goes on and goes away.

use ota_core::agent::StateKind;
use ota_core::boot::{Revert, Withdrawn};
use ota_core::command::Command;
use ota_core::journal::Phase;
use ota_core::status::{Ended, Reason};

use crate::device::{self, OLD};
use crate::talk::{In, Setup, Talk};
use crate::wire::{
    STREAM, accepted, block, describe_refused, document, file_member, held, job, next, no_job, notify,
    refused, refused_stored,
};

#[test]
fn a_whole_update() {
    let mut t = Talk::confirmed(Setup::ONE);
    t.on(1010, accepted("SUCCEEDED", 4), "record Idle");
    assert_eq!(t.ended, Some(Ended::Succeeded));
    t.on(1010, In::Done, "get $next");
    t.on(1010, In::Done, "receive until 6010");
    t.on(1020, no_job(), "receive until 21601020");
    assert_eq!(t.kind(), StateKind::Idle);
    assert_eq!(t.agent.job_id(), "");
}

#[test]
fn without_a_job_the_agent_asks_when_told_when_notified_and_now_and_then() {
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, no_job(), "receive until 21600010");
    t.on(20, notify(), "get $next");
    t.on(20, In::Done, "receive until 5020");
    t.on(30, no_job(), "receive until 21600030");
    t.on(40, In::Say(Command::CheckNow), "get $next");
    t.on(40, In::Done, "receive until 5040");
    t.on(50, no_job(), "receive until 21600050");
    t.idle("get $next");
}

/// An answer to an earlier request (same words, other token) is late, whoever it speaks of.
#[test]
fn answers_are_matched_by_token() {
    use ota_core::policy::Drop;
    let In::Message { topic, payload } = next(job()) else { unreachable!() };
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    for token in ["0:1", "1:0", ""] {
        let payload = payload.replace(crate::wire::TOKEN, token);
        t.dropped(10, In::Message { topic: topic.clone(), payload }, Drop::Late);
    }
    t.dropped(10, held(job()), Drop::Late);
    t.on(10, next(job()), "ask Start");
}

/// The same job, delivered again while it is held: the held id is asked for, nothing starts over.
#[test]
fn a_job_delivered_again_keeps_its_progress() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, notify(), "get rel-1 bare");
    t.on(30, In::Done, "receive until 2520");
    t.on(40, held(job().is("IN_PROGRESS", 2).bare()), "receive until 2520");
    t.on(50, block(&t.files[0], 1), "write 0 512..1024 hash");
    t.on(50, In::Done, "receive until 2550");
    assert_eq!(t.agent.progress(), (2, 3));
}

/// Another job at the head of the queue does not touch ours; it is taken when ours is over.
#[test]
fn another_job_waits_until_the_held_one_is_over() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, notify(), "get rel-1 bare");
    t.on(30, In::Done, "receive until 2520");
    // Whoever answers for `$next` now is not asked.
    t.dropped(35, next(job().id("rel-2")), ota_core::policy::Drop::Late);
    t.on(40, Talk::canceled(job()), "record Downloading");
    assert_eq!(t.ended, Some(Ended::Gone));
    t.on(40, In::Done, "get $next");
    t.on(40, In::Done, "receive until 5040");
    t.on(50, next(job().id("rel-2")), "ask Start");
    assert_eq!(t.agent.job_id(), "rel-2");
}

/// Size and signature are the identity of data: another job with the same ones goes on from every block held.
#[test]
fn the_same_data_under_another_job_keeps_every_block() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, block(&t.files[0], 1), "write 0 512..1024 hash");
    t.on(30, In::Done, "receive until 2530");
    t.on(40, notify(), "get rel-1 bare");
    t.on(40, In::Done, "receive until 2530");
    t.on(50, Talk::canceled(job()), "record Downloading");
    assert_eq!(t.journal.unwrap().front(), 2);
    t.on(50, In::Done, "get $next");
    t.on(50, In::Done, "receive until 5050");
    t.on(60, next(job().id("rel-2")), "ask Start");
    t.on(60, In::Yes, "record Downloading");
    t.on(60, In::Done, "blocks 0: 2");
    t.on(60, In::Done, "hash 0 0..1024");
    t.on(60, In::Done, "receive until 2560");
    assert_eq!(t.agent.statistics().resumed_blocks, 2);
    // What was written in an earlier life may be torn.
    t.on(70, block(&t.files[0], 2), "erase 0/7");
}

#[test]
fn other_data_starts_over() {
    let other = document(&[file_member(0, device::file((1, 0, 0), None).len(), &[2])]);
    let mut t = Talk::downloading(Setup::ONE);
    t.on(40, notify(), "get rel-1 bare");
    t.on(40, In::Done, "receive until 2520");
    t.on(50, Talk::canceled(job()), "record Downloading");
    t.on(50, In::Done, "get $next");
    t.on(50, In::Done, "receive until 5050");
    t.on(60, next(job().id("rel-2").document(&other)), "ask Start");
    t.on(60, In::Yes, "blocks 0: 0");
    assert_eq!(t.agent.statistics().resumed_blocks, 0);
}

/// Same id, next execution: data stays, the status starts afresh.
#[test]
fn a_retried_execution_starts_its_status_afresh() {
    let mut t = Talk::ready(Setup::ONE);
    t.on(60, In::Later(10_000), "receive until 10060");
    t.on(70, notify(), "get rel-1 bare");
    t.on(70, In::Done, "receive until 5070");
    t.on(80, held(job().number(2)), "record Verified");
    let again = "update rel-1 IN_PROGRESS self_test=ready updatedBy=0x90000 v1 #2";
    t.on(80, In::Done, again);
    t.on(80, In::Done, "receive until 5080");

    let mut t = Talk::testing(Setup::ONE, Revert::Yes);
    t.on(600, notify(), "get rel-1 bare");
    t.on(600, In::Done, "receive until 5600");
    t.on(610, held(job().number(2)), "record Testing");
    t.on(610, In::Done, "update rel-1 IN_PROGRESS self_test=active updatedBy=0x90000 v1 #2");
}

/// Cancel (or force-cancel, delete, time-out of the job) in every state that can hear of it.
#[test]
fn a_cancel_is_obeyed_until_the_reset() {
    type Reach = fn(Setup) -> Talk;
    // How to get there, and the phase the journal is left with: what flash holds of the data stays known.
    let cases: [(Reach, Phase); 5] = [
        (Talk::judging, Phase::Downloading),
        (Talk::downloading, Phase::Downloading),
        (Talk::verified, Phase::Downloading),
        (waiting_to_start, Phase::Idle),
        (waiting_to_activate, Phase::Downloading),
    ];
    for (reach, phase) in cases {
        for answer in [
            Talk::canceled(job()),
            held(job().is("TIMED_OUT", 9)),
            held(job().is("REMOVED", 9)),
            describe_refused("rel-1", "ResourceNotFound"),
            describe_refused("rel-1", "TerminalStateReached"),
        ] {
            let mut t = reach(Setup::ONE);
            if t.kind() == StateKind::Verified {
                // The update in flight is refused because the job is over.
                t.on(70, refused("TerminalStateReached"), "record Downloading");
            } else {
                t.on(70, notify(), "get rel-1 bare");
                t.on(70, In::Done, "receive until …");
                t.on(80, answer, "record …");
            }
            assert_eq!(t.journal.unwrap().phase(), phase);
            assert_eq!((t.kind(), t.ended), (StateKind::Idle, Some(Ended::Gone)));
            assert_eq!(t.agent.job_id(), "");
            let now = t.now;
            t.on(now, In::Done, "get $next");
        }
    }
}

fn waiting_to_start(setup: Setup) -> Talk {
    let mut t = Talk::offered(setup);
    t.on(10, In::Later(60_000), "receive until 60010");
    t
}

fn waiting_to_activate(setup: Setup) -> Talk {
    let mut t = Talk::ready(setup);
    t.on(60, In::Later(60_000), "receive until 60060");
    t
}

/// Between pending and reset the request is taken back.
#[test]
fn a_cancel_between_pending_and_reset_withdraws_the_request() {
    for answer in [Talk::canceled(job()), describe_refused("rel-1", "ResourceNotFound")] {
        let mut t = Talk::pending(Setup::ONE);
        t.on(70, answer, "withdraw 0");
        assert_eq!(t.kind(), StateKind::Withdrawing);
        t.on(70, In::Withdrawn(Withdrawn::ImageKept), "record Downloading");
        assert_eq!(t.ended, Some(Ended::Gone));
        t.on(70, In::Done, "get $next");
    }
}

/// Where withdrawing cost a sector, nothing is believed of the slot any more.
#[test]
fn a_sector_lost_while_withdrawing_is_not_resumed_from() {
    let mut t = Talk::pending(Setup::ONE);
    t.on(70, Talk::canceled(job()), "withdraw 0");
    t.on(70, In::Withdrawn(Withdrawn::SectorLost(7)), "record Idle");
}

/// No answer, or none in time: the swap is requested, the reset comes; the truth is told after it.
#[test]
fn the_last_look_for_a_cancel_is_bounded() {
    let mut t = Talk::pending(Setup::ONE);
    t.idle("reset");
    let mut t = Talk::pending(Setup::ONE);
    t.on(70, In::Link, "reset");
}

/// A cancel while the new image is tested: policy decides, and the image does not stay unconfirmed.
#[test]
fn a_job_gone_in_the_test_is_policys_to_decide() {
    for (answer, expected) in [(In::Yes, "receive until …"), (In::No, "record Testing")] {
        let mut t = Talk::testing(Setup::ONE, Revert::Yes);
        t.on(600, notify(), "get rel-1 bare");
        t.on(600, In::Done, "receive until 5600");
        t.on(610, Talk::canceled(job()), "record Testing");
        t.on(610, In::Done, "ask JobGoneInTest");
        t.on(610, answer, expected);
    }
    let mut t = Talk::testing(Setup::ONE, Revert::Yes);
    t.on(600, notify(), "get rel-1 bare");
    t.on(600, In::Done, "receive until 5600");
    t.on(610, Talk::canceled(job()), "record Testing");
    t.on(610, In::Done, "ask JobGoneInTest");
    t.on(610, In::Yes, "receive until 60570");
    t.on(620, In::Say(Command::SelfTestPassed), "confirm 0");
    t.on(620, In::Done, "record Idle");
    assert_eq!(t.ended, Some(Ended::Succeeded));
    t.on(620, In::Done, "receive until …");
}

#[test]
fn a_custom_job_is_the_applications() {
    let custom = || job().id("reboot-1").document(r#"{"operation":"reboot"}"#);
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, next(custom()), "ask Custom");
    assert_eq!(t.agent.job_id(), "reboot-1");
    // Left alone: nothing is published about it, and it is seen again when the next job changes.
    t.on(10, In::No, "receive until 21600010");
    assert_eq!(t.kind(), StateKind::Idle);
    t.on(20, notify(), "get $next");
    t.on(20, In::Done, "receive until 5020");
    t.on(30, next(custom()), "ask Custom");
    // Done by the application.
    t.on(30, In::Yes, "update reboot-1 SUCCEEDED reason=accepted updatedBy=0x90000 v1");
}

#[test]
fn documents_that_cannot_be_used_are_rejected_each_with_its_reason() {
    let file = |id, size| file_member(id, size, &[1]);
    let unsigned = r#"{"filepath":"/a","filesize":1272,"fileid":0}"#.to_string();
    let no_path = file(0, 1272).replace(r#""filepath":"/a","#, "");
    let long = file_member(0, 1272, &[1; 1200]);
    for (document, status) in [
        (document(&[file(0, 0)]), "REJECTED reason=zero_size"),
        (document(&[file(0, 0x80_0000)]), "REJECTED reason=file_too_large"),
        (document(&[file(7, 1272)]), "REJECTED reason=no_destination"),
        (document(&[file(0, 1272), file(0, 1272)]), "REJECTED reason=duplicate_file_id"),
        (document(&[file(0, 9), file(1, 9), file(2, 9), file(3, 9)]), "REJECTED reason=too_many_files"),
        (document(&[]), "REJECTED reason=job_document_malformed"),
        (document(&[unsigned]), "REJECTED reason=unsigned"),
        (document(&[no_path]), "REJECTED reason=job_document_malformed"),
        (document(&[long]), "FAILED reason=job_document_too_large"),
        (r#"{"afr_ota":7}"#.into(), "REJECTED reason=job_document_malformed"),
        (document(&[file(0, 1272)]).replace("MQTT", "CARRIER_PIGEON"), "REJECTED reason=unknown_protocol"),
        (document(&[file(0, 1272)]).replace(STREAM, "a/b"), "REJECTED reason=job_document_malformed"),
    ] {
        let mut t = Talk::online(Setup::ONE);
        t.on(0, In::Done, "receive until 5000");
        t.on(10, next(job().document(&document)), "record Ended");
        t.on(10, In::Done, &format!("update rel-1 {status} updatedBy=0x90000 v1"));
        // What is IN_PROGRESS already cannot be REJECTED any more.
        let mut t = Talk::online(Setup::ONE);
        t.on(0, In::Done, "receive until 5000");
        t.on(10, next(job().is("IN_PROGRESS", 4).document(&document)), "record Ended");
        let status = status.replace("REJECTED", "FAILED");
        t.on(10, In::Done, &format!("update rel-1 {status} updatedBy=0x90000 v4"));
    }
}

#[test]
fn two_files_for_one_destination_are_refused() {
    let setup = Setup {
        tweak: |config| {
            config.destinations = &[ota_core::agent::Destination {
                file_type: None,
                file_id: None,
                image: 0,
                reset_vector: None,
            }];
        },
        ..Setup::ONE
    };
    let mut t = Talk::online(setup);
    t.on(0, In::Done, "receive until 5000");
    let two = document(&[file_member(0, 1272, &[1]), file_member(1, 1272, &[2])]);
    t.on(10, next(job().document(&two)), "record Ended");
    t.on(10, In::Done, "update rel-1 REJECTED reason=duplicate_destination updatedBy=0x90000 v1");
}

/// Once swapped the secondary slot holds the old image: the same data offered again is judged like any other.
#[test]
fn the_image_that_runs_offered_again_is_the_same_version() {
    let mut t = Talk::confirmed(Setup::ONE);
    t.on(1010, accepted("SUCCEEDED", 4), "record Idle");
    t.on(1010, In::Done, "get $next");
    t.on(1010, In::Done, "receive until 6010");
    t.on(1020, next(job().id("rel-2")), "ask Start");
    t.on(1020, In::Yes, "subscribe stream");
    t.on(1020, In::Done, "blocks 0: 0");
    t.on(1020, In::Done, "receive until 3520");
    t.on(1030, block(&t.files[0], 0), "ask SameVersion 1.0.0");
    t.on(1030, In::No, "record Ended");
    t.on(1030, In::Done, "update rel-2 REJECTED reason=same_version updatedBy=0x1000000 v1");
}

/// Nobody answers: asked again after growing, jittered, bounded pauses.
#[test]
fn unanswered_requests_are_repeated_with_growing_pauses() {
    let mut t = Talk::online(Setup { tweak: |config| config.seed = 77, ..Setup::ONE });
    let mut pauses = vec![];
    for _ in 0..60 {
        let asked = t.now;
        t.on(asked, In::Done, "receive …");
        assert_eq!(t.until(), asked + 5000, "an answer has five seconds");
        t.idle("…");
        t.until_published("get");
        pauses.push(t.now - asked - 5000);
    }
    assert!(pauses.iter().all(|pause| (1000..=80_000).contains(pause)), "{pauses:?}");
    assert!(pauses[..3].windows(2).all(|two| two[1] > two[0]), "{pauses:?}");
    // A link on which nothing is answered is made anew now and then: not at once, and ever more rarely.
    let links: Vec<_> = pauses.iter().skip(3).step_by(4).copied().collect();
    assert!(links[..7].windows(2).all(|two| two[1] > two[0]), "{links:?}");
    assert!(links[7..].iter().all(|pause| *pause >= 64_000), "{links:?}");
}

/// Devices that failed together do not come back together.
#[test]
fn pauses_differ_from_device_to_device() {
    let pause = |tweak: fn(&mut ota_core::agent::Config<'static>)| {
        let mut t = Talk::new(Setup { tweak, ..Setup::ONE });
        t.on(0, In::Start, "inspect 0");
        t.on(0, In::Boot(OLD), "load");
        t.on(0, In::Loaded(None), "connect");
        let mut pauses = vec![];
        for _ in 0..10 {
            let from = t.now;
            t.on(from, In::Link, "pause …");
            pauses.push(t.until() - from);
            t.idle("connect");
        }
        pauses
    };
    let (one, two) = (pause(|config| config.seed = 1), pause(|config| config.seed = 12_345));
    assert_ne!(one, two);
    for pauses in [one, two] {
        for (pause, least) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 64, 64, 64, 64]) {
            assert!((least * 1000..=least * 1250).contains(pause), "{pauses:?}");
        }
    }
}

#[test]
fn throttled_and_failing_requests_are_repeated() {
    for code in ["RequestThrottled", "InternalError"] {
        let mut t = Talk::online(Setup::ONE);
        t.on(0, In::Done, "receive until 5000");
        t.on(10, describe_refused("$next", code), "receive …");
        assert!((1010..=1260).contains(&t.until()));
        t.idle("get $next");

        let mut t = Talk::verified(Setup::ONE);
        let mut pauses = vec![];
        for _ in 0..10 {
            let now = t.now;
            t.on(now, refused(code), "…");
            if t.shown() == "ask ActivateOffline" {
                t.on(now, In::No, "receive …");
            }
            pauses.push(t.until() - now);
            t.idle("update rel-1 IN_PROGRESS self_test=ready updatedBy=0x90000 v1");
            let now = t.now;
            t.on(now, In::Done, "receive …");
        }
        assert!(pauses.windows(2).all(|two| two[1] * 5 >= two[0] * 4), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 80_000), "{pauses:?}");
    }
}

/// The broker withholds messages larger than the receive buffer and says nothing. Asked without its document the job answers.
#[test]
fn a_document_too_large_for_the_buffer_is_found_out_and_reported() {
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    t.idle("receive …");
    t.idle("get $next");
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.idle("receive …");
    t.idle("get $next bare");
    let now = t.now;
    t.on(now, In::Done, "receive …");
    // Once may be bad luck, and twice.
    t.on(now, next(job().bare()), "get $next");
    for expected in ["get $next", "record Ended"] {
        for ask in ["get $next", "get $next bare"] {
            let now = t.now;
            t.on(now, In::Done, "receive …");
            t.idle("receive …");
            t.idle(ask);
        }
        let now = t.now;
        t.on(now, In::Done, "receive …");
        t.on(now, next(job().bare()), expected);
    }
    let now = t.now;
    t.on(now, In::Done, "update rel-1 FAILED reason=job_document_too_large updatedBy=0x90000 v1");
}

/// The broker promises no order: what it told of may be newer than the answer that comes after it.
#[test]
fn a_notification_before_an_answer_is_not_forgotten() {
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, notify(), "receive until 5000");
    t.on(20, no_job(), "get $next");
    t.on(20, In::Done, "receive until 5020");
    t.on(30, no_job(), "receive until 21600030");
}

/// A client that cannot tell the broker how much it takes may lose the link over what is too large. It is found out all the same.
#[test]
fn a_document_that_ends_every_link_is_found_out_and_reported() {
    let mut t = Talk::online(Setup::ONE);
    for ask in ["get $next", "get $next", "get $next bare"].repeat(3) {
        t.until_published("get");
        assert_eq!(t.shown(), ask);
        let now = t.now;
        t.on(now, In::Done, "receive …");
        match ask {
            "get $next bare" => t.on(now, next(job().bare()), "…"),
            _ => t.on(now, In::Link, "pause …"),
        }
    }
    t.until_published("update rel-1 FAILED reason=job_document_too_large updatedBy=0x90000 v1");
}

/// Who goes offline by itself, or drops the driver, has not lost the link over an answer.
#[test]
fn a_link_given_up_says_nothing_about_the_document() {
    for dropped in [false, true] {
        let mut t = Talk::online(Setup::ONE);
        for _ in 0..6 {
            assert_eq!(t.shown(), "get $next");
            let now = t.now;
            t.on(now, In::Done, "receive …");
            if dropped {
                t.on(now, In::Lost, "pause …");
            } else {
                t.on(now, In::Say(Command::Suspend), "disconnect");
                t.on(now, In::Done, "pause …");
                t.on(now, In::Say(Command::Resume), "connect");
            }
            t.until_published("get");
        }
    }
}

/// The answer to an update got lost; its repetition is refused, and what is stored is what was sent.
#[test]
fn a_lost_answer_counts_as_accepted() {
    for code in ["VersionMismatch", "InvalidStateTransition"] {
        let mut t = Talk::verified(Setup::ONE);
        t.idle("receive …");
        t.idle("update rel-1 IN_PROGRESS self_test=ready updatedBy=0x90000 v1");
        let now = t.now;
        t.on(now, In::Done, "receive …");
        t.on(now, refused_stored(code, "IN_PROGRESS", 2, r#""self_test":"ready""#), "record Ready");
    }
}

/// Somebody else wrote: its version is adopted and the update repeated at once.
#[test]
fn a_foreign_version_is_adopted() {
    let mut t = Talk::verified(Setup::ONE);
    let update = |version| format!("update rel-1 IN_PROGRESS self_test=ready updatedBy=0x90000 v{version}");
    t.on(60, refused_stored("VersionMismatch", "IN_PROGRESS", 5, r#""note":"x""#), &update(5));
    t.on(60, In::Done, "receive …");
    // Again: not at once any more.
    t.on(70, refused_stored("VersionMismatch", "IN_PROGRESS", 6, r#""note":"y""#), "receive …");
    t.idle(&update(6));
    let now = t.now;
    t.on(now, In::Done, "receive …");
    t.on(now, accepted("IN_PROGRESS", 7), "record Ready");
    assert_eq!(t.journal.unwrap().version_number(), Some(7));
}

/// However many answers were lost before: a status that is owed is not given up for one refusal.
#[test]
fn refusals_after_many_lost_answers_do_not_give_the_status_up() {
    let mut t = Talk::verified(Setup::ONE);
    for _ in 0..6 {
        t.idle("…");
        t.until_published("update");
        let now = t.now;
        t.on(now, In::Done, "receive …");
    }
    let now = t.now;
    t.on(now, refused_stored("VersionMismatch", "IN_PROGRESS", 5, ""), "receive …");
    t.until_published("update");
    assert_eq!(t.shown(), "update rel-1 IN_PROGRESS self_test=ready updatedBy=0x90000 v5");
}

/// REJECTED is for QUEUED: where the execution turns out to be IN_PROGRESS, FAILED with the same reason.
#[test]
fn rejected_becomes_failed_when_the_execution_has_started() {
    let mut t = Talk::offered(Setup::ONE);
    t.on(10, In::No, "record Ended");
    t.on(10, In::Done, "update rel-1 REJECTED reason=declined updatedBy=0x90000 v1");
    t.on(10, In::Done, "receive until 5010");
    t.on(
        20,
        refused_stored("InvalidStateTransition", "IN_PROGRESS", 2, ""),
        "update rel-1 FAILED reason=declined updatedBy=0x90000 v2",
    );
    t.on(20, In::Done, "receive until 5020");
    t.on(30, accepted("FAILED", 3), "record Idle");
    assert_eq!(t.ended, Some(Ended::Failed(Reason::Declined)));
}

#[test]
fn rejected_is_accepted() {
    let mut t = Talk::offered(Setup::ONE);
    t.on(10, In::No, "record Ended");
    t.on(10, In::Done, "update rel-1 REJECTED reason=declined updatedBy=0x90000 v1");
    t.on(10, In::Done, "receive until 5010");
    t.on(20, accepted("REJECTED", 2), "record Idle");
    assert_eq!(t.ended, Some(Ended::Rejected(Reason::Declined)));
}

/// While a terminal status is owed, another job is only remembered.
#[test]
fn an_owed_status_comes_before_the_next_job() {
    let mut t = Talk::offered(Setup::ONE);
    t.on(10, In::No, "record Ended");
    t.on(10, In::Done, "update rel-1 REJECTED …");
    t.on(10, In::Done, "receive until 5010");
    t.on(20, notify(), "receive until 5010");
    t.on(30, accepted("REJECTED", 2), "record Idle");
    t.on(30, In::Done, "get $next");
}
