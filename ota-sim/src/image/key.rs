//! P-256 keys that sign images and jobs.

use core::fmt;

use base64ct::{Base64, Encoding};
use p256::SecretKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use sha2::{Digest, Sha256};

/// A P-256 key pair. Signatures are deterministic (RFC 6979): the same input signs to the same bytes.
#[derive(Clone)]
pub struct Key {
    signing: SigningKey,
    spki: [u8; 91],
}

impl Key {
    /// A key drawn from a seed, for tests. Anyone who knows the seed has the key.
    pub fn from_seed(seed: u64) -> Self {
        let mut count = 0u32;
        loop {
            let bytes = Sha256::new().chain_update(b"ota-sim key").chain_update(seed.to_le_bytes());
            let bytes = bytes.chain_update(count.to_le_bytes()).finalize();
            // One in 2^32 draws lies outside the group.
            if let Ok(secret) = SecretKey::from_slice(&bytes) {
                return Self::new(&secret);
            }
            count += 1;
        }
    }

    /// Reads a private key, PKCS#8 (`BEGIN PRIVATE KEY`, as `imgtool keygen` writes) or SEC1 (`BEGIN EC PRIVATE KEY`).
    ///
    /// # Errors
    /// [`KeyError`] when it is neither, or not a P-256 key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let secret = match SecretKey::from_pkcs8_pem(pem) {
            Ok(secret) => secret,
            Err(_) => SecretKey::from_sec1_pem(pem).map_err(|_| KeyError)?,
        };
        Ok(Self::new(&secret))
    }

    fn new(secret: &SecretKey) -> Self {
        let document = secret.public_key().to_public_key_der().expect("a P-256 key encodes");
        let mut spki = [0; 91];
        spki.copy_from_slice(document.as_bytes());
        Self { signing: SigningKey::from(secret), spki }
    }

    /// The public half as DER SubjectPublicKeyInfo, 91 bytes; its SHA-256 is the KEYHASH TLV.
    pub fn public_spki(&self) -> &[u8; 91] {
        &self.spki
    }

    /// The public half as an uncompressed point, 65 bytes.
    pub fn public_sec1(&self) -> [u8; 65] {
        let mut point = [0; 65];
        point.copy_from_slice(&self.spki[26..]);
        point
    }

    /// The public half as PEM.
    pub fn public_pem(&self) -> String {
        let key = p256::PublicKey::from(*self.signing.verifying_key());
        key.to_public_key_pem(LineEnding::LF).expect("a P-256 key encodes")
    }

    /// The private half as PKCS#8 PEM.
    pub fn private_pem(&self) -> String {
        let secret = SecretKey::from(self.signing.as_nonzero_scalar());
        secret.to_pkcs8_pem(LineEnding::LF).expect("a P-256 key encodes").to_string()
    }

    /// ECDSA over a digest, DER.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Vec<u8> {
        let signature: Signature = self.signing.sign_prehash(digest).expect("a 32-byte digest signs");
        signature.to_der().as_bytes().to_vec()
    }

    /// The job's signature over the delivered file (ECDSA over its SHA-256), DER, 70 to 72 bytes as a rule.
    pub fn sign_job(&self, file: &[u8]) -> Vec<u8> {
        self.sign_digest(&Sha256::digest(file).into())
    }

    /// [`sign_job`](Self::sign_job) as it stands in `sig-sha256-ecdsa` of a job document.
    pub fn sign_job_base64(&self, file: &[u8]) -> String {
        Base64::encode_string(&self.sign_job(file))
    }
}

impl fmt::Debug for Key {
    /// Shows no private byte.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// The text is not a P-256 private key in PKCS#8 or SEC1 PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a P-256 private key in PEM (PKCS#8 or SEC1, unencrypted)")
    }
}

impl core::error::Error for KeyError {}
