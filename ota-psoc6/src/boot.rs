//! The images of a map on their drivers, as `ota-core` wants them; and the vector table, for a program that was started by
//! a bootloader.
//!
//! What is written to ask for, withdraw and confirm an image in each boot mode is `ota-core`'s business
//! ([`ota_core::boot`]). On these chips all of it goes to the last row of a slot: the request to the secondary's, the confirm
//! of a swap to the primary's, which is the running image's own flash; hence the driver's routine in RAM.

use core::cell::RefCell;

use embedded_storage_async::nor_flash::NorFlash;
use ota_core::boot::{Image, SharedFlash};
use ota_core::geometry::GeometryError;

use crate::layout::{FlashMap, HEADER_SIZE};
use crate::processor::Processor;

/// Vector table offset register (Armv7-M: VTOR).
const VTOR: u32 = 0xE000_ED08;

/// Image `index` of a map. `inside` is main flash; `secondary` is the device of the image's secondary, which may be the same
/// cell.
///
/// # Errors
/// [`GeometryError`] when the map's slots do not suit the drivers.
///
/// # Panics
/// When the map has no such image.
pub fn image<'a, P: NorFlash, S: NorFlash>(
    map: &FlashMap,
    index: u8,
    inside: &'a RefCell<P>,
    secondary: &'a RefCell<S>,
) -> Result<Image<SharedFlash<'a, P>, SharedFlash<'a, S>>, GeometryError> {
    let layout = map.image(usize::from(index));
    Ok(Image::new(SharedFlash::new(inside), SharedFlash::new(secondary), layout)?.with_number(index))
}

/// The first address a reset vector of image `index` may hold and the one past the last, for `ota_core::agent::Destination`: its program in the
/// primary. An image that was linked for another slot is refused before a byte of the slot is touched.
///
/// # Panics
/// When the map has no such image.
pub const fn reset_vectors(map: &FlashMap, index: usize) -> (u32, u32) {
    let primary = map.primary(index);
    (primary.address() + HEADER_SIZE, primary.end())
}

/// Points the processor at the vector table of image 0. Hardware does it on the way from the bootloader; said again here, it does not
/// depend on that.
pub fn set_vector_table<P: Processor>(chip: P, map: &FlashMap) {
    chip.write32(VTOR, map.primary(0).address() + HEADER_SIZE);
    chip.barrier();
}
