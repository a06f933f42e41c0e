//! PSoC 62: the kits CY8CPROTO-062-4343W and CY8CKIT-062S2-43012. PSoC 64 is the same die, and `ota-psoc64` builds on this crate.
//!
//! | Module | What |
//! |---|---|
//! | [`kit`] | pins of the kits |
//! | [`layout`] | where everything lies, checked while compiling |
//! | [`bus`], [`processor`] | the one way to hardware, so that the drivers also run against a model |
//! | [`flash`] | internal flash through system calls ([`syscall`]), the external serial flash through [`smif`] |
//! | [`watchdog`], [`trng`], [`reset`] | the rest of what an update needs of the chip |
//! | [`clock`], [`gpio`], [`uart`] | what a board needs besides |
//! | [`boot`] | the images of a map on these drivers, for `ota-core` |
#![cfg_attr(feature = "sdhc", doc = "| [`sdhc`] | an SDIO card on the SD host controller |")]
#![cfg_attr(feature = "wifi", doc = "| [`wifi`] | the Wi-Fi chip on it |")]
#![cfg_attr(
    any(feature = "build", feature = "wifi"),
    doc = "| [`blobs`] | files the Wi-Fi chip is given, and whether they are whole |"
)]
#![cfg_attr(feature = "time", doc = "| [`time`] | the clock of `embassy-time` |")]
#![cfg_attr(feature = "build", doc = "| [`build`] | `memory.x` from a build script |")]
#![cfg_attr(
    feature = "model",
    doc = "| [`model`] | the registers, as strict as silicon, for tests on a host |"
)]
//!
//! Nothing of this has run on a board: everything is modelled, from the sources named at each item.
#![no_std]

#[cfg(any(feature = "build", feature = "wifi"))]
pub mod blobs;
pub mod boot;
#[cfg(feature = "build")]
pub mod build;
pub mod bus;
pub mod clock;
pub mod flash;
pub mod gpio;
pub mod kit;
pub mod layout;
#[cfg(feature = "model")]
pub mod model;
pub mod processor;
pub mod reset;
#[cfg(feature = "sdhc")]
pub mod sdhc;
pub mod smif;
pub mod syscall;
#[cfg(feature = "time")]
pub mod time;
pub mod trng;
pub mod uart;
pub mod watchdog;
#[cfg(feature = "wifi")]
pub mod wifi;
