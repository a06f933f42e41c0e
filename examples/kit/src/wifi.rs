//! The Wi-Fi network: up, joined, and up again whenever it is gone. Every failure has its name in the log.

use embassy_futures::select::{Either4, select4};
use embassy_time::{Delay, Duration, Timer, with_timeout};
use log::{error, info, warn};
use ota_psoc6::bus::Mmio;
use ota_psoc6::gpio::Output;
use ota_psoc6::kit::{Kit, WifiChip};
use ota_psoc6::sdhc::{self, Host};
use ota_psoc6::wifi::{self, Blobs, Broken, Health, JoinError, StartError, cyw43};

use crate::bridge::Bridge;
use crate::config::{WIFI_NAME, WIFI_PASSPHRASE};
use crate::vectors;

/// The first pause after a failure, and the longest; each is twice the one before.
const PAUSE_MIN_MS: u64 = 1_000;
const PAUSE_MAX_MS: u64 = 60_000;
/// One attempt to join.
const JOIN_MS: u32 = 20_000;
/// Attempts to join before the chip is started anew.
const JOIN_TRIES: u32 = 5;
/// The chip's own set-up after its start takes about a second.
const INIT_MS: u64 = 10_000;

static HEALTH: Health = Health::new();

/// Why the network is gone, or did not come.
#[allow(dead_code)] // What is inside is read by `Debug` only.
#[derive(Debug)]
enum Gone {
    Start(StartError),
    /// The chip did not answer the requests of its set-up.
    Init,
    Join(JoinError),
    Broken(Broken),
}

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
pub(crate) async fn run(kit: &Kit, chip: Mmio, sdhc_hz: u32, mut bridge: Bridge) {
    if kit.wifi == WifiChip::Cyw43012 {
        error!("wifi: no driver for the CYW43012 exists; this kit needs another network device");
        return;
    }
    sdhc::connect(chip, &kit.sdio);
    let mut power = Output::new(chip, kit.sdio.power);
    let mut pause_ms = PAUSE_MIN_MS;
    loop {
        let Err(gone) = session(chip, sdhc_hz, &mut power, &mut bridge, &mut pause_ms).await;
        bridge.down();
        warn!(
            "wifi: {gone:?}; {} repeated, {} lost, {} refused; again in {} s",
            HEALTH.repeated_count(),
            HEALTH.lost_count(),
            HEALTH.refused_count(),
            pause_ms / 1000
        );
        if let Gone::Start(StartError::Blob(_) | StartError::Unsupported(_))
        | Gone::Join(JoinError::Credentials) = gone
        {
            error!("wifi: this build cannot do better; see examples/README.md");
            return;
        }
        Timer::after_millis(pause_ms).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
    }
}

/// From a chip without power to its end.
async fn session(
    chip: Mmio,
    sdhc_hz: u32,
    power: &mut Output<Mmio>,
    bridge: &mut Bridge,
    pause_ms: &mut u64,
) -> Result<core::convert::Infallible, Gone> {
    let blobs = blobs();
    let host = Host::new(chip, Delay, &vectors::SDHC, sdhc_hz);
    let card = wifi::power_up(power, Delay, host).await.map_err(Gone::Start)?;
    let mut state = cyw43::State::new();
    let (mut device, control, runner) =
        wifi::start(&mut state, card, &blobs, &HEALTH).await.map_err(Gone::Start)?;
    let joined = keep_joined(control, blobs.clm, pause_ms);
    match select4(runner.run(), bridge.run(&mut device), joined, HEALTH.broken()).await {
        Either4::First(never) | Either4::Second(never) => never,
        Either4::Third(gone) => Err(gone),
        Either4::Fourth(broken) => Err(Gone::Broken(broken)),
    }
}

/// Sets the chip up, joins, and looks after the network. Ends when there is nothing left to try.
async fn keep_joined(mut control: cyw43::Control<'_>, clm: &[u8], pause_ms: &mut u64) -> Gone {
    let init = async {
        control.init(clm).await;
        control.set_power_management(cyw43::PowerManagementMode::None).await;
    };
    if with_timeout(Duration::from_millis(INIT_MS), init).await.is_err() {
        return Gone::Init;
    }
    let mut tries = 0;
    loop {
        match wifi::join(&mut control, WIFI_NAME, WIFI_PASSPHRASE, JOIN_MS).await {
            Ok(()) => break,
            Err(error) => {
                tries += 1;
                warn!("wifi: {error:?}, attempt {tries} of {JOIN_TRIES}");
                if tries == JOIN_TRIES || error == JoinError::Credentials {
                    return Gone::Join(error);
                }
                Timer::after_millis(PAUSE_MIN_MS << tries).await;
            }
        }
    }
    info!("wifi: joined {WIFI_NAME}");
    *pause_ms = PAUSE_MIN_MS;
    // The firmware of the chip joins again by itself after a loss of signal; the stack sees the link go and come.
    core::future::pending().await
}
