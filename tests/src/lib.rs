//! Support for the end-to-end tests: a device, its bootloader and its cloud in virtual time.
//!
//! A [`Scenario`] is data; [`Scenario::run`] plays it and returns a [`Report`]. Nothing here sleeps, and nothing is random
//! but the seed.

mod board;
mod cloud;
mod ranges;
mod scenario;

pub use board::Kind;
pub use ranges::Object;
pub use scenario::{JOB, Report, Scenario, SelfTest, THING};
