//! How is this library wired? [`network()`] and [`firmware()`] are what a device's `main` does.

use std::cell::RefCell;

use ota_core::agent::{Agent, Config, Destination, MAX_PAYLOAD_SIZE, Memory, Outcome};
use ota_core::boot::Images;
use ota_core::command::Commands;
use ota_core::driver::{Device, Local, run};
use ota_core::geometry::ImageLayout;
use ota_core::http::{Http, HttpConfig, Schemes};
use ota_core::mqtt::{self, EmbassyTimer, Mqtt};
use ota_core::open::{Endpoint, Open};
use ota_core::policy::DefaultPolicy;
use ota_core::verify::{EcdsaP256, PublicKey, Rules};

use crate::board::Board;
use crate::cloud::THING;
use crate::network::{Records, Tcp, secure, sharing};
use crate::report::Totals;
use crate::screen::Screen;
use crate::{World, plan};

/// Step 1, the network: how to open a stream to the broker, and to wherever the job's URL points. TLS needs the device's
/// identity, memory for records, and random numbers. With memory for one connection only, both take turns with it.
async fn network(
    world: &World<'_>,
    images: impl Images,
    totals: &mut Totals,
) -> anyhow::Result<Option<Outcome>> {
    let tcp = Tcp(world.wifi);
    let Some(identity) = &world.cloud.identity else {
        return firmware(world, images, tcp, tcp, totals).await;
    };
    let roots = [identity.root()?];
    let (with_broker, with_files) = (identity.with_broker(&roots), identity.with_files(&roots));
    let (mut one, mut two) = (Records::new(), Records::new());
    if world.options.one_session.is_some() {
        let pool = RefCell::new(one.buffers()?);
        let (to_broker, to_files) = (sharing(tcp, with_broker, &pool), sharing(tcp, with_files, &pool));
        firmware(world, images, to_broker, to_files, totals).await
    } else {
        let (one, two) = (one.buffers()?, two.buffers()?);
        firmware(world, images, secure(tcp, with_broker, one), secure(tcp, with_files, two), totals).await
    }
}

/// One life of the device, from reset to reset (`None`: to a power cut). Its memory is vectors; a device has arrays.
async fn firmware(
    world: &World<'_>,
    images: impl Images,
    to_broker: impl Open,
    to_files: impl Open,
    totals: &mut Totals,
) -> anyhow::Result<Option<Outcome>> {
    let &World { options, update, board, cloud, .. } = world;

    // 2. The journal, and where the images lie. Only the layouts know the boot mode.
    let journal = board.journal()?;
    let layouts = board.plan.layouts();
    let destinations = destinations(board);

    // 3. The keys: whose jobs are believed, and (where given) whose images.
    let certificate = update.job_key.certificate_der("Laptop Inc.");
    let job_keys = [PublicKey::certificate(&certificate)?];
    let image_keys =
        update.image_keys.iter().map(|der| PublicKey::spki(der)).collect::<Result<Vec<_>, _>>()?;
    let rules = Rules { job: EcdsaP256::new(&job_keys)?, image_keys: &image_keys, reset_vector: None };

    // 4. The MQTT client, with room for a block and for a job document of up to 2 KiB, and the ranges over HTTP, with
    //    room for the head of an answer and for a URL. Plain http is for tests, as here where TLS is switched off.
    let mut rx = vec![0; mqtt::rx_size(options.block_size as usize, 2048)];
    let mut tx = vec![0; mqtt::tx_size(MAX_PAYLOAD_SIZE, 4, 0)];
    let (host, port) = (cloud.broker.ip().to_string(), cloud.broker.port());
    let (broker, schemes) = match cloud.identity {
        Some(_) => (Endpoint::tls(&host, port), Schemes::HttpsOnly),
        None => (Endpoint::plain(&host, port), Schemes::InsecureHttpForTests),
    };
    let config =
        mqtt::Config { write_timeout_ms: options.write_timeout_ms(), ..mqtt::Config::new(THING, broker) };
    let connector = Mqtt::new(to_broker, config, &mut rx, &mut tx)?;
    let (mut head, mut url) = ([0; 2048], [0; 2048]);
    let http = HttpConfig { schemes, ..HttpConfig::default() };
    let ranges = Http::new(to_files, http, &mut head, &mut url)?;

    // 5. The agent and its memory.
    let mut config = Config::new(THING, &layouts);
    config.destinations = &destinations;
    config.block_size = options.block_size;
    config.blocks_per_second = options.blocks_per_second;
    config.planes = options.planes();
    config.one_session_ms = options.one_session;
    config.timing = options.timing();
    config.useless_max = options.useless_max();
    config.seed = totals.boots;
    let mut strings = [0; Memory::STRINGS_WITH_URL];
    let (blocks, sectors) = if options.bundle {
        (Memory::bundle_block_bytes(&layouts, options.block_size), Memory::bundle_sector_bytes(&layouts))
    } else {
        let most = |bytes: &dyn Fn(&ImageLayout) -> usize| layouts.iter().map(bytes).max().unwrap_or(0);
        (most(&|layout| Memory::block_bytes(layout, options.block_size)), most(&Memory::sector_bytes))
    };
    let (mut blocks, mut sectors) = (vec![0; blocks], vec![0; sectors]);
    let memory = Memory { strings: &mut strings, blocks: &mut blocks, sectors: &mut sectors };
    let mut agent = Agent::new(&config, memory)?;

    // 6. The application: may we (policy), what happens (observer), and its own words (commands).
    let commands = &Commands::new();
    let screen = Screen::new(world, commands);
    let local = Local::new(images, journal, rules, DefaultPolicy, screen);

    // 7. Run until the device has to be reset. Dropping the future, as a power cut does here, is legal anywhere.
    let (mut buffer, mut block) = ([0; MAX_PAYLOAD_SIZE], vec![0; options.block_size as usize]);
    let (timer, buffer, block) = (EmbassyTimer, &mut buffer[..], &mut block[..]);
    let mut device = Device { connector, ranges, local, timer, commands, buffer, block };
    let outcome = tokio::select! {
        outcome = run(&mut agent, &mut device) => Some(outcome),
        operation = board.power_lost() => {
            device.local.observer.power_lost(&operation);
            totals.power_cut = Some(operation);
            None
        }
    };
    totals.add(agent.statistics());
    Ok(outcome)
}

/// Flash, network, firmware: a board has one image or two. A firmware knows which, and writes one of these lines.
pub(crate) async fn power_on(world: &World<'_>, totals: &mut Totals) -> anyhow::Result<Option<Outcome>> {
    let mut images = world.board.images()?.into_iter();
    match (images.next(), images.next()) {
        (Some(application), None) => network(world, application, totals).await,
        (Some(application), Some(secure)) => network(world, (application, secure), totals).await,
        (None, _) => anyhow::bail!("a board without images"),
    }
}

/// Which file goes where: the number of a file is the number of its image, and its program must be linked for that slot.
fn destinations(board: &Board) -> Vec<Destination> {
    let destination = |(number, image): (usize, &plan::ImagePlan)| Destination {
        file_type: None,
        file_id: Some(number as u8),
        image: number as u8,
        reset_vector: image.reset_vector,
    };
    board.plan.images.iter().enumerate().map(destination).collect()
}
