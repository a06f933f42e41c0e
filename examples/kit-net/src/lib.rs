//! The network of the kits' firmware, as far as no hardware is in it: when to try, how often, what to call a failure, when to
//! begin anew, and how the watchdog is fed meanwhile.
//!
//! The firmware in `examples/kit` runs this code over the chip; the tests run it over a world in virtual time in which access
//! point, DHCP, DNS and time server fail one after the other.
//!
//! | Module | Decides | Over |
//! |---|---|---|
//! | [`wifi`] | joining, waiting for an address, switching the module off and on | [`Module`], [`Station`], [`Network`] |
//! | [`time`] | asking a time server | [`TimeServer`], [`Network`] |
//! | [`pace`] | growing pauses with jitter, bounded waits | a [`Timer`] |
//! | [`beat`] | the application's heart-beat, which feeds the watchdog | a [`Timer`] |
//! | [`secret`] | random numbers where the chip's own are out of reach | a secret, clocks |
//!
//! The way to the broker from there on (TCP, TLS, MQTT) is tried again by the update agent of `ota-core`.
//!
//! Nothing here waits without a bound but for the end of a pause, for a network that works, and for one that is down while
//! something else is trying to bring it up.
//!
//! [`Module`]: wifi::Module
//! [`Station`]: wifi::Station
//! [`TimeServer`]: time::TimeServer
//! [`Timer`]: ota_core::transport::Timer
#![no_std]

pub mod beat;
pub mod network;
pub mod pace;
pub mod secret;
pub mod time;
pub mod wifi;

pub use network::{Network, Reach};
