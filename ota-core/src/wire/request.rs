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
        self.write(format, &mut writer, &|writer, hole| match (hole, token, format) {
            (b'c', None, _) => {}
            (b'c', Some(token), Format::Cbor) => {
                writer.str("ac");
                cbor::text(writer, token);
            }
            (b'c', Some(token), Format::Json) => {
                writer.json_text("c", token);
                writer.byte(b',');
            }
            _ => self.fill_hole(format, writer, hole),
        })?;
        writer.finish()
    }

    /// [`encode`](Self::encode) without a token, for a caller who has a writer.
    pub(crate) fn write_plain(&self, format: Format, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.write(format, writer, &|writer, hole| self.fill_hole(format, writer, hole))
    }

    fn write(
        &self,
        format: Format,
        writer: &mut Writer<'_>,
        hole: &dyn Fn(&mut Writer<'_>, u8),
    ) -> Result<(), EncodeError> {
        let legal = matches!(self.block_size, MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE)
            && self.offset <= MAX_BLOCK_COUNT
            && self.count <= MAX_BLOCK_COUNT
            && self.bitmap.len() <= MAX_BITMAP_SIZE;
        if !legal {
            return Err(EncodeError::OutOfRange);
        }
        // A name of one letter is `a` and the letter in CBOR: a text of length 1.
        let form = match format {
            Format::Cbor => "%m%caf%fal%lao%o%ban%n",
            Format::Json => r#"{%c"f":%f,"l":%l,"o":%o%b,"n":%n}"#,
        };
        writer.fill(form, hole);
        Ok(())
    }

    fn fill_hole(&self, format: Format, writer: &mut Writer<'_>, hole: u8) {
        let number = match (hole, format) {
            (b'f', _) => self.file_id.into(),
            (b'l', _) => self.block_size,
            (b'o', _) => self.offset,
            (b'n', _) => self.count,
            // `f l o n` are always there.
            (b'm', _) => {
                let count = 4 + u32::from(self.token.is_some()) + u32::from(!self.bitmap.is_empty());
                return cbor::head(writer, major::MAP, count);
            }
            (b'b', Format::Cbor) if !self.bitmap.is_empty() => {
                writer.str("ab");
                return cbor::bytes(writer, self.bitmap);
            }
            (b'b', Format::Json) if !self.bitmap.is_empty() => {
                writer.str(r#","b":"0x"#);
                for byte in self.bitmap {
                    writer.hexadecimal((*byte).into(), 2);
                }
                return writer.byte(b'"');
            }
            _ => return,
        };
        match format {
            Format::Cbor => cbor::head(writer, major::UNSIGNED, number),
            Format::Json => writer.decimal(number),
        }
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
