//! The status partition of the Cypress fork: trailer fields in rows of their own, each kept twice
//! (`swap_status*.c`, `crc32c.c`, v1.7.2-cypress and v1.8.1-cypress).

use super::area::{Area, Flashes};
use super::trailer::{FLAG_SET, Flag, Magic, State, SwapType};
use super::{Bootloader, Mode, StatusVersion};
use crate::flash::{FlashFault, Kind};

/// One row: payload, area magic, counter, CRC-32C.
pub(super) const ROW_SIZE: u32 = 512;
const PAYLOAD: usize = 500;

mod row {
    pub(super) const MAGIC: usize = 500;
    pub(super) const COUNTER: usize = 504;
    pub(super) const CRC: usize = 508;
}

/// Fields in the payload of an area's last row.
mod field {
    pub(super) const SWAP_SIZE: u32 = 477;
    pub(super) const SWAP_INFO: u32 = 481;
    pub(super) const COPY_DONE: u32 = 482;
    pub(super) const IMAGE_OK: u32 = 483;
    pub(super) const MAGIC: u32 = 484;
}

/// In the slots themselves the fields lie as with `max_align` 8.
mod slot {
    pub(super) const MAGIC: u32 = 16;
    pub(super) const IMAGE_OK: u32 = 24;
    /// swap_size, swap_info, copy_done, image_ok, magic.
    pub(super) const TRAILER: u32 = 48;
    pub(super) const SWAP_INFO: usize = 8;
    pub(super) const COPY_DONE: usize = 16;
    pub(super) const IMAGE_OK_IN_TRAILER: usize = 24;
    pub(super) const MAGIC_IN_TRAILER: usize = 32;
    /// What an erase of the slot's trailer has to cover.
    pub(super) const ERASED: u32 = 64;
}

/// Whose record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Primary(usize),
    Secondary(usize),
}

/// Where the records lie in the partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatusMap {
    sector_rows: u32,
}

impl StatusMap {
    pub(super) fn new(max_sectors: u32) -> Self {
        Self { sector_rows: max_sectors.div_ceil(PAYLOAD as u32) }
    }

    fn copy_size(&self) -> u32 {
        (self.sector_rows + 1) * ROW_SIZE
    }

    /// Order: primary 1, secondary 1, scratch, primary 2, secondary 2, ...; each area twice.
    pub(super) fn size(&self, image_count: usize) -> u32 {
        (2 * image_count as u32 + 1) * 2 * self.copy_size()
    }

    fn base(&self, which: Which) -> u32 {
        let index = match which {
            Which::Primary(0) => 0,
            Which::Secondary(0) => 1,
            Which::Primary(image) => 2 * image as u32 + 1,
            Which::Secondary(image) => 2 * image as u32 + 2,
        };
        index * 2 * self.copy_size()
    }
}

/// A row's payload and where its newest copy is.
struct Row {
    payload: [u8; PAYLOAD],
    newest: Option<(u32, u32)>,
}

/// CRC-32C: reflected polynomial 0x82F63B78, all ones before and inverted after.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

impl Bootloader<'_> {
    fn partition(&self) -> Result<Area, FlashFault> {
        self.config.status.ok_or(FlashFault::OutOfBounds)
    }

    fn map(&self) -> StatusMap {
        StatusMap::new(self.config.max_sectors)
    }

    fn area_magic(&self) -> u32 {
        match self.config.mode {
            Mode::SwapStatus(StatusVersion::V1_7) => 0xDEAD_BEAF,
            Mode::SwapStatus(StatusVersion::V1_8)
            | Mode::Overwrite
            | Mode::SwapScratch
            | Mode::SwapMove
            | Mode::SwapOffset => 0xDEAD_BEEF,
        }
    }

    fn trailer_row(&self) -> u32 {
        self.map().sector_rows
    }

    /// The newer of the valid copies; a row without one reads erased, whatever lies there.
    fn read_row(&self, flashes: &mut Flashes<'_, '_>, which: Which, number: u32) -> Result<Row, FlashFault> {
        let (area, map) = (self.partition()?, self.map());
        let mut found = Row { payload: [flashes.erased(area); PAYLOAD], newest: None };
        for copy in 0..2 {
            let mut bytes = [0; ROW_SIZE as usize];
            flashes.read(area, map.base(which) + copy * map.copy_size() + number * ROW_SIZE, &mut bytes)?;
            let word =
                |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            let counter = word(row::COUNTER);
            let valid = word(row::MAGIC) == self.area_magic() && word(row::CRC) == crc32c(&bytes[..row::CRC]);
            if valid && found.newest.is_none_or(|(newest, _)| counter >= newest) {
                found.payload.copy_from_slice(&bytes[..PAYLOAD]);
                found.newest = Some((counter, copy));
            }
        }
        Ok(found)
    }

    /// Changes bytes of a row by writing its other copy, so that the old one stays until the new one is whole.
    fn write_row(
        &self,
        flashes: &mut Flashes<'_, '_>,
        which: Which,
        number: u32,
        at: u32,
        value: &[u8],
    ) -> Result<(), FlashFault> {
        let (area, map) = (self.partition()?, self.map());
        let mut old = self.read_row(flashes, which, number)?;
        old.payload[at as usize..][..value.len()].copy_from_slice(value);
        let (counter, copy) = old.newest.map_or((1, 0), |(counter, copy)| (counter + 1, (copy + 1) % 2));
        let mut bytes = [0; ROW_SIZE as usize];
        bytes[..PAYLOAD].copy_from_slice(&old.payload);
        bytes[row::MAGIC..row::COUNTER].copy_from_slice(&self.area_magic().to_le_bytes());
        bytes[row::COUNTER..row::CRC].copy_from_slice(&counter.to_le_bytes());
        let crc = crc32c(&bytes[..row::CRC]);
        bytes[row::CRC..].copy_from_slice(&crc.to_le_bytes());
        let begin = map.base(which) + copy * map.copy_size() + number * ROW_SIZE;
        if flashes.config(area).kind != Kind::RowRewrite {
            flashes.erase(area, begin, begin + ROW_SIZE)?;
        }
        flashes.write(area, begin, &bytes)
    }

    fn write_record(
        &self,
        flashes: &mut Flashes<'_, '_>,
        which: Which,
        at: u32,
        value: &[u8],
    ) -> Result<(), FlashFault> {
        self.write_row(flashes, which, self.trailer_row(), at, value)
    }

    /// Erases both copies of an area.
    pub(super) fn clear_record(&self, flashes: &mut Flashes<'_, '_>, which: Which) -> Result<(), FlashFault> {
        let (area, map) = (self.partition()?, self.map());
        let begin = map.base(which);
        flashes.erase(area, begin, begin + 2 * map.copy_size())
    }

    pub(super) fn record_state(
        &self,
        flashes: &mut Flashes<'_, '_>,
        which: Which,
    ) -> Result<State, FlashFault> {
        let erased = flashes.erased(self.partition()?);
        let payload = self.read_row(flashes, which, self.trailer_row())?.payload;
        let mut magic = [0; 16];
        magic.copy_from_slice(&payload[field::MAGIC as usize..]);
        let swap_info = payload[field::SWAP_INFO as usize];
        Ok(State {
            magic: self.decode_magic(magic, erased),
            image_ok: Flag::decode(payload[field::IMAGE_OK as usize], erased),
            copy_done: Flag::decode(payload[field::COPY_DONE as usize], erased),
            swap_info: if swap_info == erased { 0 } else { swap_info },
        })
    }

    pub(super) fn record_swap_size(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
    ) -> Result<u32, FlashFault> {
        let payload = self.read_row(flashes, Which::Primary(image), self.trailer_row())?.payload;
        let at = field::SWAP_SIZE as usize;
        Ok(u32::from_le_bytes([payload[at], payload[at + 1], payload[at + 2], payload[at + 3]]))
    }

    /// Reads what the application left in the slots into the records. Reading changes flash here: an imported or torn
    /// request is erased from the slot, and with it the whole sector it lies in.
    pub(super) fn import(&self, flashes: &mut Flashes<'_, '_>, image: usize) -> Result<(), FlashFault> {
        let slots = self.config.images[image];
        let primary = self.record_state(flashes, Which::Primary(image))?;
        if primary.copy_done == Flag::Set && primary.image_ok == Flag::Unset {
            let byte = flashes.read_byte(slots.primary, slots.primary.size - slot::IMAGE_OK)?;
            if byte == FLAG_SET {
                self.write_record(flashes, Which::Primary(image), field::IMAGE_OK, &[FLAG_SET])?;
            }
        }
        if self.record_state(flashes, Which::Secondary(image))?.magic == Magic::Good {
            return Ok(());
        }
        let (area, erased) = (slots.secondary, flashes.erased(slots.secondary));
        let mut magic = [0; 16];
        flashes.read(area, area.size - slot::MAGIC, &mut magic)?;
        let mut keep = false;
        match self.decode_magic(magic, erased) {
            Magic::Unset => return Ok(()),
            Magic::Bad => {}
            Magic::Good => {
                self.write_record(flashes, Which::Secondary(image), field::MAGIC, &magic)?;
                let byte = flashes.read_byte(area, area.size - slot::IMAGE_OK)?;
                if Flag::decode(byte, erased) == Flag::Set {
                    self.write_record(flashes, Which::Secondary(image), field::IMAGE_OK, &[FLAG_SET])?;
                    keep = self.config.mode == Mode::SwapStatus(StatusVersion::V1_8);
                }
            }
        }
        if keep { Ok(()) } else { flashes.erase(area, area.size - slot::MAGIC, area.size) }
    }

    /// Makes a revert that is about to begin survive a cut: the secondary asks for it as a permanent update.
    pub(super) fn record_revert(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
    ) -> Result<(), FlashFault> {
        self.write_record(flashes, Which::Secondary(image), field::IMAGE_OK, &[FLAG_SET])?;
        self.write_record(flashes, Which::Secondary(image), field::MAGIC, &self.magic())
    }

    /// Records a swap that is to begin. Field by field, the magic last.
    pub(super) fn record_begin(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        swap: SwapType,
        size: u32,
    ) -> Result<(), FlashFault> {
        let which = Which::Primary(image);
        self.clear_record(flashes, which)?;
        self.write_record(flashes, which, field::SWAP_INFO, &[(image as u8) << 4 | swap as u8])?;
        if swap == SwapType::Perm {
            self.write_record(flashes, which, field::IMAGE_OK, &[FLAG_SET])?;
        }
        self.write_record(flashes, which, field::SWAP_SIZE, &size.to_le_bytes())?;
        self.write_record(flashes, which, field::MAGIC, &self.magic())
    }

    /// Erases what is left in the slots' own trailers, then the request.
    pub(super) fn record_begun(&self, flashes: &mut Flashes<'_, '_>, image: usize) -> Result<(), FlashFault> {
        let slots = self.config.images[image];
        for area in [slots.primary, slots.secondary] {
            self.erase_slot_trailer(flashes, area)?;
        }
        self.clear_record(flashes, Which::Secondary(image))
    }

    pub(super) fn erase_slot_trailer(
        &self,
        flashes: &mut Flashes<'_, '_>,
        area: Area,
    ) -> Result<(), FlashFault> {
        if flashes.is_blank(area, area.size - slot::ERASED, area.size)? {
            return Ok(());
        }
        flashes.erase(area, area.size - slot::ERASED, area.size)
    }

    /// Steps of the swap recorded so far: one byte a chunk, its state 1, 2 or 3.
    pub(super) fn record_progress(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
    ) -> Result<u32, FlashFault> {
        let erased = flashes.erased(self.partition()?);
        let mut progress = 0;
        for number in 0..self.map().sector_rows {
            let payload = self.read_row(flashes, Which::Primary(image), number)?.payload;
            for (index, &state) in (number * PAYLOAD as u32..self.config.max_sectors).zip(&payload) {
                if state == erased {
                    return Ok(progress);
                }
                progress = index * 3 + u32::from(state.min(3));
            }
        }
        Ok(progress)
    }

    pub(super) fn record_step(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        step: u32,
    ) -> Result<(), FlashFault> {
        let (chunk, state) = (step / 3, (step % 3) as u8 + 1);
        let (number, at) = (chunk / PAYLOAD as u32, chunk % PAYLOAD as u32);
        self.write_row(flashes, Which::Primary(image), number, at, &[state])
    }

    /// Ends a swap; from v1.8.1 on the primary slot gets a trailer of its own first.
    pub(super) fn record_finish(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
        swap: SwapType,
        size: u32,
    ) -> Result<(), FlashFault> {
        let which = Which::Primary(image);
        let permanent = match swap {
            SwapType::Perm | SwapType::Revert | SwapType::Fail => true,
            SwapType::Test | SwapType::None => false,
        };
        if permanent && self.record_state(flashes, which)?.image_ok == Flag::Unset {
            self.write_record(flashes, which, field::IMAGE_OK, &[FLAG_SET])?;
        }
        if self.config.mode == Mode::SwapStatus(StatusVersion::V1_8) {
            let area = self.config.images[image].primary;
            self.erase_slot_trailer(flashes, area)?;
            let mut bytes = [flashes.erased(area); slot::TRAILER as usize];
            bytes[..4].copy_from_slice(&size.to_le_bytes());
            bytes[slot::SWAP_INFO] = (image as u8) << 4 | swap as u8;
            bytes[slot::COPY_DONE] = FLAG_SET;
            if permanent {
                bytes[slot::IMAGE_OK_IN_TRAILER] = FLAG_SET;
            }
            bytes[slot::MAGIC_IN_TRAILER..].copy_from_slice(&self.magic());
            flashes.write_field(area, area.size - slot::TRAILER, &bytes, 1)?;
        }
        self.write_record(flashes, which, field::COPY_DONE, &[FLAG_SET])
    }

    /// Marks the primary as good, so that no revert follows.
    pub(super) fn record_image_ok(
        &self,
        flashes: &mut Flashes<'_, '_>,
        image: usize,
    ) -> Result<(), FlashFault> {
        self.write_record(flashes, Which::Primary(image), field::IMAGE_OK, &[FLAG_SET])
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn crc_check_value() {
        assert_eq!(super::crc32c(b"123456789"), 0xE306_9283);
    }
}
