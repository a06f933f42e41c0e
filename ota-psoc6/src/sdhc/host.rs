//! The controller: start, clock, one command with or without data.

use embassy_futures::select::select;
use embedded_hal_async::delay::DelayNs;

use super::{
    error::{Error, Kind},
    interrupt::Interrupt,
    regs::*,
};
use crate::bus::Bus;

/// How long a wait goes on, milliseconds, before it is [`Kind::Timeout`]. The controller's own data timeout is shorter at
/// every card clock in use.
pub const WAIT_MS: u32 = 1_000;

/// Looks at a status that follow each other without a pause; a command at 400 kHz is over by then at 100 MHz.
const SPINS: u32 = 2_000;
/// Looks at a bit of the controller itself, which is done in a few cycles of its clock.
const POLLS: u32 = 100_000;
/// Reads that last longer than three cycles of the slowest card clock (7.5 µs), at three cycles of a 150 MHz processor
/// each.
const SETTLE_READS: u32 = 1_000;
/// The clock of enumeration (SDIO Simplified Specification, 3).
const IDENTIFICATION_HZ: u32 = 400_000;

/// The data part of a command.
#[derive(Debug)]
pub enum Data<'a> {
    /// From the card, in blocks of that many bytes.
    Read(&'a mut [u8], u16),
    /// To the card, in blocks of that many bytes.
    Write(&'a [u8], u16),
}

impl Data<'_> {
    /// The same once more.
    pub(crate) fn again(&mut self) -> Data<'_> {
        match self {
            Self::Read(data, block_size) => Data::Read(data, *block_size),
            Self::Write(data, block_size) => Data::Write(data, *block_size),
        }
    }

    /// Makes zeros of what was read.
    pub(crate) fn clear(&mut self) {
        if let Self::Read(data, _) = self {
            data.fill(0);
        }
    }

    fn block_size(&self) -> u16 {
        match self {
            Self::Read(_, block_size) | Self::Write(_, block_size) => *block_size,
        }
    }

    fn block_count(&self) -> u32 {
        let len = match self {
            Self::Read(data, _) => data.len(),
            Self::Write(data, _) => data.len(),
        };
        (len / usize::from(self.block_size().max(1))) as u32
    }

    fn xfer_mode(&self) -> u16 {
        let many = if self.block_count() > 1 { xfer_mode::MANY_BLOCKS } else { 0 };
        match self {
            Self::Read(..) => xfer_mode::COUNT_BLOCKS | many | xfer_mode::READ,
            Self::Write(..) => xfer_mode::COUNT_BLOCKS | many,
        }
    }
}

/// What a command is answered with: the low byte of the command register (bits 1:0 response, 3 checksum, 4 index).
#[derive(Clone, Copy, Debug)]
pub(super) enum Response {
    /// No answer.
    None = 0x00,
    /// 48 bits without checksum and index (R4).
    R4 = 0x02,
    /// 48 bits (R5, R6).
    R5 = 0x1A,
    /// 48 bits, then the card may be busy (R1b).
    Busy = 0x1B,
}

/// The controller. The pins are routed and clk_hf4 runs before it is made; both are the board's to do.
#[derive(Debug)]
pub struct Host<'i, B, D> {
    bus: B,
    delay: D,
    interrupt: &'i Interrupt,
    source_hz: u32,
    /// A command was begun and its end not seen.
    busy: bool,
}

impl<'i, B: Bus, D: DelayNs> Host<'i, B, D> {
    /// A controller that is not started. `source_hz` is the frequency of clk_hf4.
    pub const fn new(bus: B, delay: D, interrupt: &'i Interrupt, source_hz: u32) -> Self {
        Self { bus, delay, interrupt, source_hz, busy: false }
    }

    /// Brings the controller up: power, one data line, 400 kHz.
    ///
    /// May be called again at any time, and after a dropped future.
    ///
    /// # Errors
    /// [`Kind::ClockNotStable`]: clk_hf4 is not on.
    pub async fn start(&mut self) -> Result<(), Error> {
        let bus = self.bus;
        bus.write32(WRAPPER_CTL, WRAPPER_ENABLE);
        bus.write16(CLK_CTRL, clk_ctrl::INTERNAL_ENABLE);
        self.poll(|| bus.read16(CLK_CTRL) & clk_ctrl::INTERNAL_STABLE != 0, Kind::ClockNotStable)?;
        // Card detect and write protect are not wired to a soldered module: they stay off.
        bus.write32(GP_OUT, GP_OUT_CLOCK);
        bus.write16(XFER_MODE, 0);
        bus.write8(HOST_CTRL1, 0);
        bus.write8(TOUT_CTRL, TOUT_MAX);
        bus.write16(HOST_CTRL2, HOST_CTRL2_V4);
        bus.write16(NORMAL_INT_STAT_EN, normal::ALL);
        bus.write16(ERROR_INT_STAT_EN, error::ALL);
        bus.write16(NORMAL_INT_SIGNAL_EN, 0);
        bus.write16(ERROR_INT_SIGNAL_EN, 0);
        bus.write8(PWR_CTRL, PWR_CTRL_3V3);
        // The supply's ramp (vendor driver).
        self.delay.delay_ms(35).await;
        self.reset_lines(sw_rst::CMD | sw_rst::DAT)?;
        self.clear_status();
        self.set_clock(IDENTIFICATION_HZ)
    }

    /// Sets the card clock to `hz` or the next slower one there is.
    ///
    /// # Errors
    /// [`Kind::ClockNotStable`].
    pub fn set_clock(&mut self, hz: u32) -> Result<(), Error> {
        let bus = self.bus;
        // source / (2 x N); N = 0 would pass the source through.
        let divider = self.source_hz.div_ceil(2 * hz.max(1)).clamp(1, 0x3FF) as u16;
        bus.write16(CLK_CTRL, bus.read16(CLK_CTRL) & !clk_ctrl::CARD_ENABLE);
        bus.write16(CLK_CTRL, (divider & 0xFF) << 8 | (divider >> 8) << 6 | clk_ctrl::INTERNAL_ENABLE);
        self.poll(|| bus.read16(CLK_CTRL) & clk_ctrl::INTERNAL_STABLE != 0, Kind::ClockNotStable)?;
        for _ in 0..SETTLE_READS {
            bus.read16(CLK_CTRL);
        }
        bus.write16(CLK_CTRL, bus.read16(CLK_CTRL) | clk_ctrl::CARD_ENABLE);
        Ok(())
    }

    /// Uses all four data lines, and the high-speed timing or not. The card has to be told the same.
    pub fn set_four_bit(&mut self, high_speed: bool) {
        let speed = if high_speed { host_ctrl1::HIGH_SPEED } else { 0 };
        self.bus.write8(HOST_CTRL1, host_ctrl1::FOUR_BIT | speed);
    }

    /// Whether the card asks for attention (it holds DAT1 low).
    pub fn card_interrupt(&self) -> bool {
        self.bus.read16(NORMAL_INT_STAT) & normal::CARD_INTERRUPT != 0
    }

    /// Waits until the card asks for attention, at most `ms` milliseconds. Returns whether it did.
    ///
    /// Dropping the future loses nothing: the request is a level.
    pub async fn wait_card_interrupt(&mut self, ms: u32) -> bool {
        if !self.card_interrupt() {
            let interrupt = self.interrupt.wait(self.bus, normal::CARD_INTERRUPT);
            select(interrupt, self.delay.delay_ms(ms)).await;
        }
        self.card_interrupt()
    }

    pub(crate) fn delay(&mut self) -> &mut D {
        &mut self.delay
    }

    /// Whether the last command's end was not seen: its future was dropped.
    pub(super) const fn is_interrupted(&self) -> bool {
        self.busy
    }

    /// Sends a command without data and returns its answer.
    pub(super) async fn command(
        &mut self,
        index: u8,
        argument: u32,
        response: Response,
    ) -> Result<u32, Error> {
        let result = self.attempt(index, argument, response, None).await;
        self.finish(index, result, false)
    }

    /// Sends a command with data and returns its answer.
    pub(super) async fn transfer(&mut self, index: u8, argument: u32, data: Data<'_>) -> Result<u32, Error> {
        let result = self.attempt(index, argument, Response::R5, Some(data)).await;
        self.finish(index, result, true)
    }

    fn finish(&mut self, index: u8, result: Result<u32, Kind>, data: bool) -> Result<u32, Error> {
        self.busy = false;
        result.map_err(|kind| {
            let lines = if data { sw_rst::CMD | sw_rst::DAT } else { sw_rst::CMD };
            let kind = match self.reset_lines(lines) {
                Ok(()) => kind,
                Err(error) => error.kind,
            };
            self.clear_status();
            Error { command: index, kind }
        })
    }

    async fn attempt(
        &mut self,
        index: u8,
        argument: u32,
        response: Response,
        data: Option<Data<'_>>,
    ) -> Result<u32, Kind> {
        let bus = self.bus;
        if self.busy {
            self.reset_lines(sw_rst::CMD | sw_rst::DAT).map_err(|error| error.kind)?;
        }
        let uses_data = data.is_some() || matches!(response, Response::Busy);
        let inhibit = if uses_data { pstate::CMD_INHIBIT | pstate::DAT_INHIBIT } else { pstate::CMD_INHIBIT };
        self.poll(|| bus.read32(PSTATE) & inhibit == 0, Kind::LinesBusy).map_err(|error| error.kind)?;
        self.clear_status();
        self.busy = true;

        let mut command = u16::from(index) << 8 | response as u16;
        bus.write16(XFER_MODE, data.as_ref().map_or(0, Data::xfer_mode));
        if let Some(data) = &data {
            command |= 1 << 5;
            bus.write16(BLOCKSIZE, data.block_size());
            // Version 4 counts in 32 bits; the 16-bit register is written too, as the vendor's driver does.
            bus.write32(SDMASA, data.block_count());
            bus.write16(BLOCKCOUNT, data.block_count() as u16);
        }
        bus.write32(ARGUMENT, argument);
        bus.write16(CMD, command);

        self.wait(normal::CMD_COMPLETE).await?;
        let answer = bus.read32(RESP01);
        match data {
            None if uses_data => self.wait(normal::XFER_COMPLETE).await?,
            None => {}
            // A card that refuses sends no data, and the controller would wait for it.
            Some(_) if super::card::refused(answer).is_some() => {
                self.reset_lines(sw_rst::CMD | sw_rst::DAT).map_err(|error| error.kind)?;
            }
            Some(data) => self.pio(data).await?,
        }
        Ok(answer)
    }

    async fn pio(&mut self, data: Data<'_>) -> Result<(), Kind> {
        let bus = self.bus;
        let block_size = usize::from(data.block_size());
        match data {
            Data::Read(buffer, _) => {
                for block in buffer.chunks_mut(block_size) {
                    self.wait(normal::BUF_RD_READY).await?;
                    for word in block.chunks_mut(4) {
                        word.copy_from_slice(&bus.read32(BUF_DATA).to_le_bytes()[..word.len()]);
                    }
                }
            }
            Data::Write(buffer, _) => {
                for block in buffer.chunks(block_size) {
                    self.wait(normal::BUF_WR_READY).await?;
                    for word in block.chunks(4) {
                        let mut bytes = [0; 4];
                        bytes[..word.len()].copy_from_slice(word);
                        bus.write32(BUF_DATA, u32::from_le_bytes(bytes));
                    }
                }
            }
        }
        self.wait(normal::XFER_COMPLETE).await
    }

    /// Waits for the report `bit` and takes it.
    async fn wait(&mut self, bit: u16) -> Result<(), Kind> {
        for _ in 0..SPINS {
            if let Some(result) = self.look(bit) {
                return result;
            }
        }
        for _ in 0..WAIT_MS {
            let interrupt = self.interrupt.wait(self.bus, bit);
            select(interrupt, self.delay.delay_ms(1)).await;
            if let Some(result) = self.look(bit) {
                return result;
            }
        }
        Err(Kind::Timeout)
    }

    fn look(&self, bit: u16) -> Option<Result<(), Kind>> {
        let status = self.bus.read16(NORMAL_INT_STAT);
        if status & normal::ERROR != 0 {
            return Some(Err(Kind::of(self.bus.read16(ERROR_INT_STAT))));
        }
        if status & bit == 0 {
            return None;
        }
        self.bus.write16(NORMAL_INT_STAT, bit);
        Some(Ok(()))
    }

    fn clear_status(&self) {
        self.bus.write16(ERROR_INT_STAT, error::ALL);
        self.bus.write16(NORMAL_INT_STAT, normal::ALL);
    }

    fn reset_lines(&self, lines: u8) -> Result<(), Error> {
        self.bus.write8(SW_RST, lines);
        self.poll(|| self.bus.read8(SW_RST) & lines == 0, Kind::ResetStuck)
    }

    fn poll(&self, mut done: impl FnMut() -> bool, otherwise: Kind) -> Result<(), Error> {
        for _ in 0..POLLS {
            if done() {
                return Ok(());
            }
        }
        Err(Error::host(otherwise))
    }
}
