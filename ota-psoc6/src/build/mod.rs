//! For the build scripts of firmware: the linker's files from the one source of the layout.
//!
//! ```no_run
//! // build.rs, with `ota-psoc6 = { .., features = ["build"] }` among the build-dependencies
//! use ota_core::geometry::BootMode;
//! use ota_psoc6::layout::{Bootloader, FlashMap, Secondary, psoc62};
//!
//! const MAP: FlashMap = psoc62::checked(Secondary::SELECTED, BootMode::Overwrite, Bootloader::Small);
//! ota_psoc6::build::memory_x(&MAP).unwrap();
//! ```
//!
//! Firmware with Wi-Fi also calls [`wifi_blobs`].

extern crate std;

use std::string::ToString as _;
use std::{env, fs, io, path::PathBuf, println};

use crate::layout::{FlashMap, MemoryX};

mod files;

pub use files::{Blob, FileError, load, wifi_blobs};

/// Writes `memory.x` into cargo's `OUT_DIR` and tells cargo to link with it, and to build again when
/// `OTA_USE_EXTERNAL_FLASH` changes.
///
/// # Errors
/// When `OUT_DIR` is not set (this is no build script) or cannot be written.
pub fn memory_x(map: &FlashMap) -> io::Result<()> {
    let out = out_dir()?;
    fs::write(out.join("memory.x"), MemoryX(map).to_string())?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-env-changed=OTA_USE_EXTERNAL_FLASH");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

fn out_dir() -> io::Result<PathBuf> {
    let out = env::var_os("OUT_DIR").map(PathBuf::from);
    out.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "OUT_DIR is not set"))
}
