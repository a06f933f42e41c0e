//! Every kit, every layout and every boot mode it has.

use crate::process::run;

/// Command line, board, whether the bootloader knows a way back, images.
const BOARDS: [(&str, &str, bool, usize); 11] = [
    ("--kit CY8CPROTO-062-4343W", "psoc62-external-overwrite", false, 1),
    ("--kit CY8CPROTO-062-4343W --secondary internal", "psoc62-internal-overwrite", false, 1),
    ("--kit CY8CPROTO-062-4343W --boot-mode swap-status", "psoc62-external-swap", true, 1),
    (
        "--kit CY8CPROTO-062-4343W --secondary internal --boot-mode swap-status",
        "psoc62-internal-swap",
        true,
        1,
    ),
    ("--kit CY8CKIT-062S2-43012", "psoc62-external-overwrite", false, 1),
    ("--kit CY8CKIT-062S2-43012 --secondary internal", "psoc62-internal-overwrite", false, 1),
    (
        "--kit CY8CKIT-062S2-43012 --boot-mode swap-status --bootloader 0x28000",
        "psoc62-external-swap-large",
        true,
        1,
    ),
    (
        "--kit cy8ckit-062s2-43012 --secondary internal --boot-mode swap-status --bootloader 0x28000",
        "psoc62-internal-swap-large",
        true,
        1,
    ),
    ("--kit CY8CKIT-064S0S2-4343W", "psoc64-tfm-swap", true, 2),
    (
        "--kit CY8CKIT-064S0S2-4343W --boot-mode overwrite --secondary internal",
        "psoc64-tfm-overwrite",
        false,
        2,
    ),
    ("--kit CY8CKIT-064S0S2-4343W --policy older", "psoc64-older-overwrite", false, 2),
];

#[test]
fn every_board_is_updated() {
    for (board, name, _, images) in BOARDS {
        let end = run(&format!("{board} --size 60000 --tls=off"));
        end.ends("updated", "SUCCEEDED", "accepted v1.0.0", "1.0.0");
        assert_eq!(end.text("board"), name);
        assert_eq!(end.report["running_versions"].as_array().map(Vec::len), Some(images), "{name}");
        assert!(end.number("flash_busy_ms") > 500, "{name}: the parts take their time");
    }
}

/// The same in one TAR file, over either plane.
#[test]
fn bundles_are_taken_apart() {
    for (board, _, _, images) in
        BOARDS.into_iter().filter(|board| board.3 == 2 || board.1 == "psoc62-external-swap")
    {
        for plane in ["mqtt", "http"] {
            let end = run(&format!("{board} --size 60000 --tls=off --bundle --protocol {plane}"));
            end.ends("updated", "SUCCEEDED", "accepted v1.0.0", "1.0.0");
            let versions = end.report["running_versions"].as_array().cloned().unwrap_or_default();
            assert!(versions.len() == images && versions.iter().all(|it| it == "1.0.0"), "{versions:?}");
        }
    }
}

/// A bootloader that overwrites knows no way back, and that is what is reported.
#[test]
fn a_failed_self_test_is_taken_back_where_the_board_can() {
    for (board, name, swaps, images) in BOARDS {
        // Both images of a PSoC 64: see the test below.
        if swaps && images == 1 {
            let end = run(&format!("{board} --size 60000 --tls=off --self-test fail --expect reverted"));
            end.ends("reverted", "FAILED", "reverted", "0.9.0");
        } else if !swaps {
            let end = run(&format!("{board} --size 60000 --tls=off --self-test fail --expect failed"));
            end.ends("failed", "FAILED", "self_test_failed_no_revert", "1.0.0");
        } else {
            assert_eq!(name, "psoc64-tfm-swap");
        }
    }
}

/// Secure firmware that its bootloader has confirmed needs the new application, so the bootloader refuses to take that back. With
/// a journal the device finds out in two resets, and says so; no journal, no such memory.
#[test]
fn a_revert_that_the_secure_firmware_forbids_is_not_waited_for() {
    let end = run("--kit CY8CKIT-064S0S2-4343W --size 60000 --tls=off --self-test fail --expect failed \
                   --journal 0x14000000");
    end.ends("failed", "FAILED", "self_test_failed_no_revert", "1.0.0");
    assert_eq!(end.number("reboots"), 3);
}

/// A PSoC 64 has no place for a journal by itself, and some are not to be had.
#[test]
fn a_journal_has_its_place_named() {
    let board = "--kit CY8CKIT-064S0S2-4343W --size 60000 --tls=off";
    for (option, writes) in [("", false), ("--journal 0x14000000", true), ("--journal 0x18300000", true)] {
        let end = run(&format!("{board} {option}"));
        end.ends("updated", "SUCCEEDED", "accepted v1.0.0", "1.0.0");
        assert_eq!(end.number("journal_writes") > 0, writes, "{option}");
    }
    for address in ["0x101BC000", "0x101C6000", "0x101DFE00"] {
        let end = run(&format!("{board} --journal {address}"));
        assert!(!end.ok && end.stderr.contains("--journal: an area reaches"), "{address}: {}", end.stderr);
    }
}

/// The made-up update fills the slot when it would not fit otherwise, and an internal slot takes 13 s to write.
#[test]
fn the_slots_are_filled_in_the_time_the_parts_have() {
    let end = run("--kit CY8CPROTO-062-4343W --secondary internal --tls=off");
    end.ends("updated", "SUCCEEDED", "accepted v1.0.0", "1.0.0");
    assert!((900_000..=0xE_DE00).contains(&end.number("file_size")));
    assert!((11_000..16_000).contains(&end.number("flash_busy_ms")), "{}", end.number("flash_busy_ms"));
    assert_eq!(end.number("flash_busy_at_once_ms"), 51);
}

/// The request for the swap, and the journal's records around it, cut in the middle on the map whose trailer shares its sector
/// with the image: the sector is given up, its blocks come again, and the update goes through.
#[test]
fn the_request_torn_where_the_trailer_shares_its_sector() {
    let command = "--kit CY8CPROTO-062-4343W --size 1580000 --tls=off";
    let whole = run(command);
    whole.ends("updated", "SUCCEEDED", "accepted v1.0.0", "1.0.0");
    let operations = whole.number("flash_operations");
    let mut again = 0;
    for operation in operations - 8..operations {
        let end = run(&format!("{command} --cut {operation}"));
        end.ends("updated", "SUCCEEDED", "accepted v1.0.0", "1.0.0");
        let blocks = end.number("blocks_received") - end.number("blocks");
        assert!(blocks <= 64 + 32, "cut in {operation}: {blocks} blocks again");
        again += u32::from(blocks > 0);
    }
    assert!(again > 0, "in some run the sector was given up");
}

#[test]
fn what_does_not_exist_is_refused() {
    for (command, words) in [
        ("--kit CY8CPROTO-062-4343W --boot-mode swap-move", "write units of at most 32 bytes"),
        ("--kit CY8CPROTO-062-4343W --bootloader 0x28000", "swap builds only"),
        ("--kit CY8CKIT-064S0S2-4343W --policy older --boot-mode swap-status", "overwrite-only map"),
        ("--kit CY8CPROTO-062-4343W --slot-size 0x10000", "cannot be used with"),
    ] {
        let end = run(command);
        assert!(!end.ok && end.stderr.contains(words), "{command}: {}", end.stderr);
    }
}
