//! The settings of one device, the blobs of the Wi-Fi chip or stand-ins for them, and the linker's list of interrupts.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

/// How a stand-in begins; `ota_psoc6::wifi::STAND_IN` is the same.
const STAND_IN: &[u8] = b"OTA-STAND-IN: no firmware of the Wi-Fi chip was given to this build. ";

/// A blob: its file in `OUT_DIR`, the variable that names the user's, and its size in release v3.0.0.
const BLOBS: [(&str, &str, usize); 3] = [
    ("firmware.bin", "OTA_WIFI_FIRMWARE", 421_421),
    ("clm.bin", "OTA_WIFI_CLM", 7_222),
    ("nvram.bin", "OTA_WIFI_NVRAM", 1_024),
];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    let config = ["config.rs", "config.template.rs"].map(Path::new);
    // The folder, for a `config.rs` that appears; a file that is not there would count as changed each time.
    println!("cargo::rerun-if-changed=.");
    let chosen = if config[0].exists() { config[0] } else { config[1] };
    let chosen = fs::canonicalize(chosen).expect("the template is part of the repository");
    fs::write(out.join("config.rs"), format!("include!({chosen:?});\n")).expect("OUT_DIR can be written");

    for (name, variable, size) in BLOBS {
        println!("cargo::rerun-if-env-changed={variable}");
        let blob = match env::var_os(variable) {
            Some(path) => given(Path::new(&path), variable, size),
            None => STAND_IN.iter().copied().cycle().take(size).collect(),
        };
        fs::write(out.join(name), blob).expect("OUT_DIR can be written");
    }

    // Seconds since 1970: the lower bound of the time, for certificates.
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let built = env::var("SOURCE_DATE_EPOCH").ok().and_then(|value| value.parse().ok()).unwrap_or(now);
    println!("cargo::rustc-env=OTA_BUILT_AT_S={built}");

    // cortex-m-rt asks for the names of the interrupts; the table itself stands in src/vectors.rs.
    fs::write(out.join("device.x"), "/* no names: src/vectors.rs holds the table */\n")
        .expect("OUT_DIR can be written");
    println!("cargo::rustc-link-search={}", out.display());
}

/// The user's blob. Missing or empty stops the build, another size than the release's is warned about.
fn given(path: &Path, variable: &str, size: usize) -> Vec<u8> {
    println!("cargo::rerun-if-changed={}", path.display());
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{variable}={}: {error}", path.display()));
    assert!(!bytes.is_empty(), "{variable}={}: the file is empty", path.display());
    if variable == "OTA_WIFI_NVRAM" {
        return settings(&bytes);
    }
    if bytes.len() != size {
        let len = bytes.len();
        println!(
            "cargo::warning={variable}: {len} bytes, the file of release v3.0.0 has {size}: another release, or cut off"
        );
    }
    bytes
}

/// The board settings as the chip wants them, from the vendor's `wifi_nvram_image.h` or from lines of `key=value`: each with a
/// NUL behind it, one more at the end, and a multiple of four bytes.
fn settings(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let is_header = text.contains("\\x00");
    let mut settings = Vec::new();
    for line in text.lines().map(str::trim) {
        let entry = match is_header {
            // "manfid=0x2d0" "\x00"
            true => line.split('"').nth(1).unwrap_or_default(),
            false => line,
        };
        let entry = entry.trim_end_matches("\\x00").trim_end_matches('\0');
        if entry.contains('=') && !entry.starts_with('#') {
            settings.extend_from_slice(entry.as_bytes());
            settings.push(0);
        }
    }
    assert!(!settings.is_empty(), "OTA_WIFI_NVRAM: no line of the form key=value");
    settings.push(0);
    settings.resize(settings.len().next_multiple_of(4), 0);
    settings
}
