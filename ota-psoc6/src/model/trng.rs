//! The random number generator.

use super::Violation;

const BASE: u32 = 0x4010_0000;

pub(super) fn covers(address: u32) -> bool {
    (BASE..BASE + 0x1_0000).contains(&address)
}

/// How the generator behaves.
#[derive(Debug)]
pub struct Trng {
    /// Words before a health test trips; `None`: never.
    pub trips_after: Option<u32>,
    /// Nothing is ever ready.
    pub is_stuck: bool,
    words: u32,
    seed: u64,
    monitors: u32,
    oscillators: u32,
    control: u32,
    tripped: bool,
    result: u32,
    looks: u32,
}

impl Default for Trng {
    fn default() -> Self {
        Self {
            trips_after: None,
            is_stuck: false,
            words: 0,
            seed: 1,
            monitors: 0,
            oscillators: 0,
            control: 0,
            tripped: false,
            result: 0,
            looks: 0,
        }
    }
}

impl Trng {
    pub(super) fn start(&mut self) {
        *self = Self {
            trips_after: self.trips_after,
            is_stuck: self.is_stuck,
            seed: self.seed,
            ..Self::default()
        };
    }

    /// Whether the oscillators run.
    pub fn is_running(&self) -> bool {
        self.oscillators != 0
    }

    pub(super) fn read(&mut self, address: u32) -> u32 {
        let ready = !self.is_stuck && !self.tripped && self.oscillators == 0x3F;
        match address - BASE {
            0x000 => 1 << 31,
            0x100 if self.tripped => 1 << 20,
            0x100 => 0,
            0x28C => u32::from(ready),
            0x290 | 0x1004 => {
                self.looks = self.looks.saturating_sub(1);
                u32::from(!ready || self.looks > 0)
            }
            0x298 => self.result,
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, address: u32, value: u32) -> Result<(), Violation> {
        match address - BASE {
            0x280 => self.control = value,
            0x284 => self.oscillators = value,
            0x2C8 => self.monitors = value,
            0x290 if value & 1 != 0 => {
                // Both tests run, and both stop the generator.
                if self.monitors != 3 || self.control & (3 << 28) != 3 << 28 {
                    return Err(Violation::HealthTestsOff);
                }
                self.words += 1;
                self.tripped = self.trips_after.is_some_and(|words| self.words > words);
                self.seed = self.seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                self.result = (self.seed >> 32) as u32;
                self.looks = 3;
            }
            _ => {}
        }
        Ok(())
    }
}
