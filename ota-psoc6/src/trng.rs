//! The true random number generator (TRM: CRYPTO, version 2 of the block). PSoC 62 only: on PSoC 64 the block belongs to the
//! secure core.
//!
//! Both health tests run all the time and stop the generator when they trip: repetition count and adaptive proportion. What leaves this
//! module is never raw: [`Trng::rng`] seeds a ChaCha generator with 256 bits, and [`Trng::word`] is for tests of the source.

use rand_core::{CryptoRng, RngCore, SeedableRng};

use crate::bus::Bus;

const BASE: u32 = 0x4010_0000;
const CTL: u32 = BASE;
const INTR: u32 = BASE + 0x100;
const TR_CTL0: u32 = BASE + 0x280;
const TR_CTL1: u32 = BASE + 0x284;
const TR_CTL2: u32 = BASE + 0x288;
const TR_STATUS: u32 = BASE + 0x28C;
const TR_CMD: u32 = BASE + 0x290;
const TR_RESULT: u32 = BASE + 0x298;
const TR_GARO_CTL: u32 = BASE + 0x2A0;
const TR_FIRO_CTL: u32 = BASE + 0x2A4;
const TR_MON_CTL: u32 = BASE + 0x2C0;
const TR_MON_CMD: u32 = BASE + 0x2C8;
const TR_MON_RC_CTL: u32 = BASE + 0x2D0;
const TR_MON_AP_CTL: u32 = BASE + 0x2E0;
const STATUS: u32 = BASE + 0x1004;

const ENABLED: u32 = 1 << 31;
/// The interrupts of the generator: initialised, data, adaptive proportion, repetition count.
const INTR_ALL: u32 = 1 << 2 | 1 << 3 | AP_FAILED | RC_FAILED;
const AP_FAILED: u32 = 1 << 19;
const RC_FAILED: u32 = 1 << 20;
/// Initial delay 3, von Neumann corrector, stop when either health test fails.
const CTL0: u32 = 0x3103_0000;
/// All six ring oscillators.
const OSCILLATORS: u32 = 0x3F;
const POLYNOMIAL: u32 = 0x04C1_1DB7;
/// Watch the stream behind the corrector.
const MON_CORRECTED: u32 = 2;
const MON_START: u32 = 0b11;
const RC_CUTOFF: u32 = 255;
const AP_CUTOFF_WINDOW: u32 = 65535 << 16 | 65535;
const WORD_BITS: u32 = 32;
const INITIALIZED: u32 = 1;
const START: u32 = 1;
/// Looks at a status register before the block counts as dead; a word takes about a millisecond.
const LOOKS: u32 = 1_000_000;

/// Why there is no random word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrngError {
    /// A health test tripped: the source is not random.
    Health,
    /// The block did not answer in time.
    Stuck,
}

/// The generator, with its oscillators running.
#[derive(Debug)]
pub struct Trng<B: Bus> {
    bus: B,
}

impl<B: Bus> Trng<B> {
    /// Starts the generator and its health tests, and throws the first word away.
    ///
    /// # Errors
    /// [`TrngError`].
    pub fn new(bus: B) -> Result<Self, TrngError> {
        bus.write32(CTL, bus.read32(CTL) | ENABLED);
        bus.write32(TR_MON_CMD, 0);
        bus.write32(TR_CTL1, 0);
        bus.write32(INTR, INTR_ALL);
        bus.write32(TR_GARO_CTL, POLYNOMIAL);
        bus.write32(TR_FIRO_CTL, POLYNOMIAL);
        bus.write32(TR_CTL0, CTL0);
        bus.write32(TR_MON_CTL, MON_CORRECTED);
        bus.write32(TR_MON_RC_CTL, RC_CUTOFF);
        bus.write32(TR_MON_AP_CTL, AP_CUTOFF_WINDOW);
        bus.write32(TR_CTL1, OSCILLATORS);
        // The vendor's defaults leave both stopped.
        bus.write32(TR_MON_CMD, MON_START);
        let mut trng = Self { bus };
        trng.wait(TR_STATUS, |status| status & INITIALIZED != 0)?;
        trng.word()?;
        Ok(trng)
    }

    /// One raw word.
    ///
    /// # Errors
    /// [`TrngError::Health`] once a test has tripped, and ever after.
    pub fn word(&mut self) -> Result<u32, TrngError> {
        self.bus.write32(TR_CTL2, WORD_BITS);
        self.wait(STATUS, |status| status == 0)?;
        self.bus.write32(TR_CMD, START);
        self.wait(TR_CMD, |command| command & START == 0)?;
        self.wait(STATUS, |status| status == 0)?;
        let word = self.bus.read32(TR_RESULT);
        if self.bus.read32(INTR) & (AP_FAILED | RC_FAILED) != 0 {
            return Err(TrngError::Health);
        }
        Ok(word)
    }

    /// 256 fresh bits.
    ///
    /// # Errors
    /// [`TrngError`].
    pub fn seed(&mut self) -> Result<[u8; 32], TrngError> {
        let mut seed = [0; 32];
        for place in seed.chunks_exact_mut(4) {
            place.copy_from_slice(&self.word()?.to_le_bytes());
        }
        Ok(seed)
    }

    /// A generator for keys and nonces, seeded with 256 fresh bits. What can fail has failed here, so it never does.
    ///
    /// # Errors
    /// [`TrngError`].
    pub fn rng(&mut self) -> Result<Rng, TrngError> {
        Ok(Rng(rand_chacha::ChaCha20Rng::from_seed(self.seed()?)))
    }

    fn wait(&self, register: u32, ready: impl Fn(u32) -> bool) -> Result<(), TrngError> {
        for _ in 0..LOOKS {
            if ready(self.bus.read32(register)) {
                return Ok(());
            }
            // A tripped test stops the generator: nothing would ever be ready.
            if self.bus.read32(INTR) & (AP_FAILED | RC_FAILED) != 0 {
                return Err(TrngError::Health);
            }
        }
        Err(TrngError::Stuck)
    }
}

impl<B: Bus> Drop for Trng<B> {
    /// Stops the oscillators, which take power.
    fn drop(&mut self) {
        self.bus.write32(TR_MON_CMD, 0);
        self.bus.write32(TR_CTL1, 0);
    }
}

/// Random numbers for cryptography: ChaCha with 20 rounds, seeded by [`Trng::rng`].
#[derive(Clone, Debug)]
pub struct Rng(rand_chacha::ChaCha20Rng);

impl RngCore for Rng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.try_fill_bytes(bytes)
    }
}

impl CryptoRng for Rng {}
