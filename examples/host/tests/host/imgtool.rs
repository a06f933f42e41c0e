//! Images signed by MCUboot's own tool.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{End, command};

const KEY: &str = "imgtool-key.pem";

/// Runs imgtool in a folder; `None`, with a notice, where it is not installed and need not be.
fn imgtool(folder: &Path, arguments: &str) -> Option<()> {
    let started = Command::new("imgtool").args(arguments.split_whitespace()).current_dir(folder).output();
    match started {
        Ok(output) => {
            assert!(
                output.status.success(),
                "imgtool {arguments}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(())
        }
        Err(error) => {
            let required = ["CI", "OTA_REQUIRE_ALL"].iter().any(|name| std::env::var_os(name).is_some());
            assert!(!required, "imgtool cannot be started ({error}); install it (pip install imgtool)");
            // Written past the test runner's capture, so that it is seen.
            let _ = writeln!(std::io::stderr(), "NOTICE: imgtool is not installed, its tests do nothing");
            None
        }
    }
}

fn sign(folder: &Path, options: &str, name: &str) -> PathBuf {
    let sign = "sign --header-size 0x400 --pad-header --align 8 --version 1.2.3+4";
    imgtool(folder, &format!("{sign} {options} program.bin {name}")).unwrap();
    folder.join(name)
}

fn folder() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let program: Vec<u8> = (0..120_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(folder.path().join("program.bin"), program).unwrap();
    imgtool(folder.path(), &format!("keygen -k {KEY} -t ecdsa-p256"))?;
    Some(folder)
}

fn update(image: &Path, arguments: &str) -> End {
    End::of(&command(arguments).arg("--image").arg(image).output().unwrap())
}

#[test]
fn images_of_both_slot_sizes_and_erased_values() {
    let Some(folder) = folder() else { return };
    for slot in ["0xEE000", "0x1C0000"] {
        for erased in ["0", "0xff"] {
            let options = format!("--key {KEY} --slot-size {slot} --erased-val {erased}");
            let image = sign(folder.path(), &options, &format!("{slot}-{erased}.bin"));
            // On flash like the one it was made for, and on the default device, with and without the key.
            let alike = format!("--slot-size {slot} --erased {erased}");
            let key = format!("--image-key {}", folder.path().join(KEY).display());
            for arguments in [&alike, &key, &format!("{alike} {key} --boot-mode overwrite")] {
                let end = update(&image, arguments);
                end.ends("updated", "SUCCEEDED", "accepted v1.2.3+4", "1.2.3+4");
                assert!(end.ok);
                let told = end.stderr.contains("hash only");
                assert_eq!(told, !arguments.contains("--image-key"), "{}", end.stderr);
            }
        }
    }
}

#[test]
fn an_image_of_another_key_is_not_installed() {
    let Some(folder) = folder() else { return };
    imgtool(folder.path(), "keygen -k other.pem -t ecdsa-p256").unwrap();
    let image = sign(folder.path(), "--key other.pem --slot-size 0xEE000", "other.bin");
    let end = update(&image, &format!("--image-key {}", folder.path().join(KEY).display()));
    end.ends("failed", "FAILED", "image_signature_invalid", "0.9.0");
    assert!(!end.ok);
}
