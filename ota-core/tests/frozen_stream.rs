//! Stream requests, descriptions and rejections of MQTT-based file delivery by literal bytes. Requests are what AWS' C agents
//! send; each vector was checked with an independent CBOR codec.

use ota_core::wire::json::JsonError;
use ota_core::wire::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request<'a>(
    token: &'a str,
    file_id: u8,
    block_size: u32,
    offset: u32,
    bitmap: &'a [u8],
    count: u32,
) -> GetStream<'a> {
    GetStream { token: Some(token), file_id, block_size, offset, bitmap, count }
}

#[test]
fn requests() {
    let all_d = hex("ffffffffffffffffffffffffffffffff0f");
    let all_f = [0xFF; 128];
    for (case, request, bytes) in [
        (
            "A",
            request("rdy", 0, 1024, 0, &[0xFF, 0x03], 128),
            "a6616363726479616600616c190400616f00616242ff03616e1880".into(),
        ),
        (
            "B",
            request("rdy", 0, 1024, 0, &[0xFF, 0x03], 1),
            "a6616363726479616600616c190400616f00616242ff03616e01".into(),
        ),
        (
            "C",
            request("rdy", 0, 1024, 0, &[0xE8, 0x03], 128),
            "a6616363726479616600616c190400616f00616242e803616e1880".into(),
        ),
        (
            "D",
            request("rdy", 0, 4096, 0, &all_d, 1),
            "a6616363726479616600616c191000616f00616251ffffffffffffffffffffffffffffffff0f616e01".into(),
        ),
        (
            "E",
            request("1", 1, 256, 20, &[0x13, 0, 0x80], 32),
            "a661636131616601616c190100616f14616243130080616e1820".into(),
        ),
        (
            "F",
            request("rdy", 0, 1024, 0, &all_f, 128),
            format!("a6616363726479616600616c190400616f0061625880{}616e1880", "ff".repeat(128)),
        ),
        (
            "G",
            request("rdy", 0, 4096, 5, b"MQ==", 1),
            "a6616363726479616600616c191000616f056162444d513d3d616e01".into(),
        ),
    ] {
        let mut buf = [0; 200];
        let size = request.encode(Format::Cbor, &mut buf).unwrap();
        assert_eq!(to_hex(&buf[..size]), bytes, "{case}");
        assert_eq!(parse_get_stream(Format::Cbor, &buf[..size], &mut []), Ok(request), "{case}");
        for short in 0..size {
            assert_eq!(
                request.encode(Format::Cbor, &mut buf[..short]),
                Err(EncodeError::BufferTooSmall),
                "{case}"
            );
        }
        let mut json = [0; 400];
        let size = request.encode(Format::Json, &mut json).unwrap();
        assert_eq!(parse_get_stream(Format::Json, &json[..size], &mut [0; 128]), Ok(request), "{case}");
        if case == "E" {
            assert_eq!(json[..size], *br#"{"c":"1","f":1,"l":256,"o":20,"b":"0x130080","n":32}"#);
        }
    }
    // The form of AWS' stream library, with a stream version; and a request that leaves out all it may.
    let parsed =
        parse_get_stream(Format::Json, br#"{"s": 1,"f": 0,"l": 4096,"o": 5,"n": 1}"#, &mut []).unwrap();
    assert_eq!(
        parsed,
        GetStream { token: None, file_id: 0, block_size: 4096, offset: 5, bitmap: &[], count: 1 }
    );
    assert_eq!(parse_get_stream(Format::Cbor, &hex("a2616602616c190400"), &mut []).unwrap().count, 128);
    assert_eq!(parse_get_stream(Format::Json, br#"{"f":2,"l":1024}"#, &mut []).unwrap().count, 128);
    assert_eq!(parse_get_stream(Format::Json, br#"{"f":2,"l":0}"#, &mut []).unwrap().count, 0);
}

#[test]
fn requests_without_token_and_bitmap() {
    let request =
        GetStream { token: None, file_id: 255, block_size: 65536, offset: 0, bitmap: &[], count: 2 };
    let mut buf = [0; 64];
    let size = request.encode(Format::Cbor, &mut buf).unwrap();
    assert_eq!(to_hex(&buf[..size]), "a4616618ff616c1a00010000616f00616e02");
    assert_eq!(parse_get_stream(Format::Cbor, &buf[..size], &mut []), Ok(request));
    let size = request.encode(Format::Json, &mut buf).unwrap();
    assert_eq!(buf[..size], *br#"{"f":255,"l":65536,"o":0,"n":2}"#);
}

#[test]
fn request_limits() {
    let good = request("t", 0, 256, 0, &[1], 0);
    let longest = "t".repeat(64);
    let bits = vec![0xFF; 12_288];
    let mut buf = vec![0; 30_000];
    let mut encode = |request: GetStream<'_>| {
        let cbor = request.encode(Format::Cbor, &mut buf).map(|_| ());
        assert_eq!(request.encode(Format::Json, &mut buf).map(|_| ()), cbor);
        cbor
    };
    for request in [
        good,
        GetStream { block_size: 131_072, offset: 98_304, count: 98_304, ..good },
        GetStream { bitmap: &bits[1..], token: Some(&longest), ..good },
    ] {
        assert_eq!(encode(request), Ok(()));
    }
    for request in [
        GetStream { block_size: 255, ..good },
        GetStream { block_size: 131_073, ..good },
        GetStream { offset: 98_305, ..good },
        GetStream { count: 98_305, ..good },
        GetStream { bitmap: &bits, ..good },
    ] {
        assert_eq!(encode(request), Err(EncodeError::OutOfRange));
    }
    for token in ["", &"t".repeat(65)] {
        assert_eq!(encode(GetStream { token: Some(token), ..good }), Err(EncodeError::Token));
    }
}

#[test]
fn requests_that_are_refused() {
    for (message, error) in [
        (r#"{"l":1024}"#, StreamDecodeError::Missing),
        (r#"{"f":0}"#, StreamDecodeError::Missing),
        (r#"{"f":256,"l":1024}"#, StreamDecodeError::Number),
        (r#"{"f":-1,"l":1024}"#, StreamDecodeError::Number),
        (r#"{"f":0,"l":"1024"}"#, StreamDecodeError::Type),
        (r#"{"f":0,"l":1,"b":"13"}"#, StreamDecodeError::Malformed),
        (r#"{"f":0,"l":1,"b":"0x1"}"#, StreamDecodeError::Malformed),
        (r#"{"f":0,"l":1,"b":"0x1g"}"#, StreamDecodeError::Malformed),
        (r#"{"f":0,"l":1,"b":"0x010203"}"#, StreamDecodeError::BufferTooSmall),
        (r#"{"f":0,"l":1,"f":0}"#, StreamDecodeError::Duplicate),
        (r#"[]"#, StreamDecodeError::Json(JsonError::Value)),
    ] {
        assert_eq!(parse_get_stream(Format::Json, message.as_bytes(), &mut [0; 2]), Err(error), "{message}");
    }
    for (message, error) in [
        ("a1616600", StreamDecodeError::Missing),
        ("a26166190100616c00", StreamDecodeError::Number),
        ("a2616600616c20", StreamDecodeError::Number),
        ("a3616600616c006162627878", StreamDecodeError::Type),
        ("a3616600616c00616600", StreamDecodeError::Duplicate),
    ] {
        assert_eq!(parse_get_stream(Format::Cbor, &hex(message), &mut []), Err(error), "{message}");
    }
}

#[test]
fn describe() {
    let mut buf = [0; 32];
    for (format, token, bytes) in [
        (Format::Cbor, Some("rdy"), &hex("a1616363726479")[..]),
        (Format::Cbor, None, &hex("a0")),
        (Format::Json, Some("rdy"), br#"{"c":"rdy"}"#),
        (Format::Json, None, b"{}"),
    ] {
        let size = encode_describe_stream(format, &mut buf, token).unwrap();
        assert_eq!(buf[..size], *bytes);
        assert_eq!(
            encode_describe_stream(format, &mut buf[..size - 1], token),
            Err(EncodeError::BufferTooSmall)
        );
    }
    let cbor = hex("bf6163637264796173016164626677617281a2616600617a192710ff");
    let json = br#"{"c":"rdy","s":1,"d":"fw","r":[{"f":0,"z":10000}]}"#;
    let mut files = [StreamFile::default(); 2];
    for (format, message) in [(Format::Cbor, &cbor[..]), (Format::Json, json)] {
        let description = parse_description(format, message, &mut files).unwrap();
        assert!(description.token.matches("rdy"));
        assert_eq!(
            (description.version, description.description, description.file_count),
            (1, Some("fw"), 1)
        );
        assert_eq!(files[0], StreamFile { id: 0, size: 10_000 });
        assert_eq!(parse_description(format, message, &mut []), Err(StreamDecodeError::BufferTooSmall));
    }
    for (message, error) in [
        (r#"{"s":1}"#, StreamDecodeError::Missing),
        (r#"{"r":[]}"#, StreamDecodeError::Missing),
        (r#"{"s":1,"r":[{"f":0}]}"#, StreamDecodeError::Missing),
        (r#"{"s":1,"r":[{"f":256,"z":1}]}"#, StreamDecodeError::Number),
        (r#"{"s":1,"r":{}}"#, StreamDecodeError::Type),
    ] {
        assert_eq!(parse_description(Format::Json, message.as_bytes(), &mut files), Err(error), "{message}");
    }
    for (message, error) in [
        ("a1617301", StreamDecodeError::Missing),
        ("a1617280", StreamDecodeError::Missing),
        ("a2617301617281a1616600", StreamDecodeError::Missing),
        ("a2617301617281a26166190100617a01", StreamDecodeError::Number),
        ("a26173016172a0", StreamDecodeError::Type),
    ] {
        assert_eq!(parse_description(Format::Cbor, &hex(message), &mut files), Err(error), "{message}");
    }
}

#[test]
fn rejections() {
    let short = hex("a3616f74426c6f636b53697a654f75744f66426f756e6473616d6a626c6f636b2073697a65616363726479");
    let error = parse_stream_error(Format::Cbor, &short).unwrap();
    assert_eq!((error.code, error.message), (StreamErrorCode::BlockSizeOutOfBounds, Some("block size")));
    assert!(error.token.matches("rdy") && !error.code.is_retryable());
    // As seen from a live service: both spellings at once. Then each alone, then none.
    let live = r#"{"clientToken":"rdy","c":"rdy","code":"InvalidRequest","o":"InvalidRequest","message":"why","m":"why"}"#;
    for message in [
        live,
        r#"{"clientToken":"rdy","code":"InvalidRequest","message":"why"}"#,
        r#"{"m":"why","o":"InvalidRequest","c":"rdy"}"#,
    ] {
        let error = parse_stream_error(Format::Json, message.as_bytes()).unwrap();
        assert_eq!(
            (error.token.0, error.code, error.message),
            (Some("rdy"), StreamErrorCode::InvalidRequest, Some("why"))
        );
        let value: serde_json::Value = serde_json::from_str(message).unwrap();
        let mut encoder = minicbor::Encoder::new(Vec::new());
        encoder.begin_map().unwrap();
        for (name, text) in value.as_object().unwrap() {
            encoder.str(name).unwrap().str(text.as_str().unwrap()).unwrap();
        }
        encoder.end().unwrap();
        assert_eq!(parse_stream_error(Format::Cbor, &encoder.into_writer()), Ok(error), "{message}");
    }
    assert_eq!(parse_stream_error(Format::Json, b"{}"), Err(StreamDecodeError::Missing));
    assert_eq!(parse_stream_error(Format::Cbor, &hex("a0")), Err(StreamDecodeError::Missing));
    assert_eq!(parse_stream_error(Format::Cbor, &hex("a1616f05")), Err(StreamDecodeError::Type));
}

#[test]
fn rejection_codes() {
    let spellings = [
        "InvalidTopic",
        "InvalidJson",
        "InvalidCbor",
        "InvalidRequest",
        "Unauthorized",
        "BlockSizeOutOfBounds",
        "OffsetOutOfBounds",
        "BlockCountLimitExceeded",
        "BlockBitmapLimitExceeded",
        "ResourceNotFound",
        "VersionMismatch",
        "ETagMismatch",
        "InternalError",
    ];
    assert_eq!(StreamErrorCode::ALL.map(|code| code.as_str()), spellings);
    for (code, text) in
        StreamErrorCode::ALL.into_iter().zip(spellings).chain([(StreamErrorCode::Unknown, "Else")])
    {
        let message = format!(r#"{{"o":"{text}"}}"#);
        assert_eq!(parse_stream_error(Format::Json, message.as_bytes()).unwrap().code, code);
        assert_eq!(code.is_retryable(), text == "InternalError");
    }
}
