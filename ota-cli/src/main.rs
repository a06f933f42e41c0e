//! `ota`: the desk tool around an update. See `ota help`.

mod bundle;
mod inspect;
mod job_key;
mod key;
mod layout;
mod number;
mod serve;
mod sign;

use std::process::ExitCode;

use clap::Parser;

/// Firmware updates over the air, tried at a desk.
#[derive(Debug, Parser)]
#[command(name = "ota", version, max_term_width = 100)]
enum Command {
    Serve(serve::Serve),
    #[command(subcommand)]
    Sign(sign::Sign),
    #[command(subcommand)]
    Key(key::Key),
    Bundle(bundle::Bundle),
    Inspect(inspect::Inspect),
    Layout(layout::Layout),
}

fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Serve(serve) => serve.run(),
        Command::Sign(sign) => sign.run(),
        Command::Key(key) => key.run(),
        Command::Bundle(bundle) => bundle.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Layout(layout) => layout.run(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("ota: {error:#}");
        ExitCode::FAILURE
    })
}
