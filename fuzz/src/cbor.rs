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

/// Why there are no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoFields {
    /// It is no map, or ends too early or too late.
    Malformed,
    /// That crate knows not all simple values, and reads no text that is not UTF-8 even to pass over it: it cannot tell.
    Unknown,
}

impl From<minicbor::decode::Error> for NoFields {
    fn from(error: minicbor::decode::Error) -> Self {
        if error.is_end_of_input() { Self::Malformed } else { Self::Unknown }
    }
}

/// The members of the map that `message` is, and nothing behind it.
pub(crate) fn fields(message: &[u8]) -> Result<Vec<(String, Field)>, NoFields> {
    let mut decoder = Decoder::new(message);
    let count = decoder.map().map_err(|_| NoFields::Malformed)?;
    let mut fields = Vec::new();
    while count.is_none_or(|count| (fields.len() as u64) < count) {
        if count.is_none() && decoder.datatype()? == Type::Break {
            decoder.skip()?;
            break;
        }
        let name = match field(&mut decoder)? {
            Field::Text(name) => name,
            Field::Number(_) | Field::Bytes(_) | Field::Other => String::new(),
        };
        fields.push((name, field(&mut decoder)?));
    }
    if decoder.position() == message.len() { Ok(fields) } else { Err(NoFields::Malformed) }
}

fn field(decoder: &mut Decoder<'_>) -> Result<Field, NoFields> {
    let mut other = decoder.clone();
    decoder.skip()?;
    Ok(match other.datatype()? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Field::Number(other.u64()?),
        Type::Bytes => Field::Bytes(other.bytes()?.to_vec()),
        Type::BytesIndef => Field::Bytes(other.bytes_iter()?.collect::<Result<Vec<_>, _>>()?.concat()),
        // Of a text that is not UTF-8 nothing is known.
        Type::String => other.str().map_or(Field::Other, |text| Field::Text(text.to_owned())),
        Type::StringIndef => match other.str_iter()?.collect::<Result<Vec<_>, _>>() {
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
