//! MQTT-based file delivery: one stream, its requests and its answers, in CBOR and in JSON.
//!
//! Source: AWS IoT developer guide, "MQTT-based file delivery" and "Using AWS IoT MQTT-based file
//! delivery in devices". Key names are one letter: `c` client token, `s` stream version, `f` file id,
//! `l` block size, `o` offset in blocks, `n` count, `b` bitmap, `i` block id, `p` payload.

use core::ops::Range;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use minicbor::{Decoder, Encoder};
use serde_json::Value;

use super::json::{Object, array};

/// Smallest `l`.
pub const BLOCK_SIZE_MIN: u64 = 256;
/// Largest `l`.
pub const BLOCK_SIZE_MAX: u64 = 131_072;
/// Largest `o` and largest `n`.
pub const BLOCK_COUNT_MAX: u64 = 98_304;
/// `b` is shorter than this many bytes.
pub const BITMAP_LIMIT: usize = 12_288;
/// Most block data sent for one GetStream; what is above is not sent and the device asks again.
pub const REQUEST_BYTES_MAX: u64 = 131_072;
/// Largest file of a stream.
pub const FILE_SIZE_MAX: usize = 24 * 1024 * 1024;
const TOKEN_MAX: usize = 64;

/// How requests and answers are written; an answer has the format of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `…/cbor`
    Cbor,
    /// `…/json`
    Json,
}

impl Format {
    /// Last segment of the topic.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cbor => "cbor",
            Self::Json => "json",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Cbor, Self::Json].into_iter().find(|format| format.name() == name)
    }
}

/// Why a stream request is rejected, spelled as AWS spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The topic maps to no operation.
    InvalidTopic,
    /// The body is not JSON.
    InvalidJson,
    /// The body is not CBOR.
    InvalidCbor,
    /// A member is missing, of the wrong type, or asks for what is not there.
    InvalidRequest,
    /// The service may not read the file.
    Unauthorized,
    /// `l` outside 256..=131072.
    BlockSizeOutOfBounds,
    /// `o` above 98304.
    OffsetOutOfBounds,
    /// `n` above 98304.
    BlockCountLimitExceeded,
    /// `b` of 12288 bytes or more.
    BlockBitmapLimitExceeded,
    /// No such stream, file or block.
    ResourceNotFound,
    /// `s` is not the stream's version.
    VersionMismatch,
    /// The object behind the stream changed.
    ETagMismatch,
    /// The service failed; the only error worth a retry.
    InternalError,
}

impl StreamError {
    /// The spelling on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidTopic => "InvalidTopic",
            Self::InvalidJson => "InvalidJson",
            Self::InvalidCbor => "InvalidCbor",
            Self::InvalidRequest => "InvalidRequest",
            Self::Unauthorized => "Unauthorized",
            Self::BlockSizeOutOfBounds => "BlockSizeOutOfBounds",
            Self::OffsetOutOfBounds => "OffsetOutOfBounds",
            Self::BlockCountLimitExceeded => "BlockCountLimitExceeded",
            Self::BlockBitmapLimitExceeded => "BlockBitmapLimitExceeded",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::VersionMismatch => "VersionMismatch",
            Self::ETagMismatch => "ETagMismatch",
            Self::InternalError => "InternalError",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::InvalidTopic => "the topic maps to no operation",
            Self::InvalidJson => "the request is not JSON",
            Self::InvalidCbor => "the request is not CBOR",
            Self::InvalidRequest => "data requested is out of the range",
            Self::Unauthorized => "the service role cannot read the file",
            Self::BlockSizeOutOfBounds => "block size",
            Self::OffsetOutOfBounds => "block offset",
            Self::BlockCountLimitExceeded => "too many blocks",
            Self::BlockBitmapLimitExceeded => "block bitmap too long",
            Self::ResourceNotFound => "no such stream, file or block",
            Self::VersionMismatch => "stream version",
            Self::ETagMismatch => "the file changed",
            Self::InternalError => "internal error",
        }
    }

    /// The body for `…/rejected/F`, with the short and the long key names at once, as seen live.
    pub fn encode(self, format: Format, token: Option<&str>) -> Vec<u8> {
        let mut members = Vec::new();
        if let Some(token) = token {
            members.extend([("clientToken", token), ("c", token)]);
        }
        let (code, message) = (self.code(), self.message());
        members.extend([("code", code), ("o", code), ("message", message), ("m", message)]);
        match format {
            Format::Json => {
                members.into_iter().fold(Object::new(), |o, (k, v)| o.string(k, v)).finish().into_bytes()
            }
            Format::Cbor => {
                let mut out = cbor();
                put(out.map(members.len() as u64));
                for (key, value) in members {
                    put(out.str(key));
                    put(out.str(value));
                }
                out.into_writer()
            }
        }
    }
}

/// A stream: files by id, under one version.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Stream id, e.g. `AFR_OTA-<uuid>`.
    pub id: String,
    /// `s`.
    pub version: u64,
    /// `d` of the description.
    pub description: String,
    /// File id to bytes.
    pub files: BTreeMap<u8, Arc<[u8]>>,
    /// When set, every request of this stream is rejected so (lost permission, changed object).
    pub broken: Option<StreamError>,
}

/// A request of either kind, as far as it could be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) token: Option<String>,
    version: Option<u64>,
    file: Option<u64>,
    block_size: Option<u64>,
    offset: Option<u64>,
    count: Option<u64>,
    bitmap: Option<Vec<u8>>,
}

impl Request {
    /// Whether a bitmap came without a count.
    pub(crate) fn lacks_count(&self) -> bool {
        self.bitmap.is_some() && self.count.is_none()
    }

    pub(crate) fn parse(format: Format, body: &[u8]) -> Result<Self, StreamError> {
        let request = match format {
            Format::Cbor => {
                // A map to its end, but not of the form: as with JSON.
                let mut input = Decoder::new(body);
                input.probe().map().and_then(|_| input.skip()).map_err(|_| StreamError::InvalidCbor)?;
                Self::parse_cbor(body).map_err(|_| StreamError::InvalidRequest)?
            }
            Format::Json => Self::parse_json(body)?,
        };
        match &request.token {
            Some(token) if token.len() > TOKEN_MAX => Err(StreamError::InvalidRequest),
            Some(_) | None => Ok(request),
        }
    }

    fn parse_cbor(body: &[u8]) -> Result<Self, minicbor::decode::Error> {
        let mut request = Self::default();
        let mut input = Decoder::new(body);
        let mut left = input.map()?;
        loop {
            match &mut left {
                Some(0) => break,
                Some(count) => *count -= 1,
                None if input.datatype()? == minicbor::data::Type::Break => break,
                None => {}
            }
            let key = input.str()?;
            match key {
                _ if input.datatype()? == minicbor::data::Type::Null => input.skip()?,
                "c" => request.token = Some(input.str()?.into()),
                "s" => request.version = Some(input.u64()?),
                "f" => request.file = Some(input.u64()?),
                "l" => request.block_size = Some(input.u64()?),
                "o" => request.offset = Some(input.u64()?),
                "n" => request.count = Some(input.u64()?),
                "b" => {
                    let mut bitmap = Vec::new();
                    for chunk in input.bytes_iter()? {
                        bitmap.extend_from_slice(chunk?);
                    }
                    request.bitmap = Some(bitmap);
                }
                _ => input.skip()?,
            }
        }
        Ok(request)
    }

    fn parse_json(body: &[u8]) -> Result<Self, StreamError> {
        let value: Value = serde_json::from_slice(body).map_err(|_| StreamError::InvalidJson)?;
        let members = value.as_object().ok_or(StreamError::InvalidJson)?;
        let number = |key: &str| match members.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(StreamError::InvalidRequest),
        };
        let text = |key: &str| match members.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(StreamError::InvalidRequest),
        };
        Ok(Self {
            token: text("c")?.map(String::from),
            version: number("s")?,
            file: number("f")?,
            block_size: number("l")?,
            offset: number("o")?,
            count: number("n")?,
            bitmap: text("b")?.map(|hex| unhex(hex).ok_or(StreamError::InvalidRequest)).transpose()?,
        })
    }
}

/// One block ready to be published.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) message: Vec<u8>,
    /// Where the values of `f` and `i` lie in the message.
    pub(crate) ids: Range<usize>,
    /// Where the payload lies in the message.
    pub(crate) payload: Range<usize>,
}

impl Stream {
    /// The blocks a GetStream asks for, lowest first, no more than the limits allow.
    pub(crate) fn blocks(
        &self,
        format: Format,
        request: &Request,
        echo_token: bool,
    ) -> Result<Vec<Block>, StreamError> {
        self.check(request)?;
        let file = request.file.ok_or(StreamError::InvalidRequest)?;
        let file_id = u8::try_from(file).map_err(|_| StreamError::InvalidRequest)?;
        let size = request.block_size.ok_or(StreamError::InvalidRequest)?;
        if !(BLOCK_SIZE_MIN..=BLOCK_SIZE_MAX).contains(&size) {
            return Err(StreamError::BlockSizeOutOfBounds);
        }
        let offset = request.offset.unwrap_or(0);
        if offset > BLOCK_COUNT_MAX {
            return Err(StreamError::OffsetOutOfBounds);
        }
        if request.count.is_some_and(|n| n > BLOCK_COUNT_MAX) {
            return Err(StreamError::BlockCountLimitExceeded);
        }
        if request.bitmap.as_ref().is_some_and(|b| b.len() >= BITMAP_LIMIT) {
            return Err(StreamError::BlockBitmapLimitExceeded);
        }
        let bytes = self.files.get(&file_id).ok_or(StreamError::ResourceNotFound)?;
        let last = (bytes.len() as u64).div_ceil(size);
        let count = request.count.unwrap_or(REQUEST_BYTES_MAX / size);
        let cap = count.min(REQUEST_BYTES_MAX / size) as usize;
        let wanted: Vec<u64> = match &request.bitmap {
            Some(bitmap) => set_bits(bitmap).map(|k| offset + k).filter(|i| *i < last).take(cap).collect(),
            // Without a bitmap the count is meant literally: it may not reach beyond the file. The
            // default count of a small file does, which is why devices must always send `n`.
            None if offset + count > last => return Err(StreamError::InvalidRequest),
            None => (offset..offset + count).take(cap).collect(),
        };
        if wanted.is_empty() && count > 0 {
            return Err(StreamError::ResourceNotFound);
        }
        let token = request.token.as_deref().filter(|_| echo_token);
        Ok(wanted
            .into_iter()
            .map(|i| {
                let from = (i * size) as usize;
                let payload = &bytes[from..bytes.len().min(from + size as usize)];
                match format {
                    Format::Cbor => block_cbor(token, file_id, i, payload),
                    Format::Json => block_json(token, file_id, i, payload),
                }
            })
            .collect())
    }

    /// Bytes of all its files.
    pub(crate) fn size(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// The body for `…/description/F`.
    pub(crate) fn describe(&self, format: Format, request: &Request) -> Result<Vec<u8>, StreamError> {
        self.check(request)?;
        let token = request.token.as_deref();
        let files = self.files.iter().map(|(id, bytes)| (*id, bytes.len() as u64));
        Ok(match format {
            Format::Json => {
                let files = array(files.map(|(f, z)| Object::new().number("f", f).number("z", z).finish()));
                let object = Object::new().maybe_string("c", token).number("s", self.version);
                object.string("d", &self.description).raw("r", &files).finish().into_bytes()
            }
            Format::Cbor => {
                let mut out = cbor();
                put(out.begin_map());
                put_token(&mut out, token);
                put(put(out.str("s")).u64(self.version));
                put(put(out.str("d")).str(&self.description));
                put(put(out.str("r")).array(self.files.len() as u64));
                for (id, size) in files {
                    put(out.map(2));
                    put(put(out.str("f")).u8(id));
                    put(put(out.str("z")).u64(size));
                }
                put(out.end());
                out.into_writer()
            }
        })
    }

    fn check(&self, request: &Request) -> Result<(), StreamError> {
        match (self.broken, request.version) {
            (Some(error), _) => Err(error),
            (None, Some(version)) if version != self.version => Err(StreamError::VersionMismatch),
            (None, Some(_) | None) => Ok(()),
        }
    }
}

/// Numbers of the set bits: bit k of byte j is 8 j + k.
fn set_bits(bitmap: &[u8]) -> impl Iterator<Item = u64> + '_ {
    (0..bitmap.len() as u64 * 8).filter(|k| bitmap[(k / 8) as usize] >> (k % 8) & 1 == 1)
}

/// The service writes an indefinite map, keys `f i l p`.
fn block_cbor(token: Option<&str>, file: u8, id: u64, payload: &[u8]) -> Block {
    let mut out = cbor();
    put(out.begin_map());
    put_token(&mut out, token);
    put(out.str("f"));
    let ids_from = out.writer().len();
    put(put(put(out.u8(file)).str("i")).u64(id));
    let ids = ids_from..out.writer().len();
    put(put(out.str("l")).u64(payload.len() as u64));
    put(put(out.str("p")).bytes(payload));
    let end = out.writer().len();
    put(out.end());
    Block { message: out.into_writer(), ids, payload: end - payload.len()..end }
}

fn block_json(token: Option<&str>, file: u8, id: u64, payload: &[u8]) -> Block {
    let head = Object::new().maybe_string("c", token).raw("f", "").finish();
    let mut text = head[..head.len() - 1].to_owned();
    let ids_from = text.len();
    text += &format!("{file},\"i\":{id}");
    let ids = ids_from..text.len();
    text += &format!(",\"l\":{},\"p\":\"", payload.len());
    let from = text.len();
    text += &Base64::encode_string(payload);
    let payload = from..text.len();
    text += "\"}";
    Block { message: text.into_bytes(), ids, payload }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) || digits.len() % 2 != 0 {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

fn cbor() -> Encoder<Vec<u8>> {
    Encoder::new(Vec::new())
}

fn put_token(out: &mut Encoder<Vec<u8>>, token: Option<&str>) {
    if let Some(token) = token {
        put(put(out.str("c")).str(token));
    }
}

/// Writing into memory cannot fail.
fn put<T>(result: Result<T, minicbor::encode::Error<core::convert::Infallible>>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("encoding into a Vec: {error}"),
    }
}
