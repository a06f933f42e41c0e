//! Certificates made for one run.

use ota_core::tls::TrustAnchor;
use ota_core::tls::webpki::anchor_from_trusted_cert;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::NAME;

/// Somebody who issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, p256())
    }

    pub(crate) fn root_with(name: &str, key: KeyPair) -> Self {
        Self(CertifiedIssuer::self_signed(authority(name), key).unwrap())
    }

    pub(crate) fn intermediate(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        self.intermediate_with(name, p256(), change)
    }

    pub(crate) fn intermediate_with(
        &self,
        name: &str,
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = authority(name);
        change(&mut params);
        Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn anchor(&self) -> TrustAnchor<'static> {
        anchor_from_trusted_cert(self.0.der()).unwrap().to_owned()
    }

    /// A certificate for a server of the usual name.
    pub(crate) fn server(&self) -> Identity {
        self.issue(p256(), |_| {})
    }

    pub(crate) fn issue(&self, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = leaf(ExtendedKeyUsagePurpose::ServerAuth);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { chain: vec![certificate.der().clone()], key }
    }
}

/// A key and the certificates that speak for it, its own first.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Identity {
    pub(crate) fn with(mut self, certificate: CertificateDer<'static>) -> Self {
        self.chain.push(certificate);
        self
    }

    /// One that nobody but itself vouches for.
    pub(crate) fn self_signed() -> Self {
        let key = p256();
        let certificate = leaf(ExtendedKeyUsagePurpose::ServerAuth).self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().clone()], key }
    }

    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// Acts as an authority, which its certificate does not allow.
    pub(crate) fn into_impostor(
        self,
        name: &str,
    ) -> (rcgen::Issuer<'static, KeyPair>, CertificateDer<'static>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (rcgen::Issuer::new(params, self.key), self.chain[0].clone())
    }
}

pub(crate) fn p256() -> KeyPair {
    key(&PKCS_ECDSA_P256_SHA256)
}

pub(crate) fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

/// Made once with `openssl genpkey`, since making one takes long; worth nothing to anybody.
pub(crate) fn rsa(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::from_pem_and_sign_algo(include_str!("rsa-2048.pem"), algorithm).unwrap()
}

pub(crate) fn leaf(purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    named(&mut params, NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    named(&mut params, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

pub(crate) fn named(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
}
