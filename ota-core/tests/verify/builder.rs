//! MCUboot's image format written down a second time, in the other direction: images with one thing wrong.

use ota_core::verify::PublicKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};

pub(crate) const SHA256: u16 = 0x10;
pub(crate) const KEYHASH: u16 = 0x01;
pub(crate) const ECDSA_SIG: u16 = 0x22;
pub(crate) const SEC_CNT: u16 = 0x50;
pub(crate) const DEPENDENCY: u16 = 0x40;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

/// The uncompressed point of a key.
pub(crate) fn point(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_encoded_point(false).as_bytes().to_vec()
}

pub(crate) fn sign(key: &SigningKey, hash: &[u8; 32]) -> Vec<u8> {
    let signature: Signature = key.sign_prehash(hash).unwrap();
    signature.to_der().as_bytes().to_vec()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// An image under construction: MCUboot's format written down a second time, in the other direction.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) payload: Vec<u8>,
    pub(crate) flags: u32,
    pub(crate) protected: Vec<(u16, Vec<u8>)>,
    /// Wrapped, so that a test can say where the right hash goes.
    pub(crate) unprotected: Vec<Entry>,
    /// Added to the size in the unprotected area's head.
    pub(crate) size_error: i32,
}

#[derive(Clone)]
pub(crate) enum Entry {
    Hash,
    KeyHash(SigningKey),
    Signature(SigningKey, Padding),
    Raw(u16, Vec<u8>),
}

#[derive(Clone, Copy)]
pub(crate) enum Padding {
    None,
    Zeros,
    Garbage,
}

impl Builder {
    /// What imgtool makes, signed with `key(1)`.
    pub(crate) fn new() -> Self {
        let mut payload = vec![0xA5; 300];
        payload[..8].copy_from_slice(&[0x00, 0x80, 0x00, 0x08, 0x01, 0x11, 0x01, 0x10]);
        Self {
            payload,
            flags: 0,
            protected: vec![],
            unprotected: vec![Entry::Hash, Entry::KeyHash(key(1)), Entry::Signature(key(1), Padding::None)],
            size_error: 0,
        }
    }

    pub(crate) fn unprotected(self, unprotected: &[Entry]) -> Self {
        Self { unprotected: unprotected.to_vec(), ..self }
    }

    pub(crate) fn protected(self, protected: &[(u16, &[u8])]) -> Self {
        Self { protected: protected.iter().map(|(kind, bytes)| (*kind, bytes.to_vec())).collect(), ..self }
    }

    fn area(magic: u16, entries: &[(u16, Vec<u8>)], size_error: i32) -> Vec<u8> {
        let size = 4 + entries.iter().map(|(_, bytes)| 4 + bytes.len()).sum::<usize>();
        let mut area = magic.to_le_bytes().to_vec();
        area.extend(((size as i32 + size_error) as u16).to_le_bytes());
        for (kind, bytes) in entries {
            area.extend(kind.to_le_bytes());
            area.extend((bytes.len() as u16).to_le_bytes());
            area.extend(bytes);
        }
        area
    }

    /// The file, and where the hashed part ends.
    pub(crate) fn build(&self) -> (Vec<u8>, u32) {
        let protected =
            if self.protected.is_empty() { vec![] } else { Self::area(0x6908, &self.protected, 0) };
        let mut file = 0x96F3_B83Du32.to_le_bytes().to_vec();
        file.extend(0u32.to_le_bytes());
        file.extend(64u16.to_le_bytes());
        file.extend((protected.len() as u16).to_le_bytes());
        file.extend((self.payload.len() as u32).to_le_bytes());
        file.extend(self.flags.to_le_bytes());
        file.extend([1, 2, 3, 0, 4, 0, 0, 0]);
        file.resize(64, 0xFF);
        file.extend(&self.payload);
        file.extend(protected);
        let (hash, end) = (sha256(&file), file.len() as u32);
        let entries: Vec<_> = self
            .unprotected
            .iter()
            .map(|entry| match entry {
                Entry::Hash => (SHA256, hash.to_vec()),
                Entry::KeyHash(key) => (KEYHASH, keyhash(key)),
                Entry::Signature(key, padding) => {
                    let mut signature = sign(key, &hash);
                    match padding {
                        Padding::None => {}
                        Padding::Zeros => signature.extend([0; 4]),
                        Padding::Garbage => signature.extend([0, 0, 1]),
                    }
                    (ECDSA_SIG, signature)
                }
                Entry::Raw(kind, bytes) => (*kind, bytes.clone()),
            })
            .collect();
        file.extend(Self::area(0x6907, &entries, self.size_error));
        (file, end)
    }
}

pub(crate) fn keyhash(key: &SigningKey) -> Vec<u8> {
    PublicKey::sec1(&point(key)).unwrap().spki_hash().to_vec()
}
