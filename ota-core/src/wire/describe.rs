//! Asking what a stream holds: DescribeStream and its answer, in CBOR and JSON.
//!
//! An update does not need it, since the job document names file ids and sizes; it serves to learn the stream's version.
//! Source: AWS IoT developer guide, "Using AWS IoT MQTT-based file delivery in devices", DescribeStream.

use super::{
    cbor::{self, Decoder, major},
    field::{FieldWriter, Shape, find, none},
    job::Token,
    json::Value,
    stream::StreamDecodeError,
    topic::Format,
    writer::EncodeError,
};

/// Writes the request in `format`; returns the bytes written.
///
/// # Errors
/// [`EncodeError::Token`], [`EncodeError::BufferTooSmall`].
pub fn encode_describe_stream(
    format: Format,
    buf: &mut [u8],
    token: Option<&str>,
) -> Result<usize, EncodeError> {
    let mut fields = FieldWriter::new(format, buf, Some(u32::from(token.is_some())));
    fields.token(token)?;
    fields.finish()
}

/// A file of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamFile {
    /// `f`: file id.
    pub id: u8,
    /// `z`: file size in bytes.
    pub size: u32,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDescription<'a> {
    /// `c`: the token of the request.
    pub token: Token<'a>,
    /// `s`: version of the stream.
    pub version: u32,
    /// `d`: description, in JSON with its escapes.
    pub description: Option<&'a str>,
    /// `r`: how many files were written to the caller's list.
    pub file_count: usize,
}

/// The caller's list and how much of it is filled.
struct List<'l> {
    files: &'l mut [StreamFile],
    count: usize,
}

impl List<'_> {
    fn push(&mut self, format: Format, file: &[u8]) -> Result<(), StreamDecodeError> {
        let mut found = none();
        find(format, file, &Shape { names: "f z", types: "##", required: 0b11 }, &mut found)?;
        let [id, size, ..] = &found;
        let size = size.number;
        let id = u8::try_from(id.number).map_err(|_| StreamDecodeError::Number)?;
        *self.files.get_mut(self.count).ok_or(StreamDecodeError::BufferTooSmall)? = StreamFile { id, size };
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

/// Reads a description; its files go into `files`.
///
/// # Errors
/// See [`StreamDecodeError`]; [`StreamDecodeError::BufferTooSmall`] when `files` does not hold them all.
pub fn parse_description<'a>(
    format: Format,
    message: &'a [u8],
    files: &mut [StreamFile],
) -> Result<StreamDescription<'a>, StreamDecodeError> {
    let mut found = none();
    find(format, message, &Shape { names: "s r c d", types: "#*\"\"", required: 0b11 }, &mut found)?;
    let [version, list, token, description, ..] = &found;
    let list = list.bytes().unwrap_or_default();
    let mut place = List { files, count: 0 };
    match format {
        Format::Cbor => {
            if !cbor::is_of(list, major::ARRAY) {
                return Err(StreamDecodeError::Type);
            }
            let mut files = Decoder::inside(list);
            while let Some(file) = files.item() {
                place.push(format, file)?;
            }
        }
        Format::Json => {
            for file in Value::new(list).elements().ok_or(StreamDecodeError::Type)? {
                place.push(format, file.bytes())?;
            }
        }
    }
    Ok(StreamDescription {
        token: Token(token.text()),
        version: version.number,
        description: description.text(),
        file_count: place.count,
    })
}
