//! `cargo xtask emulate`: a whole update on an emulated Cortex-M4, with bootloader, network, TLS, flash and reset.
//!
//! The device is QEMU with the firmware of `examples/qemu`, the cloud is `ota serve`. What happens in the device is read from
//! its console; its flash is a file that outlives QEMU, so killing QEMU is a power cut, and the host can look into the flash
//! afterwards with the bootloader's own rules.

use std::{env, process::Command};

use anyhow::{Context, bail, ensure};

use crate::stage;

mod bad;
mod board;
mod build;
mod cloud;
mod device;
mod kills;
mod options;
mod report;
mod update;

use build::{Firmware, Program};
use options::{Options, Protocol, Task};
use update::{Setting, Update};

/// The emulator, a program of its own.
pub(crate) const QEMU: &str = "qemu-system-arm";

/// Does what the words ask for.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let options = Options::parse(words)?;
    if options.help {
        println!("{}", options::HELP);
        return Ok(());
    }
    ensure!(have_qemu(), "{QEMU} is missing; Debian and Ubuntu have it in the package qemu-system-arm");
    let firmware = Firmware::build()?;
    match options.task {
        Task::Update => one(&firmware, &options),
        Task::Kills(count) => kills::run(&firmware, &options, count),
        Task::Bad => bad::run(&firmware, &options),
    }
}

/// CI: each protocol, each flash part, the revert, power cuts, bad input.
pub(crate) fn stage() -> anyhow::Result<()> {
    if !have_qemu() {
        let required = env::var_os("CI").is_some() || env::var_os("OTA_REQUIRE_ALL").is_some();
        ensure!(!required, "{QEMU} is missing, and CI or OTA_REQUIRE_ALL is set");
        println!("note: {QEMU} is missing, so nothing is emulated");
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

/// Power cuts of a run of CI.
const KILLS_IN_CI: u32 = 60;

/// One update, to its end.
fn one(firmware: &Firmware, options: &Options) -> anyhow::Result<()> {
    let program = if options.self_test_fails { Program::Broken } else { Program::Second };
    let setting = Setting::new(firmware, options, program);
    let mut update = Update::new(&setting)?;
    update.run(|_| None)?;
    let end = update.end()?;
    report::tell(&update, &end, options);
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

fn have_qemu() -> bool {
    let asked = Command::new(QEMU).arg("--version").output();
    asked.is_ok_and(|answer| answer.status.success())
}

/// Runs a command that builds something; the output is shown if it fails.
fn quietly(command: &mut Command) -> anyhow::Result<()> {
    stage::run(command)
}

/// A whole number after an option.
fn number<T: std::str::FromStr>(name: &str, word: Option<&&str>) -> anyhow::Result<T> {
    let Some(word) = word else { bail!("{name} wants a number") };
    word.parse().ok().with_context(|| format!("{name}: `{word}` is not a number"))
}
