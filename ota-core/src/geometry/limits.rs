//! Which pairs of slots a boot mode accepts, and how large an image may be between header and trailer.
//!
//! The limits are those of bootutil 2.4.0 (`app_max_size` in `swap_move.c`, `swap_offset.c`, `swap_scratch.c`,
//! `bootutil_max_image_size` for overwrite-only). Older bootloaders check less and then overwrite the trailer, so the
//! limit is ours to keep.

use super::{BootMode, Geometry, GeometryError, ImageSlots};
use crate::trailer::TrailerLayout;

pub(super) const fn pair_error(
    primary: &Geometry,
    secondary: &Geometry,
    mode: BootMode,
    max_sectors: u32,
) -> Option<GeometryError> {
    // Spare sectors a slot may have beyond its partner's.
    let (primary_spare, secondary_spare) = match mode {
        BootMode::Overwrite => return size_error(primary, secondary),
        BootMode::SwapStatus => return split_error(primary, secondary),
        BootMode::SwapScratch => (0, 0),
        BootMode::SwapMove => (1, 0),
        BootMode::SwapOffset => (0, 1),
    };
    if !is_aligned(primary) || !is_aligned(secondary) {
        return Some(GeometryError::Unaligned);
    }
    let (first, second) = (primary.sector_size(), secondary.sector_size());
    let (first_count, second_count) = (primary.sector_count(), secondary.sector_count());
    let suits = match mode {
        BootMode::SwapScratch => {
            primary.size() == secondary.size()
                && (first.is_multiple_of(second) || second.is_multiple_of(first))
        }
        BootMode::Overwrite | BootMode::SwapMove | BootMode::SwapOffset | BootMode::SwapStatus => {
            first == second
                && first_count <= second_count.saturating_add(primary_spare)
                && second_count <= first_count.saturating_add(secondary_spare)
        }
    };
    if !suits {
        return Some(GeometryError::Pair);
    }
    // The spare sector counts too: the bootloader reads each slot's sectors into a table of this many.
    if max(first_count, second_count) > max_sectors { Some(GeometryError::MaxSectors) } else { None }
}

/// bootutil's `boot_slots_compatible` of `swap_scratch.c`, which overwrite-only and swap-status builds share.
const fn size_error(primary: &Geometry, secondary: &Geometry) -> Option<GeometryError> {
    if primary.size() != secondary.size() { Some(GeometryError::Pair) } else { None }
}

/// The import of a request erases what holds `image_ok`; magic must go with it.
const fn split_error(primary: &Geometry, secondary: &Geometry) -> Option<GeometryError> {
    if flags_split(primary) || flags_split(secondary) {
        Some(GeometryError::TrailerSplit)
    } else {
        size_error(primary, secondary)
    }
}

const fn flags_split(slot: &Geometry) -> bool {
    slot.sector_of(status_flags_start(slot)) != slot.sector_of(slot.size())
}

const fn status_flags_start(slot: &Geometry) -> u32 {
    slot.size().saturating_sub(crate::trailer::STATUS_REQUEST_SIZE)
}

/// The bootloader erases the sector with the flags when it has read them; on a part that rewrites rows, whose erases it
/// makes row by row however many the application erases at once, the row. So does a confirm there whose power is cut.
const fn lost_with_flags(slot: &Geometry) -> u32 {
    let flags = status_flags_start(slot);
    if slot.rewrite() {
        flags - flags % slot.write_size()
    } else {
        slot.sector_range(slot.sector_of(flags)).start
    }
}

const fn is_aligned(slot: &Geometry) -> bool {
    slot.start().is_multiple_of(slot.sector_size()) && slot.size().is_multiple_of(slot.sector_size())
}

/// The first sector of the secondary with a byte of the trailer, or of the fields where the bootloader keeps no more there.
pub(super) const fn first_trailer_sector(slots: &ImageSlots) -> u32 {
    let secondary = &slots.secondary;
    let reserved = if slots.mode.has_trailer_state() { trailer_size(slots) } else { 0 };
    let fields = trailer(slots, secondary).info_start();
    secondary.sector_of(min(secondary.size().saturating_sub(reserved), fields))
}

/// The trailer this bootloader reserves at the end of each slot.
const fn trailer_size(slots: &ImageSlots) -> u32 {
    trailer(slots, &slots.secondary).size(slots.boot_write_size, slots.max_sectors)
}

const fn trailer(slots: &ImageSlots, slot: &Geometry) -> TrailerLayout {
    TrailerLayout::new(slot.size(), slots.max_align, slots.mode)
}

/// Largest file, 0 when none fits.
pub(super) const fn max_image_size(slots: &ImageSlots) -> u32 {
    let ImageSlots { primary, secondary, mode, .. } = slots;
    let reserved = trailer_size(slots);
    let (in_primary, in_secondary) = match mode {
        BootMode::Overwrite => (primary.size(), secondary.size()),
        BootMode::SwapScratch => (scratch_limit(slots, primary), scratch_limit(slots, secondary)),
        // The primary's images move up by one sector before they are swapped.
        BootMode::SwapMove => (
            sectors_below(primary, reserved).saturating_sub(primary.sector_size()),
            sectors_below(secondary, reserved),
        ),
        // The secondary's image starts one sector up.
        BootMode::SwapOffset => (
            sectors_below(primary, reserved),
            sectors_below(secondary, reserved).saturating_sub(secondary.sector_size()),
        ),
        BootMode::SwapStatus => (lost_with_flags(primary), lost_with_flags(secondary)),
    };
    let in_primary = min(in_primary, below_fields(slots, primary, 0));
    min(in_primary, min(in_secondary, below_fields(slots, secondary, image_offset(slots))))
}

/// Where byte 0 of a new image goes in the secondary.
pub(super) const fn image_offset(slots: &ImageSlots) -> u32 {
    match slots.mode {
        BootMode::SwapOffset => slots.secondary.sector_size(),
        BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapStatus => 0,
    }
}

/// What keeps whole write units of the image clear of the fields the application writes; the image is written from
/// `offset` on. With a write size up to max-align this is the overwrite-only limit: the place of `swap_info`.
const fn below_fields(slots: &ImageSlots, slot: &Geometry, offset: u32) -> u32 {
    let fields = trailer(slots, slot).info_start();
    (fields - fields % slot.write_size()).saturating_sub(offset)
}

/// Start of the sector in which a trailer of `reserved` bytes begins.
const fn sectors_below(slot: &Geometry, reserved: u32) -> u32 {
    if reserved >= slot.size() {
        return 0;
    }
    slot.sector_range(slot.sector_of(slot.size() - reserved)).start
}

/// The trailer's part in its first sector goes through scratch with the sector, where the scratch area's own trailer
/// needs room; padding makes up for what is missing.
const fn scratch_limit(slots: &ImageSlots, slot: &Geometry) -> u32 {
    let layout = trailer(slots, slot);
    let reserved = layout.size(slots.boot_write_size, slots.max_sectors);
    if reserved >= slot.size() {
        return 0;
    }
    let start = slot.size() - reserved;
    let first_end = max(
        slots.primary.sector_range(slots.primary.sector_of(start)).end,
        slots.secondary.sector_range(slots.secondary.sector_of(start)).end,
    );
    // A scratch trailer has the status entries of one sector.
    let scratch = layout.size(slots.boot_write_size, 1);
    start.saturating_sub(scratch.saturating_sub(first_end - start))
}

const fn min(a: u32, b: u32) -> u32 {
    if a < b { a } else { b }
}

const fn max(a: u32, b: u32) -> u32 {
    if a > b { a } else { b }
}
