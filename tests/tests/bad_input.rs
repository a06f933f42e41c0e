//! Bad input: each ends in its documented outcome with its fixed reason, and the old image still runs.

use ota_core::geometry::BootMode;
use ota_core::policy::Drop;
use ota_core::status::Reason;
use ota_sim::aws::{Message, OtaSpec, Status};
use ota_sim::image::{Corruption, Key, corrupt};
use ota_tests::{Kind, Mangle, Scenario, firmware};

type Tamper = fn(&mut OtaSpec, &Key);

fn device() -> Scenario {
    Scenario::new(Kind::Nor4k, BootMode::SwapMove)
}

/// Bad documents and bad images, as the job says them.
#[test]
fn bad_jobs() {
    let cases: &[(&str, Tamper, Status, Reason)] = &[
        ("zero size", |s, _| s.files[0].announced_size = Some(0), Status::Rejected, Reason::ZeroSize),
        (
            "larger than the slot",
            |s, _| s.files[0].announced_size = Some(0xA000),
            Status::Rejected,
            Reason::FileTooLarge,
        ),
        (
            "unknown protocol",
            |s, _| s.protocols = vec!["COAP".into()],
            Status::Rejected,
            Reason::UnknownProtocol,
        ),
        ("no file", |s, _| s.files.clear(), Status::Rejected, Reason::DocumentMalformed),
        ("base64", |s, _| signature(s, "MEUC*QDx"), Status::Failed, Reason::SignatureInvalid),
        ("two of one id", |s, _| s.files.push(s.files[0].clone()), Status::Rejected, Reason::DuplicateFileId),
        ("no destination", |s, _| s.files[0].id = 9, Status::Rejected, Reason::NoDestination),
        ("no magic", |s, k| respoil(s, k, Corruption::Magic), Status::Rejected, Reason::NotAnImage),
        (
            "truncated",
            |s, k| respoil(s, k, Corruption::Truncated(9_000)),
            Status::Rejected,
            Reason::ImageTruncated,
        ),
        ("payload", |s, k| respoil(s, k, Corruption::Payload), Status::Failed, Reason::ImageHash),
        ("hash", |s, k| respoil(s, k, Corruption::Hash), Status::Failed, Reason::ImageHash),
        ("wrong signature", |s, _| s.files[0].content[5_000] ^= 1, Status::Failed, Reason::SignatureInvalid),
    ];
    let mut wrong = Vec::new();
    for (name, tamper, status, reason) in cases {
        let report = device().tampered(*tamper).run();
        report.assert_sane(name);
        let told = (report.status, report.reason.split(':').next().unwrap_or_default());
        if told != (*status, reason.spelling()) || !report.old_runs() || report.resets > 0 {
            wrong.push(format!("{name}: {told:?} instead of {:?}", (status, reason.spelling())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn signature(spec: &mut OtaSpec, base64: &str) {
    spec.files[0].signature = Some(("sig-sha256-ecdsa".into(), base64.into()));
}

/// Spoils the image; the job's signature over it is good.
fn respoil(spec: &mut OtaSpec, key: &Key, corruption: Corruption) {
    spec.files[0] = firmware(corrupt(spec.files[0].content.clone(), corruption), key);
}

/// A job message larger than the receive buffer never arrives, and is found out.
#[test]
fn oversized_document() {
    let mut scenario = device();
    scenario.link.max_packet_size = Some(600);
    scenario.block_size = 256;
    let long: Tamper = |spec, _| spec.files[0].path = Some("x".repeat(900));
    let report = scenario.tampered(long).run();
    report.assert_refused("oversized", Status::Failed, Reason::DocumentTooLarge);
}

fn is_block(message: &Message) -> bool {
    message.topic.contains("/streams/") && message.topic.contains("/data/")
}

/// A copy of each block, made wrong, in front of the good one.
fn beside(message: Message, spoil: impl Fn(&mut Message)) -> Vec<Message> {
    if !is_block(&message) {
        return vec![message];
    }
    let mut bad = message.clone();
    spoil(&mut bad);
    vec![bad, message]
}

/// Blocks nobody asked for and messages nobody can read: dropped and counted, the update goes through.
#[test]
fn bad_messages_do_no_harm() {
    // CBOR: "af" 0 then "ai" n, each key one letter (0x61 and itself).
    let cases: &[(&str, Mangle, Option<Drop>)] = &[
        ("wrong stream", |_, m| beside(m, |b| b.topic = b.topic.replace("AFR_OTA", "AFR_OTB")), None),
        ("wrong file", |_, m| beside(m, |b| patch(b, b"\x61f", 7)), Some(Drop::WrongFile)),
        ("out of window", |_, m| beside(m, |b| patch(b, b"\x61i", 0x17)), None),
        ("doubled", |_, m| beside(m, |_| {}), Some(Drop::Duplicate)),
        ("empty", |_, m| beside(m, |b| b.payload.clear()), Some(Drop::Undecodable)),
        ("nested", |_, m| beside(m, |b| b.payload = vec![0x81; 900]), Some(Drop::Undecodable)),
        ("too long", |_, m| beside(m, lengthen), Some(Drop::WrongLength)),
        ("wrong job", |_, m| answers_of(m, "AFR_OTA-rel-1/", "AFR_OTA-rel-2/"), Some(Drop::Late)),
        ("wrong thing", |_, m| answers_of(m, "things/dev-7/", "things/dev-8/"), Some(Drop::Unknown)),
        ("doubled answers", |_, m| vec![m.clone(), m], Some(Drop::Late)),
        ("foreign topic", |_, m| beside(m, |b| b.topic = "$aws/things/other/jobs/notify-next".into()), None),
    ];
    for (name, mangle, why) in cases {
        let mut scenario = device();
        scenario.mangle = *mangle;
        let report = scenario.run();
        report.assert_updated(name);
        assert!(report.statistics.dropped > 0, "{name}: nothing was dropped: {report:#?}");
        assert!(why.is_none_or(|why| report.dropped.contains(&why)), "{name}: {:?}", report.dropped);
    }
}

/// A copy of each answer of Jobs, under another name, in front of the good one.
fn answers_of(message: Message, name: &str, other: &str) -> Vec<Message> {
    let topic = message.topic.replace(name, other);
    if topic == message.topic || is_block(&message) {
        return vec![message];
    }
    vec![Message { topic, ..message.clone() }, message]
}

/// One byte more of payload, and a length that says so: two bytes of CBOR length behind "al" and "ap".
fn lengthen(message: &mut Message) {
    for key in [b"al\x19", b"apY"] {
        if let Some(at) = message.payload.windows(key.len()).position(|window| window == key) {
            message.payload[at + key.len() + 1] += 1;
        }
    }
    // Before the break that ends the map.
    message.payload.insert(message.payload.len() - 1, 0);
}

/// Sets the one-byte value behind a CBOR key.
fn patch(message: &mut Message, key: &[u8], value: u8) {
    if let Some(at) = message.payload.windows(key.len()).position(|window| window == key) {
        message.payload[at + key.len()] = value;
    }
}

/// The first answer to every status update is lost.
#[test]
fn missing_answers() {
    let report = {
        let mut scenario = device();
        scenario.mangle = |number, message| {
            let lost = message.topic.ends_with("/update/accepted") && number % 2 == 0;
            if lost { Vec::new() } else { vec![message] }
        };
        scenario.run()
    };
    report.assert_updated("missing answers");
}

/// Blocks that are all too short: given up after a bounded number of useless requests.
#[test]
fn short_blocks() {
    let mut scenario = device();
    scenario.mangle = |_, mut message| {
        if is_block(&message) {
            message.payload.truncate(40);
        }
        vec![message]
    };
    let report = scenario.run();
    report.assert_sane("short blocks");
    assert_eq!(report.status, Status::Failed, "{report:#?}");
    assert!(report.old_runs() && report.reason.contains(Reason::NoBlocks.spelling()), "{report:#?}");
}
