//! What trailers mean in each boot mode.

use super::{Request, Revert};
use crate::{
    geometry::BootMode,
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

/// What a secondary asks for.
pub(super) fn request_of(mode: BootMode, secondary: &Trailer) -> Request {
    // With an empty primary only the rows of the secondary can match; a swap-offset revert in progress is no request.
    match swap_type(mode, &Trailer::UNSET, secondary) {
        SwapType::Test => Request::Test,
        SwapType::Permanent => Request::Permanent,
        SwapType::Revert => Request::None,
        SwapType::None if secondary.magic == Magic::Unset => Request::None,
        // A good magic that matches no row has a bad `image_ok`.
        SwapType::None => Request::Damaged,
    }
}

/// Whether the next reset takes the running image back.
pub(super) fn revert_of(mode: BootMode, primary: &Trailer, secondary: &Trailer) -> Revert {
    let swapped = primary.magic == Magic::Good && primary.copy_done == Flag::Set;
    match mode {
        BootMode::Overwrite => Revert::No,
        BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
            // The secondary matters only for swap-offset's extra row: a request waiting there outranks a revert at the
            // next reset, but the image to go back to lies there all the same.
            let own = swap_type(mode, primary, &Trailer::UNSET);
            let others = swap_type(mode, &Trailer::UNSET, secondary);
            if own == SwapType::Revert || others == SwapType::Revert { Revert::Yes } else { Revert::No }
        }
        // From 1.8.1 on the bootloader leaves a whole trailer in the primary before it sets its own copy-done; before,
        // nothing tells.
        BootMode::SwapStatus => match primary.image_ok {
            Flag::Unset if swapped => Revert::Yes,
            Flag::Set if swapped => Revert::No,
            Flag::Unset | Flag::Set | Flag::Bad => Revert::Unknown,
        },
    }
}

/// Whether the running image is here to stay.
pub(super) fn is_confirmed(mode: BootMode, primary: &Trailer) -> bool {
    match (mode, primary.magic) {
        (BootMode::Overwrite, _) => true,
        (BootMode::SwapStatus, _) | (_, Magic::Good) => primary.image_ok == Flag::Set,
        (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, magic) => magic == Magic::Unset,
    }
}

/// Whether the bootloader's last swap was a revert.
pub(super) fn is_reverted(mode: BootMode, primary: &Trailer) -> bool {
    mode != BootMode::Overwrite && primary.magic == Magic::Good && primary.swap_info.0 == SwapType::Revert
}
