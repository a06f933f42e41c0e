//! Answers of AWS IoT Jobs: what is read is what `serde_json` finds in the same place.

use ota_core::wire::*;
use serde_json::Value as Json;

use crate::bytes::assert_inside;
use crate::json;

/// Checks `message`, which holds `theirs`, as an answer to a describe and to an update.
pub(crate) fn check(message: &[u8], theirs: Option<&Json>) {
    for (answer, name) in [(parse_describe(message), "execution"), (parse_update(message), "executionState")]
    {
        let Ok(answer) = answer else { continue };
        if let Some(token) = answer.token.0 {
            assert_inside(message, token.as_bytes());
        }
        let Some(theirs) = theirs else { continue };
        assert_eq!(answer.token.0.is_some(), theirs["clientToken"].is_string());
        if let Some(token) = answer.token.0.filter(|token| !token.contains('\\')) {
            assert_eq!(theirs["clientToken"], token);
        }
        if answer.code != RejectedCode::Unknown {
            assert_eq!(theirs["code"], answer.code.as_str());
        }
        // An object without any member that counts is none or an error, but no execution.
        let known = ["jobId", "status", "versionNumber", "executionNumber", "statusDetails", "jobDocument"];
        let members = known.iter().any(|member| !theirs[name][member].is_null());
        assert_eq!(answer.execution.is_some(), members, "{theirs}");
        if let Some(execution) = answer.execution {
            check_execution(message, &execution, &theirs[name]);
        }
    }
}

fn check_execution(message: &[u8], execution: &Execution<'_>, theirs: &Json) {
    assert_eq!(theirs["jobId"].as_str().unwrap_or_default(), execution.job_id);
    assert!(execution.job_id.is_empty() || topic::is_id(execution.job_id));
    assert_eq!(theirs["status"], execution.status.as_str());
    assert_eq!(theirs["versionNumber"].as_u64(), execution.version_number.map(u64::from));
    assert_eq!(theirs["executionNumber"].as_u64(), execution.execution_number);
    let detail = theirs["statusDetails"]["self_test"].as_str();
    assert_eq!(execution.self_test().map(json::unescaped).as_deref(), detail);
    let document = &theirs["jobDocument"];
    match execution.document() {
        Document::Absent => assert!(document.is_null()),
        Document::Custom(raw) => {
            assert_inside(message, raw);
            assert_eq!(serde_json::from_slice::<Json>(raw).expect("JSON"), *document);
            assert!(document["afr_ota"].is_null());
        }
        Document::Malformed(_) => assert!(!document["afr_ota"].is_null()),
        Document::Ota(ota) => {
            let theirs = &document["afr_ota"];
            assert_eq!(theirs["streamname"].as_str(), ota.stream);
            assert_eq!(theirs["files"].as_array().map(Vec::len), Some(ota.file_count()));
            let offers =
                |name: &str| theirs["protocols"].as_array().is_some_and(|all| all.contains(&name.into()));
            assert_eq!((ota.protocols.mqtt, ota.protocols.http), (offers("MQTT"), offers("HTTP")));
            let mut ids = Vec::new();
            for (file, theirs) in ota.files().zip(theirs["files"].as_array().into_iter().flatten()) {
                ids.extend(file.ok().map(|file| check_file(message, &file, theirs)));
            }
            let unique = (1..ids.len()).all(|at| !ids[..at].contains(&ids[at]));
            let good =
                ids.len() == ota.file_count() && (1..=document::MAX_FILES).contains(&ids.len()) && unique;
            assert_eq!(ota.check().is_ok(), good);
        }
    }
}

/// Returns its id.
fn check_file(message: &[u8], file: &File<'_>, theirs: &Json) -> u8 {
    let size = match &theirs["filesize"] {
        Json::String(digits) => digits.parse().ok(),
        size => size.as_u64(),
    };
    assert_eq!(size, Some(file.size.into()));
    assert!(file.size > 0);
    assert_eq!(theirs["fileid"].as_u64(), Some(file.id.into()));
    assert_eq!(theirs["fileType"].as_u64(), file.file_type.map(u64::from));
    let texts = [
        ("filepath", file.path),
        ("sig-sha256-ecdsa", file.signature),
        ("update_data_url", file.url),
        ("certfile", file.other("certfile")),
    ];
    for (name, text) in texts {
        assert_eq!(text.map(json::unescaped).as_deref(), theirs[name].as_str(), "{name}");
        assert_inside(message, text.map_or("", |text| text.raw()).as_bytes());
    }
    let mut names = theirs.as_object().into_iter().flatten().map(|(name, _)| name);
    let other = names.any(|name| name.starts_with("sig-") && name != "sig-sha256-ecdsa");
    assert_eq!(file.has_other_signature(), other);
    file.id
}
