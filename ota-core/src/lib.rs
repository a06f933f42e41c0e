//! Over-the-air firmware update for embedded Rust.
#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod geometry;
pub mod image;
pub mod journal;
pub mod slot;
pub mod trailer;
pub mod verify;
pub mod version;
