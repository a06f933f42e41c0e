//! What is soldered to which pin of the one kit.

use ota_psoc6::kit::{CY8CKIT_062S2_43012, Kit, WifiChip};

/// CY8CKIT-064S0S2-4343W: the board of CY8CKIT-062S2-43012 with a secure microcontroller and another Wi-Fi module.
pub const CY8CKIT_064S0S2_4343W: Kit = Kit {
    name: "CY8CKIT-064S0S2-4343W",
    mcu: "CYS0644ABZI-S2D44",
    wifi: WifiChip::Cyw4343w,
    ..CY8CKIT_062S2_43012
};
