//! The flash double itself.

use core::borrow::Borrow;
use core::ops::Range;

use super::supply::Fate;
use super::{
    Actor, ConfigError, Counters, Cut, FlashConfig, FlashFault, Kind, Ledger, Memory, Supply, Tear,
    ZONE_COUNT, splitmix,
};

/// A strict flash in memory. `WRITE` and `ERASE` are the write size and the sector in bytes; both 1 stand for a part whose
/// sizes are known at run time only, which is as strict but tells the traits of `embedded-storage` nothing.
///
/// It never panics on a bad operation: it answers with a [`FlashFault`] and counts it in
/// [`strict_violations`](Self::strict_violations), which a test asserts to be 0. Every write call is one operation of the
/// power plan, every erased sector another. Nothing is awaited inside its `async` methods, so a dropped future of theirs
/// has either not begun or finished.
#[derive(Debug)]
pub struct FlashDouble<M, const WRITE: usize, const ERASE: usize, L = (), P = Supply> {
    memory: M,
    ledger: L,
    supply: P,
    pub(super) config: FlashConfig,
    pub(super) actor: Actor,
    application: Counters,
    bootloader: Counters,
    zones: [(Range<u32>, Counters); ZONE_COUNT],
    violations: u32,
}

impl<M: Memory, const WRITE: usize, const ERASE: usize> FlashDouble<M, WRITE, ERASE> {
    /// A flash over `memory` as it is, with a power supply of its own and no ledger.
    ///
    /// # Errors
    /// A [`ConfigError`] when the sizes do not fit each other, the type or the memory.
    pub fn new(memory: M, config: FlashConfig) -> Result<Self, ConfigError> {
        Self::with_parts(memory, (), Supply::new(), config)
    }
}

#[cfg(feature = "std")]
impl<const WRITE: usize, const ERASE: usize> super::VecFlash<WRITE, ERASE> {
    /// An erased flash in the heap with a power supply of its own.
    ///
    /// # Errors
    /// A [`ConfigError`] when the sizes do not fit each other or the type.
    pub fn blank(config: FlashConfig) -> Result<Self, ConfigError> {
        Self::blank_on(Supply::new(), config)
    }
}

#[cfg(feature = "std")]
impl<const WRITE: usize, const ERASE: usize, P: Borrow<Supply>> super::VecFlash<WRITE, ERASE, P> {
    /// An erased flash in the heap on a power supply given, for instance an `Rc<Supply>` shared with other flashes.
    ///
    /// # Errors
    /// A [`ConfigError`] when the sizes do not fit each other or the type.
    pub fn blank_on(supply: P, config: FlashConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let memory = std::vec![config.erased; config.size as usize];
        // Nothing to learn from a memory that is blank.
        Self::unlearned(memory, super::VecLedger::new(&config), supply, config)
    }
}

impl<M: Memory, const WRITE: usize, const ERASE: usize, L: Ledger, P: Borrow<Supply>>
    FlashDouble<M, WRITE, ERASE, L, P>
{
    /// A flash over `memory` as it is; units that do not read blank count as programmed.
    ///
    /// # Errors
    /// A [`ConfigError`] when the sizes do not fit each other, the type, the memory or the ledger.
    pub fn with_parts(memory: M, ledger: L, supply: P, config: FlashConfig) -> Result<Self, ConfigError> {
        let mut flash = Self::unlearned(memory, ledger, supply, config)?;
        flash.relearn(0..config.size).map_err(|_| ConfigError::Memory)?;
        Ok(flash)
    }

    /// The ledger is taken as it is.
    fn unlearned(memory: M, ledger: L, supply: P, config: FlashConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let same = config.write_size as usize == WRITE && config.sector_size as usize == ERASE;
        if !same && (WRITE, ERASE) != (1, 1) {
            return Err(ConfigError::TypeDiffers);
        }
        if memory.capacity() != config.size {
            return Err(ConfigError::MemoryLength);
        }
        if !ledger.fits(config.size / config.write_size, config.size / config.sector_size) {
            return Err(ConfigError::LedgerTooSmall);
        }
        let zones = [const {
            (
                0..0,
                Counters { operations: 0, erases: 0, writes: 0, bytes_written: 0, reads: 0, bytes_read: 0 },
            )
        }; ZONE_COUNT];
        let (application, bootloader) = (Counters::default(), Counters::default());
        Ok(Self {
            memory,
            ledger,
            supply,
            config,
            actor: Actor::Application,
            application,
            bootloader,
            zones,
            violations: 0,
        })
    }

    /// The power supply.
    pub fn supply(&self) -> &Supply {
        self.supply.borrow()
    }

    /// Plans a power failure, see [`Supply::arm`].
    pub fn arm(&self, cut: Cut) {
        self.supply().arm(cut);
    }

    /// Switches the power on again, see [`Supply::power_on`].
    pub fn power_on(&self) {
        self.supply().power_on();
    }

    /// Misuse seen so far: unaligned, out of bounds, write to a programmed unit.
    pub fn strict_violations(&self) -> u32 {
        self.violations
    }

    /// What the application did since the start or [`reset_counters`](Self::reset_counters).
    pub fn counters(&self) -> Counters {
        self.counters_of(Actor::Application)
    }

    /// What one actor did.
    pub fn counters_of(&self, actor: Actor) -> Counters {
        match actor {
            Actor::Application => self.application,
            Actor::Bootloader => self.bootloader,
        }
    }

    /// Counts apart, from now on, what the application does to a range. Operations are counted by where they begin.
    ///
    /// # Panics
    /// When `zone` is not below [`ZONE_COUNT`].
    pub fn watch(&mut self, zone: usize, range: Range<u32>) {
        self.zones[zone] = (range, Counters::default());
    }

    /// What the application did to a watched zone.
    ///
    /// # Panics
    /// When `zone` is not below [`ZONE_COUNT`].
    pub fn watched(&self, zone: usize) -> Counters {
        self.zones[zone].1
    }

    /// Erases of the most erased sector that begins in the range; always 0 without a ledger.
    pub fn max_erases_per_sector(&self, range: Range<u32>) -> u32 {
        let sectors =
            range.start.div_ceil(self.config.sector_size)..range.end.div_ceil(self.config.sector_size);
        sectors.map(|sector| self.ledger.erases(sector)).max().unwrap_or(0)
    }

    /// Starts all counters, zones, violations and wear from zero.
    pub fn reset_counters(&mut self) {
        self.application = Counters::default();
        self.bootloader = Counters::default();
        self.zones.iter_mut().for_each(|zone| zone.1 = Counters::default());
        self.violations = 0;
        self.ledger.reset_erases();
    }

    /// Reads with the debugger: not counted, and without power too.
    ///
    /// # Errors
    /// [`FlashFault::OutOfBounds`] or [`FlashFault::Memory`].
    pub fn peek(&self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.memory.load(at, bytes)
    }

    /// Changes bytes with the debugger, past every rule and uncounted. Units not blank afterwards count as programmed.
    ///
    /// # Errors
    /// [`FlashFault::OutOfBounds`] or [`FlashFault::Memory`].
    pub fn poke(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.memory.store(at, bytes)?;
        let end = (at + bytes.len() as u32).next_multiple_of(self.config.write_size);
        self.relearn(at - at % self.config.write_size..end)
    }

    /// The memory behind the flash.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// The memory, as a power cut for ever would leave it.
    pub fn into_memory(self) -> M {
        self.memory
    }

    /// Marks each unit of the range by what it reads as.
    fn relearn(&mut self, range: Range<u32>) -> Result<(), FlashFault> {
        if self.ledger.programmed(0).is_none() {
            return Ok(());
        }
        let unit = self.config.write_size;
        let mut chunk = [0; 1024];
        let step = if unit > 1024 { unit } else { 1024 / unit * unit };
        let mut at = range.start;
        while at < range.end {
            let length = step.min(range.end - at);
            if let Some(chunk) = chunk.get_mut(..length as usize) {
                self.memory.load(at, chunk)?;
                for (bytes, number) in chunk.chunks(unit as usize).zip(at / unit..) {
                    self.ledger.set_programmed(number, bytes.iter().any(|&byte| byte != self.config.erased));
                }
            } else {
                let blank = self.memory.all(at, length, self.config.erased)?;
                self.ledger.set_programmed(at / unit, !blank);
            }
            at += length;
        }
        Ok(())
    }

    fn check(&mut self, at: u32, length: usize, align: u32) -> Result<u32, FlashFault> {
        let fault = match u32::try_from(length) {
            Ok(length) if at.checked_add(length).is_some_and(|end| end <= self.config.size) => {
                if at.is_multiple_of(align) && length.is_multiple_of(align) {
                    return Ok(length);
                }
                FlashFault::NotAligned
            }
            Ok(_) | Err(_) => FlashFault::OutOfBounds,
        };
        self.violations += 1;
        Err(fault)
    }

    /// Whether every unit of the range takes a write.
    fn writable(&self, at: u32, length: u32) -> Result<bool, FlashFault> {
        if self.config.kind == Kind::RowRewrite {
            return Ok(true);
        }
        if self.actor == Actor::Bootloader {
            // bootutil goes by the first byte of a status entry, and writes it again where a cut left that blank.
            let looked_at = if length == self.config.write_size { 1 } else { length };
            return self.memory.all(at, looked_at, self.config.erased);
        }
        if !self.memory.all(at, length, self.config.erased)? {
            return Ok(false);
        }
        let mut units = at / self.config.write_size..(at + length) / self.config.write_size;
        Ok(match self.config.kind {
            Kind::Nor => units.all(|unit| self.ledger.programmed(unit) != Some(true)),
            Kind::NorReprogram | Kind::RowRewrite => true,
        })
    }

    fn mark(&mut self, at: u32, length: u32, programmed: bool) {
        for unit in at / self.config.write_size..(at + length) / self.config.write_size {
            self.ledger.set_programmed(unit, programmed);
        }
    }

    fn count(&mut self, at: u32, add: impl Fn(&mut Counters)) {
        match self.actor {
            Actor::Application => {
                add(&mut self.application);
                self.zones.iter_mut().filter(|zone| zone.0.contains(&at)).for_each(|zone| add(&mut zone.1));
            }
            Actor::Bootloader => add(&mut self.bootloader),
        }
    }

    pub(super) fn read_bytes(&mut self, at: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        if self.supply().is_lost() {
            return Err(FlashFault::PowerLost);
        }
        let length = self.check(at, bytes.len(), 1)?;
        self.count(at, |counters| {
            counters.reads = counters.reads.saturating_add(1);
            counters.bytes_read += u64::from(length);
        });
        self.memory.load(at, bytes)
    }

    pub(super) fn write_units(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        if self.supply().is_lost() {
            return Err(FlashFault::PowerLost);
        }
        let length = self.check(at, bytes.len(), self.config.write_size)?;
        if length == 0 {
            return Ok(());
        }
        if !self.writable(at, length)? {
            self.violations += 1;
            return Err(FlashFault::NotErased);
        }
        let fate = self.supply().begin(self.actor);
        if fate == Fate::Never {
            return Err(FlashFault::PowerLost);
        }
        self.count(at, |counters| {
            counters.operations += 1;
            counters.writes += 1;
            counters.bytes_written += u64::from(length);
        });
        match fate {
            Fate::Whole | Fate::LastOne => {
                self.mark(at, length, true);
                self.memory.store(at, bytes)?;
            }
            Fate::Torn(tear) => self.tear_write(at, bytes, length, tear)?,
            Fate::Never => {}
        }
        if fate == Fate::Whole { Ok(()) } else { Err(FlashFault::PowerLost) }
    }

    fn tear_write(&mut self, at: u32, bytes: &[u8], length: u32, tear: Tear) -> Result<(), FlashFault> {
        match tear {
            Tear::ReadsErased => {
                self.mark(at, length, true);
                self.memory.fill(at, length, self.config.erased)
            }
            Tear::ReadsComplete => {
                self.mark(at, length, true);
                self.memory.store(at, bytes)
            }
            Tear::Half => {
                self.mark(at, length, true);
                let half = length / 2;
                self.memory.store(at, &bytes[..half as usize])?;
                self.memory.fill(at + half, length - half, self.config.erased)
            }
            Tear::Garbage(seed) => {
                let mut random = seed;
                let units = u64::from(length / self.config.write_size);
                let whole = (splitmix(&mut random) % units) as u32 * self.config.write_size;
                self.mark(at, whole + self.config.write_size, true);
                self.memory.store(at, &bytes[..whole as usize])?;
                self.scramble(at + whole, self.config.write_size, &mut random)
            }
        }
    }

    fn scramble(&mut self, at: u32, length: u32, random: &mut u64) -> Result<(), FlashFault> {
        let mut at = at;
        let end = at + length;
        while at < end {
            let bytes = splitmix(random).to_le_bytes();
            let step = (end - at).min(8);
            self.memory.store(at, &bytes[..step as usize])?;
            at += step;
        }
        Ok(())
    }

    pub(super) fn erase_sectors(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        if self.supply().is_lost() {
            return Err(FlashFault::PowerLost);
        }
        let Some(length) = to.checked_sub(from) else {
            self.violations += 1;
            return Err(FlashFault::OutOfBounds);
        };
        self.check(from, length as usize, self.config.sector_size)?;
        let mut at = from;
        while at < to {
            self.erase_sector(at)?;
            at += self.config.sector_size;
        }
        Ok(())
    }

    fn erase_sector(&mut self, at: u32) -> Result<(), FlashFault> {
        let fate = self.supply().begin(self.actor);
        if fate == Fate::Never {
            return Err(FlashFault::PowerLost);
        }
        self.count(at, |counters| {
            counters.operations += 1;
            counters.erases += 1;
        });
        let size = self.config.sector_size;
        self.ledger.count_erase(at / size);
        match fate {
            Fate::Whole | Fate::LastOne | Fate::Torn(Tear::ReadsComplete) => {
                self.memory.fill(at, size, self.config.erased)?;
                self.mark(at, size, false);
            }
            // A cell that was not erased to the end may read blank and still not hold what is written next.
            Fate::Torn(Tear::ReadsErased) => {
                self.memory.fill(at, size, self.config.erased)?;
                self.mark(at, size, true);
            }
            Fate::Torn(Tear::Half) => {
                self.memory.fill(at, size / 2, self.config.erased)?;
                self.mark(at, size, true);
            }
            Fate::Torn(Tear::Garbage(seed)) => {
                let mut random = seed;
                self.scramble(at, size, &mut random)?;
                self.mark(at, size, true);
            }
            Fate::Never => {}
        }
        if fate == Fate::Whole { Ok(()) } else { Err(FlashFault::PowerLost) }
    }
}
