//! The world around a device, for tests: cloud, flash and bootloader, built from published formats.
//!
//! It shares no code with `ota-core`, so an update is judged by a second reading of the same documents. Put it into the
//! dev-dependencies of a firmware to try updates in CI without a board and without an AWS account.
//!
//! | Module | Plays |
//! |---|---|
//! | [`flash`] | flash as strict as the chip: alignment, write-once units, either erased value, rows, torn operations, wear, a power supply that fails at a chosen operation |
//! | [`mcuboot`] | MCUboot: overwrite, swap-scratch, swap-move, swap-offset and Infineon's swap-status, resumed after a cut at any operation |
#![cfg_attr(
    feature = "std",
    doc = "| [`mod@image`] | imgtool: MCUboot images, signed, with dependencies and security counters; keys and certificates |\n| [`aws`] | AWS IoT Jobs and streams as a plain value, and a network in virtual time that loses, doubles, reorders and damages from a seed |"
)]
#![cfg_attr(
    feature = "net",
    doc = "| [`net`] | the same service behind a real MQTT broker: one in the process, or any other; mutual TLS if wanted |\n| [`https`] | a file server with S3's behaviour: presigned URLs that expire, ranges, faults on demand; plain or over TLS |"
)]
//!
//! # Features
//!
//! | Feature | Adds |
//! |---|---|
//! | (none) | `flash` and `mcuboot`, `no_std`, no allocator: they run on an emulated board too |
//! | `std` (default) | `image`, `aws`, flash in a vector or a file |
//! | `net` (default) | `net` and `https` |
//! | `conformance` | `conformance`: suites to run against a port's flash driver, boot control and transports |
//!
//! # What a model cannot show
//!
//! Timing, interrupts, caches, execute-in-place, and where a chip or a live service differs from what its maker wrote
//! down. What the MCUboot model simplifies stands in [`mcuboot`].
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
pub mod aws;
#[cfg(feature = "conformance")]
pub mod conformance;
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
