//! Requests to AWS IoT Jobs by literal bytes: updates as AWS' C agents send them, and what this library adds.

use ota_core::wire::update::MAX_DETAIL_SIZE;
use ota_core::wire::*;

const PROGRESS: Update<'_> = Update {
    status: JobStatus::InProgress,
    details: &[("receive", "64/1792")],
    expected_version: None,
    execution_number: None,
    include_state: false,
    token: None,
};

fn encoded(update: &Update<'_>) -> Result<String, EncodeError> {
    let mut buf = [0; 2048];
    encode_update(&mut buf, update).map(|size| str::from_utf8(&buf[..size]).unwrap().to_owned())
}

#[test]
fn updates() {
    for (update, text) in [
        (PROGRESS, r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"64/1792"}}"#),
        (
            Update { details: &[("self_test", "ready"), ("updatedBy", "0x90002")], ..PROGRESS },
            r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"ready","updatedBy":"0x90002"}}"#,
        ),
        (
            Update { status: JobStatus::Succeeded, details: &[("reason", "accepted v0.9.3")], ..PROGRESS },
            r#"{"status":"SUCCEEDED","statusDetails":{"reason":"accepted v0.9.3"}}"#,
        ),
        (
            Update { status: JobStatus::Failed, details: &[("reason", "rejected: 0x22000000")], ..PROGRESS },
            r#"{"status":"FAILED","statusDetails":{"reason":"rejected: 0x22000000"}}"#,
        ),
        (Update { status: JobStatus::Rejected, details: &[], ..PROGRESS }, r#"{"status":"REJECTED"}"#),
        (
            Update {
                expected_version: Some(u32::MAX),
                execution_number: Some(u64::MAX),
                include_state: true,
                token: Some("7:dev"),
                ..PROGRESS
            },
            r#"{"status":"IN_PROGRESS","statusDetails":{"receive":"64/1792"},"expectedVersion":4294967295,"executionNumber":18446744073709551615,"includeJobExecutionState":true,"clientToken":"7:dev"}"#,
        ),
    ] {
        assert_eq!(encoded(&update).as_deref(), Ok(text));
        let mut buf = vec![0; text.len()];
        assert_eq!(encode_update(&mut buf, &update), Ok(text.len()));
        for short in 0..text.len() {
            assert_eq!(encode_update(&mut buf[..short], &update), Err(EncodeError::BufferTooSmall));
        }
        // What was written is JSON to others too.
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["status"], update.status.as_str());
    }
}

#[test]
fn values_of_details_are_made_acceptable() {
    let long = "ä".repeat(MAX_DETAIL_SIZE + 1);
    let quotes = "\"".repeat(MAX_DETAIL_SIZE + 1);
    for (value, text) in [
        ("", "-".to_owned()),
        ("a\"b\\c", r#"a\"b\\c"#.into()),
        ("tab\there\u{7f}\0", "tab?here??".into()),
        ("Größe 😀", "Gr??e ?".into()),
        (&long[..], "?".repeat(MAX_DETAIL_SIZE)),
        // The limit counts characters, not the bytes their escapes take.
        (&quotes, r#"\""#.repeat(MAX_DETAIL_SIZE)),
    ] {
        let update = encoded(&Update { details: &[("reason", value)], ..PROGRESS }).unwrap();
        assert_eq!(update, format!(r#"{{"status":"IN_PROGRESS","statusDetails":{{"reason":"{text}"}}}}"#));
        let back: serde_json::Value = serde_json::from_str(&update).unwrap();
        assert!((1..=MAX_DETAIL_SIZE).contains(&back["statusDetails"]["reason"].as_str().unwrap().len()));
    }
}

#[test]
fn limits_of_an_update() {
    let ten = [("n", "v"); 11];
    let (longest, longer) = ("n".repeat(128), "n".repeat(129));
    assert!(encoded(&Update { details: &ten[1..], ..PROGRESS }).is_ok());
    assert_eq!(encoded(&Update { details: &ten, ..PROGRESS }), Err(EncodeError::TooManyDetails));
    assert!(encoded(&Update { details: &[(&longest, "v"), ("a:B_9-", "v")], ..PROGRESS }).is_ok());
    for name in ["", "a b", "ä", "a\"", &longer] {
        assert_eq!(
            encoded(&Update { details: &[(name, "v")], ..PROGRESS }),
            Err(EncodeError::DetailName),
            "{name}"
        );
    }
    for status in [JobStatus::Queued, JobStatus::Canceled, JobStatus::TimedOut, JobStatus::Removed] {
        assert_eq!(encoded(&Update { status, ..PROGRESS }), Err(EncodeError::Status));
    }
    assert!(encoded(&Update { token: Some(&longest[..64]), ..PROGRESS }).is_ok());
    for token in ["", &longest[..65], "a\"b", "a\\b", "a\nb", "ä", "\u{7f}"] {
        assert_eq!(encoded(&Update { token: Some(token), ..PROGRESS }), Err(EncodeError::Token));
        assert_eq!(encode_describe(&mut [0; 200], token, true, None), Err(EncodeError::Token));
    }
}

#[test]
fn describe_requests() {
    let mut buf = [0; 128];
    for (token, include_document, number, text) in [
        ("0:dev-7", true, None, r#"{"clientToken":"0:dev-7"}"#),
        ("1:d", false, None, r#"{"clientToken":"1:d","includeJobDocument":false}"#),
        ("2:d", false, Some(0), r#"{"clientToken":"2:d","includeJobDocument":false,"executionNumber":0}"#),
        (" !#[]~", true, Some(20), r#"{"clientToken":" !#[]~","executionNumber":20}"#),
    ] {
        let size = encode_describe(&mut buf, token, include_document, number).unwrap();
        assert_eq!(buf[..size], *text.as_bytes());
        let value: serde_json::Value = serde_json::from_slice(&buf[..size]).unwrap();
        assert_eq!(value["clientToken"], token);
        for short in 0..size {
            assert_eq!(
                encode_describe(&mut buf[..short], token, include_document, number),
                Err(EncodeError::BufferTooSmall)
            );
        }
    }
}
