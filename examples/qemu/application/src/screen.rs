//! The application's side of an update: it looks on, tests the new image, and knows when to stop.

use core::cell::{Cell, RefCell};
use core::fmt::{self, Write};
use core::future::poll_fn;
use core::task::Poll;

use embassy_net::Stack;
use ota_core::agent::StateKind;
use ota_core::command::{Command, Commands};
use ota_core::policy::{Drop, Observer};
use ota_core::status::Ended;
use qemu_board::{Place, Plan, say};

use crate::SelfTest;
use crate::clock::{INSTRUCTIONS_PER_TICK, ticks};
use crate::flash::{Download, Flash, Outage};
use crate::stack;

/// Tells what happens, and cuts the power where it was asked to.
pub(crate) struct Screen<'a> {
    pub(crate) flash: &'a RefCell<Flash>,
    pub(crate) outage: &'static Outage,
    pub(crate) plan: Option<Plan<'a>>,
    pub(crate) commands: &'a Commands,
    /// The work on the secondary slot before the swap was asked for.
    pub(crate) download: &'a Cell<Option<Download>>,
    /// An image that is not confirmed runs.
    pub(crate) testing: &'a Cell<bool>,
    pub(crate) since: u64,
}

impl Observer for Screen<'_> {
    fn state(&mut self, from: StateKind, to: StateKind) {
        match from {
            StateKind::Downloading => stack::tell("download"),
            StateKind::Verifying => {
                say!("@ instructions verify={}", (ticks() - self.since) * INSTRUCTIONS_PER_TICK);
                stack::tell("verify");
            }
            _ => {}
        }
        say!("@ state {to:?}");
        match to {
            StateKind::Offered => say!("a job is offered"),
            StateKind::Downloading => {
                say!("the image is wanted, downloading");
                stack::paint();
            }
            StateKind::Verifying => {
                say!("all blocks are in flash, verifying");
                stack::paint();
                self.since = ticks();
            }
            StateKind::Verified => say!("verified, telling the cloud"),
            StateKind::Activating => {
                self.download.set(Some(self.flash.borrow().download()));
                say!("asking MCUboot to install the image");
            }
            StateKind::Testing => {
                say!("an image that is not confirmed runs, testing it");
                self.testing.set(true);
            }
            StateKind::Confirmed => say!("the new image is confirmed"),
            StateKind::Failed => say!("the job failed, telling the cloud"),
            StateKind::Withdrawing => say!("taking the request for the swap back"),
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
        if let Some(Plan { place: Place::State(name), cut }) = self.plan
            && is_named(&to, name)
        {
            self.outage.supply.arm(cut);
            self.plan = None;
        }
    }

    fn progress(&mut self, held: u32, total: u32) {
        say!("@ held {held}/{total}");
    }

    fn dropped(&mut self, why: Drop, count: u32) {
        say!("@ dropped {why:?}, {count} so far");
    }

    fn ended(&mut self, how: Ended) {
        say!("the job is over ({how:?})");
        self.commands.say(Command::ShutDown);
    }

    fn about_to_reset(&mut self) {
        say!("reset");
    }
}

/// Whether the state prints as `name`.
fn is_named(state: &StateKind, name: &str) -> bool {
    struct Rest<'n>(&'n str);
    impl Write for Rest<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(name);
    write!(rest, "{state:?}").is_ok() && rest.0.is_empty()
}

/// What "works" means here: an image that can reach the network can be replaced by the next one.
pub(crate) async fn self_test(testing: &Cell<bool>, stack: Stack<'_>, is: SelfTest, commands: &Commands) {
    poll_fn(|_| if testing.take() { Poll::Ready(()) } else { Poll::Pending }).await;
    stack.wait_config_up().await;
    match is {
        SelfTest::Pass => commands.say(Command::SelfTestPassed),
        SelfTest::Fail => {
            say!("the new image does not like itself");
            commands.say(Command::SelfTestFailed);
        }
    }
}
