//! Public keys: PEM, SubjectPublicKeyInfo, certificates. A key that is taken is one for `p256` too.

use base64ct::Encoding as _;
use ota_core::verify::{PublicKey, VerifyError, parse_pem};
use ota_sim::image::Key;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey};
use sha2::{Digest as _, Sha256};

use crate::bytes::{assert_inside, base64_like};

/// Longest DER here, bytes.
const DER_MAX: usize = 1024;

pub(crate) fn run(bytes: &[u8]) {
    check_der(bytes);
    check_pem(&String::from_utf8_lossy(bytes));
    let like = base64_like(bytes);
    let pem = format!("-----BEGIN X-----\n{like}\n-----END X-----");
    check_pem(&pem);
    let theirs = base64ct::Base64::decode_vec(&like);
    let good = theirs.is_ok_and(|der| (1..=DER_MAX).contains(&der.len()));
    assert_eq!(parse_pem(&pem, &mut [0; DER_MAX]).is_ok(), good, "{like}");
    // Any bytes in PEM come out again.
    if (1..=DER_MAX).contains(&bytes.len()) {
        let text = base64ct::Base64::encode_string(bytes);
        let pem = format!("-----BEGIN X-----\r\n{text}\n-----END X-----\n");
        let mut der = [0; DER_MAX];
        assert_eq!(parse_pem(&pem, &mut der), Ok(bytes.len()));
        assert_eq!(&der[..bytes.len()], bytes);
        assert_eq!(parse_pem(&pem, &mut der[..bytes.len() - 1]), Err(VerifyError::BadPem), "written beyond");
    }
}

fn check_pem(pem: &str) {
    let mut der = [0x55; DER_MAX];
    let Ok(len) = parse_pem(pem, &mut der) else { return };
    assert!((1..=DER_MAX).contains(&len) && der[len..].iter().all(|byte| *byte == 0x55));
    let body = pem.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----"));
    let body = body.and_then(|(_, rest)| rest.split_once("-----END ")).expect("it was found").0;
    let text: String = body.split_ascii_whitespace().collect();
    assert_eq!(base64ct::Base64::decode_vec(&text).as_deref(), Ok(&der[..len]));
    check_der(&der[..len]);
}

fn check_der(der: &[u8]) {
    match (PublicKey::spki(der), p256::PublicKey::from_public_key_der(der)) {
        (Ok(ours), Ok(theirs)) => {
            let again = theirs.to_public_key_der().expect("it was read");
            assert_eq!(again.as_bytes(), der);
            assert_eq!(ours.spki_hash()[..], Sha256::digest(der)[..]);
        }
        (Ok(_), Err(error)) => panic!("taken, but p256: {error}"),
        // Compressed points and other spellings of the same are not read.
        (Err(_), Ok(_)) => assert_ne!(der.len(), 91, "refused, but it is a key"),
        (Err(_), Err(_)) => {}
    }
    let point = PublicKey::sec1(der);
    assert_eq!(point.is_ok(), p256::PublicKey::from_sec1_bytes(der).is_ok());
    if let Ok(key) = PublicKey::certificate(der) {
        // The key is one that stands in the certificate.
        let spki =
            der.windows(91).find(|window| PublicKey::spki(window) == Ok(key)).expect("it stands there");
        assert_inside(der, spki);
        // A certificate that is cut is none.
        assert!(PublicKey::certificate(&der[..der.len() - 1]).is_err());
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let key = Key::from_seed(1);
    vec![
        key.public_pem().into_bytes(),
        key.public_spki().to_vec(),
        key.public_sec1().to_vec(),
        key.certificate_der("Signer").clone(),
        key.certificate_pem("Signer").into_bytes(),
    ]
}
