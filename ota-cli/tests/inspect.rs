//! `ota inspect` as a process: what is whole is called whole, what is damaged is named, and nothing is guessed aloud.

mod support;

use ota_sim::image::Key;
use serde_json::Value;
use support::{Desk, json, says};

const SLOT: usize = 0x4000;
const MAGIC_8: [u8; 16] =
    [0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80];
const MAGIC_32: [u8; 16] =
    [0x20, 0x00, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a];

/// Two keys and `app.img`, signed with the first.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("app.bin", (0..1000u32).map(|number| (number * 7) as u8).collect::<Vec<u8>>());
    desk.ok("key new key.pem");
    desk.ok("key new other.pem");
    desk.ok(
        "sign image app.bin app.img --key key.pem -v 1.2.3+4 -H 0x400 --pad-header -S 0x10000 -s 7 -d (1,2.3.4+5)",
    );
    desk
}

fn edited(bytes: &[u8], places: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(at, value) in places {
        bytes[at] = value;
    }
    bytes
}

/// A slot of `SLOT` bytes: `image`, and single bytes set at these distances from its end.
fn slot(image: &[u8], erased: u8, magic: Option<&[u8; 16]>, fields: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = image.to_vec();
    bytes.resize(SLOT, erased);
    if let Some(magic) = magic {
        bytes[SLOT - 16..].copy_from_slice(magic);
    }
    for &(back, value) in fields {
        bytes[SLOT - back] = value;
    }
    bytes
}

#[test]
fn a_signed_image_is_told_in_words() {
    let desk = desk();
    desk.put("public.pem", desk.ok("key public key.pem"));
    for key in ["key.pem", "public.pem"] {
        let text = desk.ok(&format!("inspect app.img --key other.pem --key {key}"));
        says(
            &text,
            &[
                "MCUboot image, version 1.2.3+4",
                "header        1024 bytes",
                "payload       1000 bytes",
                "flags         0x0 (none)",
                "hash          right",
                "signature     valid",
                "TLV 0x0050    SEC_CNT, 4 bytes, protected: 7",
                "DEPENDENCY, 12 bytes, protected: needs image 1 at 2.3.4+5 or later",
                "SHA256, 32 bytes: ",
                "KEYHASH, 32 bytes: ",
                &format!("valid, by {key}"),
            ],
        );
    }
    let report = json(&desk, "app.img", 0);
    let image = &report["content"]["image"];
    assert_eq!((&image["hash"], &image["signature"]), (&"right".into(), &"not_checked".into()));
    assert_eq!(image["size"], desk.get("app.img").len());
    assert_eq!((&report["slot"], &report["problems"]), (&Value::Null, &serde_json::json!([])));
}

#[test]
fn a_certificate_names_the_key() {
    let desk = desk();
    let key = Key::from_seed(9);
    desk.put("key.pem", key.private_pem());
    desk.put("certificate.pem", key.certificate_pem("signer"));
    desk.ok("sign image app.bin app.img --key key.pem -v 1.0.0 -H 0x20 --pad-header -S 0x10000");
    says(&desk.ok("inspect app.img --key certificate.pem"), &["signature     valid"]);
}

#[test]
fn the_wrong_key_and_no_signature_are_problems() {
    let desk = desk();
    let report = json(&desk, "app.img --key other.pem", 3);
    assert_eq!(report["content"]["image"]["signature"], "not_checked");
    assert_eq!(report["problems"][0], "no signature of a key given with --key");
    desk.ok("sign image app.bin plain.img -v 1.0.0 -H 0x20 --pad-header -S 0x10000");
    assert_eq!(json(&desk, "plain.img", 0)["content"]["image"]["signature"], "missing");
    json(&desk, "plain.img --key key.pem", 3);
}

#[test]
fn every_damage_is_found() {
    let desk = desk();
    let good = desk.get("app.img");
    // Area head, hash entry, key hash entry; then the signature.
    let signature = 0x400 + 1000 + 28 + 4 + 36 + 36;
    let flip = |at: usize| edited(&good, &[(at, good[at] ^ 1)]);
    for (name, bytes, problem) in [
        ("payload", flip(0x400), "the hash TLV is not the hash"),
        ("version", flip(20), "the hash TLV is not the hash"),
        ("hash", flip(0x400 + 1000 + 28 + 8), "the hash TLV is not the hash"),
        ("signature", flip(signature + 20), "the signature is wrong"),
        ("area", flip(0x400 + 1000 + 28), "damaged TLV area"),
        ("bootable", edited(&good, &[(16, 0x10)]), "not bootable"),
        ("header size", edited(&good, &[(8, 31), (9, 0)]), "impossible sizes"),
        ("cut", good[..good.len() - 1].to_vec(), "larger than its file"),
        ("half", good[..700].to_vec(), "larger than its file"),
        ("short", good[..31].to_vec(), "ends inside the MCUboot header"),
    ] {
        desk.put("bad.img", bytes);
        let ended = desk.ota("inspect bad.img --key key.pem");
        assert_eq!(ended.code, 3, "{name}: {}{}", ended.out, ended.err);
        let problems: Vec<&str> = ended.out.lines().filter(|line| line.starts_with("Problem: ")).collect();
        assert!(problems.iter().any(|line| line.contains(problem)), "{name}: {problems:?}");
    }
}

#[test]
fn bytes_behind_an_image_are_counted() {
    let desk = desk();
    desk.put("long.img", [&desk.get("app.img")[..], b"more"].concat());
    says(&desk.ok("inspect long.img"), &["followed by   4 other bytes"]);
}

/// The states that imgtool and bootutil write, as distances from the slot's end.
#[test]
fn trailers_of_both_alignments_and_erased_values() {
    let desk = desk();
    let image = desk.get("app.img");
    for erased in [0x00, 0xFF] {
        for (align, magic, image_ok, copy_done, swap_info) in
            [(8, MAGIC_8, 24, 32, 40), (32, MAGIC_32, 64, 96, 128)]
        {
            type Row<'a> = (&'a str, Vec<(usize, u8)>, [&'a str; 3], &'a str, &'a str);
            let rows: [Row<'_>; 6] = [
                ("imgtool --pad", vec![], ["unset", "unset", "none"], "for a test", "flashed with a trailer"),
                (
                    "set_pending(0)",
                    vec![(swap_info, 2)],
                    ["unset", "unset", "test"],
                    "for a test",
                    "under way",
                ),
                (
                    "set_pending(1)",
                    vec![(swap_info, 3), (image_ok, 1)],
                    ["set", "unset", "permanent"],
                    "for good",
                    "flashed as confirmed",
                ),
                (
                    "test swap",
                    vec![(swap_info, 2), (copy_done, 1)],
                    ["unset", "set", "test"],
                    "for a test",
                    "runs on trial and is not confirmed; at the next reset the bootloader swaps back",
                ),
                (
                    "confirmed",
                    vec![(swap_info, 2), (copy_done, 1), (image_ok, 1)],
                    ["set", "set", "test"],
                    "for good",
                    "tested and is confirmed; at the next reset the bootloader boots the primary",
                ),
                (
                    "reverted",
                    vec![(swap_info, 4), (copy_done, 1), (image_ok, 1)],
                    ["set", "set", "revert"],
                    "for good",
                    "an update was reverted",
                ),
            ];
            for (name, fields, [ok, done, info], as_secondary, as_primary) in rows {
                desk.put("slot.bin", slot(&image, erased, Some(&magic), &fields));
                let report = json(&desk, "slot.bin", 0);
                let trailer = &report["slot"];
                let what = format!("{name}, {align}, {erased:#x}: {trailer}");
                assert_eq!(trailer["magic"], "good", "{what}");
                assert_eq!(
                    (&trailer["image_ok"], &trailer["copy_done"]),
                    (&ok.into(), &done.into()),
                    "{what}"
                );
                assert_eq!(
                    (&trailer["swap_type"], &trailer["max_align"]),
                    (&info.into(), &align.into()),
                    "{what}"
                );
                assert_eq!(
                    (&trailer["erased"], &trailer["erased_known"]),
                    (&erased.into(), &true.into()),
                    "{what}"
                );
                let verdict = |at: usize| report["verdict"][at].as_str().expect("a sentence").to_owned();
                assert!(
                    verdict(0).starts_with("As a secondary") && verdict(0).contains(as_secondary),
                    "{what}: {}",
                    verdict(0)
                );
                assert!(
                    verdict(1).starts_with("As a primary") && verdict(1).contains(as_primary),
                    "{what}: {}",
                    verdict(1)
                );
            }
        }
    }
}

#[test]
fn the_swap_size_and_the_image_number_are_read() {
    let desk = desk();
    let fields = [(48, 0x98), (47, 0x0a), (46, 0), (45, 0), (40, 0x12), (32, 1)];
    desk.put("slot.bin", slot(&desk.get("app.img"), 0xFF, Some(&MAGIC_8), &fields));
    let report = json(&desk, "slot.bin", 0);
    assert_eq!((&report["slot"]["swap_size"], &report["slot"]["swap_image"]), (&0xA98.into(), &1.into()));
    // Swap-offset has its TLV sizes there.
    assert_eq!(json(&desk, "slot.bin --boot-mode swap-offset", 0)["slot"]["swap_size"], Value::Null);
}

#[test]
fn two_dumps_decide_the_next_boot() {
    let desk = desk();
    let image = desk.get("app.img");
    let spoilt = edited(&image, &[(0x400, image[0x400] ^ 1)]);
    // NON_BOOTABLE
    let hidden = edited(&image, &[(16, 0x10)]);
    let confirmed: &[(usize, u8)] = &[(40, 2), (32, 1), (24, 1)];
    let trial: &[(usize, u8)] = &[(40, 2), (32, 1)];
    let test: &[(usize, u8)] = &[(40, 2)];
    let m = Some(&MAGIC_8);
    // The primary inside the chip erases to 0x00, the secondary outside to 0xFF.
    for (primary, secondary, mode, code, sentence) in [
        (
            slot(&image, 0, m, confirmed),
            slot(&image, 255, None, &[]),
            "swap-move",
            0,
            "boots the primary as it is.",
        ),
        (slot(&image, 0, m, trial), slot(&image, 255, None, &[]), "swap-move", 0, "swaps back"),
        (slot(&image, 0, m, trial), slot(&image, 255, m, test), "swap-move", 0, "swaps the slots for a test"),
        (slot(&image, 0, None, &[]), slot(&image, 255, m, test), "overwrite", 0, "copies the secondary over"),
        (
            slot(&image, 0, None, &[]),
            slot(&image, 255, m, test),
            "swap-status",
            0,
            "its status partition decides",
        ),
        (slot(&image, 0, None, &[]), slot(&image, 255, m, test), "swap-offset", 0, "wants it one sector up"),
        (slot(&image, 0, None, &[]), slot(&spoilt, 255, m, test), "swap-move", 3, "erases the secondary"),
        (
            slot(&image, 0, None, &[]),
            slot(&[], 255, m, test),
            "swap-move",
            0,
            "finds no image in the secondary",
        ),
        (slot(&image, 0, m, test), slot(&image, 255, None, &[]), "swap-move", 0, "goes on with the swap"),
        // Moving begins when the secondary's magic is gone; a scratch area does not ask for it.
        (slot(&image, 0, m, test), slot(&image, 255, m, test), "swap-move", 0, "swaps the slots for a test"),
        (slot(&image, 0, m, test), slot(&image, 255, m, test), "swap-scratch", 0, "goes on with the swap"),
        (slot(&image, 0, None, &[]), slot(&hidden, 255, m, test), "swap-move", 3, "finds no image"),
        (
            slot(&image, 0, None, &[]),
            slot(&image, 255, m, &[(24, 0)]),
            "swap-move",
            3,
            "disables its request",
        ),
    ] {
        desk.put("primary.bin", primary);
        desk.put("secondary.bin", secondary);
        let report = json(&desk, &format!("secondary.bin --primary primary.bin --boot-mode {mode}"), code);
        let verdict = report["verdict"][1].as_str().expect("a sentence");
        assert!(
            verdict.starts_with("At the next reset ") && verdict.contains(sentence),
            "{mode}, {sentence}: {verdict}"
        );
        assert_eq!(
            (&report["slot"]["erased"], &report["primary"]["slot"]["erased"]),
            (&255.into(), &0.into())
        );
    }
    // The image of swap-offset stands one sector up.
    desk.put("primary.bin", slot(&image, 255, None, &[]));
    let up = [&vec![0xFF; 0x1000], &image[..]].concat();
    desk.put("secondary.bin", slot(&up, 255, m, test));
    let report = json(&desk, "secondary.bin --primary primary.bin --boot-mode swap-offset", 0);
    assert_eq!(report["content"]["image"]["at"], 0x1000);
    assert!(report["verdict"][1].as_str().expect("a sentence").contains("for a test"));

    desk.put("plain.img", &image);
    desk.refused("inspect secondary.bin --primary plain.img", 1, "plain.img is no slot dump");
}

#[test]
fn a_damaged_trailer_is_a_problem() {
    let desk = desk();
    let image = desk.get("app.img");
    let torn = <[u8; 16]>::try_from(edited(&MAGIC_8, &[(15, 0xFF)])).expect("16");
    for (name, bytes, options, problem) in [
        (
            "torn magic",
            slot(&image, 255, Some(&torn), &[]),
            "--slot-size 0x4000",
            "neither MCUboot's nor erased",
        ),
        ("other magic", slot(&image, 255, Some(&MAGIC_32), &[]), "--max-align 8", "max-align 32"),
        ("torn flag", slot(&image, 255, Some(&MAGIC_8), &[(24, 0x81)]), "", "image_ok is neither"),
        ("other erased value", slot(&image, 0, Some(&MAGIC_8), &[]), "--erased 0xff", "image_ok is neither"),
    ] {
        desk.put("slot.bin", bytes);
        let report = json(&desk, &format!("slot.bin {options}"), 3);
        assert!(report["problems"][0].as_str().expect("a sentence").contains(problem), "{name}: {report}");
    }
}

#[test]
fn a_slot_inside_a_larger_dump_is_found_by_its_place() {
    let desk = desk();
    let inside = slot(&desk.get("app.img"), 0xFF, Some(&MAGIC_8), &[]);
    desk.put("flash.bin", [&[0xA5; 0x300], &inside[..], &[0xA5; 0x100]].concat());
    let report = json(&desk, "flash.bin --offset 0x300 --slot-size 0x4000", 0);
    assert_eq!(
        (&report["content"]["image"]["version"], &report["slot"]["magic"]),
        (&"1.2.3+4".into(), &"good".into())
    );
    desk.refused("inspect flash.bin --offset 0x300 --slot-size 0x4101", 1, "fewer than a slot");
    desk.refused("inspect flash.bin --offset 0x4400", 1, "nothing lies at 0x4400");
    desk.refused("inspect flash.bin --slot-size 127", 1, "too few for a slot");
}

#[test]
fn an_erased_slot_is_no_problem() {
    let desk = Desk::new();
    for erased in [0x00, 0xFF] {
        desk.put("slot.bin", slot(&[], erased, None, &[]));
        let report = json(&desk, "slot.bin", 0);
        assert_eq!((&report["content"], &report["slot"]["erased"]), (&"erased".into(), &erased.into()));
    }
}

#[test]
fn what_is_nothing_known_is_said() {
    let desk = desk();
    desk.put("text", "OTAJ, but only the word");
    desk.put("empty", "");
    desk.put("zeros-behind", [&[1; 600][..], &[0; 600]].concat());
    for (arguments, words) in [
        ("app.bin", "no MCUboot image, no slot trailer and no journal record"),
        ("text", "no MCUboot image"),
        ("zeros-behind", "no MCUboot image"),
        ("text --journal", "no whole journal record"),
        ("app.img --journal", "no whole journal record"),
        ("empty", "nothing lies at 0x0"),
        ("none", "cannot read none"),
        ("app.img --key none.pem", "cannot read none.pem"),
        ("app.img --key text", "not a PEM block"),
    ] {
        desk.refused(&format!("inspect {arguments}"), 1, words);
    }
    for (arguments, words) in [
        ("app.img --erased 7", "0 or to 0xff"),
        ("app.img --boot-mode swap", "invalid value"),
        ("app.img --journal --primary app.img", "cannot be used with"),
        ("app.img --primary-erased 0", "--primary"),
        ("", "<FILE>"),
    ] {
        desk.refused(&format!("inspect {arguments}"), 2, words);
    }
}
