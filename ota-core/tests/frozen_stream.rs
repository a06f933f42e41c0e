//! Stream messages of MQTT-based file delivery by literal bytes. Requests are what AWS' C agents send, blocks what the service
//! answers; each vector was checked with an independent CBOR codec.

use minicbor::data::{Int, Type};
use ota_core::wire::base64::Base64Error;
use ota_core::wire::json::JsonError;
use ota_core::wire::*;
use sha2::{Digest, Sha256};

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

/// What the messages of a test file hold: byte k of block i is 7k + i.
fn payload(block: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (7 * at + block) as u8).collect()
}

const R1: &str = "bf616600616902616c10617050000102030405060708090a0b0c0d0e0fff";
const R2: &str = "bf616363726479616600616902616c10617050000102030405060708090a0b0c0d0e0fff";
const R3: &str = "a5616363726479616600616902616c10617050000102030405060708090a0b0c0d0e0f";
const R1_JSON: &str = r#"{"f":0,"i":2,"l":16,"p":"AAECAwQFBgcICQoLDA0ODw=="}"#;

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
        assert_eq!(parse_get_stream_cbor(&buf[..size]), Ok(request), "{case}");
        for short in 0..size {
            assert_eq!(
                request.encode(Format::Cbor, &mut buf[..short]),
                Err(EncodeError::BufferTooSmall),
                "{case}"
            );
        }
        let mut json = [0; 400];
        let size = request.encode(Format::Json, &mut json).unwrap();
        assert_eq!(parse_get_stream_json(&json[..size], &mut [0; 128]), Ok(request), "{case}");
        if case == "E" {
            assert_eq!(json[..size], *br#"{"c":"1","f":1,"l":256,"o":20,"n":32,"b":"0x130080"}"#);
        }
    }
    // The form of AWS' stream library, with a stream version; and a request that leaves out all it may.
    let parsed = parse_get_stream_json(br#"{"s": 1,"f": 0,"l": 4096,"o": 5,"n": 1}"#, &mut []).unwrap();
    assert_eq!(
        parsed,
        GetStream { token: None, file_id: 0, block_size: 4096, offset: 5, bitmap: &[], count: 1 }
    );
    assert_eq!(parse_get_stream_cbor(&hex("a2616602616c190400")).unwrap().count, 128);
    assert_eq!(parse_get_stream_json(br#"{"f":2,"l":1024}"#, &mut []).unwrap().count, 128);
    assert_eq!(parse_get_stream_json(br#"{"f":2,"l":0}"#, &mut []).unwrap().count, 0);
}

#[test]
fn requests_without_token_and_bitmap() {
    let request =
        GetStream { token: None, file_id: 255, block_size: 65536, offset: 0, bitmap: &[], count: 2 };
    let mut buf = [0; 64];
    let size = request.encode_cbor(&mut buf).unwrap();
    assert_eq!(to_hex(&buf[..size]), "a4616618ff616c1a00010000616f00616e02");
    assert_eq!(parse_get_stream_cbor(&buf[..size]), Ok(request));
    let size = request.encode_json(&mut buf).unwrap();
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
        assert_eq!(parse_get_stream_json(message.as_bytes(), &mut [0; 2]), Err(error), "{message}");
    }
    for (message, error) in [
        ("a1616600", StreamDecodeError::Missing),
        ("a26166190100616c00", StreamDecodeError::Number),
        ("a2616600616c20", StreamDecodeError::Number),
        ("a3616600616c006162627878", StreamDecodeError::Type),
        ("a3616600616c00616600", StreamDecodeError::Duplicate),
    ] {
        assert_eq!(parse_get_stream_cbor(&hex(message)), Err(error), "{message}");
    }
}

#[test]
fn blocks() {
    for (case, start) in [(R1, 13), (R2, 19), (R3, 19)] {
        let message = hex(case);
        let block = decode_block_cbor(&message).unwrap();
        assert_eq!(block, Block { file_id: 0, block_id: 2, size: 16, payload: start..start + 16 });
        assert_eq!(message[block.payload], hex("000102030405060708090a0b0c0d0e0f"));
    }
    // The last block of a 10,000-byte file in blocks of 1 KiB, and a full block of 4 KiB.
    for (block_id, size, start, end, len, sha256, payload_sha256) in [
        (
            9,
            784,
            "bf616600616909616c1903106170590310091017",
            "646b72ff",
            802,
            "58687358a6a954d31f72386086560182fc48fcc8d816e3e66224dcaf66ff2a3b",
            "774666f3706d32b809b0ef9dee203c413004a1092b8417d021e7aba73dbc4c10",
        ),
        (
            300,
            4096,
            "bf616600616919012c616c19100061705910002c",
            "ff",
            4116,
            "344d792907173da40bc307ef679174516ddac0d153c215ffdc1e300698186610",
            "",
        ),
    ] {
        let payload = payload(block_id, size);
        let mut buf = vec![0; len];
        assert_eq!(encode_block_cbor(&mut buf, None, 0, block_id as u32, &payload), Ok(len));
        assert!(to_hex(&buf).starts_with(start) && to_hex(&buf).ends_with(end), "{}", to_hex(&buf[..24]));
        assert_eq!(to_hex(&Sha256::digest(&buf)), sha256);
        if !payload_sha256.is_empty() {
            assert_eq!(to_hex(&Sha256::digest(&payload)), payload_sha256);
        }
        let block = decode_block_cbor(&buf).unwrap();
        assert_eq!((block.file_id, block.block_id, block.size), (0, block_id as u32, size as u32));
        assert_eq!(buf[block.payload], payload);
    }
    let mut buf = [0; 64];
    let size =
        encode_block_cbor(&mut buf, Some("rdy"), 0, 2, &hex("000102030405060708090a0b0c0d0e0f")).unwrap();
    assert_eq!(to_hex(&buf[..size]), R2);
}

/// Every width a number may have, every order of the fields, and members nobody knows, written by another codec.
#[test]
fn blocks_in_every_shape() {
    let payload = payload(5, 300);
    let orders = ["filp", "plif", "iflp", "lpfi"];
    for (widths, order) in [0u8, 1, 2, 3, 4].into_iter().flat_map(|width| orders.map(|order| (width, order)))
    {
        for indefinite in [false, true] {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            if indefinite {
                encoder.begin_map().unwrap();
            } else {
                encoder.map(order.len() as u64 + 3).unwrap();
            }
            // Unknown members: a definite array with an indefinite map inside, a number as name, a tagged float.
            encoder
                .str("x")
                .unwrap()
                .array(2)
                .unwrap()
                .begin_map()
                .unwrap()
                .u8(1)
                .unwrap()
                .begin_array()
                .unwrap();
            encoder.end().unwrap().end().unwrap().null().unwrap();
            encoder.u64(u64::MAX).unwrap().int(Int::from(-1i64)).unwrap();
            encoder.str("file").unwrap().tag(minicbor::data::Tag::new(1)).unwrap().f64(1.5).unwrap();
            for field in order.chars() {
                encoder.str(&field.to_string()).unwrap();
                let number = match field {
                    'f' => 7u64,
                    'i' => 23,
                    'l' => 300,
                    _ => {
                        encoder.bytes(&payload).unwrap();
                        continue;
                    }
                };
                // Wider than needed, which CBOR allows.
                let out = encoder.writer_mut();
                match widths {
                    0 => minicbor::Encoder::new(out).u64(number).map(|_| ()).unwrap(),
                    1 if number < 256 => out.extend([0x18, number as u8]),
                    1 | 2 => out.extend([0x19, (number >> 8) as u8, number as u8]),
                    3 => out.extend([&[0x1A][..], &(number as u32).to_be_bytes()].concat()),
                    _ => out.extend([&[0x1B][..], &number.to_be_bytes()].concat()),
                }
            }
            if indefinite {
                encoder.end().unwrap();
            }
            let message = encoder.into_writer();
            let block = decode_block_cbor(&message).unwrap();
            assert_eq!(
                (block.file_id, block.block_id, block.size),
                (7, 23, 300),
                "{order} {widths} {indefinite}"
            );
            assert_eq!(message[block.payload], payload);
        }
    }
}

/// What this library writes, another codec reads.
#[test]
fn another_codec_agrees() {
    let mut buf = vec![0; 70_100];
    for size in [0, 1, 23, 24, 255, 256, 65_535, 65_536, 70_000] {
        let payload = payload(1, size);
        let len = encode_block_cbor(&mut buf, Some("c1"), 255, u32::MAX, &payload).unwrap();
        let mut decoder = minicbor::Decoder::new(&buf[..len]);
        assert_eq!(decoder.datatype().unwrap(), Type::MapIndef);
        assert_eq!(decoder.map().unwrap(), None);
        assert_eq!((decoder.str().unwrap(), decoder.str().unwrap()), ("c", "c1"));
        assert_eq!((decoder.str().unwrap(), decoder.u32().unwrap()), ("f", 255));
        assert_eq!((decoder.str().unwrap(), decoder.u32().unwrap()), ("i", u32::MAX));
        assert_eq!((decoder.str().unwrap(), decoder.u32().unwrap()), ("l", size as u32));
        assert_eq!((decoder.str().unwrap(), decoder.bytes().unwrap()), ("p", &payload[..]));
        assert_eq!(decoder.datatype().unwrap(), Type::Break);
        let block = decode_block_cbor(&buf[..len]).unwrap();
        assert_eq!((block.block_id, buf[block.payload].to_vec()), (u32::MAX, payload));
        assert!(encode_block_cbor(&mut buf[..len - 1], Some("c1"), 255, u32::MAX, &vec![0; size]).is_err());
    }
}

#[test]
fn blocks_that_are_refused() {
    use StreamDecodeError::*;
    for (message, error) in [
        ("", Truncated),
        ("80", NotAMap),
        ("f6", NotAMap),
        ("ff", NotAMap),
        ("a0", Missing),
        ("bfff", Missing),
        // Without f, i, l, p in turn.
        ("a3616902616c00617040", Missing),
        ("a3616600616c00617040", Missing),
        ("a3616600616902617040", Missing),
        ("a3616600616902616c00", Missing),
        // Twice f, twice p.
        ("a5616600616600616902616c00617040", Duplicate),
        ("a5616600616902616c00617040617040", Duplicate),
        // f = -1, i = -300, l = 2^32, i as a float, f as text, p as text, p as an array.
        ("a4616620616902616c00617040", Number),
        ("a461660061693901 2b616c00617040", Number),
        ("a4616600616902616c1b0000000100000000617040", Number),
        ("a4616600616 9f94000616c00617040", Type),
        ("a461666130616902616c00617040", Type),
        ("a4616600616902616c00617060", Type),
        ("a4616600616902616c00617080", Type),
        // l one too small and one too large; the payload cut; a length no memory has.
        ("a4616600616902616c02617043010203", Length),
        ("a4616600616902616c04617043010203", Length),
        ("a4616600616902616c036170430102", Truncated),
        ("a4616600616902616c0361705bffffffffffffffff01", Truncated),
        // Two chunks; a chunk that is text; a chunk that is itself of indefinite length.
        ("a4616600616902616c0361705f4101420203ff", Chunked),
        ("a4616600616902616c0361705f6101ff", Malformed),
        ("a4616600616902616c0361705f5f4101ffff", Malformed),
        // Something behind the map; an entry too few; the break too early; no break; reserved bits; a bare break as value.
        ("a4616600616902616c0061704000", Trailing),
        ("bf616600616902616c00617040ffff", Trailing),
        ("a5616600616902616c00617040", Truncated),
        ("bf6166ff", Type),
        ("bf616600616902616c00617040", Truncated),
        ("a46166 1c616902616c00617040", Malformed),
        ("a4616600616902616c006170 1f", Malformed),
        ("bf6178ff", Malformed),
        ("bf6178bf01ffff", Malformed),
        ("bf61789fff", Truncated),
    ] {
        let message = message.replace(' ', "");
        assert_eq!(decode_block_cbor(&hex(&message)), Err(error), "{message}");
    }
    // One chunk lies in one piece; so do no chunk and empty ones.
    let message = hex("a4616600616902616c0361705f404301020340ff");
    let block = decode_block_cbor(&message).unwrap();
    assert_eq!(message[block.payload], [1, 2, 3]);
    assert_eq!(decode_block_cbor(&hex("a4616600616902616c0061705fff")).unwrap().size, 0);
}

#[test]
fn json_blocks() {
    let bytes = hex("000102030405060708090a0b0c0d0e0f");
    let mut out = [0; 16];
    let expected = Block { file_id: 0, block_id: 2, size: 16, payload: 0..16 };
    assert_eq!(decode_block_json(R1_JSON.as_bytes(), &mut out), Ok(expected));
    assert_eq!(out[..], bytes);
    let mut message = R1_JSON.as_bytes().to_vec();
    let block = decode_block_json_in_place(&mut message).unwrap();
    assert_eq!((block.payload.clone(), &message[block.payload]), (25..41, &bytes[..]));
    let mut buf = [0; 80];
    let size = encode_block_json(&mut buf, None, 0, 2, &bytes).unwrap();
    assert_eq!(buf[..size], *R1_JSON.as_bytes());
    let size = encode_block_json(&mut buf, Some("rdy"), 0, 2, &bytes).unwrap();
    assert_eq!(buf[..size], *format!(r#"{{"c":"rdy",{}"#, &R1_JSON[1..]).as_bytes());
    assert_eq!(
        encode_block_json(&mut buf[..size - 1], Some("rdy"), 0, 2, &bytes),
        Err(EncodeError::BufferTooSmall)
    );
    // Any order, blanks, unknown members, escapes in a name and in the payload: `/`, `+` and `=`.
    let text = r#" { "x" : [ {"p":1} ] , "p" : "\/\u002B\/+\/w\u003d\u003D" , "l":4,"\u0069": 1 ,"f":9} "#;
    let mut out = [0; 4];
    let block = decode_block_json(text.as_bytes(), &mut out).unwrap();
    assert_eq!((block.file_id, block.block_id, out), (9, 1, [0xFF, 0xEF, 0xFE, 0xFF]));
    let mut message = text.as_bytes().to_vec();
    let block = decode_block_json_in_place(&mut message).unwrap();
    assert_eq!((block.file_id, block.block_id, &message[block.payload]), (9, 1, &out[..]));
}

/// Every solidus escaped, then only the one at each place: the payload is the same, apart and in place.
#[test]
fn json_payloads_with_escapes() {
    for size in 0..40 {
        let bytes = payload(0xF0, size).iter().map(|byte| byte | 0xFC).collect::<Vec<u8>>();
        let mut buf = [0; 128];
        let len = encode_block_json(&mut buf, None, 0, 0, &bytes).unwrap();
        let text = str::from_utf8(&buf[..len]).unwrap();
        let mut texts = vec![text.replace('/', r"\/"), text.replace('/', r"\u002F")];
        texts.extend(text.match_indices('/').map(|(at, _)| format!(r"{}\/{}", &text[..at], &text[at + 1..])));
        for text in texts {
            let mut out = vec![0; size];
            assert_eq!(decode_block_json(text.as_bytes(), &mut out).unwrap().payload, 0..size, "{text}");
            assert_eq!(out, bytes, "{text}");
            let mut message = text.as_bytes().to_vec();
            let block = decode_block_json_in_place(&mut message).unwrap();
            assert_eq!(message[block.payload], bytes, "{text}");
        }
    }
}

#[test]
fn json_blocks_that_are_refused() {
    use StreamDecodeError::*;
    for (message, error) in [
        ("", Json(JsonError::Syntax)),
        ("[]", Json(JsonError::Value)),
        ("{}", Missing),
        (r#"{"f":0,"i":2,"l":0}"#, Missing),
        (r#"{"f":0,"i":2,"l":0,"p":null}"#, Missing),
        (r#"{"f":0,"i":2,"l":0,"p":""}x"#, Json(JsonError::Trailing)),
        (r#"{"f":0,"i":2,"l":0,"p":"","p":""}"#, Duplicate),
        (r#"{"f":-1,"i":2,"l":0,"p":""}"#, Number),
        (r#"{"f":0,"i":2.0,"l":0,"p":""}"#, Number),
        (r#"{"f":0,"i":4294967296,"l":0,"p":""}"#, Number),
        (r#"{"f":0,"i":"2","l":0,"p":""}"#, Type),
        (r#"{"f":0,"i":2,"l":0,"p":7}"#, Type),
        (r#"{"f":0,"i":2,"l":2,"p":"AAEC"}"#, Length),
        (r#"{"f":0,"i":2,"l":4,"p":"AAEC"}"#, Length),
        (r#"{"f":0,"i":2,"l":2,"p":"AAE"}"#, Base64(Base64Error::Padding)),
        (r#"{"f":0,"i":2,"l":2,"p":"AAEC="}"#, Base64(Base64Error::Padding)),
        (r#"{"f":0,"i":2,"l":2,"p":"AAF="}"#, Base64(Base64Error::Padding)),
        (r#"{"f":0,"i":2,"l":2,"p":"A==="}"#, Base64(Base64Error::Padding)),
        (r#"{"f":0,"i":2,"l":2,"p":"AA=A"}"#, Base64(Base64Error::Padding)),
        (r#"{"f":0,"i":2,"l":2,"p":"AA==AAEC"}"#, Base64(Base64Error::Padding)),
        (r#"{"f":0,"i":2,"l":2,"p":"AA\nEC"}"#, Base64(Base64Error::Character)),
        (r#"{"f":0,"i":2,"l":2,"p":"AA-_"}"#, Base64(Base64Error::Character)),
        (r#"{"f":0,"i":2,"l":2,"p":"AAÄ"}"#, Base64(Base64Error::Character)),
        (r#"{"f":0,"i":2,"l":2,"p":"AA\u0441E"}"#, Base64(Base64Error::Character)),
    ] {
        assert_eq!(decode_block_json(message.as_bytes(), &mut [0; 32]), Err(error), "{message}");
        assert_eq!(decode_block_json_in_place(&mut message.as_bytes().to_vec()), Err(error), "{message}");
    }
    assert_eq!(decode_block_json(R1_JSON.as_bytes(), &mut [0; 15]), Err(BufferTooSmall));
}

/// Every length to 200 bytes out and back; and text that stands in RFC 4648, section 10.
#[test]
fn base64_both_ways() {
    use ota_core::wire::base64;
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        let mut buf = [0; 8];
        let size = base64::encode_slice(bytes.as_bytes(), &mut buf).unwrap();
        assert_eq!((&buf[..size], size), (text.as_bytes(), base64::encoded_size(bytes.len())));
        let size = base64::decode(text.as_bytes(), &mut buf).unwrap();
        assert_eq!(&buf[..size], bytes.as_bytes());
    }
    for size in 0..200 {
        let bytes = payload(0xF8, size);
        let (mut text, mut back) = ([0; 300], [0; 200]);
        let len = base64::encode_slice(&bytes, &mut text).unwrap();
        assert_eq!(base64::decode(&text[..len], &mut back), Ok(size));
        assert_eq!(back[..size], bytes);
        if size > 0 {
            assert_eq!(base64::decode(&text[..len], &mut back[..size - 1]), Err(Base64Error::BufferTooSmall));
            assert_eq!(base64::encode_slice(&bytes, &mut text[..len - 1]), Err(EncodeError::BufferTooSmall));
        }
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
