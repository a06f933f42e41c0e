//! What a board has to provide.

use embedded_storage_async::nor_flash::NorFlash;
use ota_core::journal::Journal;
use ota_core::tls::rand_core::CryptoRngCore;
use ota_psoc6::bus::Mmio;
use ota_psoc6::flash::DriverError;
use ota_psoc6::kit::Kit;
use ota_psoc6::layout::FlashMap;
use ota_psoc6::watchdog::Feed;

/// Frequencies of the chip, Hz.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The processor.
    pub core_hz: u32,
    /// Peripherals: UART and timer.
    pub peripheral_hz: u32,
    /// The SD host controller's root.
    pub sdhc_hz: u32,
}

/// The drivers of one board's flash.
#[derive(Debug)]
pub struct Flash<P, S, J> {
    /// Where the running image lies.
    pub primary: P,
    /// Where the new one goes.
    pub secondary: S,
    /// What is remembered across a power cut.
    pub journal: J,
}

/// A board with a chip of the PSoC 6 family.
pub trait Board {
    /// Its pins.
    const KIT: Kit;
    /// Where everything lies. The build script writes `memory.x` from the same map.
    const MAP: FlashMap;
    /// Bytes of a block: a multiple of the secondary's write size.
    const BLOCK_SIZE: u32 = 4096;

    /// Keeps the watchdog from biting; copies of it are handed to every driver that takes long.
    type Watchdog: Feed + Copy;
    /// Flash with the running image.
    type Primary: NorFlash;
    /// Flash with the secondary slot.
    type Secondary: NorFlash;
    /// The journal, or `NoJournal`.
    type Journal: Journal;
    /// Random numbers for TLS: cryptographically secure, seeded from the chip.
    type Rng: CryptoRngCore;

    /// The registers.
    fn chip(&self) -> Mmio;

    /// Sets the clocks, those of serial flash and SD host controller included, and says what they are. Called first, once.
    fn start(&mut self) -> Clocks;

    /// The watchdog.
    fn watchdog(&self) -> Self::Watchdog;

    /// Finds the flash. Called once, after [`start`](Self::start).
    ///
    /// # Errors
    /// The external part is another one, or does not answer.
    #[allow(async_fn_in_trait)] // One executor, one thread.
    async fn flash(
        &mut self,
        clocks: Clocks,
    ) -> Result<Flash<Self::Primary, Self::Secondary, Self::Journal>, DriverError>;

    /// Random numbers, another generator each time: one for every way to a server. `None`: the source does not work, and so there
    /// is no TLS; never a constant in its place.
    fn rng(&mut self) -> Option<Self::Rng>;

    /// A seed for what has to differ, not to be secret: TCP's first sequence numbers, the agent's pauses.
    fn seed(&mut self) -> u64;

    /// Resets the chip so that the bootloader runs, once no flash operation is under way. Returns if that does not happen.
    fn reset(&mut self);
}

/// Which of the kits with one chip, and its map.
pub trait Which {
    /// Its pins.
    const KIT: Kit;
    /// Where everything lies: a map with an external secondary and a journal.
    const MAP: FlashMap;
}
