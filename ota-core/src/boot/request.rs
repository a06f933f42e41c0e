//! The three writes of an application: ask for the image in the secondary, take that back, confirm the running one.
//!
//! | mode | request | confirm |
//! |---|---|---|
//! | overwrite | magic, `swap_info`, `image_ok` if permanent | nothing to confirm |
//! | swap-scratch, -move, -offset | the same | `image_ok` of the primary |
//! | swap-status | magic, `image_ok` if permanent | `image_ok` of the primary, whatever its magic says |
//!
//! The magic is written last: it is the one commit point, and a power cut before it leaves no request. Fields that share a
//! write unit are composed in RAM and programmed once, since a unit of write-once flash has no second chance.

use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    Image, Withdrawn,
    single::{image_info, trailer_of},
};
use crate::{
    bytes::unit_start,
    geometry::{BootMode, Geometry, Reprogram},
    image::HEADER_MAGIC,
    slot::{Compared, FlashError, Slot},
    trailer::{FLAG_SET, Flag, Magic, Pending, Trailer, TrailerLayout},
};

impl<P: NorFlash, S: NorFlash, const UNIT: usize> Image<P, S, UNIT> {
    /// Asks for the image of `size` bytes (to the end of its TLVs) in the secondary.
    pub(super) async fn request(&mut self, size: u32, pending: Pending) -> Result<(), FlashError> {
        let image_end = self.layout.image_offset().checked_add(size).ok_or(FlashError::OutOfBounds)?;
        self.clear_lead().await?;
        let layout = self.layout.secondary_trailer();
        let state = trailer_of(&mut self.secondary, &layout).await?;
        if !is_pending(self.layout.mode(), &state, pending) {
            self.place_request(&layout, &state, pending, image_end).await?;
            // Good magic with a wrong field would be another request than the one wanted.
            let state = trailer_of(&mut self.secondary, &layout).await?;
            if !is_pending(self.layout.mode(), &state, pending) {
                return Err(FlashError::ReadBack);
            }
        }
        match self.layout.mode() {
            BootMode::SwapStatus => self.forget_confirm(pending).await,
            BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => Ok(()),
        }
    }

    /// An old header in sector 0 makes a swap-offset bootloader take the upload for misplaced and erase the slot. No byte
    /// of the image lies in these sectors.
    async fn clear_lead(&mut self) -> Result<(), FlashError> {
        for sector in self.layout.lead_sectors() {
            let mut magic = [0; 4];
            self.secondary.read(self.secondary.geometry().sector_range(sector).start, &mut magic).await?;
            if u32::from_le_bytes(magic) == HEADER_MAGIC {
                self.secondary.erase(sector).await?;
            }
        }
        Ok(())
    }

    async fn place_request(
        &mut self,
        layout: &TrailerLayout,
        state: &Trailer,
        pending: Pending,
        image_end: u32,
    ) -> Result<(), FlashError> {
        let geometry = *self.secondary.geometry();
        let mode = self.layout.mode();
        let number = self.number;
        let byte = |at| layout.request_byte(pending, number, geometry.erased(), at);
        let upgrades = is_pending(mode, state, Pending::Test) && pending == Pending::Permanent;
        // A write torn in an earlier life may have left units that only look blank.
        let torn = geometry.reprogram() == Reprogram::Forbidden && !self.is_fresh(layout);
        let mut cleared = false;
        loop {
            let once = !cleared && !geometry.rewrite();
            let done = if once && torn {
                Err(FlashError::NotErased)
            } else if once && upgrades {
                // By `image_ok` alone: the table does not read `swap_info`, and no moment without a request is needed.
                self.secondary.patch(layout.image_ok(), &[FLAG_SET]).await
            } else {
                self.fresh = 0;
                write_fields(&mut self.secondary, layout, mode, &byte).await
            };
            if done.is_ok() || cleared {
                return done;
            }
            // Something old, torn or programmed before is in the way, or the driver refused a unit that only looked blank.
            self.clear_fields(layout, image_end).await?;
            cleared = true;
        }
    }

    /// Erases a sector of the secondary and remembers it when it holds request fields.
    pub(super) async fn erase_secondary(&mut self, sector: u32) -> Result<(), FlashError> {
        let first = self.first_field_sector(&self.layout.secondary_trailer());
        let bit = sector.checked_sub(first).and_then(|bit| 1u32.checked_shl(bit)).unwrap_or(0);
        // An erase that is dropped or fails half-way leaves anything behind.
        self.fresh &= !bit;
        self.secondary.erase(sector).await?;
        self.fresh |= bit;
        Ok(())
    }

    fn first_field_sector(&self, layout: &TrailerLayout) -> u32 {
        self.secondary.geometry().sector_of(fields_start(layout, self.secondary.geometry().write_size()))
    }

    /// Whether all field sectors were erased in this life and not written since.
    fn is_fresh(&self, layout: &TrailerLayout) -> bool {
        let count = self.secondary.geometry().sector_count() - self.first_field_sector(layout);
        let all = 1u32.checked_shl(count).map_or(u32::MAX, |bit| bit.wrapping_sub(1));
        self.fresh & all == all
    }

    /// Makes all fields read as erased. Rows are rewritten; else the sectors are erased, when no byte of an image that ends
    /// at `image_end` lies in them: [`FlashError::Trailer`], with nothing erased, when one does.
    async fn clear_fields(&mut self, layout: &TrailerLayout, image_end: u32) -> Result<(), FlashError> {
        let geometry = *self.secondary.geometry();
        if geometry.rewrite() {
            let fields = fields_start(layout, geometry.write_size())..geometry.size();
            return self.secondary.compose(fields, &|_| geometry.erased()).await;
        }
        let first = self.first_field_sector(layout);
        if geometry.sector_range(first).start < image_end {
            return Err(FlashError::Trailer);
        }
        // Downwards: the magic goes first.
        for sector in (first..geometry.sector_count()).rev() {
            self.erase_secondary(sector).await?;
        }
        Ok(())
    }

    /// Swap-status bootloaders before 1.8.1 never clear the primary's `image_ok`: what confirmed the running image would
    /// confirm the next one before it has run. It goes once the request is safe (which outranks the revert this could
    /// look like); 1.8.1 and later write that trailer anew themselves.
    async fn forget_confirm(&mut self, pending: Pending) -> Result<(), FlashError> {
        let layout = self.layout.primary_trailer();
        let state = trailer_of(&mut self.primary, &layout).await?;
        let theirs = state.magic == Magic::Good && state.copy_done == Flag::Set;
        match pending {
            // Write-once flash could not forget it without an erase next to the running image.
            Pending::Test if state.image_ok == Flag::Set && !theirs && self.primary.geometry().rewrite() => {
                self.primary.patch(layout.image_ok(), &[self.primary.geometry().erased()]).await?;
                self.confirm_taken = true;
                Ok(())
            }
            Pending::Test | Pending::Permanent => Ok(()),
        }
    }

    pub(super) async fn take_back(&mut self) -> Result<Withdrawn, FlashError> {
        let layout = self.layout.secondary_trailer();
        if self.confirm_taken {
            self.primary.patch(self.layout.primary_trailer().image_ok(), &[FLAG_SET]).await?;
            self.confirm_taken = false;
        }
        match trailer_of(&mut self.secondary, &layout).await?.magic {
            // The bootloader acts on a good magic only.
            Magic::Unset | Magic::Bad => return Ok(Withdrawn::ImageKept),
            Magic::Good => {}
        }
        let offset = self.layout.image_offset();
        let kept = if self.secondary.geometry().rewrite() {
            self.clear_fields(&layout, 0).await?;
            Withdrawn::ImageKept
        } else {
            let size = image_info(&mut self.secondary, offset).await?.map(|info| info.size);
            let image_end = offset.saturating_add(size.unwrap_or(self.layout.max_image_size()));
            let geometry = *self.secondary.geometry();
            let sector = geometry.sector_of(layout.magic());
            self.erase_secondary(sector).await?;
            if geometry.sector_range(sector).start < image_end {
                Withdrawn::SectorLost(sector)
            } else {
                Withdrawn::ImageKept
            }
        };
        match trailer_of(&mut self.secondary, &layout).await?.magic {
            Magic::Unset | Magic::Bad => Ok(kept),
            Magic::Good => Err(FlashError::ReadBack),
        }
    }

    pub(super) async fn confirm_primary(&mut self) -> Result<(), FlashError> {
        let layout = self.layout.primary_trailer();
        let state = trailer_of(&mut self.primary, &layout).await?;
        match (self.layout.mode(), state.magic) {
            (BootMode::Overwrite, _) => return Ok(()),
            (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, Magic::Unset) => {
                return Ok(());
            }
            (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, Magic::Bad) => {
                return Err(FlashError::Trailer);
            }
            (BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset, Magic::Good)
            | (BootMode::SwapStatus, _) => {}
        }
        match state.image_ok {
            Flag::Set => return Ok(()),
            Flag::Unset | Flag::Bad => {}
        }
        match self.primary.patch(layout.image_ok(), &[FLAG_SET]).await {
            // A torn flag on write-once flash: its sector holds the running image's trailer and cannot be erased here.
            Err(FlashError::NotErased) => return Err(FlashError::Trailer),
            done => done?,
        }
        match trailer_of(&mut self.primary, &layout).await?.image_ok {
            Flag::Set => Ok(()),
            Flag::Unset | Flag::Bad => Err(FlashError::ReadBack),
        }
    }
}

/// Whether the secondary asks for exactly this. imgtool's `--pad` writes no `swap_info`, and no bootloader decides by it.
fn is_pending(mode: BootMode, state: &Trailer, pending: Pending) -> bool {
    let image_ok = match pending {
        Pending::Test => Flag::Unset,
        Pending::Permanent => Flag::Set,
    };
    let reverting = match mode {
        // A set copy-done here turns a test into a revert.
        BootMode::SwapOffset => state.copy_done != Flag::Unset,
        BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapStatus => false,
    };
    state.magic == Magic::Good && state.image_ok == image_ok && !reverting
}

/// The write units of field `n` of 4, where they are not the magic's, whose units come last.
fn piece(layout: &TrailerLayout, mode: BootMode, geometry: &Geometry, n: u32) -> Option<Range<u32>> {
    let unit = |at: u32| unit_start(at, geometry.write_size());
    let magic = unit(layout.magic());
    let at = match (n, mode) {
        (0, _) => layout.image_ok(),
        (1 | 2, BootMode::SwapStatus) => return None,
        (1, _) => layout.copy_done(),
        (2, _) => layout.swap_info(),
        (_, _) => return Some(magic..geometry.size()),
    };
    let start = unit(at);
    (start < magic).then(|| start..start.saturating_add(geometry.write_size()))
}

/// Makes the fields say what `byte` says: units that do already are left alone, the magic's unit comes last.
/// [`FlashError::NotErased`], with nothing written, when a unit must be erased first.
async fn write_fields<F: NorFlash, const UNIT: usize>(
    slot: &mut Slot<F, UNIT>,
    layout: &TrailerLayout,
    mode: BootMode,
    byte: &dyn Fn(u32) -> u8,
) -> Result<(), FlashError> {
    let geometry = *slot.geometry();
    // First only looked at, unless whatever is there may be written over.
    for step in (if geometry.rewrite() { 4 } else { 0 })..8 {
        let Some(piece) = piece(layout, mode, &geometry, step % 4) else { continue };
        let writes = step >= 4;
        match slot.compare_with(piece.clone(), byte).await? {
            Compared::Equal => {}
            Compared::Different if !writes => return Err(FlashError::NotErased),
            Compared::Blank | Compared::Different if writes => slot.compose(piece, byte).await?,
            Compared::Blank | Compared::Different => {}
        }
    }
    Ok(())
}

/// Start of the first write unit with a field.
fn fields_start(layout: &TrailerLayout, write_size: u32) -> u32 {
    unit_start(layout.info_start(), write_size)
}
