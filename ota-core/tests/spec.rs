//! SPEC.md and the code say the same: every table and example that can be computed is computed here.

use ota_core::agent::{Config, Plane, Timing};
use ota_core::geometry::{BootMode, MaxAlign};
use ota_core::image::ImageError;
use ota_core::journal::{Phase, RECORD_SIZE, Record};
use ota_core::slot::FlashError;
use ota_core::status::Reason;
use ota_core::trailer::TrailerLayout;
use ota_core::verify::VerifyError;
use ota_core::wire::{
    Format, GetStream, JobStatus, StreamErrorCode, Topic, Update, encode_describe, encode_update,
};

const SPEC: &str = include_str!("../../SPEC.md");

/// The lines from the heading to the next one.
fn section(heading: &str) -> Vec<&'static str> {
    let mut lines = SPEC.lines().skip_while(move |line| line.trim_start_matches('#').trim() != heading);
    assert!(lines.next().is_some(), "SPEC.md has no section {heading:?}");
    lines.take_while(|line| !line.starts_with('#')).collect()
}

/// The cells of a table's line.
fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()
}

/// A line of SPEC.md, wherever it stands.
fn has_line(line: &str) -> bool {
    SPEC.lines().any(|found| found.trim() == line)
}

#[test]
fn every_reason_stands_in_the_table_and_no_other() {
    let rows: Vec<_> = section("Reasons")
        .into_iter()
        .map(cells)
        .filter(|row| row.len() == 5)
        .filter_map(|row| Some((row[0].parse::<u8>().ok()?, row[1], row[2])))
        .collect();
    let reasons: Vec<_> = Reason::ALL
        .iter()
        .map(|reason| (reason.number(), reason.spelling(), if reason.is_judgement() { "yes" } else { "no" }))
        .collect();
    assert_eq!(rows, reasons);
}

/// Two columns of numbers in one table: number, meaning, number, meaning.
fn numbers(after: &str, width: usize) -> Vec<u8> {
    let mut numbers: Vec<u8> = SPEC
        .lines()
        .skip_while(|line| *line != after)
        .skip(1)
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| cells(line).into_iter().step_by(width).filter_map(|cell| cell.parse().ok()))
        .collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn fault_numbers() {
    let flash = [
        FlashError::Driver,
        FlashError::OutOfBounds,
        FlashError::NotAligned,
        FlashError::ReadBack,
        FlashError::NotErased,
        FlashError::Trailer,
        FlashError::Stale,
        FlashError::NoImage,
        FlashError::Unfinished,
    ];
    assert_eq!(numbers("Flash numbers:", 2), flash.map(|error| error as u8));
    let verify = [
        VerifyError::BadSignature,
        VerifyError::SignatureFormat,
        VerifyError::DigestIncomplete,
        VerifyError::TooLarge,
        VerifyError::ImageHash,
        VerifyError::ImageSignature,
        VerifyError::ResetVector,
        VerifyError::NoKey,
        VerifyError::BadKey,
        VerifyError::UnsupportedKey,
        VerifyError::BadCertificate,
        VerifyError::BadPem,
    ];
    assert_eq!(numbers("Verify numbers:", 2), verify.map(VerifyError::number));
    assert_eq!(VerifyError::Image(ImageError::SecurityCounter).number(), 64 + 11);
    assert_eq!(VerifyError::Flash(FlashError::Driver).number(), 128 + 1);
}

#[test]
fn stream_numbers() {
    let table: Vec<_> = section("Rejection")
        .into_iter()
        .map(cells)
        .filter(|row| row.len() == 6)
        .flat_map(|row| [(row[0], row[1]), (row[2], row[3]), (row[4], row[5])])
        .filter_map(|(number, code)| Some((number.parse::<u32>().ok()?, code)))
        .collect();
    for code in StreamErrorCode::ALL.into_iter().filter(|code| !code.is_retryable()) {
        assert!(table.contains(&(code as u32 + 1, code.as_str())), "{code:?}");
    }
    assert!(table.contains(&(StreamErrorCode::Unknown as u32 + 1, "any other")));
    assert_eq!(table.len(), StreamErrorCode::ALL.len());
}

#[test]
fn requests() {
    let request =
        GetStream { token: None, file_id: 0, block_size: 4096, offset: 8, bitmap: &[0b1011], count: 3 };
    let mut buf = [0; 512];
    let len = request.encode(Format::Cbor, &mut buf).unwrap();
    let hex: Vec<_> = buf[..len].iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(has_line(&hex.join(" ")), "{}", hex.join(" "));
    let text = |len: usize, buf: &[u8]| String::from_utf8(buf[..len].to_vec()).unwrap();
    let json = text(request.encode(Format::Json, &mut buf).unwrap(), &buf);
    assert!(has_line(&json), "{json}");
    for (token, document) in [("0:1f", true), ("2:1f", false)] {
        let json = text(encode_describe(&mut buf, token, document, None).unwrap(), &buf);
        assert!(has_line(&json), "{json}");
    }
    let progress = Update {
        status: JobStatus::InProgress,
        details: &[("receive", "64/1792")],
        expected_version: Some(2),
        execution_number: None,
        include_state: false,
        token: None,
    };
    let ready = Update {
        details: &[("self_test", "ready"), ("updatedBy", "0x90000")],
        expected_version: Some(3),
        execution_number: Some(1),
        include_state: true,
        token: Some("7:1f"),
        ..progress
    };
    for update in [progress, ready] {
        let json = text(encode_update(&mut buf, &update).unwrap(), &buf);
        assert!(has_line(&json), "{json}");
    }
}

#[test]
fn topics() {
    let mut buf = [0; 256];
    for topic in [
        Topic::NotifyNext,
        Topic::AnyDescribeAnswers,
        Topic::AnyUpdateAnswers,
        Topic::StreamData("S", Format::Cbor),
        Topic::StreamRejected("S", Format::Cbor),
        Topic::DescribeNext,
        Topic::Describe("J"),
        Topic::Update("J"),
        Topic::GetStream("S", Format::Cbor),
    ] {
        let name = topic.encode("T", &mut buf).unwrap().replace("/cbor", "/F");
        let rest = name.strip_prefix("$aws/things/T/").unwrap();
        assert!(SPEC.contains(&format!("| `{rest}` |")), "{rest}");
    }
}

#[test]
fn trailer_offsets() {
    let rows: Vec<_> =
        section("Trailer").into_iter().map(cells).filter(|row| row.len() == 5).skip(2).collect();
    let size = 0x8000;
    let layout = |align| TrailerLayout::new(size, align, BootMode::SwapMove);
    let layouts = [MaxAlign::M8, MaxAlign::M16, MaxAlign::M32].map(layout);
    type Field = (&'static str, fn(&TrailerLayout) -> u32);
    let expected: [Field; 5] = [
        ("magic", TrailerLayout::magic),
        ("image_ok", TrailerLayout::image_ok),
        ("copy_done", TrailerLayout::copy_done),
        ("swap_info", TrailerLayout::swap_info),
        ("swap_size", TrailerLayout::swap_size),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, (name, offset)) in rows.into_iter().zip(expected) {
        assert_eq!(row[0], name);
        for (cell, layout) in row[1..4].iter().zip(&layouts) {
            assert_eq!(*cell, format!("−{}", size - offset(layout)), "{name}");
        }
    }
}

/// Each field of a record lies where the table says: changing the value changes bytes of its own place (and of the CRC).
#[test]
fn journal_record() {
    let rows: Vec<(usize, usize, &str)> = section("Record")
        .into_iter()
        .map(cells)
        .filter(|row| row.len() == 3)
        .filter_map(|row| Some((row[0].parse().ok()?, row[1].parse().ok()?, row[2])))
        .collect();
    let mut at = 0;
    for (offset, size, name) in &rows {
        assert_eq!(*offset, at, "{name}");
        at += size;
    }
    assert_eq!(at, RECORD_SIZE as usize);

    let none = Record::default();
    let changed: [(&str, Record); 18] = [
        ("phase", *Record::default().set_phase(Phase::Ended)),
        ("flags", *Record::default().set_started(true)),
        ("file being", *Record::default().set_file_index(1)),
        ("execution number", *Record::default().set_execution_number(u64::MAX)),
        ("`updatedBy`", *Record::default().set_updated_by(u32::MAX)),
        ("block size", *Record::default().set_block_size(u32::MAX)),
        ("front", *Record::default().set_front(u32::MAX)),
        ("detail", *Record::default().set_detail(u32::MAX)),
        ("status owed", *Record::default().set_status(1)),
        ("reason", *Record::default().set_reason(1)),
        ("resets", *Record::default().set_first_boots(1)),
        ("identity of the data", *Record::default().set_job_digest(&[1; 32])),
        ("bit k", *Record::default().set_window(&[1; 32])),
        ("three hashes", *Record::default().set_intended(&[[1; 32]; 3])),
        ("hash of the last", *Record::default().set_reverted(&[1; 32])),
        ("identity of the data it", *Record::default().set_reverted_job(&[1; 32])),
        ("length of the job id", *Record::default().set_job_id("x")),
        ("version number of", *Record::default().set_version_number(Some(u32::MAX))),
    ];
    let blank = none.encode(1);
    for (name, record) in changed {
        let name = name.trim_matches('`');
        let (offset, size, _) =
            *rows.iter().find(|row| row.2.starts_with(name)).unwrap_or_else(|| panic!("no field {name}"));
        let bytes = record.encode(1);
        let differs = |at: &usize| bytes[*at] != blank[*at];
        assert!((offset..offset + size).all(|at| differs(&at)), "{name} fills its place");
        // Beside the field only its flag, the id itself and the CRC may differ.
        let allowed =
            |at: &usize| (offset..offset + size).contains(at) || *at == 6 || *at == 44 || *at >= 396;
        assert!((0..bytes.len()).filter(differs).all(|at| allowed(&at)), "{name} keeps to its place");
    }
    assert_eq!(&blank[..5], b"OTAJ\x01");
    assert_eq!((none.encode(0x0403_0201)[8..12]).to_vec(), [1, 2, 3, 4]);
}

#[test]
fn phases() {
    let table: Vec<_> = section("Record")
        .into_iter()
        .map(cells)
        .filter_map(|row| Some((row.first()?.to_string(), row.get(1)?.parse::<u8>().ok()?)))
        .filter(|(name, _)| name.parse::<u32>().is_err())
        .collect();
    let phases: Vec<_> = (0..=u8::MAX)
        .filter_map(Phase::from_number)
        .map(|phase| (format!("{phase:?}"), phase.number()))
        .collect();
    assert_eq!(table, phases);
}

#[test]
fn defaults() {
    let Timing { request_ms, block_ms, retry_ms, retry_max_ms, self_test_ms, poll_ms } = Timing::DEFAULT;
    let config = Config::new("T", &[]);
    let table: Vec<_> = section("12. Defaults").into_iter().flat_map(cells).collect();
    for (name, value) in [
        ("block_size", config.block_size),
        ("window_max", config.window_max.into()),
        ("blocks_per_second", config.blocks_per_second.into()),
        ("absorb_ms", config.absorb_ms),
        ("range_size", config.range_size),
        ("record_blocks", config.record_blocks.into()),
        ("progress_blocks", config.progress_blocks.into()),
        ("useless_max", config.useless_max.into()),
        ("request_ms", request_ms),
        ("block_ms", block_ms),
        ("retry_ms", retry_ms),
        ("retry_max_ms", retry_max_ms),
        ("self_test_ms", self_test_ms),
        ("poll_ms", poll_ms),
    ] {
        let at =
            table.iter().position(|cell| *cell == name).unwrap_or_else(|| panic!("no default of {name}"));
        assert_eq!(table[at + 1].replace(',', ""), value.to_string(), "{name}");
    }
    assert!(config.expected_version && config.format == Format::Cbor && config.planes == [Plane::Mqtt]);
}
