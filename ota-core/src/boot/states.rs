//! What trailers mean in each boot mode.

use super::{ImageState, Request, Revert};
use crate::{
    geometry::BootMode,
    image::ImageInfo,
    trailer::{Flag, Magic, Pending, SwapType, Trailer, swap_type},
};

/// What a secondary asks for and nothing else. imgtool's `--pad` writes no `swap_info`, and no bootloader decides by it.
pub(super) fn pending_of(mode: BootMode, secondary: &Trailer) -> Option<Pending> {
    // A set copy-done turns a swap-offset test into a revert.
    let reverting = mode == BootMode::SwapOffset && secondary.copy_done != Flag::Unset;
    match secondary.image_ok {
        Flag::Unset if secondary.magic == Magic::Good && !reverting => Some(Pending::Test),
        Flag::Set if secondary.magic == Magic::Good && !reverting => Some(Pending::Permanent),
        Flag::Unset | Flag::Set | Flag::Bad => None,
    }
}

/// What the image that runs and the two trailers mean together.
pub(super) fn image_state(
    mode: BootMode,
    running: Option<ImageInfo>,
    primary: &Trailer,
    secondary: &Trailer,
) -> ImageState {
    // With an empty primary only the rows of the secondary can match.
    let asked = swap_type(mode, &Trailer::UNSET, secondary);
    let swapped = primary.magic == Magic::Good && primary.copy_done == Flag::Set;
    // From 1.8.1 on a swap-status bootloader leaves a whole trailer in the primary before it sets its own copy-done; before,
    // nothing tells.
    let unknown = mode == BootMode::SwapStatus && (!swapped || primary.image_ok == Flag::Bad);
    ImageState {
        running,
        request: match asked {
            SwapType::Test => Request::Test,
            SwapType::Permanent => Request::Permanent,
            // A good magic that matches no row has a bad `image_ok`.
            SwapType::None if secondary.magic != Magic::Unset => Request::Damaged,
            // A swap-offset revert in progress is no request.
            SwapType::Revert | SwapType::None => Request::None,
        },
        // The secondary matters only for swap-offset's extra row: a request waiting there outranks a revert at the next reset,
        // but the image to go back to lies there all the same.
        revert: if unknown {
            Revert::Unknown
        } else if mode != BootMode::Overwrite
            && (swapped && primary.image_ok == Flag::Unset || asked == SwapType::Revert)
        {
            Revert::Yes
        } else {
            Revert::No
        },
        confirmed: match (mode, primary.magic) {
            (BootMode::Overwrite, _) => true,
            (BootMode::SwapStatus, _) | (_, Magic::Good) => primary.image_ok == Flag::Set,
            (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, magic) => {
                magic == Magic::Unset
            }
        },
        reverted: mode != BootMode::Overwrite
            && primary.magic == Magic::Good
            && primary.swap_info.0 == SwapType::Revert,
    }
}
