//! Over-the-air firmware update for embedded Rust.
#![no_std]
#![forbid(unsafe_code)]

pub mod transport;
