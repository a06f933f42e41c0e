//! Blocks of MQTT-based file delivery by literal bytes, as the service answers GetStream, and the base64 of the JSON form. Each
//! vector was checked with an independent CBOR codec.

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

/// What the messages of a test file hold: byte k of block i is 7k + i.
fn payload(block: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (7 * at + block) as u8).collect()
}

const R1: &str = "bf616600616902616c10617050000102030405060708090a0b0c0d0e0fff";
const R2: &str = "bf616363726479616600616902616c10617050000102030405060708090a0b0c0d0e0fff";
const R3: &str = "a5616363726479616600616902616c10617050000102030405060708090a0b0c0d0e0f";
const R1_JSON: &str = r#"{"f":0,"i":2,"l":16,"p":"AAECAwQFBgcICQoLDA0ODw=="}"#;

fn decode_cbor(message: &[u8]) -> Result<Block<'_>, StreamDecodeError> {
    decode_block(Format::Cbor, message, &mut [])
}

#[test]
fn blocks() {
    for (case, start) in [(R1, 13), (R2, 19), (R3, 19)] {
        let message = hex(case);
        let block = decode_cbor(&message).unwrap();
        assert_eq!((block.file_id, block.block_id), (0, 2));
        assert_eq!(block.payload.as_ptr(), message[start..].as_ptr(), "not copied");
        assert_eq!(block.payload, hex("000102030405060708090a0b0c0d0e0f"));
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
        assert_eq!(encode_block(Format::Cbor, &mut buf, None, 0, block_id as u32, &payload), Ok(len));
        assert!(to_hex(&buf).starts_with(start) && to_hex(&buf).ends_with(end), "{}", to_hex(&buf[..24]));
        assert_eq!(to_hex(&Sha256::digest(&buf)), sha256);
        if !payload_sha256.is_empty() {
            assert_eq!(to_hex(&Sha256::digest(&payload)), payload_sha256);
        }
        let block = decode_cbor(&buf).unwrap();
        assert_eq!((block.file_id, block.block_id), (0, block_id as u32));
        assert_eq!(block.payload, payload);
    }
    let mut buf = [0; 64];
    let size =
        encode_block(Format::Cbor, &mut buf, Some("rdy"), 0, 2, &hex("000102030405060708090a0b0c0d0e0f"))
            .unwrap();
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
            let block = decode_cbor(&message).unwrap();
            assert_eq!(
                (block.file_id, block.block_id, block.payload.len()),
                (7, 23, 300),
                "{order} {widths} {indefinite}"
            );
            assert_eq!(block.payload, payload);
        }
    }
}

/// What this library writes, another codec reads.
#[test]
fn another_codec_agrees() {
    let mut buf = vec![0; 70_100];
    for size in [0, 1, 23, 24, 255, 256, 65_535, 65_536, 70_000] {
        let payload = payload(1, size);
        let len = encode_block(Format::Cbor, &mut buf, Some("c1"), 255, u32::MAX, &payload).unwrap();
        // The token takes two bytes here, and nothing else can make a message longer.
        assert!(
            len < size + stream::CBOR_OVERHEAD && (size < 65_536 || len + 1 == size + stream::CBOR_OVERHEAD)
        );
        let mut decoder = minicbor::Decoder::new(&buf[..len]);
        assert_eq!(decoder.datatype().unwrap(), Type::MapIndef);
        assert_eq!(decoder.map().unwrap(), None);
        assert_eq!((decoder.str().unwrap(), decoder.str().unwrap()), ("c", "c1"));
        assert_eq!((decoder.str().unwrap(), decoder.u32().unwrap()), ("f", 255));
        assert_eq!((decoder.str().unwrap(), decoder.u32().unwrap()), ("i", u32::MAX));
        assert_eq!((decoder.str().unwrap(), decoder.u32().unwrap()), ("l", size as u32));
        assert_eq!((decoder.str().unwrap(), decoder.bytes().unwrap()), ("p", &payload[..]));
        assert_eq!(decoder.datatype().unwrap(), Type::Break);
        let block = decode_cbor(&buf[..len]).unwrap();
        assert_eq!((block.block_id, block.payload), (u32::MAX, &payload[..]));
        assert!(
            encode_block(Format::Cbor, &mut buf[..len - 1], Some("c1"), 255, u32::MAX, &vec![0; size])
                .is_err()
        );
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
        ("bf6166ff", Malformed),
        ("bf616600616902616c00617040", Truncated),
        ("a46166 1c616902616c00617040", Malformed),
        ("a4616600616902616c006170 1f", Malformed),
        ("bf6178ff", Malformed),
        ("bf6178bf01ffff", Malformed),
        ("bf61789fff", Truncated),
    ] {
        let message = message.replace(' ', "");
        assert_eq!(decode_cbor(&hex(&message)), Err(error), "{message}");
    }
    // One chunk lies in one piece; so do no chunk and empty ones.
    let message = hex("a4616600616902616c0361705f404301020340ff");
    let block = decode_cbor(&message).unwrap();
    assert_eq!(block.payload, [1, 2, 3]);
    assert_eq!(decode_cbor(&hex("a4616600616902616c0061705fff")).unwrap().payload, []);
}

#[test]
fn json_blocks() {
    let bytes = hex("000102030405060708090a0b0c0d0e0f");
    let mut out = [0; 16];
    let expected = Block { file_id: 0, block_id: 2, payload: &bytes };
    assert_eq!(decode_block(Format::Json, R1_JSON.as_bytes(), &mut out), Ok(expected));
    let mut buf = [0; 80];
    let size = encode_block(Format::Json, &mut buf, None, 0, 2, &bytes).unwrap();
    assert_eq!(buf[..size], *R1_JSON.as_bytes());
    let size = encode_block(Format::Json, &mut buf, Some("rdy"), 0, 2, &bytes).unwrap();
    assert_eq!(buf[..size], *format!(r#"{{"c":"rdy",{}"#, &R1_JSON[1..]).as_bytes());
    assert_eq!(
        encode_block(Format::Json, &mut buf[..size - 1], Some("rdy"), 0, 2, &bytes),
        Err(EncodeError::BufferTooSmall)
    );
    // Any order, blanks, unknown members, escapes in a name and in the payload: `/`, `+` and `=`.
    let text = r#" { "x" : [ {"p":1} ] , "p" : "\/\u002B\/+\/w\u003d\u003D" , "l":4,"\u0069": 1 ,"f":9} "#;
    let mut out = [0; 4];
    let block = decode_block(Format::Json, text.as_bytes(), &mut out).unwrap();
    assert_eq!((block.file_id, block.block_id, block.payload), (9, 1, &[0xFF, 0xEF, 0xFE, 0xFF][..]));
}

/// Every solidus escaped, then only the one at each place: the payload is the same.
#[test]
fn json_payloads_with_escapes() {
    for size in 0..40 {
        let bytes = payload(0xF0, size).iter().map(|byte| byte | 0xFC).collect::<Vec<u8>>();
        let mut buf = [0; 128];
        let len = encode_block(Format::Json, &mut buf, None, 0, 0, &bytes).unwrap();
        let text = str::from_utf8(&buf[..len]).unwrap();
        let mut texts = vec![text.replace('/', r"\/"), text.replace('/', r"\u002F")];
        texts.extend(text.match_indices('/').map(|(at, _)| format!(r"{}\/{}", &text[..at], &text[at + 1..])));
        for text in texts {
            let mut out = vec![0; size];
            assert_eq!(
                decode_block(Format::Json, text.as_bytes(), &mut out).unwrap().payload,
                bytes,
                "{text}"
            );
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
        assert_eq!(decode_block(Format::Json, message.as_bytes(), &mut [0; 32]), Err(error), "{message}");
    }
    assert_eq!(decode_block(Format::Json, R1_JSON.as_bytes(), &mut [0; 15]), Err(BufferTooSmall));
}

/// Every length to 200 bytes out and back; and text that stands in RFC 4648, section 10.
#[test]
fn base64_both_ways() {
    use ota_core::wire::{base64, json};
    fn decode(text: &[u8], out: &mut [u8]) -> Result<usize, Base64Error> {
        let string = [b"\"", text, b"\""].concat();
        base64::decode_text(json::parse(&string).unwrap().as_text().unwrap(), out)
    }
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
        let size = decode(text.as_bytes(), &mut buf).unwrap();
        assert_eq!(&buf[..size], bytes.as_bytes());
    }
    for size in 0..200 {
        let bytes = payload(0xF8, size);
        let (mut text, mut back) = ([0; 300], [0; 200]);
        let len = base64::encode_slice(&bytes, &mut text).unwrap();
        assert_eq!(decode(&text[..len], &mut back), Ok(size));
        assert_eq!(back[..size], bytes);
        if size > 0 {
            assert_eq!(decode(&text[..len], &mut back[..size - 1]), Err(Base64Error::BufferTooSmall));
            assert_eq!(base64::encode_slice(&bytes, &mut text[..len - 1]), Err(EncodeError::BufferTooSmall));
        }
    }
}

/// Errors travel in results on the way of every block.
#[test]
fn errors_are_small() {
    assert!(
        size_of::<StreamDecodeError>() <= 2 && size_of::<EncodeError>() == 1 && size_of::<JsonError>() == 1
    );
    assert!(size_of::<DocumentError>() == 1 && size_of::<TopicError>() == 1 && size_of::<Base64Error>() == 1);
}
