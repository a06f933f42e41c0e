//! Fields of stream messages, which come as CBOR or as JSON.

use super::{
    cbor::Decoder,
    json::{self, Value},
    stream::StreamDecodeError,
    topic::Format,
};

/// The value of a field, as it stands in the message.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Cbor(&'a [u8]),
    Json(Value<'a>),
}

/// The fields of these names, with blanks between; others are passed over.
pub(super) fn fields<'a, const N: usize>(
    format: Format,
    message: &'a [u8],
    names: &str,
) -> Result<[Option<Field<'a>>; N], StreamDecodeError> {
    match format {
        Format::Cbor => {
            let mut found = [None; N];
            let mut decoder = Decoder::new(message);
            decoder.find(names, &mut found)?;
            decoder.end()?;
            Ok(found.map(|field| field.map(Field::Cbor)))
        }
        Format::Json => Ok(json::parse(message)?.fields(names)?.map(|field| field.map(Field::Json))),
    }
}

/// A number that must be there.
pub(super) fn number(field: Option<Field<'_>>) -> Result<u32, StreamDecodeError> {
    match field.ok_or(StreamDecodeError::Missing)? {
        Field::Cbor(bytes) => Decoder::new(bytes).number(),
        Field::Json(value) if value.is_number() => value.as_u32().ok_or(StreamDecodeError::Number),
        Field::Json(_) => Err(StreamDecodeError::Type),
    }
}

/// A text that may be there; of JSON as it stands in the message, with its escapes.
pub(super) fn text(field: Option<Field<'_>>) -> Result<Option<&str>, StreamDecodeError> {
    match field {
        None => Ok(None),
        Some(Field::Cbor(bytes)) => Decoder::new(bytes).text().map(Some),
        Some(Field::Json(value)) => match value.as_text() {
            Some(text) => Ok(Some(text.raw())),
            None => Err(StreamDecodeError::Type),
        },
    }
}
