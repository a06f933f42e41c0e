//! Flash drivers.

use core::ops::Range;

use embedded_storage_async::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};
use ota_core::geometry::Geometry;
use ota_core::slot::{FlashError, Slot};

use super::{Broken, must, pattern, poll_and_drop};

/// Largest unit of writing, bytes, and the buffer on the stack.
const UNIT_MAX: usize = 1024;
/// Largest unit of reading `ota-core` puts up with.
const READ_MAX: usize = 64;

/// A part of a device that may be destroyed, and what the part's data sheet says: at least three sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First byte, a multiple of `sector_size`.
    pub start: u32,
    /// Sectors, three or more.
    pub sector_count: u32,
    /// Erase unit of this area.
    pub sector_size: u32,
    /// Write unit of this area.
    pub write_size: u32,
    /// What an erased byte reads as.
    pub erased: u8,
    /// A write replaces whole units and needs no erase before it.
    pub rewrite: bool,
}

impl Area {
    fn sector(&self, number: u32) -> Range<u32> {
        let from = self.start + number * self.sector_size;
        from..from + self.sector_size
    }
}

/// Everything `ota-core` relies on in a `NorFlash`.
///
/// # Errors
/// The first rule that is broken.
pub async fn nor_flash<F: NorFlash>(flash: &mut F, area: &Area) -> Result<(), Broken> {
    let (write, sector) = (area.write_size, area.sector_size);
    must(F::READ_SIZE <= READ_MAX, "READ_SIZE is 64 at most", F::READ_SIZE as u32)?;
    must(write as usize <= UNIT_MAX, "a write unit is 1024 bytes at most", write)?;
    must(
        write.is_multiple_of(F::WRITE_SIZE as u32),
        "the area's write unit is whole units of WRITE_SIZE",
        write,
    )?;
    must(
        sector.is_multiple_of(F::ERASE_SIZE as u32),
        "the area's sector is whole units of ERASE_SIZE",
        sector,
    )?;
    must(sector.is_multiple_of(write), "a sector is whole write units", sector)?;
    must(area.sector_count >= 3, "the area has three sectors", area.sector_count)?;
    let end = area.sector(area.sector_count - 1).end;
    must(flash.capacity() >= end as usize, "the area lies inside of the capacity", end)?;

    erases(flash, area).await?;
    writes(flash, area).await?;
    reads(flash, area).await?;
    refuses(flash, area).await?;
    if area.rewrite {
        rewrites(flash, area).await?;
    }
    dropped(flash, area).await
}

async fn erases<F: NorFlash>(flash: &mut F, area: &Area) -> Result<(), Broken> {
    let whole = area.start..area.sector(area.sector_count - 1).end;
    let erased = flash.erase(whole.start, whole.end).await;
    must(erased.is_ok(), "several sectors can be erased at once", whole.start)?;
    holds(flash, whole.clone(), |_| area.erased, "an erased byte reads as the erased value").await?;
    fill(flash, area, whole.clone(), 1).await?;
    let middle = area.sector(1);
    must(flash.erase(middle.start, middle.end).await.is_ok(), "one sector can be erased", middle.start)?;
    holds(flash, middle.clone(), |_| area.erased, "an erase leaves nothing behind").await?;
    let others = "an erase leaves its neighbours alone";
    holds(flash, whole.start..middle.start, |at| pattern(1, at), others).await?;
    holds(flash, middle.end..whole.end, |at| pattern(1, at), others).await?;
    must(
        flash.erase(middle.start, middle.end).await.is_ok(),
        "what is erased can be erased again",
        middle.start,
    )
}

async fn writes<F: NorFlash>(flash: &mut F, area: &Area) -> Result<(), Broken> {
    // Sector 1 is erased. One unit in its middle, then all before, then all behind it at once.
    let (sector, unit) = (area.sector(1), area.write_size);
    let count = area.sector_size / unit;
    let middle = sector.start + count / 2 * unit;
    fill(flash, area, middle..middle + unit, 2).await?;
    holds(flash, middle..middle + unit, |at| pattern(2, at), "what was written is read").await?;
    let others = "a write leaves its neighbours alone";
    holds(flash, sector.start..middle, |_| area.erased, others).await?;
    holds(flash, middle + unit..sector.end, |_| area.erased, others).await?;
    fill(flash, area, sector.start..middle, 3).await?;
    fill(flash, area, middle + unit..sector.end, 3).await?;
    holds(flash, middle..middle + unit, |at| pattern(2, at), others).await?;
    let rest = "several units are written at once";
    holds(flash, sector.start..middle, |at| pattern(3, at), rest).await?;
    holds(flash, middle + unit..sector.end, |at| pattern(3, at), rest).await
}

async fn reads<F: NorFlash>(flash: &mut F, area: &Area) -> Result<(), Broken> {
    let (sector, step) = (area.sector(2), F::READ_SIZE as u32);
    let mut buffer = [0; 3 * READ_MAX];
    for len in (step..).step_by(step as usize).take_while(|len| *len <= 3 * READ_MAX as u32) {
        // Over a border of write units, where there is one.
        let at = sector.start + area.write_size.saturating_sub(len / 2 / step * step) / step * step;
        let part = &mut buffer[..len as usize];
        part.fill(0);
        must(flash.read(at, part).await.is_ok(), "any length of whole READ_SIZEs can be read", len)?;
        let equal = part.iter().zip(at..).all(|(byte, at)| *byte == pattern(1, at));
        must(equal, "a read across units returns both", at)?;
    }
    Ok(())
}

async fn refuses<F: NorFlash>(flash: &mut F, area: &Area) -> Result<(), Broken> {
    let sector = area.sector(1);
    let capacity = flash.capacity() as u32;
    let unit = F::WRITE_SIZE as u32;
    let buffer = [area.erased; UNIT_MAX];
    let one = &buffer[..unit as usize];
    let beyond = "what lies outside of the capacity is refused, and nothing is done";
    let past = capacity.next_multiple_of(unit);
    must(flash.write(past, one).await.is_err(), beyond, past)?;
    must(
        flash.erase(capacity, capacity.saturating_add(F::ERASE_SIZE as u32)).await.is_err(),
        beyond,
        capacity,
    )?;
    must(flash.read(capacity, &mut [0; READ_MAX][..F::READ_SIZE]).await.is_err(), beyond, capacity)?;
    let aligned = "what is not aligned is refused as NotAligned, and nothing is done";
    let is_not_aligned = |result: Result<(), F::Error>| {
        result.is_err_and(|error| matches!(error.kind(), NorFlashErrorKind::NotAligned))
    };
    if unit > 1 {
        must(is_not_aligned(flash.write(sector.start + 1, one).await), aligned, sector.start + 1)?;
        let short = &one[..unit as usize - 1];
        must(is_not_aligned(flash.write(sector.start, short).await), aligned, unit - 1)?;
    }
    if F::ERASE_SIZE > 1 {
        must(is_not_aligned(flash.erase(sector.start + 1, sector.end).await), aligned, sector.start + 1)?;
        must(is_not_aligned(flash.erase(sector.start, sector.end - 1).await), aligned, sector.end - 1)?;
    }
    must(
        flash.erase(sector.end, sector.start).await.is_err(),
        "an erase that ends before it begins is refused",
        sector.end,
    )?;
    let middle = sector.start + area.sector_size / area.write_size / 2 * area.write_size;
    holds(flash, sector.start..middle, |at| pattern(3, at), aligned).await?;
    holds(flash, middle + area.write_size..sector.end, |at| pattern(3, at), aligned).await
}

async fn rewrites<F: NorFlash>(flash: &mut F, area: &Area) -> Result<(), Broken> {
    let (sector, unit) = (area.sector(1), area.write_size);
    fill(flash, area, sector.clone(), 4).await?;
    holds(flash, sector.clone(), |at| pattern(4, at), "a row is written over without an erase").await?;
    let last = sector.end - unit..sector.end;
    fill(flash, area, last.clone(), 5).await?;
    holds(flash, last.clone(), |at| pattern(5, at), "one row is written over").await?;
    let others = "a row that is written over leaves its neighbours alone";
    holds(flash, sector.start..last.start, |at| pattern(4, at), others).await?;
    holds(flash, area.sector(2), |at| pattern(1, at), others).await
}

/// Futures that are dropped after any number of polls leave a driver that works.
async fn dropped<F: NorFlash>(flash: &mut F, area: &Area) -> Result<(), Broken> {
    let works = "after a dropped future the next operation works";
    let sector = area.sector(1);
    let buffer = [0x5A; UNIT_MAX];
    let unit = &buffer[..area.write_size as usize];
    for count in 1..8 {
        let over = poll_and_drop(flash.erase(sector.start, sector.end), count);
        must(flash.erase(sector.start, sector.end).await.is_ok(), works, count as u32)?;
        holds(flash, sector.clone(), |_| area.erased, works).await?;
        let over = poll_and_drop(flash.write(sector.start, unit), count) && over;
        must(flash.erase(sector.start, sector.end).await.is_ok(), works, count as u32)?;
        fill(flash, area, sector.clone(), 6).await?;
        holds(flash, sector.clone(), |at| pattern(6, at), works).await?;
        if over {
            break;
        }
    }
    let others = "a dropped future leaves the sectors around it alone";
    holds(flash, area.sector(2), |at| pattern(1, at), others).await
}

/// `ota-core`'s `Slot` over the driver: single bytes of a trailer changed, the rest of the row kept.
///
/// # Errors
/// The first rule that is broken.
pub async fn slot<F: NorFlash>(flash: F, geometry: Geometry) -> Result<(), Broken> {
    let Ok(mut slot) = Slot::<F, UNIT_MAX>::with_unit(flash, geometry) else {
        return Err(Broken { rule: "the geometry suits the driver", at: geometry.start() });
    };
    let sector_count = geometry.sector_count();
    for sector in 0..sector_count {
        must(slot.erase(sector).await.is_ok(), "every sector of the slot can be erased", sector)?;
    }
    // The places of MCUboot's trailer, from the end: magic, image ok, copy done, swap info. Each alone, on a fresh slot, and
    // where rows can be rewritten all after one another.
    let size = geometry.size();
    let mut expected = [geometry.erased(); 64];
    let mut written = [u32::MAX; 4];
    for (place, (from_end, len)) in [(16, 16), (24, 1), (32, 1), (40, 1)].into_iter().enumerate() {
        let data = [0xA5; 16];
        let at = size - from_end;
        let unit = at / geometry.write_size();
        let patched = slot.patch(at, &data[..len]).await;
        if geometry.rewrite() || !written.contains(&unit) {
            must(patched.is_ok(), "single bytes of the trailer can be changed", from_end)?;
            let at = 64 - from_end as usize;
            expected[at..at + len].copy_from_slice(&data[..len]);
        } else {
            must(patched == Err(FlashError::NotErased), "a unit is not written twice", from_end)?;
        }
        written[place] = unit;
        let mut found = [0; 64];
        must(slot.read(size - 64, &mut found).await.is_ok(), "the trailer can be read", size - 64)?;
        must(found == expected, "a change of single bytes keeps the rest of their unit", from_end)?;
    }
    Ok(())
}

/// Writes the pattern over whole units, as many at once as the buffer holds.
async fn fill<F: NorFlash>(flash: &mut F, area: &Area, range: Range<u32>, seed: u32) -> Result<(), Broken> {
    let mut buffer = [0; UNIT_MAX];
    let step = UNIT_MAX as u32 / area.write_size * area.write_size;
    for from in range.clone().step_by(step as usize) {
        let part = &mut buffer[..step.min(range.end - from) as usize];
        for (byte, at) in part.iter_mut().zip(from..) {
            *byte = pattern(seed, at);
        }
        must(flash.write(from, part).await.is_ok(), "erased units can be written", from)?;
    }
    Ok(())
}

async fn holds<F: NorFlash>(
    flash: &mut F,
    range: Range<u32>,
    byte: impl Fn(u32) -> u8,
    rule: &'static str,
) -> Result<(), Broken> {
    let mut buffer = [0; UNIT_MAX];
    for from in range.clone().step_by(UNIT_MAX) {
        let part = &mut buffer[..(range.end - from).min(UNIT_MAX as u32) as usize];
        must(flash.read(from, part).await.is_ok(), "the area can be read", from)?;
        let wrong = part.iter().zip(from..).find(|(found, at)| **found != byte(*at));
        must(wrong.is_none(), rule, wrong.map_or(0, |(_, at)| at))?;
    }
    Ok(())
}
