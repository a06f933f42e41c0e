//! `ota inspect` on the dump of a journal.

mod support;

use ota_core::journal::{Phase, Record};
use ota_core::status::Reason;
use ota_core::version::Version;
use support::{Desk, json, says};

fn record() -> Record {
    *Record::default()
        .set_phase(Phase::Ended)
        .set_job_id("AFR_OTA-7")
        .set_execution_number(3)
        .set_version_number(Some(9))
        .set_started(true)
        .set_updated_by(Version::new(0, 9, 1, 0).word())
        .set_block_size(4096)
        .set_front(12)
        .set_window(&[&[0b101u8][..], &[0; 31]].concat().try_into().expect("32"))
        .set_intended(&[[0xAB; 32], [0; 32], [0; 32]])
        .set_reverted(&[0xCD; 32])
        .set_status(1)
        .set_reason(Reason::Reverted.number())
        .set_detail(5)
}

#[test]
fn the_newest_record_of_a_journal_is_told() {
    let desk = Desk::new();
    // The newest in the second of two sectors, the next one torn; erased flash in front and behind.
    let mut flash = vec![0xFF; 0x3000];
    for (at, sequence, record) in
        [(0x1000, 41, Record::default()), (0x1190, 42, Record::default()), (0x2000, 43, record())]
    {
        flash[at..at + 400].copy_from_slice(&record.encode(sequence));
    }
    flash[0x2190..0x2190 + 200].copy_from_slice(&record().encode(44)[..200]);
    desk.put("journal.bin", &flash);
    let text = desk.ok("inspect journal.bin");
    says(
        &text,
        &[
            "Journal, 3 records, 1 damaged",
            "newest        number 43 at 0x2000",
            "phase         7 (ended; its status may be owed)",
            "job           AFR_OTA-7, execution 3",
            "in the cloud  IN_PROGRESS, version number 9",
            "downloaded by 0.9.1",
            "file 0: 12 blocks of 4096 bytes from the start, 2 beyond",
            "owed status   FAILED",
            "reason        reverted, detail 5",
            "data identity none",
            &format!("meant to boot image 0: {}", "ab".repeat(32)),
            &format!("reverted      {}", "cd".repeat(32)),
        ],
    );
    let report = json(&desk, "journal.bin --journal --offset 0x1000", 0);
    assert_eq!(
        (&report["journal"]["sequence"], &report["journal"]["reason"]),
        (&43.into(), &"reverted".into())
    );
}

/// Where no status is owed, the field of its detail holds something else.
#[test]
fn wear_is_told_where_no_status_is_owed() {
    let desk = Desk::new();
    let mut record = Record::default();
    record.set_phase(Phase::Downloading).set_detail(1 << 31 | 7 << 26 | 1 << 24 | 300);
    desk.put("journal.bin", record.encode(1));
    let text = desk.ok("inspect journal.bin");
    says(
        &text,
        &[
            "wear          7 points since 300 blocks of file 1 were held",
            "the primary showed a revert already",
        ],
    );
    assert!(!text.contains("reason"), "{text}");
    let journal = &json(&desk, "journal.bin", 0)["journal"];
    assert_eq!((&journal["wear"]["points"], &journal["wear"]["most_blocks"]), (&7.into(), &300.into()));
    assert!(journal["detail"].is_null());
}

#[test]
fn the_newest_record_is_right_across_the_wrap() {
    let desk = Desk::new();
    let old = record().encode(u32::MAX);
    desk.put("journal.bin", [Record::default().encode(0), old].concat());
    assert_eq!(json(&desk, "journal.bin", 0)["journal"]["sequence"], 0);
}
