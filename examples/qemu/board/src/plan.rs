//! What the host tells QEMU's process when it starts it: a seed for the random numbers, and where the power is to fail.
//!
//! A planned failure is counted in the device's own progress, so it repeats. The device does what a failing supply does, at
//! most half of the operation, then says so and stands still; the host kills QEMU.

use core::fmt;
use core::str::FromStr;

use ota_sim::flash::{Cut, Tear, When};

/// What counts the operations up to a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Flash operations of the bootloader since reset.
    Bootloader,
    /// Flash operations of the application since reset.
    Application,
    /// Flash operations of the application since its agent came to the state of this name.
    State(&'a str),
    /// Frames received from the network since reset.
    Frame,
}

/// A planned failure of the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    /// What is counted.
    pub place: Place<'a>,
    /// Which operation, or which frame, and how far it comes.
    pub cut: Cut,
}

impl fmt::Display for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Bootloader => "bootloader",
            Place::Application => "application",
            Place::State(name) => name,
            Place::Frame => "frame",
        };
        write!(f, "{place}:{}:", self.cut.operation)?;
        match self.cut.when {
            When::Before => f.write_str("before"),
            When::After => f.write_str("after"),
            When::Inside(Tear::Half) => f.write_str("half"),
            When::Inside(Tear::ReadsErased) => f.write_str("erased"),
            When::Inside(Tear::ReadsComplete) => f.write_str("complete"),
            When::Inside(Tear::Garbage(seed)) => write!(f, "{seed}"),
        }
    }
}

/// Reads a plan as its `Display` writes it.
fn plan(text: &str) -> Option<Plan<'_>> {
    let mut words = text.split(':');
    let place = match words.next()? {
        "bootloader" => Place::Bootloader,
        "application" => Place::Application,
        "frame" => Place::Frame,
        name => Place::State(name),
    };
    let operation = u32::from_str(words.next()?).ok()?;
    let when = match words.next()? {
        "before" => When::Before,
        "after" => When::After,
        "half" => When::Inside(Tear::Half),
        "erased" => When::Inside(Tear::ReadsErased),
        "complete" => When::Inside(Tear::ReadsComplete),
        seed => When::Inside(Tear::Garbage(u64::from_str(seed).ok()?)),
    };
    Some(Plan { place, cut: Cut { operation, when } })
}

/// What the host says to one process of QEMU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arguments<'a> {
    /// All random numbers of the device follow from it. A real device has a source of its own.
    pub seed: u64,
    /// Where the power is to fail.
    pub plan: Option<Plan<'a>>,
}

impl<'a> Arguments<'a> {
    /// Reads `seed=N cut=..`, in any order; the other words are not for the device.
    pub fn parse(line: &'a str) -> Self {
        let mut found = Self::default();
        for word in line.split_whitespace() {
            match word.split_once('=') {
                Some(("seed", seed)) => found.seed = u64::from_str(seed).unwrap_or(0),
                Some(("cut", text)) => found.plan = plan(text),
                Some(_) | None => {}
            }
        }
        found
    }
}
