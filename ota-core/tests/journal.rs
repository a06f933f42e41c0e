//! The journal against a model: whatever power cut hits whatever flash operation, what is loaded afterwards is the old or
//! the new record, and appending goes on.

use std::ops::Range;

use embassy_futures::block_on;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use ota_core::geometry::Reprogram;
use ota_core::journal::{
    FlashJournal, Journal, JournalLayout, JournalRegion, NoJournal, Phase, RECORD_SIZE, Record, RegionError,
};
use ota_core::slot::FlashError;
use ota_sim::flash::{Cut, FlashConfig, Kind, Tear, VecFlash, When};

/// Sectors of the flash before and after the journal: nothing in them may be touched.
const SECTORS_BEFORE: u32 = 2;
const SECTORS_AFTER: u32 = 1;

const TEARS: [When; 6] = [
    When::Before,
    When::Inside(Tear::ReadsErased),
    When::Inside(Tear::ReadsComplete),
    When::Inside(Tear::Garbage(1)),
    When::Inside(Tear::Half),
    When::After,
];

/// A record that differs from its neighbours everywhere.
fn record(number: u32) -> Record {
    let byte = number as u8;
    *Record::default()
        .set_phase(Phase::from_number(byte % 8).unwrap())
        .set_job_id(&format!("AFR_OTA-{number}"))
        .set_execution_number(u64::from(number) << 33)
        .set_job_digest(&[byte; 32])
        .set_version_number((!number.is_multiple_of(3)).then_some(number))
        .set_started(number.is_multiple_of(2))
        .set_bundle(number.is_multiple_of(5))
        .set_updated_by(0x0009_0000 | number)
        .set_file_index(byte)
        .set_block_size(4096)
        .set_front(number.wrapping_mul(7))
        .set_window(&[!byte; 32])
        .set_intended(&[[byte; 32], [0; 32], [!byte; 32]])
        .set_reverted(&[byte ^ 0x55; 32])
        .set_reverted_job(&[byte ^ 0xAA; 32])
        .set_status(byte % 5)
        .set_reason(byte % 7)
        .set_detail(number)
        .set_first_boots(byte % 2)
}

/// A part with a journal on it, and the model of what the journal holds.
struct Device<const WRITE: usize, const ERASE: usize, const BUFFER: usize> {
    flash: VecFlash<WRITE, ERASE>,
    region: JournalRegion,
    /// Number of the newest record; 0: none.
    newest: u32,
    /// Number of the last append, whether it succeeded or not.
    last: u32,
    restarts: u32,
}

impl<const WRITE: usize, const ERASE: usize, const BUFFER: usize> Device<WRITE, ERASE, BUFFER> {
    fn new(sector_count: u32, erased: u8, kind: Kind) -> Self {
        let (write_size, sector_size) = (WRITE as u32, ERASE as u32);
        let size = (SECTORS_BEFORE + sector_count + SECTORS_AFTER) * sector_size;
        let config = FlashConfig { size, sector_size, write_size, erased, kind };
        let (reprogram, rewrite) = match kind {
            Kind::Nor => (Reprogram::Forbidden, false),
            Kind::NorReprogram => (Reprogram::Allowed, false),
            Kind::RowRewrite => (Reprogram::Allowed, true),
        };
        let start = SECTORS_BEFORE * sector_size;
        let layout =
            JournalLayout { start, sector_count, sector_size, write_size, erased, reprogram, rewrite };
        let region = JournalRegion::new(layout).unwrap();
        Self { flash: VecFlash::blank(config).unwrap(), region, newest: 0, last: 0, restarts: 0 }
    }

    fn journal(&mut self) -> FlashJournal<&mut VecFlash<WRITE, ERASE>, BUFFER> {
        FlashJournal::with_buffer(&mut self.flash, self.region).unwrap()
    }

    fn expected(number: u32) -> Option<Record> {
        (number > 0).then(|| record(number))
    }

    /// One life of the device: up to `count` appends, until the power fails. With `load` the record is looked at first.
    fn live(&mut self, count: u32, load: bool, context: &str) {
        let (newest, mut last) = (self.newest, self.last);
        let mut stored = newest;
        let mut journal = self.journal();
        if load {
            assert_eq!(block_on(journal.load()), Ok(Self::expected(newest)), "{context}");
        }
        for _ in 0..count {
            last += 1;
            match block_on(journal.append(&record(last))) {
                Ok(()) => stored = last,
                Err(error) => {
                    assert_eq!(error, FlashError::Driver, "{context}, append {last}");
                    break;
                }
            }
        }
        (self.newest, self.last) = (stored, last);
        self.restarts += 1;
        if self.flash.supply().is_lost() {
            self.flash.power_on();
            let loaded = block_on(self.journal().load()).unwrap();
            let found = [self.newest, self.last].into_iter().find(|&number| loaded == Self::expected(number));
            let found = found.unwrap_or_else(|| panic!("{context}: neither {stored} nor {last}: {loaded:?}"));
            self.newest = found;
        }
    }

    /// What holds at the end of every run.
    fn check(&self, context: &str) {
        assert_eq!(self.flash.strict_violations(), 0, "{context}");
        let layout = self.region.layout();
        let range = layout.start..layout.start + layout.sector_size * layout.sector_count;
        let worst = self.flash.max_erases_per_sector(range.clone());
        assert!(
            worst <= self.region.erases_per_sector(self.last, self.restarts),
            "{context}: {worst} erases"
        );
        for outside in [0..range.start, range.end..self.flash.memory().len() as u32] {
            let Range { start, end } = outside;
            let blank =
                self.flash.memory()[start as usize..end as usize].iter().all(|&byte| byte == layout.erased);
            assert!(blank, "{context}: written outside of the region");
        }
    }
}

/// Every cut of every operation, in runs that go round the ring more than twice; the number of operations is counted.
fn cut_everywhere<const WRITE: usize, const ERASE: usize, const BUFFER: usize>(
    count: u32,
    erased: u8,
    kind: Kind,
) {
    // Many appends a life, and lives so short that sectors fill over several of them.
    for appends_per_life in [u32::MAX, 3, 1] {
        for when in TEARS {
            let wanted =
                Device::<WRITE, ERASE, BUFFER>::new(count, erased, kind).region.record_count() * 2 + 3;
            let mut operation = 0;
            loop {
                let mut device = Device::<WRITE, ERASE, BUFFER>::new(count, erased, kind);
                let context = format!(
                    "{WRITE}/{ERASE} x {count} {kind:?} 0x{erased:02x}, {when:?} operation {operation}, {appends_per_life} appends a life"
                );
                device.flash.arm(Cut { operation, when });
                while device.last < wanted {
                    let left = wanted - device.last;
                    device.live(appends_per_life.min(left), device.last.is_multiple_of(2), &context);
                }
                let reached = !device.flash.supply().is_armed();
                // Forgets the plan if it still lies ahead.
                device.flash.supply().power_off();
                device.flash.power_on();
                device.live(1, true, &context);
                assert_eq!(device.newest, device.last, "{context}: the last append has no cut");
                device.check(&context);
                if !reached {
                    break;
                }
                operation += 1;
            }
            assert!(operation >= wanted, "every append is an operation at least: {operation} of {wanted}");
        }
    }
}

#[test]
fn nor_bytes() {
    cut_everywhere::<1, 1024, 512>(2, 0xFF, Kind::NorReprogram);
}

#[test]
fn nor_bytes_that_erase_to_zero() {
    cut_everywhere::<4, 2048, 512>(3, 0x00, Kind::NorReprogram);
}

#[test]
fn nor_one_record_per_sector() {
    cut_everywhere::<16, 512, 512>(4, 0xFF, Kind::NorReprogram);
}

#[test]
fn ecc_units_of_16() {
    cut_everywhere::<16, 2048, 512>(2, 0xFF, Kind::Nor);
}

#[test]
fn ecc_pages_of_512() {
    cut_everywhere::<512, 2048, 512>(3, 0xFF, Kind::Nor);
}

#[test]
fn ecc_pages_of_2048() {
    cut_everywhere::<2048, 4096, 2048>(2, 0xFF, Kind::Nor);
}

#[test]
fn two_psoc6_rows() {
    cut_everywhere::<512, 512, 512>(2, 0x00, Kind::RowRewrite);
}

#[test]
fn rows_smaller_than_a_record() {
    cut_everywhere::<128, 128, 512>(9, 0x00, Kind::RowRewrite);
}

/// A few hundred appends with a cut in every other life, drawn from a seed.
fn many_cuts<const WRITE: usize, const ERASE: usize, const BUFFER: usize>(
    count: u32,
    erased: u8,
    kind: Kind,
) {
    for seed in 1..=20u64 {
        let mut state = seed;
        let mut draw = |below: u32| {
            // SplitMix64 of Steele, Lea and Flood.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((mixed ^ (mixed >> 31)) >> 32) as u32 % below
        };
        let mut device = Device::<WRITE, ERASE, BUFFER>::new(count, erased, kind);
        let context = format!("{WRITE}/{ERASE} x {count} {kind:?}, seed {seed}");
        while device.last < 300 {
            let when = match TEARS[draw(6) as usize] {
                When::Inside(Tear::Garbage(_)) => When::Inside(Tear::Garbage(u64::from(draw(u32::MAX)))),
                other => other,
            };
            device.flash.arm(Cut { operation: draw(12), when });
            let (appends, load) = (1 + draw(16), draw(2) == 0);
            device.live(appends, load, &context);
        }
        device.check(&context);
    }
}

#[test]
fn hundreds_of_appends_with_many_cuts() {
    many_cuts::<1, 4096, 512>(2, 0xFF, Kind::NorReprogram);
    many_cuts::<8, 2048, 512>(3, 0x00, Kind::NorReprogram);
    many_cuts::<16, 2048, 512>(2, 0xFF, Kind::Nor);
    many_cuts::<256, 4096, 512>(2, 0xFF, Kind::Nor);
    many_cuts::<1024, 1024, 1024>(2, 0xFF, Kind::Nor);
    many_cuts::<512, 512, 512>(3, 0x00, Kind::RowRewrite);
}

#[test]
fn nothing_there_means_start_over() {
    // Blank, foreign bytes, and foreign bytes that begin like a record.
    let mut begins = record(1).encode(1);
    begins[100] ^= 1;
    let foreign: [&[u8]; 4] = [&[], &[0x5A; 2048], &begins, &[0x00; 4096]];
    for bytes in foreign {
        let mut device = Device::<4, 2048, 512>::new(2, 0xFF, Kind::NorReprogram);
        let start = device.region.layout().start;
        device.flash.poke(start, bytes).unwrap();
        assert_eq!(block_on(device.journal().load()), Ok(None));
        device.live(3, true, "foreign");
        device.live(1, true, "foreign");
        assert_eq!((device.newest, device.flash.strict_violations()), (4, 0));
    }
}

/// An older format, or a newer one, is not read, and does not stop the journal.
#[test]
fn another_format_means_start_over() {
    let mut device = Device::<4, 2048, 512>::new(2, 0xFF, Kind::NorReprogram);
    let start = device.region.layout().start;
    let mut other = record(9).encode(70);
    other[4] = 2;
    let crc = bitwise_crc32c(&other[..396]);
    other[396..].copy_from_slice(&crc.to_le_bytes());
    device.flash.poke(start, &other).unwrap();
    assert_eq!(block_on(device.journal().load()), Ok(None));
    device.live(1, false, "other format");
    device.live(0, true, "other format");
}

/// A record that lost a bit gives way to the one before it, and its place is left alone.
#[test]
fn a_damaged_record_is_skipped() {
    let mut device = Device::<4, 4096, 512>::new(2, 0xFF, Kind::NorReprogram);
    device.live(3, false, "damaged");
    let place = device.region.layout().start + 2 * RECORD_SIZE;
    let mut byte = [0];
    device.flash.peek(place + 200, &mut byte).unwrap();
    device.flash.poke(place + 200, &[byte[0] ^ 0x10]).unwrap();
    device.newest = 2;
    device.live(1, true, "damaged");
    let mut bytes = [0; RECORD_SIZE as usize];
    device.flash.peek(place + RECORD_SIZE, &mut bytes).unwrap();
    assert_eq!(Record::decode(&bytes), Some((record(4), 3)), "the place after the damaged one");
    device.live(0, true, "damaged");
    assert_eq!(device.flash.strict_violations(), 0);
}

/// Cells that a cut left between two values may read as either, and differently at each start. A place that was passed over
/// because it did not read blank must not hide the records behind it when later it does.
#[test]
fn a_torn_place_that_reads_blank_later_hides_nothing() {
    let mut device = Device::<4, 4096, 512>::new(2, 0xFF, Kind::NorReprogram);
    device.live(2, false, "unsteady");
    let place = device.region.layout().start + 2 * RECORD_SIZE;
    device.flash.poke(place, &[0x4F]).unwrap();
    device.live(2, true, "unsteady");
    device.flash.poke(place, &[0xFF]).unwrap();
    device.live(1, true, "unsteady, reads blank");
    // The next record stands behind the newest one, not at the unsteady place.
    let mut bytes = [0; RECORD_SIZE as usize];
    device.flash.peek(place + 3 * RECORD_SIZE, &mut bytes).unwrap();
    assert_eq!(Record::decode(&bytes), Some((record(5), 5)));
    device.live(0, true, "unsteady, at last");
    assert_eq!(device.flash.strict_violations(), 0);
}

/// Whole places are written, padded with the erased value.
#[test]
fn padding_is_the_erased_value() {
    for erased in [0x00, 0xFF] {
        let mut device = Device::<512, 2048, 512>::new(2, erased, Kind::Nor);
        device.live(1, false, "padding");
        let start = device.region.layout().start as usize;
        let place = &device.flash.memory()[start..start + 512];
        assert_eq!(Record::decode(place), Some((record(1), 1)));
        assert!(place[RECORD_SIZE as usize..].iter().all(|&byte| byte == erased));
    }
}

/// One write per append and one erase per sector, no more.
#[test]
fn operations_are_as_few_as_documented() {
    let mut device = Device::<1, 4096, 512>::new(2, 0xFF, Kind::NorReprogram);
    device.live(200, true, "count");
    let counters = device.flash.counters();
    assert_eq!((counters.writes, counters.erases), (200, 200u32.div_ceil(10)));
    assert_eq!(counters.bytes_written, 200 * u64::from(RECORD_SIZE));
    let range = device.region.layout().start..device.region.layout().start + 2 * 4096;
    assert_eq!(device.flash.max_erases_per_sector(range), device.region.erases_per_sector(200, 0));
}

#[test]
fn a_region_that_does_not_fit_the_driver_is_refused() {
    let config = FlashConfig::nor(0x8000, 0x1000, 16);
    let layout = JournalLayout {
        start: 0x6000,
        sector_count: 2,
        sector_size: 0x1000,
        write_size: 16,
        erased: 0xFF,
        reprogram: Reprogram::Allowed,
        rewrite: false,
    };
    let open = |layout: JournalLayout| {
        let flash = VecFlash::<16, 0x1000>::blank(config).unwrap();
        FlashJournal::new(flash, JournalRegion::new(layout).unwrap()).map(|_| ())
    };
    assert_eq!(open(layout), Ok(()));
    assert_eq!(open(JournalLayout { write_size: 32, ..layout }), Ok(()));
    assert_eq!(open(JournalLayout { write_size: 8, ..layout }), Err(RegionError::Driver));
    assert_eq!(open(JournalLayout { sector_size: 0x800, ..layout }), Err(RegionError::Driver));
    assert_eq!(open(JournalLayout { start: 0x7000, ..layout }), Err(RegionError::OutOfBounds));
    assert_eq!(open(JournalLayout { sector_count: 3, ..layout }), Err(RegionError::OutOfBounds));
    assert_eq!(open(JournalLayout { write_size: 1024, ..layout }), Err(RegionError::Buffer));
}

/// A driver that says "done" and sometimes has not: every `period`-th write is lost or refused.
struct Unreliable<'a> {
    flash: &'a mut VecFlash<16, 2048>,
    writes: u32,
    period: u32,
    silent: bool,
}

impl ErrorType for Unreliable<'_> {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Unreliable<'_> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        ReadNorFlash::read(self.flash, offset, bytes).await.map_err(|_| NorFlashErrorKind::Other)
    }

    fn capacity(&self) -> usize {
        ReadNorFlash::capacity(self.flash)
    }
}

impl NorFlash for Unreliable<'_> {
    const WRITE_SIZE: usize = 16;
    const ERASE_SIZE: usize = 2048;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        NorFlash::erase(self.flash, from, to).await.map_err(|_| NorFlashErrorKind::Other)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.writes += 1;
        if self.writes.is_multiple_of(self.period) {
            // Half of it arrived.
            let half = &bytes[..bytes.len() / 32 * 16];
            NorFlash::write(self.flash, offset, half).await.map_err(|_| NorFlashErrorKind::Other)?;
            return if self.silent { Ok(()) } else { Err(NorFlashErrorKind::Other) };
        }
        NorFlash::write(self.flash, offset, bytes).await.map_err(|_| NorFlashErrorKind::Other)
    }
}

/// What flash does not hold was not appended, and the journal that said so goes on behind the bad place.
#[test]
fn appends_are_read_back() {
    for (kind, silent) in [(Kind::Nor, true), (Kind::NorReprogram, true), (Kind::Nor, false)] {
        let mut device = Device::<16, 2048, 512>::new(2, 0xFF, kind);
        let flash = Unreliable { flash: &mut device.flash, writes: 0, period: 4, silent };
        let mut journal = FlashJournal::new(flash, device.region).unwrap();
        let mut newest = 0;
        for number in 1..=30 {
            let expected = match (number % 4 == 0, silent) {
                (true, true) => Err(FlashError::ReadBack),
                (true, false) => Err(FlashError::Driver),
                (false, true | false) => Ok(()),
            };
            assert_eq!(block_on(journal.append(&record(number))), expected, "{kind:?}, append {number}");
            newest = if expected.is_ok() { number } else { newest };
            if number % 5 == 0 {
                assert_eq!(block_on(journal.load()), Ok(Some(record(newest))), "{kind:?}, append {number}");
            }
        }
        assert_eq!(device.flash.strict_violations(), 0, "{kind:?}");
    }
}

#[test]
fn no_journal_remembers_nothing() {
    let mut journal = NoJournal;
    assert_eq!(block_on(journal.append(&record(1))), Ok(()));
    assert_eq!(block_on(journal.load()), Ok(None));
}

/// CRC-32C the slow way, independent of the library's.
fn bitwise_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}
