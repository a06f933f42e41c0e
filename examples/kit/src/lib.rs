//! The firmware of the kits: an application that blinks, and beside it everything an update needs. [`run`] is all of it.
//!
//! | File | What a port has to provide | What it must guarantee |
//! |---|---|---|
//! | `board.rs` | the trait [`Board`]: clocks, flash, watchdog, random numbers | see the porting guide, `examples/README.md` |
//! | `psoc62.rs`, `psoc64.rs` | one implementation each | |
//! | `vectors.rs` | interrupts of the clock and of the SD host controller | |
//! | `console.rs` | where log lines go, and what a panic does | a panic ends in a reset, never through a flash operation |
//! | `wifi.rs`, `bridge.rs` | a network device that comes and goes: `kit_net`'s `Module`, `Station` | frames whole or not at all |
//! | `network.rs` | the IP stack above it: `kit_net`'s `Network` | TCP and DNS by `embedded-nal-async` |
//! | `date.rs` | the time, for certificates: `kit_net`'s `TimeServer` | never earlier than the build |
//! | `update.rs` | the agent with all of that | |
//! | `heap.rs` | feature `rsa` only: a heap | |
//! | `app.rs` | the application: blinks, and says whether the image works | says it only when it knows |
//! | `config.rs` | the settings of one device | not committed |
//!
//! When something is tried, how often, and what it is called when it fails is decided in `kit-net`, which knows no hardware
//! and is tested on the host.
#![no_std]

mod app;
mod board;
mod bridge;
mod console;
mod date;
#[cfg(feature = "rsa")]
mod heap;
mod network;
mod update;
mod vectors;
mod wifi;

#[cfg(feature = "psoc62")]
pub mod psoc62;
#[cfg(feature = "psoc64")]
pub mod psoc64;

pub use board::{Board, Clocks, Flash, Which};

/// The settings of one device. The file is also read outside of this crate's rules.
#[allow(missing_docs, unreachable_pub, dead_code)]
mod config {
    include!(concat!(env!("OUT_DIR"), "/config.rs"));
}

use embassy_futures::join::join5;
use log::info;
use ota_core::command::Commands;
use ota_psoc6::bus::Mmio;

/// What the application says to the agent.
static COMMANDS: Commands = Commands::new();

/// The firmware. Never returns; a reset ends it.
pub async fn run<B: Board>(mut board: B) -> ! {
    let chip = board.chip();
    ota_psoc6::boot::set_vector_table(chip, &B::MAP);
    let clocks = board.start();
    ota_psoc6::time::start(chip, (clocks.peripheral_hz / ota_psoc6::time::TICK_HZ) as u16);
    vectors::enable();
    console::start(chip, &B::KIT, clocks.peripheral_hz);
    #[cfg(feature = "rsa")]
    heap::start();
    info!("{}: {} on {}", B::KIT.name, env!("CARGO_PKG_NAME"), B::KIT.mcu);

    let app = app::run(&B::KIT, chip, board.watchdog());
    let (bridge, device) = bridge::new();
    let (stack, mut stack_runner) = network::new(device, board.seed());
    let wifi = wifi::run(&B::KIT, chip, clocks.sdhc_hz, bridge, stack, board.seed());
    let date = date::run(stack, board.seed(), app::is_reached);
    let update = update::run(&mut board, stack, clocks, &COMMANDS);
    join5(app, wifi, stack_runner.run(), date, update).await;
    unreachable!("the application's loop has no end")
}

/// When this firmware was built, seconds since 1970; see `build.rs`.
fn built_at_s() -> u64 {
    const { parse(env!("OTA_BUILT_AT_S").as_bytes()) }
}

const fn parse(digits: &[u8]) -> u64 {
    let (mut value, mut at) = (0, 0);
    while at < digits.len() {
        value = value * 10 + (digits[at] - b'0') as u64;
        at += 1;
    }
    value
}

/// The registers of the chip.
///
/// # Safety
/// As for [`Mmio::new`]; the kit's firmware is the only user.
pub const unsafe fn chip() -> Mmio {
    // SAFETY: the caller says so.
    unsafe { Mmio::new() }
}
