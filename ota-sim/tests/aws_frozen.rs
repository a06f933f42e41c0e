//! Wire shapes of the stand-in against literal bytes of AWS' documentation and live captures.

use ota_sim::aws::{
    EmptyNext, Format, Kind, OtaFile, OtaSpec, Outgoing, Service, ServiceConfig, Stream, StreamError, To,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const THING: &str = "dev-7";
const JOB: &str = "AFR_OTA-rel-12";
const STREAM: &str = "AFR_OTA-00000000-1111-2222-3333-444444444444";

/// A service whose clock shows 1718000000 at 10,000 ms.
fn service() -> Service {
    Service::new(ServiceConfig { epoch_s: 1_717_999_990, ..ServiceConfig::default() })
}

fn document() -> String {
    let content = vec![0; 10_000];
    OtaSpec::mqtt(content, "MAYCAQECAQE=").document(Some(STREAM))
}

fn with_job() -> Service {
    let mut service = service();
    assert!(service.create_job(0, THING, JOB, &document(), None));
    service.tick(0);
    service
}

fn ask(service: &mut Service, path: &str, body: &str) -> (String, String) {
    let topic = format!("$aws/things/{THING}/{path}");
    let mut out = service.publish(10_000, THING, &topic, body.as_bytes());
    let answer = out.remove(0);
    assert_eq!((answer.to, answer.qos), (To::Requester, 1));
    let path = answer.topic.strip_prefix("$aws/things/dev-7/").expect("own topic").to_owned();
    (path, String::from_utf8(answer.payload).expect("UTF-8"))
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn job_document_over_mqtt() {
    assert_eq!(
        document(),
        r#"{"afr_ota":{"protocols":["MQTT"],"streamname":"AFR_OTA-00000000-1111-2222-3333-444444444444","files":[{"filepath":"/fw/app.bin","filesize":10000,"fileid":0,"certfile":"/sec/codesign.pem","sig-sha256-ecdsa":"MAYCAQECAQE="}]}}"#
    );
}

#[test]
fn job_document_over_both_planes() {
    let url = "https://bucket.s3.eu-central-1.amazonaws.com/app.bin?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1800&X-Amz-Signature=00";
    let file = OtaFile {
        announced_size: Some(524_288),
        file_type: Some(0),
        url: Some(url.into()),
        ..OtaFile::firmware(Vec::new(), "MAYCAQECAQE=")
    };
    let spec = OtaSpec { protocols: vec!["MQTT".into(), "HTTP".into()], files: vec![file] };
    assert_eq!(
        spec.document(Some(STREAM)),
        r#"{"afr_ota":{"protocols":["MQTT","HTTP"],"streamname":"AFR_OTA-00000000-1111-2222-3333-444444444444","files":[{"filepath":"/fw/app.bin","filesize":524288,"fileid":0,"certfile":"/sec/codesign.pem","fileType":0,"update_data_url":"https://bucket.s3.eu-central-1.amazonaws.com/app.bin?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1800&X-Amz-Signature=00","auth_scheme":"aws.s3.presigned","sig-sha256-ecdsa":"MAYCAQECAQE="}]}}"#
    );
}

#[test]
fn describe_next_with_a_queued_job() {
    let (path, body) = ask(&mut with_job(), "jobs/$next/get", r#"{"clientToken":"0:dev-7"}"#);
    assert_eq!(path, "jobs/$next/get/accepted");
    let expected = format!(
        r#"{{"clientToken":"0:dev-7","timestamp":1718000000,"execution":{{"jobId":"AFR_OTA-rel-12","status":"QUEUED","queuedAt":1717999990,"lastUpdatedAt":1717999990,"versionNumber":1,"executionNumber":1,"jobDocument":{}}}}}"#,
        document()
    );
    assert_eq!(body, expected);
}

#[test]
fn describe_next_without_a_job() {
    let mut service = service();
    service.add_thing(THING);
    for (shape, expected) in [
        (EmptyNext::Absent, r#"{"clientToken":":dev-7","timestamp":1718000000}"#),
        (EmptyNext::EmptyObject, r#"{"clientToken":":dev-7","timestamp":1718000000,"execution":{}}"#),
        (EmptyNext::Null, r#"{"clientToken":":dev-7","timestamp":1718000000,"execution":null}"#),
    ] {
        service.config_mut().empty_next = shape;
        assert_eq!(ask(&mut service, "jobs/$next/get", r#"{"clientToken":":dev-7"}"#).1, expected);
    }
}

#[test]
fn describe_in_self_test_without_document() {
    let mut service = with_job();
    let update = r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"ready","updatedBy":"0x90002"}}"#;
    assert_eq!(ask(&mut service, "jobs/AFR_OTA-rel-12/update", update).1, r#"{"timestamp":1718000000}"#);
    let (path, body) = ask(&mut service, "jobs/AFR_OTA-rel-12/get", r#"{"includeJobDocument":false}"#);
    assert_eq!(path, "jobs/AFR_OTA-rel-12/get/accepted");
    assert_eq!(
        body,
        r#"{"timestamp":1718000000,"execution":{"jobId":"AFR_OTA-rel-12","status":"IN_PROGRESS","statusDetails":{"self_test":"ready","updatedBy":"0x90002"},"queuedAt":1717999990,"startedAt":1718000000,"lastUpdatedAt":1718000000,"versionNumber":2,"executionNumber":1}}"#
    );
}

#[test]
fn pending_lists() {
    let mut service = with_job();
    service.create_job(5_000, THING, "custom", r#"{"x":1}"#, None);
    ask(&mut service, "jobs/custom/update", r#"{"status":"IN_PROGRESS"}"#);
    let (path, body) = ask(&mut service, "jobs/get", r#"{"clientToken":"t"}"#);
    assert_eq!(path, "jobs/get/accepted");
    assert_eq!(
        body,
        r#"{"inProgressJobs":[{"jobId":"custom","queuedAt":1717999995,"startedAt":1718000000,"lastUpdatedAt":1718000000,"versionNumber":2,"executionNumber":1}],"queuedJobs":[{"jobId":"AFR_OTA-rel-12","queuedAt":1717999990,"lastUpdatedAt":1717999990,"versionNumber":1,"executionNumber":1}],"timestamp":1718000000,"clientToken":"t"}"#
    );
}

#[test]
fn update_with_state_and_document() {
    let mut service = service();
    service.create_job(0, THING, "custom", r#"{"x":1}"#, None);
    let update = r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"64/1792"},"includeJobExecutionState":true,"includeJobDocument":true,"clientToken":"c1"}"#;
    assert_eq!(
        ask(&mut service, "jobs/custom/update", update).1,
        r#"{"timestamp":1718000000,"clientToken":"c1","executionState":{"status":"IN_PROGRESS","statusDetails":{"receive":"64/1792"},"versionNumber":2},"jobDocument":{"x":1}}"#
    );
}

#[test]
fn rejection_with_state() {
    let mut service = with_job();
    for _ in 0..4 {
        ask(&mut service, "jobs/AFR_OTA-rel-12/update", r#"{"status":"IN_PROGRESS"}"#);
    }
    let update = r#"{"status":"SUCCEEDED","expectedVersion":4,"clientToken":"c1"}"#;
    let (path, body) = ask(&mut service, "jobs/AFR_OTA-rel-12/update", update);
    assert_eq!(path, "jobs/AFR_OTA-rel-12/update/rejected");
    assert_eq!(
        body,
        r#"{"clientToken":"c1","code":"VersionMismatch","message":"expected version 4, stored is 5","timestamp":1718000000,"executionState":{"status":"IN_PROGRESS","statusDetails":{},"versionNumber":5}}"#
    );
}

#[test]
fn pushes_with_and_without_a_next_job() {
    let mut service = service();
    service.create_job(0, THING, "custom", r#"{"x":1}"#, None);
    let pushed = |messages: Vec<Outgoing>| -> Vec<(String, String)> {
        let text = |m: Outgoing| (m.topic, String::from_utf8(m.payload).expect("UTF-8"));
        messages
            .into_iter()
            .inspect(|m| assert_eq!((m.to, &m.kind), (To::Subscribers, &Kind::Push)))
            .map(text)
            .collect()
    };
    assert_eq!(
        pushed(service.tick(10_000)),
        [
            (
                "$aws/things/dev-7/jobs/notify".into(),
                r#"{"timestamp":1717999990,"jobs":{"QUEUED":[{"jobId":"custom","queuedAt":1717999990,"lastUpdatedAt":1717999990,"versionNumber":1,"executionNumber":1}]}}"#.into()
            ),
            (
                "$aws/things/dev-7/jobs/notify-next".into(),
                r#"{"timestamp":1717999990,"execution":{"jobId":"custom","status":"QUEUED","queuedAt":1717999990,"lastUpdatedAt":1717999990,"versionNumber":1,"executionNumber":1,"jobDocument":{"x":1}}}"#.into()
            ),
        ]
    );
    service.cancel(10_000, "custom", false);
    assert_eq!(
        pushed(service.tick(10_000)),
        [
            ("$aws/things/dev-7/jobs/notify".into(), r#"{"timestamp":1718000000,"jobs":{}}"#.into()),
            ("$aws/things/dev-7/jobs/notify-next".to_string(), r#"{"timestamp":1718000000}"#.to_string()),
        ]
    );
}

fn stream(content: Vec<u8>) -> Service {
    let mut service = service();
    service.add_stream(Stream {
        id: STREAM.into(),
        version: 1,
        description: "fw".into(),
        files: BTreeMap::from([(0, Arc::from(content))]),
        broken: None,
    });
    service
}

fn stream_ask(service: &mut Service, operation: &str, body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let topic = format!("$aws/things/{THING}/streams/{STREAM}/{operation}");
    let prefix = format!("$aws/things/{THING}/streams/{STREAM}/");
    let answers = service.publish(0, THING, &topic, body);
    answers
        .into_iter()
        .map(|m| {
            assert_eq!((m.to, m.qos), (To::Subscribers, 0));
            (m.topic.strip_prefix(&prefix).expect("own stream").to_owned(), m.payload)
        })
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Vector A asks for all ten blocks of a 10,000-byte file; the last block is R4, without token 802 bytes.
#[test]
fn last_block_of_a_file() {
    let payload: Vec<u8> = (0..784u32).map(|k| (7 * k + 9) as u8).collect();
    let mut content = vec![0; 9 * 1024];
    content.extend(&payload);
    let mut service = stream(content);
    service.config_mut().echo_token_in_blocks = false;
    let request = hex("a6616363726479616600616c190400616f00616242ff03616e1880");
    let blocks = stream_ask(&mut service, "get/cbor", &request);
    assert_eq!(blocks.len(), 10);
    let (topic, last) = &blocks[9];
    assert_eq!(topic, "data/cbor");
    assert_eq!(last.len(), 802);
    assert_eq!(sha256(last), "58687358a6a954d31f72386086560182fc48fcc8d816e3e66224dcaf66ff2a3b");
    assert_eq!(last[..20], hex("bf616600616909616c1903106170590310091017"));
    assert_eq!(last[798..], hex("646b72ff"));
    // C asks for what is left after 0, 1, 2, 4; B for one block only.
    let request = hex("a6616363726479616600616c190400616f00616242e803616e1880");
    assert_eq!(stream_ask(&mut service, "get/cbor", &request).len(), 6);
    let request = hex("a6616363726479616600616c190400616f00616242ff03616e01");
    assert_eq!(stream_ask(&mut service, "get/cbor", &request).len(), 1);
}

/// R5: block 300 of 4 KiB blocks.
#[test]
fn a_block_with_a_large_id() {
    let mut content = vec![0; 300 * 4096];
    content.extend((0..4096u32).map(|k| (7 * k + 300) as u8));
    let mut service = stream(content);
    service.config_mut().echo_token_in_blocks = false;
    // {"f":0,"l":4096,"o":300,"n":1}
    let blocks = stream_ask(&mut service, "get/cbor", &hex("a4616600616c191000616f19012c616e01"));
    assert_eq!(blocks[0].1.len(), 4116);
    assert_eq!(sha256(&blocks[0].1), "344d792907173da40bc307ef679174516ddac0d153c215ffdc1e300698186610");
}

/// R2 in shape (token first), with the smallest legal block: a 16-byte file.
#[test]
fn token_and_json_forms_of_a_block() {
    let mut service = stream((0..16).collect());
    // {"c":"rdy","f":0,"l":256,"o":0,"n":1}
    let blocks = stream_ask(&mut service, "get/cbor", &hex("a5616363726479616600616c190100616f00616e01"));
    let expected = hex("bf616363726479616600616900616c10617050000102030405060708090a0b0c0d0e0fff");
    assert_eq!(blocks, [("data/cbor".to_string(), expected)]);
    let blocks = stream_ask(&mut service, "get/json", br#"{"s": 1,"f": 0,"l": 256,"o": 0,"n": 1}"#);
    let expected = br#"{"f":0,"i":0,"l":16,"p":"AAECAwQFBgcICQoLDA0ODw=="}"#.to_vec();
    assert_eq!(blocks, [("data/json".to_string(), expected)]);
}

/// E: blocks 20, 21, 24, 43 through a window, in CBOR and in JSON. G: four ASCII bytes as bitmap, n = 1.
#[test]
fn windows_and_odd_bitmaps() {
    let mut content = vec![0u8; 44 * 256];
    for (at, byte) in content.iter_mut().enumerate() {
        *byte = (at / 256) as u8;
    }
    let mut service = stream(content.clone());
    let stream_id = STREAM;
    let file = Arc::from(content);
    service.stream_mut(stream_id).expect("stream").files.insert(1, file);
    let request = hex("a661636131616601616c190100616f14616243130080616e1820");
    let firsts: Vec<u8> =
        stream_ask(&mut service, "get/cbor", &request).iter().map(|(_, m)| m[m.len() - 2]).collect();
    assert_eq!(firsts, [20, 21, 24, 43]);
    let request = br#"{"c":"1","f":1,"l":256,"o":20,"n":32,"b":"0x130080"}"#;
    let blocks = stream_ask(&mut service, "get/json", request);
    let head = |id: u32| format!(r#"{{"c":"1","f":1,"i":{id},"l":256,"p":""#).into_bytes();
    assert_eq!(blocks.len(), 4);
    for (block, id) in blocks.iter().zip([20, 21, 24, 43]) {
        assert!(block.1.starts_with(&head(id)));
    }
    let mut service = stream(vec![0; 6 * 4096]);
    let request = hex("a6616363726479616600616c191000616f056162444d513d3d616e01");
    let blocks = stream_ask(&mut service, "get/cbor", &request);
    assert_eq!(blocks.len(), 1);
    assert!(blocks[0].1.starts_with(&hex("bf616363726479616600616905616c191000")));
}

/// H and R6.
#[test]
fn description() {
    let mut service = stream(vec![0; 10_000]);
    assert_eq!(
        stream_ask(&mut service, "describe/cbor", &hex("a1616363726479")),
        [("description/cbor".to_string(), hex("bf6163637264796173016164626677617281a2616600617a192710ff"))]
    );
    assert_eq!(
        stream_ask(&mut service, "describe/json", b"{}"),
        [("description/json".to_string(), br#"{"s":1,"d":"fw","r":[{"f":0,"z":10000}]}"#.to_vec())]
    );
}

/// The live shape: both spellings at once.
#[test]
fn stream_errors() {
    let json = StreamError::InvalidRequest.encode(Format::Json, Some("rdy"));
    assert_eq!(
        String::from_utf8(json).expect("UTF-8"),
        r#"{"clientToken":"rdy","c":"rdy","code":"InvalidRequest","o":"InvalidRequest","message":"data requested is out of the range","m":"data requested is out of the range"}"#
    );
    let cbor = StreamError::BlockSizeOutOfBounds.encode(Format::Cbor, None);
    assert_eq!(
        cbor,
        hex(
            "a464636f646574426c6f636b53697a654f75744f66426f756e6473616f74426c6f636b53697a654f75744f66426f756e6473676d6573736167656a626c6f636b2073697a65616d6a626c6f636b2073697a65"
        )
    );
}

/// Every documented limit, at it and beyond it.
#[test]
fn stream_limits() {
    let mut service = stream(vec![0; 256 * 1024]);
    let code = |service: &mut Service, body: &str| -> Result<usize, String> {
        let answers = stream_ask(service, "get/json", body.as_bytes());
        match answers.first() {
            Some((topic, body)) if topic == "rejected/json" => {
                let text = String::from_utf8(body.clone()).expect("UTF-8");
                Err(text
                    .split(r#""code":""#)
                    .nth(1)
                    .expect("code")
                    .split('"')
                    .next()
                    .expect("end")
                    .to_owned())
            }
            _ => Ok(answers.len()),
        }
    };
    let refused = |name: &str| Err(name.to_string());
    for (body, expected) in [
        (r#"{"f":0,"l":255,"n":1}"#, refused("BlockSizeOutOfBounds")),
        (r#"{"f":0,"l":256,"n":1}"#, Ok(1)),
        (r#"{"f":0,"l":131072,"n":2}"#, Ok(1)), // 128 KB a request
        (r#"{"f":0,"l":131073,"n":1}"#, refused("BlockSizeOutOfBounds")),
        (r#"{"f":0,"l":1024,"n":256}"#, Ok(128)), // 128 KB a request
        (r#"{"f":0,"l":1024}"#, Ok(128)),         // n defaults to 131072 / l
        (r#"{"f":0,"l":1024,"o":129}"#, refused("InvalidRequest")), // and then reaches beyond the file
        (r#"{"f":0,"l":1024,"n":0}"#, Ok(0)),
        (r#"{"f":0,"l":1024,"o":98304,"n":1}"#, refused("InvalidRequest")),
        (r#"{"f":0,"l":1024,"o":98305,"n":1}"#, refused("OffsetOutOfBounds")),
        (r#"{"f":0,"l":1024,"n":98305}"#, refused("BlockCountLimitExceeded")),
        (r#"{"f":0,"l":1024,"o":256,"n":1,"b":"0x01"}"#, refused("ResourceNotFound")),
        (r#"{"f":1,"l":1024,"n":1}"#, refused("ResourceNotFound")),
        (r#"{"f":256,"l":1024,"n":1}"#, refused("InvalidRequest")),
        (r#"{"f":0,"l":1024,"n":1,"s":2}"#, refused("VersionMismatch")),
        (r#"{"f":0,"l":1024,"n":1,"b":"0x1"}"#, refused("InvalidRequest")),
        (r#"{"f":0,"n":1}"#, refused("InvalidRequest")),
        (r#"{"l":1024,"n":1}"#, refused("InvalidRequest")),
        (r#"{"f":"0","l":1024,"n":1}"#, refused("InvalidRequest")),
        (r#"[]"#, refused("InvalidJson")),
        (r#"{"f""#, refused("InvalidJson")),
    ] {
        assert_eq!(code(&mut service, body), expected, "{body}");
    }
    for (bytes, expected) in [(12_287, Ok(128)), (12_288, refused("BlockBitmapLimitExceeded"))] {
        let body = format!(r#"{{"f":0,"l":1024,"n":128,"b":"0x{}"}}"#, "ff".repeat(bytes));
        assert_eq!(code(&mut service, &body), expected, "{bytes} bytes of bitmap");
    }
    let token = |n: usize| format!(r#"{{"c":"{}","f":0,"l":1024,"n":1}}"#, "t".repeat(n));
    assert_eq!(code(&mut service, &token(64)), Ok(1));
    assert_eq!(code(&mut service, &token(65)), refused("InvalidRequest"));
    service.stream_mut(STREAM).expect("stream").broken = Some(StreamError::Unauthorized);
    assert_eq!(code(&mut service, r#"{"f":0,"l":1024,"n":1}"#), refused("Unauthorized"));
    let answers = stream_ask(&mut service, "get/cbor", b"\xff");
    assert!(answers[0].1.windows(11).any(|w| w == b"InvalidCbor"));
}

/// CBOR that is cut off is no CBOR; what is well-formed and of the wrong type is a bad request, and `null` is as absent.
#[test]
fn stream_requests_of_odd_types() {
    let mut service = stream(vec![0; 1024]);
    for (request, expected) in [
        ("a3616600616c190400616e01", "data/cbor"),
        ("a5616600616c190400616e016163f66162f6", "data/cbor"), // c and b null
        ("bf616600616c190400616e0161625f4101ffff", "data/cbor"), // indefinite, b in pieces
        ("a3616620616c190400616e01", "InvalidRequest"),        // f = -1
        ("a3616600616c190400616e20", "InvalidRequest"),        // n = -1
        ("a3616600616c6431303234616e01", "InvalidRequest"),    // l a text
        ("a4616600616c190400616e0161626430783031", "InvalidRequest"), // b a text
        ("a1016100", "InvalidRequest"),                        // a key that is no text
        ("a3616600616c190400616e", "InvalidCbor"),
        ("ff", "InvalidCbor"),
        ("", "InvalidCbor"),
    ] {
        let (topic, body) = stream_ask(&mut service, "get/cbor", &hex(request)).remove(0);
        let text = if topic == "data/cbor" { topic } else { String::from_utf8_lossy(&body).into_owned() };
        assert!(text.contains(expected), "{request}: {text}");
    }
}
