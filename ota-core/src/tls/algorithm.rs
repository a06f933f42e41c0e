//! Signature algorithms of certificates, for rustls-webpki.

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// Most signatures checked for one server. A real chain has up to five. rustls-webpki gives up after a hundred, which
/// would keep a microcontroller busy for many seconds with certificates made to have many wrong paths.
const SIGNATURES_MAX: u8 = 16;

/// How many signatures may still be checked for a server.
///
/// Load and store are enough, since only one task looks at it; it is an atomic because webpki wants `Sync`.
#[derive(Debug)]
pub(super) struct Budget(AtomicU8);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(SIGNATURES_MAX))
    }

    pub(super) fn spend(&self) -> Result<(), InvalidSignature> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(1).ok_or(InvalidSignature)?;
        self.0.store(left, Ordering::Relaxed);
        Ok(())
    }
}

/// ECDSA over P-256 with SHA-256.
pub(super) struct EcdsaP256Sha256<'a>(pub(super) &'a Budget);

impl fmt::Debug for EcdsaP256Sha256<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcdsaP256Sha256")
    }
}

impl SignatureVerificationAlgorithm for EcdsaP256Sha256<'_> {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.0.spend()?;
        let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}

#[cfg(feature = "rsa")]
pub(super) use with_rsa::{RsaPkcs1, rsa_key};

#[cfg(feature = "rsa")]
mod with_rsa {
    use rsa::pkcs1::DecodeRsaPublicKey;
    use rsa::pkcs1v15::Pkcs1v15Sign;
    use rsa::traits::PublicKeyParts;
    use rsa::{RsaPublicKey, pkcs8::DecodePublicKey};
    use sha2::{Digest, Sha256, Sha384, Sha512};

    use super::*;

    /// Sizes of RSA keys in bits: shorter ones are weak, longer ones slow.
    const KEY_BITS: core::ops::RangeInclusive<usize> = 2_048..=4_096;

    fn strong(key: RsaPublicKey) -> Option<RsaPublicKey> {
        KEY_BITS.contains(&key.n().bits()).then_some(key)
    }

    /// The RSA key in a SubjectPublicKeyInfo.
    pub(in crate::tls) fn rsa_key(spki: &[u8]) -> Option<RsaPublicKey> {
        RsaPublicKey::from_public_key_der(spki).ok().and_then(strong)
    }

    /// RSA PKCS #1 v1.5, which is how RSA roots and intermediates sign.
    pub(in crate::tls) struct RsaPkcs1<'a> {
        budget: &'a Budget,
        hash: Hash,
    }

    #[derive(Clone, Copy, Debug)]
    enum Hash {
        Sha256,
        Sha384,
        Sha512,
    }

    impl<'a> RsaPkcs1<'a> {
        pub(in crate::tls) fn all(budget: &'a Budget) -> [Self; 3] {
            [Hash::Sha256, Hash::Sha384, Hash::Sha512].map(|hash| Self { budget, hash })
        }
    }

    impl fmt::Debug for RsaPkcs1<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "RsaPkcs1 with {:?}", self.hash)
        }
    }

    impl SignatureVerificationAlgorithm for RsaPkcs1<'_> {
        fn verify_signature(
            &self,
            key: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> Result<(), InvalidSignature> {
            self.budget.spend()?;
            let key = RsaPublicKey::from_pkcs1_der(key).ok().and_then(strong).ok_or(InvalidSignature)?;
            match self.hash {
                Hash::Sha256 => {
                    key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature)
                }
                Hash::Sha384 => {
                    key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature)
                }
                Hash::Sha512 => {
                    key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature)
                }
            }
            .map_err(|_| InvalidSignature)
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::RSA_ENCRYPTION
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            match self.hash {
                Hash::Sha256 => alg_id::RSA_PKCS1_SHA256,
                Hash::Sha384 => alg_id::RSA_PKCS1_SHA384,
                Hash::Sha512 => alg_id::RSA_PKCS1_SHA512,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use p256::ecdsa::signature::Signer;
    use p256::ecdsa::{DerSignature, SigningKey};

    use super::*;

    #[test]
    fn signatures_are_checked_until_the_budget_is_spent() {
        let signer = SigningKey::from_slice(&[7; 32]).unwrap();
        let key = signer.verifying_key().to_encoded_point(false);
        let signature: DerSignature = signer.sign(b"message");
        let budget = Budget::new();
        let algorithm = EcdsaP256Sha256(&budget);
        let check =
            |message: &[u8]| algorithm.verify_signature(key.as_bytes(), message, signature.as_bytes());
        for _ in 0..8 {
            check(b"message").unwrap();
            check(b"massage").unwrap_err();
        }
        check(b"message").unwrap_err();
    }

    /// A key of which only the length is real.
    #[cfg(feature = "rsa")]
    fn spki(bits: usize) -> std::vec::Vec<u8> {
        use rsa::pkcs8::EncodePublicKey;
        let modulus = (rsa::BigUint::from(1u8) << (bits - 1)) + rsa::BigUint::from(1u8);
        let key = rsa::RsaPublicKey::new(modulus, 65_537u32.into()).unwrap();
        key.to_public_key_der().unwrap().into_vec()
    }

    #[cfg(feature = "rsa")]
    #[test]
    fn weak_keys_are_refused() {
        for (bits, accepted) in [(1_024, false), (2_047, false), (2_048, true), (3_072, true), (4_096, true)]
        {
            assert_eq!(rsa_key(&spki(bits)).is_some(), accepted, "{bits}");
        }
        assert!(rsa_key(b"").is_none());
    }
}
