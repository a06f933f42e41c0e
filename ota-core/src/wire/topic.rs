//! The topics of AWS IoT Jobs and of MQTT-based file delivery, both ways.
//!
//! Source: AWS IoT developer guide, "Jobs device MQTT API operations" and "Using AWS IoT MQTT-based file delivery in
//! devices"; broker limits from "AWS IoT Core message broker and protocol limits".

use core::fmt;

use super::{
    words::{position, word},
    writer::{EncodeError, Writer},
};

/// Longest topic the AWS broker takes, bytes of UTF-8.
pub const MAX_TOPIC_SIZE: usize = 256;
/// Most forward slashes in a topic or filter.
pub const MAX_SLASHES: usize = 7;
/// Longest thing name, job id and stream id, characters.
///
/// AWS documents job ids of 1 to 64, but OTA jobs are named `AFR_OTA-` plus an id of up to 128: what fits a topic is taken.
pub const MAX_ID_SIZE: usize = 128;

const THINGS: &str = "$aws/things/";
const JOBS: &str = "/jobs/";
const STREAMS: &str = "/streams/";
/// Behind the stream in the topic of a block.
const BLOCK_TAIL: &str = "/data/cbor";

/// Why a name or a topic was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicError {
    /// The thing name is empty, too long or holds a character AWS does not allow.
    ThingName,
    /// The job id is empty, too long or holds a character AWS does not allow.
    JobId,
    /// The stream id is empty, too long or holds a character AWS does not allow.
    StreamId,
    /// The topic is longer than [`MAX_TOPIC_SIZE`] or has more than [`MAX_SLASHES`] slashes.
    TooLong,
    /// The caller's buffer is too small; [`MAX_TOPIC_SIZE`] bytes always do.
    BufferTooSmall,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThingName => "a thing name has 1 to 128 characters of a-z, A-Z, 0-9, ':', '_' and '-'",
            Self::JobId => "a job id has 1 to 128 characters of a-z, A-Z, 0-9, '_' and '-'",
            Self::StreamId => "a stream id has 1 to 128 characters of a-z, A-Z, 0-9, '_' and '-'",
            Self::TooLong => "the topic exceeds 256 bytes: use a shorter thing name or stream id",
            Self::BufferTooSmall => "the topic does not fit: give a buffer of 256 bytes",
        })
    }
}

impl core::error::Error for TopicError {}

/// A thing name whose length and characters were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThingName<'a>(&'a str);

impl<'a> ThingName<'a> {
    /// Takes 1 to 128 characters of `[a-zA-Z0-9:_-]`.
    pub fn new(name: &'a str) -> Result<Self, TopicError> {
        if is_name(name, true) { Ok(Self(name)) } else { Err(TopicError::ThingName) }
    }

    /// The name.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// Whether `id` can be a job id or a stream id: 1 to 128 characters of `[a-zA-Z0-9_-]`.
pub fn is_id(id: &str) -> bool {
    is_name(id, false)
}

/// 1 to 128 characters of `[a-zA-Z0-9_-]`, and `:` where it is allowed: thing names and names of status details (AWS IoT API
/// reference, `DetailsMap`).
pub(super) fn is_name(name: &str, colon: bool) -> bool {
    (1..=MAX_ID_SIZE).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || colon && byte == b':')
}

/// How stream messages are written. An answer has the format of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// CBOR: payload as it is.
    #[default]
    Cbor,
    /// JSON: payload in base64, a third more bytes.
    Json,
}

impl Format {
    /// The last segment of a stream topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cbor => "cbor",
            Self::Json => "json",
        }
    }
}

/// The pieces of the topic on which blocks of `stream` come to `thing` as CBOR.
pub(crate) fn block_topic<'a>(thing: &'a str, stream: &'a str) -> [&'a str; 5] {
    [THINGS, thing, STREAMS, stream, BLOCK_TAIL]
}

/// The stream in a topic that [`block_topic`] made; empty where there is no topic.
pub(crate) fn stream_of<'a>(block_topic: &'a str, thing: &str) -> &'a str {
    let from = THINGS.len() + thing.len() + STREAMS.len();
    block_topic.get(from..block_topic.len().saturating_sub(BLOCK_TAIL.len())).unwrap_or_default()
}

/// Writes the topic on which the blocks of a topic that [`block_topic`] made are asked for; returns the bytes written.
pub(crate) fn request_topic(
    block_topic: &[u8],
    format: Format,
    buf: &mut [u8],
) -> Result<usize, EncodeError> {
    let stem = block_topic.len().saturating_sub(BLOCK_TAIL.len());
    let mut writer = Writer::new(buf);
    writer.bytes(block_topic.get(..stem).unwrap_or_default());
    writer.str("/get/");
    writer.str(format.as_str());
    writer.finish()
}

/// A topic to publish to, or a filter to subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic<'a> {
    /// Publish: describe the next pending job execution (`jobs/$next/get`).
    DescribeNext,
    /// Publish: describe the execution of this job (`jobs/J/get`).
    Describe(&'a str),
    /// Publish: update the execution of this job (`jobs/J/update`).
    Update(&'a str),
    /// Publish: ask for blocks of this stream (`streams/S/get/F`).
    GetStream(&'a str, Format),
    /// Publish: ask what this stream holds (`streams/S/describe/F`).
    DescribeStream(&'a str, Format),
    /// Filter: the next job execution changed (`jobs/notify-next`).
    NotifyNext,
    /// Filter: answers to describe requests of every job, and of `$next`.
    AnyDescribeAnswers,
    /// Filter: answers to updates of every job.
    AnyUpdateAnswers,
    /// Filter: blocks of this stream (`streams/S/data/F`).
    StreamData(&'a str, Format),
    /// Filter: rejections of this stream (`streams/S/rejected/F`).
    StreamRejected(&'a str, Format),
    /// Filter: descriptions of this stream (`streams/S/description/F`).
    StreamDescription(&'a str, Format),
}

impl Topic<'_> {
    /// Writes the topic of `thing` into `buf`, for which [`MAX_TOPIC_SIZE`] bytes always suffice.
    ///
    /// # Errors
    /// A name AWS does not allow, a topic the broker would refuse, or a buffer that is too small.
    pub fn encode<'b>(&self, thing: &str, buf: &'b mut [u8]) -> Result<&'b str, TopicError> {
        let len = self.write(thing, buf)?;
        let topic = buf.get(..len).and_then(|topic| core::str::from_utf8(topic).ok());
        topic.ok_or(TopicError::BufferTooSmall)
    }

    /// What stands behind `jobs` or `streams`: `*` is the id, and behind the last slash of a stream's topic follows the format.
    fn form(&self) -> &'static str {
        const FORMS: &str = "$next/get */get */update */get/ */describe/ notify-next +/get/+ +/update/+ \
            */data/ */rejected/ */description/";
        let place = match self {
            Self::DescribeNext => 0,
            Self::Describe(_) => 1,
            Self::Update(_) => 2,
            Self::GetStream(..) => 3,
            Self::DescribeStream(..) => 4,
            Self::NotifyNext => 5,
            Self::AnyDescribeAnswers => 6,
            Self::AnyUpdateAnswers => 7,
            Self::StreamData(..) => 8,
            Self::StreamRejected(..) => 9,
            Self::StreamDescription(..) => 10,
        };
        word(FORMS, place)
    }

    /// [`encode`](Self::encode), for a caller who looks at the text later; returns the bytes written.
    pub(crate) fn write(&self, thing: &str, buf: &mut [u8]) -> Result<usize, TopicError> {
        if !is_name(thing, true) {
            return Err(TopicError::ThingName);
        }
        let (id, format) = match *self {
            Self::Describe(job) | Self::Update(job) => (Some(job), None),
            Self::GetStream(stream, format)
            | Self::DescribeStream(stream, format)
            | Self::StreamData(stream, format)
            | Self::StreamRejected(stream, format)
            | Self::StreamDescription(stream, format) => (Some(stream), Some(format)),
            Self::DescribeNext | Self::NotifyNext | Self::AnyDescribeAnswers | Self::AnyUpdateAnswers => {
                (None, None)
            }
        };
        if id.is_some_and(|id| !is_id(id)) {
            return Err(if format.is_some() { TopicError::StreamId } else { TopicError::JobId });
        }
        let mut writer = Writer::new(buf);
        writer.str(THINGS);
        writer.str(thing);
        writer.str(if format.is_some() { STREAMS } else { JOBS });
        for byte in self.form().bytes() {
            match byte {
                b'*' => writer.str(id.unwrap_or_default()),
                byte => writer.byte(byte),
            }
        }
        writer.str(format.map_or("", Format::as_str));
        let len = writer.finish().map_err(|_| TopicError::BufferTooSmall)?;
        // Names hold no slash, so that no topic of this table has more than `MAX_SLASHES`.
        if len > MAX_TOPIC_SIZE {
            return Err(TopicError::TooLong);
        }
        Ok(len)
    }
}

/// What an inbound message is, by its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// Answer to a request for the execution of a job.
    Described {
        /// The job; `None`: `$next`.
        job: Option<&'a str>,
        /// The request was accepted, not rejected.
        accepted: bool,
    },
    /// Answer to an update of a job.
    Updated {
        /// The job.
        job: &'a str,
        /// The request was accepted, not rejected.
        accepted: bool,
    },
    /// The next job execution changed.
    NotifyNext,
    /// The list of pending job executions changed.
    Notify,
    /// A block of this stream.
    Data(&'a str, Format),
    /// A request to this stream was rejected.
    StreamRejected(&'a str, Format),
    /// What this stream holds.
    StreamDescription(&'a str, Format),
}

impl<'a> Incoming<'a> {
    /// Reads the topic of an inbound message; `None` when it is not for `thing` or not one this library knows.
    ///
    /// Answers of Jobs arrive without a subscription, so whatever arrives is routed here and the thing name is compared.
    pub fn parse(topic: &'a str, thing: &str) -> Option<Self> {
        // What follows the id, in pairs that differ in the last level.
        const OF_JOB: &str = "get/accepted get/rejected update/accepted update/rejected";
        const OF_STREAM: &str =
            "data/cbor data/json rejected/cbor rejected/json description/cbor description/json";
        let rest = topic.strip_prefix(THINGS)?.strip_prefix(thing)?;
        let (rest, known) = match rest.strip_prefix(STREAMS) {
            Some(rest) => (rest, OF_STREAM),
            None => (rest.strip_prefix(JOBS)?, OF_JOB),
        };
        let Some(end) = rest.bytes().position(|byte| byte == b'/') else {
            return match rest {
                "notify-next" if known == OF_JOB => Some(Self::NotifyNext),
                "notify" if known == OF_JOB => Some(Self::Notify),
                _ => None,
            };
        };
        let id = rest.get(..end)?;
        let place = position(known, rest.as_bytes().get(end.saturating_add(1)..)?)?;
        let (pair, first) = (place / 2, place % 2 == 0);
        let job = (id != "$next").then_some(id);
        if job.is_some() && !is_id(id) {
            return None;
        }
        if known == OF_JOB {
            return match pair {
                0 => Some(Self::Described { job, accepted: first }),
                _ => Some(Self::Updated { job: job?, accepted: first }),
            };
        }
        let format = if first { Format::Cbor } else { Format::Json };
        match pair {
            0 => Some(Self::Data(job?, format)),
            1 => Some(Self::StreamRejected(job?, format)),
            _ => Some(Self::StreamDescription(job?, format)),
        }
    }
}
