//! An SDIO card: enumeration, CMD52, CMD53.

use embedded_hal_async::delay::DelayNs;

use super::{
    error::{Error, Kind},
    host::{Data, Host, Response},
};
use crate::bus::Bus;

/// Rounds of CMD0, CMD5, CMD3 before the card counts as absent, one millisecond apart (vendor driver).
pub const ENUMERATION_TRIES: u32 = 500;

/// Common register "I/O abort": the function to stop.
const CCCR_ABORT: u32 = 0x06;
/// R4 bit 31: the card is through its start-up.
const OCR_READY: u32 = 1 << 31;
/// What R4 says about voltages.
const OCR_MASK: u32 = 0x00FF_FFFF;

/// The answer to CMD52 and CMD53: bits 15:8 flags, 7:0 data.
pub type R5 = u16;

/// The error flags of an answer, if there are any (SDIO Simplified Specification, 5.2: checksum, illegal command, general
/// error, function number, out of range).
pub(super) fn refused(answer: u32) -> Option<u8> {
    let flags = (answer >> 8) as u8 & 0b1100_1011;
    (flags != 0).then_some(flags)
}

/// A card that was enumerated and selected.
#[derive(Debug)]
pub struct Card<'i, B, D> {
    host: Host<'i, B, D>,
    address: u16,
    function_count: u8,
    /// Function of the CMD53 under way, or last.
    function: u8,
}

impl<'i, B: Bus, D: DelayNs> Card<'i, B, D> {
    /// Enumerates the card on a controller that was started: CMD0, CMD5 until ready, CMD3, CMD7.
    ///
    /// Takes at most [`ENUMERATION_TRIES`] rounds, a millisecond apart. Dropping the future leaves the card anywhere;
    /// switch it off and begin again.
    ///
    /// # Errors
    /// That of the last round, and the controller, to begin again with.
    pub async fn enumerate(mut host: Host<'i, B, D>) -> Result<Self, (Error, Host<'i, B, D>)> {
        let mut last = Error { command: 5, kind: Kind::NotReady };
        for _ in 0..ENUMERATION_TRIES {
            match identify(&mut host).await {
                Ok((address, function_count)) => {
                    return Ok(Self { host, address, function_count, function: 0 });
                }
                Err(error) => last = error,
            }
            host.delay().delay_ms(1).await;
        }
        Err((last, host))
    }

    /// Relative address the card chose.
    pub const fn address(&self) -> u16 {
        self.address
    }

    /// Number of I/O functions beside function 0.
    pub const fn function_count(&self) -> u8 {
        self.function_count
    }

    /// The controller below.
    pub const fn host(&mut self) -> &mut Host<'i, B, D> {
        &mut self.host
    }

    /// Gives the controller back, for instance to switch the card off and begin again.
    pub fn release(self) -> Host<'i, B, D> {
        self.host
    }

    /// CMD52, one byte. The argument is complete: bit 31 write, 30:28 function, 25:9 address, 7:0 data.
    ///
    /// Dropping the future leaves a register read or written or not.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn cmd52(&mut self, argument: u32) -> Result<R5, Error> {
        self.stop_interrupted().await;
        let answer = self.host.command(52, argument, Response::R5).await?;
        accepted(52, answer)
    }

    /// CMD53, bytes or blocks. The argument is complete and fits the data: bit 31 write, 30:28 function, 27 block mode,
    /// 26 incrementing address, 25:9 address, 8:0 count.
    ///
    /// After an error part of the data may have been taken, and the card was told to stop.
    /// Dropping the future leaves the transfer half done; the next command stops it.
    ///
    /// # Errors
    /// See [`Kind`].
    pub async fn cmd53(&mut self, argument: u32, data: Data<'_>) -> Result<R5, Error> {
        self.stop_interrupted().await;
        self.function = (argument >> 28) as u8 & 7;
        let result = match self.host.transfer(53, argument, data).await {
            Ok(answer) => accepted(53, answer),
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.abort().await;
        }
        result
    }

    /// A transfer whose future was dropped: the controller forgets it with its next command, the card has to be told.
    async fn stop_interrupted(&mut self) {
        if self.host.is_interrupted() {
            self.abort().await;
        }
    }

    /// Best effort: the error that led here is the one to report.
    async fn abort(&mut self) {
        let argument = 1 << 31 | CCCR_ABORT << 9 | u32::from(self.function);
        let _ = self.host.command(52, argument, Response::R5).await;
    }
}

fn accepted(command: u8, answer: u32) -> Result<R5, Error> {
    match refused(answer) {
        Some(flags) => Err(Error { command, kind: Kind::Refused(flags) }),
        None => Ok(answer as u16),
    }
}

async fn identify<B: Bus, D: DelayNs>(host: &mut Host<'_, B, D>) -> Result<(u16, u8), Error> {
    host.command(0, 0, Response::None).await?;
    let capabilities = host.command(5, 0, Response::R4).await?;
    // The voltages it offered, without the switch to 1.8 V.
    let answer = host.command(5, capabilities & OCR_MASK, Response::R4).await?;
    if answer & OCR_READY == 0 {
        return Err(Error { command: 5, kind: Kind::NotReady });
    }
    let address = (host.command(3, 0, Response::R5).await? >> 16) as u16;
    host.command(7, u32::from(address) << 16, Response::Busy).await?;
    Ok((address, (answer >> 28) as u8 & 7))
}
