//! Everything CI does, runnable at home.
//!
//! ```text
//! cargo xtask ci [STAGE..]   all stages, some of them side by side; or only the named ones, one after the other
//! cargo xtask emulate        a whole update on an emulated Cortex-M4; --help has the options
//! cargo xtask firmware       builds the kits' firmware and checks what was linked; --json, --sign KEY, --features LIST
//! cargo xtask sizes [--json] flash, RAM, stack and instructions of the library on a Cortex-M4
//! cargo xtask tidy           rules of this repository no compiler checks
//! ```

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

mod calls;
mod ci;
mod elf;
mod emulate;
mod firmware;
mod frames;
mod qemu;
mod readme;
mod sizes;
mod stage;
mod tidy;
mod tree;

const USAGE: &str = "usage: cargo xtask ci [STAGE..] | emulate [OPTION..] | firmware [--json] [--sign KEY] [--features LIST] [KIT..] | sizes [--json] | tidy";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["ci", stages @ ..] => ci::run(stages),
        ["emulate", options @ ..] => emulate::run(options),
        ["firmware", words @ ..] => firmware::run(words),
        ["sizes"] => sizes::run(false),
        ["sizes", "--json"] => sizes::run(true),
        ["tidy"] => tidy::run(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}\nstages: {}", ci::stage_names().join(", "));
            return ExitCode::SUCCESS;
        }
        _ => Err(anyhow::anyhow!("{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    // xtask lies directly below it.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo builds.
fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The cargo that runs this task, so that a chosen toolchain holds for every stage.
fn cargo() -> std::process::Command {
    let mut command = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
