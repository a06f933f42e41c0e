//! The topics of AWS IoT Jobs and of MQTT-based file delivery, both ways.
//!
//! Source: AWS IoT developer guide, "Jobs device MQTT API operations" and "Using AWS IoT MQTT-based file delivery in
//! devices"; broker limits from "AWS IoT Core message broker and protocol limits".

use core::fmt;

use super::{
    json::text,
    words::{position, word},
    writer::Writer,
};
use crate::bytes::copy;

/// Longest topic the AWS broker takes, bytes of UTF-8.
pub const MAX_TOPIC_SIZE: usize = 256;
/// Most forward slashes in a topic or filter.
pub const MAX_SLASHES: usize = 7;
/// Longest thing name, job id and stream id, characters.
///
/// AWS documents job ids of 1 to 64, but OTA jobs are named `AFR_OTA-` plus an id of up to 128: what fits a topic is taken.
pub const MAX_ID_SIZE: usize = 128;

// A topic is five pieces: these words, the thing, what it is about, the id of that, and a tail.
const THINGS: &str = "$aws/things/";
const JOBS: &str = "/jobs/";
const STREAMS: &str = "/streams/";
/// The tail of the topic of a block as CBOR, one of [`TAILS`].
const BLOCK_TAIL: &str = "/data/cbor";
/// Stands for the id of a job.
pub(crate) const NEXT: &str = "$next";

/// How a topic or filter that goes out ends: its place in [`TAILS`]. That of a stream has another one for JSON behind it.
#[derive(Clone, Copy)]
pub(crate) enum Tail {
    NotifyNext = 4,
    Data = 6,
    StreamRejected = 8,
    StreamDescription = 10,
    GetStream = 12,
    DescribeStream = 14,
    Describe = 16,
    Update = 17,
    AnyDescribeAnswer = 18,
    AnyUpdateAnswer = 19,
}

/// In pairs; those of messages that come in are first.
const TAILS: &str = "/get/accepted /get/rejected /update/accepted /update/rejected notify-next notify \
    /data/cbor /data/json /rejected/cbor /rejected/json /description/cbor /description/json \
    /get/cbor /get/json /describe/cbor /describe/json \
    /get /update +/get/+ +/update/+";

/// What a message that comes in is about: a pair of [`TAILS`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The first of the pair: accepted.
    Describe,
    Update,
    /// The first of the pair: the next one.
    Notify,
    /// From here on of streams. The first of the pair: CBOR.
    Data,
    StreamRejected,
    StreamDescription,
}

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
        if is_name(name) { Ok(Self(name)) } else { Err(TopicError::ThingName) }
    }

    /// The name.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// Whether `id` can be a job id or a stream id: 1 to 128 characters of `[a-zA-Z0-9_-]`.
pub fn is_id(id: &str) -> bool {
    is_name(id) && !id.bytes().any(|byte| byte == b':')
}

/// Whether `name` can be that of a thing or of a status detail: 1 to 128 characters of `[a-zA-Z0-9:_-]` (AWS IoT API
/// reference, `DetailsMap`).
#[inline(never)]
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-');
    (1..=MAX_ID_SIZE).contains(&name.len()) && name.bytes().all(allowed)
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

/// Writes the topic of `thing` and `id` with this tail, of names that were checked; returns the bytes written, `None` if it
/// does not fit. Names hold no slash, so that no topic of this table has more than [`MAX_SLASHES`].
#[inline(never)]
pub(crate) fn write(buf: &mut [u8], (thing, id): (&str, &str), tail: Tail, format: Format) -> Option<usize> {
    let of_stream = (Tail::Data as usize..Tail::Describe as usize).contains(&(tail as usize));
    let (kind, format) = if of_stream { (STREAMS, format as usize) } else { (JOBS, 0) };
    let mut writer = Writer::new(buf);
    writer.str(THINGS);
    writer.str(thing);
    writer.str(kind);
    writer.str(id);
    writer.str(word(TAILS, tail as usize + format));
    writer.finish().ok()
}

/// The stream in the topic of its blocks as CBOR, as [`write`] made it; empty where there is no topic.
pub(crate) fn stream_of<'a>(block_topic: &'a str, thing: &str) -> &'a str {
    let from = THINGS.len() + thing.len() + STREAMS.len();
    block_topic.get(from..block_topic.len().saturating_sub(BLOCK_TAIL.len())).unwrap_or_default()
}

/// Writes the topic on which the blocks of a topic of blocks as CBOR are asked for; returns the bytes written.
///
/// Beside [`write`] for its speed: it is needed at every request, and only the tail of a topic at hand changes.
pub(crate) fn request_topic(
    buf: &mut [u8; MAX_TOPIC_SIZE],
    block_topic: &[u8],
    format: Format,
) -> Option<usize> {
    let mut writer = Writer::new(buf);
    writer.bytes(block_topic.get(..block_topic.len().saturating_sub("data/cbor".len())).unwrap_or_default());
    writer.str("get/");
    writer.str(format.as_str());
    writer.finish().ok()
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
        let (id, tail, format) = match *self {
            Self::DescribeNext => (NEXT, Tail::Describe, None),
            Self::Describe(job) => (job, Tail::Describe, None),
            Self::Update(job) => (job, Tail::Update, None),
            Self::NotifyNext => ("", Tail::NotifyNext, None),
            Self::AnyDescribeAnswers => ("", Tail::AnyDescribeAnswer, None),
            Self::AnyUpdateAnswers => ("", Tail::AnyUpdateAnswer, None),
            Self::GetStream(stream, format) => (stream, Tail::GetStream, Some(format)),
            Self::DescribeStream(stream, format) => (stream, Tail::DescribeStream, Some(format)),
            Self::StreamData(stream, format) => (stream, Tail::Data, Some(format)),
            Self::StreamRejected(stream, format) => (stream, Tail::StreamRejected, Some(format)),
            Self::StreamDescription(stream, format) => (stream, Tail::StreamDescription, Some(format)),
        };
        ThingName::new(thing)?;
        match self {
            Self::Describe(_) | Self::Update(_) if !is_id(id) => return Err(TopicError::JobId),
            _ if format.is_some() && !is_id(id) => return Err(TopicError::StreamId),
            _ => {}
        }
        let mut topic = [0; MAX_TOPIC_SIZE];
        let len = write(&mut topic, (thing, id), tail, format.unwrap_or_default());
        let len = len.ok_or(TopicError::TooLong)?;
        let written = buf.get_mut(..len).ok_or(TopicError::BufferTooSmall)?;
        copy(written, &topic);
        core::str::from_utf8(written).map_err(|_| TopicError::TooLong)
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
        let (about, first, id) = route(topic, thing)?;
        let job = (id != NEXT).then_some(id);
        let format = if first { Format::Cbor } else { Format::Json };
        Some(match about {
            About::Describe => Self::Described { job, accepted: first },
            About::Update => Self::Updated { job: id, accepted: first },
            About::Notify if first => Self::NotifyNext,
            About::Notify => Self::Notify,
            About::Data => Self::Data(id, format),
            About::StreamRejected => Self::StreamRejected(id, format),
            About::StreamDescription => Self::StreamDescription(id, format),
        })
    }
}

/// What a message on this topic is about, whether it is the first of that pair, and of which job or stream it tells.
pub(crate) fn route<'a>(topic: &'a str, thing: &str) -> Option<(About, bool, &'a str)> {
    const ABOUT: [About; 6] = [
        About::Describe,
        About::Update,
        About::Notify,
        About::Data,
        About::StreamRejected,
        About::StreamDescription,
    ];
    let rest = behind(behind(topic.as_bytes(), THINGS)?, thing)?;
    let (rest, of_stream) = match behind(rest, STREAMS) {
        Some(rest) => (rest, true),
        None => (behind(rest, JOBS)?, false),
    };
    // Where no slash follows there is no id.
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(0);
    let (id, tail) = rest.split_at_checked(end)?;
    let id = text(id);
    let place = position(TAILS, tail)?;
    let about = *ABOUT.get(place / 2)?;
    let named = is_id(id) || about == About::Describe && id == NEXT;
    let right = of_stream == (about as u8 >= About::Data as u8) && named != (about == About::Notify);
    right.then_some((about, place % 2 == 0, id))
}

/// What follows `start`.
#[inline(never)]
fn behind<'a>(topic: &'a [u8], start: &str) -> Option<&'a [u8]> {
    let (found, rest) = topic.split_at_checked(start.len())?;
    (found == start.as_bytes()).then_some(rest)
}
