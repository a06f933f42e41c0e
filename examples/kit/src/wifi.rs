//! The Wi-Fi module under `kit_net::wifi`, which decides when it is started, joined and begun anew.

use embassy_futures::select::{Either4, select4};
use embassy_net::Stack;
use embassy_time::Delay;
use kit_net::Network;
use kit_net::wifi::{Event, Failure, JOIN_MS, Keeper, Module, Station};
use log::{error, info, warn};
use ota_core::mqtt::EmbassyTimer;
use ota_core::transport::Timer;
use ota_psoc6::bus::Mmio;
use ota_psoc6::gpio::Output;
use ota_psoc6::kit::{Kit, WifiChip};
use ota_psoc6::sdhc::{self, Host};
use ota_psoc6::wifi::{self, Blobs, Health, JoinError, cyw43};

use crate::bridge::Bridge;
use crate::config::{WIFI_NAME, WIFI_PASSPHRASE};
use crate::network::Ip;
use crate::vectors;

static HEALTH: Health = Health::new();

/// The blobs of the chip, or their stand-ins; see `build.rs`.
fn blobs() -> Blobs<'static> {
    macro_rules! blob {
        ($name:literal) => {
            &cyw43::Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $name)))
        };
    }
    static FIRMWARE: &cyw43::Aligned<cyw43::A4, [u8]> = blob!("firmware.bin");
    static NVRAM: &cyw43::Aligned<cyw43::A4, [u8]> = blob!("nvram.bin");
    static CLM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clm.bin"));
    Blobs { firmware: FIRMWARE, nvram: NVRAM, clm: CLM }
}

/// Keeps the network up for ever.
pub(crate) async fn run(kit: &Kit, chip: Mmio, sdhc_hz: u32, bridge: Bridge, stack: Stack<'_>, seed: u64) {
    if kit.wifi == WifiChip::Cyw43012 {
        error!("wifi: no driver for the CYW43012 exists; this kit needs another network device");
        return;
    }
    sdhc::connect(chip, &kit.sdio);
    let mut report = |event: Event| match event {
        Event::Joined => info!("wifi: joined {WIFI_NAME}"),
        Event::Reached => match stack.config_v4() {
            Some(config) => info!("wifi: the address is {}", config.address),
            None => info!("wifi: {event:?}"),
        },
        Event::Lost(_) | Event::Failed { .. } => warn!("wifi: {event:?}"),
        Event::Anew { .. } => {
            let (repeated, lost) = (HEALTH.repeated_count(), HEALTH.lost_count());
            let refused = HEALTH.refused_count();
            warn!("wifi: {event:?}; on the bus {repeated} repeated, {lost} lost, {refused} refused");
        }
        Event::GivenUp(why) => error!("wifi: {why:?}: this build cannot do better; see examples/README.md"),
    };
    let mut module = Cyw4343w { chip, sdhc_hz, power: Output::new(chip, kit.sdio.power), bridge };
    Keeper::new(Ip(stack), EmbassyTimer, seed, &mut report).run(&mut module).await;
}

struct Cyw4343w {
    chip: Mmio,
    sdhc_hz: u32,
    power: Output<Mmio>,
    bridge: Bridge,
}

impl Module for Cyw4343w {
    async fn session<N: Network, T: Timer + Copy>(&mut self, keeper: &mut Keeper<'_, N, T>) -> Failure {
        let failure = self.live(keeper).await.unwrap_or_else(Failure::Start);
        self.bridge.down();
        failure
    }
}

impl Cyw4343w {
    async fn live<N: Network, T: Timer + Copy>(
        &mut self,
        keeper: &mut Keeper<'_, N, T>,
    ) -> Result<Failure, wifi::StartError> {
        let blobs = blobs();
        let host = Host::new(self.chip, Delay, &vectors::SDHC, self.sdhc_hz);
        let card = wifi::power_up(&mut self.power, Delay, host).await?;
        let mut state = cyw43::State::new();
        let (mut device, control, runner) = wifi::start(&mut state, card, &blobs, &HEALTH).await?;
        let mut station = Joined { control, clm: blobs.clm };
        let joined = keeper.keep_joined(&mut station);
        match select4(runner.run(), self.bridge.run(&mut device), joined, HEALTH.broken()).await {
            Either4::First(never) | Either4::Second(never) => never,
            Either4::Third(failure) => Ok(failure),
            Either4::Fourth(broken) => Ok(Failure::Broken(broken)),
        }
    }
}

struct Joined<'c> {
    control: cyw43::Control<'c>,
    clm: &'c [u8],
}

impl Station for Joined<'_> {
    async fn set_up(&mut self) {
        self.control.init(self.clm).await;
        self.control.set_power_management(cyw43::PowerManagementMode::None).await;
    }

    async fn join(&mut self) -> Result<(), JoinError> {
        wifi::join(&mut self.control, WIFI_NAME, WIFI_PASSPHRASE, JOIN_MS).await
    }
}
