//! Requests, withdrawals and confirms on the strict double, with the power cut before, inside and after every operation.

extern crate std;

mod cuts;
mod states;

use std::{rc::Rc, vec, vec::Vec};

use embassy_futures::block_on;
use ota_sim::flash::{FlashConfig, Kind, Supply, VecFlash};

use super::*;
use crate::{
    geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout},
    image::HEADER_MAGIC,
    trailer::TrailerLayout,
};

/// A device with two flashes on one power supply.
struct Device<const PW: usize, const PE: usize, const SW: usize, const SE: usize> {
    supply: Rc<Supply>,
    layout: ImageLayout,
    primary: VecFlash<PW, PE, Rc<Supply>>,
    secondary: VecFlash<SW, SE, Rc<Supply>>,
}

type Booted<const PW: usize, const PE: usize, const SW: usize, const SE: usize> =
    Image<VecFlash<PW, PE, Rc<Supply>>, VecFlash<SW, SE, Rc<Supply>>>;

/// One slot of a test device: where it starts, its size, and what its flash is like.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    size: u32,
    erased: u8,
    kind: Kind,
}

const NOR: Place = Place { start: 0, size: 0x8000, erased: 0xFF, kind: Kind::Nor };

impl Place {
    fn config(self, write: usize, sector: usize) -> FlashConfig {
        let size = (self.start + self.size).next_multiple_of(sector as u32);
        FlashConfig::nor(size, sector as u32, write as u32).with_erased(self.erased).with_kind(self.kind)
    }

    fn geometry(self, write: usize, sector: usize) -> Geometry {
        let (reprogram, rewrite) = match self.kind {
            Kind::Nor => (Reprogram::Forbidden, false),
            Kind::NorReprogram => (Reprogram::Allowed, false),
            Kind::RowRewrite => (Reprogram::Allowed, true),
        };
        let layout = SlotLayout {
            start: self.start,
            size: self.size,
            sector_size: sector as u32,
            write_size: write as u32,
            erased: self.erased,
            reprogram,
            rewrite,
            erase_ms: 0,
        };
        Geometry::new(layout).unwrap()
    }
}

impl<const PW: usize, const PE: usize, const SW: usize, const SE: usize> Device<PW, PE, SW, SE> {
    fn new(mode: BootMode, max_align: MaxAlign, primary: Place, secondary: Place) -> Self {
        let supply = Rc::new(Supply::new());
        let slots = ImageSlots {
            primary: primary.geometry(PW, PE),
            secondary: secondary.geometry(SW, SE),
            mode,
            max_align,
            boot_write_size: 8,
            max_sectors: 128,
        };
        Self {
            layout: ImageLayout::new(slots).unwrap(),
            primary: VecFlash::blank_on(supply.clone(), primary.config(PW, PE)).unwrap(),
            secondary: VecFlash::blank_on(supply.clone(), secondary.config(SW, SE)).unwrap(),
            supply,
        }
    }

    /// Boots: what is in RAM is new, flash is as it was.
    fn run<T>(self, work: impl AsyncFnOnce(&mut Booted<PW, PE, SW, SE>) -> T) -> (Self, T) {
        let Self { supply, layout, primary, secondary } = self;
        supply.power_on();
        let mut image = Image::new(primary, secondary, layout).unwrap();
        let result = block_on(work(&mut image));
        let (primary, secondary) = image.release();
        (Self { supply, layout, primary, secondary }, result)
    }

    /// Puts bytes straight into flash, as a bootloader or a programmer would: `back` bytes before the slot's end.
    fn poke_primary(&mut self, back: u32, bytes: &[u8]) {
        let slot = self.layout.primary();
        self.primary.poke(slot.start() + slot.size() - back, bytes).unwrap();
    }

    fn poke_secondary(&mut self, back: u32, bytes: &[u8]) {
        let slot = self.layout.secondary();
        self.secondary.poke(slot.start() + slot.size() - back, bytes).unwrap();
    }

    fn peek_secondary(&self, back: u32) -> u8 {
        let (slot, mut byte) = (self.layout.secondary(), [0]);
        self.secondary.peek(slot.start() + slot.size() - back, &mut byte).unwrap();
        byte[0]
    }

    fn violations(&self) -> u32 {
        self.primary.strict_violations() + self.secondary.strict_violations()
    }
}

/// An image of `size` bytes whose header and TLVs make sense.
fn image_of(size: u32) -> Vec<u8> {
    let mut image: Vec<u8> = (0..size).map(|at| (at as u8).wrapping_mul(7) | 1).collect();
    image[..32].fill(0);
    image[..4].copy_from_slice(&HEADER_MAGIC.to_le_bytes());
    image[8..10].copy_from_slice(&32u16.to_le_bytes());
    image[12..16].copy_from_slice(&(size - 32 - 40).to_le_bytes());
    image[20] = 1;
    let tlvs = size as usize - 40;
    image[tlvs..][..8].copy_from_slice(&[0x07, 0x69, 40, 0, 0x10, 0, 32, 0]);
    image
}

/// Clears what the layout says and writes the image, sector by sector.
async fn download(images: &mut impl Images, image: &[u8]) -> Result<(), FlashError> {
    let layout = *images.layout(0).unwrap();
    let slot = layout.secondary();
    let mut erased = vec![false; slot.sector_count() as usize];
    for sector in layout.trailer_sectors().chain(layout.lead_sectors()) {
        images.erase(0, sector).await?;
        erased[sector as usize] = true;
    }
    let mut at = 0;
    while at < image.len() as u32 {
        let sector = slot.sector_of(at + layout.image_offset());
        if !core::mem::replace(&mut erased[sector as usize], true) {
            images.erase(0, sector).await?;
        }
        let end = (slot.sector_range(sector).end - layout.image_offset()).min(image.len() as u32);
        images.write(0, at, &image[at as usize..end as usize]).await?;
        at = end;
    }
    Ok(())
}

fn layouts(layout: &ImageLayout) -> (TrailerLayout, u32) {
    (layout.secondary_trailer(), layout.secondary().size())
}
