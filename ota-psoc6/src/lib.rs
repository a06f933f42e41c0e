//! PSoC 62: the kits CY8CPROTO-062-4343W and CY8CKIT-062S2-43012.
#![no_std]

pub mod bus;
#[cfg(feature = "sdhc")]
pub mod sdhc;
#[cfg(feature = "wifi")]
pub mod wifi;
