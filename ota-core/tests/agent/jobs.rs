//! How a job comes, goes on and goes away.

use ota_core::boot::Revert;

use crate::talk::{In, Setup, Talk};
use crate::wire::{job, next};

#[test]
fn a_whole_update() {
    let t = Talk::confirmed(Setup::ONE);
    let _ = (t, Revert::Yes, next(job()), In::Done);
}
