//! The external serial flash: S25FL512S (data sheet: Cypress 001-98284), on one line or four.

use embedded_storage::nor_flash as blocking;
use embedded_storage_async::nor_flash as asynch;

use super::{DriverError, Windows, checked, checked_range};
use crate::bus::Bus;
use crate::layout::{Device, EXTERNAL_ERASE_MS, EXTERNAL_PAGE_SIZE, EXTERNAL_SECTOR_SIZE};
use crate::smif::{Prefix, Smif, Width};
use crate::watchdog::Feed;

/// What the part answers to "read identity": Spansion, 512 Mbit.
pub const ID: [u8; 3] = [0x01, 0x02, 0x20];

/// Commands; those with an address take four bytes of it.
mod command {
    pub(super) const WRITE_REGISTERS: u8 = 0x01;
    pub(super) const READ_STATUS: u8 = 0x05;
    pub(super) const WRITE_ENABLE: u8 = 0x06;
    pub(super) const FAST_READ: u8 = 0x0C;
    pub(super) const PROGRAM: u8 = 0x12;
    pub(super) const CLEAR_STATUS: u8 = 0x30;
    pub(super) const PROGRAM_QUAD: u8 = 0x34;
    pub(super) const READ_CONFIG: u8 = 0x35;
    pub(super) const READ_SFDP: u8 = 0x5A;
    pub(super) const READ_ID: u8 = 0x9F;
    pub(super) const ERASE_SECTOR: u8 = 0xDC;
    pub(super) const READ_QUAD: u8 = 0xEC;
}

/// Status register 1.
mod status {
    pub(super) const BUSY: u8 = 1 << 0;
    pub(super) const WRITE_ENABLED: u8 = 1 << 1;
    pub(super) const ERASE_ERROR: u8 = 1 << 5;
    pub(super) const PROGRAM_ERROR: u8 = 1 << 6;
}

/// What lines nobody drives read as.
const ABSENT: u8 = 0xFF;
/// Configuration register 1: all four lines.
const QUAD: u8 = 1 << 1;
/// Mode byte of the quad read: not continuous. 0xA. would make the next command an address.
const NOT_CONTINUOUS: u8 = 0x01;
const FAST_READ_DUMMIES: u8 = 8;
const QUAD_READ_DUMMIES: u8 = 4;

/// Longest page program in microseconds (data sheet).
const PROGRAM_US: u32 = 1300;
/// Between two looks at a busy part.
const LOOK_US: u32 = 100;
/// From one feed of the watchdog to the next, so that there are 10 ms between two: on PSoC 64 a feed takes half as long as a look, with
/// interrupts off.
const LOOKS_PER_FEED: u32 = 100;
/// Twice the longest time, so that a slow delay is no fault.
const ERASE_LOOKS: u32 = 2 * EXTERNAL_ERASE_MS * 1000 / LOOK_US;
const PROGRAM_LOOKS: u32 = 2 * PROGRAM_US / LOOK_US;
/// Programs are split here as well as at pages: the ECC unit.
const UNIT: u32 = 16;
const READ_PART: usize = 4096;

/// On how many lines data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// One. Needs nothing from the part.
    Single,
    /// Four. Sets the part's non-volatile quad bit, once in its life.
    Quad,
}

/// The serial flash on a kit: 64 MiB in sectors of 256 KiB that erase to 0xFF, programmed in units of 16 bytes.
///
/// The part has ECC over each unit: a unit is programmed once between erases, also where it looks blank. Writes are
/// split at pages of 512 bytes. Every operation first waits for an idle part, which may still erase what was asked before
/// a reset or by a future that was dropped; the watchdog is fed in every wait.
///
/// `D` is a delay of `embedded-hal` (for the blocking trait) or `embedded-hal-async`.
///
/// # Cancel safety
/// A dropped erase or write leaves the part to finish what it began, 2.6 s at most, and the rest undone.
#[derive(Debug)]
pub struct ExternalFlash<B, D, W> {
    smif: Smif<B>,
    delay: D,
    watchdog: W,
    windows: Windows,
    lines: Lines,
}

/// One look at the part while it works.
enum Look {
    Done,
    Again,
}

/// What a wait is for, and how many looks it lasts at most.
#[derive(Clone, Copy)]
enum Wait {
    /// Whatever it does, from before.
    Idle,
    Erase,
    Program,
}

impl Wait {
    const fn looks(self) -> u32 {
        match self {
            Self::Idle | Self::Erase => ERASE_LOOKS,
            Self::Program => PROGRAM_LOOKS,
        }
    }
}

impl<B: Bus, D, W: Feed> ExternalFlash<B, D, W> {
    /// What an erased byte reads as.
    pub const ERASED: u8 = 0xFF;

    const fn parts(smif: Smif<B>, delay: D, windows: Windows, watchdog: W) -> Self {
        Self { smif, delay, watchdog, windows, lines: Lines::Single }
    }

    fn identify(&mut self) -> Result<(), DriverError> {
        let mut id = [0; 3];
        self.smif.read(&Prefix::command(command::READ_ID), &mut id)?;
        if id != ID {
            return Err(DriverError::Identity(id));
        }
        let mut signature = [0; 4];
        let prefix = Prefix { address: &[0; 3], dummy_cycles: 8, ..Prefix::command(command::READ_SFDP) };
        self.smif.read(&prefix, &mut signature)?;
        if &signature != b"SFDP" { Err(DriverError::Parameters) } else { Ok(()) }
    }

    fn status(&mut self) -> Result<u8, DriverError> {
        self.register(command::READ_STATUS)
    }

    fn register(&mut self, command: u8) -> Result<u8, DriverError> {
        let mut value = [0];
        self.smif.read(&Prefix::command(command), &mut value)?;
        let [value] = value;
        Ok(value)
    }

    fn enable_write(&mut self) -> Result<(), DriverError> {
        self.smif.send(&Prefix::command(command::WRITE_ENABLE))?;
        if self.status()? & status::WRITE_ENABLED == 0 { Err(DriverError::WriteEnable) } else { Ok(()) }
    }

    /// A part that failed keeps its error and its busy bit until told to forget.
    fn look(&mut self, wait: Wait) -> Result<Look, DriverError> {
        let found = self.status()?;
        if found & (status::ERASE_ERROR | status::PROGRAM_ERROR) != 0 {
            self.smif.send(&Prefix::command(command::CLEAR_STATUS))?;
            return match wait {
                // What failed was asked by somebody who is gone.
                Wait::Idle => Ok(Look::Again),
                Wait::Erase => Err(DriverError::EraseFailed),
                Wait::Program => Err(DriverError::ProgramFailed),
            };
        }
        Ok(if found & status::BUSY == 0 { Look::Done } else { Look::Again })
    }

    /// The part works on it when this returns.
    fn start_erase(&mut self, offset: u32) -> Result<(), DriverError> {
        self.enable_write()?;
        let prefix = Prefix { address: &offset.to_be_bytes(), ..Prefix::command(command::ERASE_SECTOR) };
        Ok(self.smif.send(&prefix)?)
    }

    fn start_program(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DriverError> {
        self.enable_write()?;
        let address = offset.to_be_bytes();
        let prefix = match self.lines {
            Lines::Single => Prefix { address: &address, ..Prefix::command(command::PROGRAM) },
            Lines::Quad => Prefix {
                address: &address,
                data_width: Width::Quad,
                ..Prefix::command(command::PROGRAM_QUAD)
            },
        };
        Ok(self.smif.write(&prefix, bytes)?)
    }

    fn load(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), DriverError> {
        for (at, part) in (offset..).step_by(READ_PART).zip(bytes.chunks_mut(READ_PART)) {
            let [a, b, c, d] = at.to_be_bytes();
            match self.lines {
                Lines::Single => {
                    let prefix = Prefix {
                        address: &[a, b, c, d],
                        dummy_cycles: FAST_READ_DUMMIES,
                        ..Prefix::command(command::FAST_READ)
                    };
                    self.smif.read(&prefix, part)?;
                }
                Lines::Quad => {
                    let prefix = Prefix {
                        command: command::READ_QUAD,
                        address: &[a, b, c, d, NOT_CONTINUOUS],
                        address_width: Width::Quad,
                        dummy_cycles: QUAD_READ_DUMMIES,
                        data_width: Width::Quad,
                    };
                    self.smif.read(&prefix, part)?;
                }
            }
        }
        Ok(())
    }

    fn readable(&self, offset: u32, len: usize) -> Result<(), DriverError> {
        let range = checked(offset, len, 1, Device::External.size())?;
        if self.windows.may_read(&range) { Ok(()) } else { Err(DriverError::Protected) }
    }

    fn writable(&self, range: core::ops::Range<u32>) -> Result<core::ops::Range<u32>, DriverError> {
        if self.windows.may_write(&range) { Ok(range) } else { Err(DriverError::Protected) }
    }

    fn to_write(&self, offset: u32, len: usize) -> Result<core::ops::Range<u32>, DriverError> {
        self.writable(checked(offset, len, UNIT as usize, Device::External.size())?)
    }

    fn to_erase(&self, from: u32, to: u32) -> Result<core::ops::Range<u32>, DriverError> {
        self.writable(checked_range(from, to, EXTERNAL_SECTOR_SIZE as usize, Device::External.size())?)
    }
}

/// The bytes of `range` from `at` to the end of the page.
fn page<'b>(bytes: &'b [u8], range: &core::ops::Range<u32>, at: u32) -> (u32, &'b [u8]) {
    let end = (at - at % EXTERNAL_PAGE_SIZE + EXTERNAL_PAGE_SIZE).min(range.end);
    (end, bytes.get((at - range.start) as usize..(end - range.start) as usize).unwrap_or(&[]))
}

/// The operations, once for each kind of delay: they differ in `.await` only.
macro_rules! operations {
    ($delay:path, $new:ident, $wait:ident, $use_quad:ident, $is_idle:ident, [$($async_:tt)?], [$($await_:tt)*]) => {
        impl<B: Bus, D: $delay, W: Feed> ExternalFlash<B, D, W> {
            /// Finds the part: waits until it has ended whatever it did before, clears old errors, checks its identity and its
            /// parameter table. `windows` are those of [`Device::External`].
            ///
            /// # Errors
            /// [`DriverError::Identity`] for another part or none, [`DriverError::Timeout`] when it stays busy.
            pub $($async_)? fn $new(smif: Smif<B>, delay: D, windows: Windows, watchdog: W) -> Result<Self, DriverError> {
                let mut flash = Self::parts(smif, delay, windows, watchdog);
                // A busy part answers to nothing but the status, and an absent one reads as all ones, which would look busy
                // for seconds.
                if flash.status()? == ABSENT {
                    return Err(DriverError::Identity([ABSENT; 3]));
                }
                flash.$wait(Wait::Idle)$($await_)*?;
                flash.identify()?;
                Ok(flash)
            }

            /// Uses four data lines from now on. Sets the part's quad bit if it is not set: a non-volatile register, so once
            /// in the part's life.
            ///
            /// # Errors
            /// [`DriverError::Quad`] when the bit does not stay set.
            pub $($async_)? fn $use_quad(&mut self) -> Result<(), DriverError> {
                self.$wait(Wait::Idle)$($await_)*?;
                let config = self.register(command::READ_CONFIG)?;
                if config & QUAD == 0 {
                    let kept = self.status()? & !(status::BUSY | status::WRITE_ENABLED);
                    self.enable_write()?;
                    self.smif.write(&Prefix::command(command::WRITE_REGISTERS), &[kept, config | QUAD])?;
                    self.$wait(Wait::Erase)$($await_)*?;
                    if self.register(command::READ_CONFIG)? & QUAD == 0 {
                        return Err(DriverError::Quad);
                    }
                }
                self.lines = Lines::Quad;
                Ok(())
            }

            /// Waits until the part has nothing left to do: before a reset.
            ///
            /// # Errors
            /// [`DriverError::Timeout`].
            pub $($async_)? fn $is_idle(&mut self) -> Result<(), DriverError> {
                self.$wait(Wait::Idle)$($await_)*
            }

            $($async_)? fn $wait(&mut self, wait: Wait) -> Result<(), DriverError> {
                for look in 0..wait.looks() {
                    if look.is_multiple_of(LOOKS_PER_FEED) {
                        self.watchdog.feed();
                    }
                    match self.look(wait)? {
                        Look::Done => return Ok(()),
                        Look::Again => {
                            self.delay.delay_us(LOOK_US)$($await_)*;
                        }
                    }
                }
                Err(DriverError::Timeout)
            }
        }
    };
}

operations!(embedded_hal::delay::DelayNs, new, wait, use_quad, finish, [], []);
operations!(embedded_hal_async::delay::DelayNs, new_async, wait_async, use_quad_async, finish_async, [async], [.await]);

impl<B: Bus, D, W: Feed> blocking::ErrorType for ExternalFlash<B, D, W> {
    type Error = DriverError;
}

impl<B: Bus, D: embedded_hal::delay::DelayNs, W: Feed> blocking::ReadNorFlash for ExternalFlash<B, D, W> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.readable(offset, bytes.len())?;
        self.wait(Wait::Idle)?;
        self.load(offset, bytes)
    }

    fn capacity(&self) -> usize {
        Device::External.size() as usize
    }
}

impl<B: Bus, D: embedded_hal::delay::DelayNs, W: Feed> blocking::NorFlash for ExternalFlash<B, D, W> {
    const WRITE_SIZE: usize = UNIT as usize;
    const ERASE_SIZE: usize = EXTERNAL_SECTOR_SIZE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), DriverError> {
        for sector in self.to_erase(from, to)?.step_by(EXTERNAL_SECTOR_SIZE as usize) {
            self.wait(Wait::Idle)?;
            self.start_erase(sector)?;
            self.wait(Wait::Erase)?;
        }
        self.smif.invalidate();
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DriverError> {
        let range = self.to_write(offset, bytes.len())?;
        let mut at = range.start;
        while at < range.end {
            let (end, part) = page(bytes, &range, at);
            self.wait(Wait::Idle)?;
            self.start_program(at, part)?;
            self.wait(Wait::Program)?;
            at = end;
        }
        self.smif.invalidate();
        Ok(())
    }
}

impl<B: Bus, D: embedded_hal_async::delay::DelayNs, W: Feed> asynch::ReadNorFlash for ExternalFlash<B, D, W> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), DriverError> {
        self.readable(offset, bytes.len())?;
        self.wait_async(Wait::Idle).await?;
        self.load(offset, bytes)
    }

    fn capacity(&self) -> usize {
        Device::External.size() as usize
    }
}

impl<B: Bus, D: embedded_hal_async::delay::DelayNs, W: Feed> asynch::NorFlash for ExternalFlash<B, D, W> {
    const WRITE_SIZE: usize = UNIT as usize;
    const ERASE_SIZE: usize = EXTERNAL_SECTOR_SIZE as usize;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), DriverError> {
        for sector in self.to_erase(from, to)?.step_by(EXTERNAL_SECTOR_SIZE as usize) {
            self.wait_async(Wait::Idle).await?;
            self.start_erase(sector)?;
            self.wait_async(Wait::Erase).await?;
        }
        self.smif.invalidate();
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DriverError> {
        let range = self.to_write(offset, bytes.len())?;
        let mut at = range.start;
        while at < range.end {
            let (end, part) = page(bytes, &range, at);
            self.wait_async(Wait::Idle).await?;
            self.start_program(at, part)?;
            self.wait_async(Wait::Program).await?;
            at = end;
        }
        self.smif.invalidate();
        Ok(())
    }
}
