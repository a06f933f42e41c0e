//! MCUboot's image trailer: where its fields lie, what they read as, and which swap follows from them. Pure.
//!
//! The trailer grows down from the slot's end (MCUboot `docs/design.md`, "Image trailer"). The application reads four
//! fields and writes at most three; status entries, `swap_size` and keys belong to the bootloader.
//!
//! ```text
//! | status entries | keys | swap_size | swap_info | copy_done | image_ok | magic (16) |  slot end
//!                          '-- M ------'-- M ------'-- M ------'-- M -----'    (M = max-align)
//! ```

use crate::geometry::{BootMode, MaxAlign};

/// Length of the magic in bytes, for every max-align.
pub const MAGIC_SIZE: u32 = 16;

/// The last bytes of a slot that hold a swap-status request: magic, and `image_ok` 8 bytes before it.
pub const STATUS_REQUEST_SIZE: u32 = 24;

/// Most bytes from `swap_info` to the slot's end (max-align 32).
pub const MAX_INFO_SIZE: usize = 128;

/// What a set flag is written as.
pub const FLAG_SET: u8 = 1;

const MAGIC_8: [u8; 16] =
    [0x77, 0xC2, 0x95, 0xF3, 0x60, 0xD2, 0xEF, 0x7F, 0x35, 0x52, 0x50, 0x0F, 0x2C, 0xB6, 0x79, 0x80];
const MAGIC_16: [u8; 16] =
    [0x10, 0x00, 0x2D, 0xE1, 0x5D, 0x29, 0x41, 0x0B, 0x8D, 0x77, 0x67, 0x9C, 0x11, 0x0F, 0x1F, 0x8A];
const MAGIC_32: [u8; 16] =
    [0x20, 0x00, 0x2D, 0xE1, 0x5D, 0x29, 0x41, 0x0B, 0x8D, 0x77, 0x67, 0x9C, 0x11, 0x0F, 0x1F, 0x8A];

/// Places of a slot's trailer fields, as byte offsets in the slot. Offsets depend on max-align only, never on the write
/// size (the `boot_*_off` functions of bootutil).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerLayout {
    slot_size: u32,
    swap_info: u32,
    max_align: MaxAlign,
    mode: BootMode,
}

/// The magic as a slot holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// The bootloader's magic.
    Good,
    /// Neither the magic nor erased: torn, or another max-align's.
    Bad,
    /// Erased.
    Unset,
}

/// A one-byte flag as a slot holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// 0x01.
    Set,
    /// Neither 0x01 nor erased.
    Bad,
    /// Erased.
    Unset,
}

/// MCUboot's swap types, with bootutil's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SwapType {
    /// Boot the primary as it is.
    None = 1,
    /// Swap; the next reset takes it back unless the image is confirmed.
    Test = 2,
    /// Swap for good.
    Permanent = 3,
    /// Swap back.
    Revert = 4,
}

/// What one slot's trailer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// State of the magic.
    pub magic: Magic,
    /// Whether the image is confirmed, or in a secondary: wanted for good.
    pub image_ok: Flag,
    /// Whether the bootloader finished a swap.
    pub copy_done: Flag,
    /// Swap type and image number of the swap; `None` and 0 when the byte is erased or makes no sense.
    pub swap_info: (SwapType, u8),
}

/// What a set-pending request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Boot the image once; it stays only when confirmed. (Overwrite-only bootloaders keep it in any case.)
    Test,
    /// Boot the image and keep it.
    Permanent,
}

impl MaxAlign {
    /// The magic of a bootloader built with this max-align. It compares all 16 bytes with its own, so another build's
    /// magic reads as [`Magic::Bad`].
    pub const fn magic(self) -> &'static [u8; 16] {
        match self {
            Self::M8 => &MAGIC_8,
            Self::M16 => &MAGIC_16,
            Self::M32 => &MAGIC_32,
        }
    }
}

impl TrailerLayout {
    /// The trailer of a slot of `slot_size` bytes, which must have room for it: [`MAX_INFO_SIZE`] is always enough.
    pub const fn new(slot_size: u32, max_align: MaxAlign, mode: BootMode) -> Self {
        let align = max_align.bytes();
        // `image_ok` is a whole max-align below the magic, the other fields follow it.
        let magic = slot_size.saturating_sub(MAGIC_SIZE);
        let swap_info = (magic - magic % align).saturating_sub(3 * align);
        Self { slot_size, swap_info, max_align, mode }
    }

    /// The boot mode.
    pub(crate) const fn mode(&self) -> BootMode {
        self.mode
    }

    /// Offset of the magic.
    pub const fn magic(&self) -> u32 {
        self.slot_size.saturating_sub(MAGIC_SIZE)
    }

    /// Offset of `image_ok`.
    pub const fn image_ok(&self) -> u32 {
        self.swap_info + 2 * self.max_align.bytes()
    }

    /// Offset of `copy_done`.
    pub const fn copy_done(&self) -> u32 {
        self.swap_info + self.max_align.bytes()
    }

    /// Offset of `swap_info`.
    pub const fn swap_info(&self) -> u32 {
        self.swap_info
    }

    /// Offset of `swap_size`, a `u32` the bootloader writes; in [`BootMode::SwapOffset`] the two TLV sizes take the place
    /// above it.
    pub const fn swap_size(&self) -> u32 {
        let align = self.max_align.bytes();
        self.swap_info().saturating_sub(match self.mode {
            BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapStatus => align,
            BootMode::SwapOffset => 2 * align,
        })
    }

    /// Offset of the lowest field the application writes: `swap_info`, or `image_ok` in [`BootMode::SwapStatus`], whose
    /// bootloader takes magic and `image_ok` only.
    pub const fn info_start(&self) -> u32 {
        match self.mode {
            BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
                self.swap_info()
            }
            BootMode::SwapStatus => self.image_ok(),
        }
    }

    /// Bytes from `swap_info` to the slot's end, what [`Trailer::decode`] wants: 40, 64 or 128.
    pub const fn info_size(&self) -> u32 {
        self.slot_size - self.swap_info()
    }

    /// Bytes the bootloader reserves: status entries for `max_sectors` sectors of `boot_write_size` bytes each, and the
    /// fields; without the keys of encrypted images. `u32::MAX` when that does not fit 32 bits.
    pub const fn size(&self, boot_write_size: u32, max_sectors: u32) -> u32 {
        let (states, fields) = match self.mode {
            BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapStatus => (3, 4),
            BootMode::SwapOffset => (2, 5),
        };
        let align = self.max_align.bytes();
        max_sectors
            .saturating_mul(boot_write_size)
            .saturating_mul(states)
            .saturating_add(fields * align + MAGIC_SIZE.next_multiple_of(align))
    }

    /// The byte a request puts at offset `at` of the secondary, `erased` where it puts none.
    ///
    /// `image` is MCUboot's number of the image (0 to 15), which `swap_info` names. Never for a primary: a magic or
    /// `swap_info` there can make a bootloader exchange the slots.
    pub const fn request_byte(&self, pending: Pending, image: u8, erased: u8, at: u32) -> u8 {
        let (image_ok, kind) = match pending {
            Pending::Test => (erased, SwapType::Test),
            Pending::Permanent => (FLAG_SET, SwapType::Permanent),
        };
        if at >= self.magic() && at < self.slot_size {
            // In range: `at` is less than 16 past the magic's start.
            return self.max_align.magic()[(at - self.magic()) as usize % MAGIC_SIZE as usize];
        }
        if at == self.image_ok() {
            return image_ok;
        }
        match self.mode {
            BootMode::SwapStatus => erased,
            BootMode::Overwrite | BootMode::SwapScratch | BootMode::SwapMove | BootMode::SwapOffset => {
                if at == self.swap_info() { kind as u8 | image << 4 } else { erased }
            }
        }
    }
}

impl Flag {
    /// What a flag byte says on flash whose erased value is `erased`.
    pub const fn decode(byte: u8, erased: u8) -> Self {
        if byte == erased {
            Self::Unset
        } else if byte == FLAG_SET {
            Self::Set
        } else {
            Self::Bad
        }
    }
}

impl Magic {
    /// What 16 bytes say on flash whose erased value is `erased`.
    pub fn decode(bytes: &[u8], max_align: MaxAlign, erased: u8) -> Self {
        if bytes == max_align.magic() {
            Self::Good
        } else if bytes.len() == MAGIC_SIZE as usize && bytes.iter().all(|&byte| byte == erased) {
            Self::Unset
        } else {
            Self::Bad
        }
    }
}

impl Trailer {
    /// What an erased trailer says.
    pub const UNSET: Self = Self {
        magic: Magic::Unset,
        image_ok: Flag::Unset,
        copy_done: Flag::Unset,
        swap_info: (SwapType::None, 0),
    };

    /// Reads the fields from the slot's last bytes, at least [`TrailerLayout::info_size`] of them. `erased` is this slot's
    /// own erased value: the two slots of a pair may differ. `None` when `tail` is too short.
    pub fn decode(tail: &[u8], layout: &TrailerLayout, erased: u8) -> Option<Self> {
        let fields = tail.get(tail.len().checked_sub(layout.info_size() as usize)?..)?;
        // One max-align from each field to the next.
        let align = layout.max_align.bytes() as usize;
        let byte = |at: usize| fields.get(at).copied().unwrap_or(erased);
        Some(Self {
            magic: Magic::decode(fields.last_chunk::<{ MAGIC_SIZE as usize }>()?, layout.max_align, erased),
            image_ok: Flag::decode(byte(2 * align), erased),
            copy_done: Flag::decode(byte(align), erased),
            swap_info: decode_swap_info(byte(0), erased),
        })
    }
}

/// Low nibble the type, high nibble the image (`boot_read_swap_state`).
fn decode_swap_info(byte: u8, erased: u8) -> (SwapType, u8) {
    let image = byte >> 4;
    if byte == erased {
        return (SwapType::None, 0);
    }
    match byte & 0x0F {
        1 => (SwapType::None, image),
        2 => (SwapType::Test, image),
        3 => (SwapType::Permanent, image),
        4 => (SwapType::Revert, image),
        0 | 5..=u8::MAX => (SwapType::None, 0),
    }
}

/// What the bootloader would do at the next reset, before it validates the image: MCUboot's swap-type table
/// (`boot_swap_tables` of `bootutil_public.c`), whose first matching row decides.
///
/// For [`BootMode::SwapStatus`] this is the decision on its status records; given slot trailers it says what they ask for
/// and knows nothing of the partition.
pub fn swap_type(mode: BootMode, primary: &Trailer, secondary: &Trailer) -> SwapType {
    if secondary.magic == Magic::Good {
        match secondary.image_ok {
            // Swap-offset bootloaders test this row first.
            Flag::Unset if mode == BootMode::SwapOffset && secondary.copy_done == Flag::Set => {
                return SwapType::Revert;
            }
            Flag::Unset => return SwapType::Test,
            Flag::Set => return SwapType::Permanent,
            Flag::Bad => {}
        }
    }
    let swapped = primary.magic == Magic::Good && primary.copy_done == Flag::Set;
    if swapped && primary.image_ok == Flag::Unset { SwapType::Revert } else { SwapType::None }
}
