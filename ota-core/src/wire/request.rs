//! Requests for blocks of a stream: GetStream, in CBOR and JSON.
//!
//! Source: AWS IoT developer guide, "Using AWS IoT MQTT-based file delivery in devices", GetStream and its limits.

use super::{
    cbor::{self, major},
    field::{Shape, find, none},
    stream::StreamDecodeError,
    topic::Format,
    writer::{EncodeError, Writer, checked_token},
};

/// Smallest block size a request may name, bytes.
pub const MIN_BLOCK_SIZE: u32 = 256;
/// Largest block size a request may name, bytes.
pub const MAX_BLOCK_SIZE: u32 = 131_072;
/// Largest block offset and block count of a request.
pub const MAX_BLOCK_COUNT: u32 = 98_304;
/// Largest block bitmap of a request, bytes (AWS: fewer than 12,288).
pub const MAX_BITMAP_SIZE: usize = 12_287;
/// Most bytes of blocks the service sends for one request (AWS IoT developer guide, "Using AWS IoT MQTT-based file delivery
/// in devices").
pub const MAX_REQUEST_SIZE: u32 = 131_072;

/// A request for blocks.
///
/// `count` is always sent: without it AWS assumes 128 KB and can refuse a smaller file as out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetStream<'a> {
    /// `c`: client token of 1 to 64 bytes.
    pub token: Option<&'a str>,
    /// `f`: which file of the stream.
    pub file_id: u8,
    /// `l`: block size in bytes, [`MIN_BLOCK_SIZE`] to [`MAX_BLOCK_SIZE`].
    pub block_size: u32,
    /// `o`: the first block the bitmap speaks of, up to [`MAX_BLOCK_COUNT`].
    pub offset: u32,
    /// `b`: a set bit asks for its block, least significant first; up to [`MAX_BITMAP_SIZE`] bytes. Empty: left out.
    pub bitmap: &'a [u8],
    /// `n`: most blocks wanted, up to [`MAX_BLOCK_COUNT`].
    pub count: u32,
}

impl GetStream<'_> {
    /// Writes the request as AWS' C agents do: in CBOR a map of definite length, names in the order `c f l o b n`, shortest
    /// numbers. Returns the bytes written.
    ///
    /// # Errors
    /// [`EncodeError::OutOfRange`] for what AWS would refuse, [`EncodeError::Token`], [`EncodeError::BufferTooSmall`].
    pub fn encode(&self, format: Format, buf: &mut [u8]) -> Result<usize, EncodeError> {
        let token = self.token.map(checked_token).transpose()?;
        let mut writer = Writer::new(buf);
        self.write(format, token, &mut writer)?;
        writer.finish()
    }

    /// [`encode`](Self::encode), for a caller who has a writer, with a token that was checked in place of its own.
    // Not by a `FieldWriter`: a request is written often, and that asks for the format at every step.
    pub(crate) fn write(
        &self,
        format: Format,
        token: Option<&str>,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let legal = matches!(self.block_size, MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE)
            && self.offset <= MAX_BLOCK_COUNT
            && self.count <= MAX_BLOCK_COUNT
            && self.bitmap.len() <= MAX_BITMAP_SIZE;
        if !legal {
            return Err(EncodeError::OutOfRange);
        }
        match format {
            Format::Cbor => self.write_cbor(token, writer),
            Format::Json => self.write_json(token, writer),
        }
        Ok(())
    }

    fn write_cbor(&self, token: Option<&str>, writer: &mut Writer<'_>) {
        // `f l o n` are always there.
        let entries = 4 + u32::from(token.is_some()) + u32::from(!self.bitmap.is_empty());
        cbor::head(writer, major::MAP, entries);
        // A name of one letter is `a` and the letter: a text of length 1.
        let number = |writer: &mut Writer<'_>, name: u8, number: u32| {
            writer.bytes(&[b'a', name]);
            cbor::head(writer, major::UNSIGNED, number);
        };
        if let Some(token) = token {
            writer.str("ac");
            cbor::text(writer, token);
        }
        number(writer, b'f', self.file_id.into());
        number(writer, b'l', self.block_size);
        number(writer, b'o', self.offset);
        if !self.bitmap.is_empty() {
            writer.str("ab");
            cbor::bytes(writer, self.bitmap);
        }
        number(writer, b'n', self.count);
    }

    fn write_json(&self, token: Option<&str>, writer: &mut Writer<'_>) {
        writer.byte(b'{');
        if let Some(token) = token {
            writer.json_text("c", token);
        }
        writer.json_number("f", self.file_id.into());
        writer.json_number("l", self.block_size.into());
        writer.json_number("o", self.offset.into());
        if !self.bitmap.is_empty() {
            writer.json_name("b");
            writer.str("\"0x");
            for byte in self.bitmap {
                writer.hexadecimal((*byte).into(), 2);
            }
            writer.byte(b'"');
        }
        writer.json_number("n", self.count.into());
        writer.byte(b'}');
    }
}

/// What AWS assumes for `n` when a request leaves it out.
fn default_count(block_size: u32) -> u32 {
    MAX_REQUEST_SIZE.checked_div(block_size).unwrap_or(0)
}

fn file_id(number: u32) -> Result<u8, StreamDecodeError> {
    u8::try_from(number).map_err(|_| StreamDecodeError::Number)
}

/// Reads a request, as a stand-in for the service does; the bitmap of one in JSON is decoded into `bitmap`. Limits are left to
/// the caller; other fields are passed over.
///
/// # Errors
/// See [`StreamDecodeError`].
pub fn parse_get_stream<'a>(
    format: Format,
    message: &'a [u8],
    bitmap: &'a mut [u8],
) -> Result<GetStream<'a>, StreamDecodeError> {
    let mut found = none();
    find(format, message, &Shape { names: "f l c o b n", types: "##\"#.#", required: 0b11 }, &mut found)?;
    let [file, size, token, offset, bits, count] = &found;
    let block_size = size.number;
    Ok(GetStream {
        token: token.text(),
        file_id: file_id(file.number)?,
        block_size,
        offset: offset.some_number().unwrap_or(0),
        bitmap: match (format, bits.text()) {
            (Format::Json, Some(bits)) => decode_hex(bits, bitmap)?,
            _ => bits.bytes().unwrap_or_default(),
        },
        count: count.some_number().unwrap_or(default_count(block_size)),
    })
}

fn decode_hex<'a>(text: &str, out: &'a mut [u8]) -> Result<&'a [u8], StreamDecodeError> {
    let digits = text.strip_prefix("0x").ok_or(StreamDecodeError::Malformed)?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(StreamDecodeError::Malformed);
    }
    let out = out.get_mut(..pairs.len()).ok_or(StreamDecodeError::BufferTooSmall)?;
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let digit = |digit: &u8| char::from(*digit).to_digit(16).ok_or(StreamDecodeError::Malformed);
        // Two digits of four bits fill a byte.
        *byte = (digit(high)? << 4 | digit(low)?) as u8;
    }
    Ok(out)
}
