//! What a flash double remembers beside its bytes: which units were programmed, and how often a sector was erased.

/// Bookkeeping of a flash double, given by the caller.
///
/// `()` remembers nothing: a unit then counts as programmed when it does not read blank, and wear is not counted.
pub trait Ledger {
    /// Whether there is room for this many units and sectors.
    fn fits(&self, unit_count: u32, sector_count: u32) -> bool;
    /// Whether the unit was programmed since its last erase; `None` when that is not remembered.
    fn programmed(&self, unit: u32) -> Option<bool>;
    /// Remembers the unit.
    fn set_programmed(&mut self, unit: u32, programmed: bool);
    /// Counts an erase of the sector.
    fn count_erase(&mut self, sector: u32);
    /// Erases of the sector counted so far.
    fn erases(&self, sector: u32) -> u32;
    /// Starts the count of every sector from zero.
    fn reset_erases(&mut self);
}

impl Ledger for () {
    fn fits(&self, _unit_count: u32, _sector_count: u32) -> bool {
        true
    }
    fn programmed(&self, _unit: u32) -> Option<bool> {
        None
    }
    fn set_programmed(&mut self, _unit: u32, _programmed: bool) {}
    fn count_erase(&mut self, _sector: u32) {}
    fn erases(&self, _sector: u32) -> u32 {
        0
    }
    fn reset_erases(&mut self) {}
}

/// A ledger without an allocator: `BYTES` bytes hold eight units each, `SECTORS` the wear.
#[derive(Clone, Debug)]
pub struct ArrayLedger<const BYTES: usize, const SECTORS: usize> {
    programmed: [u8; BYTES],
    erases: [u32; SECTORS],
}

impl<const BYTES: usize, const SECTORS: usize> Default for ArrayLedger<BYTES, SECTORS> {
    fn default() -> Self {
        Self { programmed: [0; BYTES], erases: [0; SECTORS] }
    }
}

impl<const BYTES: usize, const SECTORS: usize> Ledger for ArrayLedger<BYTES, SECTORS> {
    fn fits(&self, unit_count: u32, sector_count: u32) -> bool {
        unit_count.div_ceil(8) as usize <= BYTES && sector_count as usize <= SECTORS
    }
    fn programmed(&self, unit: u32) -> Option<bool> {
        bit(&self.programmed, unit)
    }
    fn set_programmed(&mut self, unit: u32, programmed: bool) {
        set_bit(&mut self.programmed, unit, programmed);
    }
    fn count_erase(&mut self, sector: u32) {
        count(&mut self.erases, sector);
    }
    fn erases(&self, sector: u32) -> u32 {
        self.erases.get(sector as usize).copied().unwrap_or(0)
    }
    fn reset_erases(&mut self) {
        self.erases.fill(0);
    }
}

/// A ledger in the heap; always large enough.
#[cfg(feature = "std")]
#[derive(Clone, Debug)]
pub struct VecLedger {
    programmed: Vec<u8>,
    erases: Vec<u32>,
}

#[cfg(feature = "std")]
impl VecLedger {
    /// A ledger for a part of this shape.
    ///
    /// # Panics
    /// When a size in `config` is zero.
    pub fn new(config: &super::FlashConfig) -> Self {
        Self {
            programmed: std::vec![0; (config.size / config.write_size).div_ceil(8) as usize],
            erases: std::vec![0; (config.size / config.sector_size) as usize],
        }
    }
}

#[cfg(feature = "std")]
impl Ledger for VecLedger {
    fn fits(&self, unit_count: u32, sector_count: u32) -> bool {
        unit_count.div_ceil(8) as usize <= self.programmed.len() && sector_count as usize <= self.erases.len()
    }
    fn programmed(&self, unit: u32) -> Option<bool> {
        bit(&self.programmed, unit)
    }
    fn set_programmed(&mut self, unit: u32, programmed: bool) {
        set_bit(&mut self.programmed, unit, programmed);
    }
    fn count_erase(&mut self, sector: u32) {
        count(&mut self.erases, sector);
    }
    fn erases(&self, sector: u32) -> u32 {
        self.erases.get(sector as usize).copied().unwrap_or(0)
    }
    fn reset_erases(&mut self) {
        self.erases.fill(0);
    }
}

fn bit(bits: &[u8], unit: u32) -> Option<bool> {
    bits.get(unit as usize / 8).map(|byte| byte & (1 << (unit % 8)) != 0)
}

fn set_bit(bits: &mut [u8], unit: u32, value: bool) {
    if let Some(byte) = bits.get_mut(unit as usize / 8) {
        let mask = 1 << (unit % 8);
        *byte = if value { *byte | mask } else { *byte & !mask };
    }
}

fn count(erases: &mut [u32], sector: u32) {
    if let Some(erases) = erases.get_mut(sector as usize) {
        *erases = erases.saturating_add(1);
    }
}
