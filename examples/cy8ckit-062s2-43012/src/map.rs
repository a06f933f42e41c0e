//! Where everything lies. Bootloader and firmware must agree: `ota layout` prints the bootloader's side of a map.

use ota_psoc6::layout::{FlashMap, psoc62};

/// As the original ships: secondary in the serial flash, overwrite-only, so a bad image is not taken back. With a bootloader built
/// for swap, `psoc62::EXTERNAL_SWAP` is the map, and it is.
pub(crate) const MAP: FlashMap = psoc62::EXTERNAL_OVERWRITE;
