//! What embedded-tls asks for during a handshake: random numbers, a judge of the server, the device's certificate and
//! signature.

use embedded_tls::{Aes128GcmSha256, Certificate, CryptoProvider, SignatureScheme, TlsVerifier};
use p256::ecdsa::signature;
use rustls_pki_types::ServerName;

use super::config::{Client, Config, Sign};
use super::error::TlsError;
use super::rand_core::CryptoRngCore;
use super::verifier::Verifier;

/// Longest DER signature over P-256: two integers of up to 33 bytes, each with two bytes before it, in a sequence.
const SIGNATURE_MAX: usize = 72;

pub(super) struct Provider<'c, R> {
    rng: &'c mut R,
    verifier: Verifier<'c>,
    client: Option<Client<'c>>,
    signer_failed: bool,
}

impl<'c, R: CryptoRngCore> Provider<'c, R> {
    pub(super) fn new(rng: &'c mut R, config: &Config<'c>, name: ServerName<'c>) -> Self {
        let verifier = Verifier::new(name, config.roots, config.now());
        Self { rng, verifier, client: config.client, signer_failed: false }
    }

    /// The outcome of a handshake: good only if the server is authenticated, whatever embedded-tls says.
    pub(super) fn judge(&self, shaken: Result<(), TlsError>) -> Result<(), TlsError> {
        match (shaken, self.verifier.verdict()) {
            (Ok(()), Ok(())) if self.signer_failed => Err(TlsError::Signer),
            (Ok(()), verdict) => verdict,
            // The link failed, or a message was bad, before the server could be judged.
            (Err(error), Ok(()) | Err(TlsError::NotAuthenticated)) => Err(error),
            (Err(_), Err(verdict)) => Err(verdict),
        }
    }
}

impl<R: CryptoRngCore> CryptoProvider for Provider<'_, R> {
    type CipherSuite = Aes128GcmSha256;
    type Signature = ClientSignature;

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut *self.rng
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, embedded_tls::TlsError> {
        Ok(&mut self.verifier)
    }

    fn signer(
        &mut self,
    ) -> Result<(impl signature::SignerMut<ClientSignature>, SignatureScheme), embedded_tls::TlsError> {
        match self.client {
            Some(client) => {
                let signer = ClientSigner { signer: client.signer, failed: &mut self.signer_failed };
                Ok((signer, SignatureScheme::EcdsaSecp256r1Sha256))
            }
            None => Err(embedded_tls::TlsError::InvalidPrivateKey),
        }
    }

    fn client_cert(&mut self) -> Option<Certificate<impl AsRef<[u8]>>> {
        // A server that asks another one's certificate gets none; the gate will refuse it anyway.
        self.verifier.verdict().ok()?;
        self.client.map(|client| Certificate::X509(client.certificate))
    }
}

/// A DER signature of the device; empty when it could not be made.
pub(super) struct ClientSignature(heapless::Vec<u8, SIGNATURE_MAX>);

impl AsRef<[u8]> for ClientSignature {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

struct ClientSigner<'s> {
    signer: &'s dyn Sign,
    failed: &'s mut bool,
}

impl signature::SignerMut<ClientSignature> for ClientSigner<'_> {
    /// Never an error: embedded-tls 0.19 panics on one. The failure is remembered instead.
    fn try_sign(&mut self, message: &[u8]) -> Result<ClientSignature, signature::Error> {
        let signed = self.signer.sign(message).ok();
        let der = signed.and_then(|signature| heapless::Vec::from_slice(signature.to_der().as_bytes()).ok());
        *self.failed = der.is_none();
        Ok(ClientSignature(der.unwrap_or_default()))
    }
}
