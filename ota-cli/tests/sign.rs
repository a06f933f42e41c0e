//! `ota sign` and `ota key` as processes: imgtool's bytes, imgtool's refusals, and signatures that others verify.

mod support;

use base64ct::{Base64, Encoding};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use support::{Desk, missing};

/// `imgtool sign --header-size 0x20 --pad-header --version 1.2.3+4 --security-counter 7 --dependencies "(1,2.3.4+5)"
/// --slot-size 0x10000` (2.5.0, no key) of the 16 bytes `MCUBOOT-TEST-APP`.
const WORKED: [u8; 0x74] = [
    0x3d, 0xb8, 0xf3, 0x96, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x1c, 0x00, 0x10, 0x00, 0x00, 0x00, //
    0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, //
    0x4d, 0x43, 0x55, 0x42, 0x4f, 0x4f, 0x54, 0x2d, 0x54, 0x45, 0x53, 0x54, 0x2d, 0x41, 0x50, 0x50, //
    0x08, 0x69, 0x1c, 0x00, 0x50, 0x00, 0x04, 0x00, 0x07, 0x00, 0x00, 0x00, 0x40, 0x00, 0x0c, 0x00, //
    0x01, 0x00, 0x00, 0x00, 0x02, 0x03, 0x04, 0x00, 0x05, 0x00, 0x00, 0x00, 0x07, 0x69, 0x28, 0x00, //
    0x10, 0x00, 0x20, 0x00, 0x5e, 0x73, 0xed, 0x81, 0x75, 0xe5, 0x34, 0x24, 0x54, 0x08, 0x7b, 0x49, //
    0xcc, 0x82, 0xe0, 0xc8, 0xae, 0x60, 0x2a, 0x16, 0x0f, 0x3f, 0x72, 0x41, 0x4f, 0x11, 0x13, 0xa9, //
    0x32, 0x01, 0x76, 0x29,
];

const TEST_MAGIC: [u8; 16] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];

/// A program of 1000 bytes, the same behind 0x400 zeros, and a key.
fn desk() -> Desk {
    let desk = Desk::new();
    let program: Vec<u8> = (0..1000u32).map(|number| (number * 7) as u8).collect();
    desk.put("app.bin", &program);
    desk.put("linked.bin", [&[0; 0x400], &program[..]].concat());
    desk.ok("key new key.pem");
    desk
}

#[test]
fn the_worked_image_is_made_byte_by_byte() {
    let desk = Desk::new();
    desk.put("app.bin", "MCUBOOT-TEST-APP");
    let said = desk.ok(
        "sign image app.bin out.img --header-size 0x20 --pad-header --version 1.2.3+4 --security-counter 7 \
         --dependency (1,~2.3.4+5) --slot-size 0x10000",
    );
    assert_eq!(desk.get("out.img"), WORKED);
    assert!(said.contains("1.2.3+4, 116 bytes, NOT signed"), "{said}");
}

/// Without imgtool nothing else looks at the bytes between the header and the program.
#[test]
fn what_the_linker_left_for_the_header_stays_zero_and_padding_is_erased() {
    let desk = desk();
    for (files, byte) in [
        ("linked.bin out.img", 0),
        ("app.bin out.img --pad-header", 0xFF),
        ("app.bin out.img --pad-header -R 0", 0),
    ] {
        desk.ok(&format!("sign image {files} -v 1.0.0 -H 0x400 -S 0x10000"));
        assert!(desk.get("out.img")[32..0x400].iter().all(|&found| found == byte), "{files}");
    }
}

#[test]
fn a_padded_image_fills_its_slot() {
    let desk = desk();
    for (options, image_ok) in [("--pad", 0xFF), ("--confirm", 0x01), ("--confirm --overwrite-only", 0xFF)] {
        desk.ok(&format!(
            "sign image app.bin out.img -v 1.0.0 -H 0x20 --pad-header -S 0x2000 --key key.pem {options}"
        ));
        let slot = desk.get("out.img");
        assert_eq!((slot.len(), &slot[0x1FF0..]), (0x2000, &TEST_MAGIC[..]), "{options}");
        assert_eq!(slot[0x2000 - 24], image_ok, "{options}");
        assert!(slot[0x1000..0x2000 - 24].iter().all(|&byte| byte == 0xFF), "{options}");
    }
}

#[test]
fn an_image_that_does_not_fit_is_refused_at_the_byte() {
    let desk = desk();
    // 32 header + 1000 + 40 TLVs, and a trailer of 128 * 3 * 8 + 4 * 8 + 16.
    let needed = 32 + 1000 + 40 + 3072 + 48;
    let sign = |slot: u32, more: &str| {
        format!("sign image app.bin out.img -v 1.0.0 -H 32 --pad-header --align 8 -S {slot} {more}")
    };
    desk.ok(&sign(needed, ""));
    desk.ok(&sign(needed, "--pad"));
    desk.refused(&sign(needed - 1, ""), 1, "too large");
    desk.refused(&sign(needed - 8, "--pad"), 1, "too large");
    // Overwrite-only keeps 2 * 8 + 16 bytes.
    desk.ok(&sign(32 + 1000 + 40 + 32, "--overwrite-only"));
    desk.refused(&sign(32 + 1000 + 40 + 31, "--overwrite-only"), 1, "too large");
    desk.ok(&sign(0, ""));
    desk.refused(&sign(0, "--pad"), 1, "too large");
    desk.refused(&sign(needed + 4, "--pad"), 1, "not a multiple");
    desk.refused(&sign(0x10000, "-M 0xffffffff"), 1, "too large");
}

#[test]
fn what_cannot_be_signed_is_said() {
    let desk = desk();
    let usual = "-v 1.0.0 -H 0x400 --pad-header -S 0x10000";
    for (arguments, code, words) in [
        (format!("none.bin out.img {usual}"), 1, "cannot read none.bin"),
        (format!("app.bin none/out.img {usual}"), 1, "cannot write"),
        (format!("app.bin out.img {usual} -k none.pem"), 1, "cannot read none.pem"),
        (format!("app.bin out.img {usual} -k app.bin"), 1, "app.bin"),
        (format!("app.hex out.img {usual}"), 1, "Intel HEX"),
        ("app.bin out.img -v 1.0.0 -H 0x400 -S 0x10000".into(), 1, "shorter than the header"),
        ("app.bin out.img -v 1.0.0 -H 0x20 -S 0x10000".into(), 1, "does not start with 32 zeros"),
        ("app.bin out.img -v 1.0.0 -H 31 -S 0x10000".into(), 2, "32 bytes"),
        ("app.bin out.img -v 01.0.0 -H 32 -S 0x10000".into(), 2, "major.minor.revision"),
        ("app.bin out.img -v 1.0.0 -H 32".into(), 2, "--slot-size"),
        (format!("app.bin out.img {usual} --align 3"), 2, "write sizes"),
        (format!("app.bin out.img {usual} --max-align 64"), 2, "8, 16 or 32"),
        (format!("app.bin out.img {usual} --erased 1"), 2, "0 or to 0xff"),
        (format!("app.bin out.img {usual} -s -1"), 2, "'-1'"),
        (format!("app.bin out.img {usual} -s later"), 2, "not a number"),
        (format!("app.bin out.img {usual} -d 1,2.0"), 2, "(image, version)"),
        (format!("app.bin out.img {usual} -d {}(1,2.0)", "(1,2.0),".repeat(124)), 1, "125 dependencies"),
    ] {
        desk.refused(&format!("sign image {arguments}"), code, words);
        assert!(!desk.path("out.img").exists(), "{arguments}");
    }
}

#[test]
fn imgtool_makes_the_same_images() {
    let Some(imgtool) = imgtool() else { return };
    let desk = desk();
    let mut cases = Vec::new();
    for erased in ["0", "0xff"] {
        for align in [1, 8, 16, 32] {
            for padding in ["--pad", "--pad --confirm", "--confirm --overwrite-only"] {
                cases.push(format!("app.bin --pad-header -R {erased} --align {align} {padding}"));
            }
        }
    }
    cases.extend(
        [
            "linked.bin",
            "linked.bin -s auto",
            "linked.bin -s 0xFFFFFFFF",
            "linked.bin -d (1,1.2.3)",
            "linked.bin -s 0 --dependencies (1,~1.2.3+4),(0,~7)",
            "linked.bin --align 8 --max-align 32 --test",
            "linked.bin --align 32 --max-align 8 --pad -M 200",
        ]
        .map(String::from),
    );
    let rest = "--version 1.2.3+4 --header-size 0x400 --slot-size 0x10000";
    for (at, case) in cases.iter().enumerate() {
        let (input, options) = case.split_once(' ').unwrap_or((case, ""));
        let theirs = desk.run(&imgtool, &format!("sign {case} {rest} theirs.img"));
        assert_eq!(theirs.code, 0, "{case}: {}", theirs.err);
        desk.ok(&format!("sign image {input} ours.img {options} {rest}"));
        assert!(desk.get("theirs.img") == desk.get("ours.img"), "{case}");

        // Python is slow to start: signatures with every fourth case.
        if at % 4 != 0 {
            continue;
        }
        let theirs = desk.run(&imgtool, &format!("sign {case} {rest} --key key.pem theirs.img"));
        assert_eq!(theirs.code, 0, "{case}: {}", theirs.err);
        desk.ok(&format!("sign image {input} ours.img {options} {rest} --key key.pem"));
        assert!(
            without_signature(&desk.get("theirs.img")) == without_signature(&desk.get("ours.img")),
            "{case}"
        );
        let verified = desk.run(&imgtool, "verify --key key.pem ours.img");
        assert_eq!(verified.code, 0, "{case}: {}", verified.out);
    }
}

/// The image with its one signature, random in imgtool, cut out, and the lengths that follow from the signature's.
fn without_signature(image: &[u8]) -> Vec<u8> {
    let half = |at: usize| usize::from(u16::from_le_bytes([image[at], image[at + 1]]));
    let payload = u32::from_le_bytes(image[12..16].try_into().expect("four")) as usize;
    let area = half(8) + payload + half(10);
    // Area head, hash of 4 + 32 bytes, key hash of 4 + 32, then the signature's entry.
    let signature = area + 4 + 36 + 36;
    assert_eq!((half(area), half(signature)), (0x6907, 0x22));
    let end = signature + 4 + half(signature + 2);
    assert_eq!(end, area + half(area + 2));
    let padding = image.len() - end;
    let tail = if padding == 0 { &[][..] } else { &image[image.len() - 0x4000..] };
    [&image[..area + 2], &image[area + 4..signature + 2], tail].concat()
}

#[test]
fn what_imgtool_refuses_is_refused() {
    let Some(imgtool) = imgtool() else { return };
    let desk = desk();
    for case in [
        "app.bin -v 1.0.0 -H 0x400 -S 0x10000",
        "app.bin -v 1.0.0 -H 31 --pad-header -S 0x10000",
        "app.bin -v 1.0.0 -H 0x10000 --pad-header -S 0x100000",
        "app.bin -v 1.0.0 -H 0x400 --pad-header -S 0x600",
        "app.bin -v 1.0.0 -H 0x400 --pad-header -S 0x1000 --align 8",
        "app.bin -v 1.0.0 -H 0x400 --pad-header -S 0x10000 --align 64",
        "app.bin -v 1.0.0 -H 0x400 --pad-header -S 0x10000 -R 0x55",
        "app.bin -v 01.0.0 -H 0x400 --pad-header -S 0x10000",
        "app.bin -v 1.0.0.0 -H 0x400 --pad-header -S 0x10000",
        "app.bin -v 256.0.0 -H 0x400 --pad-header -S 0x10000",
        "app.bin -v 1.0.0 -H 0x400 --pad-header -S 0x10000 -s 0x100000000",
        "app.bin -v 1.0.0 -H 0x400 --pad-header -S 0x10000 -d 1",
        "app.bin -v 1.0.0 -H 0x400 --pad-header -S 0x10000 -d (256,1.0)",
        "app.bin -v 1.0.0 -H 0x400 --pad-header -S 0x10000 -k app.bin",
    ] {
        let (input, options) = case.split_once(' ').expect("input first");
        let theirs = desk.run(&imgtool, &format!("sign {case} theirs.img"));
        assert_ne!(theirs.code, 0, "imgtool takes {case}");
        let ours = desk.ota(&format!("sign image {input} ours.img {options}"));
        assert_ne!(ours.code, 0, "{case}");
    }
}

/// imgtool, where it is installed; `IMGTOOL` names another place.
fn imgtool() -> Option<String> {
    let tool = std::env::var("IMGTOOL").unwrap_or_else(|_| "imgtool".into());
    match std::process::Command::new(&tool).arg("version").output() {
        Ok(output) if output.status.success() => Some(tool),
        Ok(_) | Err(_) => {
            missing("imgtool");
            None
        }
    }
}

fn verify(desk: &Desk, base64: &str, content: &[u8]) {
    let key = VerifyingKey::from_public_key_pem(&desk.ok("key public key.pem")).expect("key");
    let der = Base64::decode_vec(base64).expect("base64");
    key.verify(content, &DerSignature::try_from(der.as_slice()).expect("DER")).expect("good signature");
}

#[test]
fn a_job_is_signed_over_the_whole_file() {
    let desk = desk();
    let said = desk.ok("sign job app.bin --key key.pem");
    let lines: Vec<(&str, &str)> = said
        .lines()
        .map(|line| line.split_once(' ').expect("two columns"))
        .map(|(a, b)| (a, b.trim()))
        .collect();
    assert_eq!(lines[0], ("filesize", "1000"));
    assert_eq!(lines[1].0, "sig-sha256-ecdsa");
    verify(&desk, lines[1].1, &desk.get("app.bin"));
}

#[test]
fn a_job_document_is_complete() {
    let desk = desk();
    let said =
        desk.ok("sign job app.bin -k key.pem --document --stream S-1 --file-id 3 --path /fw/x --file-type 7");
    let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let ota = &json["afr_ota"];
    assert_eq!((&ota["protocols"], &ota["streamname"]), (&serde_json::json!(["MQTT"]), &"S-1".into()));
    let file = &ota["files"][0];
    let is = serde_json::json!({
        "filepath": "/fw/x", "filesize": 1000, "fileid": 3, "fileType": 7, "certfile": "/sec/codesign.pem",
        "sig-sha256-ecdsa": file["sig-sha256-ecdsa"],
    });
    assert_eq!(file, &is);
    verify(&desk, file["sig-sha256-ecdsa"].as_str().expect("text"), &desk.get("app.bin"));

    let said = desk.ok("sign job app.bin -k key.pem --document --stream S-1");
    assert!(said.contains(r#""filepath":"app.bin""#) && said.contains(r#""fileid":0"#), "{said}");
}

#[test]
fn a_job_that_a_device_would_refuse_is_not_signed() {
    let desk = desk();
    desk.put("empty.bin", "");
    desk.refused("sign job empty.bin -k key.pem", 1, "is empty");
    desk.refused("sign job none.bin -k key.pem", 1, "cannot read");
    desk.refused("sign job app.bin", 2, "--key");
    desk.refused("sign job app.bin -k key.pem --document", 2, "--stream");
    desk.refused("sign job app.bin -k key.pem --document --stream a~b", 1, "streamname");
    desk.refused("sign job app.bin -k key.pem --document --stream S --file-id 256", 2, "256");
}

#[test]
fn keys_are_made_once_and_shown_in_public() {
    let desk = desk();
    let private = desk.get("key.pem");
    desk.refused("key new key.pem", 1, "cannot create key.pem");
    assert_eq!(desk.get("key.pem"), private);
    desk.ok("key new other.pem");
    assert_ne!(desk.get("other.pem"), private);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(desk.path("key.pem")).expect("file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "only the owner reads a private key");
    }

    let constant = desk.ok("key public key.pem --rust --name JOB_KEY");
    assert!(constant.contains("pub const JOB_KEY: [u8; 65] = [\n"), "{constant}");
    let bytes: Vec<u8> = constant
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| u8::from_str_radix(word.strip_prefix("0x")?, 16).ok())
        .collect();
    let key = VerifyingKey::from_public_key_pem(&desk.ok("key public key.pem")).expect("key");
    assert_eq!(bytes, key.to_encoded_point(false).as_bytes());
    desk.refused("key public key.pem --rust --name job-key", 2, "upper case");
    desk.refused("key public app.bin", 1, "app.bin");
}
