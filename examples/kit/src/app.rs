//! The application: it blinks, feeds the watchdog and decides whether a new image works.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use kit_net::beat::beat;
use log::info;
use ota_core::command::Command;
use ota_core::mqtt::EmbassyTimer;
use ota_psoc6::bus::Mmio;
use ota_psoc6::gpio::Output;
use ota_psoc6::kit::Kit;
use ota_psoc6::watchdog::Feed;

use crate::COMMANDS;

static REACHED: AtomicBool = AtomicBool::new(false);

/// The network was reached: an address, and an answer from a time server. That is what "works" means here, and what the self
/// test of a new image waits for; a product has more to look at.
pub(crate) fn is_reached() {
    if !REACHED.swap(true, Relaxed) {
        info!("app: the network is there, this image works");
        COMMANDS.say(Command::SelfTestPassed);
    }
}

/// Blinks. If any task keeps the processor for longer than the watchdog's patience, this one does not feed it, and the chip
/// is reset.
pub(crate) async fn run(kit: &Kit, chip: Mmio, mut watchdog: impl Feed) -> ! {
    let mut led = Output::switch(chip, kit.led);
    beat(EmbassyTimer, || {
        watchdog.feed();
        led.toggle();
    })
    .await
}
