//! P-256 public keys and the ECDSA scheme that checks a job's signature with them.

use p256::EncodedPoint;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::VerifyError;

/// SubjectPublicKeyInfo of an uncompressed P-256 point up to the point itself: id-ecPublicKey, prime256v1, BIT STRING
/// of 66 bytes with no unused bits (RFC 5480 section 2).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Length of an uncompressed P-256 point: `04 || X || Y`.
const POINT_LEN: usize = 65;

/// DER tags of the elements on the way to a certificate's key (X.690; RFC 5280 section 4.1).
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const SEQUENCE: u8 = 0x30;
    /// `[0] EXPLICIT`: the version of a TBSCertificate, absent in version 1.
    pub(super) const VERSION: u8 = 0xA0;
}

/// A P-256 public key, checked to be a point of the curve.
///
/// It borrows the bytes it was made from (two words), so several keys cost their own bytes and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey<'a> {
    /// SEC1 encoding, which [`point`] has accepted.
    sec1: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// A bare point: 65 bytes `04 || X || Y`, or 33 bytes compressed (SEC 1 section 2.3.3).
    ///
    /// # Errors
    /// [`VerifyError::BadKey`] when it is no point of the curve.
    pub fn sec1(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let key = Self { sec1: bytes };
        key.verifying_key().map(|_| key)
    }

    /// A DER SubjectPublicKeyInfo: the content of a `PUBLIC KEY` PEM file, 91 bytes for an uncompressed P-256 point.
    ///
    /// # Errors
    /// [`VerifyError::UnsupportedKey`] for anything that is not an uncompressed P-256 point in exactly 91 bytes
    /// (RSA, another curve, a compressed point), [`VerifyError::BadKey`] when the point is not on the curve.
    pub fn spki(der: &'a [u8]) -> Result<Self, VerifyError> {
        match der.strip_prefix(&SPKI_PREFIX) {
            Some(point) if point.len() == POINT_LEN => Self::sec1(point),
            Some(_) | None => Err(VerifyError::UnsupportedKey),
        }
    }

    /// The key of a DER X.509 certificate, such as the one AWS Signer's profile is made with.
    ///
    /// The certificate is a container of the key here, pinned by being in the firmware. Its own signature, its
    /// names, its extensions and **its dates are not checked**: a device has often no trusted clock when it boots, and an
    /// expired certificate that stops updates would make a fleet unrepairable. Retire a key by shipping an update
    /// that no longer lists it.
    ///
    /// # Errors
    /// [`VerifyError::BadCertificate`] when it is no X.509 certificate, or the errors of [`spki`](Self::spki).
    pub fn certificate(der: &'a [u8]) -> Result<Self, VerifyError> {
        match certificate_spki(der) {
            Some(spki) => Self::spki(spki),
            None => Err(VerifyError::BadCertificate),
        }
    }

    /// SHA-256 over the 91-byte DER SubjectPublicKeyInfo: what MCUboot's KEYHASH TLV (0x01) holds for this key
    /// (MCUboot `boot/bootutil/src/image_validate.c`, `bootutil_find_key`).
    pub fn spki_hash(&self) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(SPKI_PREFIX);
        // Only a compressed point has to be worked out; the constructors have accepted it.
        match self.verifying_key() {
            Ok(key) => sha.update(key.to_encoded_point(false).as_bytes()),
            Err(_) => sha.update(self.sec1),
        }
        sha.finalize().into()
    }

    /// Does `signature` (DER, nothing before or after it) sign `digest` with this key?
    pub(super) fn verifies(&self, digest: &[u8; 32], signature: &[u8]) -> bool {
        Signature::from_der(signature).is_ok_and(|signature| self.verifies_signature(digest, &signature))
    }

    fn verifies_signature(&self, digest: &[u8; 32], signature: &Signature) -> bool {
        self.verifying_key().is_ok_and(|key| key.verify_prehash(digest, signature).is_ok())
    }

    pub(crate) fn verifying_key(&self) -> Result<VerifyingKey, VerifyError> {
        EncodedPoint::from_bytes(self.sec1)
            .ok()
            .and_then(|point| VerifyingKey::from_encoded_point(&point).ok())
            .ok_or(VerifyError::BadKey)
    }
}

/// How a job's signature is checked: the one thing of verification a firmware may replace, say by a secure element
/// or a hardware accelerator.
pub trait Scheme {
    /// Does `signature`, the decoded bytes of the job document, sign `digest`, the SHA-256 of the whole file?
    ///
    /// # Errors
    /// [`VerifyError::BadSignature`] when it does not, [`VerifyError::SignatureFormat`] when it is no signature.
    fn check(&self, digest: &[u8; 32], signature: &[u8]) -> Result<(), VerifyError>;
}

/// ECDSA over P-256 with SHA-256 (`sig-sha256-ecdsa` in the job document), several keys allowed.
///
/// A signature is accepted when any of the keys verifies it, so a new key can be shipped before the old one is retired.
#[derive(Clone, Copy, Debug)]
pub struct EcdsaP256<'a> {
    keys: &'a [PublicKey<'a>],
}

impl<'a> EcdsaP256<'a> {
    /// The scheme over `keys`, tried in order.
    ///
    /// # Errors
    /// [`VerifyError::NoKey`] when there is none: nothing could ever be verified.
    pub const fn new(keys: &'a [PublicKey<'a>]) -> Result<Self, VerifyError> {
        if keys.is_empty() { Err(VerifyError::NoKey) } else { Ok(Self { keys }) }
    }
}

impl Scheme for EcdsaP256<'_> {
    /// `signature` is the DER `ECDSA-Sig-Value` as AWS Signer makes it, 8 to 72 bytes, with nothing behind it.
    fn check(&self, digest: &[u8; 32], signature: &[u8]) -> Result<(), VerifyError> {
        let signature = Signature::from_der(signature).map_err(|_| VerifyError::SignatureFormat)?;
        if self.keys.iter().any(|key| key.verifies_signature(digest, &signature)) {
            Ok(())
        } else {
            Err(VerifyError::BadSignature)
        }
    }
}

/// One DER element.
struct Element<'a> {
    tag: u8,
    /// Tag, length and content.
    whole: &'a [u8],
    content: &'a [u8],
    /// What follows the element.
    rest: &'a [u8],
}

/// The first element of `der`, with a short length or one of one or two bytes: a certificate is smaller than 64 KiB.
fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, after_tag) = der.split_first()?;
    let (&first, after_first) = after_tag.split_first()?;
    let (len, head_len) = match first {
        0..0x80 => (usize::from(first), 2usize),
        0x81 => (usize::from(*after_first.first()?), 3),
        0x82 => (usize::from(u16::from_be_bytes(*after_first.first_chunk()?)), 4),
        0x80 | 0x83.. => return None,
    };
    let (whole, rest) = der.split_at_checked(head_len.checked_add(len)?)?;
    let content = whole.get(head_len..)?;
    Some(Element { tag, whole, content, rest })
}

/// The next element of `der` if it has this tag.
fn expect(der: &[u8], tag: u8) -> Option<Element<'_>> {
    element(der).filter(|element| element.tag == tag)
}

/// The SubjectPublicKeyInfo of an X.509 certificate (RFC 5280 section 4.1), found by walking over what stands before it.
///
/// rustls-webpki hands this field out with an allocator only, and judges a certificate as TLS wants it; ours is
/// pinned and may carry anything (see [`PublicKey::certificate`]).
pub(crate) fn certificate_spki(der: &[u8]) -> Option<&[u8]> {
    let certificate = expect(der, tag::SEQUENCE).filter(|certificate| certificate.rest.is_empty())?;
    let tbs = expect(certificate.content, tag::SEQUENCE)?;
    // The signature algorithm and the signature itself follow; without them it is no certificate.
    let algorithm = expect(tbs.rest, tag::SEQUENCE)?;
    element(algorithm.rest).filter(|signature| signature.rest.is_empty())?;

    let first = element(tbs.content)?;
    let serial = if first.tag == tag::VERSION { expect(first.rest, tag::INTEGER)? } else { first };
    if serial.tag != tag::INTEGER {
        return None;
    }
    let signature = expect(serial.rest, tag::SEQUENCE)?;
    let issuer = expect(signature.rest, tag::SEQUENCE)?;
    let validity = expect(issuer.rest, tag::SEQUENCE)?;
    let subject = expect(validity.rest, tag::SEQUENCE)?;
    Some(expect(subject.rest, tag::SEQUENCE)?.whole)
}
