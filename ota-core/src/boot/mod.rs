//! The flash side of all images of a device: what runs, what is asked for, and the ways to change it.

use crate::{
    geometry::ImageLayout,
    image::ImageInfo,
    slot::{Compared, FlashError},
    verify::Verified,
};

mod control;
mod info;
mod shared;
mod single;
mod states;
#[cfg(test)]
mod tests;
mod tuple;

pub use crate::trailer::Pending;
pub use shared::{SharedError, SharedFlash};
pub use single::Image;

/// Does an unconfirmed image run now which the next reset takes back?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revert {
    /// No.
    No,
    /// This bootloader does not show it to the application (swap-status before 1.8.1).
    Unknown,
    /// Yes: the secondary holds the image to go back to. Do not touch it.
    Yes,
}

/// What the secondary's trailer asks the bootloader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing.
    None,
    /// A test swap (or, overwrite-only, an update).
    Test,
    /// A permanent swap.
    Permanent,
    /// A torn or foreign trailer, on which the bootloader does nothing.
    Damaged,
}

/// What a withdrawn request left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// The image is still whole.
    ImageKept,
    /// The trailer shares this sector of the secondary with the image, whose bytes there are erased now.
    SectorLost(u32),
}

/// What flash says about one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageState {
    /// The image in the primary, as its header and TLVs describe it; `None` when they make no sense.
    pub running: Option<ImageInfo>,
    /// What the secondary asks for.
    pub request: Request,
    /// Whether the next reset takes the running image back.
    pub revert: Revert,
    /// The running image is here to stay: confirmed, never swapped, or overwrite-only. With [`Revert::Unknown`]
    /// (swap-status) it only says that `image_ok` of the primary is set.
    pub confirmed: bool,
    /// The bootloader's last swap was a revert: the running image is the old one.
    pub reverted: bool,
}

/// What is to be done with header, TLVs and trailers of an image.
#[derive(Debug)]
pub enum Operation {
    /// Read header, TLVs and both trailers → [`Controlled::Inspected`]. Malformed contents are a state, not an error.
    Inspect,
    /// Ask the bootloader for the verified image and read the request back. It must be the token of this image.
    ///
    /// [`FlashError::Stale`], with flash untouched, when the secondary changed since verification.
    /// [`FlashError::Trailer`] when an old or torn trailer shares its sector with the image: give up that sector.
    SetPending(Verified, Pending),
    /// Take a request back → [`Controlled::Withdrawn`]. Where the trailer shares a sector with the image, image bytes go with
    /// it.
    Withdraw,
    /// Confirm the running image and read it back. Does nothing where there is nothing to confirm.
    Confirm,
}

/// What came of an [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controlled {
    /// It is done.
    Done,
    /// What flash says.
    Inspected(ImageState),
    /// What the withdrawn request left behind.
    Withdrawn(Withdrawn),
}

/// The images of a device. Implemented by [`Image`] for one, and by tuples of up to three for several: image `n` is
/// element `n`.
///
/// File offsets (`at`) count from byte 0 of the image file; where that lies in the secondary is the layout's business.
///
/// # Cancel safety
/// Dropping any of these futures leaves what a power cut in that place would. Reads and compares leave nothing behind;
/// after a dropped `erase` or `write` the sector or unit may hold anything; after a dropped [`Operation::SetPending`] there is no
/// request, a torn one (which the bootloader ignores) or the whole one, and calling again repairs it; after a dropped
/// [`Operation::Confirm`] the image may or may not be confirmed; after a dropped [`Operation::Withdraw`] the request may
/// still stand.
// Single-threaded executors: no `Send` bound is wanted on these futures.
#[allow(async_fn_in_trait)]
pub trait Images {
    /// The layout of an image, `None` when there is no image of that number.
    fn layout(&self, image: u8) -> Option<&ImageLayout>;
    /// Reads the secondary at a file offset.
    async fn read(&mut self, image: u8, at: u32, buf: &mut [u8]) -> Result<(), FlashError>;
    /// Erases one sector of the secondary (a number of [`crate::geometry::Geometry::sector_of`]) and checks it.
    async fn erase(&mut self, image: u8, sector: u32) -> Result<(), FlashError>;
    /// Writes the secondary at a file offset, inside one sector, from a multiple of the write size on; the last unit is
    /// padded with the erased value. Reads back. [`FlashError::OutOfBounds`] past [`ImageLayout::max_image_size`].
    async fn write(&mut self, image: u8, at: u32, data: &[u8]) -> Result<(), FlashError>;
    /// Compares the secondary at a file offset.
    async fn compare(&mut self, image: u8, at: u32, data: &[u8]) -> Result<Compared, FlashError>;
    /// Writes and erases begun on the secondary so far.
    fn generation(&self, image: u8) -> u32;
    /// Reads or changes what the bootloader goes by.
    async fn control(&mut self, image: u8, operation: Operation) -> Result<Controlled, FlashError>;

    /// [`Operation::Inspect`].
    async fn inspect(&mut self, image: u8) -> Result<ImageState, FlashError> {
        match self.control(image, Operation::Inspect).await? {
            Controlled::Inspected(state) => Ok(state),
            Controlled::Done | Controlled::Withdrawn(_) => Err(FlashError::NoImage),
        }
    }

    /// [`Operation::SetPending`].
    async fn set_pending(&mut self, token: Verified, pending: Pending) -> Result<(), FlashError> {
        self.control(token.image(), Operation::SetPending(token, pending)).await.map(|_| ())
    }

    /// [`Operation::Withdraw`].
    async fn withdraw(&mut self, image: u8) -> Result<Withdrawn, FlashError> {
        match self.control(image, Operation::Withdraw).await? {
            Controlled::Withdrawn(withdrawn) => Ok(withdrawn),
            Controlled::Done | Controlled::Inspected(_) => Err(FlashError::NoImage),
        }
    }

    /// [`Operation::Confirm`].
    async fn confirm(&mut self, image: u8) -> Result<(), FlashError> {
        self.control(image, Operation::Confirm).await.map(|_| ())
    }
}
