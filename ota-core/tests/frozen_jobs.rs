//! Messages of AWS IoT Jobs by literal bytes: job documents as the OTA update manager writes them, answers as the AWS IoT
//! developer guide shows them, and requests as AWS' C agents send them. Signatures are placeholders.

use ota_core::wire::*;

const STREAM: &str = "AFR_OTA-00000000-1111-2222-3333-444444444444";

const MQTT: &str = r#"{"timestamp":1718000000,"clientToken":"0:dev-7","execution":{"jobId":"AFR_OTA-rel-12","status":"QUEUED",
"queuedAt":1717999990,"lastUpdatedAt":1717999990,"versionNumber":1,"executionNumber":1,"jobDocument":{"afr_ota":{
"protocols":["MQTT"],"streamname":"AFR_OTA-00000000-1111-2222-3333-444444444444","files":[{"filepath":"/fw/app.bin",
"filesize":10000,"fileid":0,"certfile":"/sec/codesign.pem","sig-sha256-ecdsa":"MAYCAQECAQE="}]}}}}"#;

const HTTP: &str = r#"{"timestamp":1718000000,"execution":{"jobId":"AFR_OTA-rel-13","status":"QUEUED","queuedAt":1717999990,
"lastUpdatedAt":1717999990,"versionNumber":1,"executionNumber":1,"jobDocument":{"afr_ota":{"protocols":["HTTP"],
"files":[{"filepath":"/fw/app.tar","filesize":524288,"fileid":0,"certfile":"/sec/codesign.pem",
"update_data_url":"https://bucket.s3.eu-central-1.amazonaws.com/app.tar?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1800&X-Amz-Signature=00",
"auth_scheme":"aws.s3.presigned","sig-sha256-ecdsa":"MAYCAQECAQE="}]}}}}"#;

const BOTH: &str = r#"{"timestamp":1718000000,"execution":{"jobId":"AFR_OTA-rel-14","status":"QUEUED","queuedAt":1717999990,
"lastUpdatedAt":1717999990,"versionNumber":1,"executionNumber":1,"jobDocument":{"afr_ota":{"protocols":["MQTT","HTTP"],
"streamname":"AFR_OTA-00000000-1111-2222-3333-444444444444","files":[{"filepath":"/fw/app.bin","filesize":524288,"fileid":0,
"certfile":"/sec/codesign.pem","fileType":0,
"update_data_url":"https://bucket.s3.eu-central-1.amazonaws.com/app.bin?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1800&X-Amz-Signature=00",
"auth_scheme":"aws.s3.presigned","sig-sha256-ecdsa":"MAYCAQECAQE="}]}}}}"#;

const TWO_FILES: &str = r#"{"afr_ota":{"protocols":["MQTT"],"streamname":"AFR_OTA-00000000-1111-2222-3333-444444444444","files":[
 {"filepath":"app.bin","fileType":0,"filesize":10000,"fileid":0,"certfile":"c.pem","sig-sha256-ecdsa":"MAYCAQECAQE="},
 {"filepath":"wifi.bin","fileType":202,"filesize":4096,"fileid":1,"certfile":"c.pem","sig-sha256-ecdsa":"MAYCAQECAQE="}]}}"#;

const SELF_TEST: &str = r#"{"timestamp":1718000900,"execution":{"jobId":"AFR_OTA-rel-12","status":"IN_PROGRESS","statusDetails":{"self_test":"ready","updatedBy":"0x90002"},
"queuedAt":1717999990,"startedAt":1718000010,"lastUpdatedAt":1718000800,"versionNumber":14,"executionNumber":1,
"jobDocument":{"afr_ota":{"protocols":["MQTT"],"streamname":"AFR_OTA-00000000-1111-2222-3333-444444444444",
"files":[{"filepath":"/fw/app.bin","filesize":10000,"fileid":0,"certfile":"/sec/codesign.pem","sig-sha256-ecdsa":"MAYCAQECAQE="}]}}}}"#;

fn execution(message: &str) -> Execution<'_> {
    match parse_describe(message.as_bytes()) {
        Ok(JobsAnswer { execution: Some(execution), .. }) => execution,
        other => panic!("{other:?} of {message}"),
    }
}

fn ota<'a>(execution: &Execution<'a>) -> OtaDocument<'a> {
    match checked(execution) {
        Document::Ota(document) => document,
        other => panic!("{other:?}"),
    }
}

/// An answer with this job document.
/// The document with all of its files.
fn checked<'a>(execution: &Execution<'a>) -> Document<'a> {
    match execution.document() {
        Document::Ota(document) => {
            document.check().map_or_else(Document::Malformed, |()| Document::Ota(document))
        }
        other => other,
    }
}

/// Why the document of this message cannot be used.
fn refused(message: &str) -> DocumentError {
    match checked(&execution(message)) {
        Document::Malformed(error) => error,
        other => panic!("{other:?} of {message}"),
    }
}

fn first<'a>(document: &OtaDocument<'a>) -> File<'a> {
    document.files().next().unwrap().unwrap()
}

fn with_document(document: &str) -> String {
    format!(r#"{{"execution":{{"jobId":"J","status":"QUEUED","jobDocument":{document}}}}}"#)
}

fn with_ota(members: &str) -> String {
    with_document(&format!(r#"{{"afr_ota":{{{members}}}}}"#))
}

/// An answer with one file: `size` and `fileid` are there, `members` come behind.
fn with_file(members: &str) -> String {
    with_ota(&format!(r#""protocols":["MQTT"],"files":[{{"filesize":1,"fileid":0{members}}}]"#))
}

fn plain(text: Option<Text<'_>>) -> Option<&str> {
    text.and_then(|text| text.as_plain())
}

#[test]
fn a_job_over_mqtt() {
    let JobsAnswer { token, .. } = parse_describe(MQTT.as_bytes()).unwrap();
    assert!(token.matches("0:dev-7") && !token.matches("0:dev-8") && !token.matches(""));
    let job = execution(MQTT);
    assert_eq!((job.job_id, job.status), ("AFR_OTA-rel-12", JobStatus::Queued));
    assert_eq!((job.version_number, job.execution_number), (Some(1), Some(1)));
    assert_eq!((job.self_test(), job.updated_by(), job.details.get("self_test")), (None, None, None));
    let document = ota(&job);
    assert_eq!(document.protocols, Protocols { mqtt: true, http: false, unknown: false });
    assert_eq!((document.stream, document.files().count()), (Some(STREAM), 1));
    let file = first(&document);
    assert_eq!((file.size, file.id, file.file_type), (10_000, 0, None));
    assert_eq!(plain(file.path), Some("/fw/app.bin"));
    assert_eq!(plain(file.other("certfile")), Some("/sec/codesign.pem"));
    assert_eq!(plain(file.signature), Some("MAYCAQECAQE="));
    assert_eq!((file.has_other_signature(), file.url, file.other("auth_scheme")), (false, None, None));
}

#[test]
fn a_job_over_http_and_over_both() {
    let document = ota(&execution(HTTP));
    assert_eq!(document.protocols, Protocols { mqtt: false, http: true, unknown: false });
    assert_eq!(document.stream, None);
    let file = first(&document);
    assert!(
        plain(file.url)
            .unwrap()
            .ends_with("app.tar?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1800&X-Amz-Signature=00")
    );
    assert_eq!(plain(file.other("auth_scheme")), Some("aws.s3.presigned"));
    let document = ota(&execution(BOTH));
    assert_eq!(document.protocols, Protocols { mqtt: true, http: true, unknown: false });
    assert_eq!((document.stream, first(&document).file_type), (Some(STREAM), Some(0)));
}

#[test]
fn a_job_with_two_files() {
    let message = with_document(TWO_FILES);
    let document = ota(&execution(&message));
    let files: Vec<File<'_>> = document.files().map(Result::unwrap).collect();
    assert_eq!((files.len(), document.check()), (2, Ok(())));
    assert_eq!((files[0].id, files[0].size, files[0].file_type), (0, 10_000, Some(0)));
    assert_eq!((files[1].id, files[1].size, files[1].file_type), (1, 4096, Some(202)));
    assert_eq!(plain(files[1].path), Some("wifi.bin"));
}

#[test]
fn a_job_in_self_test() {
    let job = execution(SELF_TEST);
    assert_eq!((job.status, job.version_number), (JobStatus::InProgress, Some(14)));
    assert_eq!((plain(job.self_test()), job.updated_by()), (Some("ready"), Some(0x0009_0002)));
    assert_eq!(plain(job.details.get("updatedBy")), Some("0x90002"));
    for (text, number) in [
        ("0x00090002", Some(0x90002)),
        ("589826", Some(0x90002)),
        ("0X9", Some(9)),
        ("017", Some(15)),
        ("0", Some(0)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", None),
        ("08", None),
        ("0x", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("0x+1", None),
        ("v0.9.2", None),
    ] {
        let message = SELF_TEST.replace("0x90002", text);
        assert_eq!(execution(&message).updated_by(), number, "{text}");
    }
}

#[test]
fn no_job() {
    for message in [
        r#"{"clientToken":":dev-7","timestamp":1629735402}"#,
        r#"{"timestamp":1}"#,
        r#"{"execution":{}}"#,
        r#"{"execution": { } }"#,
        r#"{"execution":null}"#,
        "{}",
    ] {
        assert_eq!(parse_describe(message.as_bytes()).unwrap().execution, None, "{message}");
    }
}

#[test]
fn executions_that_cannot_be_read() {
    for (execution, error) in [
        (r#""""#, JsonError::Value),
        (r#"[]"#, JsonError::Value),
        (r#"{"status":"QUEUED"}"#, JsonError::Missing),
        (r#"{"jobId":"J"}"#, JsonError::Missing),
        (r#"{"jobId":null,"status":"QUEUED"}"#, JsonError::Missing),
        (r#"{"jobId":"","status":"QUEUED"}"#, JsonError::Value),
        (r#"{"jobId":"a/b","status":"QUEUED"}"#, JsonError::Value),
        (r#"{"jobId":"a\u0062","status":"QUEUED"}"#, JsonError::Value),
        (r#"{"jobId":7,"status":"QUEUED"}"#, JsonError::Value),
        (r#"{"jobId":"J","status":"queued"}"#, JsonError::Value),
        (r#"{"jobId":"J","status":"QUEUED","versionNumber":-1}"#, JsonError::Value),
        (r#"{"jobId":"J","status":"QUEUED","versionNumber":"1"}"#, JsonError::Value),
        (r#"{"jobId":"J","status":"QUEUED","executionNumber":1.5}"#, JsonError::Value),
        (r#"{"jobId":"J","status":"QUEUED","statusDetails":[]}"#, JsonError::Value),
        (r#"{"jobId":"J","status":"QUEUED","jobId":"K"}"#, JsonError::Duplicate),
        (r#"{"jobId":"J","status":"QUEUED","st\u0061tus":"QUEUED"}"#, JsonError::Duplicate),
    ] {
        let message = format!(r#"{{"execution":{execution}}}"#);
        assert_eq!(parse_describe(message.as_bytes()), Err(error), "{message}");
    }
    let (longest, longer) = ("j".repeat(128), "j".repeat(129));
    let message = |id: &str| {
        format!(
            r#"{{"execution":{{"jobId":"{id}","status":"QUEUED","executionNumber":18446744073709551615}}}}"#
        )
    };
    assert_eq!(execution(&message(&longest)).execution_number, Some(u64::MAX));
    assert_eq!(parse_describe(message(&longer).as_bytes()), Err(JsonError::Value));
    assert_eq!(parse_describe(br#"{"clientToken":5}"#), Err(JsonError::Value));
}

#[test]
fn documents_that_are_not_ours() {
    let message = r#"{"execution":{"jobId":"J","status":"QUEUED"}}"#;
    assert!(matches!(execution(message).document(), Document::Absent));
    for document in [r#"{"operation":"reboot","in":{"afr_ota":{}}}"#, "{}", "[1, 2]", r#""afr_ota""#, "7"] {
        let message = with_document(document);
        let found = execution(&message).document();
        assert!(matches!(found, Document::Custom(raw) if raw == document.as_bytes()), "{document}");
    }
}

#[test]
fn documents_that_are_malformed() {
    const F: &str = r#"{"filesize":1,"fileid":0}"#;
    let cases = [
        (String::new(), DocumentError::NoFiles),
        (r#""files":[]"#.into(), DocumentError::Protocols),
        (r#""protocols":["MQTT"]"#.into(), DocumentError::NoFiles),
        (r#""protocols":["MQTT"],"files":[]"#.into(), DocumentError::NoFiles),
        (r#""protocols":["MQTT"],"files":{}"#.into(), DocumentError::NoFiles),
        (r#""protocols":["MQTT"],"files":[1]"#.into(), DocumentError::Type),
        (format!(r#""files":[{F}]"#), DocumentError::Protocols),
        (format!(r#""protocols":"MQTT","files":[{F}]"#), DocumentError::Protocols),
        (format!(r#""protocols":[1],"files":[{F}]"#), DocumentError::Protocols),
        (format!(r#""protocols":["MQTT"],"streamname":"","files":[{F}]"#), DocumentError::StreamName),
        (format!(r#""protocols":["MQTT"],"streamname":"a b","files":[{F}]"#), DocumentError::StreamName),
        (
            format!(r#""protocols":["MQTT"],"streamname":"{}","files":[{F}]"#, "s".repeat(129)),
            DocumentError::StreamName,
        ),
        (format!(r#""protocols":["MQTT"],"streamname":7,"files":[{F}]"#), DocumentError::Type),
        (format!(r#""protocols":["MQTT"],"protocols":["MQTT"],"files":[{F}]"#), DocumentError::Duplicate),
        (format!(r#""protocols":["MQTT"],"files":[{F},{F}]"#), DocumentError::DuplicateFileId),
    ];
    for (members, error) in cases {
        let message = with_ota(&members);
        assert_eq!(refused(&message), error, "{message}");
    }
    for ota in ["7", "[]", r#""""#] {
        let message = with_document(&format!(r#"{{"afr_ota":{ota}}}"#));
        assert_eq!(refused(&message), DocumentError::Type, "{message}");
    }
    let message = with_document(r#"{"afr_ota":{},"afr_ota":{}}"#);
    assert_eq!(refused(&message), DocumentError::Duplicate);
}

#[test]
fn files_that_are_malformed() {
    for (file, error) in [
        (r#"{"fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":null,"fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":-1,"fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":1.0,"fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":1e3,"fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":4294967296,"fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":"+1","fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":"1 ","fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":"","fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":true,"fileid":0}"#, DocumentError::FileSize),
        (r#"{"filesize":0,"fileid":0}"#, DocumentError::ZeroFileSize),
        (r#"{"filesize":"0","fileid":0}"#, DocumentError::ZeroFileSize),
        (r#"{"filesize":1}"#, DocumentError::FileId),
        (r#"{"filesize":1,"fileid":256}"#, DocumentError::FileId),
        (r#"{"filesize":1,"fileid":-1}"#, DocumentError::FileId),
        (r#"{"filesize":1,"fileid":"0"}"#, DocumentError::FileId),
        (r#"{"filesize":1,"fileid":0,"filesize":1}"#, DocumentError::Duplicate),
        (r#"{"filesize":1,"fileid":0,"filepath":7}"#, DocumentError::Type),
        (r#"{"filesize":1,"fileid":0,"fileType":"0"}"#, DocumentError::Type),
        (r#"{"filesize":1,"fileid":0,"sig-sha256-ecdsa":[]}"#, DocumentError::Type),
    ] {
        let message = with_ota(&format!(r#""protocols":["MQTT"],"files":[{file}]"#));
        assert_eq!(refused(&message), error, "{file}");
    }
}

#[test]
fn limits_of_a_document() {
    let files = |count: usize| {
        let files: Vec<String> = (0..count)
            .map(|id| format!(r#"{{"filesize":"4294967295","fileid":{}}}"#, 255usize.saturating_sub(id)))
            .collect();
        with_ota(&format!(r#""protocols":[],"files":[{}]"#, files.join(" , ")))
    };
    let message = files(10);
    let document = ota(&execution(&message));
    assert_eq!((document.files().count(), document.protocols), (10, Protocols::default()));
    assert_eq!(
        document.files().map(|file| file.unwrap().id).collect::<Vec<u8>>(),
        (246..=255).rev().collect::<Vec<u8>>()
    );
    assert_eq!(document.files().last().unwrap().unwrap().size, u32::MAX);
    for count in [11, 12, 300] {
        assert_eq!(refused(&files(count)), DocumentError::TooManyFiles, "{count}");
    }
}

#[test]
fn members_nobody_needs_and_other_signatures() {
    let message = with_ota(
        r#""protocols":["COAP","HTTP"],"new":{"files":[{"fileid":0}]},"files":[{"version":"9","filesize":1,"fileid":3,"filepath":"files","x":[[]]}]"#,
    );
    let document = ota(&execution(&message));
    assert_eq!(document.protocols, Protocols { mqtt: false, http: true, unknown: true });
    assert_eq!((document.stream, plain(first(&document).path)), (None, Some("files")));
    for (members, signature, other) in [
        ("", None, false),
        (r#","sig-sha256-rsa":"AA==""#, None, true),
        (r#","sig-sha256-rsa":"AA==","sig-sha256-ecdsa":"AAEC""#, Some("AAEC"), true),
        (r#","sig-sha256-ecdsa":"AAEC","signature":"x""#, Some("AAEC"), false),
        (r#","si\u0067-sha1-ecdsa":"x""#, None, true),
    ] {
        let message = with_file(members);
        let file = first(&ota(&execution(&message)));
        assert_eq!((plain(file.signature), file.has_other_signature()), (signature, other), "{members}");
    }
}

#[test]
fn strings_with_escapes() {
    let message = with_file(r#","filepath":"\/a\"\\\u00e4\ud83d\ude00\n","sig-sha256-ecdsa":"\/\/8=""#);
    let file = first(&ota(&execution(&message)));
    let path = file.path.unwrap();
    let expected = "/a\"\\ä😀\n";
    assert_eq!((path.as_plain(), path.is(expected), path.is("/a")), (None, true, false));
    let mut buf = [0; 32];
    assert_eq!(path.unescape(&mut buf), Ok(expected));
    assert_eq!(path.unescape(&mut buf[..expected.len()]), Ok(expected));
    assert_eq!(path.unescape(&mut buf[..expected.len() - 1]), Err(EncodeError::BufferTooSmall));
    assert_eq!(base64::decode_text(file.signature.unwrap(), &mut buf), Ok(2));
    assert_eq!(buf[..2], [0xFF, 0xFF]);
}

#[test]
fn update_answers() {
    let answer = parse_update(br#"{"timestamp":1,"clientToken":"c1"}"#).unwrap();
    assert_eq!((answer.token.0, answer.execution), (Some("c1"), None));
    let message = br#"{"timestamp":1,"executionState":{"status":"IN_PROGRESS","statusDetails":{"self_test":"active","reason":"a \"b\""},"versionNumber":5}}"#;
    let JobsAnswer { token, execution: state, .. } = parse_update(message).unwrap();
    let state = state.unwrap();
    assert_eq!((token.0, state.status, state.version_number), (None, JobStatus::InProgress, Some(5)));
    assert_eq!(plain(state.self_test()), Some("active"));
    assert!(state.details.get("reason").unwrap().is("a \"b\""));
    assert_eq!(parse_update(br#"{"executionState":{}}"#).unwrap().execution, None);
    assert_eq!(parse_update(br#"{"executionState":{"status":"DONE"}}"#), Err(JsonError::Value));
    assert_eq!(parse_update(b"[]"), Err(JsonError::Value));
}

#[test]
fn rejected_answers() {
    let message = br#"{"clientToken":"c1","code":"VersionMismatch","message":"text","timestamp":1718000000,
 "executionState":{"status":"IN_PROGRESS","statusDetails":{},"versionNumber":5}}"#;
    let rejected = parse_update(message).unwrap();
    assert!(rejected.token.matches("c1"));
    assert_eq!(rejected.code, RejectedCode::VersionMismatch);
    let state = rejected.execution.unwrap();
    assert_eq!(
        (state.status, state.version_number, state.self_test()),
        (JobStatus::InProgress, Some(5), None)
    );
    let spellings = [
        "InvalidTopic",
        "InvalidJson",
        "InvalidRequest",
        "InvalidStateTransition",
        "ResourceNotFound",
        "VersionMismatch",
        "InternalError",
        "RequestThrottled",
        "TerminalStateReached",
    ];
    assert_eq!(RejectedCode::ALL.map(|code| code.as_str()), spellings);
    for (code, text) in
        RejectedCode::ALL.into_iter().zip(spellings).chain([(RejectedCode::Unknown, "Unknown")])
    {
        let message = format!(r#"{{"code":"{text}"}}"#);
        assert_eq!(
            parse_update(message.as_bytes()),
            Ok(JobsAnswer { token: Token(None), code, execution: None })
        );
    }
    for message in ["{}", r#"{"code":7}"#, r#"{"code":"Else"}"#] {
        assert_eq!(parse_update(message.as_bytes()).unwrap().code, RejectedCode::Unknown, "{message}");
    }
}

#[test]
fn statuses() {
    let table = [
        ("QUEUED", false),
        ("IN_PROGRESS", false),
        ("FAILED", true),
        ("SUCCEEDED", true),
        ("CANCELED", true),
        ("TIMED_OUT", true),
        ("REJECTED", true),
        ("REMOVED", true),
    ];
    assert_eq!(JobStatus::ALL.map(|status| (status.as_str(), status.is_terminal())), table);
    assert_eq!(JobStatus::ALL.map(|status| JobStatus::parse(status.as_str())), JobStatus::ALL.map(Some));
    assert_eq!((JobStatus::parse(""), JobStatus::parse("Queued")), (None, None));
}
