//! One image: its two slots, read and written as its boot mode wants.

use embedded_storage_async::nor_flash::NorFlash;

use super::{ImageState, Images, Request, Revert, Withdrawn};
use crate::{
    geometry::{BootMode, GeometryError, ImageLayout},
    image::{HEADER_SIZE, Header, ImageError, ImageInfo, TlvWalk, tlv},
    slot::{Compared, FlashError, Slot},
    trailer::{Flag, MAX_INFO_SIZE, Magic, Pending, SwapType, Trailer, TrailerLayout},
    verify::Verified,
};

/// One image of the device, in a primary slot on flash `P` and a secondary on flash `S`; image 0 of itself as [`Images`].
///
/// Holds two buffers of `UNIT` bytes, see [`Slot`].
#[derive(Debug)]
pub struct Image<P, S, const UNIT: usize = 512> {
    pub(super) primary: Slot<P, UNIT>,
    pub(super) secondary: Slot<S, UNIT>,
    pub(super) layout: ImageLayout,
    pub(super) number: u8,
    /// Bit n: since this value was made, the n-th sector that holds request fields was erased and no field in it written.
    pub(super) fresh: u32,
    /// This boot took the stale `image_ok` out of a swap-status primary; a withdrawal puts it back.
    pub(super) confirm_taken: bool,
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

    /// The two flash devices back.
    pub fn release(self) -> (P, S) {
        (self.primary.release(), self.secondary.release())
    }

    /// Offset in the secondary of `len` bytes at file offset `at`, when they end at or before `limit`.
    fn place(&self, at: u32, len: usize, limit: u32) -> Result<u32, FlashError> {
        let end = u32::try_from(len).ok().and_then(|len| at.checked_add(len));
        if end.is_none_or(|end| end > limit) {
            return Err(FlashError::OutOfBounds);
        }
        at.checked_add(self.layout.image_offset()).ok_or(FlashError::OutOfBounds)
    }

    /// File offsets that may be read: also past the largest image, to the end of the slot.
    fn read_limit(&self) -> u32 {
        self.secondary.geometry().size().saturating_sub(self.layout.image_offset())
    }
}

impl<P: NorFlash, S: NorFlash, const UNIT: usize> Images for Image<P, S, UNIT> {
    fn layout(&self, image: u8) -> Option<&ImageLayout> {
        (image == 0).then_some(&self.layout)
    }

    async fn inspect(&mut self, image: u8) -> Result<ImageState, FlashError> {
        only(image)?;
        let running = image_info(&mut self.primary, 0).await?;
        let primary = trailer_of(&mut self.primary, &self.layout.primary_trailer()).await?;
        let secondary = trailer_of(&mut self.secondary, &self.layout.secondary_trailer()).await?;
        let mode = self.layout.mode();
        Ok(ImageState {
            running,
            request: request_of(mode, &secondary),
            revert: revert_of(mode, &primary, &secondary),
            confirmed: is_confirmed(mode, &primary),
            reverted: is_reverted(mode, &primary),
        })
    }

    async fn read(&mut self, image: u8, at: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        only(image)?;
        let place = self.place(at, buf.len(), self.read_limit())?;
        self.secondary.read(place, buf).await
    }

    async fn erase(&mut self, image: u8, sector: u32) -> Result<(), FlashError> {
        only(image)?;
        self.erase_secondary(sector).await
    }

    async fn write(&mut self, image: u8, at: u32, data: &[u8]) -> Result<(), FlashError> {
        only(image)?;
        let place = self.place(at, data.len(), self.layout.max_image_size())?;
        self.secondary.write(place, data).await
    }

    async fn compare(&mut self, image: u8, at: u32, data: &[u8]) -> Result<Compared, FlashError> {
        only(image)?;
        let place = self.place(at, data.len(), self.read_limit())?;
        self.secondary.compare(place, data).await
    }

    fn generation(&self, image: u8) -> u32 {
        if image == 0 { self.secondary.generation() } else { 0 }
    }

    async fn set_pending(&mut self, token: Verified, pending: Pending) -> Result<(), FlashError> {
        only(token.image())?;
        if token.generation() != self.secondary.generation() {
            return Err(FlashError::Stale);
        }
        self.request(token.info().size, pending).await
    }

    async fn withdraw(&mut self, image: u8) -> Result<Withdrawn, FlashError> {
        only(image)?;
        self.take_back().await
    }

    async fn confirm(&mut self, image: u8) -> Result<(), FlashError> {
        only(image)?;
        self.confirm_primary().await
    }
}

fn only(image: u8) -> Result<(), FlashError> {
    if image == 0 { Ok(()) } else { Err(FlashError::NoImage) }
}

fn request_of(mode: BootMode, secondary: &Trailer) -> Request {
    // With an empty primary only the rows of the secondary can match; a swap-offset revert in progress is no request.
    let asked = match swap_type(mode, secondary) {
        SwapType::Test => return Request::Test,
        SwapType::Permanent => return Request::Permanent,
        SwapType::Revert => return Request::None,
        SwapType::None => secondary.magic,
    };
    match asked {
        Magic::Unset => Request::None,
        // A good magic that matches no row has a bad `image_ok`.
        Magic::Good | Magic::Bad => Request::Damaged,
    }
}

fn swap_type(mode: BootMode, secondary: &Trailer) -> SwapType {
    crate::trailer::swap_type(mode, &Trailer::UNSET, secondary)
}

fn revert_of(mode: BootMode, primary: &Trailer, secondary: &Trailer) -> Revert {
    match mode {
        BootMode::Overwrite => Revert::No,
        BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
            // The secondary matters only for swap-offset's extra row: a request waiting there outranks a revert at the
            // next reset, but the image to go back to lies there all the same.
            let own = crate::trailer::swap_type(mode, primary, &Trailer::UNSET);
            match (own, swap_type(mode, secondary)) {
                (SwapType::Revert, _) | (_, SwapType::Revert) => Revert::Yes,
                (SwapType::None | SwapType::Test | SwapType::Permanent, _) => Revert::No,
            }
        }
        // From 1.8.1 on the bootloader leaves a whole trailer in the primary before it sets its own copy-done; before,
        // nothing tells.
        BootMode::SwapStatus => match (primary.magic, primary.copy_done, primary.image_ok) {
            (Magic::Good, Flag::Set, Flag::Unset) => Revert::Yes,
            (Magic::Good, Flag::Set, Flag::Set) => Revert::No,
            (Magic::Good | Magic::Bad | Magic::Unset, Flag::Set | Flag::Bad | Flag::Unset, _) => {
                Revert::Unknown
            }
        },
    }
}

fn is_confirmed(mode: BootMode, primary: &Trailer) -> bool {
    match (mode, primary.magic) {
        (BootMode::Overwrite, _) => true,
        (BootMode::SwapStatus, _) => primary.image_ok == Flag::Set,
        (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, Magic::Unset) => true,
        (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, Magic::Bad) => false,
        (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, Magic::Good) => {
            primary.image_ok == Flag::Set
        }
    }
}

fn is_reverted(mode: BootMode, primary: &Trailer) -> bool {
    match mode {
        BootMode::Overwrite => false,
        BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset | BootMode::SwapStatus => {
            primary.magic == Magic::Good && primary.swap_info.0 == SwapType::Revert
        }
    }
}

/// Reads a slot's trailer fields.
pub(super) async fn trailer_of<F: NorFlash, const UNIT: usize>(
    slot: &mut Slot<F, UNIT>,
    layout: &TrailerLayout,
) -> Result<Trailer, FlashError> {
    let mut tail = [0; MAX_INFO_SIZE];
    let tail = tail.get_mut(..layout.info_size() as usize).ok_or(FlashError::OutOfBounds)?;
    slot.read(layout.swap_info(), tail).await?;
    Trailer::decode(tail, layout, slot.geometry().erased()).ok_or(FlashError::OutOfBounds)
}

enum Fault {
    Flash(FlashError),
    Image,
}

impl From<FlashError> for Fault {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl From<ImageError> for Fault {
    fn from(_: ImageError) -> Self {
        Self::Image
    }
}

/// What the image at `offset` of a slot says of itself; `None` when it makes no sense.
pub(super) async fn image_info<F: NorFlash, const UNIT: usize>(
    slot: &mut Slot<F, UNIT>,
    offset: u32,
) -> Result<Option<ImageInfo>, FlashError> {
    match read_info(slot, offset).await {
        Ok(info) => Ok(Some(info)),
        Err(Fault::Image) => Ok(None),
        Err(Fault::Flash(error)) => Err(error),
    }
}

async fn read_info<F: NorFlash, const UNIT: usize>(
    slot: &mut Slot<F, UNIT>,
    offset: u32,
) -> Result<ImageInfo, Fault> {
    let mut bytes = [0; HEADER_SIZE as usize];
    slot.read(offset, &mut bytes).await?;
    let header = Header::parse(&bytes)?;
    let mut hash = None;
    let mut security_counter = None;
    let mut walk = TlvWalk::new(&header, slot.geometry().size().saturating_sub(offset))?;
    while let Some(at) = walk.at() {
        let mut head = [0; 4];
        slot.read(offset.saturating_add(at), &mut head).await?;
        let Some(entry) = walk.step(head)? else { continue };
        // The walk keeps entries inside the slot.
        let at = offset.saturating_add(entry.at);
        match (entry.kind, entry.len, entry.protected) {
            (tlv::SHA256, 32, _) => {
                let mut value = [0; 32];
                slot.read(at, &mut value).await?;
                hash = Some(value);
            }
            (tlv::SEC_CNT, 4, true) => {
                let mut value = [0; 4];
                slot.read(at, &mut value).await?;
                security_counter = Some(u32::from_le_bytes(value));
            }
            _ => {}
        }
    }
    let hash = hash.ok_or(ImageError::NoHash)?;
    Ok(ImageInfo { version: header.version, size: walk.size(), hash, security_counter })
}
