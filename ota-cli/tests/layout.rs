//! `ota layout` as a process: the eight layouts, frozen, and the numbers they must come to.

mod support;

use std::path::Path;

use support::Desk;

const PSOC62: &str = "--kit CY8CPROTO-062-4343W";
const PSOC64: &str = "--kit CY8CKIT-064S0S2-4343W";

type Row = (&'static str, &'static str, &'static str, [u32; 4], [u32; 2]);

/// The eight layouts: file, command line, primary and secondary of image 0 as (start, size), origin and length of FLASH.
const LAYOUTS: [Row; 8] = [
    (
        "psoc62-internal-overwrite",
        PSOC62,
        "--secondary internal --boot-mode overwrite",
        [0x1001_8000, 0xE_E000, 0x1010_6000, 0xE_E000],
        [0x1001_8400, 0xE_DA00],
    ),
    (
        "psoc62-external-overwrite",
        PSOC62,
        "--boot-mode overwrite",
        [0x1001_8000, 0x1C_0000, 0x1800_0000, 0x1C_0000],
        [0x1001_8400, 0x1B_FA00],
    ),
    (
        "psoc62-internal-swap",
        PSOC62,
        "--secondary internal --boot-mode swap-status",
        [0x1001_8000, 0xE_E000, 0x1010_6000, 0xE_E000],
        [0x1001_8400, 0xE_DA00],
    ),
    (
        "psoc62-external-swap",
        PSOC62,
        "--secondary external --boot-mode swap-status",
        [0x1001_8000, 0x1C_0000, 0x1800_0200, 0x1C_0000],
        [0x1001_8400, 0x1B_FA00],
    ),
    (
        "psoc62-internal-swap-large",
        PSOC62,
        "--secondary internal --boot-mode swap-status --bootloader 0x28000",
        [0x1002_8000, 0xE_6000, 0x1010_E000, 0xE_6000],
        [0x1002_8400, 0xE_5A00],
    ),
    (
        "psoc62-external-swap-large",
        PSOC62,
        "--boot-mode swap-status --bootloader 0x28000",
        [0x1002_8000, 0x1C_0000, 0x1800_0200, 0x1C_0000],
        [0x1002_8400, 0x1B_FA00],
    ),
    (
        "psoc64-tfm-swap",
        PSOC64,
        "",
        [0x1005_0000, 0x11_C000, 0x1802_4400, 0x11_C000],
        [0x1005_0400, 0x11_B800],
    ),
    (
        "psoc64-older-overwrite",
        PSOC64,
        "--policy older",
        [0x1005_0000, 0x12_0000, 0x1800_0000, 0x12_0000],
        [0x1005_0400, 0x11_F800],
    ),
];

/// Every format, one after the other, as the files hold them. `UPDATE_SNAPSHOTS=1` writes them.
#[test]
fn the_eight_layouts_are_frozen() {
    let desk = Desk::new();
    for (file, kit, options, ..) in LAYOUTS {
        let other = if kit == PSOC64 { "cysecuretools" } else { "mcuboot-mk" };
        let mut text = String::new();
        for format in ["table", "memory-x", "imgtool", other, "json"] {
            text += &format!("=== {format}\n");
            text += &desk.ok(&format!("layout {kit} {options} --format {format}"));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/layouts/{file}.txt"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&path, &text).expect("written");
        }
        let frozen = std::fs::read_to_string(&path).expect("a frozen file");
        assert!(text == frozen, "{file} differs from {}:\n{text}", path.display());
    }
}

/// The published numbers, written here by hand.
#[test]
fn slots_and_linker_files_have_the_published_numbers() {
    let desk = Desk::new();
    for (file, kit, options, slots, flash) in LAYOUTS {
        let map: serde_json::Value =
            serde_json::from_str(&desk.ok(&format!("layout {kit} {options} --format json"))).expect("JSON");
        let number = |pointer: &str| map.pointer(pointer).and_then(|value| value.as_u64()).expect("a number");
        let image = [
            number("/images/0/primary/start"),
            number("/images/0/primary/size"),
            number("/images/0/secondary/start"),
            number("/images/0/secondary/size"),
        ];
        assert_eq!(image, slots.map(u64::from), "{file}");
        let memory = desk.ok(&format!("layout {kit} {options} --format memory-x"));
        let line = format!("FLASH : ORIGIN = {:#010X}, LENGTH = {:#X}", flash[0], flash[1]);
        assert!(memory.contains(&line), "{file}: no `{line}` in {memory}");
        let ram = if kit == PSOC64 { "0x08030000, LENGTH = 0xB7000" } else { "0x08040000, LENGTH = 0xBF800" };
        assert!(memory.contains(ram), "{file}: {memory}");
        if kit == PSOC64 {
            let secure = [number("/images/1/primary/start"), number("/images/1/primary/size")];
            assert_eq!(secure, [0x1000_0000, 0x5_0000], "{file}");
            let start = if file.contains("older") { 0x1017_0000 } else { 0x1016_C000 };
            assert_eq!(number("/images/1/secondary/start"), start, "{file}");
        }
    }
}

#[test]
fn the_bootloader_is_told_what_the_application_knows() {
    let desk = Desk::new();
    for (place, external, sectors, size) in
        [("internal", 0, 2000, "0xEE000"), ("external", 1, 3584, "0x1C0000")]
    {
        let text = desk.ok(&format!("layout {PSOC62} --secondary {place} --format mcuboot-mk"));
        for line in [
            format!("USE_EXTERNAL_FLASH = {external}"),
            format!("DEFINES_APP += -DMCUBOOT_MAX_IMG_SECTORS={sectors}"),
            format!("DEFINES_APP += -DCY_BOOT_PRIMARY_1_SIZE={size}"),
            format!("DEFINES_APP += -DCY_BOOT_SECONDARY_1_SIZE={size}"),
            "#   ram (rwx) : ORIGIN = 0x08020000, LENGTH = 0x20000".to_owned(),
        ] {
            assert!(text.lines().any(|it| it == line), "no `{line}` in {text}");
        }
        assert!(
            text.contains("MCUBOOT_VALIDATE_PRIMARY_SLOT") && !text.contains("|^#define MCUBOOT_SIGN_EC256")
        );
    }
}

/// The original switches signatures off for both slots; here that has a name and a warning.
#[test]
fn unsigned_needs_its_option_and_warns() {
    let desk = Desk::new();
    let ended = desk.ota(&format!("layout {PSOC62} --format mcuboot-mk --insecure-unsigned"));
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("WARNING") && ended.out.contains("|^#define MCUBOOT_SIGN_EC256"));
    desk.refused(&format!("layout {PSOC62} --insecure-unsigned"), 1, "--insecure-unsigned");
    desk.refused(&format!("layout {PSOC64} --format mcuboot-mk"), 1, "provisioned with the policy");
}

#[test]
fn what_does_not_exist_says_why() {
    let desk = Desk::new();
    for mode in ["swap-scratch", "swap-move", "swap-offset"] {
        desk.refused(&format!("layout {PSOC62} --boot-mode {mode}"), 1, "write units of at most 32 bytes");
    }
    desk.refused(&format!("layout {PSOC62} --bootloader 0x28000"), 1, "swap builds only");
    desk.refused(&format!("layout {PSOC64} --policy older --boot-mode swap-status"), 1, "overwrite-only map");
    desk.refused(&format!("layout {PSOC62} --format cysecuretools"), 1, "imgtool");
    desk.refused("layout --kit CY8CKIT-062-BLE", 2, "invalid value");
}

#[test]
fn the_secondary_defaults_to_external_and_does_nothing_on_psoc64() {
    let desk = Desk::new();
    let all = |options: &str| desk.ok(&format!("layout {options} --format json"));
    assert_eq!(all(PSOC62), all(&format!("{PSOC62} --secondary external")));
    assert_ne!(all(PSOC62), all(&format!("{PSOC62} --secondary internal")));
    for place in ["internal", "external"] {
        assert_eq!(all(PSOC64), all(&format!("{PSOC64} --secondary {place}")));
    }
    // Both PSoC 62 kits have one die, one serial flash, one map.
    let other = all("--kit cy8ckit-062s2-43012");
    assert_eq!(other.replace("CY8CKIT-062S2-43012", "CY8CPROTO-062-4343W"), all(PSOC62));
}

/// An image as large as the linker allows, less its signature, fits the slot as the signing command describes it.
#[test]
fn the_signing_command_takes_what_the_map_has_room_for() {
    let desk = Desk::new();
    desk.ok("key new key.pem");
    for (file, kit, options, slots, flash) in LAYOUTS {
        let command = desk.ok(&format!("layout {kit} {options} --format imgtool"));
        assert!(command.contains(&format!("--slot-size {:#X} ", slots[1])), "{file}: {command}");
        let erased = if file.contains("internal") { "--erased-val 0 " } else { "--erased-val 0xff " };
        assert!(command.contains(erased), "{file}: {command}");
        // TLVs of an image signed with P-256.
        let size = flash[1] as usize - 160;
        desk.put("app.bin", vec![0x5A; size]);
        desk.ok(&format!(
            "sign image app.bin out.img -v 1.0.0 -H 0x400 --pad-header -S {:#x} -M 3584 --align 8 --overwrite-only --key key.pem",
            slots[1]
        ));
        assert!(desk.get("out.img").len() <= flash[1] as usize + 0x400, "{file}");
    }
}
