//! The maps of PSoC 62: CY8CPROTO-062-4343W and CY8CKIT-062S2-43012.
//!
//! | Map | Where it comes from |
//! |---|---|
//! | [`INTERNAL_OVERWRITE`], [`EXTERNAL_OVERWRITE`] | the OTA instructions of Amazon FreeRTOS for these kits (MCUBootApp v1.6.1-cypress) |
//! | [`INTERNAL_SWAP`], [`EXTERNAL_SWAP`] | the flash maps of AnyCloud OTA |
//! | [`INTERNAL_SWAP_LARGE`], [`EXTERNAL_SWAP_LARGE`] | `ota-bootloader-abstraction`, whose bootloader takes 0x28000 bytes |
//!
//! An overwrite-only map ends its external secondary on a sector boundary, so trailer and image share a sector; a swap
//! bootloader erases that sector when it has read the request. The swap maps start 0x200 later for that reason.

use ota_core::geometry::BootMode;

use super::{Area, Bootloader, FlashMap, MapError, MapSpec, Reserved, Secondary, SlotPair};

/// RAM of the application that is clear of every bootloader's: 0x0804_0000 up to the system's last 2 KiB.
pub const RAM: Area = Area::new(0x0804_0000, 0xB_F800);
/// RAM of MCUBootApp on the Cortex-M0+. Its stack serves every system call, so it stays in use.
pub const BOOT_RAM: Area = Area::new(0x0802_0000, 0x2_0000);
/// The journal's place: all of the work flash.
pub const JOURNAL: Area = Area::new(0x1400_0000, 0x8000);

const TRAILER_SIZE: u32 = 0x200;

const SMALL: [Reserved; 1] = [Reserved { name: "bootloader", area: Area::new(0x1000_0000, 0x1_8000) }];
const LARGE: [Reserved; 1] = [Reserved { name: "bootloader", area: Area::new(0x1000_0000, 0x2_8000) }];

const fn pair(primary: Area, secondary: Area) -> [SlotPair; 1] {
    [SlotPair { name: "application", primary, secondary, confirmable: true }]
}

const INTERNAL: [SlotPair; 1] = pair(Area::new(0x1001_8000, 0xE_E000), Area::new(0x1010_6000, 0xE_E000));
const EXTERNAL: [SlotPair; 1] = pair(Area::new(0x1001_8000, 0x1C_0000), Area::new(0x1800_0000, 0x1C_0000));
const EXTERNAL_LATE: [SlotPair; 1] =
    pair(Area::new(0x1001_8000, 0x1C_0000), Area::new(0x1800_0200, 0x1C_0000));
const INTERNAL_LARGE: [SlotPair; 1] =
    pair(Area::new(0x1002_8000, 0xE_6000), Area::new(0x1010_E000, 0xE_6000));
const EXTERNAL_LARGE: [SlotPair; 1] =
    pair(Area::new(0x1002_8000, 0x1C_0000), Area::new(0x1800_0200, 0x1C_0000));

const BASE: MapSpec = MapSpec {
    name: "psoc62-internal-overwrite",
    images: &INTERNAL,
    mode: BootMode::Overwrite,
    status: None,
    scratch: None,
    journal: Some(JOURNAL),
    reserved: &SMALL,
    max_sectors: 2000,
    trailer_size: TRAILER_SIZE,
    ram: RAM,
    boot_ram: BOOT_RAM,
};

/// Internal secondary, overwrite-only.
pub const INTERNAL_OVERWRITE: FlashMap = FlashMap::checked(BASE);

/// External secondary, overwrite-only: the original's default.
pub const EXTERNAL_OVERWRITE: FlashMap = FlashMap::checked(MapSpec {
    name: "psoc62-external-overwrite",
    images: &EXTERNAL,
    max_sectors: 3584,
    ..BASE
});

/// Internal secondary, swap with a status partition.
pub const INTERNAL_SWAP: FlashMap = FlashMap::checked(MapSpec {
    name: "psoc62-internal-swap",
    mode: BootMode::SwapStatus,
    status: Some(Area::new(0x101F_4000, 0x3C00)),
    scratch: Some(Area::new(0x101F_7C00, 0x1000)),
    ..BASE
});

/// External secondary, swap with a status partition.
pub const EXTERNAL_SWAP: FlashMap = FlashMap::checked(MapSpec {
    name: "psoc62-external-swap",
    images: &EXTERNAL_LATE,
    mode: BootMode::SwapStatus,
    status: Some(Area::new(0x101D_8000, 0x6C00)),
    scratch: Some(Area::new(0x1844_0000, 0x8_0000)),
    max_sectors: 3584,
    ..BASE
});

/// Internal secondary, swap, bootloader of 0x28000 bytes.
pub const INTERNAL_SWAP_LARGE: FlashMap = FlashMap::checked(MapSpec {
    name: "psoc62-internal-swap-large",
    images: &INTERNAL_LARGE,
    reserved: &LARGE,
    ..*INTERNAL_SWAP.spec()
});

/// External secondary, swap, bootloader of 0x28000 bytes.
pub const EXTERNAL_SWAP_LARGE: FlashMap = FlashMap::checked(MapSpec {
    name: "psoc62-external-swap-large",
    images: &EXTERNAL_LARGE,
    reserved: &LARGE,
    status: Some(Area::new(0x101E_8000, 0x6C00)),
    ..*EXTERNAL_SWAP.spec()
});

/// The map for a choice.
///
/// # Errors
/// [`MapError::TrailerMode`] for the modes no bootloader of this chip has, [`MapError::NoSuchMap`] for a large bootloader
/// that does not swap.
pub const fn map(secondary: Secondary, mode: BootMode, bootloader: Bootloader) -> Result<FlashMap, MapError> {
    match (mode, bootloader, secondary) {
        (BootMode::Overwrite, Bootloader::Small, Secondary::Internal) => Ok(INTERNAL_OVERWRITE),
        (BootMode::Overwrite, Bootloader::Small, Secondary::External) => Ok(EXTERNAL_OVERWRITE),
        (BootMode::Overwrite, Bootloader::Large, _) => Err(MapError::NoSuchMap),
        (BootMode::SwapStatus, Bootloader::Small, Secondary::Internal) => Ok(INTERNAL_SWAP),
        (BootMode::SwapStatus, Bootloader::Small, Secondary::External) => Ok(EXTERNAL_SWAP),
        (BootMode::SwapStatus, Bootloader::Large, Secondary::Internal) => Ok(INTERNAL_SWAP_LARGE),
        (BootMode::SwapStatus, Bootloader::Large, Secondary::External) => Ok(EXTERNAL_SWAP_LARGE),
        (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, _, _) => {
            Err(MapError::TrailerMode)
        }
    }
}

/// [`map`] for a `const`: a choice that does not exist stops the build and says why.
///
/// # Panics
/// With the sentence, which in a `const` is a compile error.
pub const fn checked(secondary: Secondary, mode: BootMode, bootloader: Bootloader) -> FlashMap {
    match map(secondary, mode, bootloader) {
        Ok(map) => map,
        Err(error) => panic!("{}", error.text()),
    }
}
