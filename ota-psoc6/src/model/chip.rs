//! The address space: which access goes where.

use super::{Family, Model, State, Violation, mailbox, pra, smif, trng, watchdog};
use crate::bus::Bus;
use crate::layout::{Area, Device, SRAM};
use crate::processor::Processor;

/// Nanoseconds one access takes.
const ACCESS_NS: u64 = 100;
const AIRCR: u32 = 0xE000_ED0C;
const AIRCR_RESET: u32 = 0x05FA_0004;
const FLASH_CMD: u32 = 0x4024_0008;

/// The bus and the processor, for drivers.
#[derive(Clone, Copy, Debug)]
pub struct Chip<'m>(&'m Model);

/// A delay in virtual time.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'m>(&'m Model);

impl<'m> Chip<'m> {
    pub(super) fn new(model: &'m Model) -> Self {
        Self(model)
    }

    /// Whether interrupts are on.
    pub fn interrupts_on(self) -> bool {
        self.0.state.borrow().interrupts_on
    }
}

impl<'m> Clock<'m> {
    pub(super) fn new(model: &'m Model) -> Self {
        Self(model)
    }
}

impl embedded_hal::delay::DelayNs for Clock<'_> {
    fn delay_ns(&mut self, ns: u32) {
        self.0.state.borrow_mut().advance(u64::from(ns));
    }
}

impl embedded_hal_async::delay::DelayNs for Clock<'_> {
    async fn delay_ns(&mut self, ns: u32) {
        self.0.state.borrow_mut().advance(u64::from(ns));
        embassy_futures::yield_now().await;
    }
}

impl Bus for Chip<'_> {
    fn read8(self, address: u32) -> u8 {
        self.0.state.borrow_mut().read(address, 1) as u8
    }

    fn read16(self, address: u32) -> u16 {
        self.0.state.borrow_mut().read(address, 2) as u16
    }

    fn read32(self, address: u32) -> u32 {
        self.0.state.borrow_mut().read(address, 4)
    }

    fn write8(self, address: u32, value: u8) {
        self.0.state.borrow_mut().write(address, 1, u32::from(value));
    }

    fn write16(self, address: u32, value: u16) {
        self.0.state.borrow_mut().write(address, 2, u32::from(value));
    }

    fn write32(self, address: u32, value: u32) {
        self.0.state.borrow_mut().write(address, 4, value);
    }
}

impl Processor for Chip<'_> {
    fn mask_interrupts(self) -> bool {
        core::mem::replace(&mut self.0.state.borrow_mut().interrupts_on, false)
    }

    fn unmask_interrupts(self) {
        self.0.state.borrow_mut().interrupts_on = true;
    }

    fn barrier(self) {}
}

/// Whether the register belongs to the secure core of a PSoC 64.
fn is_secure(address: u32) -> bool {
    matches!(address, FLASH_CMD | 0x4026_0000..0x4027_0000) || trng::covers(address)
}

impl State {
    /// Whether the access happens at all.
    fn admit(&mut self, address: u32, width: u32) -> bool {
        self.advance(ACCESS_NS);
        if !self.is_powered {
            return false;
        }
        if !address.is_multiple_of(width) {
            self.flag(Violation::Unaligned(address));
            return false;
        }
        if self.family == Family::Psoc64 && is_secure(address) {
            self.flag(Violation::ProtectedRegister(address));
            return false;
        }
        true
    }

    fn read(&mut self, address: u32, width: u32) -> u32 {
        if !self.admit(address, width) {
            return 0;
        }
        if SRAM.address() <= address && address < SRAM.end() {
            let at = (address - SRAM.address()) as usize;
            return little(&self.sram[at..at + width as usize]);
        }
        if let Some(Device::Internal | Device::Work) = Area::new(address, width).device() {
            if self.mailbox.is_working() {
                self.flag(Violation::ReadWhileWrite(address));
            }
            return little(&self.cached(address, width));
        }
        match address {
            FLASH_CMD => {
                self.cache_looks = self.cache_looks.saturating_sub(1);
                u32::from(self.cache_looks > 0)
            }
            _ if mailbox::covers(address) => self.read_mailbox(address),
            _ if pra::covers(address) => self.read_pra(address),
            _ if smif::covers(address) => self.read_smif(address),
            _ if watchdog::covers(address) => self.watchdog.read(address),
            _ if trng::covers(address) => self.trng.read(address),
            _ if is_plain(address) => self.plain.get(&address).copied().unwrap_or(0),
            _ => {
                self.flag(Violation::NoSuchAddress(address));
                0
            }
        }
    }

    fn write(&mut self, address: u32, width: u32, value: u32) {
        if !self.admit(address, width) {
            return;
        }
        if SRAM.address() <= address && address < SRAM.end() {
            if self.mailbox.holds(address) {
                self.flag(Violation::BlockTouched(address));
            }
            let at = (address - SRAM.address()) as usize;
            self.sram[at..at + width as usize].copy_from_slice(&value.to_le_bytes()[..width as usize]);
            return;
        }
        match address {
            FLASH_CMD if value & 1 != 0 => self.forget_cached(),
            FLASH_CMD => {}
            AIRCR if value == AIRCR_RESET => {
                if self.mailbox.is_working() || self.serial_flash.is_busy(self.now_ns) {
                    self.flag(Violation::ResetWhileBusy);
                }
                self.resets += 1;
            }
            _ if mailbox::covers(address) => self.write_mailbox(address, value),
            _ if pra::covers(address) => self.write_pra(address, value),
            _ if smif::covers(address) => self.write_smif(address, value),
            _ if watchdog::covers(address) => {
                if let Err(violation) = self.watchdog.write(address, value, self.now_ns) {
                    self.flag(violation);
                }
            }
            _ if trng::covers(address) => {
                if let Err(violation) = self.trng.write(address, value) {
                    self.flag(violation);
                }
            }
            _ if is_plain(address) => {
                self.plain.insert(address, value);
            }
            _ => self.flag(Violation::NoSuchAddress(address)),
        }
    }

    /// The processor's cache forgets.
    pub(super) fn forget_cached(&mut self) {
        self.stale.clear();
        self.cache_looks = 3;
    }

    fn cached(&mut self, address: u32, width: u32) -> std::vec::Vec<u8> {
        let row = address - address % 512;
        if let Some(old) = self.stale.get(&row) {
            let at = (address - row) as usize;
            return old[at..at + width as usize].to_vec();
        }
        match self.internal(address) {
            Some((bytes, at)) => bytes[at..at + width as usize].to_vec(),
            None => std::vec![0; width as usize],
        }
    }
}

extern crate std;

/// Pins, function selects, clock roots, vector table, cause of the last reset.
fn is_plain(address: u32) -> bool {
    matches!(address, 0x4030_0000..0x4033_0000 | 0x4026_0340..0x4026_0400 | 0x4026_0800 | 0xE000_ED08 | AIRCR)
}

fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}
