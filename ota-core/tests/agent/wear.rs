//! Flash wears out: whatever happens again and again, one job erases no sector again and again.

use ota_core::agent::{Action, Publication, StateKind, Wear};
use ota_core::boot::Revert;
use ota_core::command::Command;
use ota_core::geometry::{BootMode, Reprogram};
use ota_core::journal::Phase;
use ota_core::slot::FlashError;
use ota_core::status::Reason;
use ota_sim::aws::Rng;

use crate::device;
use crate::talk::In;
use crate::worn::{Build, Device, Fate, MANY, SECTOR, SLOT, is_erase, is_write, when};

// ---- The driver's future is dropped again and again.

/// An erase takes longer than the driver is let live.
#[test]
fn an_erase_that_is_always_lost_fails_the_job() {
    for fate in [Fate::Lost, Fate::Torn] {
        let mut device = Device::new(Build::ONE);
        device.play(Device::has_ended, when(is_erase, fate));
        device.assert_failed(Reason::FlashFailed);
    }
}

/// Between the losses the sector is erased, so some action on flash does come to its end.
#[test]
fn a_write_that_is_always_lost_fails_the_job() {
    for fate in [Fate::Lost, Fate::Torn] {
        let mut device = Device::new(Build::ONE);
        device.play(Device::has_ended, when(is_write, fate));
        device.assert_failed(Reason::FlashFailed);
    }
}

/// Other blocks of the sector are held in between, and lost again with the sector.
#[test]
fn a_sector_that_never_gets_full_fails_the_job() {
    let mut device = Device::new(Build { block_size: 256, ..Build::ONE });
    // Of the sector's four blocks the last one.
    let last = |action: &Action| matches!(action, Action::Write(part) if part.at == 1024 + 768);
    device.play(Device::has_ended, when(last, Fate::Torn));
    device.assert_failed(Reason::FlashFailed);
}

/// What flash holds is kept: another job with the same data goes on from there.
#[test]
fn what_is_held_is_kept_when_too_much_was_lost() {
    let mut device = Device::new(Build::ONE);
    let third = |action: &Action| matches!(action, Action::Erase { sector: 3, .. });
    device.play(Device::has_ended, when(third, Fate::Lost));
    device.assert_failed(Reason::FlashFailed);
    device.play(|device| matches!(device.talk.action, Action::Receive { .. }), |_| Fate::Done);
    let held = device.journal.expect("a record");
    assert!(held.phase() == Phase::Downloading && held.front() > 0, "{held:?}");
}

/// A device that drops the driver now and then, to save power, is let get on with it.
#[test]
fn losses_between_which_the_job_gets_on_do_not_fail_it() {
    for (fate, percent, least) in [(Fate::Lost, 60, 40), (Fate::Torn, 15, 3)] {
        for seed in 0..20 {
            let mut device = Device::new(Build { block_size: 256, ..Build::ONE });
            let mut rng = Rng::new(seed);
            let mut losses = 0;
            device.play(
                |device| device.talk.kind() == StateKind::Pending || device.has_ended(),
                |_| {
                    let is_lost = rng.chance(percent);
                    losses += u32::from(is_lost);
                    if is_lost { fate } else { Fate::Done }
                },
            );
            assert!(!device.has_ended(), "seed {seed} {fate:?}: {}", device.trace.join("\n"));
            assert!(losses >= least, "seed {seed} {fate:?}: {losses} losses");
            device.assert_little_wear();
        }
    }
}

#[test]
fn a_request_for_the_swap_that_is_always_lost_fails_the_job() {
    let mut device = Device::new(Build::ONE);
    device.play(Device::has_ended, when(|action| matches!(action, Action::SetPending { .. }), Fate::Lost));
    device.assert_failed(Reason::SetPendingFailed);
    assert!(device.withdrawals > 0, "the request may stand");
}

/// An aborted job whose request is never taken back: it ends all the same.
#[test]
fn a_withdrawal_that_is_always_lost_is_given_up() {
    let mut device = Device::new(Build::ONE);
    let is_waiting = |device: &Device| {
        device.talk.kind() == StateKind::Pending && matches!(device.talk.action, Action::Receive { .. })
    };
    device.play(is_waiting, |_| Fate::Done);
    device.say(&In::Say(Command::Abort));
    device.play(Device::has_ended, when(|action| matches!(action, Action::Withdraw { .. }), Fate::Lost));
    device.assert_failed(Reason::Aborted);
}

#[test]
fn a_confirmation_that_is_always_lost_is_given_up() {
    let mut device = Device::new(Build::ONE);
    device.play(|device| matches!(device.talk.action, Action::Finish(_)), |_| Fate::Done);
    device.boots = device::tests(&device.talk.files[0], Revert::No);
    let is_waiting = |device: &Device| {
        device.talk.kind() == StateKind::Testing && matches!(device.talk.action, Action::Receive { .. })
    };
    device.play(is_waiting, |_| Fate::Done);
    device.say(&In::Say(Command::SelfTestPassed));
    device.play(Device::has_ended, when(|action| matches!(action, Action::Confirm { .. }), Fate::Lost));
    device.assert_failed(Reason::ConfirmFailed);
}

/// A journal costs what it would have saved, nothing else: a record that is never done holds nothing up.
#[test]
fn a_record_that_is_always_lost_is_given_up() {
    let mut device = Device::new(Build { block_size: 1024, ..Build::ONE });
    let is_record = |action: &Action| matches!(action, Action::Record);
    device.play(|device| device.talk.kind() == StateKind::Pending, when(is_record, Fate::Lost));
    device.assert_little_wear();
}

/// Also where no job is held that could fail.
#[test]
fn a_record_that_is_always_lost_is_given_up_without_a_job() {
    let mut device = Device::new(Build::ONE);
    device.play(
        |device| matches!(device.talk.action, Action::OpenRange(_) | Action::Publish(Publication::Blocks)),
        |_| Fate::Done,
    );
    device.say(&In::Done);
    device.say(&In::Say(Command::Abort));
    device.play(Device::has_ended, |_| Fate::Done);
    let before = device.records;
    let is_over = |device: &Device| device.talk.now > 30 * 24 * 3_600_000;
    device.play(is_over, when(|action| matches!(action, Action::Record), Fate::Lost));
    assert!(device.records - before < MANY, "{}", device.records);
    // And the next job is not made to pay for it.
    device.talk.ended = None;
    let mut lost = 0;
    device.say(&In::Say(Command::CheckNow));
    device.play(
        |device| device.talk.kind() == StateKind::Pending,
        |action| {
            lost += u32::from(is_erase(action));
            if is_erase(action) && lost < 10 { Fate::Lost } else { Fate::Done }
        },
    );
}

// ---- Flash fails.

/// The first part of the block goes to another sector, holds, and is found held each time.
#[test]
fn a_bad_place_under_the_end_of_a_block_fails_the_job() {
    for error in [FlashError::ReadBack, FlashError::Driver] {
        let mut device = Device::new(Build { block_size: 2048, ..Build::ONE });
        let second = |action: &Action| matches!(action, Action::Write(part) if part.at == 1024);
        device.play(Device::has_ended, when(second, Fate::Fails(error)));
        device.assert_failed(Reason::FlashFailed);
        assert!(device.erases[1] <= 4, "{:?}", device.erases);
    }
}

/// The trailer shares its sector with the image, and a cell in it is worn out: the blocks beside it are fetched again, but not
/// for ever.
#[test]
fn a_bad_trailer_beside_the_image_fails_the_job() {
    let build = Build { mode: BootMode::Overwrite, payload: SLOT - SECTOR + 200, ..Build::ONE };
    let mut device = Device::new(build);
    let request = |action: &Action| matches!(action, Action::SetPending { .. });
    device.play(Device::has_ended, when(request, Fate::Fails(FlashError::Trailer)));
    device.assert_failed(Reason::SetPendingFailed);
    assert!(device.erases[7] <= 5, "{:?}", device.erases);
}

/// A part that forbids a second program, blocks across sectors, one of them late: giving one sector up must not make its
/// neighbour one to give up, and so on for ever.
#[test]
fn sectors_that_share_blocks_are_not_given_up_in_turn() {
    let build = Build { reprogram: Reprogram::Forbidden, block_size: 768, ..Build::ONE };
    for late in 0..7 {
        for bad in 0..12 {
            let mut device = Device::new(build);
            device.loses = vec![late, late];
            let mut writes = 0;
            device.play(
                |device| device.talk.kind() == StateKind::Pending || device.has_ended(),
                |action| {
                    writes += u32::from(is_write(action));
                    if is_write(action) && writes == bad { Fate::Torn } else { Fate::Done }
                },
            );
            assert_eq!(device.talk.kind(), StateKind::Pending, "late {late} bad {bad}: {:?}", device.erases);
            assert!(
                device.erases.iter().all(|erases| *erases <= 4),
                "late {late} bad {bad}: {:?}",
                device.erases
            );
        }
    }
}

// ---- The power fails again and again.

/// A supply that breaks down whenever a sector is erased, or a watchdog that does not wait for it.
#[test]
fn restarts_that_bring_the_job_no_further_fail_it() {
    for (fits, reason) in [
        (is_erase as fn(&Action) -> bool, Reason::FlashFailed),
        (is_write, Reason::FlashFailed),
        (|action| matches!(action, Action::SetPending { .. }), Reason::FlashFailed),
    ] {
        let mut device = Device::new(Build::ONE);
        device.play(Device::has_ended, when(fits, Fate::Cut));
        device.assert_failed(reason);
        assert!(device.lives < MANY);
    }
}

/// Each start that brings nothing is a point, and the record of the next one tells.
#[test]
fn the_journal_tells_of_restarts() {
    let mut device = Device::new(Build::ONE);
    let third = |action: &Action| matches!(action, Action::Erase { sector: 2, .. });
    let mut told = |lives| {
        let is_record =
            |device: &Device| device.lives == lives && matches!(device.talk.action, Action::Record);
        device.play(is_record, when(third, Fate::Off));
        Wear::of(&device.talk.agent.record()).expect("no status is owed")
    };
    let before = told(10);
    assert_eq!((before.most_blocks, before.file_index, before.reverted_before), (4, 0, false));
    assert_eq!(told(11), Wear { points: before.points + 1, ..before });
}

/// A device that is let live for a few blocks each time.
#[test]
fn restarts_between_which_the_job_gets_on_do_not_fail_it() {
    let mut device = Device::new(Build { block_size: 256, ..Build::ONE });
    let mut writes = 0;
    device.play(
        |device| device.talk.kind() == StateKind::Pending || device.has_ended(),
        |action| {
            writes += u32::from(is_write(action));
            if is_write(action) && writes % 4 != 0 { Fate::Off } else { Fate::Done }
        },
    );
    assert!(!device.has_ended(), "{}", device.trace.join("\n"));
    assert!(device.lives > 50, "{}", device.lives);
    device.assert_little_wear();
}

/// Restarts in which flash is left alone cost nothing.
#[test]
fn restarts_before_any_work_do_not_fail_the_job() {
    let mut device = Device::new(Build::ONE);
    device.play(|device| device.talk.agent.progress().0 == 3, |_| Fate::Done);
    for _ in 0..MANY {
        device.reset();
        device.play(|device| matches!(device.talk.action, Action::Connect), |_| Fate::Done);
    }
    device.play(|device| device.talk.kind() == StateKind::Pending, |_| Fate::Done);
}

/// A device that is started again and again while its policy waits for the night.
#[test]
fn restarts_before_the_activation_do_not_fail_the_job() {
    let mut device = Device::new(Build::ONE);
    device.waits = true;
    let is_waiting = |device: &Device| {
        device.talk.kind() == StateKind::Ready && matches!(device.talk.action, Action::Receive { .. })
    };
    device.play(is_waiting, |_| Fate::Done);
    let before = device.records;
    for _ in 0..MANY {
        device.reset();
        device.play(is_waiting, |_| Fate::Done);
    }
    assert_eq!(device.records, before, "nothing is new");
    device.waits = false;
    device.play(|device| device.talk.kind() == StateKind::Pending, |_| Fate::Done);
}

/// An application that crashes in its self test where nothing takes the image back.
#[test]
fn restarts_in_the_self_test_are_recorded_once() {
    let mut device = Device::new(Build { mode: BootMode::Overwrite, ..Build::ONE });
    device.play(|device| matches!(device.talk.action, Action::Finish(_)), |_| Fate::Done);
    device.boots = device::tests(&device.talk.files[0], Revert::No);
    let is_waiting = |device: &Device| {
        device.talk.kind() == StateKind::Testing && matches!(device.talk.action, Action::Receive { .. })
    };
    device.play(is_waiting, |_| Fate::Done);
    let before = device.records;
    for _ in 0..10 {
        device.reset();
        device.play(is_waiting, |_| Fate::Done);
    }
    assert_eq!(device.records, before);
    assert_eq!(device.journal.expect("a record").phase(), Phase::Testing);
}
