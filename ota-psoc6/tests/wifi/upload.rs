//! The published driver loads its firmware over our bus: every byte in its place, whatever happens to single commands.

use std::sync::OnceLock;

use cyw43::{A4, Aligned};
use embassy_futures::block_on;
use ota_psoc6::wifi::{Blobs, Broken, Chip as Id, Health, StartError, cyw43, power_up, start};

use crate::{
    card::Card,
    chip::{Chip, RAM_SIZE},
    controller::{Delay, Sim},
    fault::{Fault, OF_TRANSFERS, Plan},
};

/// No whole number of words, blocks or windows.
pub(crate) const FIRMWARE_LEN: usize = 120_397;
pub(crate) const NVRAM_TEXT: &[u8] = b"manfid=0x2d0\0prodid=0x0726\0boardtype=0x0726\0\0\0\0\0";

pub(crate) fn aligned(bytes: &[u8]) -> &'static Aligned<A4, [u8]> {
    let words = bytes.len().div_ceil(4);
    let buffer: &'static mut [u32] = vec![0; words].leak();
    // SAFETY: words aligned and long enough; `Aligned<A4, [u8]>` is its bytes.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.as_mut_ptr().cast(), bytes.len());
        let bytes: *const [u8] = std::ptr::slice_from_raw_parts(buffer.as_ptr().cast::<u8>(), bytes.len());
        &*(bytes as *const Aligned<A4, [u8]>)
    }
}

/// Regulatory data: header, then two entries: the data and four bytes behind it, as in the vendor's file.
pub(crate) fn clm() -> &'static [u8] {
    static CLM: OnceLock<Vec<u8>> = OnceLock::new();
    CLM.get_or_init(|| {
        let data: Vec<u8> = (0..2444).map(|i| (i % 253) as u8).collect();
        let (segment, end) = data.split_at(2440);
        let entries = [[2, 60, 2440, crc32(segment), 0], [0, 2500, 4, crc32(end), 0]].concat();
        let header = [1, 2].into_iter().chain(entries).flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
        let crc = crc32(&header);
        [&b"BLOB"[..], &60_u32.to_le_bytes(), &crc.to_le_bytes(), &header, &data].concat()
    })
}

/// CRC-32 as in zlib, with a table, as others write it.
fn crc32(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|byte| {
        (0..8)
            .fold(byte as u32, |value, _| if value & 1 == 1 { value >> 1 ^ 0xEDB8_8320 } else { value >> 1 })
    });
    !bytes.iter().fold(!0, |crc: u32, byte| table[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// The end of a firmware: its version and what is known of it, the length of that, its number.
fn firmware_end() -> Vec<u8> {
    let text = b"43430a1-roml/sdio Version: 1.2.3 (abc CY) CRC: 01234567 Date: today FWID 01-89abcdef\0";
    [&text[..], &(text.len() as u16).to_le_bytes(), b"DVID 01-0badcafe"].concat()
}

pub(crate) fn blobs() -> Blobs<'static> {
    static FIRMWARE: OnceLock<&'static Aligned<A4, [u8]>> = OnceLock::new();
    static NVRAM: OnceLock<&'static Aligned<A4, [u8]>> = OnceLock::new();
    let firmware = FIRMWARE.get_or_init(|| {
        let end = firmware_end();
        let body = (0..FIRMWARE_LEN - end.len()).map(|i| (i * 31 + i / 256) as u8);
        aligned(&body.chain(end).collect::<Vec<u8>>())
    });
    let nvram = NVRAM.get_or_init(|| aligned(NVRAM_TEXT));
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

/// Commands of the enumeration; `enumeration.rs` has a fault in each of them.
const ENUMERATION: usize = 5;

/// Every command of the start and of the upload fails the first time it is sent, in every way it can.
#[test]
fn a_fault_in_every_command_of_the_start_is_repaired() {
    let healthy = sim();
    bring_up(&healthy, &blobs(), &Health::new()).unwrap();
    let log = healthy.state.borrow().log.clone();
    let all = log.len() - ENUMERATION;
    let transfers = log.iter().filter(|(index, _)| *index == 53).count();
    assert!(all > 150 && transfers > 100, "{transfers} transfers in {all} commands");
    for fault in OF_TRANSFERS.into_iter().chain([Fault::ResponseEnd, Fault::ResponseIndex, Fault::LinesBusy])
    {
        let (sim, health) = (sim(), Health::new());
        sim.plan(Plan::every(fault, ENUMERATION));
        assert_eq!(bring_up(&sim, &blobs(), &health), Ok(()), "{fault:?}");
        check_ram(&sim);
        let hit = usize::MAX - sim.state.borrow().plan.map_or(0, |plan| plan.count);
        let wanted = if fault.is_of_data() { transfers } else { all };
        // A register that is asked until it says yes is asked in every run as often as it takes.
        assert!(hit >= wanted, "{fault:?} hit {hit} of {wanted} commands");
        // The first commands are our own, before the driver's bus and its counters are there.
        assert!(health.repeated_count() as usize + 20 >= hit, "{fault:?}: not every repetition was counted");
    }
}

/// One fault alone, in each register access of the start and in a few of the upload's transfers, alike among themselves.
#[test]
fn a_fault_in_a_single_command_is_repaired() {
    let healthy = sim();
    bring_up(&healthy, &blobs(), &Health::new()).unwrap();
    let log = healthy.state.borrow().log.clone();
    let transfers: Vec<usize> = (0..log.len()).filter(|at| log[*at].0 == 53).collect();
    let chosen = [0, 1, transfers.len() / 2, transfers.len() - 1].map(|i| transfers[i]);
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
    assert!(hit > 150, "only {hit} commands were hit");
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
