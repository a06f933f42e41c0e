//! Pins, debug UART and clocks, store by store.

use std::cell::RefCell;
use std::collections::BTreeMap;

use embedded_hal::digital::OutputPin;
use ota_psoc6::bus::Bus;
use ota_psoc6::clock::{self, ClockError, Divide};
use ota_psoc6::gpio::{Drive, Output, drive, route};
use ota_psoc6::kit::{CY8CPROTO_062_4343W, Pin, Switch, function};
use ota_psoc6::sdhc;
use ota_psoc6::smif::Smif;
use ota_psoc6::trng::{Trng, TrngError};
use ota_psoc6::uart::Uart;

/// Registers that keep what is stored, and the list of stores.
#[derive(Default)]
struct Registers {
    values: RefCell<BTreeMap<u32, u32>>,
    stores: RefCell<Vec<(u32, u32)>>,
}

impl Registers {
    fn get(&self, address: u32) -> u32 {
        self.values.borrow().get(&address).copied().unwrap_or(0)
    }

    fn set(&self, address: u32, value: u32) {
        self.values.borrow_mut().insert(address, value);
    }

    fn position(&self, store: (u32, u32)) -> usize {
        let stores = self.stores.borrow();
        let found = stores.iter().position(|one| *one == store);
        found.unwrap_or_else(|| panic!("no store of {:#x} at {:#x} in {stores:#x?}", store.1, store.0))
    }
}

impl Bus for &Registers {
    fn read8(self, address: u32) -> u8 {
        panic!("read of a byte at {address:#x}")
    }
    fn read16(self, address: u32) -> u16 {
        panic!("read of a half-word at {address:#x}")
    }
    fn read32(self, address: u32) -> u32 {
        self.get(address)
    }
    fn write8(self, address: u32, _: u8) {
        panic!("write of a byte at {address:#x}")
    }
    fn write16(self, address: u32, _: u16) {
        panic!("write of a half-word at {address:#x}")
    }
    fn write32(self, address: u32, value: u32) {
        self.stores.borrow_mut().push((address, value));
        self.set(address, value);
    }
}

const FLASH_CTL: u32 = 0x4024_0000;
const ROOT: u32 = 0x4026_0380;
const FLL: u32 = 0x4026_0580;

#[test]
fn the_loop_is_set_up_before_it_is_used() {
    let registers = Registers::default();
    registers.set(FLASH_CTL, 0x0002_0000);
    registers.set(FLL + 0x10, 0b101);
    assert_eq!(clock::start(&registers), Ok(()));
    let order = [
        // Down to the oscillator, where any wait states do; then they are set for what comes, and nothing else of the register.
        (ROOT, 1 << 31),
        (FLASH_CTL, 0x0002_0003),
        (FLL, 500 | 1 << 24),
        (FLL + 0x04, 20 | 10 << 16),
        (FLL + 0x0C, 4 << 8 | 355 << 16 | 1 << 31),
        (FLL, 500 | 1 << 24 | 1 << 31),
        (FLL + 0x08, 9 | 5 << 4 | 8 << 8 | 3 << 28),
    ]
    .map(|store| registers.position(store));
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(registers.get(ROOT), 1 << 31, "processors and peripherals from path 0");
    clock::root(&registers, 2, Divide::By2);
    clock::root(&registers, sdhc::CLOCK_ROOT, Divide::By1);
    assert_eq!((registers.get(ROOT + 8), registers.get(ROOT + 16)), (1 << 31 | 1 << 4, 1 << 31));
}

/// A bootloader that runs from the phase-locked loop at 150 MHz: more wait states than 100 MHz need, and peripherals at half of
/// it. Fewer wait states while that clock is still on would be instructions read wrong.
#[test]
fn a_faster_bootloader_s_setting_is_replaced_in_order() {
    const CM4_CLOCK_CTL: u32 = 0x4020_0008;
    const CM0_CLOCK_CTL: u32 = 0x4020_1008;
    let registers = Registers::default();
    registers.set(FLASH_CTL, 0x0002_0005);
    registers.set(ROOT, 1 << 31 | 1);
    registers.set(CM4_CLOCK_CTL, 1 << 8);
    registers.set(CM0_CLOCK_CTL, 1 << 24 | 1 << 8);
    registers.set(FLL + 0x10, 0b101);
    assert_eq!(clock::start(&registers), Ok(()));
    let fast = (FLL + 0x08, 9 | 5 << 4 | 8 << 8 | 3 << 28);
    let (slow, fewer, last) = (
        registers.position((ROOT, 1 << 31)),
        registers.position((FLASH_CTL, 0x0002_0003)),
        registers.position(fast),
    );
    assert!(slow < fewer && fewer < last, "{slow} {fewer} {last}");
    assert_eq!(registers.get(CM4_CLOCK_CTL), 0, "the processor undivided");
    assert_eq!(registers.get(CM0_CLOCK_CTL), 1 << 8, "peripherals undivided; the other core keeps its own");
    assert!(registers.position((CM0_CLOCK_CTL, 1 << 8)) < last);
}

#[test]
fn a_loop_that_does_not_lock_is_left_aside() {
    for (status, error) in [(0b000, ClockError::Oscillator), (0b100, ClockError::Lock)] {
        let registers = Registers::default();
        registers.set(FLL + 0x10, status);
        assert_eq!(clock::start(&registers), Err(error));
        assert_eq!(registers.get(FLL + 0x08) >> 28, 2, "the oscillator is still in use");
    }
}

/// XIP mode is left first and nothing changed with it; then all of the block while it is disabled.
#[test]
fn the_serial_interface_is_put_into_command_mode() {
    const SMIF: u32 = 0x4042_0000;
    const COMMAND: u32 = 1 << 12 | 1 << 16;
    let registers = Registers::default();
    registers.set(SMIF, 1 << 31 | 1 << 24 | 3 << 12 | 1);
    registers.set(SMIF + 0x7C8, 0x3F);
    registers.set(SMIF + 0x800, 1 << 31 | 1 << 16);
    let mut smif = Smif::new(&registers).unwrap();
    smif.invalidate();
    let stores = [
        (SMIF, 1 << 31 | 1 << 24 | 3 << 12),
        // Sampled with the inverted clock, deselected for one clock, errors instead of stalls.
        (SMIF, COMMAND),
        (SMIF + 0x7C8, 0),
        (SMIF + 0x800, 0),
        (SMIF, 1 << 31 | COMMAND),
        (SMIF + 0x108, 1),
        (SMIF + 0x188, 1),
    ];
    assert_eq!(*registers.stores.borrow(), stores);
}

/// The recipe of the vendor's driver, with both health tests on: on the stream behind the corrector, with the longest windows.
#[test]
fn the_random_source_is_set_up_as_a_whole() {
    const CRYPTO: u32 = 0x4010_0000;
    let registers = Registers::default();
    registers.set(CRYPTO + 0x28C, 1);
    // Interrupts that are only remembered look like a test that tripped.
    assert_eq!(Trng::new(&registers).err(), Some(TrngError::Health));
    let stores = [
        (CRYPTO, 1 << 31),
        (CRYPTO + 0x2C8, 0),
        (CRYPTO + 0x284, 0),
        (CRYPTO + 0x100, 1 << 20 | 1 << 19 | 1 << 3 | 1 << 2),
        (CRYPTO + 0x2A0, 0x04C1_1DB7),
        (CRYPTO + 0x2A4, 0x04C1_1DB7),
        (CRYPTO + 0x280, 0x3103_0000),
        (CRYPTO + 0x2C0, 2),
        (CRYPTO + 0x2D0, 255),
        (CRYPTO + 0x2E0, 0xFFFF_FFFF),
        (CRYPTO + 0x284, 0x3F),
        (CRYPTO + 0x2C8, 3),
    ];
    assert!(registers.stores.borrow().starts_with(&stores), "{:#x?}", registers.stores.borrow());
}

#[test]
fn a_pin_changes_alone() {
    let registers = Registers::default();
    let pin = Pin::new(5, 6);
    let (config, select) = (pin.gpio() + 0x44, pin.hsiom() + 4);
    registers.set(config, 0xFFFF_FFFF);
    registers.set(select, 0x1F1F_1F1F);
    drive(&registers, pin, Drive::Strong);
    route(&registers, pin, function::UART);
    assert_eq!(registers.get(config), 0xF6FF_FFFF);
    assert_eq!(registers.get(select), 0x1F12_1F1F);
}

#[test]
fn an_output_starts_off_and_knows_its_polarity() {
    let registers = Registers::default();
    let pin = Pin::new(13, 7);
    let (clear, set, invert) = (pin.gpio() + 4, pin.gpio() + 8, pin.gpio() + 12);
    let mut led = Output::switch(&registers, Switch { pin, active_low: true });
    assert!(registers.position((set, 1 << 7)) < registers.position((pin.gpio() + 0x44, 0x6 << 28)));
    led.set(true);
    led.toggle();
    assert_eq!(registers.stores.borrow()[3..], [(clear, 1 << 7), (invert, 1 << 7)]);
    let mut power = Output::new(&registers, pin);
    power.set_high().unwrap();
    assert_eq!(registers.stores.borrow().last(), Some(&(set, 1 << 7)));
    power.set_low().unwrap();
    assert_eq!(registers.stores.borrow().last(), Some(&(clear, 1 << 7)));
}

#[test]
fn the_uart_sends_when_there_is_room_and_never_hangs() {
    const SCB: u32 = 0x4065_0000;
    let registers = Registers::default();
    let mut uart = Uart::new(&registers, &CY8CPROTO_062_4343W.uart, 100_000_000, 115_200);
    // 100 MHz / 62 / 14.
    assert_eq!(registers.get(0x4000_1404), 61 << 8);
    assert_eq!(registers.get(0x4000_0C14), 0x101);
    assert_eq!(registers.get(0x4000_0400), 0x83FF_0101);
    assert_eq!(registers.get(SCB), 1 << 31 | 2 << 24 | 1 << 11 | 13);
    assert_eq!(registers.get(0x4030_0050) >> 8 & 0x1F, u32::from(function::UART));
    uart.send(b"ok");
    let count = registers.stores.borrow().len();
    assert_eq!(registers.stores.borrow()[count - 2..], [(SCB + 0x240, 0x6F), (SCB + 0x240, 0x6B)]);
    // A FIFO that stays full costs bytes.
    registers.set(SCB + 0x208, 128);
    uart.send(b"x");
    assert_eq!(registers.stores.borrow().len(), count);
}

#[test]
fn the_card_s_pins_are_connected() {
    let registers = Registers::default();
    let pins = CY8CPROTO_062_4343W.sdio;
    sdhc::connect(&registers, &pins);
    assert_eq!(
        registers.get(0x4031_0100 + 0x44),
        0x006E_EEEE,
        "clock strong, command and data with input buffer"
    );
    assert_eq!(registers.get(0x4030_0020), 0x1A1A_1A1A);
    assert_eq!(registers.get(0x4030_0024), 0x0000_1A1A, "the module's power stays an ordinary output");
}
