//! One image: its two slots, read and written as its boot mode wants.

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    Controlled, Images, Operation,
    control::{self, Control, Side},
};
use crate::{
    geometry::{BootMode, GeometryError, ImageLayout, Reprogram},
    slot::{Compared, FlashError, Slot},
    trailer::Pending,
};

/// One image of the device, in a primary slot on flash `P` and a secondary on flash `S`; image 0 of itself as [`Images`].
///
/// Holds two buffers of `UNIT` bytes, see [`Slot`].
#[derive(Debug)]
pub struct Image<P, S, const UNIT: usize = 512> {
    primary: Slot<P, UNIT>,
    pub(super) secondary: Slot<S, UNIT>,
    layout: ImageLayout,
    pub(super) number: u8,
    /// Bit n: since this value was made, the n-th sector that holds request fields was erased and no field in it written.
    fresh: u32,
    /// This boot took the stale `image_ok` out of a swap-status primary; a withdrawal puts it back.
    confirm_taken: bool,
}

impl<P: NorFlash, S: NorFlash> Image<P, S> {
    /// An image with default buffers, for write sizes up to 512.
    pub fn new(primary: P, secondary: S, layout: ImageLayout) -> Result<Self, GeometryError> {
        Self::with_unit(primary, secondary, layout)
    }
}

impl<P: NorFlash, S: NorFlash, const UNIT: usize> Image<P, S, UNIT> {
    /// An image with buffers of `UNIT` bytes. Checks drivers and devices against the layout.
    pub fn with_unit(primary: P, secondary: S, layout: ImageLayout) -> Result<Self, GeometryError> {
        Ok(Self {
            primary: Slot::with_unit(primary, *layout.primary())?,
            secondary: Slot::with_unit(secondary, *layout.secondary())?,
            layout,
            number: 0,
            fresh: 0,
            confirm_taken: false,
        })
    }

    /// Sets MCUboot's number of this image (0 to 15), which goes into `swap_info` of a request. Informational: no
    /// bootloader decides by it.
    #[must_use]
    pub const fn with_number(mut self, number: u8) -> Self {
        self.number = number & 0x0F;
        self
    }

    /// The secondary slot, for tools and benches: the image neither verifies nor learns what is written here.
    pub fn secondary(&mut self) -> &mut Slot<S, UNIT> {
        &mut self.secondary
    }

    /// The two flash devices back.
    pub fn release(self) -> (P, S) {
        (self.primary.release(), self.secondary.release())
    }

    /// Where a file offset lies in the secondary.
    fn place(&self, at: u32) -> u32 {
        // What does not fit 32 bits is outside of every slot.
        at.saturating_add(self.layout.image_offset())
    }

    /// The bit of `fresh` that stands for a sector of the secondary; none when the sector holds no request fields.
    fn fresh_bit(&self, sector: u32) -> u32 {
        1u32.checked_shl(sector.wrapping_sub(self.layout.field_sectors().start)).unwrap_or(0)
    }

    /// Whether all sectors with request fields were erased in this life and not written since.
    fn is_fresh(&self) -> bool {
        let fields = self.layout.field_sectors();
        self.fresh.trailing_ones() >= fields.end.saturating_sub(fields.start)
    }

    /// Asks for the image of `size` bytes (to the end of its TLVs) in the secondary, verified or not.
    #[cfg(test)]
    pub(super) async fn request(&mut self, size: u32, pending: Pending) -> Result<(), FlashError> {
        self.work(Work::Request(size, pending)).await.map(|_| ())
    }

    /// An operation that is allowed.
    async fn work(&mut self, work: Work) -> Result<Controlled, FlashError> {
        let mut control = Control::new(&self.layout);
        control.plan = match work {
            Work::Inspect => control::INSPECT,
            Work::Request(size, pending) => {
                control.asked = (pending, self.number);
                control.image_end = self.place(size);
                control.torn =
                    self.layout.secondary().reprogram() == Reprogram::Forbidden && !self.is_fresh();
                self.fresh = 0;
                match self.layout.mode() {
                    BootMode::SwapOffset => control::CLEAR_AND_REQUEST,
                    BootMode::SwapStatus if pending == Pending::Test => control::REQUEST_AND_FORGET,
                    BootMode::Overwrite
                    | BootMode::SwapScratch
                    | BootMode::SwapMove
                    | BootMode::SwapStatus => control::REQUEST,
                }
            }
            Work::Withdraw => {
                self.fresh = 0;
                if self.confirm_taken { control::CONFIRM_AND_WITHDRAW } else { control::WITHDRAW }
            }
            Work::Confirm => control::CONFIRM,
        };
        while let Some(side) = control.turn() {
            match side {
                Side::Primary => self.primary.run(&mut control).await?,
                Side::Secondary => self.secondary.run(&mut control).await?,
            }
        }
        Ok(match work {
            Work::Inspect => Controlled::Inspected(control.image_state()),
            Work::Withdraw => {
                self.confirm_taken = false;
                Controlled::Withdrawn(control.withdrawn())
            }
            Work::Request(..) => {
                self.confirm_taken |= control.has_forgotten();
                Controlled::Done
            }
            Work::Confirm => Controlled::Done,
        })
    }
}

/// An [`Operation`] without its proof.
#[derive(Clone, Copy)]
enum Work {
    Inspect,
    /// Bytes of the image, and for how long.
    Request(u32, Pending),
    Withdraw,
    Confirm,
}

impl<P: NorFlash, S: NorFlash, const UNIT: usize> Images for Image<P, S, UNIT> {
    fn layout(&self, image: u8) -> Option<&ImageLayout> {
        (image == 0).then_some(&self.layout)
    }

    async fn read(&mut self, image: u8, at: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        only(image)?;
        self.secondary.read(self.place(at), buf).await
    }

    async fn erase(&mut self, image: u8, sector: u32) -> Result<(), FlashError> {
        only(image)?;
        let bit = self.fresh_bit(sector);
        // An erase that is dropped or fails half-way leaves anything behind.
        self.fresh &= !bit;
        self.secondary.erase(sector).await?;
        self.fresh |= bit;
        Ok(())
    }

    async fn write(&mut self, image: u8, at: u32, data: &[u8]) -> Result<(), FlashError> {
        only(image)?;
        let room = self.layout.max_image_size().checked_sub(at);
        if room.is_none_or(|room| data.len() > room as usize) {
            return Err(FlashError::OutOfBounds);
        }
        self.secondary.write(self.place(at), data).await
    }

    async fn compare(&mut self, image: u8, at: u32, data: &[u8]) -> Result<Compared, FlashError> {
        only(image)?;
        let mut comparison = self.secondary.comparison(self.place(at), data)?;
        self.secondary.run(&mut comparison).await?;
        Ok(comparison.outcome())
    }

    fn generation(&self, image: u8) -> u32 {
        if image == 0 { self.secondary.generation() } else { 0 }
    }

    async fn control(&mut self, image: u8, operation: Operation) -> Result<Controlled, FlashError> {
        only(image)?;
        let work = match operation {
            Operation::Inspect => Work::Inspect,
            Operation::SetPending(token, pending) => {
                only(token.image())?;
                if token.generation() != self.secondary.generation() {
                    return Err(FlashError::Stale);
                }
                Work::Request(token.info().size, pending)
            }
            Operation::Withdraw => Work::Withdraw,
            Operation::Confirm => Work::Confirm,
        };
        self.work(work).await
    }
}

fn only(image: u8) -> Result<(), FlashError> {
    if image == 0 { Ok(()) } else { Err(FlashError::NoImage) }
}
