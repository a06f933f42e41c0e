//! Fields of stream messages, which come as CBOR or as JSON.

use super::{
    cbor::{self, Decoder, major},
    json::{self, Value},
    stream::StreamDecodeError,
    topic::Format,
    words,
    writer::{EncodeError, Writer, checked_token},
};

/// Most fields a message has that are asked for.
const MAX_FIELDS: usize = 6;

/// The value of a field, as it stands in the message.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Cbor(&'a [u8]),
    Json(Value<'a>),
}

/// Puts the fields of these names, with blanks between, into `found`; others are passed over.
pub(super) fn find<'a>(
    format: Format,
    message: &'a [u8],
    names: &str,
    found: &mut [Option<Field<'a>>],
) -> Result<(), StreamDecodeError> {
    match format {
        Format::Cbor => find_cbor(message, names, found),
        Format::Json => find_json(message, names, found),
    }
}

fn find_cbor<'a>(
    message: &'a [u8],
    names: &str,
    found: &mut [Option<Field<'a>>],
) -> Result<(), StreamDecodeError> {
    let mut decoder = Decoder::new(message);
    let mut entries = decoder.map()?;
    while entries.more(&mut decoder) {
        // Of a name that is no text, nothing is known.
        let name = Decoder::new(decoder.item()?).string(major::TEXT).unwrap_or_default();
        let value = Field::Cbor(decoder.item()?);
        let place = words::position(names, name).and_then(|at| found.get_mut(at));
        if place.is_some_and(|place| place.replace(value).is_some()) {
            return Err(StreamDecodeError::Duplicate);
        }
    }
    decoder.end()
}

fn find_json<'a>(
    message: &'a [u8],
    names: &str,
    found: &mut [Option<Field<'a>>],
) -> Result<(), StreamDecodeError> {
    let mut values = [None; MAX_FIELDS];
    json::parse(message)?.find(names, &mut values)?;
    for (place, value) in found.iter_mut().zip(values) {
        *place = value.map(Field::Json);
    }
    Ok(())
}

/// A number that must be there.
#[inline(never)]
pub(super) fn number(field: &Option<Field<'_>>) -> Result<u32, StreamDecodeError> {
    match field.as_ref().ok_or(StreamDecodeError::Missing)? {
        Field::Cbor(bytes) => Decoder::new(bytes).number(),
        Field::Json(value) if value.is_number() => value.as_u32().ok_or(StreamDecodeError::Number),
        Field::Json(_) => Err(StreamDecodeError::Type),
    }
}

/// A text that may be there; of JSON as it stands in the message, with its escapes.
#[inline(never)]
pub(super) fn text<'a>(field: &Option<Field<'a>>) -> Result<Option<&'a str>, StreamDecodeError> {
    match field {
        None => Ok(None),
        Some(Field::Cbor(bytes)) => Decoder::new(bytes).text().map(Some),
        Some(Field::Json(value)) => match value.as_text() {
            Some(text) => Ok(Some(text.raw())),
            None => Err(StreamDecodeError::Type),
        },
    }
}

/// Writes the fields of a message one by one.
pub(super) struct FieldWriter<'b> {
    format: Format,
    pub(super) writer: Writer<'b>,
    /// The map has said how many entries it has.
    counted: bool,
}

impl<'b> FieldWriter<'b> {
    /// A map in CBOR has this many entries, or any number and a break.
    pub(super) fn new(format: Format, buf: &'b mut [u8], count: Option<u32>) -> Self {
        let mut writer = Writer::new(buf);
        match (format, count) {
            (Format::Cbor, Some(count)) => cbor::head(&mut writer, major::MAP, count),
            (Format::Cbor, None) => writer.byte(cbor::MAP_INDEFINITE),
            (Format::Json, _) => writer.byte(b'{'),
        }
        Self { format, writer, counted: count.is_some() }
    }

    #[inline(never)]
    pub(super) fn name(&mut self, name: &str) {
        match self.format {
            Format::Cbor => cbor::text(&mut self.writer, name),
            Format::Json => self.writer.json_name(name),
        }
    }

    /// `c`, if there is one.
    pub(super) fn token(&mut self, token: Option<&str>) -> Result<(), EncodeError> {
        let Some(token) = token else { return Ok(()) };
        let token = checked_token(token)?;
        match self.format {
            Format::Cbor => {
                self.name("c");
                cbor::text(&mut self.writer, token);
            }
            Format::Json => self.writer.json_text("c", token),
        }
        Ok(())
    }

    #[inline(never)]
    pub(super) fn number(&mut self, name: &str, number: u32) {
        self.name(name);
        match self.format {
            Format::Cbor => cbor::head(&mut self.writer, major::UNSIGNED, number),
            Format::Json => self.writer.decimal(number),
        }
    }

    /// Ends the message; returns its bytes.
    pub(super) fn finish(mut self) -> Result<usize, EncodeError> {
        match self.format {
            Format::Cbor if self.counted => {}
            Format::Cbor => self.writer.byte(cbor::BREAK),
            Format::Json => self.writer.byte(b'}'),
        }
        self.writer.finish()
    }
}
