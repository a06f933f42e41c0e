//! `kill -9`, then the same command again.

use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::process::{RECORD_BLOCKS, command, run_on};

/// Starts an update and kills the process when it says `word`.
fn kill_at(flash: &Path, arguments: &str, word: &str) {
    let mut process = command(arguments).arg("--flash").arg(flash).spawn().unwrap();
    let lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let seen = lines.map_while(Result::ok).any(|line| line.contains(word));
    process.kill().unwrap();
    let status = process.wait().unwrap();
    assert!(seen, "the process never said `{word}`");
    assert_eq!(status.code(), None, "it was killed, and did not end by itself");
}

#[test]
fn killed_while_downloading_it_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let flash = folder.path().join("flash.bin");
    // 500 blocks a second: half a second is left when it is killed, so it cannot be over by then.
    let arguments = "--blocks-per-second 500";
    kill_at(&flash, arguments, "103 of 257");
    let end = run_on(&flash, arguments);
    end.is_updated();
    let (resumed, received) = (end.number("resumed_blocks"), end.number("blocks_received"));
    assert!(resumed >= 103 - RECORD_BLOCKS, "{resumed} blocks resumed");
    // Each process counts its own: nothing that was recorded is fetched again.
    assert!(resumed + received <= 257 + RECORD_BLOCKS, "{resumed} resumed, {received} received");
    assert_eq!(end.number("max_erases_per_sector"), 1);
    assert_eq!(end.number("reboots"), 1);
}

#[test]
fn killed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let flash = folder.path().join("flash.bin");
    let arguments = "--blocks-per-second 500 --seed 9 --boot-mode swap-offset";
    kill_at(&flash, arguments, "52 of 257");
    kill_at(&flash, arguments, "180 of 257");
    let end = run_on(&flash, arguments);
    end.is_updated();
    assert!(end.number("resumed_blocks") >= 180 - RECORD_BLOCKS);
}

#[test]
fn killed_at_the_turns_of_an_update() {
    for (mode, word) in [
        ("swap-move", "a job is offered"),
        ("swap-move", "verifying"),
        ("swap-move", "verified"),
        ("swap-move", "asking MCUboot"),
        ("swap-status", "reset"),
        ("swap-scratch", "testing it"),
        ("overwrite", "testing it"),
        ("swap-offset", "is confirmed"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let flash = folder.path().join("flash.bin");
        let arguments = format!("--size 60000 --boot-mode {mode}");
        let mut process = command(&arguments).arg("--flash").arg(&flash).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains(word)), "{mode}: never said `{word}`");
        // It may be over before the signal arrives; then the next process has to see that.
        let _ = process.kill();
        process.wait().unwrap();
        let end = run_on(&flash, &arguments);
        if ["reset", "testing it", "is confirmed"].contains(&word) {
            end.is_updated_or_reverted();
        } else {
            end.is_updated();
        }
    }
}
