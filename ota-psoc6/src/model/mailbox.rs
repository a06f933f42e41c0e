//! IPC structures 0 to 2 and the boot ROM behind them.

extern crate std;

use std::collections::VecDeque;
use std::vec::Vec;

use super::{Extent, State, Violation};
use crate::layout::{Area, Device, ROW_SIZE, SRAM};

const BASE: u32 = 0x4022_0000;
const STRIDE: u32 = 0x20;
const COUNT: u32 = 3;
/// The Cortex-M4's.
const OWN: usize = 1;
const LOCKED: u32 = 1 << 31;
const BLOCK_SIZE: u32 = 16;

const SUCCESS: u32 = 0xA000_0000;
const INVALID_ADDRESS: u32 = 0xF000_0004;
const WRITE_PROTECTED: u32 = 0xF000_0005;
const INVALID_LATCH: u32 = 0xF000_0003;
const INVALID_OPCODE: u32 = 0xF000_000B;

const ERASE_US: u64 = 11_000;
const PROGRAM_US: u64 = 5_000;

/// Whether the address is one of these structures'.
pub(super) fn covers(address: u32) -> bool {
    (BASE..BASE + COUNT * STRIDE).contains(&address)
}

/// How the mailbox and the boot ROM behave.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// Looks at the lock before a call is done.
    pub looks: u32,
    /// Status words to answer with instead of working, one a call.
    pub answers: VecDeque<u32>,
    /// Never answers.
    pub is_stuck: bool,
    /// Says success and does nothing.
    pub lies: bool,
    /// Structures held by others.
    pub held_by_others: [bool; 3],
    /// Flash the boot ROM refuses to change.
    pub protected: Vec<Area>,
    locked: bool,
    data: u32,
    working: Option<Working>,
}

#[derive(Clone, Copy, Debug)]
struct Working {
    looks: u32,
    status: u32,
}

impl Mailbox {
    pub(super) fn start(&mut self) {
        self.locked = false;
        self.working = None;
    }

    pub(super) fn is_working(&self) -> bool {
        self.working.is_some()
    }

    /// Whether the word belongs to the other core at the moment.
    pub(super) fn holds(&self, address: u32) -> bool {
        self.is_working() && (self.data..self.data + BLOCK_SIZE).contains(&address)
    }
}

impl State {
    pub(super) fn read_mailbox(&mut self, address: u32) -> u32 {
        let (structure, register) = split(address);
        match register {
            0x00 if structure == OWN => {
                if self.mailbox.locked || self.mailbox.held_by_others[OWN] {
                    return 0;
                }
                self.mailbox.locked = true;
                LOCKED
            }
            0x0C if structure == OWN => self.mailbox.data,
            0x1C if structure == OWN => {
                if let Some(working) = &mut self.mailbox.working {
                    if self.mailbox.is_stuck {
                        return LOCKED;
                    }
                    if working.looks > 0 {
                        working.looks -= 1;
                        return LOCKED;
                    }
                    let status = working.status;
                    self.mailbox.working = None;
                    self.mailbox.locked = false;
                    let at = (self.mailbox.data - SRAM.address()) as usize;
                    self.sram[at..at + 4].copy_from_slice(&status.to_le_bytes());
                }
                if self.mailbox.locked || self.mailbox.held_by_others[OWN] { LOCKED } else { 0 }
            }
            0x1C if self.mailbox.held_by_others[structure] => LOCKED,
            0x1C => 0,
            _ => {
                self.flag(Violation::NoSuchAddress(address));
                0
            }
        }
    }

    pub(super) fn write_mailbox(&mut self, address: u32, value: u32) {
        let (structure, register) = split(address);
        match register {
            0x0C if structure == OWN && self.mailbox.locked => self.mailbox.data = value,
            0x08 if structure == OWN && self.mailbox.locked && value == 1 => self.begin_call(),
            0x0C | 0x08 => self.flag(Violation::NotLocked(address)),
            _ => self.flag(Violation::NoSuchAddress(address)),
        }
    }

    fn begin_call(&mut self) {
        if self.interrupts_on {
            self.flag(Violation::InterruptsOn);
        }
        let block = self.mailbox.data;
        let status = match self.sram_words(block, 4) {
            Some(words) => self.serve([words[0], words[1], words[2], words[3]]),
            None => {
                // The other core would follow the pointer wherever it leads.
                self.flag(Violation::ParameterBlock(block));
                self.mailbox.locked = false;
                return;
            }
        };
        self.mailbox.working = Some(Working { looks: self.mailbox.looks, status });
    }

    fn sram_words(&mut self, address: u32, count: u32) -> Option<Vec<u32>> {
        let inside = address >= SRAM.address() && address.checked_add(count * 4)? <= SRAM.end() - 2048;
        if !inside || !address.is_multiple_of(4) {
            return None;
        }
        let at = (address - SRAM.address()) as usize;
        let bytes = &self.sram[at..at + count as usize * 4];
        Some(bytes.chunks(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
    }

    fn serve(&mut self, [word, first, second, third]: [u32; 4]) -> u32 {
        if let Some(answer) = self.mailbox.answers.pop_front() {
            return answer;
        }
        if word & 0x100 == 0 {
            return INVALID_OPCODE;
        }
        match word >> 24 {
            0x1C => self.serve_erase(first, ROW_SIZE),
            0x1D => self.serve_erase(first, 8 * ROW_SIZE),
            0x14 => self.serve_erase(first, 0x4_0000),
            0x06 if first != 0x100 => INVALID_LATCH,
            0x06 => self.serve_program(second, third, false),
            0x05 => self.serve_program(second, third, true),
            _ => INVALID_OPCODE,
        }
    }

    fn refused(&mut self, address: u32, size: u32) -> Option<u32> {
        let area = Area::new(address, size);
        let inside = matches!(area.device(), Some(Device::Internal | Device::Work));
        if !inside || !area.offset().is_multiple_of(size) {
            return Some(INVALID_ADDRESS);
        }
        self.mailbox.protected.iter().any(|other| !other.is_disjoint(area)).then_some(WRITE_PROTECTED)
    }

    fn serve_erase(&mut self, address: u32, size: u32) -> u32 {
        if let Some(status) = self.refused(address, size) {
            return status;
        }
        let executing = self.executing;
        // Rows beside the program are fine from RAM; a whole sector takes the program with it.
        if executing.size() > 0 && !executing.is_disjoint(Area::new(address, size)) {
            self.flag(Violation::ExecutingSector(address));
        }
        self.advance(ERASE_US * 1000);
        if self.mailbox.lies {
            return SUCCESS;
        }
        if let Some(extent) = self.step() {
            self.change(address, &std::vec![0; size as usize], extent);
        }
        SUCCESS
    }

    fn serve_program(&mut self, address: u32, data: u32, rewrites: bool) -> u32 {
        if let Some(status) = self.refused(address, ROW_SIZE) {
            return status;
        }
        let Some(words) = self.sram_words(data, ROW_SIZE / 4) else {
            self.flag(Violation::ParameterBlock(data));
            return INVALID_LATCH;
        };
        let mut row: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.advance((PROGRAM_US + if rewrites { ERASE_US } else { 0 }) * 1000);
        if self.mailbox.lies {
            return SUCCESS;
        }
        if !rewrites {
            let mut is_dirty = false;
            for (at, byte) in (address..).zip(&mut row) {
                let held = self.internal(at).map_or(0, |(flash, at)| flash[at]);
                is_dirty |= held != 0;
                // Programming sets bits.
                *byte |= held;
            }
            if is_dirty {
                self.flag(Violation::DirtyRow(address));
            }
        }
        if let Some(extent) = self.step() {
            self.change(address, &row, extent);
        }
        SUCCESS
    }

    /// Changes flash, and leaves what was there in the processor's cache.
    fn change(&mut self, address: u32, bytes: &[u8], extent: Extent) {
        for row in (address..address + bytes.len() as u32).step_by(ROW_SIZE as usize) {
            let Some((flash, at)) = self.internal(row) else { continue };
            let old = flash[at..at + ROW_SIZE as usize].to_vec();
            self.stale.entry(row).or_insert(old);
        }
        let Some((flash, at)) = self.internal(address) else { return };
        for (index, new) in bytes.iter().enumerate() {
            let place = &mut flash[at + index];
            *place = extent.byte(index, bytes.len(), *place, *new, 0x00);
        }
    }
}

fn split(address: u32) -> (usize, u32) {
    (((address - BASE) / STRIDE) as usize, (address - BASE) % STRIDE)
}
