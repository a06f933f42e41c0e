//! Proof that flash holds what the signer signed: hashes, signatures, and the token without which nothing is activated.
//!
//! Two independent signatures protect a firmware file. The *job's* signature (`sig-sha256-ecdsa` of the job document) covers
//! the whole file and is checked here, always: no feature and no setting turns it off. *MCUboot's* covers the image
//! and is what the bootloader checks; here its hash is checked always, and the signature too when
//! [`Rules::image_keys`] names the bootloader's keys, so that an image the bootloader would refuse is refused before the
//! reboot.
//!
//! [`verify`] is the only maker of a [`Verified`], and a [`Verified`] is what
//! [`Images::set_pending`] asks for.

mod bundle;
mod digest;
mod key;
mod pem;

use core::{fmt, ops::Range};

use crate::boot::Images;
use crate::bytes::front;
use crate::image::{HEADER_SIZE, Header, ImageError, ImageInfo, Tlv, TlvWalk, tlv};
use crate::slot::FlashError;
use crate::version::Version;

pub use bundle::{SignedBundle, verify_bundle, verify_member};
pub use digest::{Digest, Hashes};
#[cfg(feature = "tls")]
pub(crate) use key::certificate_spki;
pub use key::{EcdsaP256, PublicKey, Scheme};
pub use pem::{Der, parse_pem};

/// Most images a dependency can name.
const IMAGE_COUNT: usize = 3;

/// Longest value of a TLV that is read, a signature's: MCUboot's own limit (`image_validate.c`, `SIG_BUF_SIZE` of the EC builds).
const MAX_VALUE_LEN: usize = 128;

/// Bytes of a SHA-256, of a KEYHASH TLV too.
const HASH_LEN: usize = 32;

/// Where the vector table's entries lie, from its start (ARMv7-M architecture reference manual, section B1.5.3).
mod vector {
    /// Initial program counter; the initial stack pointer stands before it.
    pub(super) const RESET: u32 = 4;
    /// The two entries that are needed to start.
    pub(super) const END: u32 = 8;
}

/// Where the fields of a DEPENDENCY TLV lie (`image.h`, `struct image_dependency`).
mod dependency {
    use core::ops::Range;
    pub(super) const SIZE: u16 = 12;
    pub(super) const IMAGE: usize = 0;
    pub(super) const MAJOR: usize = 4;
    pub(super) const MINOR: usize = 5;
    pub(super) const REVISION: Range<usize> = 6..8;
    pub(super) const BUILD: Range<usize> = 8..12;
}

/// Why an image was not verified, or a key not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// The job's signature does not sign the file with any of the keys.
    BadSignature,
    /// The job's signature is no DER `ECDSA-Sig-Value`.
    SignatureFormat,
    /// The digest has not hashed exactly the file, or was not told the end of this image in time.
    DigestIncomplete,
    /// The file is longer than the largest image of this slot.
    TooLarge,
    /// The hash in the image's TLVs is not the hash of the image.
    ImageHash,
    /// The image has no MCUboot signature of one of the keys given, or a wrong one.
    ImageSignature,
    /// The reset vector points outside the range the kit runs this image in.
    ResetVector,
    /// There is no key to verify with.
    NoKey,
    /// The bytes are no point of the curve P-256.
    BadKey,
    /// The key is of another kind: RSA, another curve, a compressed point in a SubjectPublicKeyInfo.
    UnsupportedKey,
    /// The bytes are no X.509 certificate.
    BadCertificate,
    /// The text is no PEM block, or what it holds is longer than the buffer.
    BadPem,
    /// The header or the TLVs are not those of an image that can be installed.
    Image(ImageError),
    /// Flash could not be read.
    Flash(FlashError),
}

impl VerifyError {
    /// The number in a job's status details. Fixed: 1 to 63 here, 64 plus [`ImageError`]'s, 128 plus [`FlashError`]'s.
    pub const fn number(self) -> u8 {
        match self {
            Self::BadSignature => 1,
            Self::SignatureFormat => 2,
            Self::DigestIncomplete => 3,
            Self::TooLarge => 4,
            Self::ImageHash => 5,
            Self::ImageSignature => 6,
            Self::ResetVector => 7,
            Self::NoKey => 8,
            Self::BadKey => 9,
            Self::UnsupportedKey => 10,
            Self::BadCertificate => 11,
            Self::BadPem => 12,
            Self::Image(error) => 64 + error as u8,
            Self::Flash(error) => 128 + error as u8,
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadSignature => "the job's signature is not of a configured key; check key and file",
            Self::SignatureFormat => {
                "the job's signature is no DER ECDSA signature; sign with ECDSA P-256, SHA-256"
            }
            Self::DigestIncomplete => "the digest does not cover the file; hash it again from byte 0",
            Self::TooLarge => "the file is larger than the slot can take; shrink the image",
            Self::ImageHash => "the image's hash TLV is wrong; sign the image again",
            Self::ImageSignature => {
                "the image is not signed with the bootloader's key; sign it with imgtool and that key"
            }
            Self::ResetVector => "the image is linked for another place; link it for this kit's primary slot",
            Self::NoKey => "no public key configured; give at least one",
            Self::BadKey => "the public key is no point of P-256",
            Self::UnsupportedKey => "only uncompressed P-256 public keys are supported",
            Self::BadCertificate => "the certificate is no DER X.509 certificate",
            Self::BadPem => "not a PEM block, or longer than its buffer",
            Self::Image(error) => return error.fmt(f),
            Self::Flash(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for VerifyError {}

impl From<ImageError> for VerifyError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

impl From<FlashError> for VerifyError {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

/// What an image has to satisfy.
#[derive(Clone, Debug)]
pub struct Rules<'a, S> {
    /// How the job's signature over the whole file is checked.
    pub job: S,
    /// The bootloader's public keys. Not empty: the image must carry an ECDSA signature of one of them, and none of a
    /// listed key that is wrong. Empty: the signature is left to the bootloader and only the hash is checked.
    pub image_keys: &'a [PublicKey<'a>],
    /// Addresses the reset handler must lie in, usually those of the primary slot. `None`: not checked.
    pub reset_vector: Option<Range<u32>>,
}

/// Proof that a secondary slot held a verified file when its write generation was the one noted here.
///
/// Only [`verify`] makes one. It is neither [`Clone`] nor [`Copy`]: one verification, one request to the bootloader.
/// Any later write or erase of the slot makes it void
/// ([`FlashError::Stale`]). It belongs to the [`Images`] value it was made from: another
/// one over the same flash counts its own generations.
///
/// ```
/// # use ota_core::verify::Verified;
/// fn image_of(token: &Verified) -> u8 {
///     token.image()
/// }
/// ```
/// It cannot be copied,
/// ```compile_fail
/// # use ota_core::verify::Verified;
/// fn twice(token: &Verified) -> Verified {
///     token.clone()
/// }
/// ```
/// ```compile_fail
/// # use ota_core::verify::Verified;
/// fn twice(token: &Verified) -> Verified {
///     *token
/// }
/// ```
/// nor made by hand, nor changed.
/// ```compile_fail
/// # use ota_core::verify::Verified;
/// fn forged(token: Verified) -> Verified {
///     Verified { image: 1, ..token }
/// }
/// ```
#[derive(Debug)]
#[must_use = "the proof is what set_pending asks for"]
pub struct Verified {
    kept: Kept,
    /// SHA-256 over the file.
    digest: [u8; HASH_LEN],
    /// MCUboot's.
    hash: [u8; HASH_LEN],
}

impl Verified {
    fn new(
        image: u8,
        digest: [u8; HASH_LEN],
        info: &ImageInfo,
        dependencies: [Option<Version>; IMAGE_COUNT],
        generation: u32,
    ) -> Self {
        let lowest = |n: usize| dependencies.get(other(image, n)).copied().flatten();
        let kept = Kept {
            image,
            version: info.version,
            size: info.size,
            security_counter: info.security_counter.unwrap_or(0),
            stated: [info.security_counter.is_some(), lowest(0).is_some(), lowest(1).is_some()].map(u8::from),
            lowest: [lowest(0), lowest(1)].map(Option::unwrap_or_default),
            generation,
        };
        Self { kept, digest, hash: info.hash }
    }

    /// The image number whose secondary slot was verified.
    pub fn image(&self) -> u8 {
        self.kept.image
    }

    /// SHA-256 over the whole file: what the job's signature signs (of a member of a bundle: over the member); MCUboot's hash is
    /// in [`info`](Self::info). Zeros in a token that comes from an [`Agent`](crate::agent::Agent), which does not keep this one.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Version, size, MCUboot's hash (proved) and security counter.
    pub fn info(&self) -> ImageInfo {
        let Kept { version, size, .. } = self.kept;
        ImageInfo { version, size, hash: self.hash, security_counter: self.kept.security_counter() }
    }

    /// The lowest version of image `image` that this one needs (DEPENDENCY TLV), if it says so. Two images that need each
    /// other's new version are booted both or neither. What an image says of itself is not kept.
    pub fn dependency(&self, image: u8) -> Option<Version> {
        self.kept.dependency(image)
    }

    /// Write generation of the slot at verification ([`Images::generation`]).
    pub fn generation(&self) -> u32 {
        self.kept.generation
    }

    /// The same proof under the image's number inside the element of a tuple of images (see [`crate::boot`]), which does not
    /// ask for dependencies any more.
    pub(crate) fn renumbered(mut self, image: u8) -> Self {
        self.kept.image = image;
        self
    }

    /// The token for an owner that keeps MCUboot's hash elsewhere, and that hash.
    pub(crate) fn keep(self) -> (Kept, [u8; HASH_LEN]) {
        (self.kept, self.hash)
    }

    #[cfg(test)]
    pub(crate) fn for_tests(image: u8, info: ImageInfo, generation: u32) -> Self {
        Self::new(image, [0; HASH_LEN], &info, [None; IMAGE_COUNT], generation)
    }
}

/// Image number `n` of those that are not `image`.
fn other(image: u8, n: usize) -> usize {
    n + usize::from(n >= usize::from(image))
}

/// A [`Verified`] without its hashes: the agent keeps one for each image.
#[derive(Debug)]
pub(crate) struct Kept {
    image: u8,
    version: Version,
    size: u32,
    security_counter: u32,
    /// Of the other images it depends on.
    lowest: [Version; IMAGE_COUNT - 1],
    /// What is stated of these, 1 each: the security counter, and each of the lowest versions. (As bytes, so that no token at
    /// all is zero.)
    stated: [u8; IMAGE_COUNT],
    generation: u32,
}

impl Kept {
    /// [`Verified::image`].
    pub(crate) fn image(&self) -> u8 {
        self.image
    }

    /// The image's version.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// The image's security counter, if it has one.
    pub(crate) fn security_counter(&self) -> Option<u32> {
        (self.stated[0] != 0).then_some(self.security_counter)
    }

    /// [`Verified::dependency`].
    #[inline(never)]
    pub(crate) fn dependency(&self, image: u8) -> Option<Version> {
        let n = (0..IMAGE_COUNT - 1).find(|n| other(self.image, *n) == usize::from(image))?;
        if *self.stated.get(n + 1)? != 0 { self.lowest.get(n).copied() } else { None }
    }

    /// The token again, with the hash that was taken from it.
    pub(crate) fn token(self, hash: [u8; HASH_LEN]) -> Verified {
        Verified { kept: self, digest: [0; HASH_LEN], hash }
    }
}

/// Verifies the file of `size` bytes in the secondary slot of image `image`.
///
/// `digest` must have hashed exactly these bytes *as read back from flash* and must have been told the end of MCUboot's hashed part
/// ([`Digest::set_image_end`]). Header and TLVs are read again here, through a buffer of 128 bytes. In this
/// order, and nothing is believed before the step in front of it:
///
/// 1. the digest covers the file, and the file fits the slot ([`ImageLayout::max_image_size`](crate::geometry::ImageLayout::max_image_size));
/// 2. the job's signature (DER, decoded from the job document's base64) signs the digest;
/// 3. the header is valid and bootable, and header, payload and both TLV areas lie inside the file;
/// 4. every SHA-256 TLV equals the image's hash, and there is one;
/// 5. with [`Rules::image_keys`]: an ECDSA signature that follows the KEYHASH of one of the keys verifies, and none of them fails;
/// 6. with [`Rules::reset_vector`]: the reset vector points into the range.
///
/// The security counter and dependencies are taken from the protected TLVs only, which the hash covers. Whether the
/// version is wanted is not judged here.
///
/// Dropping the future half-way leaves flash untouched; the digest is gone, so hash again.
///
/// # Errors
/// [`VerifyError`]: the first step that failed, or the flash driver's fault.
pub async fn verify<I: Images, S: Scheme>(
    images: &mut I,
    image: u8,
    size: u32,
    digest: Digest,
    signature: &[u8],
    rules: &Rules<'_, S>,
) -> Result<Verified, VerifyError> {
    let image_end = digest.image_end();
    let hashes = covered(images, image, size, digest)?;
    rules.job.check(&hashes.file, signature)?;
    inspect(images, image, size, hashes, image_end, rules).await
}

/// Both hashes of a digest that covers the file, which fits the slot.
fn covered<I: Images>(images: &I, image: u8, size: u32, digest: Digest) -> Result<Hashes, VerifyError> {
    let max_image_size = images.layout(image).ok_or(FlashError::NoImage)?.max_image_size();
    if size > max_image_size {
        return Err(VerifyError::TooLarge);
    }
    if digest.position() != size {
        return Err(VerifyError::DigestIncomplete);
    }
    Ok(digest.finish())
}

/// Steps 3 to 6 of [`verify`]: the image in the secondary slot, of whose bytes `hashes` are.
async fn inspect<I: Images, S>(
    images: &mut I,
    image: u8,
    size: u32,
    hashes: Hashes,
    image_end: Option<u32>,
    rules: &Rules<'_, S>,
) -> Result<Verified, VerifyError> {
    let generation = images.generation(image);
    // Whatever is read lies here, so that reading is the only thing to wait for.
    let mut buffer = [0; MAX_VALUE_LEN];
    if size < HEADER_SIZE {
        return Err(ImageError::Truncated.into());
    }
    let start = front(&mut buffer, HEADER_SIZE as usize);
    images.read(image, 0, start).await?;
    let header = Header::parse(start)?;
    header.bootable()?;
    if image_end != header.hashed_size() {
        return Err(VerifyError::DigestIncomplete);
    }
    let mut walk = TlvWalk::new(&header, size)?;
    let hash = hashes.image.ok_or(VerifyError::DigestIncomplete)?;
    let mut findings = Findings::default();
    // Bounded by MAX_TLV_COUNT.
    while let Some(at) = walk.at() {
        let mut head = [0; 4];
        images.read(image, at, &mut head).await?;
        if let Some(entry) = walk.step(head)? {
            // What is longer has a length that is wrong, or is nothing that is looked at.
            let value = front(&mut buffer, entry.len.into());
            images.read(image, entry.at, value).await?;
            findings.take(entry, value, &hash, rules.image_keys)?;
        }
    }
    if !findings.hashed {
        return Err(ImageError::NoHash.into());
    }
    if !rules.image_keys.is_empty() && !findings.signed {
        return Err(VerifyError::ImageSignature);
    }
    if let Some(range) = &rules.reset_vector {
        if header.image_size < vector::END {
            return Err(VerifyError::ResetVector);
        }
        let mut handler = [0; 4];
        images.read(image, u32::from(header.header_size).saturating_add(vector::RESET), &mut handler).await?;
        // The lowest bit says Thumb.
        if !range.contains(&(u32::from_le_bytes(handler) & !1)) {
            return Err(VerifyError::ResetVector);
        }
    }
    let info = ImageInfo {
        version: header.version,
        size: walk.size(),
        hash,
        security_counter: findings.security_counter,
    };
    Ok(Verified::new(image, hashes.file, &info, findings.dependencies, generation))
}

/// What the TLVs have shown so far.
#[derive(Default)]
struct Findings<'a> {
    hashed: bool,
    signed: bool,
    /// The key whose KEYHASH came last and whose signature has not come yet.
    key: Option<&'a PublicKey<'a>>,
    security_counter: Option<u32>,
    dependencies: [Option<Version>; IMAGE_COUNT],
}

impl<'a> Findings<'a> {
    /// Judges one entry, as the bootloader does when it walks the areas in order (`image_validate.c`,
    /// `bootutil_img_validate`), and stricter where that one is lax.
    fn take(
        &mut self,
        entry: Tlv,
        value: &[u8],
        hash: &[u8; HASH_LEN],
        keys: &'a [PublicKey<'a>],
    ) -> Result<(), VerifyError> {
        match entry.kind {
            tlv::SHA256 => {
                if value.len() != HASH_LEN {
                    return Err(ImageError::NoHash.into());
                }
                if value != hash {
                    return Err(VerifyError::ImageHash);
                }
                self.hashed = true;
            }
            // MCUboot compares as many bytes as the TLV has; a shortened one is no key of ours.
            tlv::KEYHASH => self.key = keys.iter().find(|key| value == key.spki_hash()),
            tlv::ECDSA_SIG => {
                // A signature of a key we do not have is skipped: the image may be signed for several bootloaders.
                if let Some(key) = self.key.take() {
                    let signature = unpadded(value).ok_or(VerifyError::ImageSignature)?;
                    if !key.verifies(hash, signature) {
                        return Err(VerifyError::ImageSignature);
                    }
                    self.signed = true;
                }
            }
            // Not protected means not signed: anybody could have added it.
            tlv::SEC_CNT if entry.protected => {
                let counter = value.try_into().map_err(|_| ImageError::SecurityCounter)?;
                if self.security_counter.replace(u32::from_le_bytes(counter)).is_some() {
                    return Err(ImageError::SecurityCounter.into());
                }
            }
            tlv::DEPENDENCY if entry.protected => {
                self.depend(value.try_into().map_err(|_| ImageError::Tlv)?);
            }
            // Types are an open list: MCUboot's later ones and every vendor's.
            _ => {}
        }
        Ok(())
    }

    /// Notes a dependency; of several on one image the highest counts.
    fn depend(&mut self, bytes: &[u8; dependency::SIZE as usize]) {
        let revision =
            bytes[dependency::REVISION].first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        let build = bytes[dependency::BUILD].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let version = Version::new(bytes[dependency::MAJOR], bytes[dependency::MINOR], revision, build);
        if let Some(lowest) = self.dependencies.get_mut(usize::from(bytes[dependency::IMAGE])) {
            *lowest = (*lowest).max(Some(version));
        }
    }
}

/// The DER signature in a signature TLV, without the zeros with which old imgtool filled it up to 72 bytes.
fn unpadded(bytes: &[u8]) -> Option<&[u8]> {
    let len = usize::from(*bytes.get(1)?).checked_add(2)?;
    let (signature, padding) = bytes.split_at_checked(len)?;
    padding.iter().all(|&byte| byte == 0).then_some(signature)
}
