//! The registers of the chip and its serial flash, modelled: what the drivers run against on a host.
//!
//! A [`Model`] is the hardware; [`Chip`] is the handle that drivers take as their bus, [`Clock`] the delay in its virtual time. The drivers
//! under test are the very code that ships. The model is strict: what silicon forbids is not done and is noted as a [`Violation`], which a test
//! looks for at its end ([`Model::violations`]). The power can be cut before, inside and after each step that changes flash.
//!
//! ```
//! use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
//! use ota_psoc6::flash::{InternalFlash, Windows};
//! use ota_psoc6::layout::{Device, psoc62::INTERNAL_OVERWRITE as MAP};
//! use ota_psoc6::model::{Family, Model};
//! use ota_psoc6::syscall::{DirectCache, SystemCalls};
//! use ota_psoc6::watchdog::Watchdog;
//!
//! let model = Model::new(Family::Psoc62);
//! let chip = model.chip();
//! let calls = SystemCalls::new(chip, DirectCache, model.ram(), 1_000_000);
//! let mut flash = InternalFlash::new(chip, calls, Windows::new(&MAP, Device::Internal), Watchdog::new(chip));
//! flash.write(0x10_6000, &[7; 512]).unwrap();
//! let mut byte = [0];
//! flash.read(0x10_61FF, &mut byte).unwrap();
//! assert_eq!(byte, [7]);
//! assert_eq!(model.violations(), []);
//! ```
//!
//! What it cannot show: the boot ROM's real behaviour and times, faults of real buses, sampling edges, the other core's stack.

extern crate std;

mod chip;
mod mailbox;
mod pra;
mod serial_flash;
mod smif;
mod trng;
mod watchdog;

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

pub use chip::{Chip, Clock};
pub use mailbox::Mailbox;
pub use pra::Pra;
pub use serial_flash::SerialFlash;
pub use trng::Trng;

use crate::layout::{Area, Device, SRAM};
use crate::syscall::{RAM_SIZE, Ram};

/// Which of the two chips of the die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Every register is the application's.
    Psoc62,
    /// The secure core keeps watchdog, clocks, flash cache and random numbers to itself.
    Psoc64,
}

/// Something silicon forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// An access that is not aligned to its width.
    Unaligned(u32),
    /// No register or memory of the model lies there.
    NoSuchAddress(u32),
    /// A register that belongs to the secure core.
    ProtectedRegister(u32),
    /// A notification without the lock.
    NotLocked(u32),
    /// A system call with interrupts on.
    InterruptsOn,
    /// A parameter block, or a row of data, that is not in SRAM at a multiple of four.
    ParameterBlock(u32),
    /// The block of a call under way was written.
    BlockTouched(u32),
    /// Flash was read while a call worked on it.
    ReadWhileWrite(u32),
    /// A row was programmed that was not erased.
    DirtyRow(u32),
    /// The sector that executes was erased.
    ExecutingSector(u32),
    /// A reset while something works on flash.
    ResetWhileBusy,
    /// The watchdog bit: it was fed too late. The power goes.
    WatchdogBit,
    /// The watchdog's control was written while locked, or unlocked in the wrong order.
    WatchdogLocked,
    /// A FIFO was written when full.
    FifoOverflow,
    /// A FIFO was read when empty.
    FifoUnderflow,
    /// CTL of the serial interface was changed while enabled in XIP mode.
    XipMode,
    /// The external flash was given a command while busy.
    CommandWhileBusy(u8),
    /// The external flash does not know the command.
    UnknownCommand(u8),
    /// A unit of the external flash was programmed twice between erases: its ECC is off.
    DoubleProgram(u32),
    /// A program ran over the end of its page and wrapped.
    PageWrap(u32),
    /// Wrong number of dummy clocks, or wrong lines.
    Framing(u8),
    /// A four-line command without the quad bit.
    NotQuad(u8),
    /// The random number generator was started wrongly, or with a health test off.
    HealthTestsOff,
}

/// When the power goes, around one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before anything of it is done.
    Before,
    /// In the middle: half of the bytes are as they will be, the others as they were.
    Half,
    /// In the middle: everything of it reads erased.
    Blank,
    /// In the middle: everything of it holds neither.
    Garbage,
    /// In the middle: that many bytes are as they will be, the others as they were.
    Bytes(u32),
    /// When all of it is done, and nobody has been told.
    After,
}

impl When {
    /// All of them but the one that takes a number.
    pub const ALL: [Self; 5] = [Self::Before, Self::Half, Self::Blank, Self::Garbage, Self::After];
}

pub(crate) struct State {
    family: Family,
    now_ns: u64,
    is_powered: bool,
    interrupts_on: bool,
    violations: Vec<Violation>,
    steps: u32,
    cut: Option<(u32, When)>,
    main: Vec<u8>,
    work: Vec<u8>,
    sram: Vec<u8>,
    /// Rows as the processor's cache still has them.
    stale: BTreeMap<u32, Vec<u8>>,
    cache_looks: u32,
    /// Registers that only remember: pins, vector table and the like.
    plain: BTreeMap<u32, u32>,
    resets: u32,
    executing: Area,
    mailbox: Mailbox,
    smif: smif::Smif,
    serial_flash: SerialFlash,
    pra: Pra,
    watchdog: watchdog::Watchdog,
    trng: Trng,
}

/// A chip and the serial flash beside it.
pub struct Model {
    state: RefCell<State>,
    rams: core::cell::Cell<u32>,
}

/// Where parameter blocks are handed out: in the application's RAM.
const RAM_START: u32 = 0x0808_0000;

impl Model {
    /// A chip with blank flash, powered on: interrupts on, the bootloader's watchdog running.
    pub fn new(family: Family) -> Self {
        let state = State {
            family,
            now_ns: 0,
            is_powered: true,
            interrupts_on: true,
            violations: Vec::new(),
            steps: 0,
            cut: None,
            main: vec![0; Device::Internal.size() as usize],
            work: vec![0; Device::Work.size() as usize],
            sram: vec![0xA5; SRAM.size() as usize],
            stale: BTreeMap::new(),
            cache_looks: 0,
            plain: BTreeMap::new(),
            resets: 0,
            executing: Area::new(0, 0),
            mailbox: Mailbox::default(),
            smif: smif::Smif::default(),
            serial_flash: SerialFlash::default(),
            pra: Pra::default(),
            watchdog: watchdog::Watchdog::default(),
            trng: Trng::default(),
        };
        Self { state: RefCell::new(state), rams: core::cell::Cell::new(RAM_START) }
    }

    /// The bus, for drivers.
    pub fn chip(&self) -> Chip<'_> {
        Chip::new(self)
    }

    /// A delay in the model's time, for both kinds of trait.
    pub fn clock(&self) -> Clock<'_> {
        Clock::new(self)
    }

    /// RAM for one [`SystemCalls`](crate::syscall::SystemCalls), another at each call.
    pub fn ram(&self) -> Ram {
        let address = self.rams.get();
        self.rams.set(address + RAM_SIZE.next_multiple_of(4));
        Ram::in_model(address)
    }

    /// RAM where silicon has none that the other core could use: for tests of the model.
    pub fn ram_at(&self, address: u32) -> Ram {
        Ram::in_model(address)
    }

    /// The rules that were broken, in order.
    pub fn violations(&self) -> Vec<Violation> {
        self.state.borrow().violations.clone()
    }

    /// Steps that changed flash so far: what a cut is counted in.
    pub fn steps(&self) -> u32 {
        self.state.borrow().steps
    }

    /// Cuts the power around the step of that number; the first is 0.
    pub fn cut(&self, step: u32, when: When) {
        self.state.borrow_mut().cut = Some((step, when));
    }

    /// Whether it has power.
    pub fn is_powered(&self) -> bool {
        self.state.borrow().is_powered
    }

    /// Power off and on: what is in flash stays, everything else is as after a start.
    pub fn power_cycle(&self) {
        let mut state = self.state.borrow_mut();
        state.start();
        state.serial_flash.power_on();
        state.cut = None;
    }

    /// A reset without a loss of power: the serial flash goes on with whatever it does.
    pub fn restart(&self) {
        self.state.borrow_mut().start();
    }

    /// Resets that were asked for.
    pub fn resets(&self) -> u32 {
        self.state.borrow().resets
    }

    /// Virtual time in microseconds.
    pub fn now_us(&self) -> u64 {
        self.state.borrow().now_ns / 1000
    }

    /// Lets time go by.
    pub fn advance_us(&self, us: u64) {
        self.state.borrow_mut().advance(us * 1000);
    }

    /// Starts the watchdog's time anew, for tests that let time go by.
    pub fn restart_watchdog(&self) {
        let mut state = self.state.borrow_mut();
        let now = state.now_ns;
        state.watchdog.feed(now);
    }

    /// Where the program executes from: a sector that must not be erased.
    pub fn set_executing(&self, area: Area) {
        self.state.borrow_mut().executing = area;
    }

    /// Changes how the mailbox behaves.
    pub fn mailbox(&self, change: impl FnOnce(&mut Mailbox)) {
        change(&mut self.state.borrow_mut().mailbox);
    }

    /// Changes how the serial flash behaves.
    pub fn serial_flash(&self, change: impl FnOnce(&mut SerialFlash)) {
        change(&mut self.state.borrow_mut().serial_flash);
    }

    /// Changes how the secure core's register access behaves.
    pub fn pra(&self, change: impl FnOnce(&mut Pra)) {
        change(&mut self.state.borrow_mut().pra);
    }

    /// Changes how the random number generator behaves.
    pub fn trng(&self, change: impl FnOnce(&mut Trng)) {
        change(&mut self.state.borrow_mut().trng);
    }

    /// Stops the clock of the serial interface, so that nothing moves in it; or lets what waits there move on.
    pub fn clock_smif(&self, runs: bool) {
        self.state.borrow_mut().smif.is_stopped = !runs;
    }

    /// Leaves the serial interface in XIP mode, as some bootloaders do.
    pub fn set_xip(&self) {
        self.state.borrow_mut().smif.set_xip();
    }

    /// What flash really holds, whatever the cache says.
    ///
    /// # Panics
    /// Outside flash.
    pub fn peek(&self, address: u32, bytes: &mut [u8]) {
        let mut state = self.state.borrow_mut();
        let len = bytes.len();
        match state.internal(address) {
            Some((flash, at)) => bytes.copy_from_slice(&flash[at..at + len]),
            None => state.serial_flash.load(external_offset(address), bytes),
        }
    }

    /// Puts bytes into flash, as a programmer or the bootloader does.
    ///
    /// # Panics
    /// Outside flash.
    pub fn poke(&self, address: u32, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        match state.internal(address) {
            Some((flash, at)) => flash[at..at + bytes.len()].copy_from_slice(bytes),
            None => state.serial_flash.store(external_offset(address), bytes),
        }
    }

    /// Erases whole sectors of flash, as a programmer or the bootloader does.
    ///
    /// # Panics
    /// Outside flash.
    pub fn erase(&self, address: u32, len: u32) {
        let mut state = self.state.borrow_mut();
        match state.internal(address) {
            Some((flash, at)) => flash[at..at + len as usize].fill(0),
            None => state.serial_flash.clear(external_offset(address), len),
        }
    }

    /// A register that only remembers.
    pub fn register(&self, address: u32) -> Option<u32> {
        self.state.borrow().plain.get(&address).copied()
    }
}

impl core::fmt::Debug for Model {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Model").finish_non_exhaustive()
    }
}

impl State {
    fn start(&mut self) {
        self.is_powered = true;
        self.interrupts_on = true;
        self.sram.fill(0xA5);
        self.stale.clear();
        self.plain.clear();
        self.mailbox.start();
        self.smif = smif::Smif::default();
        self.pra.start();
        self.watchdog = watchdog::Watchdog::at(self.now_ns);
        self.trng.start();
    }

    fn flag(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    fn advance(&mut self, ns: u64) {
        self.now_ns += ns;
        if self.is_powered && self.watchdog.bites(self.now_ns) {
            self.flag(Violation::WatchdogBit);
            self.is_powered = false;
        }
    }

    /// Begins a step that changes flash: how much of it happens. `None`: nothing. The power is off where it does not all happen, or
    /// where nobody is told.
    fn step(&mut self) -> Option<Extent> {
        let number = self.steps;
        self.steps += 1;
        match self.cut {
            Some((at, when)) if at == number => {
                self.is_powered = false;
                match when {
                    When::Before => None,
                    When::Half => Some(Extent::Half),
                    When::Bytes(count) => Some(Extent::Bytes(count)),
                    When::Blank => Some(Extent::Blank),
                    When::Garbage => Some(Extent::Garbage),
                    When::After => Some(Extent::All),
                }
            }
            Some(_) | None => Some(Extent::All),
        }
    }

    fn internal(&mut self, address: u32) -> Option<(&mut Vec<u8>, usize)> {
        let area = Area::new(address, 1);
        let offset = area.offset() as usize;
        match area.device()? {
            Device::Internal => Some((&mut self.main, offset)),
            Device::Work => Some((&mut self.work, offset)),
            Device::External => None,
        }
    }
}

fn external_offset(address: u32) -> u32 {
    let area = Area::new(address, 1);
    assert_eq!(area.device(), Some(Device::External), "no flash at {address:#x}");
    area.offset()
}

/// How much of a step happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Half,
    Bytes(u32),
    Blank,
    Garbage,
    All,
}

impl Extent {
    /// The byte at `index` of `len`, which was `old` and is to be `new`.
    fn byte(self, index: usize, len: usize, old: u8, new: u8, erased: u8) -> u8 {
        match self {
            Self::All => new,
            Self::Half if index < len / 2 => new,
            Self::Bytes(count) if index < count as usize => new,
            Self::Half | Self::Bytes(_) => old,
            Self::Blank => erased,
            Self::Garbage => old.rotate_left(3) ^ (index as u8).wrapping_mul(0x9D) ^ 0x5B,
        }
    }
}
