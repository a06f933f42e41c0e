//! Asking what a stream holds: DescribeStream and its answer, in CBOR and JSON.
//!
//! An update does not need it, since the job document names file ids and sizes; it serves to learn the stream's version.
//! Source: AWS IoT developer guide, "Using AWS IoT MQTT-based file delivery in devices", DescribeStream.

use super::{
    cbor::{self, Decoder, major},
    field::{Field, fields, number, text},
    job::Token,
    stream::StreamDecodeError,
    topic::Format,
    writer::{EncodeError, Writer, checked_token},
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
    let token = checked_token(token)?;
    let mut writer = Writer::new(buf);
    match format {
        Format::Cbor => {
            cbor::head(&mut writer, major::MAP, u32::from(token.is_some()));
            if let Some(token) = token {
                cbor::text(&mut writer, "c");
                cbor::text(&mut writer, token);
            }
        }
        Format::Json => {
            if let Some(token) = token {
                writer.json_name(b'{', "c");
                writer.json_string(token);
            } else {
                writer.byte(b'{');
            }
            writer.byte(b'}');
        }
    }
    writer.finish()
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

/// Names of a file's fields: id, size.
const FILE_FIELDS: &str = "f z";

/// The caller's list and how much of it is filled.
struct List<'l> {
    files: &'l mut [StreamFile],
    count: usize,
}

impl List<'_> {
    fn push(&mut self, [id, size]: [Option<Field<'_>>; 2]) -> Result<(), StreamDecodeError> {
        let id = u8::try_from(number(id)?).map_err(|_| StreamDecodeError::Number)?;
        let size = number(size)?;
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
    let [token, version, description, list] = fields(format, message, "c s d r")?;
    let mut place = List { files, count: 0 };
    match list.ok_or(StreamDecodeError::Missing)? {
        Field::Cbor(list) => {
            let mut list = Decoder::new(list);
            let mut elements = list.array()?;
            while elements.more(&mut list)? {
                place.push(fields(format, list.item()?, FILE_FIELDS)?)?;
            }
        }
        Field::Json(list) => {
            for file in list.elements().ok_or(StreamDecodeError::Type)? {
                place.push(fields(format, file.raw().as_bytes(), FILE_FIELDS)?)?;
            }
        }
    }
    Ok(StreamDescription {
        token: Token(text(token)?),
        version: number(version)?,
        description: text(description)?,
        file_count: place.count,
    })
}
