//! The published driver loads its firmware over our bus: every byte in its place, whatever happens to single commands.

use std::sync::OnceLock;

use cyw43::{A4, Aligned};
use embassy_futures::block_on;
use ota_psoc6::wifi::{
    BlobError, Blobs, Broken, Chip as Id, Health, STAND_IN, StartError, cyw43, power_up, start,
};

use crate::{
    card::Card,
    chip::{Chip, RAM_SIZE},
    controller::{Delay, Sim},
    fault::{Fault, OF_TRANSFERS, Plan},
};

/// No whole number of words, blocks or windows.
const FIRMWARE_LEN: usize = 120_397;

fn aligned(bytes: &[u8]) -> &'static Aligned<A4, [u8]> {
    let words = bytes.len().div_ceil(4);
    let buffer: &'static mut [u32] = vec![0; words].leak();
    // SAFETY: words aligned and long enough; `Aligned<A4, [u8]>` is its bytes.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.as_mut_ptr().cast(), bytes.len());
        let bytes: *const [u8] = std::ptr::slice_from_raw_parts(buffer.as_ptr().cast::<u8>(), bytes.len());
        &*(bytes as *const Aligned<A4, [u8]>)
    }
}

pub(crate) fn clm() -> &'static [u8] {
    static CLM: OnceLock<Vec<u8>> = OnceLock::new();
    CLM.get_or_init(|| {
        // Header, then two entries: the data and four bytes behind it, as in the vendor's file.
        let (header, data, end) = ([60, 0, 1, 2], [2, 60, 2440, 0, 0], [0, 2500, 4, 0, 0]);
        let words = header.into_iter().chain(data).chain(end);
        let data = (0..2444).map(|i| (i % 253) as u8);
        b"BLOB".iter().copied().chain(words.flat_map(u32::to_le_bytes)).chain(data).collect()
    })
}

pub(crate) fn blobs() -> Blobs<'static> {
    static FIRMWARE: OnceLock<&'static Aligned<A4, [u8]>> = OnceLock::new();
    static NVRAM: OnceLock<&'static Aligned<A4, [u8]>> = OnceLock::new();
    let firmware = FIRMWARE.get_or_init(|| {
        let mut bytes: Vec<u8> = (0..FIRMWARE_LEN).map(|i| (i * 31 + i / 256) as u8).collect();
        let end = FIRMWARE_LEN - 100;
        bytes[end..end + 9].copy_from_slice(b"Version: ");
        aligned(&bytes)
    });
    let nvram = NVRAM.get_or_init(|| aligned(b"manfid=0x2d0\0prodid=0x0726\0boardtype=0x0726\0\0\0\0\0"));
    Blobs { firmware, nvram, clm: clm() }
}

pub(crate) struct Pin;

impl embedded_hal::digital::ErrorType for Pin {
    type Error = std::convert::Infallible;
}

impl embedded_hal::digital::OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// From power to the running firmware.
pub(crate) fn bring_up(sim: &Sim, blobs: &Blobs<'_>, health: &Health) -> Result<(), StartError> {
    block_on(async {
        let card = power_up(&mut Pin, Delay(sim), sim.host()).await?;
        start(&mut cyw43::State::new(), card, blobs, health).await.map(|_| ())
    })
}

pub(crate) fn sim() -> Sim {
    Sim::new(Card::new(Chip::new(43430)))
}

fn check_ram(sim: &Sim) {
    let state = sim.state.borrow();
    let (ram, blobs) = (&state.card.chip.ram, blobs());
    assert!(ram[..FIRMWARE_LEN] == **blobs.firmware, "the firmware in the chip is not the one given");
    let nvram: &[u8] = blobs.nvram;
    assert_eq!(ram[RAM_SIZE - 4 - nvram.len()..][..nvram.len()], *nvram);
    let words = (nvram.len() / 4) as u32;
    assert_eq!(ram[RAM_SIZE - 4..], (!words << 16 | words).to_le_bytes());
    assert_eq!(state.card.chip.starts, 1);
}

#[test]
fn the_firmware_arrives_byte_for_byte() {
    let (sim, health) = (sim(), Health::new());
    assert_eq!(bring_up(&sim, &blobs(), &health), Ok(()));
    check_ram(&sim);
    assert_eq!(sim.state.borrow().card_hz(), Some(50_000_000));
    assert!(sim.state.borrow().card.is_four_bit());
    assert!(sim.slept_ms.get() >= 10 + 250 + 35, "the module's power sequence");
    assert_eq!((health.repeated_count(), health.lost_count()), (0, 0));
}

#[test]
fn a_fault_in_any_command_of_the_start_is_repaired() {
    let healthy = sim();
    bring_up(&healthy, &blobs(), &Health::new()).unwrap();
    let log = healthy.state.borrow().log.clone();
    // Register accesses of the start, one by one; of the upload's transfers, alike among themselves, a few.
    let transfers: Vec<usize> = (0..log.len()).filter(|at| log[*at].0 == 53).collect();
    let chosen =
        [0, 1, 2, transfers.len() / 3, transfers.len() / 2, transfers.len() - 2, transfers.len() - 1]
            .map(|i| transfers[i]);
    let mut kinds: Vec<(u8, u32)> = Vec::new();
    let mut hit = 0;
    for (at, (index, argument)) in log.iter().enumerate() {
        let first_of_its_kind = !kinds.contains(&(*index, *argument));
        kinds.push((*index, *argument));
        if !(chosen.contains(&at) || *index != 53 && first_of_its_kind) {
            continue;
        }
        for fault in OF_TRANSFERS.into_iter().filter(|fault| *index == 53 || !fault.is_of_data()) {
            let (sim, health) = (sim(), Health::new());
            sim.plan(Plan::once(fault, at));
            let what = format!("{fault:?} in command {at}, CMD{index} {argument:#010x}");
            assert_eq!(bring_up(&sim, &blobs(), &health), Ok(()), "{what}");
            check_ram(&sim);
            hit += 1;
        }
    }
    assert!(hit > 200, "only {hit} commands were hit");
}

#[test]
fn a_line_that_stays_bad_is_named() {
    let healthy = sim();
    bring_up(&healthy, &blobs(), &Health::new()).unwrap();
    let count = healthy.command_count();
    for from in [8, 20, count / 2, count - 3] {
        let (sim, health) = (sim(), Health::new());
        sim.plan(Plan::from(Fault::ResponseCrc, from));
        let error = bring_up(&sim, &blobs(), &health).unwrap_err();
        assert!(
            matches!(error, StartError::Sdio(_) | StartError::Broken(Broken::Sdio(_))),
            "from command {from}: {error:?}"
        );
    }
}

#[test]
fn firmware_that_does_not_start_is_a_named_error() {
    let (sim, health) = (sim(), Health::new());
    sim.state.borrow_mut().card.chip.firmware_is_good = false;
    let error = bring_up(&sim, &blobs(), &health).unwrap_err();
    // It waits for the fast clock, which is the register at 0x1000E of function 1.
    assert_eq!(error, StartError::Broken(Broken::Stalled { argument: 1 << 28 | 0x1_000E << 9 }));
}

#[test]
fn a_chip_without_a_clock_is_a_named_error() {
    let (sim, health) = (sim(), Health::new());
    sim.state.borrow_mut().card.chip.has_clock = false;
    assert_eq!(bring_up(&sim, &blobs(), &health), Err(StartError::NoClock));
}

#[test]
fn only_chips_with_a_driver_are_loaded() {
    for id in [43012, 4373, 0] {
        let sim = Sim::new(Card::new(Chip::new(id)));
        assert_eq!(bring_up(&sim, &blobs(), &Health::new()), Err(StartError::Unsupported(id)));
        assert_eq!(sim.state.borrow().card.chip.starts, 0);
    }
    let sim = Sim::new(Card::new(Chip::new(43439)));
    assert_eq!(bring_up(&sim, &blobs(), &Health::new()), Ok(()));
    assert_eq!(Id::Cyw43012.parameters().unwrap().ram_size, 0xA_0000);
}

#[test]
fn blobs_are_looked_at_before_the_chip_is() {
    let good = blobs();
    assert_eq!(good.check(), Ok(()));
    let firmware: &[u8] = good.firmware;
    let stand_in: Vec<u8> = STAND_IN.iter().copied().cycle().take(FIRMWARE_LEN).collect();
    let large = [&vec![1; RAM_SIZE - 600][..], b"Version: ", &[0; 500][..]].concat();
    let cases = [
        (Blobs { firmware: aligned(&stand_in), ..good }, BlobError::StandIn),
        (Blobs { clm: STAND_IN, ..good }, BlobError::StandIn),
        (Blobs { firmware: aligned(&[]), ..good }, BlobError::FirmwareMissing),
        (Blobs { firmware: aligned(&firmware[..99_999]), ..good }, BlobError::FirmwareMissing),
        (Blobs { firmware: aligned(&firmware[..FIRMWARE_LEN - 200]), ..good }, BlobError::FirmwareTruncated),
        (Blobs { firmware: aligned(&large), nvram: aligned(&[b'='; 100]), ..good }, BlobError::TooLarge),
        (Blobs { nvram: aligned(&[]), ..good }, BlobError::Nvram),
        (Blobs { nvram: aligned(b"manfid=0x2d0"), ..good }, BlobError::Nvram),
        (Blobs { nvram: aligned(b"/* text */\0\0"), ..good }, BlobError::Nvram),
        (Blobs { nvram: aligned(b"manfid=0x2d0\0"), ..good }, BlobError::Nvram),
        (Blobs { clm: &[], ..good }, BlobError::Clm),
        (Blobs { clm: b"BLO", ..good }, BlobError::Clm),
        (Blobs { clm: &clm()[..1024], ..good }, BlobError::ClmTruncated),
    ];
    for (blobs, error) in cases {
        assert_eq!(blobs.check(), Err(error));
        let sim = sim();
        assert_eq!(bring_up(&sim, &blobs, &Health::new()), Err(StartError::Blob(error)));
        assert_eq!(sim.state.borrow().card.chip.starts, 0);
    }
}

#[test]
fn regulatory_data_is_refused_wherever_it_is_cut_off() {
    let good = blobs();
    for len in 0..clm().len() {
        let error = if len < 4 { BlobError::Clm } else { BlobError::ClmTruncated };
        assert_eq!(Blobs { clm: &clm()[..len], ..good }.check(), Err(error), "{len} bytes");
    }
    // No segments, more than there are, more than can be counted; a segment that begins or ends beyond everything.
    for (at, word) in [(16, 0), (16, 3), (16, u32::MAX), (4, u32::MAX), (24, u32::MAX), (28, u32::MAX)] {
        let mut bad = clm().to_vec();
        bad[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
        assert_eq!(Blobs { clm: &bad, ..good }.check(), Err(BlobError::ClmTruncated), "{word} at {at}");
    }
}
