//! Support for the end-to-end tests: a device, its bootloader and its cloud in virtual time.
//!
//! A [`Scenario`] is data; [`Scenario::run`] plays it and returns a [`Report`]. Nothing here sleeps, and nothing is random
//! but the seed. With the variable `OTA_TRACE` set, boots and messages are printed as they happen.

mod application;
mod board;
mod cloud;
mod director;
mod kind;
mod ranges;
mod report;
mod scenario;
mod witness;
mod world;
mod yielding;

pub use board::Wear;
pub use director::{Act, Event, Moment};
pub use kind::Kind;
pub use ranges::Object;
pub use report::Report;
pub use scenario::{Drops, Factory, JOB, Mangle, Offer, Pack, Scenario, SelfTest, THING, bundle, firmware};

/// Whether to print what happens.
pub(crate) fn is_tracing() -> bool {
    static TRACING: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *TRACING.get_or_init(|| std::env::var_os("OTA_TRACE").is_some())
}
