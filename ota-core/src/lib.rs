//! Over-the-air firmware update for embedded Rust.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "mqtt")]
pub mod mqtt;
pub mod transport;
