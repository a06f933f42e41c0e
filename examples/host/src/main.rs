//! How is this library wired? Read [`firmware`]: it is what a device's `main` does. The rest stands in for the world: a
//! board, the cloud, the application, and in [`update()`] somebody who presses reset.

mod board;
mod cloud;
mod options;
mod report;
mod screen;
mod update;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use board::Board;
use clap::Parser;
use cloud::{Cloud, THING};
use embedded_io_adapters::tokio_1::FromTokio;
use options::Options;
use ota_core::agent::{Agent, Config, MAX_PAYLOAD_SIZE, Memory, Outcome};
use ota_core::boot::{Image, SharedFlash};
use ota_core::command::Commands;
use ota_core::driver::{Device, Local, run};
use ota_core::mqtt::{self, EmbassyTimer, Mqtt, Open};
use ota_core::policy::DefaultPolicy;
use ota_core::transport::NoRanges;
use ota_core::verify::{EcdsaP256, PublicKey, Rules};
use report::{Report, Totals};
use screen::Screen;
use tokio::net::TcpStream;
use tokio::time::timeout;
use update::Update;

/// 1. The network: how to open a stream to the broker. Here plain TCP; on a device TLS over its TCP stack.
struct Tcp(SocketAddr);

impl Open for Tcp {
    type Error = io::Error;
    type Io<'s> = FromTokio<TcpStream>;

    async fn open(&mut self) -> io::Result<FromTokio<TcpStream>> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(FromTokio::new(stream))
    }
}

/// What the device lives in.
struct World<'a> {
    options: &'a Options,
    update: &'a Update,
    board: &'a Board,
    cloud: &'a Cloud,
}

/// One life of the device, from reset to reset (`None`: to a power cut). Its memory is vectors; a device has arrays.
async fn firmware(world: &World<'_>, totals: &mut Totals) -> anyhow::Result<Option<Outcome>> {
    let &World { options, update, board, cloud } = world;

    // 2. The flash: one device here, with both slots and the journal in it. Only the layout knows the boot mode.
    let flash = SharedFlash::new(&board.flash);
    let images = Image::new(flash, flash, board.layout)?;
    let journal = board.journal(flash)?;

    // 3. The keys: whose jobs are believed, and (where given) whose images.
    let certificate = update.job_key.certificate_der("Laptop Inc.");
    let job_keys = [PublicKey::certificate(&certificate)?];
    let image_keys =
        update.image_keys.iter().map(|der| PublicKey::spki(der)).collect::<Result<Vec<_>, _>>()?;
    let rules = Rules { job: EcdsaP256::new(&job_keys)?, image_keys: &image_keys, reset_vector: None };

    // 4. The MQTT client, with room for a block and for a job document of up to 2 KiB.
    let mut rx = vec![0; mqtt::rx_size(options.block_size as usize, 2048)];
    let mut tx = vec![0; mqtt::tx_size(MAX_PAYLOAD_SIZE, 4, 0)];
    let connector = Mqtt::new(Tcp(cloud.broker), mqtt::Config::new(THING), &mut rx, &mut tx)?;

    // 5. The agent and its memory.
    let layouts = [board.layout];
    let mut config = Config::new(THING, &layouts);
    config.block_size = options.block_size;
    config.blocks_per_second = options.rate;
    config.timing = options.timing();
    config.seed = totals.boots;
    let mut strings = [0; Memory::STRINGS];
    let mut blocks = vec![0; Memory::block_bytes(&board.layout, options.block_size)];
    let mut sectors = vec![0; Memory::sector_bytes(&board.layout)];
    let memory = Memory { strings: &mut strings, blocks: &mut blocks, sectors: &mut sectors };
    let mut agent = Agent::new(&config, memory)?;

    // 6. The application: may we (policy), what happens (observer), and its own words (commands).
    let commands = &Commands::new();
    let screen = Screen::new(world, commands);
    let local = Local::new(images, journal, rules, DefaultPolicy, screen);

    // 7. Run until the device has to be reset. Dropping the future, as a power cut does here, is legal anywhere.
    let mut buffer = [0; MAX_PAYLOAD_SIZE];
    let (ranges, block) = (NoRanges, &mut [][..]);
    let (timer, buffer) = (EmbassyTimer, &mut buffer[..]);
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

/// A whole update: power on, boot, run, reset, until the job is over. An error too when it did not end as asked for.
async fn update(options: &Options) -> anyhow::Result<()> {
    let started = Instant::now();
    let update = &Update::new(options)?;
    let board = &Board::new(options, update)?;
    let mut totals = Totals::default();
    let mut end = Cloud::remembered(options, update);
    if end.is_none() {
        let cloud = &Cloud::start(options, update).await?;
        let world = World { options, update, board, cloud };
        loop {
            board.boot()?;
            totals.boots += 1;
            match firmware(&world, &mut totals).await? {
                Some(Outcome::Reset) => totals.reboots += 1,
                Some(Outcome::Stopped) => break,
                None => {}
            }
        }
        end = cloud.end();
    }
    let end = &end.context("the device stopped before its job was over")?;
    // What runs is what runs after yet another power cycle.
    let running = board.boot()?.running.unwrap_or_default();
    let report = Report { options, update, board, totals: &totals, end, running, time: started.elapsed() };
    report.tell()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let limit = Duration::from_secs(options.timeout);
    match timeout(limit, update(&options)).await.context("not over in time, see --timeout").flatten() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
