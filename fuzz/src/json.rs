//! JSON: what `serde_json` takes is taken and means the same, and nothing else is.

use ota_core::wire::json::{self, JsonError, MAX_DEPTH, Value};
use ota_core::wire::{Text, base64};
use serde_json::Value as Json;

use crate::bytes::{assert_inside, base64_like};

/// Checks `message` as JSON. What it holds, if it is JSON in which no member occurs twice in an object: there the two may
/// choose differently.
pub(crate) fn check(message: &[u8]) -> Option<Json> {
    let theirs = serde_json::from_slice::<Json>(message);
    match (json::parse(message), theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_inside(message, ours.raw().as_bytes());
            is_same(&ours, &theirs).then_some(theirs)
        }
        (Err(JsonError::TooDeep), theirs) => {
            assert!(theirs.is_err() || theirs.is_ok_and(|theirs| depth(&theirs) > MAX_DEPTH), "not too deep");
            None
        }
        (Err(_), Err(_)) => None,
        // 17e8000000 is JSON, but no number of that crate.
        (Ok(_), Err(error)) if error.to_string().contains("out of range") => None,
        (ours, theirs) => panic!("{ours:?}, but serde_json: {theirs:?}"),
    }
}

fn depth(value: &Json) -> u32 {
    let deepest = |inner: Option<u32>| 1 + inner.unwrap_or(0);
    match value {
        Json::Array(elements) => deepest(elements.iter().map(depth).max()),
        Json::Object(members) => deepest(members.values().map(depth).max()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}

/// Whether members are unique; panics where the two differ.
fn is_same(ours: &Value<'_>, theirs: &Json) -> bool {
    let text = ours.as_text();
    assert_eq!((ours.is_null(), ours.is_number()), (theirs.is_null(), theirs.is_number()));
    assert_eq!(text.is_some(), theirs.is_string());
    assert_eq!(ours.elements().is_some(), theirs.is_array());
    assert_eq!(ours.members().is_some(), theirs.is_object());
    match theirs {
        Json::Null | Json::Bool(_) => true,
        Json::Number(number) => {
            // "-0" is 0 for that crate, and no count for this one.
            assert!(ours.as_u64() == number.as_u64() || ours.raw().starts_with('-'), "{ours:?} {number}");
            assert_eq!(
                ours.as_u32().map(u64::from),
                ours.as_u64().filter(|number| *number <= u32::MAX.into())
            );
            true
        }
        Json::String(theirs) => {
            check_text(text.expect("a string"), theirs);
            true
        }
        Json::Array(theirs) => {
            let ours: Vec<_> = ours.elements().expect("an array").collect();
            assert_eq!(ours.len(), theirs.len());
            ours.iter().zip(theirs).fold(true, |unique, (ours, theirs)| is_same(ours, theirs) & unique)
        }
        Json::Object(theirs) => {
            let ours: Vec<_> = ours.members().expect("an object").collect();
            let mut names: Vec<String> = ours.iter().map(|(name, _)| unescaped(*name)).collect();
            for name in &names {
                assert!(theirs.contains_key(name), "a member that is not there");
            }
            if names.len() != theirs.len() {
                names.sort();
                assert!(names.windows(2).any(|pair| pair[0] == pair[1]), "members are missing");
                return false;
            }
            let same = |((_, ours), name): (&(Text<'_>, Value<'_>), &String)| is_same(ours, &theirs[name]);
            ours.iter().zip(&names).map(same).fold(true, |unique, inner| unique & inner)
        }
    }
}

/// The text without its escapes.
pub(crate) fn unescaped(text: Text<'_>) -> String {
    let mut buf = vec![0; text.raw().len()];
    text.unescape(&mut buf).expect("escapes are longer than what they stand for").to_owned()
}

fn check_text(ours: Text<'_>, theirs: &str) {
    assert_eq!(unescaped(ours), theirs);
    assert!(ours.is(theirs) && ours.starts_with(theirs) && !ours.is(&format!("{theirs}x")));
    assert!(ours.as_plain().is_none_or(|plain| plain == theirs));
    let mut out = vec![0; theirs.len()];
    let size = base64::decode_text(ours, &mut out);
    let other = <base64ct::Base64 as base64ct::Encoding>::decode_vec(theirs);
    assert_eq!(size.map(|size| &out[..size]).ok(), other.ok().as_deref(), "base64 of {theirs:?}");
}

/// Base64 of any bytes, both ways.
pub(crate) fn check_base64(bytes: &[u8]) {
    let mut text = vec![0; base64::encoded_size(bytes.len())];
    let size = base64::encode_slice(bytes, &mut text).expect("there is room");
    let other = <base64ct::Base64 as base64ct::Encoding>::encode_string(bytes);
    assert_eq!(&text[..size], other.as_bytes());
    let message = format!("\"{other}\"");
    let text =
        json::parse(message.as_bytes()).ok().and_then(|value| value.as_text()).expect("it is a string");
    let mut out = vec![0; bytes.len()];
    assert_eq!(base64::decode_text(text, &mut out), Ok(bytes.len()));
    assert_eq!(out, bytes);
    // And text that need not be base64.
    let like = base64_like(bytes);
    check(format!("\"{like}\"").as_bytes());
}
