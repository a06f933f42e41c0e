//! The bus `cyw43` drives the chip over.

use cyw43::{A4, Aligned, SdioBusCyw43};
use embassy_time::{Duration, Instant};
use embedded_hal_async::delay::DelayNs;

use super::{
    frame::{Request, Rest, Tag},
    health::{Broken, Health},
};
use crate::{
    bus::Bus as Registers,
    sdhc::{Card, Data, Error, R5},
};

/// How often a command is sent in all before the link counts as broken, or the frame as lost.
pub const RETRIES: u32 = 4;
/// How long the chip may give the same answer to the same question, milliseconds. Less than the shortest wait after which
/// `cyw43` panics with the chip's clock running (1 s for the firmware's data function).
pub const STALL_MS: u64 = 900;
/// Lost frames in a row after which the link counts as broken.
const LOST_MAX: u32 = 8;
/// `wait_for_event` looks that often without an interrupt, milliseconds.
const EVENT_FALLBACK_MS: u32 = 50;
/// Size of a block in block mode.
const BLOCK_SIZE: u16 = 64;
/// Function of the chip that carries frames.
const FUNCTION_WLAN: u32 = 2;
/// The address in a command's argument.
const ADDRESS: u32 = 0x1_FFFF << 9;
/// Register of function 1: what to do with the frame under way (as in Linux' brcmfmac).
const FRAME_CONTROL: u32 = 0x1_000D;
const DROP_READ_FRAME: u32 = 1 << 0;
const DROP_WRITTEN_FRAME: u32 = 1 << 1;

/// A [`Card`] as `cyw43` wants it.
///
/// Registers and memory of the chip may be read and written twice, so a command that failed is sent again, up to [`RETRIES`]
/// times. Frames may not: the chip is told to drop the frame, it counts as lost, and TCP repairs it.
#[derive(Debug)]
pub struct Bus<'h, 'i, B, D> {
    card: Card<'i, B, D>,
    health: &'h Health,
    /// The register read asked for last, and since when again and again.
    question: Option<(u32, Instant)>,
    /// Bytes of the frame under way that the driver has not read yet.
    frame_left: usize,
    /// The first part of the frame under way failed; its second part is no frame.
    frame_failed: bool,
    lost_in_a_row: u32,
    /// The driver's last.
    request: Option<Request>,
}

impl<'h, 'i, B: Registers, D: DelayNs> Bus<'h, 'i, B, D> {
    /// The bus over a card that was enumerated and whose functions have not been used yet.
    pub const fn new(card: Card<'i, B, D>, health: &'h Health) -> Self {
        Self {
            card,
            health,
            question: None,
            frame_left: 0,
            frame_failed: false,
            lost_in_a_row: 0,
            request: None,
        }
    }

    /// Never returns: what comes after this in the driver is a panic or a loop without an end.
    async fn park(&self, broken: Broken) -> ! {
        self.health.set_broken(broken);
        core::future::pending().await
    }

    async fn register(&mut self, argument: u32) -> R5 {
        for _ in 1..RETRIES {
            match self.card.cmd52(argument).await {
                Ok(answer) => return answer,
                Err(error) if error.kind.is_transient() => self.health.count_repeated(),
                Err(error) => self.park(Broken::Sdio(error)).await,
            }
        }
        match self.card.cmd52(argument).await {
            Ok(answer) => answer,
            Err(error) => self.park(Broken::Sdio(error)).await,
        }
    }

    /// Memory and registers of the chip, or a part of a frame.
    async fn transfer(&mut self, argument: u32, data: Data<'_>) -> Result<(), Error> {
        self.question = None;
        match argument >> 28 & 7 {
            FUNCTION_WLAN => self.frame(argument, data).await,
            _ => self.memory(argument, data).await,
        }
    }

    async fn memory(&mut self, argument: u32, mut data: Data<'_>) -> Result<(), Error> {
        for _ in 1..RETRIES {
            match self.card.cmd53(argument, data.again()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind.is_transient() => self.health.count_repeated(),
                Err(error) => self.park(Broken::Sdio(error)).await,
            }
        }
        match self.card.cmd53(argument, data).await {
            Ok(_) => Ok(()),
            Err(error) => self.park(Broken::Sdio(error)).await,
        }
    }

    async fn frame(&mut self, argument: u32, mut data: Data<'_>) -> Result<(), Error> {
        // The driver cuts a frame in blocks and the bytes after them, and gives the second part the address behind the first.
        let is_second_part = argument & ADDRESS != 0;
        if is_second_part && self.frame_failed {
            data.clear();
            return Ok(());
        }
        let result = self.card.cmd53(argument, data.again()).await;
        self.frame_failed = result.is_err();
        let Err(error) = result else {
            self.lost_in_a_row = 0;
            return Ok(());
        };
        self.health.count_lost();
        self.lost_in_a_row += 1;
        if self.lost_in_a_row >= LOST_MAX {
            self.park(Broken::Sdio(error)).await
        }
        // What was read of it must not be taken for a frame.
        data.clear();
        let drop = if argument >> 31 == 0 { DROP_READ_FRAME } else { DROP_WRITTEN_FRAME };
        self.drop_frame(drop).await;
        Err(error)
    }

    /// A part of a frame was read. The first is its tag.
    async fn look_at_frame(&mut self, argument: u32, buffer: &mut [u8]) {
        if argument >> 28 & 7 != FUNCTION_WLAN {
            return;
        }
        if self.frame_left == 0 {
            match Tag::read(buffer) {
                Tag::None => {}
                Tag::Rest(len) => self.frame_left = len,
                Tag::TooLong => {
                    buffer.fill(0);
                    self.health.count_lost();
                    self.drop_frame(DROP_READ_FRAME).await;
                }
            }
            return;
        }
        if argument & ADDRESS == 0 {
            self.look_at_rest(buffer).await;
        }
        self.frame_left = self.frame_left.saturating_sub(buffer.len());
    }

    /// The first part of a frame behind its tag.
    async fn look_at_rest(&mut self, part: &mut [u8]) {
        let mut rest = Rest::new(part, self.frame_left);
        if !rest.is_sound(self.request) {
            rest.ignore();
            // Zeros in place of a part that failed, and was counted, are no header either.
            if !self.frame_failed {
                self.health.count_lost();
            }
            return;
        }
        let Some(mut answer) = rest.answer() else { return };
        let refusal = answer.take_refusal();
        if let Some(status) = refusal {
            self.health.count_refused(status);
        }
        if answer.is_regulatory(self.request)
            && let Some(reason @ (..=-1 | 1..)) = refusal.or(answer.value())
        {
            self.park(Broken::Regulatory(reason)).await
        }
    }

    /// A part of a frame is about to be written.
    fn look_at_request(&mut self, argument: u32, part: &[u8]) {
        if argument >> 28 & 7 == FUNCTION_WLAN && argument & ADDRESS == 0 {
            self.request = Request::of(part).or(self.request);
        }
    }

    async fn drop_frame(&mut self, which: u32) {
        self.register(1 << 31 | 1 << 28 | FRAME_CONTROL << 9 | which).await;
    }

    /// Watches for a chip that gives the same answer for ever.
    async fn watch(&mut self, argument: u32) {
        match self.question {
            Some((last, since)) if last == argument => {
                if since.elapsed() >= Duration::from_millis(STALL_MS) {
                    self.park(Broken::Stalled { argument }).await
                }
            }
            _ => self.question = (argument >> 31 == 0).then(|| (argument, Instant::now())),
        }
    }
}

impl<B: Registers, D: DelayNs> SdioBusCyw43<64> for Bus<'_, '_, B, D> {
    type Error = Error;

    fn set_bus_to_high_speed(&mut self, frequency: u32) -> Result<(), Error> {
        let host = self.card.host();
        host.set_four_bit(frequency > 25_000_000);
        if let Err(error) = host.set_clock(frequency) {
            // The driver would panic on an error. Without a card clock the next command breaks the link instead.
            self.health.set_broken(Broken::Sdio(error));
        }
        Ok(())
    }

    async fn cmd52(&mut self, argument: u32) -> Result<R5, Error> {
        // The driver has a loop around this that waits for nothing else.
        embassy_futures::yield_now().await;
        self.watch(argument).await;
        Ok(self.register(argument).await)
    }

    async fn cmd53_block_read(
        &mut self,
        argument: u32,
        blocks: &mut [Aligned<A4, [u8; 64]>],
    ) -> Result<(), Error> {
        let buffer = bytes_mut(blocks);
        let result = self.transfer(argument, Data::Read(&mut *buffer, BLOCK_SIZE)).await;
        self.look_at_frame(argument, buffer).await;
        result
    }

    async fn cmd53_byte_read(&mut self, argument: u32, buffer: &mut Aligned<A4, [u8]>) -> Result<(), Error> {
        let buffer: &mut [u8] = buffer;
        let len = buffer.len() as u16;
        let result = self.transfer(argument, Data::Read(&mut *buffer, len)).await;
        self.look_at_frame(argument, buffer).await;
        result
    }

    async fn cmd53_block_write(
        &mut self,
        argument: u32,
        blocks: &[Aligned<A4, [u8; 64]>],
    ) -> Result<(), Error> {
        self.look_at_request(argument, bytes(blocks));
        self.transfer(argument, Data::Write(bytes(blocks), BLOCK_SIZE)).await
    }

    async fn cmd53_byte_write(&mut self, argument: u32, buffer: &Aligned<A4, [u8]>) -> Result<(), Error> {
        self.look_at_request(argument, buffer);
        self.transfer(argument, Data::Write(buffer, buffer.len() as u16)).await
    }

    async fn wait_for_event(&mut self) {
        self.card.host().wait_card_interrupt(EVENT_FALLBACK_MS).await;
    }
}

fn bytes(blocks: &[Aligned<A4, [u8; 64]>]) -> &[u8] {
    // SAFETY: an `Aligned<A4, [u8; 64]>` is 64 bytes without padding, for 64 is a multiple of 4; a slice of them is
    // one run of initialised bytes, borrowed as long as the slice.
    unsafe { core::slice::from_raw_parts(blocks.as_ptr().cast(), size_of_val(blocks)) }
}

fn bytes_mut(blocks: &mut [Aligned<A4, [u8; 64]>]) -> &mut [u8] {
    // SAFETY: as in `bytes`; any byte is valid, and the borrow is exclusive.
    unsafe { core::slice::from_raw_parts_mut(blocks.as_mut_ptr().cast(), size_of_val(blocks)) }
}
