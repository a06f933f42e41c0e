//! `ota key`: a key to sign with, and its public half in the forms that devices and tools want.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::job_key::JobKey;

/// Make a signing key, or print the public half of one.
///
/// Exit code: 0 done, 1 failed, 2 wrong arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Write a new ECDSA P-256 private key (PEM, PKCS #8); never over an existing file
    New {
        /// Where the key goes
        out: PathBuf,
    },
    /// Print the public half
    Public {
        /// Private key (PEM, P-256)
        key: PathBuf,
        /// As a Rust constant for `ota_core::verify::PublicKey::sec1`
        #[arg(long)]
        rust: bool,
        /// Name of the constant
        #[arg(long, default_value = "PUBLIC_KEY", requires = "rust", value_parser = constant_name)]
        name: String,
    },
}

impl Key {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::New { out } => create(&out)?,
            Self::Public { key, rust: false, name: _ } => print!("{}", JobKey::load(&key)?.public_pem()?),
            Self::Public { key, rust: true, name } => print!("{}", constant(&JobKey::load(&key)?, &name)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn create(out: &Path) -> Result<()> {
    let pem = JobKey::generate().private_pem()?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || options.open(out)?.write_all(pem.as_bytes());
    write().with_context(|| format!("cannot create {}", out.display()))
}

/// The uncompressed point, formatted as rustfmt leaves it.
fn constant(key: &JobKey, name: &str) -> String {
    let mut text = format!("/// ECDSA P-256 public key: `04 || X || Y`.\npub const {name}: [u8; 65] = [\n");
    for row in key.public_point().chunks(13) {
        let row: Vec<String> = row.iter().map(|byte| format!("{byte:#04x}")).collect();
        text += &format!("    {}, //\n", row.join(", "));
    }
    text + "];\n"
}

fn constant_name(name: &str) -> Result<String, String> {
    let letter = |b: u8| b.is_ascii_uppercase() || b == b'_';
    match name.as_bytes() {
        [first, rest @ ..] if letter(*first) && rest.iter().all(|&b| letter(b) || b.is_ascii_digit()) => {
            Ok(name.into())
        }
        _ => Err("a constant's name is upper case, like JOB_KEY".into()),
    }
}
