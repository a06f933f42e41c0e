//! Where everything lies: the one source of truth of every layout, for firmware, linker, bootloader and tools.
//!
//! "Bootloader and application have exactly the same understanding of the memory" is what the original's instructions ask
//! of whoever edits three files by hand. Here a map is one `const`; the drivers, the linker's `memory.x`
//! ([`MemoryX`]), the bootloader's settings and the signing command (`ota layout`) all come from it. Nothing in here
//! needs the chip: it is the same on the host.
//!
//! ```
//! use ota_psoc6::layout::{Bootloader, FlashMap, Secondary, psoc62};
//! use ota_core::geometry::{BootMode, ImageLayout};
//!
//! /// As in the original: overwrite-only, secondary where `OTA_USE_EXTERNAL_FLASH` says.
//! const MAP: FlashMap = psoc62::checked(Secondary::SELECTED, BootMode::Overwrite, Bootloader::Small);
//! const LAYOUT: ImageLayout = MAP.image(0);
//! assert_eq!(MAP.primary(0).address(), 0x1001_8000);
//! assert_eq!(LAYOUT.primary().start(), 0x1_8000);
//! ```
//!
//! A wrong map does not compile and says why. A swap bootloader on the overwrite-only map ("this is an overwrite-only map: a swap needs a status
//! partition and a scratch area"):
//!
//! ```compile_fail
//! # use ota_psoc6::layout::*;
//! # use ota_core::geometry::BootMode;
//! const WRONG: FlashMap =
//!     FlashMap::checked(MapSpec { mode: BootMode::SwapStatus, ..*psoc62::EXTERNAL_OVERWRITE.spec() });
//! # let _ = WRONG;
//! ```
//!
//! Slots that overlap:
//!
//! ```compile_fail
//! # use ota_psoc6::layout::*;
//! const PAIRS: [SlotPair; 1] = [SlotPair {
//!     name: "application",
//!     primary: Area::new(0x1001_8000, 0xEE000),
//!     secondary: Area::new(0x1010_5000, 0xEE000),
//!     confirmable: true,
//! }];
//! const WRONG: FlashMap = FlashMap::checked(MapSpec { images: &PAIRS, ..*psoc62::INTERNAL_OVERWRITE.spec() });
//! # let _ = WRONG;
//! ```
//!
//! A swap whose trailer shares its sector with the image:
//!
//! ```compile_fail
//! # use ota_psoc6::layout::*;
//! const PAIRS: [SlotPair; 1] = [SlotPair {
//!     name: "application",
//!     primary: Area::new(0x1001_8000, 0x1C_0000),
//!     secondary: Area::new(0x1800_0000, 0x1C_0000),
//!     confirmable: true,
//! }];
//! const WRONG: FlashMap = FlashMap::checked(MapSpec { images: &PAIRS, ..*psoc62::EXTERNAL_SWAP.spec() });
//! # let _ = WRONG;
//! ```
//!
//! A mode that does not suit the rows of this flash:
//!
//! ```compile_fail
//! # use ota_psoc6::layout::*;
//! # use ota_core::geometry::BootMode;
//! const WRONG: FlashMap = psoc62::checked(Secondary::Internal, BootMode::SwapMove, Bootloader::Small);
//! # let _ = WRONG;
//! ```

mod area;
mod error;
mod map;
mod memory_x;
pub mod psoc62;
#[cfg(test)]
mod tests;

pub use area::{
    Area, Device, EXTERNAL_ERASE_MS, EXTERNAL_PAGE_SIZE, EXTERNAL_SECTOR_SIZE, ROW_SIZE, SUBSECTOR_SIZE,
};
pub use error::MapError;
pub(crate) use map::MAX_IMAGES;
pub use map::{BOOT_WRITE_SIZE, FlashMap, HEADER_SIZE, MapSpec, Reserved, SRAM, SlotPair};
pub use memory_x::MemoryX;

/// Where the secondary slot lies on a PSoC 62.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secondary {
    /// In the chip's own flash.
    Internal,
    /// In the external serial flash. The default, as in the original.
    External,
}

impl Secondary {
    /// What the build asks for: [`Internal`](Self::Internal) with the feature `internal-secondary` or with the environment
    /// variable `OTA_USE_EXTERNAL_FLASH` set to zero while compiling, else [`External`](Self::External).
    ///
    /// The feature together with the variable set to anything but zero is a contradiction and does not compile.
    pub const SELECTED: Self = match (cfg!(feature = "internal-secondary"), Self::environment()) {
        (true, Some(Self::External)) => {
            panic!("feature internal-secondary, but OTA_USE_EXTERNAL_FLASH asks for external flash")
        }
        (true, Some(Self::Internal) | None) | (false, Some(Self::Internal)) => Self::Internal,
        (false, Some(Self::External) | None) => Self::External,
    };

    const fn environment() -> Option<Self> {
        match option_env!("OTA_USE_EXTERNAL_FLASH") {
            Some(value) => Some(Self::from_variable(value)),
            None => None,
        }
    }

    /// What a value of `OTA_USE_EXTERNAL_FLASH` means: zero is internal, anything else external.
    pub const fn from_variable(value: &str) -> Self {
        let bytes = value.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] != b'0' {
                return Self::External;
            }
            at += 1;
        }
        if bytes.is_empty() { Self::External } else { Self::Internal }
    }
}

/// Which generation of MCUBootApp a PSoC 62 runs, by the room it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootloader {
    /// 0x18000 bytes: the original's, and swap builds of AnyCloud.
    Small,
    /// 0x28000 bytes: later swap builds.
    Large,
}
