//! Internal flash through the mailbox: what the driver does, and what the model says of it.

use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use ota_psoc6::flash::{DriverError, InternalFlash, Windows};
use ota_psoc6::layout::{Area, Device, FlashMap, psoc62};
use ota_psoc6::model::{Chip, Family, Model, Violation};
use ota_psoc6::syscall::{DirectCache, Status, SyscallError, SystemCalls};
use ota_psoc6::watchdog::Watchdog;

const MAP: FlashMap = psoc62::INTERNAL_SWAP;
const SLOT: u32 = 0x10_6000;
/// A clock so low that a stuck mailbox is given up after a few looks.
const CORE_HZ: u32 = 1_000_000;

type Flash<'m> = InternalFlash<Chip<'m>, Watchdog<Chip<'m>>>;

fn flash_of<'m>(model: &'m Model, map: &FlashMap, device: Device) -> Flash<'m> {
    let chip = model.chip();
    let calls = SystemCalls::new(chip, DirectCache, model.ram(), CORE_HZ);
    InternalFlash::new(chip, calls, Windows::new(map, device), Watchdog::new(chip))
}

fn flash(model: &Model) -> Flash<'_> {
    flash_of(model, &MAP, Device::Internal)
}

fn model() -> Model {
    let model = Model::new(Family::Psoc62);
    model.mailbox(|mailbox| mailbox.looks = 3);
    model
}

fn peek(model: &Model, address: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    model.peek(address, &mut bytes);
    bytes
}

fn numbers(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 512) as u8 | 1).collect()
}

#[test]
fn rows_are_written_read_and_erased_to_zero() {
    let model = model();
    let mut flash = flash(&model);
    for (at, len) in [(SLOT, 512), (SLOT, 4096), (SLOT + 512, 5 * 4096), (SLOT + 4096, 4608)] {
        let data = numbers(len);
        flash.write(at, &data).unwrap();
        let mut read = vec![0; len];
        flash.read(at, &mut read).unwrap();
        assert_eq!((read, peek(&model, 0x1000_0000 + at, len)), (data.clone(), data), "{at:#x} {len}");
    }
    flash.erase(SLOT, SLOT + 6 * 4096).unwrap();
    assert!(peek(&model, 0x1000_0000 + SLOT, 6 * 4096).iter().all(|&byte| byte == Flash::ERASED));
    assert_eq!(model.violations(), []);
    assert!(model.chip().interrupts_on());
}

/// Unaligned reads of any length, across words.
#[test]
fn any_bytes_can_be_read() {
    let model = model();
    let data = numbers(512);
    model.poke(0x1010_6000, &data);
    let mut flash = flash(&model);
    for start in 0..9 {
        for len in 0..9 {
            let mut read = vec![0; len];
            flash.read(SLOT + start as u32, &mut read).unwrap();
            assert_eq!(read, data[start..start + len], "{start} {len}");
        }
    }
    assert_eq!(model.violations(), []);
}

/// Eight rows at a multiple of 4096 cost one erase and eight programs; others are rewritten.
#[test]
fn rows_are_erased_together_where_they_can_be() {
    for (at, len, steps, ms) in [
        (SLOT, 4096, 9, 51),
        (SLOT + 512, 512, 1, 16),
        (SLOT + 512, 4096, 8, 128),
        (SLOT + 3584, 4608, 10, 67),
    ] {
        let model = model();
        flash(&model).write(at, &numbers(len)).unwrap();
        assert_eq!((model.steps(), model.now_us() / 1000), (steps, ms), "{at:#x} {len}");
    }
    let model = model();
    flash(&model).erase(SLOT + 512, SLOT + 3 * 4096).unwrap();
    assert_eq!(model.steps(), 7 + 2);
}

#[test]
fn a_row_is_updated_and_its_other_bytes_kept() {
    let model = model();
    let last = 0x10_5E00;
    model.poke(0x1010_5E00, &numbers(512));
    let mut flash = flash(&model);
    flash.update_row(last, |row| row[488] = 1).unwrap();
    let mut wanted = numbers(512);
    wanted[488] = 1;
    assert_eq!(peek(&model, 0x1010_5E00, 512), wanted);
    let steps = model.steps();
    flash.update_row(last, |row| row[488] = 1).unwrap();
    assert_eq!(model.steps(), steps, "a row that is right is left alone");
    assert_eq!(flash.update_row(last + 1, |_| ()), Err(DriverError::NotAligned));
    assert_eq!(flash.update_row(last - 512, |_| ()), Err(DriverError::Protected), "the program itself");
    assert_eq!(model.violations(), []);
}

/// Each a typed error, nothing sent, nothing touched.
#[test]
fn what_is_not_ours_is_refused() {
    let model = model();
    let mut flash = flash(&model);
    let row = [0x5A; 512];
    for (at, error) in [
        (SLOT + 1, DriverError::NotAligned),
        (SLOT + 256, DriverError::NotAligned),
        (0x20_0000, DriverError::OutOfBounds),
        (0x1F_FE01, DriverError::OutOfBounds),
        (0xFFFF_FE00, DriverError::OutOfBounds),
        (0x600_0800, DriverError::OutOfBounds),
        (0, DriverError::Protected),
        (0x1_7E00, DriverError::Protected),
        (0x1_8000, DriverError::Protected),
        (0x10_5C00, DriverError::Protected),
        (0x1F_4000, DriverError::Protected),
        (0x1F_7C00, DriverError::Protected),
    ] {
        assert_eq!(flash.write(at, &row), Err(error), "write {at:#x}");
        assert_eq!(flash.erase(at, at.saturating_add(512)), Err(error), "erase {at:#x}");
    }
    // The first row is ours, the one before is not; half a row; the wrong way round.
    assert_eq!(flash.write(SLOT - 1024, &[0; 2048]), Err(DriverError::Protected));
    assert_eq!(flash.write(SLOT, &row[..511]), Err(DriverError::NotAligned));
    assert_eq!(flash.erase(SLOT + 512, SLOT), Err(DriverError::OutOfBounds));
    assert_eq!(flash.write(0x1F_3E00, &[0; 1024]), Err(DriverError::Protected), "into the status partition");
    for at in [0u32, 0x1F_4000] {
        assert_eq!(flash.read(at, &mut [0]), Err(DriverError::Protected), "read {at:#x}");
    }
    assert_eq!(flash.read(0x1F_FFFF, &mut [0; 2]), Err(DriverError::OutOfBounds));
    assert_eq!((model.steps(), model.violations()), (0, vec![]));
    // Nothing at all is always possible.
    flash.write(SLOT, &[]).unwrap();
    flash.erase(SLOT, SLOT).unwrap();
    flash.read(SLOT, &mut []).unwrap();
}

/// Where there is nothing to confirm, the primary is read only.
#[test]
fn an_overwrite_map_leaves_the_primary_alone() {
    let model = model();
    let mut flash = flash_of(&model, &psoc62::INTERNAL_OVERWRITE, Device::Internal);
    assert_eq!(flash.write(0x10_5E00, &[0; 512]), Err(DriverError::Protected));
    flash.write(0x1F_3E00, &[1; 512]).unwrap();
}

#[test]
fn the_journal_lies_in_the_work_flash() {
    let model = model();
    let mut flash = flash_of(&model, &MAP, Device::Work);
    flash.write(0x7E00, &[3; 512]).unwrap();
    assert_eq!(peek(&model, 0x1400_7E00, 512), [3; 512]);
    assert_eq!(ReadNorFlash::capacity(&flash), 0x8000);
    assert_eq!(flash.write(0x8000, &[3; 512]), Err(DriverError::OutOfBounds));
    assert_eq!(model.violations(), []);
}

/// What the boot ROM answers ends up in the error, whatever it is.
#[test]
fn every_status_is_told() {
    for (word, status) in [
        (0xF000_0001, Status::Protection),
        (0xF000_0003, Status::LatchAddress),
        (0xF000_0004, Status::Address),
        (0xF000_0005, Status::WriteProtected),
        (0xF000_0022, Status::Compare),
        (0xF000_000A, Status::Unknown(0xF000_000A)),
        (0xF000_00A4, Status::Unknown(0xF000_00A4)),
        (0xA000_0009, Status::Unknown(0xA000_0009)),
        (0x1234_5678, Status::Unknown(0x1234_5678)),
    ] {
        let model = model();
        model.mailbox(|mailbox| mailbox.answers.push_back(word));
        let error = flash(&model).write(SLOT, &[1; 512]).unwrap_err();
        assert_eq!(error, DriverError::System(SyscallError::Refused(status)), "{word:#x}");
        assert_eq!(error.kind(), NorFlashErrorKind::Other);
        assert!(model.chip().interrupts_on());
    }
    for word in [0, 0xA000_0000, 0xA000_0001] {
        assert_eq!(Status::decode(word), Ok(()), "{word:#x}");
    }
}

#[test]
fn write_protected_rows_are_reported_and_kept() {
    let model = model();
    model.poke(0x1010_6000, &[9; 1024]);
    model.mailbox(|mailbox| mailbox.protected.push(Area::new(0x1010_6000, 0x1000)));
    let mut flash = flash(&model);
    let refused = Err(DriverError::System(SyscallError::Refused(Status::WriteProtected)));
    assert_eq!(flash.write(SLOT, &[1; 512]), refused);
    assert_eq!(flash.write(SLOT, &[1; 4096]), refused);
    assert_eq!(flash.erase(SLOT, SLOT + 512), refused);
    assert_eq!(peek(&model, 0x1010_6000, 1024), [9; 1024]);
    flash.write(SLOT + 4096, &[1; 512]).unwrap();
}

/// Somebody else's call: nothing is done, and the next try works.
#[test]
fn a_held_mailbox_is_busy() {
    let model = model();
    let mut flash = flash(&model);
    model.mailbox(|mailbox| mailbox.held_by_others[1] = true);
    assert_eq!(flash.write(SLOT, &[1; 512]), Err(DriverError::System(SyscallError::Busy)));
    assert!(model.chip().interrupts_on());
    model.mailbox(|mailbox| mailbox.held_by_others[1] = false);
    flash.write(SLOT, &[1; 512]).unwrap();
    assert_eq!(model.violations(), []);
}

/// The other core never answers: bounded, fatal, and its block is not touched until it lets go.
#[test]
fn a_stuck_mailbox_is_given_up_and_left_alone() {
    let model = model();
    let mut flash = flash(&model);
    model.mailbox(|mailbox| mailbox.is_stuck = true);
    for _ in 0..3 {
        assert_eq!(flash.write(SLOT, &[1; 512]), Err(DriverError::System(SyscallError::Stuck)));
        assert!(model.chip().interrupts_on());
    }
    assert_eq!(model.steps(), 1, "sent once");
    model.mailbox(|mailbox| mailbox.is_stuck = false);
    // As many looks as the call still takes.
    assert!((0..4).any(|_| flash.write(SLOT, &[2; 512]).is_ok()));
    assert_eq!(peek(&model, 0x1010_6000, 512), [2; 512]);
    assert_eq!(model.violations(), []);
}

/// Given up is not over: until the other core lets go nothing is read either, and what it did meanwhile is seen.
#[test]
fn a_call_that_ends_late_is_seen_by_reads() {
    let model = model();
    let mut flash = flash(&model);
    flash.write(SLOT, &[1; 512]).unwrap();
    model.mailbox(|mailbox| mailbox.is_stuck = true);
    let stuck = Err(DriverError::System(SyscallError::Stuck));
    assert_eq!(flash.write(SLOT, &[2; 512]), stuck);
    let mut row = [0; 512];
    assert_eq!(flash.read(SLOT, &mut row), stuck);
    assert_eq!(flash.update_row(SLOT, |_| ()), stuck);
    assert_eq!(model.violations(), []);
    model.mailbox(|mailbox| mailbox.is_stuck = false);
    // As many looks as the call still takes.
    let late = (0..4).find_map(|_| flash.read(SLOT, &mut row).ok());
    assert_eq!((late, row), (Some(()), [2; 512]), "not what the cache remembers");
    assert_eq!(model.violations(), []);
}

/// Without the command to forget, the cache would go on with what was there.
#[test]
fn the_cache_is_told_to_forget() {
    let model = model();
    let mut flash = flash(&model);
    let mut row = [0; 512];
    for value in 1..4 {
        flash.write(SLOT, &[value; 512]).unwrap();
        flash.read(SLOT, &mut row).unwrap();
        assert_eq!(row, [value; 512]);
    }
}

/// A flash that says success and did nothing: the slot above reads back.
#[test]
fn a_lying_flash_is_found_out() {
    use embassy_futures::block_on;
    use ota_core::slot::{FlashError, Slot};
    let model = model();
    model.poke(0x1010_6000, &[9; 1024]);
    model.mailbox(|mailbox| mailbox.lies = true);
    let mut slot = Slot::new(flash(&model), *MAP.image(0).secondary()).unwrap();
    assert_eq!(block_on(slot.write(0, &[1; 512])), Err(FlashError::ReadBack));
    assert_eq!(block_on(slot.erase(0)), Err(FlashError::ReadBack));
    assert_eq!(block_on(slot.patch(488, &[1])), Err(FlashError::ReadBack));
}

/// The driver feeds between calls, so a slot of 1904 rows never starves the watchdog.
#[test]
fn the_watchdog_is_fed_through_a_whole_slot() {
    let model = model();
    let mut flash = flash(&model);
    for _ in 0..3 {
        flash.erase(SLOT, SLOT + 0xE_E000).unwrap();
    }
    for row in 0..1904 {
        flash.write(SLOT + row * 512, &[row as u8; 512]).unwrap();
    }
    assert!(model.now_us() > 25_000_000, "{} us", model.now_us());
    assert_eq!(model.violations(), []);
}

/// The model is no pushover: each rule it has is seen to be broken by somebody who breaks it.
#[test]
fn the_model_notes_what_silicon_forbids() {
    use ota_psoc6::bus::Bus;
    use ota_psoc6::processor::Processor;
    let model = model();
    let chip = model.chip();
    let block = 0x0809_0000;
    let call = |words: [u32; 4], masked: bool| {
        for (at, word) in (block..).step_by(4).zip(words) {
            chip.write32(at, word);
        }
        if masked {
            chip.mask_interrupts();
        }
        assert_ne!(chip.read32(0x4022_0020), 0);
        chip.write32(0x4022_002C, block);
        chip.write32(0x4022_0028, 1);
        chip.read32(0x1010_6000);
        chip.write32(block + 4, 0);
        while chip.read32(0x4022_003C) != 0 {}
        chip.unmask_interrupts();
    };
    model.poke(0x1010_6000, &[1; 512]);
    call([0x0600_0100, 0x100, 0x1010_6000, 0x0809_0100], false);
    assert_eq!(
        model.violations(),
        [
            Violation::InterruptsOn,
            Violation::DirtyRow(0x1010_6000),
            Violation::ReadWhileWrite(0x1010_6000),
            Violation::BlockTouched(block + 4)
        ]
    );
    // Programming only sets bits.
    assert_eq!(peek(&model, 0x1010_6000, 2), [0xA5, 0xA5]);
    model.set_executing(Area::new(0x1001_8000, 0xE_E000));
    call([0x1400_0100, 0x1010_0000, 0, 0], true);
    assert!(model.violations().contains(&Violation::ExecutingSector(0x1010_0000)));
    // A block in flash, data in flash, a notification without the lock, odd addresses, holes.
    for bad in [0x1001_8000, 0x0809_0002, 0x080F_F800] {
        assert_ne!(chip.read32(0x4022_0020), 0);
        chip.write32(0x4022_002C, bad);
        chip.write32(0x4022_0028, 1);
        assert!(model.violations().contains(&Violation::ParameterBlock(bad)), "{bad:#x}");
    }
    call([0x0600_0100, 0x100, 0x1010_6000, 0x1001_8000], true);
    assert!(model.violations().contains(&Violation::ParameterBlock(0x1001_8000)));
    chip.write32(0x4022_0028, 1);
    chip.read32(0x4022_0022);
    chip.read32(0x4000_0000);
    chip.write32(0xE000_ED0C, 0x05FA_0004);
    for violation in [
        Violation::NotLocked(0x4022_0028),
        Violation::Unaligned(0x4022_0022),
        Violation::NoSuchAddress(0x4000_0000),
    ] {
        assert!(model.violations().contains(&violation), "{violation:?}");
    }
    assert!(!model.violations().contains(&Violation::ResetWhileBusy));
    model.advance_us(4_000_001);
    assert_eq!(model.violations().last(), Some(&Violation::WatchdogBit));
    assert!(!model.is_powered());
}

/// A driver whose RAM is not where the other core can reach it is noticed.
#[test]
fn ram_outside_sram_is_noticed() {
    let model = model();
    let chip = model.chip();
    let mut calls = SystemCalls::new(chip, DirectCache, model.ram_at(0x1001_8000), CORE_HZ);
    assert!(calls.erase_row(0x1010_6000).is_ok() || !model.violations().is_empty());
    assert!(model.violations().contains(&Violation::ParameterBlock(0x1001_8000)));
    assert_eq!(model.steps(), 0);
}
