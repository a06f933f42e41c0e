//! The trailer of a slot: where its fields lie, what they mean, which swap they ask for.
//!
//! Layout: MCUboot `docs/design.md` "Image trailer"; offsets `bootutil_misc.c`, decision `bootutil_public.c`.

use super::area::{Area, Flashes};
use super::{Bootloader, Mode};
use crate::flash::FlashFault;

pub(super) const MAGIC_SIZE: u32 = 16;
/// What a set flag holds; read from its first byte only.
pub(super) const FLAG_SET: u8 = 0x01;

/// The magic of a bootloader built with this `BOOT_MAX_ALIGN`; `None` unless it is 8, 16 or 32.
pub const fn trailer_magic(max_align: u32) -> Option<[u8; 16]> {
    match max_align {
        8 => Some([
            0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80,
        ]),
        16 => Some(wide_magic(0x10)),
        32 => Some(wide_magic(0x20)),
        _ => None,
    }
}

/// The later form: it begins with the alignment, little-endian.
const fn wide_magic(max_align: u8) -> [u8; 16] {
    [max_align, 0x00, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a]
}

/// The kind of update, with MCUboot's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SwapType {
    /// Boot what is in the primary.
    None = 1,
    /// Run the new image once; it is reverted unless it confirms itself.
    Test = 2,
    /// Install the new image for good.
    Perm = 3,
    /// Bring the previous image back.
    Revert = 4,
    /// The image of an interrupted swap turned out bad.
    Fail = 5,
}

impl SwapType {
    /// Decodes `swap_info`: type in the low nibble, anything unknown is none.
    pub(super) fn from_info(info: u8) -> Self {
        match info & 0x0F {
            2 => Self::Test,
            3 => Self::Perm,
            4 => Self::Revert,
            _ => Self::None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Good,
    Bad,
    Unset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Set,
    Bad,
    Unset,
}

impl Flag {
    pub(super) fn decode(byte: u8, erased: u8) -> Self {
        match byte {
            FLAG_SET => Self::Set,
            byte if byte == erased => Self::Unset,
            _ => Self::Bad,
        }
    }
}

/// Meaning of one trailer.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub magic: Magic,
    pub image_ok: Flag,
    pub copy_done: Flag,
    pub swap_info: u8,
}

impl State {
    pub(super) fn swap_type(&self) -> SwapType {
        SwapType::from_info(self.swap_info)
    }
}

/// One row of the decision table; `None` matches anything.
struct Row {
    only_offset: bool,
    primary_magic: Option<Magic>,
    secondary_magic: Option<Magic>,
    primary_image_ok: Option<Flag>,
    secondary_image_ok: Option<Flag>,
    primary_copy_done: Option<Flag>,
    secondary_copy_done: Option<Flag>,
    swap: SwapType,
}

const ANY: Row = Row {
    only_offset: false,
    primary_magic: None,
    secondary_magic: None,
    primary_image_ok: None,
    secondary_image_ok: None,
    primary_copy_done: None,
    secondary_copy_done: None,
    swap: SwapType::None,
};

/// First match wins; the order is part of the meaning: a request outranks a pending revert.
const TABLE: [Row; 4] = [
    Row {
        only_offset: true,
        secondary_magic: Some(Magic::Good),
        secondary_image_ok: Some(Flag::Unset),
        secondary_copy_done: Some(Flag::Set),
        swap: SwapType::Revert,
        ..ANY
    },
    Row {
        secondary_magic: Some(Magic::Good),
        secondary_image_ok: Some(Flag::Unset),
        swap: SwapType::Test,
        ..ANY
    },
    Row {
        secondary_magic: Some(Magic::Good),
        secondary_image_ok: Some(Flag::Set),
        swap: SwapType::Perm,
        ..ANY
    },
    Row {
        primary_magic: Some(Magic::Good),
        primary_image_ok: Some(Flag::Unset),
        primary_copy_done: Some(Flag::Set),
        swap: SwapType::Revert,
        ..ANY
    },
];

/// Which swap two trailers ask for.
pub(super) fn decide(mode: Mode, primary: &State, secondary: &State) -> SwapType {
    fn fits<T: PartialEq>(want: Option<T>, have: T) -> bool {
        want.is_none_or(|want| want == have)
    }
    for row in TABLE {
        if (!row.only_offset || mode == Mode::SwapOffset)
            && fits(row.primary_magic, primary.magic)
            && fits(row.secondary_magic, secondary.magic)
            && fits(row.primary_image_ok, primary.image_ok)
            && fits(row.secondary_image_ok, secondary.image_ok)
            && fits(row.primary_copy_done, primary.copy_done)
            && fits(row.secondary_copy_done, secondary.copy_done)
        {
            return row.swap;
        }
    }
    SwapType::None
}

/// Offsets of the fields of one trailer, from the start of its area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub magic: u32,
    pub image_ok: u32,
    pub copy_done: u32,
    pub swap_info: u32,
    /// Swap-offset mode only.
    pub tlv_sizes: Option<u32>,
    pub swap_size: u32,
    /// Where the status entries begin, which is where the trailer begins.
    pub start: u32,
}

impl Fields {
    pub(super) fn new(mode: Mode, area_size: u32, max_align: u32, trailer_size: u32) -> Self {
        let magic = area_size - MAGIC_SIZE;
        let image_ok = (magic - max_align) / max_align * max_align;
        let copy_done = image_ok - max_align;
        let swap_info = copy_done - max_align;
        let tlv_sizes = (mode == Mode::SwapOffset).then_some(swap_info - max_align);
        let swap_size = tlv_sizes.unwrap_or(swap_info) - max_align;
        Self { magic, image_ok, copy_done, swap_info, tlv_sizes, swap_size, start: area_size - trailer_size }
    }
}

impl Bootloader<'_> {
    /// Length of a slot's trailer: status entries for `max_sectors`, then the info part.
    pub fn trailer_size(&self) -> u32 {
        let status = match self.config.mode {
            Mode::Overwrite | Mode::SwapScratch | Mode::SwapMove | Mode::SwapStatus(_) => 3,
            Mode::SwapOffset => 2,
        };
        status * self.config.max_sectors * self.config.write_size + self.info_size()
    }

    /// Length of the trailer in the scratch area: one sector's status, then the info part.
    pub(super) fn scratch_trailer_size(&self) -> u32 {
        3 * self.config.write_size + self.info_size()
    }

    fn info_size(&self) -> u32 {
        let extra = if self.config.mode == Mode::SwapOffset { self.config.max_align } else { 0 };
        4 * self.config.max_align + extra + MAGIC_SIZE.next_multiple_of(self.config.max_align)
    }

    /// Fields of a slot's trailer.
    pub(super) fn fields(&self, area: Area) -> Fields {
        Fields::new(self.config.mode, area.size, self.config.max_align, self.trailer_size())
    }

    /// Fields of the scratch area's trailer.
    pub(super) fn scratch_fields(&self, area: Area) -> Fields {
        Fields::new(self.config.mode, area.size, self.config.max_align, self.scratch_trailer_size())
    }

    pub(super) fn magic(&self) -> [u8; 16] {
        trailer_magic(self.config.max_align).unwrap_or([0; 16])
    }

    pub(super) fn decode_magic(&self, bytes: [u8; 16], erased: u8) -> Magic {
        if bytes == self.magic() {
            Magic::Good
        } else if bytes == [erased; 16] {
            Magic::Unset
        } else {
            Magic::Bad
        }
    }

    pub(super) fn state(
        &self,
        flashes: &mut Flashes<'_, '_>,
        area: Area,
        fields: &Fields,
    ) -> Result<State, FlashFault> {
        let erased = flashes.erased(area);
        let mut magic = [0; 16];
        flashes.read(area, fields.magic, &mut magic)?;
        let swap_info = flashes.read_byte(area, fields.swap_info)?;
        Ok(State {
            magic: self.decode_magic(magic, erased),
            image_ok: Flag::decode(flashes.read_byte(area, fields.image_ok)?, erased),
            copy_done: Flag::decode(flashes.read_byte(area, fields.copy_done)?, erased),
            swap_info: if swap_info == erased { 0 } else { swap_info },
        })
    }

    pub(super) fn write_flag(
        &self,
        flashes: &mut Flashes<'_, '_>,
        area: Area,
        at: u32,
        value: u8,
    ) -> Result<(), FlashFault> {
        flashes.write_field(area, at, &[value], self.config.write_size)
    }

    /// Writes the magic with the filler before it, as one program of `align_up(16, max_align)` bytes.
    pub(super) fn write_magic(&self, flashes: &mut Flashes<'_, '_>, area: Area) -> Result<(), FlashFault> {
        let mut bytes = [flashes.erased(area); 32];
        let length = MAGIC_SIZE.next_multiple_of(self.config.max_align);
        bytes[(length - MAGIC_SIZE) as usize..length as usize].copy_from_slice(&self.magic());
        flashes.write_field(area, area.size - length, &bytes[..length as usize], self.config.write_size)
    }
}
