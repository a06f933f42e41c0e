//! The application's side of the update: it looks on, tests the new image, and knows when to stop.

use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use ota_core::agent::StateKind;
use ota_core::command::{Command, Commands};
use ota_core::policy::Observer;
use ota_core::status::Ended;

use crate::World;
use crate::board::Board;
use crate::cloud::Cloud;
use crate::network::Wifi;
use crate::options::{Options, SelfTest};

/// How long the Wi-Fi stays away.
const WIFI_LOSS: Duration = Duration::from_secs(1);
/// Characters of the progress bar.
const BAR: u32 = 40;

/// Shows progress on standard error and says the application's words.
pub(crate) struct Screen<'a> {
    options: &'a Options,
    board: &'a Board,
    cloud: &'a Cloud,
    commands: &'a Commands,
    wifi: &'a Wifi,
    /// The Wi-Fi is still to be lost.
    wifi_loss: Cell<Option<u32>>,
    /// A bar is on the line the cursor is on.
    drawn: Cell<bool>,
    /// How far the last line of progress was, in tenths.
    tenth: Cell<u32>,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(world: &World<'a>, commands: &'a Commands) -> Self {
        let &World { options, board, cloud, wifi, .. } = world;
        let wifi_loss = Cell::new(options.wifi_loss);
        Self {
            options,
            board,
            cloud,
            commands,
            wifi,
            wifi_loss,
            drawn: Cell::default(),
            tenth: Cell::default(),
        }
    }

    /// The power is gone; whoever stands beside the device sees it.
    pub(crate) fn power_lost(&self, operation: &str) {
        self.say(&format!("power cut in a {operation}"));
    }

    /// One line of what happens.
    fn say(&self, text: &str) {
        if self.options.quiet {
            return;
        }
        if self.drawn.take() {
            eprintln!();
        }
        eprintln!("{text}");
    }
}

impl Observer for Screen<'_> {
    fn state(&mut self, _from: StateKind, to: StateKind) {
        match to {
            StateKind::Offered => self.say("device: a job is offered"),
            StateKind::Downloading => self.say("device: the image is wanted, downloading"),
            StateKind::Verifying => self.say("device: all blocks are in flash, verifying"),
            StateKind::Verified => self.say("device: verified, telling the cloud"),
            StateKind::Activating => {
                self.board.download_ends();
                self.say("device: asking MCUboot to install the image");
            }
            StateKind::Testing => {
                let word = match self.options.self_test {
                    SelfTest::Pass => Some(Command::SelfTestPassed),
                    SelfTest::Fail => Some(Command::SelfTestFailed),
                    SelfTest::Hang => None,
                };
                self.say("device: an image that is not confirmed runs, testing it");
                if let Some(word) = word {
                    self.commands.say(word);
                }
            }
            StateKind::Confirmed => self.say("device: the new image is confirmed"),
            StateKind::Failed => self.say("device: the job failed, telling the cloud"),
            StateKind::Withdrawing => self.say("device: taking the request for the swap back"),
            StateKind::Booting
            | StateKind::Idle
            | StateKind::Custom
            | StateKind::Judging
            | StateKind::Ready
            | StateKind::Pending
            | StateKind::Confirming
            | StateKind::Resetting
            | StateKind::Stopped => {}
        }
    }

    fn progress(&mut self, held: u32, total: u32) {
        if total == 0 {
            return;
        }
        let reached = |percent: Option<u32>| percent.is_some_and(|percent| held * 100 >= percent * total);
        if reached(self.wifi_loss.get()) {
            self.wifi_loss.set(None);
            self.say("the Wi-Fi is lost");
            self.wifi.lose(WIFI_LOSS);
        }
        if reached(self.options.cancel_at) && self.cloud.end().is_none() {
            self.cloud.cancel();
        }
        if !self.options.quiet && !stderr().is_terminal() {
            // A log gets ten lines, not one a block.
            let tenth = held * 10 / total;
            if self.tenth.replace(tenth) != tenth && tenth > 0 {
                self.say(&format!("device: {held} of {total} blocks"));
            }
        } else if !self.options.quiet {
            let filled = held * BAR / total;
            let bar: String = (0..BAR).map(|place| if place < filled { '#' } else { '.' }).collect();
            eprint!("\r[{bar}] {held}/{total} blocks");
            // A bar that cannot be drawn is no reason to stop.
            let _ = stderr().flush();
            self.drawn.set(true);
        }
    }

    fn ended(&mut self, how: Ended) {
        // Without a journal the device may be done with an image while the cloud still waits for word of the job.
        if let Some(end) = self.cloud.end() {
            self.say(&format!("device: the job is over ({how:?})"));
            if let Err(error) = self.cloud.remember(&end) {
                self.say(&format!("the end of the job cannot be written beside the flash: {error}"));
            }
            self.commands.say(Command::ShutDown);
        }
    }

    fn about_to_reset(&mut self) {
        self.say("device: reset");
    }
}
