//! Is there an image in a slot, and may it boot? (`image_validate.c`, `tlv.c`)

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::area::{Area, Flashes};
use super::{Bootloader, Refused};
use crate::Version;
use crate::flash::FlashFault;

const IMAGE_MAGIC: u32 = 0x96F3_B83D;
const PROTECTED_MAGIC: u16 = 0x6908;
const UNPROTECTED_MAGIC: u16 = 0x6907;
/// ENCRYPTED_AES128, ENCRYPTED_AES256, COMPRESSED_LZMA1, COMPRESSED_LZMA2, COMPRESSED_ARM_THUMB: not compiled in.
const UNSUPPORTED_FLAGS: u32 = 0x4 | 0x8 | 0x200 | 0x400 | 0x800;
const NON_BOOTABLE: u32 = 0x10;
/// Longest signature TLV bootutil's buffer takes.
const MAX_SIGNATURE: usize = 128;
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

mod tlv {
    pub(super) const KEYHASH: u16 = 0x01;
    pub(super) const SHA256: u16 = 0x10;
    pub(super) const ECDSA_SIG: u16 = 0x22;
    pub(super) const DEPENDENCY: u16 = 0x40;
    pub(super) const SEC_CNT: u16 = 0x50;
}

/// A P-256 public key compiled into the bootloader.
#[derive(Clone, Debug)]
pub struct PublicKey {
    key: VerifyingKey,
    hash: [u8; 32],
}

impl PublicKey {
    /// From an uncompressed point, 65 bytes; `None` when it is no point of the curve.
    pub fn from_sec1(point: &[u8]) -> Option<Self> {
        let point: &[u8; 65] = point.try_into().ok()?;
        let key = VerifyingKey::from_sec1_bytes(point).ok()?;
        let hash = Sha256::new().chain_update(SPKI_PREFIX).chain_update(point).finalize().into();
        Some(Self { key, hash })
    }

    /// From a DER SubjectPublicKeyInfo; `None` when it is not one of P-256.
    pub fn from_spki(der: &[u8]) -> Option<Self> {
        Self::from_sec1(der.strip_prefix(&SPKI_PREFIX)?)
    }
}

/// What the bootloader asks of an image before it boots or installs it.
#[derive(Clone, Copy, Debug)]
pub enum Validation<'a> {
    /// The SHA-256 TLV only: protects against accidents, not against anybody.
    HashOnly,
    /// The hash and an ECDSA P-256 signature by one of these keys.
    Keys(&'a [PublicKey]),
}

/// What an image says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageRecord {
    /// Version in the header.
    pub version: Version,
    /// Whole length in bytes: header, payload and both TLV areas. This is what a swap moves.
    pub size: u32,
    /// The SHA256 TLV, compared with the image's bytes.
    pub hash: [u8; 32],
    /// SEC_CNT of the protected area.
    pub security_counter: Option<u32>,
}

/// Header and TLV areas, not yet believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    pub version: Version,
    pub hashed_size: u32,
    pub protected: (u32, u32),
    pub unprotected: (u32, u32),
}

impl Parsed {
    pub(super) fn total(&self) -> u32 {
        self.unprotected.1
    }
    pub(super) fn unprotected_size(&self) -> u16 {
        (self.unprotected.1 - self.unprotected.0 + 4) as u16
    }
}

/// An image lies at `base` of an area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub area: Area,
    pub base: u32,
}

type Checked<T> = Result<Result<T, Refused>, FlashFault>;

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

mod header {
    pub(super) const SIZE: usize = 32;
    pub(super) const MAGIC: usize = 0;
    pub(super) const HEADER_SIZE: usize = 8;
    pub(super) const PROTECTED_SIZE: usize = 10;
    pub(super) const IMAGE_SIZE: usize = 12;
    pub(super) const FLAGS: usize = 16;
    pub(super) const VERSION: core::ops::Range<usize> = 20..28;
}

/// Whether the four magic bytes of an image lie here.
pub(super) fn has_magic(flashes: &mut Flashes<'_, '_>, place: Place) -> Result<bool, FlashFault> {
    let mut magic = [0; 4];
    flashes.read(place.area, place.base, &mut magic)?;
    Ok(u32::from_le_bytes(magic) == IMAGE_MAGIC)
}

/// Reads header and TLV info, checking sizes only.
pub(super) fn parse(flashes: &mut Flashes<'_, '_>, place: Place) -> Checked<Parsed> {
    let mut bytes = [0; header::SIZE];
    flashes.read(place.area, place.base, &mut bytes)?;
    let flags = word(&bytes, header::FLAGS);
    if bytes[..4] == [flashes.erased(place.area); 4]
        || flags & NON_BOOTABLE != 0 && word(&bytes, header::MAGIC) == IMAGE_MAGIC
    {
        return Ok(Err(Refused::NoImage));
    }
    if word(&bytes, header::MAGIC) != IMAGE_MAGIC {
        return Ok(Err(Refused::Header));
    }
    if flags & UNSUPPORTED_FLAGS != 0 {
        return Ok(Err(Refused::Flags));
    }
    let space = place.area.size - place.base;
    let payload_end =
        u32::from(half(&bytes, header::HEADER_SIZE)).checked_add(word(&bytes, header::IMAGE_SIZE));
    let protected_size = u32::from(half(&bytes, header::PROTECTED_SIZE));
    let hashed_size = payload_end.and_then(|end| end.checked_add(protected_size));
    let (Some(payload_end), Some(hashed_size)) = (payload_end, hashed_size) else {
        return Ok(Err(Refused::Header));
    };
    if hashed_size >= space || half(&bytes, header::HEADER_SIZE) < header::SIZE as u16 {
        return Ok(Err(Refused::Header));
    }
    let Some(first) = info(flashes, place, payload_end)? else { return Ok(Err(Refused::Tlv)) };
    let (magic, mut total) = first;
    if magic == PROTECTED_MAGIC {
        if u32::from(total) != protected_size || total < 4 {
            return Ok(Err(Refused::Tlv));
        }
        match info(flashes, place, hashed_size)? {
            Some((UNPROTECTED_MAGIC, second)) => total = second,
            Some(_) | None => return Ok(Err(Refused::Tlv)),
        }
    } else if magic != UNPROTECTED_MAGIC || protected_size != 0 {
        return Ok(Err(Refused::Tlv));
    }
    if total < 4 || hashed_size + u32::from(total) > space {
        return Ok(Err(Refused::Tlv));
    }
    let mut version = [0; 8];
    version.copy_from_slice(&bytes[header::VERSION]);
    Ok(Ok(Parsed {
        version: Version::from_bytes(version),
        hashed_size,
        protected: (if protected_size == 0 { hashed_size } else { payload_end + 4 }, hashed_size),
        unprotected: (hashed_size + 4, hashed_size + u32::from(total)),
    }))
}

/// TLV info header: magic and total.
fn info(flashes: &mut Flashes<'_, '_>, place: Place, at: u32) -> Result<Option<(u16, u16)>, FlashFault> {
    if at + 4 > place.area.size - place.base {
        return Ok(None);
    }
    let mut bytes = [0; 4];
    flashes.read(place.area, place.base + at, &mut bytes)?;
    Ok(Some((half(&bytes, 0), half(&bytes, 2))))
}

/// The next TLV of an area: type, offset and length of its value. `Err` when it does not fit.
fn next_tlv(
    flashes: &mut Flashes<'_, '_>,
    place: Place,
    at: &mut u32,
    end: u32,
) -> Checked<Option<(u16, u32, u16)>> {
    if *at >= end {
        return Ok(Ok(None));
    }
    if end - *at < 4 {
        return Ok(Err(Refused::Tlv));
    }
    let mut bytes = [0; 4];
    flashes.read(place.area, place.base + *at, &mut bytes)?;
    let (kind, length) = (half(&bytes, 0), half(&bytes, 2));
    let value = *at + 4;
    if u32::from(length) > end - value {
        return Ok(Err(Refused::Tlv));
    }
    *at = value + u32::from(length);
    Ok(Ok(Some((kind, value, length))))
}

/// What the walk over both TLV areas found.
#[derive(Default)]
struct Walk {
    hash: Option<[u8; 32]>,
    security_counter: Option<u32>,
    signed: bool,
}

impl Bootloader<'_> {
    /// Checks an image as `bootutil_img_validate` does, in the order of its TLVs.
    pub(super) fn validate(
        &self,
        flashes: &mut Flashes<'_, '_>,
        place: Place,
        limit: Option<u32>,
    ) -> Checked<ImageRecord> {
        let parsed = match parse(flashes, place)? {
            Ok(parsed) => parsed,
            Err(refused) => return Ok(Err(refused)),
        };
        if limit.is_some_and(|limit| parsed.total() > limit) {
            return Ok(Err(Refused::TooLarge));
        }
        let digest = digest(flashes, place, parsed.hashed_size)?;
        let mut walk = Walk::default();
        for ((from, to), protected) in [(parsed.protected, true), (parsed.unprotected, false)] {
            if let Err(refused) = self.walk(flashes, place, (from, to), protected, &digest, &mut walk)? {
                return Ok(Err(refused));
            }
        }
        let Some(hash) = walk.hash else { return Ok(Err(Refused::Hash)) };
        match self.config.validation {
            Validation::Keys(_) if !walk.signed => return Ok(Err(Refused::Signature)),
            Validation::Keys(_) | Validation::HashOnly => {}
        }
        Ok(Ok(ImageRecord {
            version: parsed.version,
            size: parsed.total(),
            hash,
            security_counter: walk.security_counter,
        }))
    }

    fn walk(
        &self,
        flashes: &mut Flashes<'_, '_>,
        place: Place,
        (from, to): (u32, u32),
        protected: bool,
        digest: &[u8; 32],
        walk: &mut Walk,
    ) -> Checked<()> {
        let mut at = from;
        let mut current: Option<&PublicKey> = None;
        loop {
            let (kind, value, length) = match next_tlv(flashes, place, &mut at, to)? {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(Ok(())),
                Err(refused) => return Ok(Err(refused)),
            };
            match (kind, length) {
                (tlv::SHA256, 32) => {
                    let mut hash = [0; 32];
                    flashes.read(place.area, place.base + value, &mut hash)?;
                    if hash != *digest {
                        return Ok(Err(Refused::Hash));
                    }
                    walk.hash = Some(hash);
                }
                (tlv::KEYHASH, 32) => {
                    let mut hash = [0; 32];
                    flashes.read(place.area, place.base + value, &mut hash)?;
                    current = match self.config.validation {
                        Validation::HashOnly => None,
                        Validation::Keys(keys) => keys.iter().find(|key| key.hash == hash),
                    };
                }
                (tlv::ECDSA_SIG, _) if usize::from(length) <= MAX_SIGNATURE => {
                    // A signature after no known key is skipped, not refused.
                    if let Some(key) = current.take() {
                        let mut bytes = [0; MAX_SIGNATURE];
                        let bytes = &mut bytes[..usize::from(length)];
                        flashes.read(place.area, place.base + value, bytes)?;
                        if !signature_fits(key, bytes, digest) {
                            return Ok(Err(Refused::Signature));
                        }
                        walk.signed = true;
                    }
                }
                (tlv::SEC_CNT, 4) if protected => {
                    let mut counter = [0; 4];
                    flashes.read(place.area, place.base + value, &mut counter)?;
                    walk.security_counter = Some(u32::from_le_bytes(counter));
                }
                (tlv::SHA256 | tlv::KEYHASH | tlv::ECDSA_SIG, _) => return Ok(Err(Refused::Tlv)),
                _ => {}
            }
        }
    }

    /// Calls `check` with every protected dependency of an image until it says no; answers whether all were met.
    pub(super) fn dependencies(
        flashes: &mut Flashes<'_, '_>,
        place: Place,
        mut check: impl FnMut(&mut Flashes<'_, '_>, u8, Version) -> Result<bool, FlashFault>,
    ) -> Result<bool, FlashFault> {
        let Ok(parsed) = parse(flashes, place)? else { return Ok(true) };
        let mut at = parsed.protected.0;
        while let Ok(Some((kind, value, length))) = next_tlv(flashes, place, &mut at, parsed.protected.1)? {
            if (kind, length) != (tlv::DEPENDENCY, 12) {
                continue;
            }
            let mut bytes = [0; 12];
            flashes.read(place.area, place.base + value, &mut bytes)?;
            let [image, _, _, _, version @ ..] = bytes;
            if !check(flashes, image, Version::from_bytes(version))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn digest(flashes: &mut Flashes<'_, '_>, place: Place, length: u32) -> Result<[u8; 32], FlashFault> {
    let mut hash = Sha256::new();
    let mut chunk = [0; 1024];
    let mut at = 0;
    while at < length {
        let part = &mut chunk[..(length - at).min(1024) as usize];
        flashes.read(place.area, place.base + at, part)?;
        hash.update(&*part);
        at += part.len() as u32;
    }
    Ok(hash.finalize().into())
}

/// Old imgtool padded signatures with zero bytes, so the DER length says where it ends.
fn signature_fits(key: &PublicKey, bytes: &[u8], digest: &[u8; 32]) -> bool {
    let Some(&length) = bytes.get(1) else { return false };
    let Some((der, rest)) = bytes.split_at_checked(usize::from(length) + 2) else { return false };
    let Ok(signature) = Signature::from_der(der) else { return false };
    rest.iter().all(|&byte| byte == 0) && key.key.verify_prehash(digest, &signature).is_ok()
}
