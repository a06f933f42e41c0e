//! Slots and other areas as windows on the devices' flashes.

use crate::flash::{Device, FlashConfig, FlashFault, Kind};

/// A part of one flash. Offsets and sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Which of the flashes given to [`boot`](super::Bootloader::boot).
    pub device: usize,
    /// Where the area begins in that flash; need not be aligned to a sector, but to the write size.
    pub start: u32,
    /// Length.
    pub size: u32,
}

/// Largest write unit the model can handle: its copy buffer.
pub(super) const MAX_WRITE_SIZE: u32 = 1024;

/// The flashes of the device, addressed by area and offset.
pub(super) struct Flashes<'a, 'd>(pub &'a mut [&'d mut dyn Device]);

impl Flashes<'_, '_> {
    pub(super) fn config(&self, area: Area) -> FlashConfig {
        self.0[area.device].config()
    }

    pub(super) fn erased(&self, area: Area) -> u8 {
        self.config(area).erased
    }

    pub(super) fn read(&mut self, area: Area, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        let end = at.checked_add(bytes.len() as u32).ok_or(FlashFault::OutOfBounds)?;
        if end > area.size {
            return Err(FlashFault::OutOfBounds);
        }
        self.0[area.device].read(area.start + at, bytes)
    }

    pub(super) fn read_byte(&mut self, area: Area, at: u32) -> Result<u8, FlashFault> {
        let mut byte = [0];
        self.read(area, at, &mut byte)?;
        Ok(byte[0])
    }

    pub(super) fn write(&mut self, area: Area, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.0[area.device].write(area.start + at, bytes)
    }

    /// Erases the sectors that cover the range.
    pub(super) fn erase(&mut self, area: Area, from: u32, to: u32) -> Result<(), FlashFault> {
        let sector = self.config(area).sector_size;
        let (from, to) = (area.start + from, area.start + to);
        self.0[area.device].erase(from - from % sector, to.next_multiple_of(sector))
    }

    pub(super) fn is_blank(&mut self, area: Area, from: u32, to: u32) -> Result<bool, FlashFault> {
        let erased = self.erased(area);
        let mut chunk = [0; 256];
        let mut at = from;
        while at < to {
            let part = &mut chunk[..(to - at).min(256) as usize];
            self.read(area, at, part)?;
            if part.iter().any(|&byte| byte != erased) {
                return Ok(false);
            }
            at += part.len() as u32;
        }
        Ok(true)
    }

    /// Copies bytes as they are: a byte that means "erased" in one flash is data in one with another erased value.
    /// The destination is erased. The last unit is padded with the destination's erased value.
    pub(super) fn copy(
        &mut self,
        from: Area,
        from_at: u32,
        to: Area,
        to_at: u32,
        length: u32,
    ) -> Result<(), FlashFault> {
        let config = self.config(to);
        let step = MAX_WRITE_SIZE / config.write_size * config.write_size;
        let mut chunk = [0; MAX_WRITE_SIZE as usize];
        let mut done = 0;
        while done < length {
            let part = (length - done).min(step);
            self.read(from, from_at + done, &mut chunk[..part as usize])?;
            let whole = part.next_multiple_of(config.write_size);
            chunk[part as usize..whole as usize].fill(config.erased);
            self.write(to, to_at + done, &chunk[..whole as usize])?;
            done += part;
        }
        Ok(())
    }

    /// Writes a field shorter than a unit: padded with the erased value to `align` on NOR, by reading and rewriting the
    /// unit on parts that rewrite.
    pub(super) fn write_field(
        &mut self,
        area: Area,
        at: u32,
        bytes: &[u8],
        align: u32,
    ) -> Result<(), FlashFault> {
        let config = self.config(area);
        let mut units = [config.erased; MAX_WRITE_SIZE as usize];
        match config.kind {
            Kind::RowRewrite => {
                let begin = at - (area.start + at) % config.write_size;
                let length = (at + bytes.len() as u32 - begin).next_multiple_of(config.write_size);
                let units = &mut units[..length as usize];
                self.read(area, begin, units)?;
                units[(at - begin) as usize..][..bytes.len()].copy_from_slice(bytes);
                self.write(area, begin, units)
            }
            Kind::Nor | Kind::NorReprogram => {
                let length = (bytes.len() as u32).next_multiple_of(align.max(config.write_size));
                units[..bytes.len()].copy_from_slice(bytes);
                self.write(area, at, &units[..length as usize])
            }
        }
    }
}
