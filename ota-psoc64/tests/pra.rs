//! The way to the secure core's registers, and what becomes of drivers without it.

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use ota_psoc6::flash::{DriverError, ExternalFlash, InternalFlash, Windows};
use ota_psoc6::layout::{Area, Device};
use ota_psoc6::model::{Chip, Family, Model, Violation};
use ota_psoc6::reset::{ResetError, reset};
use ota_psoc6::smif::Smif;
use ota_psoc6::syscall::{DirectCache, Status, SyscallError, SystemCalls};
use ota_psoc6::watchdog::Feed;
use ota_psoc64::layout::{RESERVED, TFM};
use ota_psoc64::pra::{Cache, Message, Pra, PraError, Register, Watchdog};

fn model() -> Model {
    let model = Model::new(Family::Psoc64);
    model.pra(|pra| pra.looks = 3);
    model.mailbox(|mailbox| mailbox.looks = 3);
    model
}

fn pra(model: &Model) -> Pra<Chip<'_>> {
    Pra::new(model.chip(), Message::in_model(0x0807_0000))
}

type Flash<'m> = InternalFlash<Chip<'m>, Watchdog<Chip<'m>>, Cache<Chip<'m>>>;

fn flash(model: &Model) -> Flash<'_> {
    let calls = SystemCalls::new(model.chip(), Cache::new(pra(model)), model.ram(), 1_000_000);
    InternalFlash::new(model.chip(), calls, Windows::new(&TFM, Device::Internal), Watchdog::new(pra(model)))
}

#[test]
fn registers_are_read_and_written() {
    let model = model();
    let pra = pra(&model);
    assert_eq!(pra.write(Register::SrssIntr, 1), Ok(()));
    assert_eq!(pra.read(Register::FlashCmd), Ok(0));
    assert!(matches!(pra.write(Register::ClkRootSelect2, 1), Err(PraError::Refused(_))));
    model.pra(|pra| assert_eq!(pra.served, 3));
    assert!(model.chip().interrupts_on());
    assert_eq!(model.violations(), []);
}

#[test]
fn the_watchdog_is_fed_through_the_secure_core() {
    let model = model();
    let mut watchdog = Watchdog::new(pra(&model));
    for _ in 0..5 {
        model.advance_us(3_900_000);
        watchdog.feed();
    }
    assert_eq!(model.violations(), []);
    // Directly it does not work.
    ota_psoc6::watchdog::Watchdog::new(model.chip()).feed();
    assert_eq!(model.violations(), [Violation::ProtectedRegister(0x4026_0700); 2]);
}

#[test]
fn a_server_that_does_not_answer_or_refuses_is_told() {
    let model = model();
    let pra = pra(&model);
    model.pra(|pra| pra.held_looks = 5);
    assert_eq!(pra.write(Register::SrssIntr, 1), Ok(()), "held for a moment only");
    model.pra(|pra| pra.denies = true);
    assert_eq!(pra.write(Register::SrssIntr, 1), Err(PraError::Refused(0x011A_0FFF)));
    model.pra(|pra| pra.held_looks = 1_000_000);
    assert_eq!(pra.read(Register::SrssIntr), Err(PraError::Busy));
    model.pra(|pra| (pra.denies, pra.is_stuck, pra.held_looks) = (false, true, 0));
    assert_eq!(pra.read(Register::SrssIntr), Err(PraError::Stuck));
    assert_eq!(pra.read(Register::SrssIntr), Err(PraError::Busy), "the lock is still held");
    assert!(model.chip().interrupts_on());
    assert_eq!(model.violations(), []);
}

#[test]
fn flash_is_written_and_the_cache_forgets_through_the_secure_core() {
    let model = model();
    let mut flash = flash(&model);
    for value in 1..4 {
        flash.write(0x16_C000, &[value; 4096]).unwrap();
        let mut row = [0; 4096];
        flash.read(0x16_C000, &mut row).unwrap();
        assert_eq!(row, [value; 4096]);
    }
    assert_eq!(model.violations(), []);
    // A secure core that does not make it forget: what is read cannot be believed.
    model.pra(|pra| pra.denies = true);
    let stale = Err(DriverError::System(SyscallError::Cache));
    assert_eq!(flash.write(0x16_C000, &[9; 512]), stale);
    let mut row = [0; 512];
    assert_eq!(flash.read(0x16_C000, &mut row), stale);
    // Until it does.
    model.pra(|pra| pra.denies = false);
    flash.read(0x16_C000, &mut row).unwrap();
    assert_eq!(row, [9; 512]);
}

/// A feed takes 50 µs here, so there is not one for each look at a busy serial flash: a long erase belongs to other tasks, with
/// interrupts on.
#[test]
fn the_longest_erase_costs_few_feeds() {
    let model = model();
    model.serial_flash(|part| part.erase_us = 2_600_000);
    let windows = Windows::new(&TFM, Device::External);
    let smif = Smif::new(model.chip()).unwrap();
    let mut flash = ExternalFlash::new(smif, model.clock(), windows, Watchdog::new(pra(&model))).unwrap();
    let before = model.now_us();
    flash.erase(0, 0x8_0000).unwrap();
    assert!(model.now_us() - before < 5_400_000, "{} us", model.now_us() - before);
    model.pra(|pra| assert!((10..1_000).contains(&pra.served), "{} feeds", pra.served));
    assert_eq!(model.violations(), []);
}

/// Nor one for each look at the mailboxes: a reset that cannot be is told after seconds, and the watchdog is fed meanwhile.
#[test]
fn a_reset_that_cannot_be_is_given_up_in_time() {
    let model = model();
    model.mailbox(|mailbox| mailbox.held_by_others[0] = true);
    let error = reset(model.chip(), &mut Watchdog::new(pra(&model)), || Ok::<(), ()>(()));
    assert_eq!((error, model.resets()), (ResetError::SystemCall, 0));
    assert!((300_000..5_000_000).contains(&model.now_us()), "{} us", model.now_us());
    assert!(model.chip().interrupts_on());
    assert_eq!(model.violations(), []);
}

/// The drivers of a PSoC 62 do not reach the cache of a PSoC 64, and the model says so.
#[test]
fn the_plain_cache_command_faults() {
    let model = model();
    let mut calls = SystemCalls::new(model.chip(), DirectCache, model.ram(), 1_000_000);
    let _ = calls.erase_row(0x1016_C000);
    assert!(model.violations().contains(&Violation::ProtectedRegister(0x4024_0008)));
}

/// Secure firmware's storage, counters, status partition and bootloader: refused here, nothing sent.
#[test]
fn what_the_secure_core_owns_is_refused() {
    let model = model();
    let mut flash = flash(&model);
    for area in TFM.spec().reserved.iter().map(|reserved| reserved.area).chain([RESERVED]) {
        for at in [area.offset(), area.offset() + area.size() - 512] {
            assert_eq!(flash.write(at, &[1; 512]), Err(DriverError::Protected), "{at:#x}");
            assert_eq!(flash.erase(at, at + 512), Err(DriverError::Protected), "{at:#x}");
        }
    }
    // Its program cannot be written either, not even to confirm it; the application's last row can.
    assert_eq!(flash.write(0x4_FE00, &[1; 512]), Err(DriverError::Protected));
    assert_eq!(flash.write(0x16_BC00, &[1; 512]), Err(DriverError::Protected));
    assert_eq!(model.steps(), 0);
    flash.write(0x16_BE00, &[1; 512]).unwrap();
    // A policy that protects more than is known here.
    model.mailbox(|mailbox| mailbox.protected.push(Area::new(0x1016_C000, 0x5_0000)));
    let refused = DriverError::System(SyscallError::Refused(Status::WriteProtected));
    assert_eq!(flash.write(0x16_C000, &[1; 512]), Err(refused));
}
