//! Hostile input: whatever a message holds, every parser answers, on a small stack, and says nothing that is not there.

use ota_core::wire::json::{self, MAX_DEPTH};
use ota_core::wire::*;

const JOB: &str = r#"{"timestamp":1718000900,"clientToken":"0:d","execution":{"jobId":"AFR_OTA-r","status":"IN_PROGRESS","statusDetails":{"self_test":"ready","updatedBy":"0x90002"},"versionNumber":14,"executionNumber":1,"jobDocument":{"afr_ota":{"protocols":["MQTT","HTTP"],"streamname":"AFR_OTA-0","files":[{"filepath":"\/f\u00e4\ud83d\ude00","filesize":10000,"fileid":0,"fileType":0,"certfile":"c","update_data_url":"https://b","auth_scheme":"a","sig-sha256-ecdsa":"MAYCAQECAQE="},{"filesize":"1","fileid":1,"sig-sha1-rsa":""}]}}},"executionState":{"status":"FAILED","statusDetails":{"reason":"x"},"versionNumber":5},"code":"VersionMismatch"}"#;
const JSON_BLOCK: &str = r#"{"c":"t","f":0,"i":2,"l":16,"p":"AAECAwQFBgcICQoLDA0O\u0044w=="}"#;
const JSON_REQUEST: &str = r#"{"c":"1","f":1,"l":256,"o":20,"n":32,"b":"0x130080"}"#;
const JSON_DESCRIPTION: &str = r#"{"c":"rdy","s":1,"d":"fw","r":[{"f":0,"z":10000}]}"#;
const JSON_ERROR: &str =
    r#"{"clientToken":"rdy","c":"rdy","code":"InvalidRequest","o":"InvalidRequest","message":"…","m":"…"}"#;

const CBOR_BLOCK: &str = "bf616363726479616600616902616c10617050000102030405060708090a0b0c0d0e0f6178bf616181f9000061625f4101ffffff";
const CBOR_CHUNKED: &str = "a4616600616902616c0361705f404301020340ff";
const CBOR_REQUEST: &str = "a661636131616601616c190100616f14616243130080616e1820";
const CBOR_DESCRIPTION: &str = "bf6163637264796173016164626677617281a2616600617a192710ff";
const CBOR_ERROR: &str =
    "a3616f74426c6f636b53697a654f75744f66426f756e6473616d6a626c6f636b2073697a65616363726479";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn vectors() -> Vec<Vec<u8>> {
    let json =
        [JOB, JSON_BLOCK, JSON_REQUEST, JSON_DESCRIPTION, JSON_ERROR].map(|text| text.as_bytes().to_vec());
    let cbor = [CBOR_BLOCK, CBOR_CHUNKED, CBOR_REQUEST, CBOR_DESCRIPTION, CBOR_ERROR].map(hex);
    json.into_iter().chain(cbor).collect()
}

/// Reads every string and file of a job, as an agent might.
fn read_job(execution: &Execution<'_>) {
    assert!(execution.job_id.len() <= 128);
    execution.details.get("reason");
    let Document::Ota(document) = execution.document() else { return };
    if document.check().is_err() {
        return;
    }
    for file in document.files().map(Result::unwrap) {
        assert!(file.size > 0);
        for text in [file.path, file.other("certfile"), file.signature, file.url, file.other("auth_scheme")]
            .into_iter()
            .flatten()
        {
            let mut buf = vec![0; text.raw().len()];
            let unescaped = text.unescape(&mut buf).unwrap().to_owned();
            assert!(text.is(&unescaped) && text.as_plain().is_none_or(|plain| plain == unescaped));
            let _ = base64::decode_text(text, &mut buf);
        }
    }
}

fn check_block(block: Result<Block<'_>, StreamDecodeError>, memory: usize) -> bool {
    block.is_ok_and(|block| {
        assert!(block.payload.len() <= memory, "{block:?} of {memory} bytes");
        true
    })
}

/// Gives `message` to every parser; whether any took it.
fn read_all(message: &[u8]) -> bool {
    let mut taken = false;
    for answer in [parse_describe(message), parse_update(message)] {
        if let Ok(JobsAnswer { execution: Some(execution), .. }) = answer {
            taken = true;
            read_job(&execution);
        }
    }
    taken |= check_block(decode_block(Format::Cbor, message, &mut []), message.len());
    let mut out = [0; 40];
    taken |= check_block(decode_block(Format::Json, message, &mut [0; 40]), 40);
    taken |= parse_get_stream(Format::Cbor, message, &mut []).is_ok();
    taken |= parse_get_stream(Format::Json, message, &mut out).is_ok();
    for format in [Format::Cbor, Format::Json] {
        taken |= parse_description(format, message, &mut [StreamFile::default(); 2]).is_ok();
        taken |= parse_stream_error(format, message).is_ok();
    }
    let text = String::from_utf8_lossy(message);
    Incoming::parse(&text, "d");
    taken
}

#[test]
fn every_vector_is_taken() {
    for message in vectors() {
        assert!(read_all(&message), "{}", String::from_utf8_lossy(&message));
    }
}

#[test]
fn cut_at_every_length() {
    for message in vectors() {
        for end in 0..message.len() {
            assert!(!read_all(&message[..end]), "{end} bytes of {}", String::from_utf8_lossy(&message));
        }
        for more in 0..=255 {
            let blank = matches!(more, b' ' | b'\t' | b'\n' | b'\r') && message[0] == b'{';
            assert_eq!(read_all(&[&message[..], &[more]].concat()), blank, "{more:#04x} behind");
        }
    }
}

/// All bytes at all places; and for JSON the judgement of another parser.
#[test]
fn every_byte_changed() {
    for message in vectors() {
        let json = message[0] == b'{';
        let mut changed = message.clone();
        for at in 0..message.len() {
            for byte in 0..=255 {
                changed[at] = byte;
                read_all(&changed);
                if json {
                    let other = serde_json::from_slice::<serde_json::Value>(&changed);
                    // 17e8000000 is JSON, but no number of that crate.
                    let too_large =
                        other.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
                    let text = String::from_utf8_lossy(&changed);
                    assert!(too_large || json::parse(&changed).is_ok() == other.is_ok(), "{text}: {other:?}");
                }
            }
            changed[at] = message[at];
        }
    }
}

/// Values agree with another parser, string by string.
#[test]
fn values_agree_with_another_parser() {
    fn same(ours: json::Value<'_>, theirs: &serde_json::Value) {
        match theirs {
            serde_json::Value::Object(map) => {
                let members: Vec<_> = ours.members().unwrap().collect();
                assert_eq!(members.len(), map.len());
                for (name, value) in members {
                    let name = String::from_utf8(name.bytes().collect()).unwrap();
                    same(value, &map[&name]);
                }
            }
            serde_json::Value::Array(list) => {
                assert_eq!(ours.elements().unwrap().count(), list.len());
                ours.elements().unwrap().zip(list).for_each(|(ours, theirs)| same(ours, theirs));
            }
            serde_json::Value::String(text) => assert!(ours.as_text().unwrap().is(text), "{text}"),
            serde_json::Value::Number(number) => {
                assert_eq!((ours.as_u64(), ours.is_number()), (number.as_u64(), true), "{number}");
            }
            serde_json::Value::Bool(_) | serde_json::Value::Null => {
                assert_eq!(ours.raw(), theirs.to_string())
            }
        }
    }
    let odd = "\t[ ] \n";
    let values = r#" {"a" :[1 ,-2,3.5e+7,0,18446744073709551615,[],{},[[ ]],""," ,]}:{[\"\\"], "":{"]":"}"},"\u0062\/\b\f\n\r\t":null , "t":true,"f":false} "#;
    for text in [odd, values, JOB, JSON_BLOCK, JSON_ERROR, "0", "null", "\"\"", "-0.0"] {
        same(json::parse(text.as_bytes()).unwrap(), &serde_json::from_str(text).unwrap());
    }
    for text in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{1:2}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "tru",
        "nul",
        "[1 2]",
        "\"\u{1}\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "{}{}",
        "\u{feff}{}",
    ] {
        assert!(
            json::parse(text.as_bytes()).is_err() && serde_json::from_str::<serde_json::Value>(text).is_err(),
            "{text}"
        );
    }
    assert_eq!(json::parse(b"\"\xFF\""), Err(JsonError::Utf8));
}

#[test]
fn depth_is_bounded_exactly() {
    let json = |depth: usize| [r#"{"x":"#.repeat(depth - 1), "{}".to_owned(), "}".repeat(depth - 1)].concat();
    assert!(parse_describe(json(MAX_DEPTH as usize).as_bytes()).unwrap().execution.is_none());
    assert_eq!(parse_describe(json(MAX_DEPTH as usize + 1).as_bytes()), Err(JsonError::TooDeep));
    // A block with an unknown member of eight and of nine arrays and maps.
    let known = "616600616902616c00617040";
    for (open, close) in [("81", ""), ("9f", "ff"), ("a100", ""), ("bf00", "ff")] {
        let block =
            |depth| hex(&["a5", known, "6178", &open.repeat(depth), "00", &close.repeat(depth)].concat());
        assert!(decode_block(Format::Cbor, &block(8), &mut []).is_ok(), "{open}");
        assert_eq!(decode_block(Format::Cbor, &block(9), &mut []), Err(StreamDecodeError::TooDeep), "{open}");
    }
}

/// 64 KiB of stack: a parser that recursed would not survive the first of these.
#[test]
fn endless_nesting_on_a_small_stack() {
    let mut messages: Vec<Vec<u8>> = ["[", "{\"a\":", "[{\"a\":", "\"\\\"", "[[],"]
        .into_iter()
        .flat_map(|open| {
            ["", r#"{"execution":"#, r#"{"x":"#]
                .map(|before| format!("{before}{}", open.repeat(20_000)).into_bytes())
        })
        .collect();
    for open in [
        "81",
        "9f",
        "a161",
        "bf61",
        "c1",
        "d9d9f7",
        "5f",
        "7f",
        "9bffffffffffffffff",
        "bbffffffffffffffff",
        "5bffffffffffffffff",
        "bb8000000000000000",
    ] {
        for before in ["", "a16178", "bf6178", "a1617281", "bf61705f", "a1"] {
            messages.push(hex(&[before, &open.repeat(20_000)].concat()));
        }
    }
    let closed = ["[".repeat(20_000), "]".repeat(20_000)].concat();
    messages.push(
        format!(r#"{{"execution":{{"jobId":"J","status":"QUEUED","jobDocument":{closed}}}}}"#).into_bytes(),
    );
    let thread = std::thread::Builder::new().stack_size(64 << 10);
    let reader = thread.spawn(move || {
        for message in messages {
            assert!(!read_all(&message));
        }
    });
    reader.unwrap().join().unwrap();
}

/// Many tags before a value are legal and take no stack.
#[test]
fn many_tags() {
    let message = hex(&["a5616600616902616c006170406178", &"c1".repeat(20_000), "f6"].concat());
    assert!(decode_block(Format::Cbor, &message, &mut []).is_ok());
}

/// Bytes from a seed (splitmix64).
#[test]
fn noise() {
    for seed in 0..20_000u64 {
        let mut state = seed;
        let mut message = Vec::new();
        for _ in 0..8 {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            message.extend((z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB).to_le_bytes());
        }
        // Started like a message, noise gets further.
        let start = [&b""[..], b"\xBF", b"\xA4\x61f\x00\x61p", b"{\"", b"{\"p\":\"", b"\xBF\x61x"]
            [(seed % 6) as usize];
        let message = [start, &message].concat();
        assert!(!read_all(&message), "seed {seed}");
    }
}
