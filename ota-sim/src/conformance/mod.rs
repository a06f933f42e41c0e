//! Does an implementation keep what its trait promises? Suites to run against a port's own flash driver, boot control and
//! transports, on a host or on the chip: no threads, no clock, no allocation in the suites themselves.
//!
//! | Suite | For |
//! |---|---|
//! | [`nor_flash`] | `NorFlash`, with the rewrite of rows where the part has it |
//! | [`slot`] | the same driver under `ota-core`'s `Slot`: patches of single bytes, as MCUboot's trailer wants them |
//! | [`images`] | `ota_core::boot::Images` with a bootloader behind it |
//! | [`control`] | `Connector` and `Control` with a real broker behind them |
//! | [`ranges`] | `Ranges` with a file server behind it |
//!
//! Each destroys what its area holds, and ends at the first rule that is broken with that rule's sentence. They are the one place
//! in this crate that knows `ota-core`: its traits are what they are about.

mod boot;
mod control;
mod flash;
mod ranges;

use core::fmt;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

pub use boot::{NewImage, images};
pub use control::{ControlSpec, control};
pub use flash::{Area, nor_flash, slot};
pub use ranges::{RangesSpec, ranges};

/// The rule an implementation does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What it must do.
    pub rule: &'static str,
    /// Where it did not: an offset, a length or a count, as the rule's words say.
    pub at: u32,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", self.rule, self.at)
    }
}

impl core::error::Error for Broken {}

/// The rule is broken unless `kept`.
fn must(kept: bool, rule: &'static str, at: u32) -> Result<(), Broken> {
    if kept { Ok(()) } else { Err(Broken { rule, at }) }
}

/// Polls a future so many times and drops it. Whether it was over by then.
fn poll_and_drop(future: impl Future, count: usize) -> bool {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..count).any(|_| matches!(future.as_mut().poll(&mut context), Poll::Ready(_)))
}

/// A byte of a pattern that has no period near a power of two.
fn pattern(seed: u32, at: u32) -> u8 {
    let mixed = (at ^ seed.rotate_left(16)).wrapping_mul(0x9E37_79B1);
    (mixed >> 24) as u8
}
