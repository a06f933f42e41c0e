//! `ota`: the desk tool around an update. See `ota help`.

mod job_key;
mod serve;

use std::process::ExitCode;

use clap::Parser;

/// Firmware updates over the air, tried at a desk.
#[derive(Debug, Parser)]
#[command(name = "ota", version, max_term_width = 100)]
enum Command {
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Serve(serve) => serve.run(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("ota: {error:#}");
        ExitCode::FAILURE
    })
}
