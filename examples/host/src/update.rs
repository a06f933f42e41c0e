//! The update that is offered, the keys it is signed with, and the version it replaces. Everything follows from the options,
//! so that the next process with the same arguments offers the same job.

use std::fs;

use anyhow::{Context, bail};
use ota_core::image::Header;
use ota_core::verify::{Digest, Hashes, parse_pem};
use ota_sim::image::{BundleBuilder, ImageBuilder, Key, Version as ImageVersion};

use crate::options::Options;
use crate::plan::Plan;

/// The version the device comes with.
pub(crate) const FACTORY_VERSION: ImageVersion = ImageVersion::new(0, 9, 0, 0);
/// Header with its padding, as on the kits.
const HEADER_SIZE: u16 = 0x400;
/// Bytes of program in the update, where there is room.
const DEFAULT_SIZE: u32 = 1 << 20;
/// Header, TLVs of a signed image with dependencies, and something to spare.
const OVERHEAD: u32 = HEADER_SIZE as u32 + 0x200;
/// Initial stack pointer of a made-up program; nothing runs it.
const STACK: u32 = 0x080E_0000;
/// Where its reset handler lies, behind the vectors; bit 0 says Thumb.
const RESET_HANDLER: u32 = 0x401;
/// Bytes of program in the factory image.
const FACTORY_SIZE: usize = 40_000;

/// The offered update and all that was made for it.
pub(crate) struct Update {
    /// The file of each image that the device downloads: of all of a board's images, or of the first.
    pub(crate) files: Vec<Vec<u8>>,
    /// Its job; another update is another job.
    pub(crate) job_id: String,
    /// MCUboot's hash of each image, where its file holds one.
    pub(crate) hashes: Vec<Option<[u8; 32]>>,
    /// The images the device comes with.
    pub(crate) factory: Vec<Vec<u8>>,
    /// Public keys (DER) that images are signed with; empty: hashes only.
    pub(crate) image_keys: Vec<Vec<u8>>,
    /// Signs jobs.
    pub(crate) job_key: Key,
}

impl Update {
    pub(crate) fn new(options: &Options, plan: &Plan) -> anyhow::Result<Self> {
        let vendor_key = Key::from_seed(options.seed);
        let job_key = Key::from_seed(!options.seed);
        let build = |index: usize, version, size: usize| {
            let image = &plan.images[index];
            let builder =
                ImageBuilder::with_random_payload(version, size, options.seed + 1000 * index as u64)
                    .header_size(HEADER_SIZE)
                    .erased(image.layout.secondary().erased());
            match image.reset_vector {
                Some((first, _)) => builder.reset_vector(STACK, first + RESET_HANDLER),
                None => builder,
            }
        };
        let count = plan.images.len();
        let factory: Vec<Vec<u8>> =
            (0..count).map(|index| build(index, FACTORY_VERSION, FACTORY_SIZE).signed(&vendor_key)).collect();
        let mut image_keys = vec![vendor_key.public_spki().to_vec()];
        let files = match &options.image {
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
                vec![fs::read(path).with_context(|| path.display().to_string())?]
            }
            None => {
                let version = options.version;
                let version =
                    ImageVersion::new(version.major, version.minor, version.revision, version.build);
                // Images that come together need each other, so that no half of an update can run.
                let file = |index: usize| {
                    let room = plan.images[index].layout.max_image_size().saturating_sub(OVERHEAD);
                    let size = options.size.unwrap_or(DEFAULT_SIZE.min(room));
                    let size = if index == 0 { size } else { size.min(room) };
                    let others = (0..count).filter(|other| *other != index);
                    let builder = build(index, version, size as usize);
                    others.fold(builder, |it, other| it.dependency(other as u8, version)).signed(&vendor_key)
                };
                (0..count).map(file).collect()
            }
        };
        let hashes: Vec<_> = files.iter().map(|file| hashes_of(file)).collect();
        let files = if options.bundle { vec![bundle(options, &files)] } else { files };
        let [a, b, c, d, ..] = hashes_of(&files[0]).file;
        let job_id = format!("AFR_OTA-host-{:08x}-{}", u32::from_be_bytes([a, b, c, d]), options.seed);
        let hashes = hashes.iter().map(|hashes| hashes.image).collect();
        Ok(Self { files, job_id, hashes, factory, image_keys, job_key })
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> usize {
        self.files.iter().map(Vec::len).sum()
    }
}

/// All images in one file, the application first.
fn bundle(options: &Options, images: &[Vec<u8>]) -> Vec<u8> {
    let names = [("cm4.bin", "NSPE"), ("cm0p.bin", "SPE")];
    let bundle = BundleBuilder::new(&options.version.to_string());
    let put =
        |to: BundleBuilder, ((name, kind), image): (&(&str, &str), &Vec<u8>)| to.member(name, kind, image);
    names.iter().zip(images).fold(bundle, put).build()
}

fn hashes_of(file: &[u8]) -> Hashes {
    let mut digest = Digest::new();
    if let Some(end) = Header::parse(file).ok().and_then(|header| header.hashed_size()) {
        digest.set_image_end(end);
    }
    digest.update(file);
    digest.finish()
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
