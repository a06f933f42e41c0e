//! A self-signed code-signing certificate, the form in which AWS IoT names a job's key.
//!
//! Written by hand in DER (RFC 5280) so that it costs no dependency and is the same bytes each time.

use sha2::{Digest, Sha256};

use super::Key;

mod tag {
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const BIT_STRING: u8 = 0x03;
    pub(super) const OCTET_STRING: u8 = 0x04;
    pub(super) const OID: u8 = 0x06;
    pub(super) const UTF8_STRING: u8 = 0x0C;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const VERSION: u8 = 0xA0;
    pub(super) const EXTENSIONS: u8 = 0xA3;
}

mod oid {
    /// ecdsa-with-SHA256, 1.2.840.10045.4.3.2
    pub(super) const ECDSA_SHA256: [u8; 8] = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
    /// commonName, 2.5.4.3
    pub(super) const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
    /// keyUsage, 2.5.29.15
    pub(super) const KEY_USAGE: [u8; 3] = [0x55, 0x1D, 0x0F];
    /// extKeyUsage, 2.5.29.37
    pub(super) const EXTENDED_KEY_USAGE: [u8; 3] = [0x55, 0x1D, 0x25];
    /// codeSigning, 1.3.6.1.5.5.7.3.3
    pub(super) const CODE_SIGNING: [u8; 8] = [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
}

impl Key {
    /// A self-signed X.509 certificate of this key for code signing, DER, valid 2020 to 2049.
    pub fn certificate_der(&self, common_name: &str) -> Vec<u8> {
        let algorithm = wrap(tag::SEQUENCE, &[&wrap(tag::OID, &[&oid::ECDSA_SHA256])]);
        let name = wrap(tag::UTF8_STRING, &[common_name.as_bytes()]);
        let name = wrap(tag::SEQUENCE, &[&wrap(tag::OID, &[&oid::COMMON_NAME]), &name]);
        let name = wrap(tag::SEQUENCE, &[&wrap(tag::SET, &[&name])]);
        let validity = wrap(
            tag::SEQUENCE,
            &[&wrap(tag::UTC_TIME, &[b"200101000000Z"]), &wrap(tag::UTC_TIME, &[b"491231235959Z"])],
        );
        // digitalSignature is bit 0 of a one-bit string: seven bits unused.
        let usage = extension(&oid::KEY_USAGE, true, &wrap(tag::BIT_STRING, &[&[7, 0x80]]));
        let purpose = wrap(tag::SEQUENCE, &[&wrap(tag::OID, &[&oid::CODE_SIGNING])]);
        let purpose = extension(&oid::EXTENDED_KEY_USAGE, false, &purpose);
        let mut serial = Sha256::digest(self.public_spki())[..8].to_vec();
        serial[0] = serial[0] & 0x7F | 0x40;
        let body = wrap(
            tag::SEQUENCE,
            &[
                &wrap(tag::VERSION, &[&wrap(tag::INTEGER, &[&[2]])]),
                &wrap(tag::INTEGER, &[&serial]),
                &algorithm,
                &name,
                &validity,
                &name,
                self.public_spki(),
                &wrap(tag::EXTENSIONS, &[&wrap(tag::SEQUENCE, &[&usage, &purpose])]),
            ],
        );
        let signature = self.sign_job(&body);
        wrap(tag::SEQUENCE, &[&body, &algorithm, &wrap(tag::BIT_STRING, &[&[0], &signature])])
    }

    /// [`certificate_der`](Self::certificate_der) as PEM.
    pub fn certificate_pem(&self, common_name: &str) -> String {
        use p256::pkcs8::der::pem::{LineEnding, encode_string};
        encode_string("CERTIFICATE", LineEnding::LF, &self.certificate_der(common_name))
            .expect("a certificate fits into PEM")
    }
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { wrap(tag::BOOLEAN, &[&[0xFF]]) } else { Vec::new() };
    wrap(tag::SEQUENCE, &[&wrap(tag::OID, &[oid]), &critical, &wrap(tag::OCTET_STRING, &[value])])
}

/// Tag, length, and the parts one after the other.
fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match length {
        0..=0x7F => bytes.push(length as u8),
        0x80..=0xFF => bytes.extend_from_slice(&[0x81, length as u8]),
        _ => bytes.extend_from_slice(&[0x82, (length >> 8) as u8, length as u8]),
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}
