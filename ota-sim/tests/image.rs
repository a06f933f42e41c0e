//! Images are the bytes imgtool 2.5.0 makes; frozen vectors, and imgtool itself where it is installed.
#![cfg(feature = "std")]

use std::process::Command;

use ota_sim::image::{Corruption, ImageBuilder, Key, Pad, Version, corrupt, pad};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// `imgtool sign --key root-ec-p256.pem --header-size 0x20 --pad-header --version 1.2.3+4 --security-counter 7
/// --dependencies "(1,2.3.4+5)" --slot-size 0x10000` of the 16 bytes `MCUBOOT-TEST-APP`, up to the SHA256 TLV's end.
const WORKED: [u8; 0x74] = [
    0x3d, 0xb8, 0xf3, 0x96, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x1c, 0x00, 0x10, 0x00, 0x00, 0x00, //
    0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, //
    0x4d, 0x43, 0x55, 0x42, 0x4f, 0x4f, 0x54, 0x2d, 0x54, 0x45, 0x53, 0x54, 0x2d, 0x41, 0x50, 0x50, //
    0x08, 0x69, 0x1c, 0x00, 0x50, 0x00, 0x04, 0x00, 0x07, 0x00, 0x00, 0x00, 0x40, 0x00, 0x0c, 0x00, //
    0x01, 0x00, 0x00, 0x00, 0x02, 0x03, 0x04, 0x00, 0x05, 0x00, 0x00, 0x00, 0x07, 0x69, 0x98, 0x00, //
    0x10, 0x00, 0x20, 0x00, 0x5e, 0x73, 0xed, 0x81, 0x75, 0xe5, 0x34, 0x24, 0x54, 0x08, 0x7b, 0x49, //
    0xcc, 0x82, 0xe0, 0xc8, 0xae, 0x60, 0x2a, 0x16, 0x0f, 0x3f, 0x72, 0x41, 0x4f, 0x11, 0x13, 0xa9, //
    0x32, 0x01, 0x76, 0x29,
];

fn worked() -> ImageBuilder {
    ImageBuilder::new(Version::new(1, 2, 3, 4), b"MCUBOOT-TEST-APP".to_vec())
        .security_counter(7)
        .dependency(1, Version::new(2, 3, 4, 5))
}

#[test]
fn the_worked_image_is_byte_identical() {
    let key = Key::from_seed(7);
    let image = worked().signed(&key);
    // The total of the unprotected area differs with the length of the DER signature.
    let (total, frozen_total) = (0x4E..0x50, &WORKED[0x4E..0x50]);
    let mut expected = WORKED;
    expected[total.clone()].copy_from_slice(&image[total.clone()]);
    assert_eq!(image[..WORKED.len()], expected);
    assert_eq!(frozen_total, 0x98u16.to_le_bytes());
    assert_eq!(usize::from(u16::from_le_bytes([image[0x4E], image[0x4F]])), image.len() - 0x4C);

    assert_eq!(image[0x74..0x78], [0x01, 0x00, 0x20, 0x00], "KEYHASH before its signature");
    assert_eq!(image[0x78..0x98], Sha256::digest(key.public_spki())[..]);
    assert_eq!(image[0x98..0x9A], [0x22, 0x00]);
    let signature = Signature::from_der(&image[0x9C..]).unwrap();
    let hash = Sha256::digest(&image[..0x4C]);
    let public = VerifyingKey::from_sec1_bytes(&key.public_sec1()).unwrap();
    public.verify_prehash(&hash, &signature).unwrap();

    let unsigned = worked().unsigned();
    assert_eq!(unsigned.len(), WORKED.len());
    assert_eq!(unsigned[0x4E..0x50], 0x28u16.to_le_bytes());
}

#[test]
fn keys_read_back_from_pem() {
    let key = Key::from_seed(1);
    assert_eq!(Key::from_pem(&key.private_pem()).unwrap().public_spki(), key.public_spki());
    assert_ne!(Key::from_seed(2).public_spki(), key.public_spki());
    // `openssl ecparam -name prime256v1 -genkey -noout`: SEC1; a key of this test and of nothing else.
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\n\
        MHcCAQEEIAW+vSbKrNFHw+qnd5XkNIIuYPlc/zvC9buAe/mR+JT2oAoGCCqGSM49\n\
        AwEHoUQDQgAE+b067sPqpY956nrkkKmtAfRJ+TC32CzIEE/DFluWlmPG1q2Qb9h0\n\
        8OS5AYhKMd+agtPmTZChpBIXIDYVj6tGxQ==\n\
        -----END EC PRIVATE KEY-----\n";
    assert_eq!(Key::from_pem(sec1).unwrap().public_sec1()[..7], [0x04, 0xf9, 0xbd, 0x3a, 0xee, 0xc3, 0xea]);
    assert!(Key::from_pem("").is_err());
    assert!(Key::from_pem(&key.public_pem()).is_err());
    assert!(!format!("{key:?}").contains(&key.private_pem()[30..60]));
}

#[test]
fn a_job_signature_covers_the_file() {
    let key = Key::from_seed(3);
    let signature = Signature::from_der(&key.sign_job(b"file")).unwrap();
    let public = VerifyingKey::from_sec1_bytes(&key.public_sec1()).unwrap();
    public.verify_prehash(&Sha256::digest(b"file"), &signature).unwrap();
    assert!(public.verify_prehash(&Sha256::digest(b"fil"), &signature).is_err());
    assert_eq!(key.sign_job_base64(b"file"), key.sign_job_base64(b"file"));
}

#[test]
fn corruptions_spoil_what_they_name() {
    let image = worked().signed(&Key::from_seed(1));
    let differs = |corruption| {
        let bad = corrupt(image.clone(), corruption);
        let places: Vec<usize> = (0..image.len()).filter(|&at| bad.get(at) != Some(&image[at])).collect();
        places
    };
    assert_eq!(differs(Corruption::Payload), [0x20]);
    assert_eq!(differs(Corruption::Hash), [0x54]);
    assert_eq!(differs(Corruption::Signature), [image.len() - 1]);
    assert_eq!(differs(Corruption::Magic), [0]);
    assert_eq!(differs(Corruption::Truncated(2)), [image.len() - 2, image.len() - 1]);
}

#[test]
fn header_padding_is_the_erased_value_and_hashed() {
    let builder = ImageBuilder::new(Version::default(), vec![1; 16]).header_size(0x40);
    let (high, low) = (builder.clone().erased(0xFF).unsigned(), builder.erased(0x00).unsigned());
    assert_eq!((&high[0x20..0x40], &low[0x20..0x40]), (&[0xFF; 32][..], &[0x00; 32][..]));
    assert_eq!(high[0x40..0x58], low[0x40..0x58]);
    assert_ne!(high[0x58..], low[0x58..]);
}

#[test]
fn the_reset_vector_stands_in_front() {
    let image =
        ImageBuilder::new(Version::default(), vec![9; 16]).reset_vector(0x0804_0000, 0x1001_8601).unsigned();
    assert_eq!(image[0x20..0x28], [0x00, 0x00, 0x04, 0x08, 0x01, 0x86, 0x01, 0x10]);
    assert_eq!(image[0x28..0x30], [9; 8]);
}

/// A tool that is not installed is a failure where everything must run, and a notice elsewhere.
fn missing(tool: &str) {
    let must = |name| std::env::var_os(name).is_some();
    assert!(!must("CI") && !must("OTA_REQUIRE_ALL"), "{tool} is not installed");
    eprintln!("notice: {tool} is not installed, nothing compared");
}

#[test]
fn imgtool_makes_the_same_image() {
    let tool = std::env::var("IMGTOOL").unwrap_or_else(|_| "imgtool".into());
    if Command::new(&tool).arg("version").output().is_err() {
        return missing("imgtool");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let key = Key::from_seed(11);
    std::fs::write(path("key.pem"), key.private_pem()).unwrap();
    let payload: Vec<u8> = (0..1000u32).map(|number| (number * 7) as u8).collect();
    std::fs::write(path("payload.bin"), &payload).unwrap();
    for (erased, name, align) in [(0xFF, "0xff", 8), (0x00, "0", 8), (0xFF, "0xff", 32), (0x00, "0", 16)] {
        for padding in [None, Some(Pad::Test), Some(Pad::Confirmed)] {
            let mut command = Command::new(&tool);
            command.args([
                "sign",
                "--header-size",
                "0x400",
                "--pad-header",
                "--version",
                "1.2.3+4",
                "--align",
                &align.to_string(),
            ]);
            command.args([
                "--max-align",
                &align.to_string(),
                "-R",
                name,
                "--slot-size",
                "0x10000",
                "-s",
                "7",
                "-d",
                "(1,2.3.4+5)",
            ]);
            match padding {
                None => &mut command,
                Some(Pad::Test) => command.arg("--pad"),
                Some(Pad::Confirmed) => command.args(["--pad", "--confirm"]),
            };
            command.arg("--key").arg(path("key.pem")).arg(path("payload.bin")).arg(path("out.bin"));
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let theirs = std::fs::read(path("out.bin")).unwrap();
            let builder = ImageBuilder::new(Version::new(1, 2, 3, 4), payload.clone())
                .header_size(0x400)
                .erased(erased);
            let ours = builder.security_counter(7).dependency(1, Version::new(2, 3, 4, 5)).signed(&key);
            // The signature is random there: everything before its TLV, but the area's total and the TLV's length.
            let end = 0x400 + 1000 + 0x1C + 4 + 36 + 36;
            let total = 0x400 + 1000 + 0x1C + 2;
            assert_eq!(theirs[..total], ours[..total]);
            assert_eq!(theirs[total + 2..end + 2], ours[total + 2..end + 2]);
            if let Some(padding) = padding {
                let padded = pad(&ours, 0x10000, align, erased, padding);
                assert_eq!(theirs.len(), padded.len());
                let tail = theirs.len() - 0x4000;
                assert!(
                    theirs[tail..] == padded[tail..],
                    "trailer for alignment {align}, erased {erased:#x}"
                );
            }
        }
    }
}

#[test]
fn openssl_accepts_the_certificate() {
    if Command::new("openssl").arg("version").output().is_err() {
        return missing("openssl");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("certificate.pem");
    std::fs::write(&path, Key::from_seed(5).certificate_pem("ota-sim code signing")).unwrap();
    let mut verify = Command::new("openssl");
    verify.args(["verify", "-check_ss_sig", "-purpose", "any", "-CAfile"]).arg(&path).arg(&path);
    let output = verify.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for part in ["Version: 3", "CN = ota-sim code signing", "Digital Signature", "Code Signing", "prime256v1"]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
}
