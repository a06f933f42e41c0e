//! A whole update on a computer. How this library is wired stands in [`firmware`]; the rest stands in for the world: a board,
//! the cloud, the application, and in [`update()`] somebody who presses reset.

mod board;
mod cloud;
mod firmware;
mod kit;
mod network;
mod options;
mod plan;
mod report;
mod screen;
mod update;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use board::Board;
use clap::Parser;
use cloud::Cloud;
use firmware::power_on;
use network::Wifi;
use options::Options;
use ota_core::agent::Outcome;
use report::{Report, Totals};
use tokio::time::timeout;
use update::Update;

/// What the device lives in.
struct World<'a> {
    options: &'a Options,
    update: &'a Update,
    board: &'a Board,
    cloud: &'a Cloud,
    wifi: &'a Wifi,
}

/// A whole update: power on, boot, run, reset, until the job is over. An error too when it did not end as asked for.
async fn update(options: &Options) -> anyhow::Result<()> {
    let started = Instant::now();
    options.check()?;
    let plan = plan::Plan::new(options)?;
    let update = &Update::new(options, &plan)?;
    let board = &Board::new(options, plan, update)?;
    let mut totals = Totals::default();
    let mut end = Cloud::remembered(options, update);
    if end.is_none() {
        let cloud = &Cloud::start(options, update).await?;
        let wifi = &Wifi::default();
        let world = World { options, update, board, cloud, wifi };
        loop {
            board.boot()?;
            totals.boots += 1;
            match power_on(&world, &mut totals).await? {
                Some(Outcome::Reset) => totals.reboots += 1,
                Some(Outcome::Stopped) => break,
                None => {}
            }
        }
        end = cloud.end();
        totals.http_bytes = cloud.http_bytes();
    }
    let end = &end.context("the device stopped before its job was over")?;
    // What runs is what runs after yet another power cycle.
    let running = board.boot()?.iter().filter_map(|image| image.running).collect();
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
