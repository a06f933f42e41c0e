//! What is read of a message: members of a map by their names, be it JSON or CBOR.

use super::{
    cbor::{self, Decoder, major},
    json::{self, JsonError, Value},
    scan::Scanner,
    stream::StreamDecodeError,
    topic::Format,
    words,
    writer::{EncodeError, Writer, checked_token},
};

/// Why a message cannot be read. Each kind of message tells it in its own words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    // These are JSON's own, in the order of `JsonError`.
    Utf8,
    Syntax,
    JsonTrailing,
    TooDeep,
    Duplicate,
    Missing,
    /// JSON, but no object.
    Value,
    // CBOR's own.
    Truncated,
    Trailing,
    NotAMap,
    Malformed,
    Chunked,
    // Of a member.
    Type,
    Number,
}

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Utf8 => Self::Utf8,
            JsonError::Syntax => Self::Syntax,
            JsonError::Trailing => Self::JsonTrailing,
            JsonError::TooDeep => Self::TooDeep,
            JsonError::Duplicate => Self::Duplicate,
            JsonError::Missing => Self::Missing,
            JsonError::Value => Self::Value,
        }
    }
}

impl From<Fault> for JsonError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Utf8 => Self::Utf8,
            Fault::Syntax => Self::Syntax,
            Fault::JsonTrailing => Self::Trailing,
            Fault::TooDeep => Self::TooDeep,
            Fault::Duplicate => Self::Duplicate,
            Fault::Missing => Self::Missing,
            Fault::Value
            | Fault::Truncated
            | Fault::Trailing
            | Fault::NotAMap
            | Fault::Malformed
            | Fault::Chunked
            | Fault::Type
            | Fault::Number => Self::Value,
        }
    }
}

impl From<Fault> for StreamDecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Utf8 => Self::Json(JsonError::Utf8),
            Fault::Syntax => Self::Json(JsonError::Syntax),
            Fault::JsonTrailing => Self::Json(JsonError::Trailing),
            Fault::Value => Self::Json(JsonError::Value),
            Fault::TooDeep => Self::TooDeep,
            Fault::Duplicate => Self::Duplicate,
            Fault::Missing => Self::Missing,
            Fault::Truncated => Self::Truncated,
            Fault::Trailing => Self::Trailing,
            Fault::NotAMap => Self::NotAMap,
            Fault::Malformed => Self::Malformed,
            Fault::Chunked => Self::Chunked,
            Fault::Type => Self::Type,
            Fault::Number => Self::Number,
        }
    }
}

/// Members of a map that are asked for.
pub(super) struct Shape<'s> {
    /// Their names, with blanks between.
    pub(super) names: &'s str,
    /// What each has to be: `"` a text, `.` bytes (in JSON a text), `#` a number from 0 to `u32::MAX`; in JSON `{` an object
    /// and `[` an array; `*` is left to the caller.
    pub(super) types: &'s str,
    /// Which of them have to be there: bit 0 is that of the first.
    pub(super) required: u32,
}

/// A member of a map, once it is found.
#[derive(Clone, Copy, Default)]
pub(super) struct Field<'a> {
    /// Contents of a string, in JSON with their escapes; of all else the value as it stands in the message.
    content: Option<&'a [u8]>,
    /// Of a number. 0 where it was not found.
    pub(super) number: u32,
}

impl<'a> Field<'a> {
    pub(super) const fn bytes(&self) -> Option<&'a [u8]> {
        self.content
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.content.map(json::text)
    }

    /// A number.
    pub(super) fn some_number(&self) -> Option<u32> {
        self.content.map(|_| self.number)
    }

    /// Takes apart what stands in the message.
    #[inline(never)]
    fn read(&mut self, format: Format, kind: u8) -> Result<(), Fault> {
        let item = self.content.unwrap_or_default();
        match (kind, format) {
            (b'*', _) => {}
            (b'#', Format::Cbor) => self.number = Decoder::number(item)?,
            (_, Format::Cbor) => {
                let kind = if kind == b'.' { major::BYTES } else { major::TEXT };
                let chunked = if cbor::is_of(item, kind) { Fault::Chunked } else { Fault::Type };
                let content = Decoder::string(item, kind).ok_or(chunked)?;
                if kind == major::TEXT && core::str::from_utf8(content).is_err() {
                    return Err(Fault::Malformed);
                }
                self.content = Some(content);
            }
            (b'#', Format::Json) => {
                let value = Value::new(item);
                if !value.is_number() {
                    return Err(Fault::Type);
                }
                self.number = value.as_u32().ok_or(Fault::Number)?;
            }
            (b'"' | b'.', Format::Json) => {
                let text = Value::new(item).as_text().ok_or(Fault::Type)?;
                self.content = Some(text.raw_bytes());
            }
            (_, Format::Json) if item.first() != Some(&kind) => return Err(Fault::Type),
            (_, Format::Json) => {}
        }
        Ok(())
    }
}

/// Members of a map, in the order of their [`Shape`].
pub(super) type Fields<'a> = [Field<'a>; MAX_FIELDS];

/// Most members of a map that are asked for.
const MAX_FIELDS: usize = 6;

/// Nothing is found yet.
#[inline(never)]
pub(super) fn none<'a>() -> Fields<'a> {
    [Field::default(); MAX_FIELDS]
}

/// Reads `message`, which is a map: puts the members of this shape into `found`, passes over others. In JSON `null` counts as
/// absent.
#[inline(never)]
pub(super) fn find<'a>(
    format: Format,
    message: &'a [u8],
    shape: &Shape<'_>,
    found: &mut Fields<'a>,
) -> Result<(), Fault> {
    match format {
        Format::Cbor => cbor::check(message)?,
        Format::Json => json::check(message)?,
    }
    let mut items = Decoder::inside(message);
    let mut members = Scanner::new(message);
    if let Format::Json = format
        && members.token() != b'{'
    {
        return Err(Fault::Value);
    }
    let mut seen = 0;
    loop {
        let (place, item) = match format {
            Format::Cbor => {
                let (Some(name), Some(value)) = (items.item(), items.item()) else { break };
                // Of a name that is no text, nothing is known.
                let name = Decoder::string(name, major::TEXT).unwrap_or_default();
                (words::position(shape.names, name), value)
            }
            Format::Json => {
                let (Some(name), Some(value)) = (members.item(), members.item()) else { break };
                if value.is_null() {
                    continue;
                }
                (name.as_text().and_then(|name| name.position_in(shape.names)), value.bytes())
            }
        };
        let Some((at, field)) = place.and_then(|at| Some((at, found.get_mut(at)?))) else { continue };
        if seen >> at & 1 != 0 {
            return Err(Fault::Duplicate);
        }
        seen |= 1 << at;
        field.content = Some(item);
        field.read(format, shape.types.as_bytes().get(at).copied().unwrap_or(b'*'))?;
    }
    if seen & shape.required == shape.required { Ok(()) } else { Err(Fault::Missing) }
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
