//! How is this library wired? Read [`firmware`]: it is what a device's `main` does. The rest stands in for the world: a
//! board ([`board`]), the cloud ([`cloud`]), the application ([`screen`]), and somebody who presses reset ([`update`]).

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

use anyhow::{Context, bail};
use board::Board;
use clap::Parser;
use cloud::{Cloud, THING};
use embedded_io_adapters::tokio_1::FromTokio;
use options::{Options, SelfTest};
use ota_core::agent::{Agent, Config, MAX_PAYLOAD_SIZE, Memory, Outcome, Timing};
use ota_core::boot::{Image, SharedFlash};
use ota_core::command::Commands;
use ota_core::driver::{Device, Local, run};
use ota_core::mqtt::{self, EmbassyTimer, Mqtt, Open};
use ota_core::policy::DefaultPolicy;
use ota_core::verify::{EcdsaP256, PublicKey, Rules};
use report::{Report, Totals};
use screen::Screen;
use tokio::net::TcpStream;
use update::Update;

/// Longest answer of AWS IoT Jobs this device takes, bytes: the job document and what stands around it.
const JOB_MESSAGE_SIZE: usize = 2048;

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

/// One life of the device, from reset to reset (`None`: to a power cut). Memory comes from vectors; a device has arrays.
async fn firmware(
    options: &Options,
    update: &Update,
    board: &Board,
    cloud: &Cloud,
    boots: u32,
    totals: &mut Totals,
) -> anyhow::Result<Option<Outcome>> {
    // 2. The flash: one device here, with both slots and the journal in it. Only the layout knows the boot mode.
    let flash = SharedFlash::new(&board.flash);
    let images = Image::new(flash, flash, board.layout)?;
    let journal = board.journal(flash)?;

    // 3. The keys: whose jobs are believed, and (where given) whose images.
    let certificate = update.job_key.certificate_der("Laptop Inc.");
    let job_keys = [PublicKey::certificate(&certificate)?];
    let image_keys: Vec<_> =
        update.image_keys.iter().map(|der| PublicKey::spki(der)).collect::<Result<_, _>>()?;
    let rules = Rules { job: EcdsaP256::new(&job_keys)?, image_keys: &image_keys, reset_vector: None };

    // 4. The MQTT client.
    let mut rx = vec![0; mqtt::rx_size(options.block_size as usize, JOB_MESSAGE_SIZE)];
    let mut tx = vec![0; mqtt::tx_size(MAX_PAYLOAD_SIZE, 4, 0)];
    let connector = Mqtt::new(Tcp(cloud.broker), mqtt::Config::new(THING), &mut rx, &mut tx)?;

    // 5. The agent and its memory. A loopback needs less patience than the Internet.
    let layouts = [board.layout];
    let mut config = Config {
        block_size: options.block_size,
        blocks_per_second: options.rate,
        ..Config::new(THING, &layouts)
    };
    config.seed = (options.seed as u32).wrapping_add(boots);
    if options.broker.is_none() {
        config.timing = Timing {
            request_ms: 2_000,
            block_ms: 250,
            retry_ms: 100,
            retry_max_ms: 2_000,
            ..Timing::DEFAULT
        };
    }
    if options.self_test == SelfTest::Hang {
        config.timing.self_test_ms = 2_000;
    }
    let mut strings = [0; Memory::STRINGS];
    let mut blocks = vec![0; Memory::block_bytes(&board.layout, options.block_size)];
    let mut sectors = vec![0; Memory::sector_bytes(&board.layout)];
    let memory = Memory { strings: &mut strings, blocks: &mut blocks, sectors: &mut sectors };
    let mut agent = Agent::new(config, memory)?;

    // 6. The application: may we (policy), what happens (observer), and its own words (commands).
    let commands = Commands::new();
    let screen = Screen::new(options, board, cloud, &commands);
    let local = Local::new(images, journal, rules, DefaultPolicy, screen);

    // 7. Run until the device has to be reset. Dropping the future, as a power cut does here, is legal anywhere.
    let mut buffer = [0; MAX_PAYLOAD_SIZE];
    let mut device =
        Device { connector, local, timer: EmbassyTimer, commands: &commands, buffer: &mut buffer };
    let outcome = tokio::select! {
        outcome = run(&mut agent, &mut device) => Some(outcome),
        operation = board.power_lost() => {
            device.local.observer.say(&format!("power cut in a {operation}"));
            totals.power_cut = Some(operation);
            None
        }
    };
    totals.add(agent.statistics());
    Ok(outcome)
}

/// A whole update: power on, boot, run, reset, until the job is over. True when it ended as asked for.
async fn update(options: &Options) -> anyhow::Result<bool> {
    let started = Instant::now();
    let update = Update::new(options)?;
    let board = Board::new(options, &update)?;
    let mut totals = Totals::default();
    let mut end = Cloud::remembered(options, &update);
    if end.is_some() {
        eprintln!(
            "note: this job ended in an earlier run; remove the flash file and the one beside it to start over"
        );
    } else {
        let cloud = Cloud::start(options, &update).await?;
        for boots in 0.. {
            board.boot()?;
            match firmware(options, &update, &board, &cloud, boots, &mut totals).await? {
                Some(Outcome::Reset) => totals.reboots += 1,
                Some(Outcome::Stopped) => break,
                None => {}
            }
        }
        end = cloud.end();
    }
    let end = end.context("the device stopped before its job was over")?;
    // What runs is what runs after yet another power cycle.
    let running = board.boot()?.running.unwrap_or_default();
    let report = Report {
        options,
        update: &update,
        board: &board,
        totals: &totals,
        end: &end,
        running,
        time: started.elapsed(),
    };
    if !options.quiet {
        println!("{}", report.table());
    }
    if options.json {
        println!("{}", report.json());
    }
    if !report.is_true() {
        bail!("the job says {} and version {} runs", end.status, report.running.version);
    }
    Ok(end.outcome() == options.expect)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    match tokio::time::timeout(Duration::from_secs(options.timeout), update(&options)).await {
        Ok(Ok(true)) => return ExitCode::SUCCESS,
        Ok(Ok(false)) => eprintln!("the update did not end as expected ({})", options.expect.name()),
        Ok(Err(error)) => eprintln!("error: {error:#}"),
        Err(_) => eprintln!("error: not over after {} s", options.timeout),
    }
    ExitCode::FAILURE
}
