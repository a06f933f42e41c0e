//! Firmware that updates itself, wired as on a kit: Ethernet, DHCP, TLS with a client certificate, MQTT and HTTPS, the agent.
//!
//! What a kit has and the emulator lacks: a source of random numbers (here all follow from a seed that the host gives, which
//! is of use to nobody but a test), a clock, a secure place for keys.

#![no_std]

mod clock;
mod ethernet;
mod flash;
mod network;
mod screen;
mod stack;

use core::cell::{Cell, RefCell};
use core::future::pending;
use core::panic::PanicInfo;
use core::pin::pin;

use embassy_futures::select::{Either, Either3, select, select3};
use embassy_net::tcp::client::TcpClientState;
use embassy_net::{Stack, StackResources};
use ota_core::agent::{Agent, Config, Destination, MAX_PAYLOAD_SIZE, Memory, Outcome, Plane, Statistics};
use ota_core::boot::{Image, SharedFlash};
use ota_core::command::Commands;
use ota_core::driver::{self, Device, Local};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::http::{Http, HttpConfig};
use ota_core::journal::{FlashJournal, JournalLayout, JournalRegion};
use ota_core::mqtt::{self, EmbassyTimer, Mqtt};
use ota_core::nal::Network;
use ota_core::open::Endpoint;
use ota_core::policy::DefaultPolicy;
use ota_core::tls::rand_core::{RngCore, SeedableRng};
use ota_core::tls::webpki::anchor_from_trusted_cert;
use ota_core::tls::{self, BUILT_AT_MIN_S, Buffers, Client, RECORD_MAX, SigningKey, Tls};
use ota_core::verify::{EcdsaP256, PublicKey, Rules};
use ota_sim::flash::{Actor, Kind};
use ota_sim::mcuboot::Mode;
use qemu_board::chip::{self, Console, kept};
use qemu_board::{Arguments, FLASH_BASE, HEADER_SIZE, Part, Place, Settings, say};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};

use ethernet::Ethernet;
use flash::{Download, Flash, Outage};
use network::{CONNECTIONS, Hosts, Tcp, Told};
use screen::{Screen, self_test};

/// Bytes of a block.
const BLOCK_SIZE: u32 = 4096;
/// Longest presigned URL.
const URL_SIZE: usize = 2048;
/// Sockets: DHCP's and those of connections.
const SOCKETS: usize = 1 + CONNECTIONS;

static OUTAGE: Outage = Outage::new();
static COMMANDS: Commands = Commands::new();

/// How an image's test of itself ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// It works.
    Pass,
    /// Something does not.
    Fail,
}

/// Everything a firmware does, from reset to reset.
pub fn run(version: &str, test: SelfTest) -> ! {
    Console::init();
    let mut line = [0; 256];
    let arguments = Arguments::parse(chip::command_line(&mut line));
    let settings = chip::settings();
    say!("this is version {version}");
    let systick = cortex_m::Peripherals::take().map(|chip| chip.SYST);
    clock::start(systick.expect("nobody else has taken the peripherals"));
    let supply = &OUTAGE.supply;
    match arguments.plan {
        Some(plan) if plan.place == Place::Application => supply.arm_for(Actor::Application, plan.cut),
        Some(_) | None => {}
    }
    let mut rng = random(&arguments);
    let flash = RefCell::new(Flash::new(settings.part, &OUTAGE));
    let download = Cell::new(None);
    let lost_at = arguments.plan.filter(|plan| plan.place == Place::Frame).map(|plan| plan.cut.operation);

    let mut resources = StackResources::<SOCKETS>::new();
    let config = embassy_net::Config::dhcpv4(Default::default());
    let (stack, mut network) =
        embassy_net::new(Ethernet::new(lost_at), config, &mut resources, rng.next_u64());
    let firmware = firmware(&settings, &arguments, &flash, &download, stack, rng, test);
    let outcome = match clock::block_on(select(network.run(), firmware)) {
        Either::First(never) => never,
        Either::Second(outcome) => outcome,
    };
    if outcome == Outcome::Reset {
        kept::count_reset();
        cortex_m::peripheral::SCB::sys_reset();
    }
    chip::exit()
}

/// One life of the agent.
async fn firmware(
    settings: &Settings<'static>,
    arguments: &Arguments<'_>,
    flash: &RefCell<Flash>,
    download: &Cell<Option<Download>>,
    stack: Stack<'_>,
    mut rng: ChaCha20Rng,
    test: SelfTest,
) -> Outcome {
    // Flash: both slots and the journal lie in one part.
    let part = settings.part;
    let shared = SharedFlash::new(flash);
    let layouts = [layout(part)];
    let images = Image::new(shared, shared, layouts[0]).expect("the layout fits the flash");
    let journal = FlashJournal::new(shared, journal_region(part)).expect("the journal fits the flash");

    // Keys: whose jobs are believed, and whose images.
    let job_keys = [PublicKey::spki(settings.job_key).expect("a P-256 key")];
    let image_keys = [PublicKey::spki(settings.image_key).expect("a P-256 key")];
    // The image runs in place, so it must be linked for the primary slot.
    let program = (FLASH_BASE + HEADER_SIZE, FLASH_BASE + part.slot_size);
    let rules = Rules {
        job: EcdsaP256::new(&job_keys).expect("one key"),
        image_keys: &image_keys,
        reset_vector: Some(program.0..program.1),
    };

    // TLS: who the device is and whom it trusts. Without a clock only the lower bound of the time is known. A server must be
    // the host that is connected to.
    let root = settings.root.into();
    let roots = [anchor_from_trusted_cert(&root).expect("a root certificate")];
    let signer = SigningKey::from_slice(settings.device_key).expect("a P-256 key");
    let client = Client { certificate: settings.certificate, signer: &signer };
    let config = tls::Config { client: Some(client), ..tls::Config::new("", &roots, BUILT_AT_MIN_S) };

    // The network, for both planes: TCP by name, and no resolver, since all servers are the host.
    let state = TcpClientState::new();
    let (tcp, hosts) = (Tcp::new(stack, &state), Hosts(settings.broker.address));

    // The control plane: MQTT over TLS.
    let (mut tls_rx, mut tls_tx) = ([0; tls::rx_size(RECORD_MAX)], [0; tls::tx_size(1024)]);
    let buffers = Buffers::new(&mut tls_rx, &mut tls_tx).expect("sized by tls");
    let open = Tls::new(Network::new(&tcp, &hosts), config, fork(&mut rng), buffers);
    let endpoint = Endpoint::tls(settings.server_name, settings.broker.port);
    let mut mqtt_rx = [0; mqtt::rx_size(BLOCK_SIZE as usize, 4096)];
    let mut mqtt_tx = [0; mqtt::tx_size(MAX_PAYLOAD_SIZE, 4, 0)];
    let mqtt_config = mqtt::Config::new(settings.thing, endpoint);
    let connector =
        Mqtt::new(Told { stack, open }, mqtt_config, &mut mqtt_rx, &mut mqtt_tx).expect("good settings");

    // The other data plane: HTTPS, with buffers of its own; there is RAM for both at once. What signs a URL is no
    // certificate, so the device does not show its own.
    let (mut tls_rx, mut tls_tx) = ([0; tls::rx_size(RECORD_MAX)], [0; tls::tx_size(1024)]);
    let buffers = Buffers::new(&mut tls_rx, &mut tls_tx).expect("sized by tls");
    let config = tls::Config { client: None, ..config };
    let open = Tls::new(Network::new(&tcp, &hosts), config, fork(&mut rng), buffers);
    let (mut head, mut url) = ([0; 2048], [0; URL_SIZE]);
    let ranges = Http::new(Told { stack, open }, HttpConfig::default(), &mut head, &mut url)
        .expect("long enough buffers");

    // The agent and its memory, for any of the parts.
    let mut config = Config::new(settings.thing, &layouts);
    config.block_size = BLOCK_SIZE;
    config.planes = &[Plane::Mqtt, Plane::Http];
    // At a desk the end of a job whose cloud is gone is wanted after half a minute, not after eight.
    config.useless_max = 4;
    config.seed = rng.next_u32();
    let destination = Destination { file_id: Some(0), reset_vector: Some(program), ..Destination::default() };
    let destinations = [destination];
    config.destinations = &destinations;
    let memory =
        Memory { strings: &mut [0; Memory::STRINGS_WITH_URL], blocks: &mut [0; 64], sectors: &mut [0; 512] };
    let mut agent = Agent::new(&config, memory).expect("a good configuration");

    // The application.
    let testing = Cell::new(false);
    let screen = Screen {
        flash,
        outage: &OUTAGE,
        plan: arguments.plan,
        commands: &COMMANDS,
        download,
        testing: &testing,
        since: 0,
    };
    let local = Local::new(images, journal, rules, DefaultPolicy, screen);
    let (timer, commands, buffer, block) =
        (EmbassyTimer, &COMMANDS, &mut [0; MAX_PAYLOAD_SIZE][..], &mut [0; BLOCK_SIZE as usize][..]);
    let mut device = Device { connector, ranges, local, timer, commands, buffer, block };
    let greeting = async {
        stack.wait_config_up().await;
        if let Some(config) = stack.config_v4() {
            say!("the network is there, this is {}", config.address);
        }
        self_test(&testing, stack, test, &COMMANDS).await;
        pending::<()>().await
    };
    let outcome = {
        let update = pin!(driver::run(&mut agent, &mut device));
        select3(stack::counted(update), OUTAGE.power_lost(), greeting).await
    };
    tell(agent.statistics(), &flash.borrow(), download.get());
    match outcome {
        Either3::First(outcome) => outcome,
        Either3::Second(operation) => chip::power_lost(format_args!("{operation}")),
        Either3::Third(_) => Outcome::Stopped,
    }
}

/// Tells the host what this life came to.
fn tell(agent: &Statistics, flash: &Flash, download: Option<Download>) {
    let download = download.unwrap_or_else(|| flash.download());
    let (journal, confirm) = flash.journal_and_confirm();
    say!(
        "@ agent requests={} ranges={} blocks_received={} duplicates={} dropped={} resumed_blocks={}",
        agent.block_requests,
        agent.ranges,
        agent.blocks_received,
        agent.duplicates,
        agent.dropped,
        agent.resumed_blocks
    );
    say!(
        "@ flash erases={} max_erases_per_sector={} bytes_written={} journal_writes={} journal_erases={} \
         confirm_writes={} flash_operations={} flash_violations={}",
        download.counters.erases,
        download.max_erases_per_sector,
        download.counters.bytes_written,
        journal.writes,
        journal.erases,
        confirm.writes,
        flash.operations(),
        flash.violations()
    );
}

/// All random numbers of this life: the host's seed, and the resets since power on.
fn random(arguments: &Arguments<'_>) -> ChaCha20Rng {
    let seed = Sha256::new()
        .chain_update(arguments.seed.to_le_bytes())
        .chain_update(kept::resets().to_le_bytes())
        .finalize();
    ChaCha20Rng::from_seed(seed.into())
}

/// A generator of its own for one more user.
fn fork(rng: &mut ChaCha20Rng) -> ChaCha20Rng {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    ChaCha20Rng::from_seed(seed)
}

/// The part in the words of `ota-core`.
fn layout(part: &Part) -> ImageLayout {
    let slot = SlotLayout {
        start: 0,
        size: part.slot_size,
        sector_size: part.sector_size,
        write_size: part.write_size,
        erased: part.erased,
        reprogram: reprogram(part),
        rewrite: part.kind == Kind::RowRewrite,
        erase_ms: 0,
    };
    let max_align = match part.max_align() {
        16 => MaxAlign::M16,
        32 => MaxAlign::M32,
        _ => MaxAlign::M8,
    };
    let slots = ImageSlots {
        primary: Geometry::new(slot).expect("a good slot"),
        secondary: Geometry::new(SlotLayout { start: part.slot_size, ..slot }).expect("a good slot"),
        mode: match part.mode {
            Mode::Overwrite => BootMode::Overwrite,
            Mode::SwapScratch => BootMode::SwapScratch,
            Mode::SwapMove => BootMode::SwapMove,
            Mode::SwapOffset => BootMode::SwapOffset,
            Mode::SwapStatus(_) => BootMode::SwapStatus,
        },
        max_align,
        boot_write_size: max_align.bytes(),
        max_sectors: part.max_sectors(),
    };
    ImageLayout::new(slots).expect("a good layout")
}

fn journal_region(part: &Part) -> JournalRegion {
    let layout = JournalLayout {
        start: part.journal_at(),
        sector_count: part.journal_sectors(),
        sector_size: part.sector_size,
        write_size: part.write_size,
        erased: part.erased,
        reprogram: reprogram(part),
        rewrite: part.kind == Kind::RowRewrite,
    };
    JournalRegion::new(layout).expect("a good region")
}

const fn reprogram(part: &Part) -> Reprogram {
    match part.kind {
        Kind::Nor => Reprogram::Forbidden,
        Kind::NorReprogram | Kind::RowRewrite => Reprogram::Allowed,
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    chip::panic(info)
}
