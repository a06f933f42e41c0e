//! PSoC 62: the kits CY8CPROTO-062-4343W and CY8CKIT-062S2-43012.
#![no_std]

#[cfg(feature = "build")]
pub mod build;
pub mod bus;
pub mod kit;
pub mod layout;
