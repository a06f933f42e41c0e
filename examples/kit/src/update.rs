//! The agent beside the application.

use core::cell::RefCell;

use embassy_net::Stack;
use embassy_net::dns::DnsSocket;
use embassy_net::tcp::client::{TcpClient, TcpClientState};
use embassy_time::Timer;
use log::{error, info, warn};
use ota_core::agent::{Agent, Config, MAX_PAYLOAD_SIZE, Memory, Outcome, Plane, StateKind};
use ota_core::command::Commands;
use ota_core::driver::{Device, Local, run as drive};
use ota_core::geometry::ImageLayout;
#[cfg(feature = "http")]
use ota_core::http::{Http, HttpConfig};
use ota_core::mqtt::{self, EmbassyTimer, Mqtt};
use ota_core::nal::Network;
use ota_core::open::Endpoint;
use ota_core::policy::{DefaultPolicy, Drop, Observer};
use ota_core::status::Ended;
use ota_core::tls::{self, Client, RECORD_MAX, SigningKey, Tls, TrustAnchor, roots, webpki};
#[cfg(not(feature = "http"))]
use ota_core::transport::NoRanges;
use ota_core::verify::{EcdsaP256, PublicKey, Rules};

use crate::board::{Board, Clocks};
use crate::config;
use crate::date::Clock;

/// The largest job document, with about 400 bytes around it.
const JOB_SIZE: usize = 4096;
const TCP_SIZE: usize = 8192;
/// The longest client certificate.
const CERTIFICATE_MAX: usize = 2048;
/// The longest block of any board.
const BLOCK_MAX: usize = 4096;
/// TCP connections at once: MQTT's, and that for blocks.
const CONNECTIONS: usize = if cfg!(feature = "http") { 2 } else { 1 };
/// The longest presigned URL, and the longest head of an answer to it.
#[cfg(feature = "http")]
const URL_SIZE: usize = 2048;
#[cfg(feature = "http")]
const HEAD_SIZE: usize = 2048;
/// Where blocks come from. When one way is given up, the next goes on with what flash holds.
const PLANES: &[Plane] = if cfg!(feature = "http") { &[Plane::Mqtt, Plane::Http] } else { &[Plane::Mqtt] };
/// From a reset that something kept from happening to the next try.
const RESET_AGAIN_S: u64 = 10;
/// Texts of a job.
const STRINGS: usize = if cfg!(feature = "http") { Memory::STRINGS_WITH_URL } else { Memory::STRINGS };

/// What of the settings is missing.
#[derive(Debug)]
enum Missing {
    JobKey,
    ClientKey,
    Certificate,
    DeskRoot,
    RandomNumbers,
    Flash,
    Settings,
}

/// Runs the agent, and resets the chip when it says so. Ends only where this build has no agent to run.
pub(crate) async fn run<B: Board>(board: &mut B, stack: Stack<'_>, clocks: Clocks, commands: &Commands) {
    match agent(board, stack, clocks, commands).await {
        Ok(Outcome::Reset) => {
            info!("update: reset");
            // The last line is on its way.
            Timer::after_millis(20).await;
            // Without it a new image is never tried, and one that failed is never taken back.
            loop {
                board.reset();
                error!("update: the reset did not happen; once more in {RESET_AGAIN_S} s");
                Timer::after_secs(RESET_AGAIN_S).await;
            }
        }
        Ok(Outcome::Stopped) => info!("update: the agent has stopped"),
        Err(missing) => error!("update: no updates without {missing:?}; see examples/README.md"),
    }
}

async fn agent<B: Board>(
    board: &mut B,
    stack: Stack<'_>,
    clocks: Clocks,
    commands: &Commands,
) -> Result<Outcome, Missing> {
    // 1. Whose jobs are believed, and who the device is.
    let job_keys = [PublicKey::spki(config::JOB_KEY).map_err(|_| Missing::JobKey)?];
    let job = EcdsaP256::new(&job_keys).map_err(|_| Missing::JobKey)?;
    let rules = Rules { job, image_keys: &[], reset_vector: None };
    let key = sec1_key(config::KEY).ok_or(Missing::ClientKey)?;
    if config::CERTIFICATE.is_empty() || config::CERTIFICATE.len() > CERTIFICATE_MAX {
        return Err(Missing::Certificate);
    }

    // 2. The flash.
    let flash = board.flash(clocks).await.map_err(|fault| {
        error!("update: {fault}");
        Missing::Flash
    })?;
    let (primary, secondary) = (RefCell::new(flash.primary), RefCell::new(flash.secondary));
    let images = ota_psoc6::boot::image(&B::MAP, 0, &primary, &secondary).map_err(|_| Missing::Flash)?;

    // 3. The way to the broker: TCP by name, TLS, MQTT.
    let state = TcpClientState::<CONNECTIONS, TCP_SIZE, TCP_SIZE>::new();
    let tcp = TcpClient::new(stack, &state);
    let dns = DnsSocket::new(stack);
    let desk = config::DESK_ROOT.unwrap_or_default().into();
    let desk = match config::DESK_ROOT {
        Some(_) => webpki::anchor_from_trusted_cert(&desk).map_err(|_| Missing::DeskRoot)?,
        None => roots::AMAZON_ROOT_CA_3,
    };
    // The one of Amazon's roots that needs no heap, and those that do.
    let all: &[TrustAnchor<'_>] = &[
        roots::AMAZON_ROOT_CA_3,
        desk,
        #[cfg(feature = "rsa")]
        roots::AMAZON_ROOT_CA_1,
        #[cfg(feature = "rsa")]
        roots::STARFIELD_SERVICES_ROOT_G2,
    ];
    let secure = tls::Config {
        client: Some(Client { certificate: config::CERTIFICATE, signer: &key }),
        time: &Clock,
        ..tls::Config::new("", all, crate::built_at_s())
    };
    let rng = board.rng().ok_or(Missing::RandomNumbers)?;
    let (mut rx, mut tx) = ([0; tls::rx_size(RECORD_MAX)], [0; tls::tx_size(CERTIFICATE_MAX)]);
    let records = tls::Buffers::new(&mut rx, &mut tx).map_err(|_| Missing::Settings)?;
    let open = Tls::new(Network::new(&tcp, &dns), secure, rng, records);
    let broker = Endpoint::tls(config::BROKER, config::BROKER_PORT);
    let mut packets_rx = [0; mqtt::rx_size(BLOCK_MAX, JOB_SIZE)];
    let mut packets_tx = [0; mqtt::tx_size(MAX_PAYLOAD_SIZE, 4, 0)];
    let connector =
        Mqtt::new(open, mqtt::Config::new(config::THING, broker), &mut packets_rx, &mut packets_tx)
            .map_err(|_| Missing::Settings)?;

    // 4. The other way for blocks, with record buffers of its own. What signs a URL is no certificate, so the device does not
    //    show its own.
    #[cfg(feature = "http")]
    let (mut rx, mut tx) = ([0; tls::rx_size(RECORD_MAX)], [0; tls::tx_size(0)]);
    #[cfg(feature = "http")]
    let (mut head, mut url) = ([0; HEAD_SIZE], [0; URL_SIZE]);
    #[cfg(feature = "http")]
    let ranges = {
        let secure = tls::Config { client: None, ..secure };
        let rng = board.rng().ok_or(Missing::RandomNumbers)?;
        let records = tls::Buffers::new(&mut rx, &mut tx).map_err(|_| Missing::Settings)?;
        let open = Tls::new(Network::new(&tcp, &dns), secure, rng, records);
        Http::new(open, HttpConfig::default(), &mut head, &mut url).map_err(|_| Missing::Settings)?
    };
    #[cfg(not(feature = "http"))]
    let ranges = NoRanges;

    // 5. The agent and its memory.
    let layouts: [ImageLayout; 1] = [B::MAP.image(0)];
    let mut agent_config = Config::new(config::THING, &layouts);
    agent_config.block_size = B::BLOCK_SIZE;
    agent_config.planes = PLANES;
    agent_config.seed = board.seed() as _;
    let (mut strings, mut blocks, mut sectors) = ([0; STRINGS], [0; BLOCK_BYTES], [0; SECTOR_BYTES]);
    let memory = Memory { strings: &mut strings, blocks: &mut blocks, sectors: &mut sectors };
    let mut agent = Agent::new(&agent_config, memory).map_err(|_| Missing::Settings)?;

    // 6. Until the chip has to be reset.
    let local = Local::new(images, flash.journal, rules, DefaultPolicy, Lines);
    // Blocks of MQTT are written from where they arrived.
    let mut block = [0; if cfg!(feature = "http") { BLOCK_MAX } else { 0 }];
    let block = &mut block[..];
    let (timer, buffer) = (EmbassyTimer, &mut [0; MAX_PAYLOAD_SIZE][..]);
    Ok(drive(&mut agent, &mut Device { connector, ranges, local, timer, commands, buffer, block }).await)
}

/// Enough for every map of the kits with blocks of [`BLOCK_MAX`] bytes; the agent checks it.
const BLOCK_BYTES: usize = 256;
const SECTOR_BYTES: usize = 512;

/// The private key out of a SEC1 structure: SEQUENCE, INTEGER 1, OCTET STRING of 32 bytes (RFC 5915).
fn sec1_key(der: &[u8]) -> Option<SigningKey> {
    match der {
        [0x30, _, 0x02, 0x01, 0x01, 0x04, 0x20, rest @ ..] => SigningKey::from_slice(rest.get(..32)?).ok(),
        _ => None,
    }
}

/// What happens, line by line.
struct Lines;

impl Observer for Lines {
    fn state(&mut self, from: StateKind, to: StateKind) {
        info!("update: {from:?} -> {to:?}");
    }

    fn progress(&mut self, held: u32, total: u32) {
        if held.is_multiple_of(16) || held == total {
            info!("update: {held} of {total} blocks");
        }
    }

    fn dropped(&mut self, why: Drop, count: u32) {
        warn!("update: dropped {why:?}, {count} so far");
    }

    fn ended(&mut self, how: Ended) {
        info!("update: {how:?}");
    }
}
