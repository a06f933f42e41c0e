//! Over-the-air firmware update for embedded Rust.
#![no_std]
#![forbid(unsafe_code)]

pub mod agent;
pub mod bitmap;
pub mod boot;
pub mod command;
pub mod driver;
pub mod geometry;
pub mod image;
pub mod journal;
pub mod policy;
pub mod slot;
pub mod status;
pub mod trailer;
pub mod transport;
pub mod verify;
pub mod version;
pub mod wire;

#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "tls")]
pub mod tls;
