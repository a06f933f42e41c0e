//! What flash holds: journal records, image headers and TLVs, trailers.

use ota_core::geometry::{BootMode, MaxAlign};
use ota_core::image::{Header, ImageError, MAX_TLV_COUNT, TlvWalk};
use ota_core::journal::{Phase, RECORD_SIZE, Record};
use ota_core::trailer::{Flag, Magic, Pending, SwapType, Trailer, TrailerLayout, swap_type};
use ota_sim::Version;
use ota_sim::image::{ImageBuilder, Key};

use crate::bytes::Bytes;

const RECORD: usize = RECORD_SIZE as usize;
const MODES: [BootMode; 5] = [
    BootMode::Overwrite,
    BootMode::SwapScratch,
    BootMode::SwapMove,
    BootMode::SwapOffset,
    BootMode::SwapStatus,
];

pub(crate) fn run(bytes: &[u8]) {
    check_record(bytes);
    if let Some(record) = bytes.get(..RECORD) {
        // With a good checksum, which no change by chance has.
        let mut record = record.to_vec();
        let sum = crc32c(&record[..RECORD - 4]);
        record[RECORD - 4..].copy_from_slice(&sum.to_le_bytes());
        check_record(&record);
    }
    check_image(bytes);
    check_trailers(bytes);
}

/// Castagnoli's polynomial, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0x82F6_3B78 } else { 0 })
    })
}

/// What is read is a record; written again it is read as the same, and its bytes are those but for what has no meaning.
fn check_record(bytes: &[u8]) {
    let Some((record, sequence)) = Record::decode(bytes) else { return };
    let again = record.encode(sequence);
    assert_eq!(Record::decode(&again), Some((record, sequence)));
    assert_eq!(crc32c(&bytes[..RECORD - 4]).to_le_bytes(), bytes[RECORD - 4..RECORD]);
    assert_eq!({ record }.set_job_id(record.job_id()), &record);
    if record.version_number().is_some() {
        assert_eq!(again[..], bytes[..RECORD]);
    }
    for block in
        [0, 1, record.front().wrapping_sub(1), record.front(), record.front().wrapping_add(255), u32::MAX]
    {
        assert!(record.is_held(block) || block >= record.front());
    }
}

fn check_image(bytes: &[u8]) {
    let Ok(header) = Header::parse(bytes) else { return };
    assert!(u32::from(header.header_size) >= 32);
    let (start, hashed) = (header.tlv_start().expect("checked"), header.hashed_size().expect("checked"));
    assert!(start >= 32 && hashed >= start);
    for limit in [bytes.len() as u32, hashed.saturating_add(8), u32::MAX] {
        check_tlvs(bytes, &header, limit);
    }
}

/// The walk stays inside the limit, goes forward, and ends; what is behind the bytes counts as zeros.
fn check_tlvs(bytes: &[u8], header: &Header, limit: u32) {
    let mut walk = match TlvWalk::new(header, limit) {
        Ok(walk) => walk,
        Err(error) => return assert_eq!(error, ImageError::TooLarge),
    };
    let (mut end, mut count) = (header.tlv_start().expect("checked"), 0);
    while let Some(at) = walk.at() {
        assert!(at >= end && at <= limit - 4, "{at} of {limit}");
        let head = (0..4).map(|byte| bytes.get(at as usize + byte).copied().unwrap_or(0));
        let head: Vec<u8> = head.collect();
        let Ok(entry) = walk.step([head[0], head[1], head[2], head[3]]) else { return };
        end = at + 4;
        if let Some(tlv) = entry {
            assert_eq!(tlv.at, end);
            end += u32::from(tlv.len);
            assert!(end <= limit, "an entry beyond the limit");
            assert!(
                !tlv.protected || end <= header.hashed_size().expect("checked"),
                "protected, but not hashed"
            );
            count += 1;
            assert!(count <= MAX_TLV_COUNT);
        }
    }
    assert_eq!(walk.size(), end);
    assert!(end <= limit);
}

fn check_trailers(bytes: &[u8]) {
    let mut choice = Bytes(bytes);
    let (mode, erased) = (choice.pick(&MODES), choice.pick(&[0xFF, 0]));
    let align = choice.pick(&[MaxAlign::M8, MaxAlign::M16, MaxAlign::M32]);
    let layout = TrailerLayout::new(0x1000, align, mode);
    let size = layout.info_size() as usize;
    let mut trailers = [Trailer::UNSET; 2];
    for trailer in &mut trailers {
        // Nothing, a request or any bytes, the magic good where so chosen.
        let kind = choice.u8();
        let mut tail = vec![erased; size];
        for (place, byte) in tail.iter_mut().zip(choice.take(if kind & 1 == 0 { size } else { 0 })) {
            *place = *byte;
        }
        for field in 0..3 {
            let byte = choice.u8();
            tail[field * align.bytes() as usize] =
                if kind & 8 == 0 { choice.pick(&[erased, 1, 2, byte]) } else { byte };
        }
        if kind & 2 == 0 {
            tail[size - 16..].copy_from_slice(align.magic());
        }
        assert_eq!(Trailer::decode(&tail[1..], &layout, erased), None, "too short");
        let read = Trailer::decode(&tail, &layout, erased).expect("it is long enough");
        check_fields(&tail, align, erased, &read);
        *trailer = read;
    }
    let [primary, secondary] = trailers;
    assert_eq!(swap_type(mode, &primary, &secondary), by_table(mode, &primary, &secondary));
    check_request(mode, &layout, erased, &mut choice);
}

fn check_fields(tail: &[u8], align: MaxAlign, erased: u8, read: &Trailer) {
    let flag = |byte: u8| match byte {
        byte if byte == erased => Flag::Unset,
        1 => Flag::Set,
        _ => Flag::Bad,
    };
    let step = align.bytes() as usize;
    assert_eq!((read.image_ok, read.copy_done), (flag(tail[2 * step]), flag(tail[step])));
    let magic = &tail[tail.len() - 16..];
    assert_eq!(read.magic == Magic::Good, magic == align.magic());
    assert_eq!(read.magic == Magic::Unset, magic.iter().all(|byte| *byte == erased));
    if tail[0] == erased {
        assert_eq!(read.swap_info, (SwapType::None, 0));
    } else if (1..=4).contains(&(tail[0] & 15)) {
        assert_eq!((read.swap_info.0 as u8, read.swap_info.1), (tail[0] & 15, tail[0] >> 4));
    }
}

/// MCUboot's table as a table: magic of both, `image_ok` of both, `copy_done` of both, and what follows; `None`: any.
fn by_table(mode: BootMode, primary: &Trailer, secondary: &Trailer) -> SwapType {
    type Row = (Option<Magic>, Option<Magic>, [Option<Flag>; 2], [Option<Flag>; 2], SwapType);
    let (good, set, unset) = (Some(Magic::Good), Some(Flag::Set), Some(Flag::Unset));
    let rows: [Row; 4] = [
        (None, good, [None, unset], [None, set], SwapType::Revert),
        (None, good, [None, unset], [None, None], SwapType::Test),
        (None, good, [None, set], [None, None], SwapType::Permanent),
        (good, None, [unset, None], [set, None], SwapType::Revert),
    ];
    // The first row is swap-offset's alone.
    let rows = if mode == BootMode::SwapOffset { &rows[..] } else { &rows[1..] };
    let is = |wanted: Option<Flag>, found: Flag| wanted.is_none_or(|wanted| wanted == found);
    let fits = |row: &&Row| {
        row.0.is_none_or(|magic| magic == primary.magic)
            && row.1.is_none_or(|magic| magic == secondary.magic)
            && is(row.2[0], primary.image_ok)
            && is(row.2[1], secondary.image_ok)
            && is(row.3[0], primary.copy_done)
            && is(row.3[1], secondary.copy_done)
    };
    rows.iter().find(fits).map_or(SwapType::None, |row| row.4)
}

/// What a request writes is read as that request.
fn check_request(mode: BootMode, layout: &TrailerLayout, erased: u8, choice: &mut Bytes<'_>) {
    let (pending, image) = (choice.pick(&[Pending::Test, Pending::Permanent]), choice.u8() & 15);
    let from = layout.swap_info();
    let tail: Vec<u8> = (from..0x1000).map(|at| layout.request_byte(pending, image, erased, at)).collect();
    let read = Trailer::decode(&tail, layout, erased).expect("it is long enough");
    let wanted = if pending == Pending::Test { SwapType::Test } else { SwapType::Permanent };
    assert_eq!(swap_type(mode, &Trailer::UNSET, &read), wanted);
    if mode != BootMode::SwapStatus {
        assert_eq!(read.swap_info, (wanted, image));
    }
}

/// A record with something in every field.
pub(crate) fn record(number: u32) -> Record {
    let byte = number as u8;
    *Record::default()
        .set_phase(Phase::from_number(byte % 8).unwrap_or_default())
        .set_job_id(&format!("AFR_OTA-{number}"))
        .set_execution_number(u64::from(number) << 33)
        .set_job_digest(&[byte; 32])
        .set_version_number(Some(number))
        .set_started(true)
        .set_updated_by(0x0009_0000)
        .set_block_size(4096)
        .set_front(number)
        .set_window(&[!byte; 32])
        .set_intended(&[[byte; 32], [0; 32], [!byte; 32]])
        .set_reverted(&[byte ^ 0x55; 32])
        .set_detail(number)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let version = Version { major: 1, minor: 2, revision: 3, build: 4 };
    let image = ImageBuilder::with_random_payload(version, 100, 1).header_size(32);
    let counted =
        ImageBuilder::with_random_payload(version, 100, 1).security_counter(7).dependency(1, version);
    let key = Key::from_seed(1);
    vec![
        record(77).encode(9).to_vec(),
        image.unsigned(),
        image.signed(&key),
        counted.signed(&key),
        vec![2; 200],
    ]
}
