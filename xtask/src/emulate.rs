//! `cargo xtask emulate`: a whole update on an emulated Cortex-M4, with bootloader, network, TLS, flash and reset.
//!
//! The device is QEMU with the firmware of `examples/qemu`, the cloud is `ota serve`. What happens in the device is read from
//! its console; its flash is a file that outlives QEMU, so killing QEMU is a power cut, and the host can look into the flash
//! afterwards with the bootloader's own rules.

use anyhow::{Context, bail, ensure};

use crate::qemu;

mod bad;
mod board;
mod build;
mod cloud;
mod device;
mod kills;
mod options;
mod report;
mod setting;
mod update;

use build::{Firmware, Program};
use options::{Options, Protocol, Task};
use setting::Setting;
pub(crate) use update::Counters;
use update::Update;

/// The workspace of the firmware, seen from the root.
pub(crate) const MANIFEST: &str = "examples/qemu/Cargo.toml";

/// Does what the words ask for.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let options = Options::parse(words)?;
    if options.help {
        println!("{}", options::HELP);
        return Ok(());
    }
    ensure!(qemu::is_there("nothing can be emulated")?, "there is no emulator");
    let firmware = Firmware::build()?;
    match options.task {
        Task::Update => one(&firmware, &options),
        Task::Kills(count) => kills::run(&firmware, &options, count),
        Task::Bad => bad::run(&firmware, &options),
    }
}

/// CI: lints; then each protocol, each flash part, the revert, power cuts, bad input.
pub(crate) fn stage() -> anyhow::Result<()> {
    build::clippy()?;
    if !qemu::is_there("no update is emulated")? {
        return Ok(());
    }
    let firmware = Firmware::build()?;
    let quiet = Options { quiet: true, ..Options::default() };
    one(&firmware, &Options { quiet: false, ..quiet.clone() })?;
    for protocol in [Protocol::Http, Protocol::Both] {
        one(&firmware, &Options { protocol, ..quiet.clone() })?;
    }
    for part in &qemu_board::PARTS {
        one(&firmware, &Options { self_test_fails: true, part, ..quiet.clone() })?;
    }
    kills::run(&firmware, &quiet, KILLS_IN_CI)?;
    bad::run(&firmware, &quiet)
}

/// What only a target can tell, by name: painted peak stacks in bytes, and instructions. One update over MQTT, for which QEMU
/// counts; `None` where there is no QEMU and that is no error.
pub(crate) fn numbers() -> anyhow::Result<Option<Counters>> {
    if !qemu::is_there("the stack of TLS and of verification is not measured")? {
        return Ok(None);
    }
    let firmware = Firmware::build()?;
    let options = Options { quiet: true, count: true, ..Options::default() };
    let setting = Setting::new(&firmware, &options, Program::Second);
    let mut update = Update::new(&setting)?;
    update.run(|_| None)?;
    let outcome = update.end()?.outcome();
    ensure!(outcome == "updated", "the update to be measured ended as {outcome}");
    Ok(Some(update.peaks.clone()))
}

/// Power cuts of a run of CI.
const KILLS_IN_CI: u32 = 60;

/// One update, to its end.
fn one(firmware: &Firmware, options: &Options) -> anyhow::Result<()> {
    let setting = Setting::new(firmware, options, options.program());
    let mut update = Update::new(&setting)?;
    update.run(|_| None)?;
    let end = update.end()?;
    report::tell(&update, &end, options);
    if options.json {
        println!("{}", report::object(&update, &end));
    }
    let expected = update.expected_without_cuts();
    ensure!(
        end.outcome() == expected,
        "{}, {}: the outcome is {}, expected was {expected}",
        options.part.name,
        options.protocol.name(),
        end.outcome()
    );
    Ok(())
}

/// A whole number after an option.
fn number<T: std::str::FromStr>(name: &str, word: Option<&&str>) -> anyhow::Result<T> {
    let Some(word) = word else { bail!("{name} wants a number") };
    word.parse().ok().with_context(|| format!("{name}: `{word}` is not a number"))
}
