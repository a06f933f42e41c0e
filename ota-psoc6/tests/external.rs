//! The external serial flash through the interface's FIFOs.

use embassy_futures::block_on;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use ota_psoc6::flash::{DriverError, ExternalFlash, ID, Windows};
use ota_psoc6::layout::{Area, Device, FlashMap, psoc62};
use ota_psoc6::model::{Chip, Clock, Family, Model, SerialFlash, Violation};
use ota_psoc6::smif::{Prefix, Smif, SmifError};
use ota_psoc6::watchdog::Watchdog;

const MAP: FlashMap = psoc62::EXTERNAL_SWAP;
const BASE: u32 = 0x1800_0000;
const SECTOR: u32 = 0x4_0000;

type Flash<'m> = ExternalFlash<Chip<'m>, Clock<'m>, Watchdog<Chip<'m>>>;

fn open(model: &Model) -> Result<Flash<'_>, DriverError> {
    let chip = model.chip();
    ExternalFlash::new(
        Smif::new(chip)?,
        model.clock(),
        Windows::new(&MAP, Device::External),
        Watchdog::new(chip),
    )
}

fn model(change: impl FnOnce(&mut SerialFlash)) -> Model {
    let model = Model::new(Family::Psoc62);
    model.serial_flash(change);
    model
}

fn plain() -> Model {
    model(|_| ())
}

fn numbers(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 512) as u8).collect()
}

fn peek(model: &Model, at: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    model.peek(BASE + at, &mut bytes);
    bytes
}

#[test]
fn it_is_erased_to_ones_programmed_and_read() {
    for quad in [false, true] {
        let model = plain();
        let mut flash = open(&model).unwrap();
        if quad {
            flash.use_quad().unwrap();
        }
        flash.erase(0, 2 * SECTOR).unwrap();
        assert!(peek(&model, 0, 2 * SECTOR as usize).iter().all(|&byte| byte == Flash::ERASED));
        // Across pages and a sector, from the middle of a page.
        let data = numbers(3000 / 16 * 16);
        let at = SECTOR - 1008;
        flash.write(at, &data).unwrap();
        let mut read = vec![0; data.len()];
        flash.read(at, &mut read).unwrap();
        assert_eq!(read, data);
        for (start, len) in [(0, 1), (1, 3), (3, 4097), (5, 8190), (16, 0)] {
            let mut read = vec![0; len];
            flash.read(at + start, &mut read).unwrap();
            assert_eq!(read, peek(&model, at + start, len), "{start} {len}");
        }
        assert_eq!(model.violations(), [], "quad {quad}");
    }
}

/// The same through the other trait.
#[test]
fn the_async_trait_does_the_same() {
    use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
    let model = plain();
    let chip = model.chip();
    block_on(async {
        let windows = Windows::new(&MAP, Device::External);
        let mut flash =
            Flash::new_async(Smif::new(chip).unwrap(), model.clock(), windows, Watchdog::new(chip))
                .await
                .unwrap();
        flash.use_quad_async().await.unwrap();
        NorFlash::erase(&mut flash, 0, SECTOR).await.unwrap();
        NorFlash::write(&mut flash, 0x400, &numbers(2048)).await.unwrap();
        let mut read = [0; 2048];
        ReadNorFlash::read(&mut flash, 0x400, &mut read).await.unwrap();
        assert_eq!(read[..], numbers(2048));
        flash.finish_async().await.unwrap();
    });
    assert_eq!(model.violations(), []);
}

/// A dropped erase goes on in the part; the next operation waits for its end.
#[test]
fn a_dropped_future_leaves_the_part_to_finish() {
    use embedded_storage_async::nor_flash::NorFlash;
    use std::future::Future;
    use std::task::{Context, Waker};
    let model = plain();
    let mut flash = open(&model).unwrap();
    {
        let mut erase = std::pin::pin!(NorFlash::erase(&mut flash, 0, SECTOR));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..5 {
            assert!(erase.as_mut().poll(&mut context).is_pending());
        }
    }
    let before = model.now_us();
    block_on(NorFlash::write(&mut flash, 0, &[1; 16])).unwrap();
    assert!(model.now_us() - before > 500_000, "it waited");
    assert_eq!(model.violations(), []);
}

/// The longest erases of a whole slot, 18 s, and the watchdog does not bite.
#[test]
fn the_watchdog_is_fed_while_the_part_is_busy() {
    let model = model(|part| (part.erase_us, part.program_us) = (2_600_000, 1_300));
    let mut flash = open(&model).unwrap();
    flash.erase(0, 7 * SECTOR).unwrap();
    assert!(model.now_us() > 18_000_000);
    flash.write(0, &numbers(4096)).unwrap();
    assert_eq!(model.violations(), []);
}

#[test]
fn a_part_that_is_not_the_right_one_is_refused() {
    for (id, error) in [
        ([0x01, 0x20, 0x18], DriverError::Identity([0x01, 0x20, 0x18])),
        ([0x20, 0xBA, 0x20], DriverError::Identity([0x20, 0xBA, 0x20])),
    ] {
        let model = model(|part| part.id = id);
        assert_eq!(open(&model).err(), Some(error));
        assert_eq!(model.steps(), 0);
    }
    for level in [0x00, 0xFF] {
        let model = model(|part| part.absent = Some(level));
        assert_eq!(open(&model).err(), Some(DriverError::Identity([level; 3])));
        assert!(model.now_us() < 100_000, "an absent part is no busy one");
    }
    assert_eq!(open(&model(|part| part.no_sfdp = true)).err(), Some(DriverError::Parameters));
    assert_eq!(ID, [0x01, 0x02, 0x20]);
}

/// An erase from before the reset, also one that failed.
#[test]
fn a_part_busy_from_before_is_waited_for() {
    let model = model(|part| part.make_busy_until_us(2_000_000));
    let mut flash = open(&model).unwrap();
    assert!(model.now_us() >= 2_000_000);
    model.serial_flash(|part| part.fails_next = true);
    assert_eq!(flash.erase(0, SECTOR), Err(DriverError::EraseFailed));
    model.restart();
    open(&model).unwrap().erase(0, SECTOR).unwrap();
    assert_eq!(model.violations(), []);
}

#[test]
fn a_part_that_hangs_is_given_up() {
    let model = model(|part| part.hangs = true);
    assert_eq!(open(&model).err(), Some(DriverError::Timeout));
    assert!((5_200_000..10_000_000).contains(&model.now_us()), "{}", model.now_us());
    assert_eq!(model.violations(), [], "fed all the time");
}

#[test]
fn errors_of_the_part_are_told_and_cleared() {
    let model = plain();
    let mut flash = open(&model).unwrap();
    model.serial_flash(|part| part.fails_next = true);
    assert_eq!(flash.write(0, &[0; 16]), Err(DriverError::ProgramFailed));
    flash.write(0, &[0; 16]).unwrap();
    model.serial_flash(|part| part.is_protected = true);
    assert_eq!(flash.erase(0, SECTOR), Err(DriverError::EraseFailed));
    assert_eq!(flash.write(16, &[0; 16]), Err(DriverError::ProgramFailed));
    assert_eq!(peek(&model, 0, 32), [&[0u8; 16][..], &[0xFF; 16]].concat());
    model.serial_flash(|part| (part.is_protected, part.ignores_write_enable) = (false, true));
    assert_eq!(flash.erase(0, SECTOR), Err(DriverError::WriteEnable));
    assert_eq!(flash.write(16, &[0; 16]), Err(DriverError::WriteEnable));
    assert_eq!(model.violations(), []);
}

#[test]
fn a_quad_bit_that_does_not_stay_is_told() {
    let model = model(|part| part.no_quad = true);
    let mut flash = open(&model).unwrap();
    assert_eq!(flash.use_quad(), Err(DriverError::Quad));
    flash.write(0, &[1; 16]).unwrap();
    assert_eq!(model.violations(), []);
    // What stands beside it in the same write stays.
    let model = self::model(|part| part.kept_status = 0x84);
    open(&model).unwrap().use_quad().unwrap();
    model.serial_flash(|part| assert_eq!(part.kept_status, 0x84));
    // Set in an earlier life, it is not written again.
    let model = plain();
    open(&model).unwrap().use_quad().unwrap();
    let steps = model.steps();
    open(&model).unwrap().use_quad().unwrap();
    assert_eq!(model.steps(), steps);
}

/// No clock for the block, or none of its registers: bounded.
#[test]
fn an_interface_that_does_not_move_is_given_up() {
    let model = plain();
    let mut flash = open(&model).unwrap();
    model.clock_smif(false);
    let stuck = Err(DriverError::Interface(SmifError::Stuck));
    assert_eq!(flash.read(0, &mut [0]), stuck);
    assert_eq!(flash.erase(0, SECTOR), stuck);
    assert_eq!(open(&model).err(), Some(DriverError::Interface(SmifError::Stuck)));
}

/// The clock comes back, and with it what was left in the FIFOs: bytes of a transfer that was given up belong to nobody.
#[test]
fn an_interface_that_moves_again_is_in_step() {
    for quad in [false, true] {
        let model = plain();
        let mut flash = open(&model).unwrap();
        if quad {
            flash.use_quad().unwrap();
        }
        let data = numbers(64);
        flash.write(0, &data).unwrap();
        let stuck = Err(DriverError::Interface(SmifError::Stuck));
        for _ in 0..3 {
            model.clock_smif(false);
            assert_eq!(flash.read(0, &mut [0; 16]), stuck);
            model.clock_smif(true);
            let mut read = [0; 64];
            flash.read(0, &mut read).unwrap();
            assert_eq!(read[..], data);
        }
        // Another driver of the block, such as the journal's.
        let mut other = open(&model).unwrap();
        model.clock_smif(false);
        assert_eq!(flash.write(64, &data), stuck);
        model.clock_smif(true);
        other.write(64, &data).unwrap();
        assert_eq!(peek(&model, 0, 144), [&data[..], &data, &[0xFF; 16]].concat());
        assert_eq!(model.violations(), [], "quad {quad}");
    }
}

/// Some bootloaders leave the block in XIP mode.
#[test]
fn xip_mode_is_left_first() {
    let model = plain();
    model.set_xip();
    open(&model).unwrap();
    assert_eq!(model.violations(), []);
}

#[test]
fn what_is_not_ours_is_refused() {
    let model = plain();
    let mut flash = open(&model).unwrap();
    let steps = model.steps();
    for (from, to, error) in [
        (1, SECTOR, DriverError::NotAligned),
        (0x200, SECTOR, DriverError::NotAligned),
        (0, 0x200, DriverError::NotAligned),
        (SECTOR, 0, DriverError::OutOfBounds),
        (8 * SECTOR, 9 * SECTOR, DriverError::Protected),
        (7 * SECTOR, 9 * SECTOR, DriverError::Protected),
        (0x44_0000, 0x48_0000, DriverError::Protected),
        (0x3FC_0000, 0x404_0000, DriverError::OutOfBounds),
    ] {
        assert_eq!(flash.erase(from, to), Err(error), "{from:#x}..{to:#x}");
    }
    for (at, len, error) in [
        (8, 16, DriverError::NotAligned),
        (0, 15, DriverError::NotAligned),
        (0x20_0000, 16, DriverError::Protected),
        (0x1F_FFF0, 32, DriverError::Protected),
        (0x400_0000, 16, DriverError::OutOfBounds),
        (0xFFFF_FFF0, 16, DriverError::OutOfBounds),
    ] {
        assert_eq!(flash.write(at, &vec![0; len]), Err(error), "{at:#x} {len}");
    }
    assert_eq!(flash.read(0x44_0000, &mut [0]), Err(DriverError::Protected));
    assert_eq!(flash.read(0x3FF_FFFF, &mut [0; 2]), Err(DriverError::OutOfBounds));
    assert_eq!((model.steps(), model.violations()), (steps, vec![]));
}

/// A part that says success and did nothing, and one whose cells were programmed: the slot above finds out.
#[test]
fn a_lying_flash_is_found_out() {
    use ota_core::slot::{FlashError, Slot};
    let model = plain();
    let mut slot = Slot::new(open(&model).unwrap(), *MAP.image(0).secondary()).unwrap();
    model.poke(BASE + 0x200, &[0; 512]);
    model.serial_flash(|part| part.lies = true);
    assert_eq!(block_on(slot.erase(0)), Err(FlashError::ReadBack));
    assert_eq!(block_on(slot.write(512, &[1; 512])), Err(FlashError::ReadBack));
}

/// Each rule of the model, broken by hand.
#[test]
fn the_model_notes_what_the_part_forbids() {
    let model = plain();
    let mut smif = Smif::new(model.chip()).unwrap();
    let enable = Prefix::command(0x06);
    let program = |address: &'static [u8]| Prefix { address, ..Prefix::command(0x12) };
    let mut check = |violation: Violation, work: &mut dyn FnMut(&mut Smif<Chip<'_>>)| {
        let before = model.violations().len();
        work(&mut smif);
        assert_eq!(model.violations()[before..], [violation]);
        model.advance_us(2_000_000);
        model.restart_watchdog();
    };
    check(Violation::PageWrap(0x1FC), &mut |smif| {
        smif.send(&enable).unwrap();
        smif.write(&program(&[0, 0, 1, 0xFC]), &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    });
    assert_eq!(
        (peek(&model, 0x1FC, 8), peek(&model, 0, 5)),
        (vec![1, 2, 3, 4, 255, 255, 255, 255], vec![5, 6, 7, 8, 255])
    );
    check(Violation::DoubleProgram(0), &mut |smif| {
        smif.send(&enable).unwrap();
        smif.write(&program(&[0, 0, 0, 8]), &[0x0F]).unwrap();
    });
    check(Violation::CommandWhileBusy(0x9F), &mut |smif| {
        smif.send(&enable).unwrap();
        smif.write(&program(&[0, 0, 2, 0]), &[0x0F]).unwrap();
        smif.read(&Prefix::command(0x9F), &mut [0]).unwrap();
    });
    check(Violation::Framing(0x0C), &mut |smif| {
        let address = &[0; 4];
        smif.read(&Prefix { address, dummy_cycles: 7, ..Prefix::command(0x0C) }, &mut [0]).unwrap();
    });
    check(Violation::UnknownCommand(0x77), &mut |smif| smif.send(&Prefix::command(0x77)).unwrap());
    // Without the write-enable nothing happens.
    let before = peek(&model, 0x1000, 16);
    smif.write(&program(&[0, 0, 0x10, 0]), &[0; 16]).unwrap();
    assert_eq!(peek(&model, 0x1000, 16), before);
    assert_eq!(smif.write(&Prefix::command(0x12), &vec![0; 65537]), Err(SmifError::Length));
    assert_eq!(Area::new(BASE, 1).device(), Some(Device::External));
}
