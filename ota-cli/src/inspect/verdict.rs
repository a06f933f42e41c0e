//! What the bootloader will do, said in a sentence.

use ota_core::geometry::BootMode;
use ota_core::trailer::{Flag, Magic, SwapType, Trailer, swap_type};

use super::slot::Content;

/// The next boot, from both trailers and what the secondary holds. A trailer that is not known counts as erased, as
/// the bootloader takes one it cannot read.
pub(super) fn next_boot(
    mode: BootMode,
    primary: &Trailer,
    secondary: &Trailer,
    update: Option<&Content>,
) -> String {
    if is_swapping(mode, primary, secondary) {
        return "the bootloader goes on with the swap it has begun".into();
    }
    let wanted = swap_type(mode, primary, secondary);
    let refused = match wanted {
        SwapType::None => None,
        SwapType::Test | SwapType::Permanent | SwapType::Revert => {
            update.and_then(|update| refusal(mode, wanted, update))
        }
    };
    if let Some(refused) = refused {
        return refused;
    }
    let act = match (wanted, mode) {
        (SwapType::None, _) => match (secondary.magic, secondary.image_ok) {
            (Magic::Good, Flag::Bad) => {
                "the bootloader boots the primary: image_ok of the secondary is neither set nor erased, which disables its request"
            }
            (Magic::Bad, _) => {
                "the bootloader boots the primary: a damaged magic in the secondary asks for nothing"
            }
            (Magic::Good | Magic::Unset, _) => "the bootloader boots the primary as it is",
        },
        (SwapType::Test | SwapType::Permanent, BootMode::Overwrite) => {
            "the bootloader copies the secondary over the primary; there is no way back"
        }
        (SwapType::Test, _) => {
            "the bootloader swaps the slots for a test; unless the image is confirmed, the reset after that swaps back"
        }
        (SwapType::Permanent, _) => "the bootloader swaps the slots for good",
        (SwapType::Revert, BootMode::Overwrite) => {
            "the bootloader boots the primary: one that overwrites has nothing to go back to"
        }
        (SwapType::Revert, _) => "the bootloader swaps back: the image in the primary was not confirmed",
    };
    let doubt = match mode {
        BootMode::SwapStatus => " (its status partition decides, the slots only carry requests to it)",
        BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => "",
    };
    format!("{act}{doubt}")
}

/// A swap's type and magic stand in the primary, its copy-done does not yet.
fn is_swapping(mode: BootMode, primary: &Trailer, secondary: &Trailer) -> bool {
    let begun = match primary.swap_info.0 {
        SwapType::None => false,
        SwapType::Test | SwapType::Permanent | SwapType::Revert => {
            primary.magic == Magic::Good && primary.copy_done == Flag::Unset
        }
    };
    let other = match mode {
        BootMode::Overwrite | BootMode::SwapStatus => false,
        BootMode::SwapScratch => true,
        BootMode::SwapMove | BootMode::SwapOffset => secondary.magic != Magic::Good,
    };
    begun && other
}

/// The bootloader validates what it is to swap in.
fn refusal(mode: BootMode, wanted: SwapType, update: &Content) -> Option<String> {
    let image = match update {
        Content::Image(image) if image.is_bootable() => image,
        Content::Image(_) | Content::Erased | Content::Unknown => {
            let cleans = match mode {
                BootMode::Overwrite => "looks again at each boot",
                BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset | BootMode::SwapStatus => {
                    "erases its trailer"
                }
            };
            return Some(format!(
                "the bootloader boots the primary, finds no image in the secondary and {cleans}"
            ));
        }
        Content::Damaged(why) => return Some(invalid(why)),
    };
    match (mode, wanted) {
        (BootMode::SwapOffset, SwapType::Test | SwapType::Permanent) if image.at == 0 => {
            return Some(invalid("swap-offset wants it one sector up"));
        }
        (BootMode::SwapOffset, _) => {}
        (BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapStatus, _) => {
            if image.at != 0 {
                return Some(
                    "the bootloader boots the primary: the image does not start at the slot's start".into(),
                );
            }
        }
    }
    image.problems.first().map(|why| invalid(why))
}

fn invalid(why: &str) -> String {
    format!("the bootloader boots the primary and erases the secondary, whose image is not valid ({why})")
}

/// What the trailer of a primary tells of the image that runs.
pub(super) fn standing(mode: BootMode, primary: &Trailer) -> &'static str {
    match mode {
        BootMode::Overwrite => {
            return "the image is what was copied or flashed last; nothing to confirm, nothing to revert";
        }
        BootMode::SwapStatus => return "the image's state is in the bootloader's status partition, not here",
        BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {}
    }
    match (primary.magic, primary.copy_done, primary.image_ok, primary.swap_info.0) {
        (Magic::Unset, ..) => "the image was never swapped; it counts as confirmed",
        (Magic::Bad, ..) => "the trailer is damaged; the image cannot be confirmed",
        (Magic::Good, _, Flag::Bad, _) => {
            "the image's confirmation was torn: it is not reverted, confirm it again"
        }
        (Magic::Good, Flag::Set, Flag::Unset, _) => "the image runs on trial and is not confirmed",
        (Magic::Good, Flag::Set, Flag::Set, SwapType::Revert) => {
            "the image is the old one: an update was reverted"
        }
        (Magic::Good, Flag::Set, Flag::Set, SwapType::Permanent) => "the image was installed for good",
        (Magic::Good, Flag::Set, Flag::Set, SwapType::Test | SwapType::None) => {
            "the image was tested and is confirmed"
        }
        (Magic::Good, Flag::Unset | Flag::Bad, Flag::Set, _) => "the image was flashed as confirmed",
        (Magic::Good, Flag::Unset | Flag::Bad, Flag::Unset, SwapType::None) => {
            "the image was flashed with a trailer and is not marked as confirmed"
        }
        (
            Magic::Good,
            Flag::Unset | Flag::Bad,
            Flag::Unset,
            SwapType::Test | SwapType::Permanent | SwapType::Revert,
        ) => "a swap is under way",
    }
}
