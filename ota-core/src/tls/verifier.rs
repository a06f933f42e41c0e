//! Whether the server is who it should be.
//!
//! embedded-tls hands over the server's certificates and its signature, if they come at all. The order is kept here, in
//! [`Stage`]; what counts in the end is [`Verifier::verdict`].

use embedded_tls::{
    Aes128GcmSha256, CertificateEntryRef, CertificateRef, CertificateVerifyRef, SignatureScheme, TlsVerifier,
};
use p256::ecdsa::VerifyingKey;
use p256::ecdsa::signature::Verifier as _;
use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use webpki::{EndEntityCert, Error as Webpki, KeyUsage};

use super::algorithm::{Budget, EcdsaP256Sha256};
use super::config::Now;
use super::error::{CertificateError, TlsError};
use crate::verify::{PublicKey, certificate_spki};

/// Most certificates beside the server's own. AWS sends up to three.
const INTERMEDIATES_MAX: usize = 8;

/// What the server signs: 64 spaces, this, and the hash of the handshake so far (RFC 8446 section 4.4.3).
const CONTEXT: &[u8; 34] = b"TLS 1.3, server CertificateVerify\0";
const PADDING: [u8; 64] = [0x20; 64];
const SIGNED_LEN: usize = PADDING.len() + CONTEXT.len() + 32;

/// Judges one server in one handshake.
pub(super) struct Verifier<'c> {
    name: ServerName<'c>,
    roots: &'c [TrustAnchor<'c>],
    now: Now,
    stage: Stage,
}

#[allow(clippy::large_enum_variant)] // There is one, and no heap to put its contents in.
enum Stage {
    /// Nothing has come yet.
    Nothing,
    /// The certificates are good. The hash covers the handshake up to them.
    Certified { transcript: Sha256, key: LeafKey },
    /// And the server has proven to own the first of them, in this handshake.
    Authenticated,
    /// Whatever comes, the server is not accepted.
    Refused(TlsError),
}

enum LeafKey {
    P256(VerifyingKey),
    #[cfg(feature = "rsa")]
    Rsa(rsa::RsaPublicKey),
}

impl<'c> Verifier<'c> {
    pub(super) fn new(name: ServerName<'c>, roots: &'c [TrustAnchor<'c>], now: Now) -> Self {
        Self { name, roots, now, stage: Stage::Nothing }
    }

    /// Whether the server is authenticated, and if not, why.
    pub(super) fn verdict(&self) -> Result<(), TlsError> {
        match &self.stage {
            Stage::Authenticated => Ok(()),
            Stage::Refused(error) => Err(*error),
            Stage::Nothing | Stage::Certified { .. } => Err(TlsError::NotAuthenticated),
        }
    }

    /// Judges the list of certificates, the server's own first.
    fn certify(&self, certificates: &CertificateRef<'_>) -> Result<LeafKey, CertificateError> {
        let mut entries = certificates.entries.iter().map(der);
        let leaf = entries.next().ok_or(CertificateError::Count)?.ok_or(CertificateError::Encoding)?;
        let mut intermediates: heapless::Vec<CertificateDer<'_>, INTERMEDIATES_MAX> = heapless::Vec::new();
        for entry in entries {
            let entry = entry.ok_or(CertificateError::Encoding)?;
            intermediates.push(entry).map_err(|_| CertificateError::Count)?;
        }
        let server = EndEntityCert::try_from(&leaf).map_err(|error| CertificateError::of(&error))?;
        self.find_path(&server, &intermediates)?;
        server.verify_is_valid_for_subject_name(&self.name).map_err(|error| CertificateError::of(&error))?;
        leaf_key(&leaf)
    }

    /// Looks for a path to a root that is valid now.
    ///
    /// Without a clock, "now" is any one moment from the lower bound on: each time a certificate is not valid yet, the
    /// moment moves to where it is. Dates are looked at before signatures, so this costs little.
    fn find_path(
        &self,
        server: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), CertificateError> {
        let budget = Budget::new();
        let ecdsa = EcdsaP256Sha256(&budget);
        #[cfg(not(feature = "rsa"))]
        let algorithms: [&dyn SignatureVerificationAlgorithm; 1] = [&ecdsa];
        #[cfg(feature = "rsa")]
        let [sha256, sha384, sha512] = super::algorithm::RsaPkcs1::all(&budget);
        #[cfg(feature = "rsa")]
        let algorithms: [&dyn SignatureVerificationAlgorithm; 4] = [&ecdsa, &sha256, &sha384, &sha512];

        let (mut moment_s, clock) = match self.now {
            Now::At(now_s) => (now_s, true),
            Now::NotBefore(bound_s) => (bound_s, false),
        };
        // Each certificate can move the moment once.
        for _ in 0..=intermediates.len() + 1 {
            let path = server.verify_for_usage(
                &algorithms,
                self.roots,
                intermediates,
                UnixTime::since_unix_epoch(core::time::Duration::from_secs(moment_s)),
                KeyUsage::server_auth(),
                None,
                None,
            );
            match path {
                Ok(_) => return Ok(()),
                Err(Webpki::CertNotValidYet { not_before, .. })
                    if !clock && not_before.as_secs() > moment_s =>
                {
                    moment_s = not_before.as_secs();
                }
                Err(error) => return Err(CertificateError::of(&error)),
            }
        }
        Err(CertificateError::NotYetValid)
    }
}

fn der<'e>(entry: &CertificateEntryRef<'e>) -> Option<CertificateDer<'e>> {
    match entry {
        CertificateEntryRef::X509(der) => Some(CertificateDer::from(*der)),
        CertificateEntryRef::RawPublicKey(_) => None,
    }
}

/// The key of a certificate that webpki has read and accepted.
fn leaf_key(leaf: &[u8]) -> Result<LeafKey, CertificateError> {
    let spki = certificate_spki(leaf).ok_or(CertificateError::Encoding)?;
    if let Ok(key) = PublicKey::spki(spki).and_then(|key| key.verifying_key()) {
        return Ok(LeafKey::P256(key));
    }
    #[cfg(feature = "rsa")]
    if let Some(key) = super::algorithm::rsa_key(spki) {
        return Ok(LeafKey::Rsa(key));
    }
    Err(CertificateError::Algorithm)
}

impl LeafKey {
    /// Whether `signature` is over `message`, with the scheme the server names.
    fn verifies(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
        match (self, scheme) {
            (Self::P256(key), SignatureScheme::EcdsaSecp256r1Sha256) => {
                p256::ecdsa::Signature::from_der(signature)
                    .is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            #[cfg(feature = "rsa")]
            (Self::Rsa(key), SignatureScheme::RsaPssRsaeSha256) => {
                verifies_pss::<Sha256>(key, message, signature)
            }
            #[cfg(feature = "rsa")]
            (Self::Rsa(key), SignatureScheme::RsaPssRsaeSha384) => {
                verifies_pss::<sha2::Sha384>(key, message, signature)
            }
            #[cfg(feature = "rsa")]
            (Self::Rsa(key), SignatureScheme::RsaPssRsaeSha512) => {
                verifies_pss::<sha2::Sha512>(key, message, signature)
            }
            // TLS 1.3 has no others for these keys; PKCS #1 v1.5 is for certificates only (RFC 8446 section 4.2.3).
            _ => false,
        }
    }
}

/// RSASSA-PSS with a salt as long as the hash (RFC 8446 section 4.2.3).
#[cfg(feature = "rsa")]
fn verifies_pss<D: 'static + Digest + sha2::digest::DynDigest + Send + Sync>(
    key: &rsa::RsaPublicKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    key.verify(rsa::Pss::new::<D>(), &D::digest(message), signature).is_ok()
}

impl TlsVerifier<Aes128GcmSha256> for Verifier<'_> {
    /// The name is known from the settings; addresses would not come this way.
    fn set_hostname_verification(&mut self, _: &str) -> Result<(), embedded_tls::TlsError> {
        Ok(())
    }

    fn verify_certificate(
        &mut self,
        transcript: &Sha256,
        certificates: CertificateRef<'_>,
    ) -> Result<(), embedded_tls::TlsError> {
        self.stage = match self.stage {
            Stage::Nothing => match self.certify(&certificates) {
                Ok(key) => {
                    self.stage = Stage::Certified { transcript: transcript.clone(), key };
                    return Ok(());
                }
                Err(error) => Stage::Refused(TlsError::Certificate(error)),
            },
            Stage::Refused(error) => Stage::Refused(error),
            // A second list could only replace what was judged.
            Stage::Certified { .. } | Stage::Authenticated => Stage::Refused(TlsError::Protocol),
        };
        Err(embedded_tls::TlsError::InvalidCertificate)
    }

    fn verify_signature(&mut self, verify: CertificateVerifyRef<'_>) -> Result<(), embedded_tls::TlsError> {
        self.stage = match core::mem::replace(&mut self.stage, Stage::Refused(TlsError::Protocol)) {
            Stage::Certified { transcript, key } => {
                let mut message: heapless::Vec<u8, SIGNED_LEN> = heapless::Vec::new();
                for part in [&PADDING[..], CONTEXT, &transcript.finalize()] {
                    // Cannot be full: it is as long as its parts.
                    let _ = message.extend_from_slice(part);
                }
                if key.verifies(verify.signature_scheme, &message, verify.signature) {
                    self.stage = Stage::Authenticated;
                    return Ok(());
                }
                Stage::Refused(TlsError::ServerSignature)
            }
            Stage::Refused(error) => Stage::Refused(error),
            Stage::Nothing | Stage::Authenticated => Stage::Refused(TlsError::Protocol),
        };
        Err(embedded_tls::TlsError::InvalidSignature)
    }
}
