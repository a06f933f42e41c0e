//! The S25FL512S: commands in, status, and what they do to its cells.

extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use super::{Extent, State, Violation};
use crate::flash::ID;

const SECTOR: u32 = 0x4_0000;
const PAGE: u32 = 512;
/// What its ECC covers.
const UNIT: u32 = 16;
const SIZE: u32 = 0x400_0000;

const WIP: u8 = 1;
const WEL: u8 = 1 << 1;
const E_ERR: u8 = 1 << 5;
const P_ERR: u8 = 1 << 6;
/// Protection of sectors, and of that.
const KEPT: u8 = 1 << 7 | 7 << 2;
const QUAD: u8 = 1 << 1;

/// How the part behaves.
#[derive(Debug)]
pub struct SerialFlash {
    /// What it answers as its identity.
    pub id: [u8; 3],
    /// No part is there: its line reads as this.
    pub absent: Option<u8>,
    /// It has no parameter table.
    pub no_sfdp: bool,
    /// Every sector is write-protected: programs and erases set their error bit.
    pub is_protected: bool,
    /// The write-enable does not take.
    pub ignores_write_enable: bool,
    /// Erases and programs succeed and do nothing.
    pub lies: bool,
    /// The next erase or program fails.
    pub fails_next: bool,
    /// It is never ready again.
    pub hangs: bool,
    /// The quad bit does not stay.
    pub no_quad: bool,
    /// What its status register keeps without power: which sectors are write-protected, and whether that is for good. Only kept.
    pub kept_status: u8,
    /// How long a sector erase takes, in microseconds.
    pub erase_us: u64,
    /// How long a page program takes, in microseconds.
    pub program_us: u64,
    /// Sectors that are not as fresh as from the factory.
    sectors: BTreeMap<u32, Sector>,
    status: u8,
    config: u8,
    busy_until: u64,
    command: Option<u8>,
    bytes: Vec<u8>,
    dummies: u32,
    taken: u32,
    framing: Option<Violation>,
}

#[derive(Debug)]
struct Sector {
    cells: Vec<u8>,
    /// Units programmed since the last whole erase.
    programmed: Vec<bool>,
}

impl Sector {
    fn new() -> Self {
        Self {
            cells: std::vec![0xFF; SECTOR as usize],
            programmed: std::vec![false; (SECTOR / UNIT) as usize],
        }
    }
}

impl Default for SerialFlash {
    fn default() -> Self {
        Self {
            id: ID,
            absent: None,
            no_sfdp: false,
            is_protected: false,
            ignores_write_enable: false,
            lies: false,
            fails_next: false,
            hangs: false,
            no_quad: false,
            kept_status: 0,
            // Typical; the longest are 2 600 000 and 1300.
            erase_us: 520_000,
            program_us: 340,
            sectors: BTreeMap::new(),
            status: 0,
            config: 0,
            busy_until: 0,
            command: None,
            bytes: Vec::new(),
            dummies: 0,
            taken: 0,
            framing: None,
        }
    }
}

impl SerialFlash {
    /// Makes it busy until that time, as an erase from before a reset does.
    pub fn make_busy_until_us(&mut self, us: u64) {
        self.busy_until = us * 1000;
    }

    pub(super) fn power_on(&mut self) {
        self.status = 0;
        self.busy_until = 0;
        self.command = None;
    }

    pub(super) fn is_busy(&self, now_ns: u64) -> bool {
        self.hangs || now_ns < self.busy_until
    }

    fn byte(&self, at: u32) -> u8 {
        self.sectors.get(&(at / SECTOR)).map_or(0xFF, |sector| sector.cells[(at % SECTOR) as usize])
    }

    fn sector(&mut self, number: u32) -> &mut Sector {
        self.sectors.entry(number).or_insert_with(Sector::new)
    }

    /// Reads cells.
    pub(super) fn load(&self, at: u32, bytes: &mut [u8]) {
        for (at, part) in parts(at, bytes.len()) {
            let place = &mut bytes[part];
            let begin = (at % SECTOR) as usize;
            match self.sectors.get(&(at / SECTOR)) {
                Some(sector) => place.copy_from_slice(&sector.cells[begin..begin + place.len()]),
                None => place.fill(0xFF),
            }
        }
    }

    /// Sets cells, and counts their units as programmed.
    pub(super) fn store(&mut self, at: u32, bytes: &[u8]) {
        for (at, part) in parts(at, bytes.len()) {
            let (begin, end) = ((at % SECTOR) as usize, (at % SECTOR) as usize + part.len());
            let sector = self.sector(at / SECTOR);
            sector.cells[begin..end].copy_from_slice(&bytes[part]);
            sector.programmed[begin / UNIT as usize..end.div_ceil(UNIT as usize)].fill(true);
        }
    }

    /// Erases the sectors that cover the range.
    pub(super) fn clear(&mut self, at: u32, len: u32) {
        for sector in at / SECTOR..(at + len).div_ceil(SECTOR) {
            self.sectors.remove(&sector);
        }
    }

    pub(super) fn select(&mut self) {
        self.command = None;
        self.bytes.clear();
        (self.dummies, self.taken) = (0, 0);
        self.framing = None;
    }

    /// A byte from the controller.
    pub(super) fn out(&mut self, byte: u8, width: u32) {
        let Some(command) = self.command else {
            self.command = Some(byte);
            if width != 0 {
                self.framing = Some(Violation::Framing(byte));
            }
            return;
        };
        // Which of the bytes behind the command go on four lines.
        let quad = match command {
            0xEC => true,
            0x34 => self.bytes.len() >= 4,
            _ => false,
        };
        if (width == 2) != quad {
            self.framing = Some(Violation::Framing(command));
        }
        self.bytes.push(byte);
    }

    pub(super) fn dummy(&mut self, clocks: u32) {
        self.dummies += clocks;
    }

    /// A byte to the controller.
    pub(super) fn input(&mut self, width: u32, now_ns: u64) -> u8 {
        if let Some(level) = self.absent {
            return level;
        }
        let Some(command) = self.command else { return 0xFF };
        let taken = self.taken;
        self.taken += 1;
        if (width == 2) != (command == 0xEC) {
            self.framing = Some(Violation::Framing(command));
        }
        if command == 0x05 {
            let busy = if self.is_busy(now_ns) { WIP } else { 0 };
            // After an error it stays busy until told to forget.
            let failed = if self.status & (E_ERR | P_ERR) != 0 { WIP } else { 0 };
            return self.status | self.kept_status | busy | failed;
        }
        if self.is_busy(now_ns) {
            return 0xFF;
        }
        let (address_len, dummies) = match command {
            0x0C => (4, 8),
            0x13 => (4, 0),
            0xEC => (5, 4),
            0x5A => (3, 8),
            _ => (0, 0),
        };
        if self.bytes.len() != address_len || self.dummies != dummies {
            self.framing = Some(Violation::Framing(command));
            return 0xFF;
        }
        match command {
            0x9F => self.id.get(taken as usize).copied().unwrap_or(0),
            0x35 => self.config,
            0x5A if self.no_sfdp => 0xFF,
            0x5A => b"SFDP".get((self.address() + taken) as usize).copied().unwrap_or(0xFF),
            0x0C | 0x13 => self.byte((self.address() + taken) % SIZE),
            0xEC if self.config & QUAD == 0 => {
                self.framing = Some(Violation::NotQuad(command));
                0xFF
            }
            0xEC if self.bytes[4] & 0xF0 == 0xA0 => {
                self.framing = Some(Violation::Framing(command));
                0xFF
            }
            0xEC => self.byte((self.address() + taken) % SIZE),
            _ => {
                self.framing = Some(Violation::UnknownCommand(command));
                0xFF
            }
        }
    }

    fn address(&self) -> u32 {
        let len = if self.command == Some(0x5A) { 3 } else { 4 };
        self.bytes.iter().take(len).fold(0, |address, byte| address << 8 | u32::from(*byte))
    }
}

impl State {
    /// The select line goes up: what was only listened to happens now.
    pub(super) fn end_of_command(&mut self) {
        let now = self.now_ns;
        let part = &mut self.serial_flash;
        if part.absent.is_some() {
            return;
        }
        let framing = part.framing.take();
        let Some(command) = part.command.take() else { return };
        if let Some(violation) = framing {
            self.flag(violation);
            return;
        }
        let part = &mut self.serial_flash;
        let failed = part.status & (E_ERR | P_ERR) != 0;
        if (part.is_busy(now) || failed) && !matches!(command, 0x05 | 0x30) {
            self.flag(Violation::CommandWhileBusy(command));
            return;
        }
        let enabled = part.status & WEL != 0;
        match command {
            0x06 if part.ignores_write_enable => {}
            0x06 => part.status |= WEL,
            0x04 => part.status &= !WEL,
            0x30 => part.status &= !(E_ERR | P_ERR | WEL),
            0x05 | 0x35 | 0x9F | 0x5A | 0x0C | 0x13 | 0xEC => {}
            0x01 | 0xDC | 0x12 | 0x34 if !enabled => {}
            0x01 => self.write_registers(),
            0xDC => self.erase_sector(),
            0x12 => self.program(),
            0x34 if part.config & QUAD == 0 => self.flag(Violation::NotQuad(command)),
            0x34 => self.program(),
            _ => self.flag(Violation::UnknownCommand(command)),
        }
    }

    /// The part is busy for so long; its write-enable is used up. Whether it works at all.
    fn begin(&mut self, us: u64, error: u8) -> bool {
        let now = self.now_ns;
        let part = &mut self.serial_flash;
        part.status &= !WEL;
        let fails = core::mem::take(&mut part.fails_next) || part.is_protected;
        if fails {
            part.status |= error;
            return false;
        }
        part.busy_until = now + us * 1000;
        !part.lies
    }

    fn write_registers(&mut self) {
        if self.begin(self.serial_flash.erase_us, P_ERR) && self.step().is_some() {
            let part = &mut self.serial_flash;
            if let [status, config] = part.bytes[..]
                && !part.no_quad
            {
                (part.kept_status, part.config) = (status & KEPT, config);
            }
        }
    }

    fn erase_sector(&mut self) {
        let start = self.serial_flash.address() % SIZE / SECTOR * SECTOR;
        if !self.begin(self.serial_flash.erase_us, E_ERR) {
            return;
        }
        let Some(extent) = self.step() else { return };
        let sector = self.serial_flash.sector(start / SECTOR);
        for (index, place) in sector.cells.iter_mut().enumerate() {
            *place = extent.byte(index, SECTOR as usize, *place, 0xFF, 0xFF);
        }
        // Cells of a torn erase hold no ECC worth the name: programming them counts as a second time.
        sector.programmed.fill(extent != Extent::All);
    }

    fn program(&mut self) {
        let part = &self.serial_flash;
        let (address, data) = (part.address() % SIZE, part.bytes[4..].to_vec());
        let page = address / PAGE * PAGE;
        if address - page + data.len() as u32 > PAGE {
            self.flag(Violation::PageWrap(address));
        }
        if !self.begin(self.serial_flash.program_us, P_ERR) {
            return;
        }
        let Some(extent) = self.step() else { return };
        let sector = self.serial_flash.sector(page / SECTOR);
        let places: Vec<usize> = (0..data.len() as u32)
            .map(|index| (page % SECTOR + (address - page + index) % PAGE) as usize)
            .collect();
        let mut units: Vec<usize> = places.iter().map(|place| place / UNIT as usize).collect();
        units.dedup();
        let twice = units.iter().copied().find(|unit| sector.programmed[*unit]);
        for (index, (place, byte)) in places.iter().zip(&data).enumerate() {
            let held = sector.cells[*place];
            sector.cells[*place] = extent.byte(index, data.len(), held, held & byte, 0xFF);
        }
        for unit in units {
            sector.programmed[unit] = true;
        }
        if let Some(unit) = twice {
            self.flag(Violation::DoubleProgram(page / SECTOR * SECTOR + unit as u32 * UNIT));
        }
    }
}

/// A range cut at sectors: where each part lies, and which of the bytes it is.
fn parts(at: u32, len: usize) -> impl Iterator<Item = (u32, core::ops::Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let here = at + done as u32;
        let part = (len - done).min((SECTOR - here % SECTOR) as usize);
        let range = done..done + part;
        done = range.end;
        (part > 0).then_some((here, range))
    })
}
