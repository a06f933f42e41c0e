//! Builds the bytes of an image.

use sha2::{Digest, Sha256};

use super::{Key, Version};

const MAGIC: u32 = 0x96F3_B83D;
const HEADER_BYTES: usize = 32;
const PROTECTED_MAGIC: u16 = 0x6908;
const UNPROTECTED_MAGIC: u16 = 0x6907;

mod tlv {
    pub(super) const KEYHASH: u16 = 0x01;
    pub(super) const SHA256: u16 = 0x10;
    pub(super) const ECDSA_SIG: u16 = 0x22;
    pub(super) const DEPENDENCY: u16 = 0x40;
    pub(super) const SEC_CNT: u16 = 0x50;
}

/// An image to be built. Without further settings: header of 32 bytes, no protected TLVs, header padding 0xFF.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    version: Version,
    payload: Vec<u8>,
    header_size: u16,
    load_address: u32,
    flags: u32,
    erased: u8,
    security_counter: Option<u32>,
    dependencies: Vec<(u8, Version)>,
}

impl ImageBuilder {
    /// An image of this version around this payload (the linked program, without header).
    pub fn new(version: Version, payload: Vec<u8>) -> Self {
        Self {
            version,
            payload,
            header_size: HEADER_BYTES as u16,
            load_address: 0,
            flags: 0,
            erased: 0xFF,
            security_counter: None,
            dependencies: Vec::new(),
        }
    }

    /// A payload of `size` bytes drawn from a seed: no two places alike, so a block in a wrong place is seen.
    pub fn with_random_payload(version: Version, size: usize, seed: u64) -> Self {
        let mut random = seed;
        let mut payload = Vec::with_capacity(size + 8);
        while payload.len() < size {
            payload.extend_from_slice(&crate::flash::splitmix(&mut random).to_le_bytes());
        }
        payload.truncate(size);
        Self::new(version, payload)
    }

    /// `ih_hdr_size`: header with its padding, at least 32 (imgtool `-H`, with `--pad-header`).
    #[must_use]
    pub fn header_size(mut self, size: u16) -> Self {
        self.header_size = size.max(HEADER_BYTES as u16);
        self
    }

    /// `ih_load_addr`; the flag that gives it a meaning is up to [`flags`](Self::flags).
    #[must_use]
    pub fn load_address(mut self, address: u32) -> Self {
        self.load_address = address;
        self
    }

    /// `ih_flags`, for instance 0x10 NON_BOOTABLE or 0x100 ROM_FIXED.
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// What the header padding is filled with (imgtool `-R`).
    #[must_use]
    pub fn erased(mut self, erased: u8) -> Self {
        self.erased = erased;
        self
    }

    /// Adds a protected security counter (imgtool `-s`).
    #[must_use]
    pub fn security_counter(mut self, counter: u32) -> Self {
        self.security_counter = Some(counter);
        self
    }

    /// Adds a protected dependency: `image` must hold at least `version` (imgtool `-d`).
    #[must_use]
    pub fn dependency(mut self, image: u8, version: Version) -> Self {
        self.dependencies.push((image, version));
        self
    }

    /// Puts the initial stack pointer and the reset vector of a Cortex-M in front of the payload's other bytes.
    #[must_use]
    pub fn reset_vector(mut self, stack: u32, reset: u32) -> Self {
        self.payload.resize(self.payload.len().max(8), 0);
        self.payload[..4].copy_from_slice(&stack.to_le_bytes());
        self.payload[4..8].copy_from_slice(&reset.to_le_bytes());
        self
    }

    /// The image with its SHA-256 and no signature.
    pub fn unsigned(&self) -> Vec<u8> {
        let (mut image, hash) = self.hashed();
        area(&mut image, UNPROTECTED_MAGIC, &[(tlv::SHA256, hash.to_vec())]);
        image
    }

    /// The image with its SHA-256, key hash and ECDSA P-256 signature.
    pub fn signed(&self, key: &Key) -> Vec<u8> {
        let (mut image, hash) = self.hashed();
        let entries = [
            (tlv::SHA256, hash.to_vec()),
            (tlv::KEYHASH, Sha256::digest(key.public_spki()).to_vec()),
            (tlv::ECDSA_SIG, key.sign_digest(&hash)),
        ];
        area(&mut image, UNPROTECTED_MAGIC, &entries);
        image
    }

    /// What MCUboot hashes, that is all but the unprotected TLVs, and its SHA-256.
    fn hashed(&self) -> (Vec<u8>, [u8; 32]) {
        let mut entries = Vec::new();
        if let Some(counter) = self.security_counter {
            entries.push((tlv::SEC_CNT, counter.to_le_bytes().to_vec()));
        }
        for (image, version) in &self.dependencies {
            let mut entry = vec![*image, 0, 0, 0];
            entry.extend_from_slice(&version.to_bytes());
            entries.push((tlv::DEPENDENCY, entry));
        }
        let mut protected = Vec::new();
        if !entries.is_empty() {
            area(&mut protected, PROTECTED_MAGIC, &entries);
        }

        let mut image = Vec::with_capacity(usize::from(self.header_size) + self.payload.len() + 256);
        image.extend_from_slice(&MAGIC.to_le_bytes());
        image.extend_from_slice(&self.load_address.to_le_bytes());
        image.extend_from_slice(&self.header_size.to_le_bytes());
        image.extend_from_slice(&(protected.len() as u16).to_le_bytes());
        image.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        image.extend_from_slice(&self.flags.to_le_bytes());
        image.extend_from_slice(&self.version.to_bytes());
        image.extend_from_slice(&[0; 4]);
        image.resize(usize::from(self.header_size), self.erased);
        image.extend_from_slice(&self.payload);
        image.extend_from_slice(&protected);
        let hash = Sha256::digest(&image).into();
        (image, hash)
    }
}

fn area(image: &mut Vec<u8>, magic: u16, entries: &[(u16, Vec<u8>)]) {
    let total = 4 + entries.iter().map(|(_, value)| 4 + value.len()).sum::<usize>();
    image.extend_from_slice(&magic.to_le_bytes());
    image.extend_from_slice(&(total as u16).to_le_bytes());
    for (kind, value) in entries {
        image.extend_from_slice(&kind.to_le_bytes());
        image.extend_from_slice(&(value.len() as u16).to_le_bytes());
        image.extend_from_slice(value);
    }
}

/// A way to spoil an image for a test of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// One bit of the payload's first byte, so the hash does not fit.
    Payload,
    /// One bit of the SHA256 TLV.
    Hash,
    /// One bit of the last byte, which belongs to the signature of a signed image.
    Signature,
    /// The header magic.
    Magic,
    /// The last `n` bytes are missing.
    Truncated(usize),
}

/// Spoils an image made by [`ImageBuilder`].
///
/// # Panics
/// When `image` is shorter than what is to be spoilt.
pub fn corrupt(mut image: Vec<u8>, corruption: Corruption) -> Vec<u8> {
    let half = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]) as usize;
    let word =
        |at: usize| u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]]) as usize;
    let (header, protected, payload) = (half(8), half(10), word(12));
    match corruption {
        Corruption::Payload => image[header] ^= 1,
        // The SHA256 entry is the first of the unprotected area: info 4 bytes, entry header 4 bytes.
        Corruption::Hash => image[header + payload + protected + 8] ^= 1,
        Corruption::Signature => *image.last_mut().expect("an image has bytes") ^= 1,
        Corruption::Magic => image[0] ^= 1,
        Corruption::Truncated(missing) => image.truncate(image.len() - missing),
    }
    image
}
