//! An image padded to its slot with a trailer, as `imgtool sign --pad` writes it.

/// What the trailer of a padded image asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pad {
    /// Magic only (`--pad`): a test request in the secondary.
    Test,
    /// Magic and image ok (`--pad --confirm`): a permanent request in the secondary, confirmed in the primary.
    Confirmed,
}

/// Pads `image` to `slot_size` with `erased` and adds the trailer of a bootloader with this `max_align` (8, 16 or 32).
///
/// # Panics
/// When the image reaches into the trailer's info part, or `max_align` is another number.
pub fn pad(image: &[u8], slot_size: usize, max_align: usize, erased: u8, pad: Pad) -> Vec<u8> {
    let magic = magic(max_align);
    let image_ok = (slot_size - magic.len() - max_align) / max_align * max_align;
    assert!(image.len() <= image_ok, "image of {} bytes reaches the trailer at {image_ok}", image.len());
    let mut slot = image.to_vec();
    slot.resize(slot_size, erased);
    slot[slot_size - magic.len()..].copy_from_slice(&magic);
    match pad {
        Pad::Test => {}
        Pad::Confirmed => slot[image_ok] = 1,
    }
    slot
}

fn magic(max_align: usize) -> [u8; 16] {
    crate::mcuboot::trailer_magic(max_align as u32).expect("max_align is 8, 16 or 32")
}
