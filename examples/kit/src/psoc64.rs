//! The kit with a PSoC 64. Watchdog, clocks and flash cache are the secure core's: they are reached through it.

use embassy_time::{Delay, Instant};
use kit_net::secret::{SECRET_SIZE, SeededRng, is_plausible};
use log::error;
use ota_core::journal::FlashJournal;
use ota_core::tls::Time as _;
use ota_psoc6::bus::Mmio;
use ota_psoc6::clock::{self, Divide};
use ota_psoc6::flash::{DriverError, ExternalFlash, InternalFlash, Windows};
use ota_psoc6::kit::Kit;
use ota_psoc6::layout::{Device, FlashMap};
use ota_psoc6::reset::reset;
use ota_psoc6::smif::Smif;
use ota_psoc6::syscall::{RamPlace, SystemCalls};
use ota_psoc64::pra::{Cache, MessagePlace, Pra, Register, Watchdog};
use sha2::{Digest, Sha256};

use crate::board::{Board, Clocks, Flash, Which};
use crate::{config, date};

/// What the secure firmware of this kit sets (its board support package): the frequency-locked loop at 100 MHz for everything.
const HZ: u32 = 100_000_000;

static MESSAGE: MessagePlace = MessagePlace::new();
static MAIN: RamPlace = RamPlace::new();

/// In the template: no secret was given. The firmware runs, and says that there is no TLS.
const NO_SECRET: [u8; SECRET_SIZE] = [0; SECRET_SIZE];

// Anything else that is no secret does not build.
const _: () = assert!(
    is_no_secret(&config::SEED) || is_plausible(&config::SEED),
    "SEED in config.rs is no secret; make one: openssl rand 32 > secrets/seed"
);

const fn is_no_secret(secret: &[u8; SECRET_SIZE]) -> bool {
    let mut at = 0;
    while at < SECRET_SIZE && secret[at] == 0 {
        at += 1;
    }
    at == SECRET_SIZE
}

/// A kit with a PSoC 64. Make one of it: it stands for the chip.
#[derive(Debug)]
pub struct Psoc64<K> {
    chip: Mmio,
    pra: Pra<Mmio>,
    secret: fn() -> Option<[u8; SECRET_SIZE]>,
    generators: u32,
    kit: core::marker::PhantomData<K>,
}

impl<K: Which> Psoc64<K> {
    /// The chip. Once. Its secret is `SEED` in `config.rs`.
    pub fn new(chip: Mmio) -> Self {
        Self::with_secret(chip, || (config::SEED != NO_SECRET).then_some(config::SEED))
    }

    /// The chip, with another source of secrets: best 32 bytes of `psa_generate_random`, fresh each time it is called, for
    /// firmware that links the C client of Trusted Firmware-M.
    pub fn with_secret(chip: Mmio, secret: fn() -> Option<[u8; SECRET_SIZE]>) -> Self {
        let message = MESSAGE.take().expect("the board is made once");
        Self { chip, pra: Pra::new(chip, message), secret, generators: 0, kit: core::marker::PhantomData }
    }

    async fn external(&self) -> Result<ExternalFlash<Mmio, Delay, Watchdog<Mmio>>, DriverError> {
        let windows = Windows::new(&K::MAP, Device::External);
        ExternalFlash::new_async(Smif::new(self.chip)?, Delay, windows, self.watchdog()).await
    }
}

impl<K: Which> Board for Psoc64<K> {
    const KIT: Kit = K::KIT;
    const MAP: FlashMap = K::MAP;
    type Watchdog = Watchdog<Mmio>;
    type Primary = InternalFlash<Mmio, Watchdog<Mmio>, Cache<Mmio>>;
    type Secondary = ExternalFlash<Mmio, Delay, Watchdog<Mmio>>;
    // On the serial flash, beside the slot. Both drivers are the agent's, which does one thing at a time, and each waits for an
    // idle part before it begins.
    type Journal = FlashJournal<ExternalFlash<Mmio, Delay, Watchdog<Mmio>>>;
    type Rng = SeededRng;

    fn chip(&self) -> Mmio {
        self.chip
    }

    fn start(&mut self) -> Clocks {
        // Where the secure core refuses, its own setting stays, and the drivers find out.
        let _ = self.pra.write(Register::ClkRootSelect2, clock::root_value(Divide::By2));
        let _ = self.pra.write(Register::ClkRootSelect4, clock::root_value(Divide::By1));
        Clocks { core_hz: HZ, peripheral_hz: HZ, sdhc_hz: HZ }
    }

    fn watchdog(&self) -> Watchdog<Mmio> {
        Watchdog::new(self.pra)
    }

    async fn flash(
        &mut self,
        clocks: Clocks,
    ) -> Result<Flash<Self::Primary, Self::Secondary, Self::Journal>, DriverError> {
        let dog = self.watchdog();
        let ram = MAIN.take().expect("the flash is found once");
        let calls = SystemCalls::new(self.chip, Cache::new(self.pra), ram, clocks.core_hz);
        let primary = InternalFlash::new(self.chip, calls, Windows::new(&K::MAP, Device::Internal), dog);
        Smif::connect(self.chip, &Self::KIT.qspi);
        let secondary = self.external().await?;
        const { assert!(K::MAP.journal().is_some(), "the map has a journal") };
        let region = K::MAP.journal().expect("asserted while compiling");
        let journal = FlashJournal::new(self.external().await?, region).expect("the region is of this flash");
        Ok(Flash { primary, secondary, journal })
    }

    /// The chip's own source belongs to the secure core, which offers it by `psa_generate_random`, a C interface with its own
    /// mailbox that is not part of this repository. In its place: a secret, and the time as what differs.
    fn rng(&mut self) -> Option<SeededRng> {
        let Some(secret) = (self.secret)() else {
            error!("random numbers: no SEED in config.rs");
            return None;
        };
        self.generators += 1;
        let now = || [Instant::now().as_ticks(), date::Clock.unix_s().unwrap_or_default()];
        let rng = SeededRng::new(secret, self.generators, now);
        if rng.is_none() {
            error!("random numbers: what should be a secret is none");
        }
        rng
    }

    fn seed(&mut self) -> u64 {
        let mut hash = Sha256::new();
        hash.update(config::THING.as_bytes());
        hash.update(Instant::now().as_ticks().to_le_bytes());
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    fn reset(&mut self) {
        // The agent has waited for every flash operation it began, so the external part is idle.
        let fault = reset(self.chip, &mut self.watchdog(), || Ok::<_, ()>(()));
        error!("reset: {fault:?}");
    }
}
