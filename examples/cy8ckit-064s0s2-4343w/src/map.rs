//! Where everything lies. The policy the device was provisioned with decides.

use ota_psoc6::layout::FlashMap;
use ota_psoc64::layout::TFM;

/// The policy of Trusted Firmware-M for this kit, which swaps.
pub(crate) const MAP: FlashMap = TFM;
