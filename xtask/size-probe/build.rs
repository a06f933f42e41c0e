//! Puts the memory map where cortex-m-rt's linker script looks for it.
use std::{env, fs, path::PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // The program that runs in QEMU lies where that machine has memory.
    let map = if env::var_os("CARGO_FEATURE_QEMU").is_some() { "mps2.x" } else { "psoc62.x" };
    fs::copy(map, out.join("memory.x")).expect("OUT_DIR can be written");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed={map}");
}
