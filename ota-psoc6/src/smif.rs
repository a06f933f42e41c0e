//! The serial memory interface in command mode (TRM: SMIF; version 1 of the block): bytes in and out of a serial flash.
//!
//! Command mode only: nothing here executes from external flash, so the block stays in it and its caches stay out of the way.
//! Every wait on a FIFO has a bound. A block without a clock does not move, and is an error.

use crate::bus::Bus;
use crate::gpio::{Drive, drive, route, set_high};
use crate::kit::{Qspi, function};

const BASE: u32 = 0x4042_0000;
const CTL: u32 = BASE;
const STATUS: u32 = BASE + 0x04;
const TX_CMD_FIFO_STATUS: u32 = BASE + 0x44;
const TX_CMD_FIFO_WR: u32 = BASE + 0x50;
const TX_DATA_FIFO_STATUS: u32 = BASE + 0x84;
const TX_DATA_FIFO_WR1: u32 = BASE + 0x90;
const TX_DATA_FIFO_WR4: u32 = BASE + 0x98;
const RX_DATA_FIFO_STATUS: u32 = BASE + 0xC4;
const RX_DATA_FIFO_RD1: u32 = BASE + 0xD0;
const RX_DATA_FIFO_RD4: u32 = BASE + 0xD8;
const SLOW_CA_CMD: u32 = BASE + 0x108;
const FAST_CA_CMD: u32 = BASE + 0x188;
const INTR_MASK: u32 = BASE + 0x7C8;
const DEVICE0_CTL: u32 = BASE + 0x800;

const ENABLED: u32 = 1 << 31;
const XIP_MODE: u32 = 1;
const BUSY: u32 = 1 << 31;
/// Inverted internal clock for sampling, as the original's port uses; deselect for one clock; bus errors instead of stalls.
const CTL_COMMAND: u32 = 1 << 12 | 1 << 16;
const CMD_FIFO_DEPTH: u32 = 4;
const DATA_FIFO_DEPTH: u32 = 8;
const INVALIDATE: u32 = 1;

/// Command words: what they do, bits 19:18.
const TX_BYTE: u32 = 0 << 18;
const TX_COUNT: u32 = 1 << 18;
const RX_COUNT: u32 = 2 << 18;
const DUMMY_COUNT: u32 = 3 << 18;
/// Byte words: deselect behind it.
const LAST: u32 = 1 << 15;
/// Byte words: slave select 0.
const SELECT_0: u32 = 1 << 8;
/// Most bytes of one count.
const MAX_COUNT: usize = 0x1_0000;

/// Looks at a FIFO or the busy bit before the block counts as dead: the slowest byte takes microseconds, this milliseconds.
const LOOKS: u32 = 200_000;

/// Why a transfer did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmifError {
    /// A FIFO or the busy bit did not move in time.
    Stuck,
    /// More bytes than one transfer takes.
    Length,
}

/// On how many data lines bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One line.
    Single,
    /// Four lines.
    Quad,
}

impl Width {
    const fn bits(self) -> u32 {
        match self {
            Self::Single => 0,
            Self::Quad => 2 << 16,
        }
    }
}

/// What goes out before the data of a transfer.
#[derive(Clone, Copy, Debug)]
pub struct Prefix<'a> {
    /// The command, on one line.
    pub command: u8,
    /// Address and mode bytes.
    pub address: &'a [u8],
    /// Lines of the address and mode bytes.
    pub address_width: Width,
    /// Clocks between address and data.
    pub dummy_cycles: u8,
    /// Lines of the data.
    pub data_width: Width,
}

impl Prefix<'_> {
    /// A command alone.
    pub const fn command(command: u8) -> Self {
        Self {
            command,
            address: &[],
            address_width: Width::Single,
            dummy_cycles: 0,
            data_width: Width::Single,
        }
    }
}

/// The block, on slave select 0.
#[derive(Debug)]
pub struct Smif<B> {
    bus: B,
}

impl<B: Bus> Smif<B> {
    /// Puts the block into command mode. Pins ([`Smif::connect`]) and clock (`clk_hf2`) are set up before.
    ///
    /// # Errors
    /// [`SmifError::Stuck`] when a transfer of the bootloader does not end.
    pub fn new(bus: B) -> Result<Self, SmifError> {
        let smif = Self { bus };
        if bus.read32(CTL) & ENABLED != 0 {
            smif.idle()?;
        }
        // Found in XIP mode, it first has to leave it: CTL is not written otherwise while both bits are set.
        bus.write32(CTL, bus.read32(CTL) & !XIP_MODE);
        smif.restart();
        Ok(smif)
    }

    /// Disables the block, which forgets what its FIFOs hold, and enables it in command mode.
    fn restart(&self) {
        self.bus.write32(CTL, CTL_COMMAND);
        self.bus.write32(INTR_MASK, 0);
        // Data lines 0 to 3, in command mode too.
        self.bus.write32(DEVICE0_CTL, 0);
        self.bus.write32(CTL, CTL_COMMAND | ENABLED);
    }

    /// Connects the pins of a kit: strong drive, input buffers on the data lines only, every select high first.
    pub fn connect(bus: B, pins: &Qspi) {
        for select in pins.fram_select.iter().chain([&pins.select]) {
            set_high(bus, *select);
            drive(bus, *select, Drive::Strong);
        }
        drive(bus, pins.clock, Drive::Strong);
        for data in pins.data {
            drive(bus, data, Drive::StrongInput);
        }
        for pin in pins.data.iter().chain([&pins.clock, &pins.select]) {
            route(bus, *pin, function::SMIF);
        }
    }

    /// Sends a prefix and nothing else.
    ///
    /// # Errors
    /// [`SmifError::Stuck`].
    pub fn send(&mut self, prefix: &Prefix<'_>) -> Result<(), SmifError> {
        self.transfer(|smif| smif.start(prefix, true))
    }

    /// Sends a prefix and `data`.
    ///
    /// # Errors
    /// [`SmifError::Length`] above 65 536 bytes, [`SmifError::Stuck`].
    pub fn write(&mut self, prefix: &Prefix<'_>, data: &[u8]) -> Result<(), SmifError> {
        let Some(count) = count_of(data.len())? else { return self.send(prefix) };
        self.transfer(|smif| smif.write_data(prefix, data, count))
    }

    fn write_data(&self, prefix: &Prefix<'_>, data: &[u8], count: u32) -> Result<(), SmifError> {
        self.start(prefix, false)?;
        self.push(TX_COUNT | prefix.data_width.bits() | count)?;
        let mut rest = data;
        while !rest.is_empty() {
            let free =
                self.wait(|bus| DATA_FIFO_DEPTH.saturating_sub(bus.read32(TX_DATA_FIFO_STATUS) & 0xF))?;
            match rest {
                [a, b, c, d, tail @ ..] if free >= 4 => {
                    self.bus.write32(TX_DATA_FIFO_WR4, u32::from_le_bytes([*a, *b, *c, *d]));
                    rest = tail;
                }
                [byte, tail @ ..] => {
                    self.bus.write32(TX_DATA_FIFO_WR1, u32::from(*byte));
                    rest = tail;
                }
                [] => {}
            }
        }
        Ok(())
    }

    /// Sends a prefix and takes what comes back.
    ///
    /// # Errors
    /// [`SmifError::Length`] above 65 536 bytes, [`SmifError::Stuck`].
    pub fn read(&mut self, prefix: &Prefix<'_>, bytes: &mut [u8]) -> Result<(), SmifError> {
        let Some(count) = count_of(bytes.len())? else { return Ok(()) };
        self.transfer(|smif| smif.read_data(prefix, bytes, count))
    }

    fn read_data(&self, prefix: &Prefix<'_>, bytes: &mut [u8], count: u32) -> Result<(), SmifError> {
        self.start(prefix, false)?;
        self.push(RX_COUNT | prefix.data_width.bits() | count)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let held = self.wait(|bus| bus.read32(RX_DATA_FIFO_STATUS) & 0xF)?;
            let part = if held >= 4 && rest.len() >= 4 { 4 } else { 1 };
            let (head, tail) = rest.split_at_mut(part);
            match head {
                [byte] => *byte = self.bus.read32(RX_DATA_FIFO_RD1) as u8,
                word => word.copy_from_slice(&self.bus.read32(RX_DATA_FIFO_RD4).to_le_bytes()),
            }
            rest = tail;
        }
        Ok(())
    }

    /// Does `work` and waits for its end. Where a transfer was given up, over this value or another one for the block, the block begins
    /// anew: what that one left in the FIFOs would be taken for bytes of this one.
    fn transfer(&mut self, work: impl FnOnce(&Self) -> Result<(), SmifError>) -> Result<(), SmifError> {
        let bus = self.bus;
        let held = (bus.read32(TX_DATA_FIFO_STATUS) | bus.read32(RX_DATA_FIFO_STATUS)) & 0xF;
        if held != 0 || bus.read32(STATUS) & BUSY != 0 {
            self.restart();
        }
        work(self)?;
        self.idle()
    }

    /// Makes the block's caches forget, for whoever reads the flash through its window afterwards.
    pub fn invalidate(&mut self) {
        self.bus.write32(SLOW_CA_CMD, INVALIDATE);
        self.bus.write32(FAST_CA_CMD, INVALIDATE);
    }

    fn start(&self, prefix: &Prefix<'_>, alone: bool) -> Result<(), SmifError> {
        let last = |is_last: bool| if alone && is_last { LAST } else { 0 };
        let is_bare = prefix.address.is_empty();
        self.push(TX_BYTE | SELECT_0 | last(is_bare) | u32::from(prefix.command))?;
        for (index, byte) in prefix.address.iter().enumerate() {
            let end = last(index + 1 == prefix.address.len());
            self.push(TX_BYTE | prefix.address_width.bits() | SELECT_0 | end | u32::from(*byte))?;
        }
        match prefix.dummy_cycles.checked_sub(1) {
            Some(count) => self.push(DUMMY_COUNT | u32::from(count)),
            None => Ok(()),
        }
    }

    fn push(&self, word: u32) -> Result<(), SmifError> {
        self.wait(|bus| CMD_FIFO_DEPTH.saturating_sub(bus.read32(TX_CMD_FIFO_STATUS) & 0x7))?;
        self.bus.write32(TX_CMD_FIFO_WR, word);
        Ok(())
    }

    fn idle(&self) -> Result<(), SmifError> {
        self.wait(|bus| u32::from(bus.read32(STATUS) & BUSY == 0)).map(drop)
    }

    /// Looks until `ready` is not zero.
    fn wait(&self, ready: impl Fn(B) -> u32) -> Result<u32, SmifError> {
        for _ in 0..LOOKS {
            let found = ready(self.bus);
            if found != 0 {
                return Ok(found);
            }
        }
        Err(SmifError::Stuck)
    }
}

/// The count field of a transfer, which is one less than the bytes; `None` when there are none.
fn count_of(len: usize) -> Result<Option<u32>, SmifError> {
    if len > MAX_COUNT {
        return Err(SmifError::Length);
    }
    Ok(len.checked_sub(1).map(|count| count as u32))
}
