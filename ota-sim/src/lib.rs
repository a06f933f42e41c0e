//! Strict flash double, MCUboot model and AWS IoT stand-in.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
pub mod aws;
pub mod flash;
#[cfg(feature = "net")]
pub mod https;
#[cfg(feature = "std")]
pub mod image;
pub mod mcuboot;
#[cfg(feature = "net")]
pub mod net;
mod version;

pub use version::Version;
