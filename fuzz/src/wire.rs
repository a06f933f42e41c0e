//! Messages of Jobs and streams, in JSON and CBOR: all parsers on the same bytes.

use ota_core::agent::Message;
use ota_core::driver::decode;
use ota_core::transport::Received;
use ota_core::wire::*;

use crate::bytes::{Bytes, assert_inside};
use crate::cbor::{self, Field, NoFields};
use crate::{job, json};

/// Bytes a block in JSON is decoded into.
const SCRATCH: usize = 512;
const FORMATS: [Format; 2] = [Format::Cbor, Format::Json];

pub(crate) fn run(message: &[u8]) {
    let tree = json::check(message);
    job::check(message, tree.as_ref());
    check_cbor_block(message);
    if let Some(tree) = &tree {
        check_json_block(message, tree);
    }
    for format in FORMATS {
        check_request(format, message);
        check_written(format, message);
        check_driver(format, message);
        let mut files = [StreamFile::default(); 4];
        if let Ok(description) = parse_description(format, message, &mut files) {
            assert!(description.file_count <= files.len());
            assert_inside(message, description.description.unwrap_or_default().as_bytes());
        }
        if let Ok(error) = parse_stream_error(format, message) {
            assert_inside(message, error.message.unwrap_or_default().as_bytes());
            assert_inside(message, error.token.0.unwrap_or_default().as_bytes());
        }
    }
    json::check_base64(message);
}

fn check_cbor_block(message: &[u8]) {
    let ours = decode_block(Format::Cbor, message, &mut []);
    let fields = cbor::fields(message);
    let number = |name: &str| match cbor::get(fields.as_ref().ok()?, name) {
        Some(Field::Number(number)) => u32::try_from(*number).ok(),
        _ => None,
    };
    let theirs = || {
        let fields = fields.as_ref().ok()?;
        let unique = |name: &&str| fields.iter().filter(|field| field.0 == **name).count() == 1;
        let (Some(Field::Bytes(payload)), true) =
            (cbor::get(fields, "p"), ["f", "i", "l", "p"].iter().all(unique))
        else {
            return None;
        };
        let size = number("l")? as usize;
        (size == payload.len()).then_some(())?;
        Some((number("f")?, number("i")?, payload.as_slice()))
    };
    match (ours, theirs()) {
        (Ok(Block { file_id, block_id, payload }), theirs) => {
            assert_inside(message, payload);
            if fields != Err(NoFields::Unknown) {
                assert_eq!(Some((file_id, block_id, payload)), theirs, "minicbor: {fields:?}");
            }
        }
        // That crate passes over a map whose last name has no value.
        (Err(StreamDecodeError::Malformed), _)
            if fields.iter().flatten().any(|field| field.1 == Field::Other) => {}
        // Bounds of this library.
        (Err(StreamDecodeError::TooDeep | StreamDecodeError::Chunked), _) | (Err(_), None) => {}
        (Err(error), Some(theirs)) => panic!("{error:?}, but minicbor: {theirs:?}"),
    }
}

fn check_json_block(message: &[u8], tree: &serde_json::Value) {
    let mut out = [0; SCRATCH];
    match decode_block(Format::Json, message, &mut out) {
        Ok(Block { file_id, block_id, payload }) => {
            let theirs = <base64ct::Base64 as base64ct::Encoding>::decode_vec(tree["p"].as_str().expect("p"));
            assert_eq!(theirs.as_deref(), Ok(payload));
            let numbers = [file_id, block_id, payload.len() as u32].map(u64::from).map(Some);
            assert_eq!(["f", "i", "l"].map(|name| tree[name].as_u64()), numbers);
        }
        Err(error) => {
            let theirs = tree["p"].as_str().map(<base64ct::Base64 as base64ct::Encoding>::decode_vec);
            let Some(Ok(payload)) = theirs else { return };
            let small = |name: &&str| tree[*name].as_u64().is_some_and(|number| number <= u32::MAX.into());
            let whole = tree["l"].as_u64() == Some(payload.len() as u64) && ["f", "i"].iter().all(small);
            assert!(!whole || payload.len() > SCRATCH, "{error:?}, but it is a block");
        }
    }
}

/// A request that was read and may be sent is read again from what is written.
fn check_request(format: Format, message: &[u8]) {
    let mut bitmap = [0; SCRATCH];
    let Ok(request) = parse_get_stream(format, message, &mut bitmap) else { return };
    let mut buf = vec![0; message.len() + SCRATCH];
    for format in FORMATS {
        let Ok(size) = request.encode(format, &mut buf) else { continue };
        let mut bitmap = vec![0; request.bitmap.len()];
        assert_eq!(parse_get_stream(format, &buf[..size], &mut bitmap), Ok(request));
    }
}

/// Whatever is written is read as the same.
fn check_written(format: Format, message: &[u8]) {
    let mut bytes = Bytes(message);
    let (file_id, block_id) = (bytes.u32(), bytes.u32());
    let mut buf = vec![0; message.len() * 2 + 128];
    let size = encode_block(format, &mut buf, None, file_id, block_id, bytes.0).expect("there is room");
    let mut out = vec![0; bytes.0.len()];
    let block = Block { file_id, block_id, payload: bytes.0 };
    assert_eq!(decode_block(format, &buf[..size], &mut out), Ok(block));

    let text = String::from_utf8_lossy(message);
    let details = [("reason", &*text), ("detail", "1")];
    let update = Update {
        status: JobStatus::Failed,
        details: &details,
        expected_version: Some(file_id),
        execution_number: Some(block_id.into()),
        include_state: true,
        token: Some("0:d"),
    };
    let mut buf = [0; 1024];
    let size = encode_update(&mut buf, &update).expect("values are made acceptable");
    let tree = json::check(&buf[..size]).expect("it is JSON");
    let reason = tree["statusDetails"]["reason"].as_str().expect("it was written");
    assert!(
        (1..=update::MAX_DETAIL_SIZE).contains(&reason.len())
            && reason.bytes().all(|b| matches!(b, b' '..=b'~'))
    );
    assert_eq!((&tree["status"], tree["expectedVersion"].as_u64()), (&"FAILED".into(), Some(file_id.into())));
}

/// The driver hands on what the parsers read.
fn check_driver(format: Format, message: &[u8]) {
    let topic = |end: &str| format!("$aws/things/d/{end}");
    let is_useless = |topic: String| {
        let mut scratch = [0; SCRATCH];
        let received = Received { topic: &topic, payload: message };
        matches!(decode("d", &received, &mut scratch), Message::Useless(_))
    };
    let mut scratch = [0; SCRATCH];
    let block = decode_block(format, message, &mut scratch).is_err();
    assert_eq!(is_useless(topic(&format!("streams/s/data/{}", format.as_str()))), block);
    let rejected = parse_stream_error(format, message).is_err();
    assert_eq!(is_useless(topic(&format!("streams/s/rejected/{}", format.as_str()))), rejected);
    assert_eq!(is_useless(topic("jobs/$next/get/accepted")), parse_describe(message).is_err());
    assert_eq!(is_useless(topic("jobs/j/update/rejected")), parse_update(message).is_err());
}

const JSON: [&str; 6] = [
    r#"{"timestamp":1718000900,"clientToken":"0:d","execution":{"jobId":"AFR_OTA-r","status":"IN_PROGRESS","statusDetails":{"self_test":"ready","updatedBy":"0x90002"},"versionNumber":14,"executionNumber":1,"jobDocument":{"afr_ota":{"protocols":["MQTT","HTTP"],"streamname":"AFR_OTA-0","files":[{"filepath":"\/f\u00e4\ud83d\ude00","filesize":10000,"fileid":0,"fileType":0,"certfile":"c","update_data_url":"https://b","sig-sha256-ecdsa":"MAYCAQECAQE="},{"filesize":"1","fileid":1,"sig-sha1-rsa":""}]}}}}"#,
    r#"{"code":"VersionMismatch","clientToken":"0:u","executionState":{"status":"FAILED","statusDetails":{"reason":"x"},"versionNumber":5},"execution":{"jobId":"j","status":"QUEUED","jobDocument":{"a":[1,-2.5e3,null,true]}}}"#,
    r#"{"c":"t","f":0,"i":2,"l":16,"p":"AAECAwQFBgcICQoLDA0O\u0044w=="}"#,
    r#"{"c":"1","f":1,"l":256,"o":20,"n":32,"b":"0x130080"}"#,
    r#"{"c":"rdy","s":1,"d":"fw","r":[{"f":0,"z":10000}]}"#,
    r#"{"clientToken":"rdy","c":"rdy","code":"InvalidRequest","o":"InvalidRequest","message":"…","m":"…"}"#,
];

const CBOR: [&[u8]; 5] = [
    b"\xbf\x61c\x63rdy\x61f\x00\x61i\x02\x61l\x10\x61p\x50\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x61x\xbf\x61a\x81\xf9\0\0\x61b\x5f\x41\x01\xff\xff\xff",
    b"\xa4\x61f\x00\x61i\x02\x61l\x03\x61p\x5f\x40\x43\x01\x02\x03\x40\xff",
    b"\xa6\x61c\x61\x31\x61f\x01\x61l\x19\x01\0\x61o\x14\x61b\x43\x13\0\x80\x61n\x18\x20",
    b"\xbf\x61c\x63rdy\x61s\x01\x61d\x62fw\x61r\x81\xa2\x61f\x00\x61z\x19\x27\x10\xff",
    b"\xa3\x61o\x74BlockSizeOutOfBounds\x61m\x6ablock size\x61c\x63rdy",
];

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    // As the service writes it, which is read on a way of its own.
    let mut block = vec![0; 400];
    let size = encode_block(Format::Cbor, &mut block, None, 3, 300, &[7; 300]).expect("there is room");
    block.truncate(size);
    let json = JSON.map(|text| text.as_bytes().to_vec());
    json.into_iter().chain(CBOR.map(<[u8]>::to_vec)).chain([block]).collect()
}
