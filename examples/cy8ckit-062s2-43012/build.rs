//! The linker's files, from the map the firmware uses.

#[path = "src/map.rs"]
mod map;

fn main() {
    println!("cargo::rerun-if-changed=src/map.rs");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    // A slot is no multiple of a page: sections must lie in the file as they lie in flash.
    println!("cargo::rustc-link-arg-bins=--nmagic");
    ota_psoc6::build::memory_x(&map::MAP).expect("OUT_DIR can be written");
}
