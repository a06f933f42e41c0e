//! Asking what a stream holds: DescribeStream and its answer, in CBOR and JSON.
//!
//! An update does not need it, since the job document names file ids and sizes; it serves to learn the stream's version.
//! Source: AWS IoT developer guide, "Using AWS IoT MQTT-based file delivery in devices", DescribeStream.

use super::{
    cbor::{self, Decoder, major},
    job::Token,
    json,
    stream::{StreamDecodeError, json_number, json_text, once},
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

/// The caller's list and how much of it is filled.
struct List<'l> {
    files: &'l mut [StreamFile],
    count: usize,
}

impl List<'_> {
    fn push(&mut self, id: u32, size: u32) -> Result<(), StreamDecodeError> {
        let id = u8::try_from(id).map_err(|_| StreamDecodeError::Number)?;
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
    let list = List { files, count: 0 };
    match format {
        Format::Cbor => parse_cbor(message, list),
        Format::Json => parse_json(message, list),
    }
}

fn parse_cbor<'a>(message: &'a [u8], mut list: List<'_>) -> Result<StreamDescription<'a>, StreamDecodeError> {
    let mut decoder = Decoder::new(message);
    let mut entries = decoder.map()?;
    let (mut token, mut version, mut description, mut files) = (None, None, None, None);
    while entries.more(&mut decoder)? {
        match decoder.key()? {
            b"c" => once(&mut token, decoder.text()?)?,
            b"s" => once(&mut version, decoder.number()?)?,
            b"d" => once(&mut description, decoder.text()?)?,
            b"r" => once(&mut files, parse_cbor_files(&mut decoder, &mut list)?)?,
            _ => decoder.skip()?,
        }
    }
    decoder.end()?;
    files.ok_or(StreamDecodeError::Missing)?;
    Ok(StreamDescription {
        token: Token(token),
        version: version.ok_or(StreamDecodeError::Missing)?,
        description,
        file_count: list.count,
    })
}

fn parse_cbor_files(decoder: &mut Decoder<'_>, list: &mut List<'_>) -> Result<(), StreamDecodeError> {
    let mut elements = decoder.array()?;
    while elements.more(decoder)? {
        let mut entries = decoder.map()?;
        let (mut id, mut size) = (None, None);
        while entries.more(decoder)? {
            match decoder.key()? {
                b"f" => once(&mut id, decoder.number()?)?,
                b"z" => once(&mut size, decoder.number()?)?,
                _ => decoder.skip()?,
            }
        }
        let (Some(id), Some(size)) = (id, size) else { return Err(StreamDecodeError::Missing) };
        list.push(id, size)?;
    }
    Ok(())
}

fn parse_json<'a>(message: &'a [u8], mut list: List<'_>) -> Result<StreamDescription<'a>, StreamDecodeError> {
    let [token, version, description, files] = json::parse(message)?.fields(["c", "s", "d", "r"])?;
    let files = files.ok_or(StreamDecodeError::Missing)?;
    for file in files.elements().ok_or(StreamDecodeError::Type)? {
        let [id, size] = file.fields(["f", "z"])?;
        list.push(json_number(id)?, json_number(size)?)?;
    }
    Ok(StreamDescription {
        token: Token(json_text(token)?.map(|text| text.raw())),
        version: json_number(version)?,
        description: json_text(description)?.map(|text| text.raw()),
        file_count: list.count,
    })
}
