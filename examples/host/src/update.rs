//! The update that is offered, the keys it is signed with, and the version it replaces. Everything follows from the options,
//! so that the next process with the same arguments offers the same job.

use std::fs;

use anyhow::{Context, bail};
use ota_core::image::Header;
use ota_core::verify::{Digest, parse_pem};
use ota_sim::image::{ImageBuilder, Key, Version as ImageVersion};

use crate::options::Options;

/// The version the device comes with.
pub(crate) const FACTORY_VERSION: ImageVersion = ImageVersion::new(0, 9, 0, 0);
/// Header with its padding, as on the kits.
const HEADER_SIZE: u16 = 0x400;
/// Bytes of program in the factory image.
const FACTORY_SIZE: usize = 40_000;

/// The offered update and all that was made for it.
pub(crate) struct Update {
    /// The file the device downloads.
    pub(crate) file: Vec<u8>,
    /// Its job; another update is another job.
    pub(crate) job_id: String,
    /// MCUboot's hash of the image, where the file holds one.
    pub(crate) hash: Option<[u8; 32]>,
    /// The image the device comes with.
    pub(crate) factory: Vec<u8>,
    /// Public keys (DER) that images are signed with; empty: hashes only.
    pub(crate) image_keys: Vec<Vec<u8>>,
    /// Signs jobs.
    pub(crate) job_key: Key,
}

impl Update {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let vendor_key = Key::from_seed(options.seed);
        let job_key = Key::from_seed(!options.seed);
        let factory = ImageBuilder::with_random_payload(FACTORY_VERSION, FACTORY_SIZE, options.seed)
            .header_size(HEADER_SIZE)
            .erased(options.erased)
            .signed(&vendor_key);
        let mut image_keys = vec![vendor_key.public_spki().to_vec()];
        let file = match &options.image {
            Some(path) => {
                match &options.image_key {
                    Some(pem) => image_keys.push(public_key(
                        &fs::read_to_string(pem).with_context(|| pem.display().to_string())?,
                    )?),
                    None => {
                        eprintln!(
                            "note: no --image-key is given, so the bootloader checks the image's hash only"
                        );
                        image_keys.clear();
                    }
                }
                fs::read(path).with_context(|| path.display().to_string())?
            }
            None => {
                let version = options.version;
                let version =
                    ImageVersion::new(version.major, version.minor, version.revision, version.build);
                ImageBuilder::with_random_payload(version, options.size as usize, options.seed)
                    .header_size(HEADER_SIZE)
                    .erased(options.erased)
                    .signed(&vendor_key)
            }
        };
        let mut digest = Digest::new();
        if let Some(end) = Header::parse(&file).ok().and_then(|header| header.hashed_size()) {
            digest.set_image_end(end);
        }
        digest.update(&file);
        let hashes = digest.finish();
        let [a, b, c, d, ..] = hashes.file;
        let job_id = format!("AFR_OTA-host-{:08x}-{}", u32::from_be_bytes([a, b, c, d]), options.seed);
        Ok(Self { file, job_id, hash: hashes.image, factory, image_keys, job_key })
    }
}

/// The DER public key in a PEM file that holds either half.
fn public_key(pem: &str) -> anyhow::Result<Vec<u8>> {
    if let Ok(key) = Key::from_pem(pem) {
        return Ok(key.public_spki().to_vec());
    }
    let mut der = [0; 512];
    match parse_pem(pem, &mut der) {
        Ok(length) if pem.contains("PUBLIC KEY") => Ok(der[..length].to_vec()),
        Ok(_) | Err(_) => bail!("--image-key: not a P-256 key in PEM"),
    }
}
