//! The maps of PSoC 64: CY8CKIT-064S0S2-4343W, by the policy the device was provisioned with.
//!
//! The policy in the device decides, not the application: a map that differs from it does not boot. Two are known.
//!
//! | Map | Policy |
//! |---|---|
//! | [`TFM`], [`TFM_OVERWRITE`] | `policy_multi_CM0_CM4_tfm.json` of Trusted Firmware-M 1.3 for this kit; its `upgrade_mode` is `swap`, and the second map is for one changed to `overwrite` |
//! | [`OLDER`] | the policies of Amazon FreeRTOS 202007 for this kit: larger application slots, a secondary that starts at the window's start and so cannot be swapped |
//!
//! Image 0 is the application on the Cortex-M4 (the policy's image 16), image 1 the secure firmware on the Cortex-M0+ (image
//! 1). The application cannot write the secure firmware's primary, so it cannot confirm image 1: the bootloader does
//! (`set_img_ok` of the policy). That it does, and what then becomes of a revert, was not seen on a board.
//!
//! There is no default place for a journal: 0x101B_C000..0x101E_0000 is the secure firmware's storage and counters, and the bootloader
//! with its status partition. Name a place with `FlashMap::with_journal`; one that reaches into that range is refused:
//!
//! ```compile_fail
//! # use ota_psoc6::layout::{Area, FlashMap};
//! const MAP: FlashMap = match ota_psoc64::layout::TFM.with_journal(Some(Area::new(0x101C_6000, 0x1C00))) {
//!     Ok(map) => map,
//!     Err(_) => panic!("the place is reserved"),
//! };
//! # let _ = MAP;
//! ```

use ota_core::geometry::BootMode;
use ota_psoc6::layout::{Area, FlashMap, MapSpec, Reserved, SlotPair};

/// Main flash that belongs to secure firmware and bootloader: never written by the application.
pub const RESERVED: Area = Area::new(0x101B_C000, 0x2_4000);

const RESERVED_AREAS: [Reserved; 7] = [
    Reserved { name: "internal trusted storage", area: Area::new(0x101B_C000, 0x4000) },
    Reserved { name: "protected storage", area: Area::new(0x101C_0000, 0x6000) },
    Reserved { name: "unused, between storage and counters", area: Area::new(0x101C_6000, 0x1C00) },
    Reserved { name: "NV counters", area: Area::new(0x101C_7C00, 0x400) },
    Reserved { name: "swap status", area: Area::new(0x101C_8000, 0x8000) },
    Reserved { name: "CyBootloader", area: Area::new(0x101D_0000, 0x1_0000) },
    Reserved { name: "system", area: Area::new(0x101E_0000, 0x2_0000) },
];

/// RAM of the Cortex-M4 beside Trusted Firmware-M.
pub const RAM: Area = Area::new(0x0803_0000, 0xB_7000);
/// RAM of bootloader and secure firmware.
pub const BOOT_RAM: Area = Area::new(0x0800_0000, 0x3_0000);

const fn images(application: SlotPair, secure: SlotPair) -> [SlotPair; 2] {
    [application, secure]
}

const TFM_IMAGES: [SlotPair; 2] = images(
    SlotPair {
        name: "CM4 application (NSPE)",
        primary: Area::new(0x1005_0000, 0x11_C000),
        secondary: Area::new(0x1802_4400, 0x11_C000),
        confirmable: true,
    },
    SlotPair {
        name: "CM0+ secure firmware (SPE)",
        primary: Area::new(0x1000_0000, 0x5_0000),
        secondary: Area::new(0x1016_C000, 0x5_0000),
        confirmable: false,
    },
);

const OLDER_IMAGES: [SlotPair; 2] = images(
    SlotPair {
        primary: Area::new(0x1005_0000, 0x12_0000),
        secondary: Area::new(0x1800_0000, 0x12_0000),
        ..TFM_IMAGES[0]
    },
    SlotPair { secondary: Area::new(0x1017_0000, 0x5_0000), ..TFM_IMAGES[1] },
);

/// The policy of Trusted Firmware-M, which swaps.
pub const TFM: FlashMap = FlashMap::checked(MapSpec {
    name: "psoc64-tfm-swap",
    images: &TFM_IMAGES,
    mode: BootMode::SwapStatus,
    status: Some(Area::new(0x101C_8000, 0x8000)),
    scratch: Some(Area::new(0x1828_0000, 0x8_0000)),
    journal: None,
    reserved: &RESERVED_AREAS,
    max_sectors: 2400,
    trailer_size: 0x400,
    ram: RAM,
    boot_ram: BOOT_RAM,
});

/// The same policy with `upgrade_mode` set to `overwrite`.
pub const TFM_OVERWRITE: FlashMap =
    FlashMap::checked(MapSpec { name: "psoc64-tfm-overwrite", mode: BootMode::Overwrite, ..*TFM.spec() });

/// The policies of Amazon FreeRTOS 202007. Not compatible with [`TFM`].
pub const OLDER: FlashMap = FlashMap::checked(MapSpec {
    name: "psoc64-older-overwrite",
    images: &OLDER_IMAGES,
    status: None,
    scratch: None,
    reserved: &OLDER_RESERVED,
    ..*TFM_OVERWRITE.spec()
});

/// Their second secondary ends where the storage of this kit's newer policy lies, so the older storage map is not the
/// newer one: from the end of the slots on, everything is taken as somebody else's.
const OLDER_RESERVED: [Reserved; 1] =
    [Reserved { name: "secure firmware, bootloader, system", area: Area::new(0x101C_0000, 0x4_0000) }];

/// Which policy a device was provisioned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Trusted Firmware-M 1.3's.
    Tfm,
    /// Amazon FreeRTOS 202007's.
    Older,
}

/// The map for a choice.
///
/// # Errors
/// `MapError::OverwriteOnly` for a swap on the older policy's map, `MapError::TrailerMode` for modes this bootloader does not have.
pub const fn map(policy: Policy, mode: BootMode) -> Result<FlashMap, ota_psoc6::layout::MapError> {
    let base = match policy {
        Policy::Tfm => TFM,
        Policy::Older => OLDER,
    };
    match mode {
        BootMode::Overwrite => match policy {
            Policy::Tfm => Ok(TFM_OVERWRITE),
            Policy::Older => Ok(OLDER),
        },
        BootMode::SwapStatus | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
            FlashMap::new(MapSpec { mode, name: "psoc64-tfm-swap", ..*base.spec() })
        }
    }
}
