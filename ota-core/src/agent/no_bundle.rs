//! What stands in for `bundle.rs` without the feature `bundle`: no file is a bundle, and the compiler drops what asks.

use super::fetch::Fetch;
use super::job::Job;
use super::plan::Next;
use super::sectors::Sector;
use super::{Agent, Hand};
use crate::geometry::ImageLayout;
use crate::verify::SignedBundle;

/// No bundle.
pub(crate) struct Bundle;

impl Bundle {
    pub(crate) const NONE: Self = Self;

    pub(crate) const fn is_open(&self) -> bool {
        false
    }
}

/// The one image is all of the file.
#[derive(Clone, Copy, Default)]
pub(super) struct Place;

impl Place {
    pub(super) const fn of_file(_size: u32) -> Self {
        Self
    }
}

impl Fetch<'_> {
    pub(super) const fn image_start(&self) -> u32 {
        0
    }

    pub(super) const fn image_end(&self) -> u32 {
        self.size
    }

    pub(super) const fn sectors_at(&self) -> u32 {
        0
    }
}

impl Job {
    pub(crate) const fn close_bundle(&self) {}
}

impl Agent<'_> {
    /// Without the feature `bundle`: 0.
    pub const fn digest_offset(&self, _image: u8) -> u32 {
        0
    }

    /// Without the feature `bundle`: false.
    pub const fn is_bundle(&self) -> bool {
        false
    }

    /// Without the feature `bundle`: none.
    pub const fn bundle_proof(&self) -> Option<&SignedBundle> {
        None
    }

    pub(super) const fn largest_file(&self) -> u32 {
        0
    }

    pub(super) const fn judge_bundle(&self, _data: &[u8]) -> bool {
        false
    }

    pub(super) const fn rehash(&mut self, _hand: Sector) {
        self.fetch.hashed = 0;
    }

    pub(super) const fn takes_bundle_block(&self, _block: u32, _data: &[u8]) -> bool {
        true
    }

    pub(super) const fn plan_bundle(&self, _hand: &Hand) -> Next {
        Next::Nothing
    }

    pub(super) const fn hash_bundle(&self, _end: u32) -> Next {
        Next::Nothing
    }

    pub(super) const fn bundle_given_up(&self, _sector: u32, _layout: &ImageLayout, _lost: bool) {}

    pub(super) fn bundle_signed(&self, _proof: SignedBundle) {}

    pub(super) fn reopen_bundle(&self, _image: u8, _sectors: core::ops::Range<u32>) -> bool {
        false
    }

    pub(super) const fn bundle_progress(&self) -> Option<(u32, [u8; 32])> {
        None
    }
}
