//! Protected register access: IPC structure 4 and the secure core behind it.

use super::{Family, State, Violation};
use crate::layout::SRAM;

const BASE: u32 = 0x4022_0080;
const LOCKED: u32 = 1 << 31;
/// IPC interrupt structure 5.
const NOTIFY: u32 = 1 << 5;
const DENIED: u32 = 0x011A_0FFF;
const INVALID: u32 = 0x011A_0FFE;
const REQUEST_SENT: u32 = 0x0118_0FFC;
/// Both cores at 8 MHz, as the vendor measured.
const SERVE_US: u64 = 50;

const SRSS_INTR: u16 = 1;
const FLASH_CMD: u16 = 11;

/// Whether the address is this structure's.
pub(super) fn covers(address: u32) -> bool {
    (BASE..BASE + 0x20).contains(&address)
}

/// How the secure core serves.
#[derive(Debug, Default)]
pub struct Pra {
    /// Looks at the lock before a request is served.
    pub looks: u32,
    /// Never answers: no server runs.
    pub is_stuck: bool,
    /// Somebody else holds the mailbox for that many looks.
    pub held_looks: u32,
    /// Refuses everything.
    pub denies: bool,
    /// Requests served.
    pub served: u32,
    locked: bool,
    data: u32,
    working: Option<u32>,
}

impl Pra {
    pub(super) fn start(&mut self) {
        self.locked = false;
        self.working = None;
    }
}

impl State {
    pub(super) fn read_pra(&mut self, address: u32) -> u32 {
        match address - BASE {
            0x00 => {
                if self.pra.held_looks > 0 {
                    self.pra.held_looks -= 1;
                    return 0;
                }
                if self.pra.locked {
                    return 0;
                }
                self.pra.locked = true;
                LOCKED
            }
            0x1C => {
                if let Some(looks) = self.pra.working {
                    if self.pra.is_stuck {
                        return LOCKED;
                    }
                    if looks > 0 {
                        self.pra.working = Some(looks - 1);
                        return LOCKED;
                    }
                    self.pra.working = None;
                    self.pra.locked = false;
                }
                if self.pra.locked { LOCKED } else { 0 }
            }
            _ => {
                self.flag(Violation::NoSuchAddress(address));
                0
            }
        }
    }

    pub(super) fn write_pra(&mut self, address: u32, value: u32) {
        match address - BASE {
            0x0C if self.pra.locked => self.pra.data = value,
            0x08 if self.pra.locked && value == NOTIFY => self.serve_pra(),
            0x08 | 0x0C => self.flag(Violation::NotLocked(address)),
            _ => self.flag(Violation::NoSuchAddress(address)),
        }
    }

    fn serve_pra(&mut self) {
        let message = self.pra.data;
        let inside = message >= SRAM.address() && message <= SRAM.end() - 2048 - 16;
        if !inside || !message.is_multiple_of(4) || self.family == Family::Psoc62 {
            self.flag(Violation::ParameterBlock(message));
            return;
        }
        self.pra.working = Some(self.pra.looks);
        if self.pra.is_stuck {
            return;
        }
        self.advance(SERVE_US * 1000);
        self.pra.served += 1;
        let at = (message - SRAM.address()) as usize;
        let word = |state: &Self, index: usize| {
            let bytes = &state.sram[at + index * 4..][..4];
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let (head, sent, first) = (word(self, 0), word(self, 1), word(self, 2));
        let (command, index) = (head as u16, (head >> 16) as u16);
        let status = if self.pra.denies {
            DENIED
        } else if sent != REQUEST_SENT {
            INVALID
        } else {
            match (command, index) {
                (3, SRSS_INTR) if first & 1 != 0 => {
                    let now = self.now_ns;
                    self.watchdog.feed(now);
                    0
                }
                (3, FLASH_CMD) if first & 1 != 0 => {
                    self.forget_cached();
                    0
                }
                (1, SRSS_INTR | FLASH_CMD) => {
                    self.sram[at + 8..at + 12].fill(0);
                    0
                }
                _ => INVALID,
            }
        };
        self.sram[at + 4..at + 8].copy_from_slice(&status.to_le_bytes());
    }
}
