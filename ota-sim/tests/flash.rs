//! The flash double keeps the rules of the chip, for every shape of part in use.
#![cfg(feature = "std")]

use std::rc::Rc;

use ota_sim::flash::file::FileFlash;
use ota_sim::flash::{
    Actor, ArrayLedger, ConfigError, Cut, Device, FlashConfig, FlashDouble, FlashFault, Kind, Supply, Tear,
    VecFlash, When,
};

/// The rules that hold for every part, whatever its sizes.
fn rules<const WRITE: usize, const ERASE: usize>(erased: u8, kind: Kind) {
    let (write, erase) = (WRITE as u32, ERASE as u32);
    let config = FlashConfig { size: erase * 3, sector_size: erase, write_size: write, erased, kind };
    let mut flash = VecFlash::<WRITE, ERASE>::blank(config).unwrap();
    let unit = vec![0x5A; WRITE];
    let mut read = vec![0; WRITE];

    flash.write(erase, &unit).unwrap();
    flash.read(erase, &mut read).unwrap();
    assert_eq!(read, unit);
    let again = flash.write(erase, &unit);
    match kind {
        Kind::Nor | Kind::NorReprogram => assert_eq!(again, Err(FlashFault::NotErased)),
        Kind::RowRewrite => assert_eq!(again, Ok(())),
    }
    flash.erase(erase, 2 * erase).unwrap();
    flash.read(erase, &mut read).unwrap();
    assert!(read.iter().all(|&byte| byte == erased));
    flash.write(erase, &unit).unwrap();

    flash.reset_counters();
    if WRITE > 1 {
        assert_eq!(flash.write(1, &unit), Err(FlashFault::NotAligned));
        assert_eq!(flash.write(0, &unit[1..]), Err(FlashFault::NotAligned));
    } else {
        assert_eq!(flash.write(3 * erase, &unit), Err(FlashFault::OutOfBounds));
        assert_eq!(flash.write(u32::MAX, &unit), Err(FlashFault::OutOfBounds));
    }
    assert_eq!(
        flash.erase(0, erase + write),
        if WRITE == ERASE { Ok(()) } else { Err(FlashFault::NotAligned) }
    );
    assert_eq!(flash.erase(2 * erase, erase), Err(FlashFault::OutOfBounds));
    assert_eq!(flash.erase(2 * erase, 4 * erase), Err(FlashFault::OutOfBounds));
    assert_eq!(flash.read(3 * erase - write + 1, &mut read), Err(FlashFault::OutOfBounds));
    assert_eq!(flash.strict_violations(), if WRITE == ERASE { 5 } else { 6 });
    assert_eq!(flash.counters().bytes_written, 0);
    flash.write(0, &[]).unwrap();
    assert_eq!(flash.counters().writes, 0);
}

#[test]
fn every_shape_keeps_the_rules() {
    for erased in [0x00, 0xFF] {
        for kind in [Kind::Nor, Kind::NorReprogram, Kind::RowRewrite] {
            rules::<1, 512>(erased, kind);
            rules::<2, 512>(erased, kind);
            rules::<4, 4096>(erased, kind);
            rules::<8, 4096>(erased, kind);
            rules::<16, 65536>(erased, kind);
            rules::<32, 32768>(erased, kind);
            rules::<256, 4096>(erased, kind);
            rules::<512, 512>(erased, kind);
            rules::<512, 262144>(erased, kind);
        }
    }
}

#[test]
fn an_all_erased_unit_is_programmed_too() {
    let mut flash = VecFlash::<8, 512>::blank(FlashConfig::nor(512, 512, 8)).unwrap();
    flash.write(0, &[0xFF; 8]).unwrap();
    assert_eq!(flash.write(0, &[1; 8]), Err(FlashFault::NotErased));
    let config = FlashConfig::nor(512, 512, 8).with_kind(Kind::NorReprogram);
    let mut flash = VecFlash::<8, 512>::blank(config).unwrap();
    flash.write(0, &[0xFF; 8]).unwrap();
    flash.write(0, &[1; 8]).unwrap();
}

#[test]
fn power_fails_before_inside_and_after() {
    let mut flash = VecFlash::<8, 512>::blank(FlashConfig::nor(1024, 512, 8)).unwrap();
    let mut read = [0; 8];

    flash.arm(Cut { operation: 1, when: When::Before });
    flash.write(0, &[1; 8]).unwrap();
    assert_eq!(flash.write(8, &[2; 8]), Err(FlashFault::PowerLost));
    assert_eq!(flash.read(0, &mut read), Err(FlashFault::PowerLost));
    assert_eq!(flash.erase(0, 512), Err(FlashFault::PowerLost));
    flash.power_on();
    flash.read(8, &mut read).unwrap();
    assert_eq!(read, [0xFF; 8]);

    flash.arm(Cut { operation: 0, when: When::After });
    assert_eq!(flash.write(8, &[2; 8]), Err(FlashFault::PowerLost));
    flash.power_on();
    flash.read(8, &mut read).unwrap();
    assert_eq!(read, [2; 8]);

    for (tear, seen) in [
        (Tear::ReadsErased, [0xFF; 8]),
        (Tear::ReadsComplete, [3; 8]),
        (Tear::Half, [3, 3, 3, 3, 0xFF, 0xFF, 0xFF, 0xFF]),
    ] {
        flash.erase(0, 512).unwrap();
        flash.arm(Cut { operation: 0, when: When::Inside(tear) });
        assert_eq!(flash.write(0, &[3; 8]), Err(FlashFault::PowerLost));
        flash.power_on();
        flash.read(0, &mut read).unwrap();
        assert_eq!(read, seen);
        assert_eq!(flash.write(0, &[4; 8]), Err(FlashFault::NotErased), "a torn unit is spent");
    }
    assert_eq!(flash.strict_violations(), 3);
}

#[test]
fn garbage_follows_its_seed() {
    let mut seen = Vec::new();
    for seed in 0..8 {
        let run = || {
            let mut flash = VecFlash::<8, 512>::blank(FlashConfig::nor(512, 512, 8)).unwrap();
            flash.arm(Cut { operation: 0, when: When::Inside(Tear::Garbage(seed)) });
            assert_eq!(flash.write(0, &[7; 64]), Err(FlashFault::PowerLost));
            flash.into_memory()
        };
        let first = run();
        assert_eq!(first, run(), "seed {seed}");
        assert_ne!(first[..64], [7; 64], "seed {seed}");
        assert!(first[64..].iter().all(|&byte| byte == 0xFF));
        seen.push(first);
    }
    seen.dedup();
    assert!(seen.len() > 4, "different seeds differ");
}

#[test]
fn a_torn_erase_leaves_a_sector_that_must_be_erased_again() {
    for tear in [Tear::ReadsErased, Tear::Half, Tear::Garbage(5)] {
        let mut flash = VecFlash::<8, 512>::blank(FlashConfig::nor(1024, 512, 8)).unwrap();
        flash.write(0, &[1; 1024]).unwrap();
        flash.arm(Cut { operation: 1, when: When::Inside(tear) });
        assert_eq!(flash.erase(0, 1024), Err(FlashFault::PowerLost));
        flash.power_on();
        let mut first = [0; 512];
        flash.peek(0, &mut first).unwrap();
        assert_eq!(first, [0xFF; 512], "the first sector was whole");
        let mut torn = [0; 512];
        flash.peek(512, &mut torn).unwrap();
        let expected = match tear {
            Tear::ReadsErased | Tear::ReadsComplete => Some((0xFF, 0xFF)),
            Tear::Half => Some((0xFF, 1)),
            Tear::Garbage(_) => None,
        };
        match expected {
            Some((first, last)) => assert_eq!((torn[255], torn[256]), (first, last)),
            None => assert!(torn != [0xFF; 512] && torn != [1; 512]),
        }
        assert_eq!(flash.write(512, &[2; 8]), Err(FlashFault::NotErased));
        flash.erase(512, 1024).unwrap();
        flash.write(512, &[2; 8]).unwrap();
    }
}

#[test]
fn a_torn_row_loses_what_it_held() {
    let mut flash = VecFlash::<512, 512>::blank(FlashConfig::row_rewrite(512, 512)).unwrap();
    let mut row = [0; 512];
    for (tear, first, last) in [(Tear::ReadsErased, 0, 0), (Tear::ReadsComplete, 9, 9), (Tear::Half, 9, 0)] {
        flash.write(0, &[1; 512]).unwrap();
        flash.arm(Cut { operation: 0, when: When::Inside(tear) });
        assert_eq!(flash.write(0, &[9; 512]), Err(FlashFault::PowerLost));
        flash.power_on();
        flash.peek(0, &mut row).unwrap();
        assert_eq!((row[0], row[511]), (first, last));
    }
}

#[test]
fn flashes_of_one_device_fail_together() {
    let supply = Rc::new(Supply::new());
    let config = FlashConfig::nor(512, 512, 8);
    let mut one = VecFlash::<8, 512, _>::blank_on(Rc::clone(&supply), config).unwrap();
    let mut two = VecFlash::<8, 512, _>::blank_on(Rc::clone(&supply), config).unwrap();
    supply.arm(Cut { operation: 1, when: When::After });
    one.write(0, &[1; 8]).unwrap();
    assert_eq!(two.write(0, &[1; 8]), Err(FlashFault::PowerLost));
    assert_eq!(one.write(8, &[1; 8]), Err(FlashFault::PowerLost));
    assert_eq!(supply.operations(), 2);
    supply.power_on();
    one.write(8, &[1; 8]).unwrap();
}

#[test]
fn each_actor_and_zone_has_its_own_counters() {
    let mut flash = VecFlash::<8, 512>::blank(FlashConfig::nor(2048, 512, 8)).unwrap();
    flash.watch(0, 512..1024);
    flash.write(512, &[1; 16]).unwrap();
    flash.write(0, &[1; 8]).unwrap();
    flash.erase(512, 1536).unwrap();
    flash.set_actor(Actor::Bootloader);
    flash.erase(512, 1024).unwrap();
    assert_eq!(
        (flash.watched(0).bytes_written, flash.watched(0).erases, flash.watched(0).operations),
        (16, 1, 2)
    );
    assert_eq!((flash.counters().bytes_written, flash.counters().erases), (24, 2));
    assert_eq!(flash.counters_of(Actor::Bootloader).erases, 1);
    assert_eq!(flash.max_erases_per_sector(0..2048), 2);
    assert_eq!(flash.max_erases_per_sector(1024..2048), 1);

    // Only the application's operations count towards a cut armed for it.
    flash.supply().arm_for(Actor::Application, Cut { operation: 0, when: When::Before });
    flash.erase(0, 512).unwrap();
    flash.set_actor(Actor::Application);
    assert_eq!(flash.erase(0, 512), Err(FlashFault::PowerLost));
}

#[test]
fn without_allocation_and_with_a_small_ledger() {
    let mut memory = [0xFF; 1024];
    memory[8] = 1;
    let config = FlashConfig::nor(1024, 512, 8);
    let ledger = ArrayLedger::<16, 2>::default();
    let mut flash =
        FlashDouble::<_, 8, 512, _, _>::with_parts(memory, ledger, Supply::new(), config).unwrap();
    assert_eq!(flash.write(8, &[2; 8]), Err(FlashFault::NotErased), "learned from the bytes");
    flash.write(0, &[0xFF; 8]).unwrap();
    assert_eq!(flash.write(0, &[2; 8]), Err(FlashFault::NotErased));
    let small = ArrayLedger::<15, 2>::default();
    let refused = FlashDouble::<_, 8, 512, _, _>::with_parts([0xFFu8; 1024], small, Supply::new(), config);
    assert_eq!(refused.err(), Some(ConfigError::LedgerTooSmall));
    assert_eq!(FlashDouble::<_, 4, 512>::new([0xFFu8; 1024], config).err(), Some(ConfigError::TypeDiffers));
    assert_eq!(FlashDouble::<_, 1, 512>::new([0xFFu8; 1024], config).err(), Some(ConfigError::TypeDiffers));
    let mut any = FlashDouble::<_, 1, 1>::new([0xFFu8; 1024], config).unwrap();
    assert_eq!(any.write(4, &[2; 8]), Err(FlashFault::NotAligned), "as strict as with its sizes in the type");
    assert_eq!(any.erase(8, 512), Err(FlashFault::NotAligned));
    assert_eq!(FlashDouble::<_, 8, 512>::new([0xFFu8; 1023], config).err(), Some(ConfigError::MemoryLength));
    assert_eq!(FlashConfig::nor(1025, 512, 8).check(), Err(ConfigError::NotWholeSectors));
    assert_eq!(FlashConfig::nor(1024, 512, 7).check(), Err(ConfigError::SectorNotWholeUnits));
    assert_eq!(FlashConfig::nor(0, 512, 8).check(), Err(ConfigError::Zero));
}

#[test]
fn a_file_keeps_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flash.bin");
    let config = FlashConfig::nor(8192, 4096, 8);
    let mut flash = FileFlash::<8, 4096>::open(&path, config).unwrap();
    flash.write(4096, &[6; 16]).unwrap();
    // Not dropped: a killed process closes nothing either.
    std::mem::forget(flash);
    let mut flash = FileFlash::<8, 4096>::open(&path, config).unwrap();
    let mut read = [0; 16];
    embassy_futures::block_on(embedded_storage_async::nor_flash::ReadNorFlash::read(
        &mut flash, 4096, &mut read,
    ))
    .unwrap();
    assert_eq!(read, [6; 16]);
    assert_eq!(flash.write(4104, &[6; 8]), Err(FlashFault::NotErased));
    flash.write(4112, &[6; 8]).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 8192);
    let longer = FileFlash::<8, 4096>::open(&path, FlashConfig::nor(4096, 4096, 8));
    assert_eq!(longer.err().unwrap().kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn both_nor_flash_traits_reach_the_same_bytes() {
    use embassy_futures::block_on;
    use embedded_storage::nor_flash::NorFlash as Blocking;
    use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

    let mut flash = VecFlash::<8, 512>::blank(FlashConfig::nor(1024, 512, 8)).unwrap();
    let mut read = [0; 8];
    Blocking::write(&mut flash, 0, &[1; 8]).unwrap();
    assert_eq!(block_on(NorFlash::write(&mut flash, 0, &[1; 8])), Err(FlashFault::NotErased));
    block_on(ReadNorFlash::read(&mut flash, 0, &mut read)).unwrap();
    assert_eq!(read, [1; 8]);
    block_on(NorFlash::erase(&mut flash, 0, 512)).unwrap();
    assert_eq!(Blocking::erase(&mut flash, 0, 8), Err(FlashFault::NotAligned));
    assert_eq!(ReadNorFlash::capacity(&flash), 1024);
}
