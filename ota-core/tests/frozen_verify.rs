//! Keys, certificates and signatures made by other tools, as literal bytes: imgtool 2.5.0 and OpenSSL 3.0.19.

use ota_core::verify::{Der, Digest, EcdsaP256, PublicKey, Scheme, VerifyError};

/// An image of 0xE4 bytes by imgtool 2.5.0, signed with MCUboot's public test key:
/// `imgtool sign --header-size 0x20 --pad-header --slot-size 0x10000 --align 8 --version 1.2.3+4 --security-counter 7
/// --dependencies "(1, 2.3.4+5)" --key root-ec-p256.pem payload.bin image.bin`, the payload being `MCUBOOT-TEST-APP`.
#[rustfmt::skip]
const IMAGE: [u8; 0xE4] = [
    0x3d, 0xb8, 0xf3, 0x96, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x1c, 0x00, 0x10, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x4d, 0x43, 0x55, 0x42, 0x4f, 0x4f, 0x54, 0x2d, 0x54, 0x45, 0x53, 0x54, 0x2d, 0x41, 0x50, 0x50,
    0x08, 0x69, 0x1c, 0x00, 0x50, 0x00, 0x04, 0x00, 0x07, 0x00, 0x00, 0x00, 0x40, 0x00, 0x0c, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x02, 0x03, 0x04, 0x00, 0x05, 0x00, 0x00, 0x00, 0x07, 0x69, 0x98, 0x00,
    0x10, 0x00, 0x20, 0x00, 0x5e, 0x73, 0xed, 0x81, 0x75, 0xe5, 0x34, 0x24, 0x54, 0x08, 0x7b, 0x49,
    0xcc, 0x82, 0xe0, 0xc8, 0xae, 0x60, 0x2a, 0x16, 0x0f, 0x3f, 0x72, 0x41, 0x4f, 0x11, 0x13, 0xa9,
    0x32, 0x01, 0x76, 0x29, 0x01, 0x00, 0x20, 0x00, 0xe3, 0x04, 0x66, 0xf6, 0xb8, 0x47, 0x0c, 0x1f,
    0x29, 0x07, 0x0b, 0x17, 0xf1, 0xe2, 0xd3, 0xe9, 0x4d, 0x44, 0x5e, 0x3f, 0x60, 0x80, 0x87, 0xfd,
    0xc7, 0x11, 0xe4, 0x38, 0x2b, 0xb5, 0x38, 0xb6, 0x22, 0x00, 0x48, 0x00, 0x30, 0x46, 0x02, 0x21,
    0x00, 0xcb, 0x22, 0xf2, 0x37, 0xb4, 0x2b, 0x62, 0x1d, 0x6f, 0x4d, 0xe7, 0x20, 0xb7, 0x82, 0x30,
    0x44, 0x1b, 0xca, 0x86, 0xa4, 0x4e, 0x31, 0xec, 0x9c, 0xa3, 0xc6, 0x31, 0x05, 0x74, 0xee, 0xd1,
    0x7e, 0x02, 0x21, 0x00, 0x8c, 0x6e, 0xca, 0x15, 0x10, 0x8b, 0x81, 0xb0, 0xfd, 0xe5, 0x80, 0xc9,
    0xd2, 0x51, 0x35, 0x89, 0x82, 0xd5, 0x14, 0x65, 0xa1, 0x63, 0x8e, 0x24, 0x99, 0x13, 0x9e, 0x9c,
    0xa3, 0xad, 0x8b, 0x57,
];

/// Public half of MCUboot's `root-ec-p256.pem`.
const IMAGE_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKstAPOj+7VukSZWhqR2u6Nu+GTfN
FPsvJFc35ZU5iNmUudZa69fN1TCK1v5IskpqgQ7l8H2LaDTMOmr8U476wQ==
-----END PUBLIC KEY-----
";

/// `openssl ecparam -name prime256v1 -genkey -noout -out job.pem; openssl ec -in job.pem -pubout`
const JOB_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE3WQeZ5co5Ew359OgYdVsGrWcljWY
JEz+M40O8jU9wAOwh1FwB9KSeRAnmNcOlj4zyt3DCFOKfExlQfPuCPQcdA==
-----END PUBLIC KEY-----
";

/// The code-signing certificate of AWS' OTA guide ("Create a code-signing certificate"):
/// `openssl req -new -x509 -config cert_config.txt -extensions my_exts -nodes -days 365 -key job.pem`, with key usage
/// digitalSignature and extended key usage codeSigning. Its dates: 23 November 2026 to 2027.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBhzCCAS2gAwIBAgIUOMc5YZIjDb8ieqy/nTNZYRFcfucwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWb3RhLXNpZ25lckBleGFtcGxlLmNvbTAeFw0yNjExMjMwNDA2
NTNaFw0yNzExMjMwNDA2NTNaMCExHzAdBgNVBAMMFm90YS1zaWduZXJAZXhhbXBs
ZS5jb20wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATdZB5nlyjkTDfn06Bh1Wwa
tZyWNZgkTP4zjQ7yNT3AA7CHUXAH0pJ5ECeY1w6WPjPK3cMIU4p8TGVB8+4I9Bx0
o0MwQTALBgNVHQ8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwMwHQYDVR0OBBYE
FPv9HYt44xORtqZGWqzROWI4uOGNMAoGCCqGSM49BAMCA0gAMEUCIBybM3efDsHY
R5lceA1QwTtrmjIklUVwb83y1truhTAOAiEAl+titsAfHtem220mHBefmwssgPdI
cKnzd4HoCJ8dIdY=
-----END CERTIFICATE-----
";

/// A version 1 certificate of the same key: `openssl x509 -req -in job.csr -signkey job.pem`.
const CERTIFICATE_V1: &str = "-----BEGIN CERTIFICATE-----
MIIBPTCB4wIUajRRO2TzI5Vnizig2fbzLjLJzDUwCgYIKoZIzj0EAwIwITEfMB0G
A1UEAwwWb3RhLXNpZ25lckBleGFtcGxlLmNvbTAeFw0yNjExMjMwNDA2NTNaFw0y
NzExMjMwNDA2NTNaMCExHzAdBgNVBAMMFm90YS1zaWduZXJAZXhhbXBsZS5jb20w
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATdZB5nlyjkTDfn06Bh1WwatZyWNZgk
TP4zjQ7yNT3AA7CHUXAH0pJ5ECeY1w6WPjPK3cMIU4p8TGVB8+4I9Bx0MAoGCCqG
SM49BAMCA0kAMEYCIQDfnKBuVFgcVht3vdTNLIRfFCobKFNUnGcwwMtu6O9PjAIh
AJoEkEMVfNoqY3eGv/htmx9rnkjJzNC0kMEKHIwgoQrp
-----END CERTIFICATE-----
";

/// The same with a P-384 key.
const CERTIFICATE_P384: &str = "-----BEGIN CERTIFICATE-----
MIIBxTCCAUqgAwIBAgIUWV2XyWvxhor7PuqA/kYabPcLsaowCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWb3RhLXNpZ25lckBleGFtcGxlLmNvbTAeFw0yNjExMjMwNDA2
NTNaFw0yNzExMjMwNDA2NTNaMCExHzAdBgNVBAMMFm90YS1zaWduZXJAZXhhbXBs
ZS5jb20wdjAQBgcqhkjOPQIBBgUrgQQAIgNiAAT0B5JJ+I7cjoxJ/AstyemWan4Z
iDCcfs7Pzx/29qy86xEYLkJAkHHFcGoTMfNmfMnqUpTCIsKvawuYbdJF2b1Z2y2A
f40CdZFHMRwN20n/U2TGCh2wxSrt+xYLguX9nwSjQzBBMAsGA1UdDwQEAwIHgDAT
BgNVHSUEDDAKBggrBgEFBQcDAzAdBgNVHQ4EFgQUuKOGQQkj6dZNWa55wxAjChie
dcAwCgYIKoZIzj0EAwIDaQAwZgIxAMVy6Z019bjAp/IMzs39w1cqVd1oC/SpP7BE
EOmSgV/Q7z9yNxgSly9pkx8lFuReXAIxAPHuN4lz8hKVF23gGQwBkJDg2H81TK58
wTra0vw87S2qXEkPjF1w2HN1mIyQLU38CQ==
-----END CERTIFICATE-----
";

/// `openssl genrsa 1024 | openssl rsa -pubout`
const RSA_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCsgFj+PhkD2TGiHLwlrp/y8+LK
/I6zS8c1kUlKlxbEifFVp5fv4FcHEpXh0yzvlRLdRuCuIiNlyBNoaJHq2BSsCRHP
eY8d0oKb2yEGWFTuc1CXj3TgflP994RoicIgc6BKxi3V33r5ZDye86XgpVy2RLdQ
yoqTYHkyyC44JxEtnQIDAQAB
-----END PUBLIC KEY-----
";

/// The job key in a SubjectPublicKeyInfo with a compressed point:
/// `openssl ec -in job.pem -pubout -conv_form compressed -outform DER`.
#[rustfmt::skip]
const COMPRESSED: [u8; 59] = [
    0x30, 0x39, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x22, 0x00, 0x02, 0xdd, 0x64, 0x1e, 0x67, 0x97,
    0x28, 0xe4, 0x4c, 0x37, 0xe7, 0xd3, 0xa0, 0x61, 0xd5, 0x6c, 0x1a, 0xb5, 0x9c, 0x96, 0x35, 0x98,
    0x24, 0x4c, 0xfe, 0x33, 0x8d, 0x0e, 0xf2, 0x35, 0x3d, 0xc0, 0x03,
];

/// `openssl dgst -sha256 -sign job.pem image.bin`
#[rustfmt::skip]
const JOB_SIGNATURE: [u8; 72] = [
    0x30, 0x46, 0x02, 0x21, 0x00, 0x9f, 0x11, 0xa1, 0x37, 0xd3, 0xee, 0xe7, 0x77, 0x59, 0x5e, 0xc8,
    0x3c, 0xeb, 0xa0, 0x0c, 0x3f, 0xa0, 0x6b, 0x98, 0xf7, 0xc6, 0x6f, 0xe8, 0x28, 0x3b, 0x0b, 0x2c,
    0x20, 0x11, 0xca, 0xe5, 0x0b, 0x02, 0x21, 0x00, 0xcf, 0xdd, 0x1b, 0x75, 0x3a, 0xe5, 0x33, 0xbd,
    0xb0, 0x0c, 0x05, 0x2e, 0x68, 0x59, 0xf5, 0xc2, 0x97, 0x30, 0x4f, 0xca, 0xbb, 0x1b, 0xda, 0xbe,
    0xd0, 0x67, 0x21, 0xcf, 0x22, 0x92, 0xf4, 0x2f,
];

const JOB_DER: Der<91> = Der::checked(JOB_KEY);
const CERTIFICATE_DER: Der<512> = Der::checked(CERTIFICATE);

fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.finish().file
}

/// `sha256sum image.bin`, and the SHA-256 TLV of the image.
#[test]
fn digest_of_the_image() {
    let mut digest = Digest::new();
    digest.set_image_end(0x4C);
    digest.update(&IMAGE);
    let hashes = digest.finish();
    assert_eq!(hashes.image.as_ref().map(|hash| &hash[..]), Some(&IMAGE[0x54..0x74]));
    assert_eq!(
        hashes.file,
        [
            0x0b, 0x37, 0xa8, 0x3f, 0x64, 0x22, 0xf8, 0xf2, 0xcd, 0xbf, 0x96, 0xa9, 0xc4, 0x5c, 0x76, 0x3b,
            0xb1, 0xe9, 0xd3, 0x9b, 0x33, 0xc0, 0xde, 0x2c, 0x1c, 0x37, 0x8c, 0x7e, 0x65, 0xf1, 0xf2, 0x54,
        ]
    );
}

/// MCUboot's KEYHASH is over the 91-byte SubjectPublicKeyInfo, whatever form we hold the key in.
#[test]
fn key_hash_is_mcuboots() {
    let der = Der::<91>::checked(IMAGE_KEY);
    let spki = PublicKey::spki(der.as_bytes()).unwrap();
    assert_eq!(spki.spki_hash(), IMAGE[0x78..0x98]);
    let point = &der.as_bytes()[26..];
    assert_eq!(PublicKey::sec1(point).unwrap().spki_hash(), IMAGE[0x78..0x98]);
    let mut compressed = [0; 33];
    compressed[0] = 2 | point[64] & 1;
    compressed[1..].copy_from_slice(&point[1..33]);
    assert_eq!(PublicKey::sec1(&compressed).unwrap().spki_hash(), IMAGE[0x78..0x98]);
}

/// The same signature with the key from all of its containers.
#[test]
fn job_signature_with_every_form_of_the_key() {
    let v1 = Der::<512>::checked(CERTIFICATE_V1);
    let keys = [
        PublicKey::sec1(&JOB_DER.as_bytes()[26..]),
        PublicKey::sec1(&COMPRESSED[26..]),
        PublicKey::spki(JOB_DER.as_bytes()),
        PublicKey::certificate(CERTIFICATE_DER.as_bytes()),
        PublicKey::certificate(v1.as_bytes()),
    ];
    for key in keys {
        let keys = [key.unwrap()];
        let scheme = EcdsaP256::new(&keys).unwrap();
        assert_eq!(scheme.check(&digest(&IMAGE), &JOB_SIGNATURE), Ok(()));
        assert_eq!(scheme.check(&digest(&IMAGE[1..]), &JOB_SIGNATURE), Err(VerifyError::BadSignature));
    }
}

/// Any of several keys will do, so that one can be retired; none is a configuration error.
#[test]
fn several_keys() {
    let image_key = Der::<91>::checked(IMAGE_KEY);
    let image_key = PublicKey::spki(image_key.as_bytes()).unwrap();
    let job_key = PublicKey::spki(JOB_DER.as_bytes()).unwrap();
    let digest = digest(&IMAGE);
    let check = |keys: &[PublicKey<'_>]| EcdsaP256::new(keys)?.check(&digest, &JOB_SIGNATURE);
    assert_eq!(check(&[image_key, job_key]), Ok(()));
    assert_eq!(check(&[job_key, image_key]), Ok(()));
    assert_eq!(check(&[image_key]), Err(VerifyError::BadSignature));
    assert_eq!(check(&[]), Err(VerifyError::NoKey));
}

/// An expired certificate still holds its key: a device may have no clock, and its updates must not end with a date.
#[test]
fn dates_of_a_certificate_are_not_checked() {
    let mut der = CERTIFICATE_DER.as_bytes().to_vec();
    let dates: Vec<usize> =
        (0..der.len() - 6).filter(|&at| [&b"261123"[..], b"271123"].contains(&&der[at..at + 6])).collect();
    assert_eq!(dates.len(), 2);
    for at in dates {
        der[at..at + 2].copy_from_slice(b"15");
    }
    assert_eq!(PublicKey::certificate(&der), PublicKey::certificate(CERTIFICATE_DER.as_bytes()));
}

#[test]
fn other_kinds_of_keys_are_refused() {
    let p384 = Der::<512>::checked(CERTIFICATE_P384);
    assert_eq!(PublicKey::certificate(p384.as_bytes()), Err(VerifyError::UnsupportedKey));
    let rsa = Der::<256>::checked(RSA_KEY);
    assert_eq!(PublicKey::spki(rsa.as_bytes()), Err(VerifyError::UnsupportedKey));
    assert_eq!(PublicKey::spki(&COMPRESSED), Err(VerifyError::UnsupportedKey));
    assert_eq!(PublicKey::spki(CERTIFICATE_DER.as_bytes()), Err(VerifyError::UnsupportedKey));
    assert_eq!(PublicKey::certificate(JOB_DER.as_bytes()), Err(VerifyError::BadCertificate));
    // One byte short, one byte long, and a point beside the curve.
    assert_eq!(PublicKey::spki(&JOB_DER.as_bytes()[..90]), Err(VerifyError::UnsupportedKey));
    let mut bytes = JOB_DER.as_bytes().to_vec();
    bytes[90] ^= 1;
    assert_eq!(PublicKey::spki(&bytes), Err(VerifyError::BadKey));
    assert_eq!(PublicKey::sec1(&bytes[26..]), Err(VerifyError::BadKey));
    for bytes in [&[][..], &[0], &[4], &[0; 65], &[4; 64]] {
        assert_eq!(PublicKey::sec1(bytes), Err(VerifyError::BadKey));
    }
    bytes[90] ^= 1;
    bytes.push(0);
    assert_eq!(PublicKey::spki(&bytes), Err(VerifyError::UnsupportedKey));
}

/// Cut anywhere or with any byte changed, a certificate gives its key, an error, and never a panic; and it never gives
/// another key unless the point itself was changed.
#[test]
fn damaged_certificates() {
    let whole = CERTIFICATE_DER.as_bytes();
    for len in 0..whole.len() {
        assert_eq!(PublicKey::certificate(&whole[..len]), Err(VerifyError::BadCertificate), "cut at {len}");
    }
    let mut longer = whole.to_vec();
    longer.push(0);
    assert_eq!(PublicKey::certificate(&longer), Err(VerifyError::BadCertificate));
    let point = whole.windows(65).position(|window| window == &JOB_DER.as_bytes()[26..]).unwrap();
    for at in (0..whole.len()).filter(|at| !(point..point + 65).contains(at)) {
        for change in [0x01, 0x80, 0x7F, 0xFF] {
            let mut bytes = whole.to_vec();
            bytes[at] ^= change;
            if let Ok(key) = PublicKey::certificate(&bytes) {
                assert_eq!(Ok(key), PublicKey::certificate(whole), "byte {at}");
            }
        }
    }
}

/// DER is exact: nothing missing, nothing behind it, no zero, no long form.
#[test]
fn damaged_signatures() {
    let keys = [PublicKey::spki(JOB_DER.as_bytes()).unwrap()];
    let scheme = EcdsaP256::new(&keys).unwrap();
    let digest = digest(&IMAGE);
    for len in 0..JOB_SIGNATURE.len() {
        assert_eq!(
            scheme.check(&digest, &JOB_SIGNATURE[..len]),
            Err(VerifyError::SignatureFormat),
            "cut at {len}"
        );
    }
    let mut longer = JOB_SIGNATURE.to_vec();
    longer.push(0);
    assert_eq!(scheme.check(&digest, &longer), Err(VerifyError::SignatureFormat));
    for at in 0..JOB_SIGNATURE.len() {
        let mut bytes = JOB_SIGNATURE;
        bytes[at] ^= 1;
        let error = scheme.check(&digest, &bytes).unwrap_err();
        assert!(
            matches!(error, VerifyError::SignatureFormat | VerifyError::BadSignature),
            "byte {at}: {error:?}"
        );
    }
    for zero in [
        &[0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x01][..],
        &[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x00],
    ] {
        assert_eq!(scheme.check(&digest, zero), Err(VerifyError::SignatureFormat));
    }
}
