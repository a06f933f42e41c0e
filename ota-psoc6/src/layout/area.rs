//! Pieces of the address space.

use ota_core::geometry::{Geometry, GeometryError, Reprogram, SlotLayout};

/// Row of internal flash, the unit of a program and the smallest erase (`CPUSS_FLASHC_PA_SIZE`, 128 words).
pub const ROW_SIZE: u32 = 512;
/// Eight rows, which one erase takes in the time of a row.
pub const SUBSECTOR_SIZE: u32 = 8 * ROW_SIZE;
/// Erase sector of the external S25FL512S.
pub const EXTERNAL_SECTOR_SIZE: u32 = 0x4_0000;
/// Program page of the external S25FL512S.
pub const EXTERNAL_PAGE_SIZE: u32 = 512;
/// Longest erase of one external sector in milliseconds.
pub const EXTERNAL_ERASE_MS: u32 = 2600;

/// A flash of a PSoC 6 kit, as the processor addresses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Main flash: rows of 512 bytes, erased to 0x00.
    Internal,
    /// Work flash (the auxiliary flash meant for data): rows of 512 bytes, erased to 0x00.
    Work,
    /// The S25FL512S behind the SMIF block, in its window: sectors of 256 KiB, pages of 512 bytes, erased to 0xFF.
    External,
}

impl Device {
    /// Address of its first byte.
    pub const fn base(self) -> u32 {
        match self {
            Self::Internal => 0x1000_0000,
            Self::Work => 0x1400_0000,
            Self::External => 0x1800_0000,
        }
    }

    /// Bytes of the part; how much of it an application may use is the map's business.
    pub const fn size(self) -> u32 {
        match self {
            Self::Internal => 0x20_0000,
            Self::Work => 0x8000,
            Self::External => 0x400_0000,
        }
    }

    /// What is erased at once at least.
    pub const fn sector_size(self) -> u32 {
        match self {
            Self::Internal | Self::Work => ROW_SIZE,
            Self::External => EXTERNAL_SECTOR_SIZE,
        }
    }

    /// What is written at once at least, and once between erases.
    pub const fn write_size(self) -> u32 {
        match self {
            Self::Internal | Self::Work => ROW_SIZE,
            // The part has ECC over 16 bytes; whole pages keep every unit programmed once.
            Self::External => EXTERNAL_PAGE_SIZE,
        }
    }

    /// What an erased byte reads as.
    pub const fn erased(self) -> u8 {
        match self {
            Self::Internal | Self::Work => 0x00,
            Self::External => 0xFF,
        }
    }

    /// Whether a write replaces its unit (`WriteRow` erases and programs).
    pub const fn rewrite(self) -> bool {
        match self {
            Self::Internal | Self::Work => true,
            Self::External => false,
        }
    }

    /// Whether a blank-looking unit may be programmed after a torn write: the external part's ECC forbids it.
    pub const fn reprogram(self) -> Reprogram {
        match self {
            Self::Internal | Self::Work => Reprogram::Allowed,
            Self::External => Reprogram::Forbidden,
        }
    }

    const fn erase_ms(self) -> u32 {
        match self {
            // 11 ms a row, hidden in a round trip.
            Self::Internal | Self::Work => 0,
            Self::External => EXTERNAL_ERASE_MS,
        }
    }
}

/// A range of the address space: absolute address and size in bytes. Drivers and `ota-core` count from the start of a
/// device; [`Area::offset`] is the one place where an address becomes such a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    address: u32,
    size: u32,
}

impl Area {
    /// `size` bytes at `address`.
    pub const fn new(address: u32, size: u32) -> Self {
        Self { address, size }
    }

    /// Address of the first byte.
    pub const fn address(self) -> u32 {
        self.address
    }

    /// Size in bytes.
    pub const fn size(self) -> u32 {
        self.size
    }

    /// Address behind the last byte; `u32::MAX` where that does not fit.
    pub const fn end(self) -> u32 {
        self.address.saturating_add(self.size)
    }

    /// The flash that holds all of it.
    pub const fn device(self) -> Option<Device> {
        if self.size != 0 && self.is_in(Device::Internal) {
            Some(Device::Internal)
        } else if self.size != 0 && self.is_in(Device::Work) {
            Some(Device::Work)
        } else if self.size != 0 && self.is_in(Device::External) {
            Some(Device::External)
        } else {
            None
        }
    }

    const fn is_in(self, device: Device) -> bool {
        self.address >= device.base()
            && match self.address.checked_add(self.size) {
                Some(end) => end <= device.base() + device.size(),
                None => false,
            }
    }

    /// Where it starts inside its device.
    pub const fn offset(self) -> u32 {
        match self.device() {
            Some(device) => self.address - device.base(),
            None => self.address,
        }
    }

    /// The area with the sectors it shares rounded in: all that is erased in its life.
    pub const fn covered(self) -> Self {
        let Some(device) = self.device() else { return self };
        let sector = device.sector_size();
        let start = self.address - self.address % sector;
        Self { address: start, size: (self.address + self.size).next_multiple_of(sector) - start }
    }

    /// Whether the two have no byte in common.
    pub const fn is_disjoint(self, other: Self) -> bool {
        self.end() <= other.address || other.end() <= self.address
    }

    /// What a slot here is erased and written in: eight rows where they are all its own, which is faster than one by one.
    const fn slot_sector_size(self, device: Device) -> u32 {
        let is_whole =
            self.address.is_multiple_of(SUBSECTOR_SIZE) && self.size.is_multiple_of(SUBSECTOR_SIZE);
        match device {
            Device::Internal | Device::Work if is_whole => SUBSECTOR_SIZE,
            Device::Internal | Device::Work | Device::External => device.sector_size(),
        }
    }

    /// This area as a slot.
    pub(crate) const fn geometry(self) -> Result<Geometry, GeometryError> {
        let Some(device) = self.device() else { return Err(GeometryError::Size) };
        Geometry::new(SlotLayout {
            start: self.offset(),
            size: self.size,
            sector_size: self.slot_sector_size(device),
            write_size: device.write_size(),
            erased: device.erased(),
            reprogram: device.reprogram(),
            rewrite: device.rewrite(),
            erase_ms: device.erase_ms(),
        })
    }
}
