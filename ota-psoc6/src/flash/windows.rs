//! What a driver may touch.

use core::ops::Range;

use ota_core::geometry::BootMode;

use crate::layout::{Area, Device, FlashMap, MAX_IMAGES, ROW_SIZE};

/// Most windows of one device: of each image primary, its last row, and secondary, and a journal.
const MAX: usize = 3 * MAX_IMAGES + 1;

/// The parts of one device that a driver may read and those it may change, as a map has them.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    device: Device,
    readable: [Option<Area>; MAX],
    writable: [Option<Area>; MAX],
}

impl Windows {
    /// What an application may do with `device` under `map`: read the slots; change the secondaries with the sectors they cover, the
    /// journal, and where the boot mode has a confirm the last row of the primaries it can confirm.
    pub const fn new(map: &FlashMap, device: Device) -> Self {
        let mut windows = Self { device, readable: [None; MAX], writable: [None; MAX] };
        let spec = map.spec();
        let mut index = 0;
        while index < spec.images.len() {
            let pair = &spec.images[index];
            windows = windows.readable(pair.primary).both(pair.secondary.covered());
            if pair.confirmable && !matches!(spec.mode, BootMode::Overwrite) {
                let last = Area::new(pair.primary.end() - ROW_SIZE, ROW_SIZE);
                windows = windows.both(last);
            }
            index += 1;
        }
        match spec.journal {
            Some(journal) => windows.both(journal),
            None => windows,
        }
    }

    /// The device.
    pub const fn device(&self) -> Device {
        self.device
    }

    const fn readable(mut self, area: Area) -> Self {
        if self.holds(area) {
            self.readable = put(self.readable, area);
        }
        self
    }

    const fn both(self, area: Area) -> Self {
        let mut windows = self.readable(area);
        if windows.holds(area) {
            windows.writable = put(windows.writable, area);
        }
        windows
    }

    const fn holds(&self, area: Area) -> bool {
        match area.device() {
            Some(device) => device as u8 == self.device as u8,
            None => false,
        }
    }

    /// Whether every byte of the range may be read.
    pub fn may_read(&self, range: &Range<u32>) -> bool {
        within(&self.readable, self.device, range)
    }

    /// Whether every byte of the range may be changed.
    pub fn may_write(&self, range: &Range<u32>) -> bool {
        within(&self.writable, self.device, range)
    }
}

const fn put(mut areas: [Option<Area>; MAX], area: Area) -> [Option<Area>; MAX] {
    let mut at = 0;
    while at < MAX {
        if areas[at].is_none() {
            areas[at] = Some(area);
            return areas;
        }
        at += 1;
    }
    areas
}

fn within(areas: &[Option<Area>; MAX], device: Device, range: &Range<u32>) -> bool {
    let start = device.base().saturating_add(range.start);
    let end = device.base().saturating_add(range.end);
    range.is_empty() || areas.iter().flatten().any(|area| area.address() <= start && end <= area.end())
}
