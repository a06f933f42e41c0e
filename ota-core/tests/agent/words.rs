//! The application's words: suspend, resume, abort, shut down, check now; and policy's yes, later and no.

use ota_core::agent::StateKind;
use ota_core::boot::{Revert, Withdrawn};
use ota_core::command::Command;
use ota_core::slot::FlashError;
use ota_core::status::{Ended, Reason};

use crate::talk::{In, Setup, Talk};
use crate::wire::{accepted, block, held, job, no_job};

/// Suspended: the link is closed, nothing is lost; resumed: exactly what is missing is asked for.
#[test]
fn suspend_and_resume_keep_what_is_held() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, In::Say(Command::Suspend), "disconnect");
    t.on(30, In::Done, "pause until 21600030");
    t.on(40, In::Say(Command::Suspend), "pause until 21600040");
    assert_eq!(t.kind(), StateKind::Downloading);
    t.on(50, In::Say(Command::Resume), "connect");
    t.on(50, In::Done, "subscribe jobs");
    t.on(50, In::Done, "get rel-1 bare");
    t.on(50, In::Done, "subscribe stream");
    t.on(50, In::Done, "blocks 0: 1 2");
    t.on(50, In::Done, "receive until …");
    // Resume without suspend is nothing.
    t.on(60, In::Say(Command::Resume), "receive until …");
}

/// A test goes on offline; what is owed waits for the link.
#[test]
fn a_suspended_device_tests_and_confirms() {
    let mut t = Talk::testing(Setup::ONE, Revert::Yes);
    t.on(600, In::Say(Command::Suspend), "disconnect");
    t.on(600, In::Done, "pause until 60570");
    t.on(700, In::Say(Command::SelfTestPassed), "confirm 0");
    t.on(700, In::Done, "record Confirmed");
    t.on(700, In::Done, "pause until …");
    t.on(800, In::Say(Command::Resume), "connect");
    t.on(800, In::Done, "subscribe jobs");
    t.on(800, In::Done, "update rel-1 SUCCEEDED reason=accepted v1.0.0 updatedBy=0x90000 v3");
}

#[test]
fn abort_fails_the_job_before_the_reset() {
    type Reach = fn(Setup) -> Talk;
    let cases: [Reach; 3] = [Talk::judging, Talk::downloading, Talk::verified];
    for reach in cases {
        let mut t = reach(Setup::ONE);
        t.on(100, In::Say(Command::Abort), "record Ended");
        t.on(100, In::Done, "update rel-1 FAILED reason=aborted updatedBy=0x90000 v1");
        t.on(100, In::Done, "receive until 5100");
        t.on(110, accepted("FAILED", 2), "record Downloading");
        assert_eq!(t.ended, Some(Ended::Failed(Reason::Aborted)));
    }
    // After the request for a swap: taken back first.
    let mut t = Talk::pending(Setup::ONE);
    t.on(100, In::Say(Command::Abort), "record Pending");
    t.on(100, In::Done, "withdraw 0");
    t.on(100, In::Withdrawn(Withdrawn::ImageKept), "record Ended");
    t.on(100, In::Done, "update rel-1 FAILED reason=aborted updatedBy=0x90000 v2");
    // In the test: like a failed test.
    let mut t = Talk::testing(Setup::ONE, Revert::Yes);
    t.on(600, In::Say(Command::Abort), "record Testing");
    t.on(600, In::Done, "reset");
}

#[test]
fn abort_without_a_job_and_after_the_end_is_nothing() {
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, In::Say(Command::Abort), "receive until 5000");
    t.on(20, no_job(), "receive until 21600020");
    let mut t = Talk::confirmed(Setup::ONE);
    t.on(1010, In::Say(Command::Abort), "receive until 6000");
    t.on(1020, accepted("SUCCEEDED", 4), "record Idle");
    assert_eq!(t.ended, Some(Ended::Succeeded));
}

#[test]
fn shut_down_finishes_and_stays_finished() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, In::Say(Command::ShutDown), "stopped");
    for input in [In::Done, In::Timeout, In::Lost, block(&t.files[0], 1)] {
        t.on(40, input, "stopped");
    }
    assert_eq!(t.kind(), StateKind::Stopped);
}

/// A word that does not fit the state changes nothing.
#[test]
fn a_self_test_that_was_not_asked_for_is_ignored() {
    for command in [Command::SelfTestPassed, Command::SelfTestFailed] {
        let mut t = Talk::downloading(Setup::ONE);
        t.on(30, In::Say(command), "receive until 2520");
        assert_eq!(t.kind(), StateKind::Downloading);
    }
}

#[test]
fn policy_may_take_its_time_before_every_step() {
    let mut t = Talk::offered(Setup::ONE);
    t.on(10, In::Later(60_000), "receive until 60010");
    t.idle("ask Start");
    t.on(60_010, In::Yes, "subscribe stream");
    t.on(60_010, In::Done, "blocks 0: 0");
    t.on(60_010, In::Done, "receive until 62510");
    t.on(60_020, block(&t.files[0], 0), "ask Erase");
    // The block in hand does not wait; it is fetched and judged again.
    t.on(60_020, In::Later(30_000), "receive until 90020");
    assert_eq!(t.kind(), StateKind::Offered);
    t.idle("ask Start");
    t.on(90_020, In::Yes, "blocks 0: 0");
    t.on(90_020, In::Done, "receive until 92520");
    t.on(90_030, block(&t.files[0], 0), "ask Erase");
    t.on(90_030, In::Yes, "record Downloading");

    let mut t = Talk::ready(Setup::ONE);
    t.on(60, In::Later(1000), "receive until 1060");
    t.idle("ask Activate");
    t.on(1060, In::Yes, "set pending 0");
}

#[test]
fn policy_may_say_no_before_every_step() {
    let mut t = Talk::offered(Setup::ONE);
    t.on(10, In::No, "record Ended");
    t.on(10, In::Done, "update rel-1 REJECTED reason=declined updatedBy=0x90000 v1");
    let mut t = Talk::judging(Setup::ONE);
    t.on(20, block(&t.files[0], 0), "ask Erase");
    t.on(20, In::No, "record Ended");
    t.on(20, In::Done, "update rel-1 REJECTED reason=declined updatedBy=0x90000 v1");
    // IN_PROGRESS by now.
    let mut t = Talk::ready(Setup::ONE);
    t.on(60, In::No, "record Ended");
    t.on(60, In::Done, "update rel-1 FAILED reason=declined updatedBy=0x90000 v2");
}

/// Never active before the cloud has accepted "ready", unless policy allows it; then the status is owed.
#[test]
fn activation_without_the_cloud_is_policys_to_allow() {
    let mut t = Talk::verified(Setup::ONE);
    for _ in 0..8 {
        t.on(t.now, In::Link, "…");
        while t.shown().starts_with("pause") {
            t.idle("…");
        }
        if t.shown().starts_with("ask") {
            break;
        }
    }
    let now = t.now;
    assert_eq!(t.shown(), "ask ActivateOffline");
    let mut refused = Talk::verified(Setup::ONE);
    t.on(now, In::Yes, "set pending 0");
    t.on(now, In::Done, "record Pending");
    t.on(now, In::Done, "reset");
    let state = crate::device::tests(&t.files[0], Revert::Yes);
    let mut t = t.reboot(&[state]);
    let now = t.now;
    t.on(now, In::Done, "receive …");
    let expected = "update rel-1 IN_PROGRESS self_test=active updatedBy=0x90000 v1";
    t.on(now, held(job()), expected);

    // Later: asked again then. No: not again, and the report goes on.
    refused.on(60, In::Say(Command::Suspend), "ask ActivateOffline");
    refused.on(60, In::Later(5000), "disconnect");
    refused.on(60, In::Done, "pause until 5060");
    refused.idle("ask ActivateOffline");
    refused.on(5060, In::No, "pause until 21605060");
    refused.on(5070, In::Say(Command::Resume), "connect");
    refused.on(5070, In::Done, "subscribe jobs");
    refused.on(5070, In::Done, "update rel-1 IN_PROGRESS self_test=ready updatedBy=0x90000 v1");
}

/// Set pending fails: hashed, verified and tried again, three times in all; then the request is withdrawn and reported.
#[test]
fn set_pending_is_tried_three_times() {
    let mut t = Talk::ready(Setup::ONE);
    t.on(60, In::Yes, "set pending 0");
    for _ in 0..2 {
        t.on(60, In::Flash(FlashError::ReadBack), "hash 0 0..1272");
        t.on(60, In::Done, "verify 0 1272");
        t.on(60, In::Verified, "ask Activate");
        // How often is to outlive a power cut.
        t.on(60, In::Yes, "record Ready");
        t.on(60, In::Done, "set pending 0");
    }
    t.on(60, In::Flash(FlashError::ReadBack), "record Pending");
    t.on(60, In::Done, "withdraw 0");
    t.on(60, In::Withdrawn(Withdrawn::ImageKept), "record Ended");
    t.on(60, In::Done, "update rel-1 FAILED reason=set_pending_failed updatedBy=0x90000 v2");
}

/// "Done" without the token would be done without a request.
#[test]
fn set_pending_is_not_done_without_its_token() {
    let mut t = Talk::ready(Setup::ONE);
    assert!(t.agent.take_token().is_none(), "nothing is to be set pending yet");
    t.careless = true;
    t.on(60, In::Yes, "set pending 0");
    t.on(60, In::Done, "set pending 0");
    assert_eq!(t.agent.statistics().unexpected, 1);
    t.careless = false;
    assert!(t.agent.take_token().is_some());
    assert!(t.agent.take_token().is_none(), "there is one");
    t.on(60, In::Done, "record Pending");
}

/// A trailer damaged beyond repair costs its sector, and the blocks in it are fetched again.
#[test]
fn a_damaged_trailer_gives_its_sector_up() {
    let mut t = Talk::ready(Setup::ONE);
    t.on(60, In::Yes, "set pending 0");
    t.on(60, In::Flash(FlashError::Trailer), "record Ready");
    assert_eq!(t.agent.statistics().sectors_given_up, 1);
}

/// After a withdrawal that failed the request may still stand: tried three times.
#[test]
fn withdrawing_is_tried_three_times() {
    let mut t = Talk::pending(Setup::ONE);
    t.on(70, Talk::canceled(job()), "withdraw 0");
    t.on(70, In::Flash(FlashError::Driver), "withdraw 0");
    t.on(70, In::Flash(FlashError::Driver), "withdraw 0");
    t.on(70, In::Flash(FlashError::Driver), "record Idle");
    assert_eq!(t.ended, Some(Ended::Gone));
}

const DAY: u64 = 24 * 3_600_000;

/// The agent counts 32 bits of milliseconds down, and devices run for years.
#[test]
fn an_idle_device_polls_for_months_and_a_jump_of_time_is_no_end() {
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive until 5000");
    t.on(10, no_job(), "receive until 21600010");
    let mut polls = 0;
    while t.now < 60 * DAY {
        t.idle("get …");
        let now = t.now;
        t.on(now, In::Done, "receive …");
        t.on(now + 10, no_job(), "receive …");
        assert_eq!(t.until(), t.now + DAY / 4);
        polls += 1;
    }
    assert!((239..=240).contains(&polls), "{polls}");
    // Nobody stepped it for a year, or for more than the 24 days that 31 bits are, in the middle of a pause and in the middle
    // of a call.
    for idle in [365 * DAY, 30 * DAY, 50 * DAY] {
        let later = t.now + idle;
        t.on(later, In::Timeout, "get …");
        t.on(later, In::Done, "receive …");
        t.on(later + idle, In::Timeout, "receive …");
        t.idle("get …");
        let now = t.now;
        t.on(now, In::Done, "receive …");
        t.on(now + 10, no_job(), "receive …");
    }
}

/// What policy puts off for longer than the agent can count is asked again when that is over.
#[test]
fn later_than_24_days_is_after_24_days() {
    let mut t = Talk::offered(Setup::ONE);
    t.on(10, In::Later(u32::MAX), "receive …");
    t.on(24 * DAY, In::Timeout, "get …");
    t.on(24 * DAY, In::Done, "receive …");
    t.on(25 * DAY, In::Timeout, "ask Start");
}

/// What was due long ago is due.
#[test]
fn a_report_owed_for_longer_than_24_days_goes_out_at_once() {
    let mut t = Talk::verified(Setup::ONE);
    t.on(60, In::Say(Command::Suspend), "ask ActivateOffline");
    t.on(60, In::No, "disconnect");
    t.on(60, In::Done, "pause …");
    for day in 1..=40 {
        t.on(day * DAY, In::Timeout, "…");
        // A no to this is one for 24 days.
        if day == 25 {
            assert_eq!(t.shown(), "ask ActivateOffline");
            t.on(day * DAY, In::No, "…");
        }
        assert!(t.shown().starts_with("pause"));
    }
    t.on(40 * DAY, In::Say(Command::Resume), "connect");
    t.on(40 * DAY, In::Done, "subscribe jobs");
    t.on(40 * DAY, In::Done, "update rel-1 IN_PROGRESS self_test=ready …");
}
