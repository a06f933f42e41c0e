//! What each flag promises.

use crate::process::{End, RECORD_BLOCKS, command, run, run_on};

/// Small enough that a test is over at once.
const SMALL: &str = "--size 60000";

fn small(arguments: &str) -> End {
    run(&format!("{SMALL} {arguments}"))
}

#[test]
fn the_default_update() {
    let end = run("");
    end.is_updated();
    end.nothing_twice();
    // 1 MiB of program, header 0x400, TLVs; 4 KiB blocks; one sector a block, and 13 of trailer.
    assert_eq!(end.number("blocks"), 257);
    assert_eq!(end.number("erases"), 257 + 13);
    for zero in ["duplicates", "dropped", "resumed_blocks"] {
        assert_eq!(end.number(zero), 0, "{zero}");
    }
    assert_eq!(end.number("reboots"), 1);
    assert!(end.number("requests") >= 257_u64.div_ceil(32));
    assert!(end.number("journal_writes") >= 257 / RECORD_BLOCKS);
    assert!(end.report["power_cut"].is_null());
}

#[test]
fn every_boot_mode_installs() {
    for mode in ["overwrite", "swap-scratch", "swap-move", "swap-offset", "swap-status"] {
        let end = small(&format!("--boot-mode {mode}"));
        end.is_updated();
        end.nothing_twice();
        assert_eq!(end.number("reboots"), 1, "{mode}");
    }
}

#[test]
fn a_failed_self_test_is_taken_back_where_that_is_possible() {
    for mode in ["swap-scratch", "swap-move", "swap-offset", "swap-status"] {
        let end = small(&format!("--boot-mode {mode} --self-test fail"));
        end.ends("reverted", "FAILED", "reverted", "0.9.0");
        assert!(!end.ok, "asked for was an update");
        assert_eq!(end.number("reboots"), 2, "{mode}: one to test, one to revert");
        assert_eq!(end.number("confirm_writes"), 0, "{mode}");
    }
    assert!(small("--self-test fail --expect reverted").ok);
}

#[test]
fn overwrite_has_no_way_back_and_says_so() {
    let end = small("--boot-mode overwrite --self-test fail");
    end.ends("failed", "FAILED", "self_test_failed_no_revert", "1.0.0");
    assert!(!end.ok);
    assert_eq!(end.number("reboots"), 1);
}

#[test]
fn a_self_test_that_hangs_is_given_up() {
    let end = small("--self-test hang --expect reverted");
    end.ends("reverted", "FAILED", "reverted", "0.9.0");
    assert!(end.ok && end.number("time_ms") >= 2_000);
}

#[test]
fn judged_before_the_slot_is_touched() {
    for (arguments, reason) in [
        ("--version 0.8.9", "downgrade"),
        ("--version 0.9.0", "same_version"),
        ("--size 200000 --slot-size 0x20000", "file_too_large"),
    ] {
        let end = run(&format!("{SMALL} {arguments}").replace("--size 60000 --size", "--size"));
        end.ends("rejected", "REJECTED", reason, "0.9.0");
        assert!(!end.ok);
        assert_eq!((end.number("erases"), end.number("bytes_written"), end.number("reboots")), (0, 0, 0));
    }
    assert!(small("--version 0.8.9 --expect rejected").ok);
}

#[test]
fn canceled_half_way() {
    let end = run("--cancel-at 50 --blocks-per-second 500 --expect canceled");
    end.ends("canceled", "CANCELED", "", "0.9.0");
    assert!(end.ok);
    let received = end.number("blocks_received");
    assert!((128..257).contains(&received), "{received} blocks after a cancel at 128 of 257");
}

#[test]
fn a_hostile_network_costs_no_flash() {
    for seed in [3, 4] {
        let end = run(&format!("--seed {seed} --size 500000 --fault loss=20,dup=10,reorder=20"));
        end.is_updated();
        end.nothing_twice();
        assert!(end.number("duplicates") > 0 && end.number("dropped") > 0, "the faults were there");
    }
}

#[test]
fn flipped_bits_never_boot() {
    let end = run("--seed 7 --size 400000 --fault flip=20");
    assert!(!end.ok);
    assert_eq!(end.text("running_version"), "0.9.0");
    assert!(["failed", "rejected"].contains(&end.text("outcome")), "{}", end.text("outcome"));
    assert_eq!(end.number("reboots"), 0);
}

#[test]
fn the_power_may_fail_in_any_operation() {
    let tiny = "--size 12000";
    let whole = run(tiny);
    let (blocks, operations) = (whole.number("blocks"), whole.number("flash_operations"));
    assert!(operations > whole.number("erases") + blocks + whole.number("journal_writes"));
    let mut reverted = 0;
    for operation in 0..operations {
        let end = run(&format!("{tiny} --cut {operation}"));
        assert!(end.text("power_cut").contains(" at 0x"), "operation {operation} of {operations}");
        end.is_updated_or_reverted();
        reverted += u32::from(end.text("outcome") == "reverted");
        assert!(end.number("reboots") <= 1, "cut at {operation}");
        let received = end.number("blocks_received");
        assert!(received <= blocks + RECORD_BLOCKS + 1, "{received} blocks, cut at {operation}");
    }
    // On trial the firmware writes its journal, and confirms.
    assert!(reverted <= 2, "{reverted} of {operations} cuts ended in the old image");
}

#[test]
fn a_cut_that_lies_beyond_the_end_does_nothing() {
    let end = small("--cut 1000000");
    end.is_updated();
    assert!(end.report["power_cut"].is_null());
}

#[test]
fn without_a_journal() {
    let end = run("--no-journal");
    end.is_updated();
    assert_eq!(end.number("journal_writes"), 0);
    let end = run("--no-journal --self-test fail");
    end.ends("reverted", "FAILED", "reverted", "0.9.0");
    // What flash holds is not known after a cut: all of it comes again.
    let end = small("--no-journal --cut 25");
    end.is_updated();
    assert_eq!(end.number("resumed_blocks"), 0);
}

#[test]
fn block_sizes_and_flashes_of_other_kinds() {
    for arguments in [
        "--block-size 256",
        "--block-size 65536",
        "--size 1",
        "--erased 0 --write-size 1 --sector-size 512 --slot-size 0x40000",
        "--write-size 32 --sector-size 0x10000 --slot-size 0x100000",
        "--write-size 512 --sector-size 512 --slot-size 0xEE000 --erased 0 --boot-mode overwrite",
        "--write-size 512 --sector-size 0x40000 --slot-size 0x1C0000 --boot-mode swap-status",
    ] {
        run(&format!("{SMALL} {arguments}").replace("--size 60000 --size", "--size")).is_updated();
    }
}

#[test]
fn the_same_seed_is_the_same_job() {
    let (a, b, c) = (small("--seed 5"), small("--seed 5"), small("--seed 6"));
    assert_eq!(a.text("job_id"), b.text("job_id"));
    assert_ne!(a.text("job_id"), c.text("job_id"));
}

#[test]
fn an_update_that_ended_is_not_offered_again_but_the_next_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let flash = folder.path().join("flash.bin");
    run_on(&flash, SMALL).is_updated();
    let again = run_on(&flash, SMALL);
    again.is_updated();
    assert_eq!((again.number("blocks_received"), again.number("reboots")), (0, 0));
    let next = run_on(&flash, "--size 60000 --version 1.1.0");
    next.ends("updated", "SUCCEEDED", "accepted v1.1.0", "1.1.0");
    let old = run_on(&flash, "--size 60000 --version 1.0.5");
    old.ends("rejected", "REJECTED", "downgrade", "1.1.0");
}

#[test]
fn a_flash_of_another_board_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let flash = folder.path().join("flash.bin");
    std::fs::write(&flash, [0xFF; 4096]).unwrap();
    let end = run_on(&flash, SMALL);
    assert!(!end.ok && end.report.is_null());
    assert!(end.stderr.contains("holds 4096 bytes"), "{}", end.stderr);
    // One of the right size, whose images are signed with other keys.
    std::fs::remove_file(&flash).unwrap();
    run_on(&flash, SMALL).is_updated();
    let end = run_on(&flash, &format!("{SMALL} --seed 2"));
    assert!(!end.ok && end.report.is_null());
    assert!(end.stderr.contains("does not boot image 0") && end.stderr.contains("--seed"), "{}", end.stderr);
}

#[test]
fn quiet_prints_the_object_only() {
    let output = command("--size 60000 --quiet").output().unwrap();
    End::of(&output).is_updated();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// Programs read the object: a key that comes, goes or changes its name does so in the table, too.
#[test]
fn the_object_has_the_keys_of_its_table() {
    const TABLE: &str = include_str!("../../../README.md");
    let (_, table) = TABLE.split_once("## The object of `--json`").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let ours = rows.filter(|row| !row.ends_with("| emulate"));
    let mut keys: Vec<&str> = ours
        .flat_map(|row| row.split(" | ").next().unwrap_or_default().split(", "))
        .map(|key| key.trim_matches('`'))
        .collect();
    keys.sort_unstable();
    let end = small("");
    let mut found: Vec<&str> = end.report.as_object().unwrap().keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, keys);
}

#[test]
fn flags_that_would_do_nothing_are_refused_in_words() {
    for (flags, words) in [
        ("--http-fault busy=1", "add --protocol http"),
        ("--range-limit 4096", "add --protocol http"),
        ("--protocol http --mqtt-fault die-at=40", "leave --protocol http out"),
        ("--protocol http --fault loss=20", "leave --protocol http out"),
        ("--protocol http --tls=off --http-fault untrusted", "there is no certificate"),
        ("--secondary internal", "--kit"),
        ("--policy older", "--kit"),
        ("--bootloader 0x28000", "--kit"),
        ("--wifi-loss 101", "is not in 0..=100"),
        ("--cancel-at 4294967295", "is not in 0..=100"),
    ] {
        let end = small(flags);
        assert!(end.report.is_null() && !end.ok, "{flags}: {}", end.report);
        assert!(end.stderr.contains(words), "{flags}: {}", end.stderr);
    }
}

#[test]
fn flashes_that_no_bootloader_can_use_are_refused_in_words() {
    for (flags, words) in [
        ("--boot-mode swap-status --write-size 16", "image_ok cannot be written alone"),
        ("--boot-mode swap-move --write-size 512 --sector-size 512", "overwrite and swap-status only"),
        ("--boot-mode overwrite --write-size 1024", "units of up to 512 bytes"),
    ] {
        let end = small(flags);
        assert!(end.report.is_null() && !end.ok, "{flags}: {}", end.report);
        assert!(end.stderr.contains(words), "{flags}: {}", end.stderr);
    }
}
