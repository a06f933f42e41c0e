//! The kits with a PSoC 62.

use embassy_time::Delay;
use log::error;
use ota_core::journal::FlashJournal;
use ota_psoc6::bus::Mmio;
use ota_psoc6::clock::{self, Divide};
use ota_psoc6::flash::{DriverError, ExternalFlash, InternalFlash, Windows};
use ota_psoc6::kit::Kit;
use ota_psoc6::layout::{Device, FlashMap};
use ota_psoc6::reset::reset;
use ota_psoc6::sdhc;
use ota_psoc6::smif::Smif;
use ota_psoc6::syscall::{DirectCache, RamPlace, SystemCalls};
use ota_psoc6::trng::{Rng, Trng};
use ota_psoc6::watchdog::Watchdog;

use crate::board::{Board, Clocks, Flash, Which};

/// A kit with a PSoC 62 and the secondary slot in its serial flash.
///
/// Make one of it: it stands for the chip.
#[derive(Debug)]
pub struct Psoc62<K> {
    chip: Mmio,
    kit: core::marker::PhantomData<K>,
}

impl<K: Which> Psoc62<K> {
    /// The chip.
    pub const fn new(chip: Mmio) -> Self {
        Self { chip, kit: core::marker::PhantomData }
    }

    fn calls(&self, place: &'static RamPlace, clocks: Clocks) -> SystemCalls<Mmio> {
        // Each place is taken by one call of `flash`, which is called once.
        let ram = place.take().expect("the flash is found once");
        SystemCalls::new(self.chip, DirectCache, ram, clocks.core_hz)
    }
}

static MAIN: RamPlace = RamPlace::new();
static WORK: RamPlace = RamPlace::new();

impl<K: Which> Board for Psoc62<K> {
    const KIT: Kit = K::KIT;
    const MAP: FlashMap = K::MAP;
    type Watchdog = Watchdog<Mmio>;
    type Primary = InternalFlash<Mmio, Watchdog<Mmio>>;
    type Secondary = ExternalFlash<Mmio, Delay, Watchdog<Mmio>>;
    type Journal = FlashJournal<InternalFlash<Mmio, Watchdog<Mmio>>>;
    type Rng = Rng;

    fn chip(&self) -> Mmio {
        self.chip
    }

    fn start(&mut self) -> Clocks {
        let core_hz = match clock::start(self.chip) {
            Ok(()) => clock::HZ,
            // The internal oscillator: slow, but everything works, and the log will say so by its time stamps.
            Err(_) => 8_000_000,
        };
        clock::root(self.chip, 2, Divide::By2);
        clock::root(self.chip, sdhc::CLOCK_ROOT, Divide::By1);
        Clocks { core_hz, peripheral_hz: core_hz, sdhc_hz: core_hz }
    }

    fn watchdog(&self) -> Watchdog<Mmio> {
        Watchdog::new(self.chip)
    }

    async fn flash(
        &mut self,
        clocks: Clocks,
    ) -> Result<Flash<Self::Primary, Self::Secondary, Self::Journal>, DriverError> {
        let dog = self.watchdog();
        let main = Windows::new(&Self::MAP, Device::Internal);
        let primary = InternalFlash::new(self.chip, self.calls(&MAIN, clocks), main, dog);
        Smif::connect(self.chip, &Self::KIT.qspi);
        let smif = Smif::new(self.chip)?;
        let external = Windows::new(&Self::MAP, Device::External);
        let secondary = ExternalFlash::new_async(smif, Delay, external, dog).await?;
        let work = Windows::new(&Self::MAP, Device::Work);
        let work = InternalFlash::new(self.chip, self.calls(&WORK, clocks), work, dog);
        const { assert!(K::MAP.journal().is_some(), "the map has a journal") };
        let region = Self::MAP.journal().expect("asserted while compiling");
        let journal = FlashJournal::new(work, region).expect("the region is of this flash");
        Ok(Flash { primary, secondary, journal })
    }

    fn rng(&mut self) -> Option<Rng> {
        match Trng::new(self.chip).and_then(|mut trng| trng.rng()) {
            Ok(rng) => Some(rng),
            Err(fault) => {
                error!("random numbers: {fault:?}");
                None
            }
        }
    }

    fn seed(&mut self) -> u64 {
        let mut words = [0; 2];
        if let Ok(mut trng) = Trng::new(self.chip) {
            words = words.map(|_| trng.word().unwrap_or_default());
        }
        u64::from(words[0]) << 32 | u64::from(words[1])
    }

    fn reset(&mut self) {
        // The agent has waited for every flash operation it began, so the external part is idle.
        let fault = reset(self.chip, &mut self.watchdog(), || Ok::<_, ()>(()));
        error!("reset: {fault:?}");
    }
}
