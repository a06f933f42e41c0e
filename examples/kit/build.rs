//! The settings of one device, the blobs of the Wi-Fi chip or stand-ins for them, and the linker's list of interrupts.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    let config = ["config.rs", "config.template.rs"].map(Path::new);
    // The folder, for a `config.rs` that appears; a file that is not there would count as changed each time.
    println!("cargo::rerun-if-changed=.");
    let chosen = if config[0].exists() { config[0] } else { config[1] };
    let chosen = fs::canonicalize(chosen).expect("the template is part of the repository");
    fs::write(out.join("config.rs"), format!("include!({chosen:?});\n")).expect("OUT_DIR can be written");

    // A file that is missing, cut off or changed stops the build.
    ota_psoc6::build::wifi_blobs().unwrap_or_else(|error| panic!("{error}"));

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
