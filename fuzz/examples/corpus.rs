//! Writes every target's seeds where `cargo fuzz` looks for them: `cargo run -p ota-fuzz --example corpus`.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in ota_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets/corpus").join(target.name);
        fs::create_dir_all(&folder)?;
        for (at, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{at}")), seed)?;
        }
    }
    Ok(())
}
