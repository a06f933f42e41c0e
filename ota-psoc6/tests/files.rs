//! The files of the Wi-Fi chip that a build is given: what is missing, cut off, changed or not as pinned stops it.

use std::fs;
use std::path::PathBuf;

use ota_psoc6::blobs::BlobError;
use ota_psoc6::build::{Blob, FileError, load};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const LINES: &str = "# Module X\nmanfid=0x2d0\n\nprodid=0x0726\nboardtype=0x0726\n";
const WANTED: &[u8] = b"manfid=0x2d0\0prodid=0x0726\0boardtype=0x0726\0\0";
/// As the vendor writes it.
const HEADER: &str = r#"
#define NVRAM_GENERATED_MAC_ADDRESS        "macaddr=00:11:22:33:44:55"
/* Module X */
static const char wifi_nvram_image[] =
        "manfid=0x2d0"                            "\x00"
        "prodid=0x0726"                           "\x00"
        NVRAM_GENERATED_MAC_ADDRESS               "\x00"
        "boardtype=0x0726"                        "\x00"
        "\x00\x00";
"#;

fn file(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("blob");
    fs::write(&path, bytes).unwrap();
    path
}

fn settings(bytes: &[u8]) -> Result<Vec<u8>, FileError> {
    let folder = tempfile::tempdir().unwrap();
    load(Blob::Settings, &file(&folder, bytes))
}

fn firmware() -> Vec<u8> {
    let text = b"43430a1 Version: 1.2.3 FWID 01-89abcdef\0";
    [&[7; 200_000], &text[..], &(text.len() as u16).to_le_bytes(), b"DVID 01-0badcafe"].concat()
}

#[test]
fn settings_in_every_form_are_what_the_chip_wants() {
    let padded = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    assert_eq!(settings(LINES.as_bytes()).unwrap(), padded(WANTED));
    assert_eq!(settings(LINES.replace('\n', "\r\n").as_bytes()).unwrap(), padded(WANTED));
    assert_eq!(settings(WANTED).unwrap(), padded(WANTED));
    assert_eq!(settings(&padded(WANTED)).unwrap(), padded(WANTED));
    let with_address = [b"macaddr=00:11:22:33:44:55\0", WANTED].concat();
    assert_eq!(settings(HEADER.as_bytes()).unwrap(), padded(&with_address));
}

#[test]
fn settings_are_refused_wherever_they_are_cut_off() {
    let header_end = HEADER.rfind("\\x00\"").unwrap() + 5;
    for (whole, end) in [(HEADER.as_bytes(), header_end), (WANTED, WANTED.len())] {
        for len in 0..end {
            let error = settings(&whole[..len]).unwrap_err();
            assert!(matches!(error, FileError::Blob(BlobError::Nvram)), "{len} bytes: {error}");
        }
    }
    // Of lines only a whole number can be taken for all.
    for len in 0..LINES.len() {
        let result = settings(&LINES.as_bytes()[..len]);
        let is_whole = LINES[..len].ends_with('\n') && LINES[..len].contains('=');
        assert_eq!(result.is_ok(), is_whole, "{len} bytes");
    }
    for bad in [&b"\xFF\xFE"[..], b"manfid\n", b"manfid=1\nprodid\n", b"man\x07fid=1\n"] {
        assert!(matches!(settings(bad), Err(FileError::Blob(BlobError::Nvram))), "{}", bad.escape_ascii());
    }
}

#[test]
fn what_is_pinned_must_match() {
    let folder = tempfile::tempdir().unwrap();
    let good = firmware();
    let path = file(&folder, &good);
    let pin = folder.path().join("blob.sha256");
    assert_eq!(load(Blob::Firmware, &path).unwrap(), good);
    let digest: String = Sha256::digest(&good).iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [format!("{digest}  blob\n"), digest.to_uppercase()] {
        fs::write(&pin, text).unwrap();
        assert_eq!(load(Blob::Firmware, &path).unwrap(), good);
    }
    // One bit in the middle: nothing but the digest knows.
    let mut changed = good.clone();
    changed[100_000] ^= 1;
    file(&folder, &changed);
    let error = load(Blob::Firmware, &path).unwrap_err();
    assert!(matches!(&error, FileError::Digest(_)), "{error}");
    for text in ["", "no digest", &digest[1..]] {
        fs::write(&pin, text).unwrap();
        assert!(matches!(load(Blob::Firmware, &path), Err(FileError::Pin)), "{text}");
    }
    fs::write(&pin, [0xFF]).unwrap();
    assert!(matches!(load(Blob::Firmware, &path), Err(FileError::Read(_))));
}

#[test]
fn what_is_missing_or_another_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for blob in Blob::ALL {
        assert!(matches!(load(blob, &folder.path().join("nothing")), Err(FileError::Read(_))));
        assert!(matches!(load(blob, folder.path()), Err(FileError::Read(_))));
        let empty = load(blob, &file(&folder, b"")).unwrap_err();
        assert!(matches!(empty, FileError::Blob(_)), "{blob:?}: {empty}");
    }
    let cut = &firmware()[..200_000];
    let error = load(Blob::Firmware, &file(&folder, cut)).unwrap_err();
    assert_eq!(error.to_string(), "FirmwareTruncated: cut off, changed, or another file");
    let error = load(Blob::Regulatory, &file(&folder, &firmware())).unwrap_err();
    assert!(matches!(error, FileError::Blob(BlobError::Clm)), "{error}");
}
