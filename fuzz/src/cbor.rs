//! A second reading of stream messages in CBOR, by `minicbor`.

use minicbor::Decoder;
use minicbor::data::Type;

/// A field of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Number(u64),
    Bytes(Vec<u8>),
    Text(String),
    Other,
}

/// The members of the map that `message` is, and nothing behind it; `None` where that crate finds no such thing.
pub(crate) fn fields(message: &[u8]) -> Option<Vec<(String, Field)>> {
    let mut decoder = Decoder::new(message);
    let count = decoder.map().ok()?;
    let mut fields = Vec::new();
    while count.is_none_or(|count| (fields.len() as u64) < count) {
        if count.is_none() && decoder.datatype().ok()? == Type::Break {
            decoder.skip().ok()?;
            break;
        }
        let name = match field(&mut decoder)? {
            Field::Text(name) => name,
            Field::Number(_) | Field::Bytes(_) | Field::Other => String::new(),
        };
        fields.push((name, field(&mut decoder)?));
    }
    (decoder.position() == message.len()).then_some(fields)
}

fn field(decoder: &mut Decoder<'_>) -> Option<Field> {
    let mut other = decoder.clone();
    decoder.skip().ok()?;
    Some(match other.datatype().ok()? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Field::Number(other.u64().ok()?),
        Type::Bytes => Field::Bytes(other.bytes().ok()?.to_vec()),
        Type::BytesIndef => {
            let chunks: Result<Vec<_>, _> = other.bytes_iter().ok()?.collect();
            Field::Bytes(chunks.ok()?.concat())
        }
        // Of a text that is not UTF-8 nothing is known.
        Type::String => other.str().map_or(Field::Other, |text| Field::Text(text.to_owned())),
        Type::StringIndef => match other.str_iter().ok()?.collect::<Result<Vec<_>, _>>() {
            Ok(chunks) => Field::Text(chunks.concat()),
            Err(_) => Field::Other,
        },
        _ => Field::Other,
    })
}

/// The field of this name, if there is one.
pub(crate) fn get<'f>(fields: &'f [(String, Field)], name: &str) -> Option<&'f Field> {
    fields.iter().find(|field| field.0 == name).map(|field| &field.1)
}
