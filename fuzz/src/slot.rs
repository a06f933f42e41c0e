//! Programs of operations on a slot and a journal over strict flash whose power fails.
//!
//! The bytes choose the part, the layout and what is done. Flash refuses what the chip would; what was acknowledged is held,
//! whatever follows; what lies around slot and journal stays as it was.

use embassy_futures::block_on;
use ota_core::geometry::{Geometry, Reprogram, SlotLayout};
use ota_core::journal::{FlashJournal, Journal, JournalLayout, JournalRegion};
use ota_core::slot::{Compared, FlashError, Slot};
use ota_sim::flash::{Cut, FlashConfig, Kind, Tear, VecFlash, When};

use crate::bytes::Bytes;
use crate::stored::record;

/// Sectors of a part; slot or journal begin in the second and end before the last.
const SECTORS: u32 = 6;
/// Most operations of one program.
const OPERATIONS: u32 = 64;

pub(crate) fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let kind = bytes.pick(&[Kind::Nor, Kind::NorReprogram, Kind::RowRewrite]);
    match bytes.below(4) {
        0 => on_part::<1, 512>(kind, &mut bytes),
        1 => on_part::<8, 1024>(kind, &mut bytes),
        2 => on_part::<16, 512>(kind, &mut bytes),
        _ => on_part::<512, 512>(kind, &mut bytes),
    }
}

fn on_part<const WRITE: usize, const ERASE: usize>(kind: Kind, bytes: &mut Bytes<'_>) {
    // Parts that rewrite rows have no larger erase unit.
    let kind = if WRITE == ERASE || kind != Kind::RowRewrite { kind } else { Kind::NorReprogram };
    let config = FlashConfig {
        size: SECTORS * ERASE as u32,
        sector_size: ERASE as u32,
        write_size: WRITE as u32,
        erased: bytes.pick(&[0xFF, 0]),
        kind,
    };
    let flash = VecFlash::<WRITE, ERASE>::blank(config).expect("a good part");
    if bytes.u8().is_multiple_of(2) {
        slot(flash, config, bytes);
    } else {
        journal(flash, config, bytes);
    }
}

fn reprogram(kind: Kind) -> Reprogram {
    if kind == Kind::Nor { Reprogram::Forbidden } else { Reprogram::Allowed }
}

/// The power fails in one of the next operations, or it does not.
fn plan<const WRITE: usize, const ERASE: usize>(flash: &VecFlash<WRITE, ERASE>, bytes: &mut Bytes<'_>) {
    let tears = [Tear::ReadsErased, Tear::ReadsComplete, Tear::Half, Tear::Garbage(bytes.u8().into())];
    let when = match bytes.below(4) {
        0 => When::Before,
        1 => When::After,
        _ => When::Inside(bytes.pick(&tears)),
    };
    let operation = bytes.below(8);
    if operation < 5 {
        flash.arm(Cut { operation, when });
    }
}

/// Bytes outside of `range` are as they were.
fn check_outside(memory: &[u8], range: core::ops::Range<u32>, erased: u8) {
    let (before, after) = (&memory[..range.start as usize], &memory[range.end as usize..]);
    assert!(before.iter().chain(after).all(|byte| *byte == erased), "written outside");
}

fn slot<const WRITE: usize, const ERASE: usize>(
    mut flash: VecFlash<WRITE, ERASE>,
    config: FlashConfig,
    bytes: &mut Bytes<'_>,
) {
    let unit = config.write_size;
    // From any unit of the second sector to any of the last but one.
    let start = config.sector_size + bytes.below(config.sector_size / unit) * unit;
    let end = (SECTORS - 1) * config.sector_size - bytes.below(config.sector_size / unit) * unit;
    let geometry = Geometry::new(SlotLayout {
        start,
        size: end - start,
        sector_size: config.sector_size,
        write_size: unit,
        erased: config.erased,
        reprogram: reprogram(config.kind),
        rewrite: config.kind == Kind::RowRewrite,
        erase_ms: 0,
    })
    .expect("a good slot");
    // What the slot is known to hold; `None`: anything.
    let mut model: Vec<Option<u8>> = vec![Some(config.erased); geometry.size() as usize];
    // Units nothing was attempted on since an erase that was acknowledged: those may be written on any part.
    let mut blank = vec![true; (geometry.size() / unit) as usize];
    plan(&flash, bytes);
    for _ in 0..OPERATIONS {
        if bytes.is_empty() {
            break;
        }
        let mut slot = Slot::<_, 512>::with_unit(&mut flash, geometry).expect("it fits the part");
        // Now and then beyond the slot or between units.
        let at = match bytes.u8() {
            0..8 => bytes.below(geometry.size() + 600),
            _ => bytes.below(geometry.size() / unit) * unit,
        };
        let data: Vec<u8> =
            (0..bytes.below(3 * unit.min(200) + 40)).map(|n| (n as u8) ^ bytes.u8() ^ 0x5A).collect();
        let (from, to) = (at as usize, at as usize + data.len());
        let generation = slot.generation();
        let fits = to as u32 <= geometry.size();
        match bytes.below(6) {
            0 => {
                let sector = bytes.below(geometry.sector_count() + 1);
                let range = geometry.sector_range(sector);
                let result = block_on(slot.erase(sector));
                let known = (result == Ok(())).then_some(config.erased);
                if sector >= geometry.sector_count() {
                    assert_eq!(result, Err(FlashError::OutOfBounds));
                } else {
                    assert!(matches!(result, Ok(()) | Err(FlashError::Driver)), "{result:?}");
                    assert_ne!(slot.generation(), generation);
                    model[range.start as usize..range.end as usize].fill(known);
                    blank[(range.start / unit) as usize..(range.end / unit) as usize].fill(known.is_some());
                }
            }
            1 | 2 => {
                let result = block_on(slot.write(at, &data));
                if !fits {
                    assert_eq!(result, Err(FlashError::OutOfBounds));
                } else if !at.is_multiple_of(unit) {
                    assert_eq!(result, Err(FlashError::NotAligned));
                } else {
                    let units = from / unit as usize..to.div_ceil(unit as usize);
                    let place = from..units.end * unit as usize;
                    let writable = geometry.rewrite() || blank[units.clone()].iter().all(|blank| *blank);
                    let lost = slot.release().supply().is_lost();
                    assert!(result == Ok(()) || lost || !writable, "{result:?}, but it could be written");
                    blank[units].fill(false);
                    model[place].fill(None);
                    if result == Ok(()) {
                        for (cell, byte) in model[from..to].iter_mut().zip(&data) {
                            *cell = Some(*byte);
                        }
                        let pad = from + data.len()..to.next_multiple_of(unit as usize).min(model.len());
                        model[pad].fill(Some(config.erased));
                    }
                }
            }
            3 => {
                let result = block_on(slot.patch(at, &data));
                assert!(fits || result == Err(FlashError::OutOfBounds), "{result:?}");
                if fits && !data.is_empty() {
                    let units = from / unit as usize..to.div_ceil(unit as usize);
                    blank[units.clone()].fill(false);
                    match result {
                        Ok(()) => {
                            // What shares a unit with them stays.
                            for (cell, byte) in model[from..to].iter_mut().zip(&data) {
                                *cell = Some(*byte);
                            }
                        }
                        Err(_) => model[units.start * unit as usize..units.end * unit as usize].fill(None),
                    }
                }
            }
            4 => {
                let result = block_on(slot.compare(at, &data));
                if let (true, Ok(compared)) = (fits, result) {
                    let held = &model[from..to];
                    let equal =
                        held.iter().zip(&data).all(|(held, byte)| held.is_none_or(|held| held == *byte));
                    let other =
                        held.iter().zip(&data).any(|(held, byte)| held.is_some_and(|held| held != *byte));
                    assert!(compared != Compared::Equal || equal);
                    assert!(compared == Compared::Equal || other || held.contains(&None) || data.is_empty());
                    let full = held.iter().any(|held| held.is_some_and(|held| held != config.erased));
                    assert!(compared != Compared::Blank || !full, "not blank");
                }
                assert!(fits || result == Err(FlashError::OutOfBounds));
                assert_eq!(slot.generation(), generation, "a comparison changes nothing");
            }
            _ => {
                let mut read = data.clone();
                if let Ok(()) = block_on(slot.read(at, &mut read)) {
                    let held = &model[from..to];
                    assert!(held.iter().zip(&read).all(|(held, byte)| held.is_none_or(|held| held == *byte)));
                } else if fits {
                    assert!(slot.release().supply().is_lost(), "reads fail without power only");
                }
            }
        }
        if flash.supply().is_lost() {
            flash.power_on();
            plan(&flash, bytes);
        }
        let memory = &flash.memory()[start as usize..end as usize];
        let lost = model.iter().zip(memory).position(|(held, byte)| held.is_some_and(|held| held != *byte));
        assert_eq!(lost, None, "what was acknowledged is not held");
    }
    check_outside(flash.memory(), geometry.covered(), config.erased);
}

fn journal<const WRITE: usize, const ERASE: usize>(
    mut flash: VecFlash<WRITE, ERASE>,
    config: FlashConfig,
    bytes: &mut Bytes<'_>,
) {
    let layout = JournalLayout {
        start: config.sector_size,
        sector_count: 2 + bytes.below(SECTORS - 3),
        sector_size: config.sector_size,
        write_size: config.write_size,
        erased: config.erased,
        reprogram: reprogram(config.kind),
        rewrite: config.kind == Kind::RowRewrite,
    };
    let region = JournalRegion::new(layout).expect("a good region");
    // Newest record known to be held, and the last one attempted; 0: none.
    let (mut held, mut last) = (0, 0);
    plan(&flash, bytes);
    while last < OPERATIONS && !bytes.is_empty() {
        let mut journal = FlashJournal::<_, 512>::with_buffer(&mut flash, region).expect("it fits the part");
        if bytes.u8().is_multiple_of(2)
            && let Ok(loaded) = block_on(journal.load())
        {
            assert_eq!(loaded, (held > 0).then(|| record(held)));
        }
        for _ in 0..=bytes.below(6) {
            last += 1;
            match block_on(journal.append(&record(last))) {
                Ok(()) => held = last,
                Err(error) => {
                    assert_eq!(error, FlashError::Driver);
                    assert!(journal.release().supply().is_lost(), "an append failed with the power on");
                    break;
                }
            }
        }
        flash.power_on();
        let mut journal = FlashJournal::<_, 512>::with_buffer(&mut flash, region).expect("it fits the part");
        let loaded = block_on(journal.load()).expect("flash can be read");
        let of = |number: u32| (number > 0).then(|| record(number));
        assert!(loaded == of(held) || loaded == of(last), "neither {held} nor {last}: {loaded:?}");
        held = if loaded == of(last) { last } else { held };
        if !flash.supply().is_armed() {
            plan(&flash, bytes);
        }
    }
    assert_eq!(flash.strict_violations(), 0);
    let end = layout.start + layout.sector_count * layout.sector_size;
    check_outside(flash.memory(), layout.start..end, config.erased);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..8u8)
        .map(|seed| {
            let mut rng = ota_sim::aws::Rng::new(seed.into());
            let mut program: Vec<u8> = (0..600).map(|_| rng.next_u64() as u8).collect();
            // Slots and journals in turn.
            program[3] = seed;
            program
        })
        .collect()
}
