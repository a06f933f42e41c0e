//! Strict flash double, MCUboot model and AWS IoT stand-in.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

pub mod flash;
#[cfg(feature = "std")]
pub mod aws;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "std")]
pub mod image;
pub mod mcuboot;
mod version;

pub use version::Version;
