//! The files of the Wi-Fi chip, before anything is built with them.

extern crate std;

use std::borrow::ToOwned as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{env, error, fmt, format, fs, io, println};

use sha2::{Digest, Sha256};

use crate::blobs::{self, BlobError, STAND_IN};

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blob {
    /// The firmware.
    Firmware,
    /// The regulatory data.
    Regulatory,
    /// The board settings: the vendor's C header, or `key=value` in lines or with NULs between.
    Settings,
}

impl Blob {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Firmware, Self::Regulatory, Self::Settings];

    /// The variable of the environment that names the user's file.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Firmware => "OTA_WIFI_FIRMWARE",
            Self::Regulatory => "OTA_WIFI_CLM",
            Self::Settings => "OTA_WIFI_NVRAM",
        }
    }

    /// What it is called in `OUT_DIR`.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware.bin",
            Self::Regulatory => "clm.bin",
            Self::Settings => "nvram.bin",
        }
    }

    /// Bytes of the file in release v3.0.0; of settings, where the form decides, about as many.
    pub const fn size(self) -> usize {
        match self {
            Self::Firmware => 421_421,
            Self::Regulatory => 7_222,
            Self::Settings => 1_024,
        }
    }
}

/// Why a file must not be built with.
#[derive(Debug)]
pub enum FileError {
    /// It is not there, or cannot be read; nor can a digest beside it.
    Read(io::Error),
    /// It is not what it should be.
    Blob(BlobError),
    /// The file `NAME.sha256` beside it does not begin with 64 hexadecimal digits.
    Pin,
    /// Its SHA-256 is this, and another stands in the file `NAME.sha256` beside it.
    Digest(String),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Blob(error) => write!(f, "{error:?}: cut off, changed, or another file"),
            Self::Pin => f.write_str("the file .sha256 beside it does not begin with a SHA-256"),
            Self::Digest(found) => {
                write!(f, "its SHA-256 is {found}, not what the file .sha256 beside it says")
            }
        }
    }
}

impl error::Error for FileError {}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<BlobError> for FileError {
    fn from(error: BlobError) -> Self {
        Self::Blob(error)
    }
}

/// Writes the blobs into cargo's `OUT_DIR`: the user's files, where the environment names them, else stand-ins of the same size, which
/// the firmware refuses by name. Tells cargo to build again when one changes, and warns of sizes other than the release's.
///
/// # Errors
/// A sentence with variable and path, for the build to stop with.
pub fn wifi_blobs() -> Result<(), String> {
    let out = super::out_dir().map_err(|error| error.to_string())?;
    for blob in Blob::ALL {
        println!("cargo::rerun-if-env-changed={}", blob.variable());
        let bytes = match env::var_os(blob.variable()) {
            Some(path) => given(blob, Path::new(&path))?,
            None => STAND_IN.iter().copied().cycle().take(blob.size()).collect(),
        };
        let path = out.join(blob.file_name());
        fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn given(blob: Blob, path: &Path) -> Result<Vec<u8>, String> {
    let name = format!("{}={}", blob.variable(), path.display());
    println!("cargo::rerun-if-changed={}", path.display());
    // A file that is not there would count as changed each time.
    if pin(path).exists() {
        println!("cargo::rerun-if-changed={}", pin(path).display());
    }
    let bytes = load(blob, path).map_err(|error| format!("{name}: {error}"))?;
    if blob != Blob::Settings && bytes.len() != blob.size() {
        let (len, size) = (bytes.len(), blob.size());
        println!(
            "cargo::warning={name}: {len} bytes, the file of release v3.0.0 has {size}: another release?"
        );
    }
    Ok(bytes)
}

/// One file as the chip wants it.
///
/// # Errors
/// See [`FileError`].
pub fn load(blob: Blob, path: &Path) -> Result<Vec<u8>, FileError> {
    let bytes = fs::read(path)?;
    match fs::read_to_string(pin(path)) {
        Ok(text) => compare(&bytes, &text)?,
        // Nothing is pinned.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let bytes = if blob == Blob::Settings { settings(&bytes)? } else { bytes };
    match blob {
        Blob::Firmware => blobs::firmware(&bytes)?,
        Blob::Regulatory => blobs::regulatory(&bytes)?,
        Blob::Settings => blobs::settings(&bytes)?,
    }
    Ok(bytes)
}

/// Where the digest of a file is, as `sha256sum NAME >NAME.sha256` writes it.
fn pin(path: &Path) -> PathBuf {
    let mut name: OsString = path.to_owned().into();
    name.push(".sha256");
    name.into()
}

fn compare(bytes: &[u8], pinned: &str) -> Result<(), FileError> {
    let pinned = pinned.split_whitespace().next().unwrap_or_default();
    if pinned.len() != 64 || !pinned.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(FileError::Pin);
    }
    let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    match found.eq_ignore_ascii_case(pinned) {
        true => Ok(()),
        false => Err(FileError::Digest(found)),
    }
}

/// The end of the vendor's header `wifi_nvram_image.h`.
const HEADER_END: &str = "\"\\x00\\x00\"";

/// Settings from the vendor's header, from lines, or from what the chip takes. Each gets a NUL behind it, one more stands at the
/// end, and zeros up to a multiple of four bytes.
fn settings(bytes: &[u8]) -> Result<Vec<u8>, BlobError> {
    let text = str::from_utf8(bytes).map_err(|_| BlobError::Nvram)?;
    let entries: Vec<&str> = if text.contains("\\x00") {
        if !text.contains(HEADER_END) {
            return Err(BlobError::Nvram);
        }
        // "manfid=0x2d0" "\x00"
        let strings = text.lines().filter_map(|line| line.split('"').nth(1));
        strings.map(|it| it.trim_end_matches("\\x00")).filter(|it| it.contains('=')).collect()
    } else if text.contains('\0') {
        // What is not ended is not whole.
        text.strip_suffix("\0\0").ok_or(BlobError::Nvram)?.trim_end_matches('\0').split('\0').collect()
    } else {
        text.strip_suffix('\n').ok_or(BlobError::Nvram)?;
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    };
    let mut settings: Vec<u8> =
        entries.iter().flat_map(|entry| entry.bytes().chain(core::iter::once(0))).collect();
    settings.push(0);
    settings.resize(settings.len().next_multiple_of(4), 0);
    Ok(settings)
}
