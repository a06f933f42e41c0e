//! The serial memory interface: two FIFOs in, one out, and what they do to the select line.

extern crate std;

use std::collections::VecDeque;

use super::{State, Violation};

const BASE: u32 = 0x4042_0000;
const CMD_DEPTH: usize = 4;
const DATA_DEPTH: usize = 8;
const ENABLED: u32 = 1 << 31;
const XIP: u32 = 1;
const BUSY: u32 = 1 << 31;
/// One byte on one line at 25 MHz.
const BYTE_NS: u64 = 320;

pub(super) fn covers(address: u32) -> bool {
    (BASE..BASE + 0x1000).contains(&address)
}

#[derive(Default)]
pub(super) struct Smif {
    /// No clock: nothing moves.
    pub(super) is_stopped: bool,
    control: u32,
    commands: VecDeque<u32>,
    sent: VecDeque<u8>,
    received: VecDeque<u8>,
    /// The count phase under way: word without count, bytes left.
    phase: Option<(u32, u32)>,
    is_selected: bool,
    /// The command FIFO was full when it was last looked at.
    was_full: bool,
}

impl Smif {
    pub(super) fn set_xip(&mut self) {
        self.control = ENABLED | XIP;
    }
}

impl State {
    pub(super) fn read_smif(&mut self, address: u32) -> u32 {
        // Whoever looks at the command FIFO finds it as full as it can be: it moves on only when it was found full before.
        if address != BASE + 0x044 || core::mem::take(&mut self.smif.was_full) {
            self.run_smif();
        }
        let commands = self.smif.commands.len();
        self.smif.was_full = commands >= CMD_DEPTH;
        match address - BASE {
            0x000 => self.smif.control,
            0x004 => {
                let busy =
                    self.smif.phase.is_some() || !self.smif.commands.is_empty() || self.smif.is_selected;
                if busy { BUSY } else { 0 }
            }
            0x044 => commands as u32,
            0x084 => self.smif.sent.len() as u32,
            0x0C4 => self.smif.received.len() as u32,
            0x0D0 => self.take(1),
            0x0D4 => self.take(2),
            0x0D8 => self.take(4),
            0x7C8 | 0x108 | 0x188 | 0x800 => 0,
            _ => {
                self.flag(Violation::NoSuchAddress(address));
                0
            }
        }
    }

    pub(super) fn write_smif(&mut self, address: u32, value: u32) {
        match address - BASE {
            0x000 => self.write_control(value),
            0x050 => {
                if self.smif.commands.len() >= CMD_DEPTH {
                    self.flag(Violation::FifoOverflow);
                } else if self.smif.control & ENABLED == 0 || self.smif.control & XIP != 0 {
                    self.flag(Violation::XipMode);
                } else {
                    self.smif.commands.push_back(value);
                }
            }
            0x090 => self.put(value, 1),
            0x094 => self.put(value, 2),
            0x098 => self.put(value, 4),
            0x7C8 | 0x108 | 0x188 | 0x800 => {}
            _ => self.flag(Violation::NoSuchAddress(address)),
        }
    }

    /// With both bits set only the mode bit may change.
    fn write_control(&mut self, value: u32) {
        let both = ENABLED | XIP;
        if self.smif.control & both == both && (self.smif.control ^ value) & !XIP != 0 {
            self.flag(Violation::XipMode);
        }
        if value & ENABLED == 0 {
            // A disabled block forgets everything, and lets go of the part, which drops a command it has half of.
            let is_stopped = self.smif.is_stopped;
            self.smif = Smif { is_stopped, ..Smif::default() };
            self.serial_flash.select();
        }
        self.smif.control = value;
    }

    fn put(&mut self, value: u32, count: usize) {
        if self.smif.sent.len() + count > DATA_DEPTH {
            self.flag(Violation::FifoOverflow);
            return;
        }
        self.smif.sent.extend(&value.to_le_bytes()[..count]);
    }

    fn take(&mut self, count: usize) -> u32 {
        if self.smif.received.len() < count {
            self.flag(Violation::FifoUnderflow);
            return 0;
        }
        let bytes = self.smif.received.drain(..count);
        bytes.enumerate().fold(0, |word, (at, byte)| word | u32::from(byte) << (8 * at))
    }

    /// What the block does while somebody looks at it: one command word, or as much of a phase as the FIFOs allow.
    fn run_smif(&mut self) {
        if self.smif.is_stopped || self.smif.control & ENABLED == 0 {
            return;
        }
        if let Some((word, left)) = self.smif.phase {
            let left = match word >> 18 & 3 {
                1 => self.run_tx(word, left),
                _ => self.run_rx(word, left),
            };
            self.smif.phase = (left > 0).then_some((word, left));
            if left == 0 {
                self.deselect();
            }
            return;
        }
        let Some(word) = self.smif.commands.pop_front() else { return };
        let width = word >> 16 & 3;
        match word >> 18 & 3 {
            0 => {
                if word >> 8 & 0xF != 1 {
                    // Another chip: nobody listens.
                    return;
                }
                if !self.smif.is_selected {
                    self.smif.is_selected = true;
                    self.serial_flash.select();
                }
                self.advance(BYTE_NS >> width);
                self.serial_flash.out(word as u8, width);
                if word & 1 << 15 != 0 {
                    self.deselect();
                }
            }
            3 => self.serial_flash.dummy((word & 0xFFFF) + 1),
            _ => self.smif.phase = Some((word, (word & 0xFFFF) + 1)),
        }
    }

    fn run_tx(&mut self, word: u32, left: u32) -> u32 {
        let width = word >> 16 & 3;
        let mut left = left;
        while left > 0 {
            let Some(byte) = self.smif.sent.pop_front() else { break };
            self.advance(BYTE_NS >> width);
            self.serial_flash.out(byte, width);
            left -= 1;
        }
        left
    }

    fn run_rx(&mut self, word: u32, left: u32) -> u32 {
        let width = word >> 16 & 3;
        let mut left = left;
        while left > 0 && self.smif.received.len() < DATA_DEPTH {
            self.advance(BYTE_NS >> width);
            let now = self.now_ns;
            let byte = self.serial_flash.input(width, now);
            self.smif.received.push_back(byte);
            left -= 1;
        }
        left
    }

    fn deselect(&mut self) {
        self.smif.is_selected = false;
        self.end_of_command();
    }
}
