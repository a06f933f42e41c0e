//! PSoC 64: the kit CY8CKIT-064S0S2-4343W.
//!
//! The same die as PSoC 62 with a secure core in front, so the drivers are those of `ota_psoc6`; what differs is here: the
//! layouts, which the policy in the device decides, and the way to what the secure core keeps to itself.
#![no_std]

pub mod kit;
pub mod layout;
pub mod pra;
