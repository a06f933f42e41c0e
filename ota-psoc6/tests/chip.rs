//! Watchdog, random numbers, reset, pins.

use ota_psoc6::boot::{reset_vectors, set_vector_table};
use ota_psoc6::bus::Bus;
use ota_psoc6::kit::CY8CKIT_062S2_43012 as KIT;
use ota_psoc6::layout::psoc62;
use ota_psoc6::model::{Family, Model, Violation};
use ota_psoc6::reset::{Cause, ResetError, reset};
use ota_psoc6::smif::Smif;
use ota_psoc6::trng::{Trng, TrngError};
use ota_psoc6::watchdog::{Feed, Watchdog};
use rand_core::RngCore;

fn model() -> Model {
    Model::new(Family::Psoc62)
}

#[test]
fn a_fed_watchdog_does_not_bite_and_a_forgotten_one_does() {
    let model = model();
    let mut watchdog = Watchdog::new(model.chip());
    assert!(watchdog.is_enabled());
    for _ in 0..10 {
        model.advance_us(3_900_000);
        watchdog.feed();
    }
    assert_eq!(model.violations(), []);
    model.advance_us(4_000_001);
    assert_eq!(model.violations(), [Violation::WatchdogBit]);
}

#[test]
fn a_disabled_watchdog_stays_silent() {
    let model = model();
    let mut watchdog = Watchdog::new(model.chip());
    watchdog.disable();
    assert!(!watchdog.is_enabled());
    model.advance_us(60_000_000);
    assert_eq!(model.violations(), []);
    // The model wants the lock undone in two writes, in order.
    let model = self::model();
    model.chip().write32(0x4026_0180, 2 << 30);
    model.chip().write32(0x4026_0180, 0);
    assert_eq!(model.violations(), [Violation::WatchdogLocked; 2]);
}

#[test]
fn random_words_come_with_both_health_tests_on() {
    let model = model();
    let mut trng = Trng::new(model.chip()).unwrap();
    let words = [trng.word().unwrap(), trng.word().unwrap(), trng.word().unwrap()];
    assert!(words[0] != words[1] && words[1] != words[2]);
    let mut first = trng.rng().unwrap();
    let mut second = trng.rng().unwrap();
    let (mut a, mut b) = ([0; 40], [0; 40]);
    first.fill_bytes(&mut a);
    second.try_fill_bytes(&mut b).unwrap();
    assert_ne!(a, b);
    assert!(a.windows(4).any(|four| four != [0; 4]));
    assert_ne!(first.next_u32(), second.next_u32());
    assert_ne!(first.next_u64(), second.next_u64());
    assert_eq!(model.violations(), []);
    drop(trng);
    model.trng(|trng| assert!(!trng.is_running()));
}

#[test]
fn a_tripped_health_test_is_an_error_for_good() {
    for words in 0..6 {
        let model = model();
        model.trng(|trng| trng.trips_after = Some(words));
        let mut result = Trng::new(model.chip()).map(|mut trng| {
            // The first word was thrown away.
            for _ in 1..words {
                assert!(trng.word().is_ok());
            }
            assert_eq!(trng.word(), Err(TrngError::Health));
            assert_eq!(trng.seed(), Err(TrngError::Health));
            assert_eq!(trng.rng().err(), Some(TrngError::Health));
            words
        });
        if words == 0 {
            result = result.or(Ok(0));
        }
        assert_eq!(result.ok(), Some(words));
    }
}

#[test]
fn a_generator_that_does_not_start_is_given_up() {
    let model = model();
    model.trng(|trng| trng.is_stuck = true);
    let mut bytes = Watchdog::new(model.chip());
    bytes.disable();
    assert_eq!(Trng::new(model.chip()).err(), Some(TrngError::Stuck));
}

/// The model does not let a generator run without its tests.
#[test]
fn the_model_wants_the_health_tests() {
    let model = model();
    let chip = model.chip();
    chip.write32(0x4010_0284, 0x3F);
    chip.write32(0x4010_0290, 1);
    assert_eq!(model.violations(), [Violation::HealthTestsOff]);
}

#[test]
fn a_reset_waits_for_every_mailbox() {
    for structure in 0..3 {
        let model = model();
        let chip = model.chip();
        model.mailbox(|mailbox| mailbox.held_by_others[structure] = true);
        let error = reset(chip, &mut Watchdog::new(chip), || Ok::<(), ()>(()));
        assert_eq!((error, model.resets()), (ResetError::SystemCall, 0), "structure {structure}");
        assert!(chip.interrupts_on());
        model.mailbox(|mailbox| mailbox.held_by_others[structure] = false);
        let error = reset(chip, &mut Watchdog::new(chip), || Ok::<(), ()>(()));
        // On the model nothing stops running.
        assert_eq!((error, model.resets()), (ResetError::Ignored, 1));
        assert_eq!(model.violations(), []);
    }
}

/// Through the external flash's own wait.
#[test]
fn a_reset_waits_for_the_external_flash() {
    use ota_psoc6::flash::{DriverError, ExternalFlash, Windows};
    use ota_psoc6::layout::Device;
    let model = model();
    let chip = model.chip();
    let windows = Windows::new(&psoc62::EXTERNAL_OVERWRITE, Device::External);
    let mut flash =
        ExternalFlash::new(Smif::new(chip).unwrap(), model.clock(), windows, Watchdog::new(chip)).unwrap();
    model.serial_flash(|part| part.make_busy_until_us(1_500_000));
    assert_eq!(reset(chip, &mut Watchdog::new(chip), || flash.finish()), ResetError::Ignored);
    assert!(model.now_us() >= 1_500_000 && model.resets() == 1);
    model.serial_flash(|part| part.hangs = true);
    let error = reset(chip, &mut Watchdog::new(chip), || flash.finish());
    assert_eq!((error, model.resets()), (ResetError::External(DriverError::Timeout), 1));
    assert_eq!(model.violations(), []);
    // The model notes it when somebody does not wait.
    chip.write32(0xE000_ED0C, 0x05FA_0004);
    assert_eq!(model.violations(), [Violation::ResetWhileBusy]);
}

#[test]
fn the_cause_of_a_reset_is_read() {
    let model = model();
    let chip = model.chip();
    for (bits, watchdog, software) in [
        (0, false, false),
        (1, true, false),
        (1 << 4, false, true),
        (1 << 5, true, false),
        (1 << 8, true, false),
    ] {
        chip.write32(0x4026_0800, bits);
        let cause = Cause::read(chip);
        assert_eq!((cause.is_watchdog(), cause.is_software()), (watchdog, software), "{bits:#x}");
    }
}

/// P11: clock, select, four data lines to function 17; the F-RAM's select high; nothing else of the port changed.
#[test]
fn pins_go_to_the_serial_interface() {
    let model = model();
    let chip = model.chip();
    // Pin 1 of the port belongs to somebody else.
    chip.write32(0x4031_05C4, 0x0000_0060);
    chip.write32(0x4030_00B0, 0x0000_0500);
    Smif::connect(chip, &KIT.qspi);
    assert_eq!(model.register(0x4031_05C4), Some(0x6EEE_E666));
    assert_eq!(model.register(0x4030_00B0), Some(0x1111_0500));
    assert_eq!(model.register(0x4030_00B4), Some(0x1111_1111));
    assert_eq!(model.register(0x4031_0588), Some(1 << 2), "the last select that was set high");
    assert_eq!(model.violations(), []);
}

#[test]
fn the_vector_table_lies_behind_the_header() {
    let model = model();
    set_vector_table(model.chip(), &psoc62::INTERNAL_OVERWRITE);
    assert_eq!(model.register(0xE000_ED08), Some(0x1001_8400));
    assert_eq!(reset_vectors(&psoc62::INTERNAL_OVERWRITE, 0), (0x1001_8400, 0x1010_6000));
}
