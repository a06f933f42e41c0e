//! The driver is dropped with an action under way: a flash action may have happened, a network action is unanswered.

use ota_core::boot::{Revert, Withdrawn};
use ota_core::command::Command;
use ota_core::policy::Question;

use crate::device::OLD;
use crate::talk::{In, Setup, Talk};
use crate::wire::{block, job, next, notify};

/// Drops the driver and goes on until `expected` is asked for; nothing but the link and hashing comes in between.
#[track_caller]
fn lost(mut t: Talk, expected: &str) -> Talk {
    let now = t.now;
    t.on(now, In::Lost, "…");
    for _ in 0..20 {
        let shown = t.shown();
        let fits = match expected.strip_suffix('…') {
            Some(beginning) => shown.starts_with(beginning),
            None => shown == expected,
        };
        if fits {
            return t;
        }
        let now = t.now;
        match shown.split(' ').next() {
            Some("connect" | "subscribe" | "hash") => t.on(now, In::Done, "…"),
            Some("pause") => t.idle("…"),
            _ => break,
        }
    }
    let now = t.now;
    t.on(now, In::Done, expected);
    t
}

fn step(mut t: Talk, input: In) -> Talk {
    t.on(t.now, input, "…");
    t
}

#[test]
fn lost_while_booting_starts_over() {
    let mut t = Talk::new(Setup::ONE);
    t.on(0, In::Start, "inspect 0");
    lost(t, "inspect 0");
    let mut t = Talk::new(Setup::ONE);
    t.on(0, In::Start, "inspect 0");
    t.on(0, In::Boot(OLD), "load");
    lost(t, "inspect 0");
    // Before anything was asked for.
    lost(Talk::new(Setup::ONE), "inspect 0");
}

#[test]
fn lost_network_actions_are_done_again_on_a_new_link() {
    let mut t = Talk::new(Setup::ONE);
    t.on(0, In::Start, "inspect 0");
    t.on(0, In::Boot(OLD), "load");
    t.on(0, In::Loaded(None), "connect");
    let t = lost(t, "connect");
    let t = step(t, In::Done);
    let t = lost(t, "subscribe jobs");
    let t = step(t, In::Done);
    let t = lost(t, "get $next");
    let mut t = step(t, In::Done);
    let now = t.now;
    t.on(now, next(job()), "ask Start");
    t.on(now, In::Yes, "subscribe stream");
    let t = lost(t, "get rel-1 bare");
    let t = step(t, In::Done);
    // A link that is new is subscribed anew.
    assert_eq!(t.shown(), "subscribe stream");
    let mut t = step(t, In::Done);
    assert_eq!(t.shown(), "blocks 0: 0");
    // The look at the job may still be answered.
    t.on(t.now, In::Lost, "pause …");
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, In::Say(Command::Suspend), "disconnect");
    lost(t, "disconnect");
}

#[test]
fn a_lost_wait_is_a_lost_link() {
    let t = lost(Talk::downloading(Setup::ONE), "get rel-1 bare");
    let t = step(step(t, In::Done), In::Done);
    // Block 0 is held and not asked for again.
    assert_eq!(t.shown(), "blocks 0: 1 2");
    let t = lost(Talk::verified(Setup::ONE), "update rel-1 IN_PROGRESS …");
    assert_eq!(t.agent.progress(), (3, 3));
}

#[test]
fn a_lost_question_is_asked_again() {
    lost(Talk::offered(Setup::ONE), "ask Start");
    lost(Talk::ready(Setup::ONE), "ask Activate");
    let mut t = Talk::judging(Setup::ONE);
    t.on(20, block(&t.files[0], 0), "ask Erase");
    // The block went with the message: fetched and judged again.
    let t = lost(t, "get rel-1 bare");
    let t = step(step(t, In::Done), In::Done);
    assert_eq!(t.shown(), "blocks 0: 0");
    let mut t = Talk::testing(Setup::ONE, Revert::Yes);
    t.on(600, notify(), "get …");
    t.on(600, In::Done, "receive …");
    t.on(610, Talk::canceled(job()), "record …");
    t.on(610, In::Done, &format!("ask {:?}", Question::JobGoneInTest));
    lost(t, "ask JobGoneInTest");
    let mut t = Talk::online(Setup::ONE);
    t.on(0, In::Done, "receive …");
    t.on(10, next(job().document("{}")), "ask Custom");
    lost(t, "get $next");
}

/// A write that was cut short may look blank, complete or torn: compared when its block comes again.
#[test]
fn a_lost_write_makes_its_place_untrusted() {
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, block(&t.files[0], 1), "write 0 512..1024 hash");
    let mut t = lost(t, "get rel-1 bare");
    let now = t.now;
    t.on(now, In::Done, "subscribe stream");
    t.on(now, In::Done, "blocks 0: 1 2");
    t.on(now, In::Done, "hash 0 0..512");
    t.on(now, In::Done, "receive …");
    t.on(now, block(&t.files[0], 1), "compare 0 512..1024 hash");
    // Lost again while comparing.
    let t = lost(t, "get rel-1 bare");
    assert_eq!(t.agent.progress(), (1, 3));
}

#[test]
fn a_lost_erase_is_done_again() {
    let mut t = Talk::judging(Setup::ONE);
    t.on(20, block(&t.files[0], 0), "ask Erase");
    t.on(20, In::Yes, "record …");
    let mut t = lost(t, "record Downloading");
    for expected in
        ["pause …", "connect", "subscribe jobs", "get rel-1 bare", "subscribe stream", "blocks 0: 0 1 2"]
    {
        match expected {
            "connect" => t.idle(expected),
            _ => t.on(t.now, In::Done, expected),
        }
    }
    t.on(t.now, In::Done, "receive …");
    t.on(t.now, block(&t.files[0], 0), "erase 0/7");
    let mut t = lost(t, "get rel-1 bare");
    let now = t.now;
    t.on(now, In::Done, "subscribe stream");
    t.on(now, In::Done, "blocks 0: 0 1 2");
    t.on(now, In::Done, "receive …");
    t.on(now, block(&t.files[0], 0), "erase 0/7");
}

#[test]
fn lost_hashing_and_verification_start_from_the_first_byte() {
    lost(Talk::verifying(Setup::ONE), "hash 0 0..1272");
    let t = lost(Talk::verifying(Setup::ONE), "hash 0 0..1272");
    lost(t, "hash 0 0..1272");
}

/// Set pending may have happened: a job that ends now is withdrawn, one that goes on verifies and asks again.
#[test]
fn a_lost_set_pending_may_stand() {
    let activating = || step(Talk::ready(Setup::ONE), In::Yes);
    let mut t = lost(activating(), "hash 0 0..1272");
    let now = t.now;
    t.on(now, In::Done, "verify 0 1272");
    t.on(now, In::Verified, "ask Activate");
    t.on(now, In::Later(60_000), "pause …");
    t.idle("connect");
    t.on(t.now, In::Done, "subscribe jobs");
    t.on(t.now, In::Done, "get rel-1 bare");
    t.on(t.now, In::Done, "receive …");
    t.on(t.now, Talk::canceled(job()), "withdraw 0");
}

#[test]
fn lost_withdraw_confirm_and_record_are_done_again() {
    let mut t = Talk::pending(Setup::ONE);
    t.on(70, Talk::canceled(job()), "withdraw 0");
    let t = lost(t, "withdraw 0");
    step(t, In::Withdrawn(Withdrawn::ImageKept));
    let mut t = Talk::testing(Setup::ONE, Revert::Yes);
    t.on(600, In::Say(Command::SelfTestPassed), "confirm 0");
    let t = lost(t, "confirm 0");
    let t = step(t, In::Done);
    assert_eq!(t.shown(), "record Confirmed");
    lost(t, "record Confirmed");
}

#[test]
fn what_is_finished_stays_finished() {
    let mut t = Talk::pending(Setup::ONE);
    t.idle("reset");
    lost(t, "reset");
    let mut t = Talk::downloading(Setup::ONE);
    t.on(30, In::Say(Command::ShutDown), "stopped");
    lost(t, "stopped");
}
