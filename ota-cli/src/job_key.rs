//! A signing key, of a job or of images: ECDSA P-256, from a PEM file or made new.

use std::path::Path;

use anyhow::{Context, Result, bail};
use base64ct::{Base64, Encoding};
use ota_sim::image::Key;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};

/// A private key that signs whole files, as the OTA manager's code signing does.
pub(crate) struct JobKey(SigningKey);

impl JobKey {
    /// Reads a private key in PEM: PKCS #8 (`PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`).
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        // `openssl ecparam -genkey` puts the curve's parameters in front of the key.
        let Some(at) = pem.find("-----BEGIN EC PRIVATE KEY").or_else(|| pem.find("-----BEGIN PRIVATE KEY"))
        else {
            bail!("{} holds no unencrypted private key in PEM", path.display());
        };
        let pem = pem[at..].trim_end();
        let key = if pem.starts_with("-----BEGIN EC") {
            p256::SecretKey::from_sec1_pem(pem).map(SigningKey::from).ok()
        } else {
            SigningKey::from_pkcs8_pem(pem).ok()
        };
        key.map(Self).with_context(|| format!("{} is no ECDSA P-256 key", path.display()))
    }

    /// A new key from the operating system's random numbers.
    pub(crate) fn generate() -> Self {
        Self(SigningKey::random(&mut OsRng))
    }

    /// The public half as PEM (SubjectPublicKeyInfo): what goes into the device.
    pub(crate) fn public_pem(&self) -> Result<String> {
        self.0.verifying_key().to_public_key_pem(LineEnding::LF).context("cannot encode the public key")
    }

    /// The private half as PEM (PKCS #8), as `imgtool keygen` writes it.
    pub(crate) fn private_pem(&self) -> Result<String> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).context("cannot encode the private key")?;
        Ok(pem.to_string())
    }

    /// The public half as an uncompressed point, `04 || X || Y`.
    pub(crate) fn public_point(&self) -> [u8; 65] {
        let mut point = [0; 65];
        point.copy_from_slice(self.0.verifying_key().to_encoded_point(false).as_bytes());
        point
    }

    /// The same key in the hands of the image builder.
    pub(crate) fn image_key(&self) -> Result<Key> {
        Key::from_pem(&self.private_pem()?).context("cannot hand the key to the image builder")
    }

    /// The value of `sig-sha256-ecdsa`: base64 of the DER signature over the SHA-256 of `file`.
    pub(crate) fn sign(&self, file: &[u8]) -> String {
        let signature: DerSignature = self.0.sign(file);
        Base64::encode_string(signature.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl ecparam -name prime256v1 -genkey`, and its PKCS #8 form with `openssl pkcs8 -topk8 -nocrypt`.
    const SEC1: &str = "-----BEGIN EC PARAMETERS-----\n\
         BggqhkjOPQMBBw==\n\
         -----END EC PARAMETERS-----\n\
         -----BEGIN EC PRIVATE KEY-----\n\
         MHcCAQEEIDNiVvP65ToywtPf6q/MmS8BPw69WdrGJHHnrRf7WyyioAoGCCqGSM49\n\
         AwEHoUQDQgAET0msiwqzwSw5FzeDyraZOqAzFcjiP7OluR6umKRmIfJ9j4GBDTuN\n\
         6Q5bPCDkzC2mwkdScjalfY93mbjtaGfpgg==\n\
         -----END EC PRIVATE KEY-----\n";
    const PKCS8: &str = "-----BEGIN PRIVATE KEY-----\n\
         MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgM2JW8/rlOjLC09/q\n\
         r8yZLwE/Dr1Z2sYkceetF/tbLKKhRANCAARPSayLCrPBLDkXN4PKtpk6oDMVyOI/\n\
         s6W5Hq6YpGYh8n2PgYENO43pDls8IOTMLabCR1JyNqV9j3eZuO1oZ+mC\n\
         -----END PRIVATE KEY-----\n";
    /// `openssl ec -pubout` of the same key.
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
         MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAET0msiwqzwSw5FzeDyraZOqAzFcji\n\
         P7OluR6umKRmIfJ9j4GBDTuN6Q5bPCDkzC2mwkdScjalfY93mbjtaGfpgg==\n\
         -----END PUBLIC KEY-----\n";

    #[test]
    fn both_forms_of_openssl_are_read() {
        let dir = tempfile::tempdir().unwrap();
        for pem in [SEC1, PKCS8] {
            let path = dir.path().join("key.pem");
            std::fs::write(&path, pem).unwrap();
            assert_eq!(JobKey::load(&path).unwrap().public_pem().unwrap(), PUBLIC);
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        assert!(JobKey::load(&path).err().unwrap().to_string().contains("cannot read"));
        for text in ["", PUBLIC, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(JobKey::load(&path).err().unwrap().to_string().contains("key.pem"));
        }
    }
}
