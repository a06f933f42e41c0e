//! `ota bundle` as a process: the bytes GNU tar writes, what `ota inspect` says of them, and what is refused.

mod support;

use support::{Desk, json, missing, says};

/// A signed image for each side, and a key.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.put("app.bin", [0x5A; 1000]);
    desk.put("tfm.bin", [0xA5; 3000]);
    desk.ok("key new key.pem");
    desk.ok("sign image app.bin cm4.img -v 1.2.3+4 -H 0x200 --pad-header -S 0x4000 --key key.pem");
    desk.ok("sign image tfm.bin cm0p.img -v 2.0.0 -H 0x200 --pad-header -S 0x4000 --key key.pem");
    desk
}

#[test]
fn gnu_tar_packs_the_same_bytes() {
    let desk = desk();
    desk.ok("bundle --nspe cm4.img --spe cm0p.img -o both.tar");
    let sizes = [desk.get("cm4.img").len(), desk.get("cm0p.img").len()];
    let list = format!(
        r#"{{"numberOfComponents":"3","version":"1.2.3","files":[{{"fileName":"components.json","fileType":"component_list"}},{{"fileName":"cm4.img","fileType":"NSPE","fileSize":"{}"}},{{"fileName":"cm0p.img","fileType":"SPE","fileSize":"{}"}}]}}"#,
        sizes[0], sizes[1]
    );
    let both = desk.get("both.tar");
    assert_eq!(core::str::from_utf8(&both[512..512 + list.len()]), Ok(list.as_str()));
    if std::process::Command::new("tar").arg("--version").output().is_err() {
        return missing("tar");
    }
    desk.put("components.json", &list);
    let packed = desk.run(
        "tar",
        "--format=gnu --owner=0 --group=0 --numeric-owner --mode=0644 --mtime=@0 -cf gnu.tar components.json cm4.img cm0p.img",
    );
    assert_eq!(packed.code, 0, "{}", packed.err);
    assert!(desk.get("gnu.tar") == both, "not the bytes of GNU tar");
}

#[test]
fn a_bundle_is_inspected() {
    let desk = desk();
    let said = desk.ok("bundle --nspe cm4.img --spe cm0p.img --version 7.8 -o both.tar");
    says(&said, &["both.tar: version 7.8, ", "NSPE", "SPE"]);
    let said = desk.ok("inspect both.tar --key key.pem");
    says(&said, &["TAR bundle, version 7.8", "NSPE: cm4.img", "1.2.3+4", "SPE: cm0p.img", "2.0.0"]);
    let found = json(&desk, "both.tar --key key.pem", 0);
    assert_eq!(found["bundle"]["members"][1]["kind"], "SPE");
    desk.ok("bundle --nspe cm4.img -o one.tar");
    says(&desk.ok("inspect one.tar"), &["TAR bundle, version 1.2.3", "NSPE: cm4.img"]);

    let mut damaged = desk.get("both.tar");
    damaged[1536 + 600] ^= 1;
    desk.put("damaged.tar", &damaged);
    assert_eq!(json(&desk, "damaged.tar", 3)["problems"].as_array().map(Vec::len), Some(1));
    desk.put("short.tar", &damaged[..2500]);
    json(&desk, "short.tar", 3);
    *damaged.last_mut().expect("bytes") = 1;
    damaged[1536 + 600] ^= 1;
    desk.put("more.tar", &damaged);
    assert_eq!(json(&desk, "more.tar", 3)["problems"][0], "something follows the last member");
}

#[test]
fn what_is_no_bundle_is_not_packed() {
    let desk = desk();
    desk.refused("bundle --nspe app.bin -o out.tar", 1, "app.bin is no MCUboot image");
    desk.refused("bundle --nspe cm4.img --spe cm4.img -o out.tar", 1, "both images are called cm4.img");
    desk.refused("bundle --nspe cm4.img --version 1234567890123456 -o out.tar", 1, "15 characters");
    let said = desk.ota("bundle --nspe cm4.img --version 1234567890123456 -o out.tar").err;
    assert!(!said.contains("block size"), "{said}");
    desk.refused("bundle --nspe nothing.img -o out.tar", 1, "cannot read nothing.img");
    desk.refused("bundle -o out.tar", 2, "--nspe");
    assert!(!desk.path("out.tar").exists());
}
