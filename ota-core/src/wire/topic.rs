//! The topics of AWS IoT Jobs and of MQTT-based file delivery, both ways.
//!
//! Source: AWS IoT developer guide, "Jobs device MQTT API operations" and "Using AWS IoT MQTT-based file delivery in
//! devices"; broker limits from "AWS IoT Core message broker and protocol limits".

use core::fmt;

use super::writer::{EncodeError, Writer};

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
/// Stands for every job in a filter (MQTT 5.0, 4.7.1.3).
const ANY: &str = "+";
const NEXT: &str = "$next";

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
        // Every byte is looked at, whatever the one before was: no branch, and a compiler may take several at once.
        && name.bytes().fold(true, |good, byte| {
            good & (byte.is_ascii_alphanumeric() | (byte == b'_') | (byte == b'-') | (colon & (byte == b':')))
        })
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

/// Whether `topic` is the one on which blocks of this stream come to this thing as CBOR.
#[inline]
pub(crate) fn is_block_topic(topic: &str, thing: &str, stream: &[u8]) -> bool {
    let rest = topic.as_bytes().strip_prefix(THINGS.as_bytes());
    let rest = rest.and_then(|rest| rest.strip_prefix(thing.as_bytes()));
    let rest = rest.and_then(|rest| rest.strip_prefix(STREAMS.as_bytes()));
    let rest = rest.and_then(|rest| rest.strip_prefix(stream));
    !stream.is_empty() && rest == Some(BLOCK_TAIL.as_bytes())
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
    /// Filter: the list of pending job executions changed (`jobs/notify`).
    Notify,
    /// Filter: both answers of [`Topic::DescribeNext`] (`jobs/$next/get/+`).
    DescribeNextAnswers,
    /// Filter: both answers of [`Topic::Describe`] (`jobs/J/get/+`).
    DescribeAnswers(&'a str),
    /// Filter: both answers of [`Topic::Update`] (`jobs/J/update/+`).
    UpdateAnswers(&'a str),
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

    /// [`encode`](Self::encode), for a caller who looks at the text later; returns the bytes written.
    pub(crate) fn write(&self, thing: &str, buf: &mut [u8]) -> Result<usize, TopicError> {
        ThingName::new(thing)?;
        let (area, id, tail, format) = match *self {
            Self::DescribeNext => (JOBS, NEXT, "/get", None),
            Self::Describe(job) => (JOBS, job_id(job)?, "/get", None),
            Self::Update(job) => (JOBS, job_id(job)?, "/update", None),
            Self::NotifyNext => (JOBS, "", "notify-next", None),
            Self::Notify => (JOBS, "", "notify", None),
            Self::DescribeNextAnswers => (JOBS, NEXT, "/get/+", None),
            Self::DescribeAnswers(job) => (JOBS, job_id(job)?, "/get/+", None),
            Self::AnyDescribeAnswers => (JOBS, ANY, "/get/+", None),
            Self::AnyUpdateAnswers => (JOBS, ANY, "/update/+", None),
            Self::UpdateAnswers(job) => (JOBS, job_id(job)?, "/update/+", None),
            Self::GetStream(stream, format) => (STREAMS, stream_id(stream)?, "/get/", Some(format)),
            Self::DescribeStream(stream, format) => (STREAMS, stream_id(stream)?, "/describe/", Some(format)),
            Self::StreamData(stream, format) => (STREAMS, stream_id(stream)?, "/data/", Some(format)),
            Self::StreamRejected(stream, format) => (STREAMS, stream_id(stream)?, "/rejected/", Some(format)),
            Self::StreamDescription(stream, format) => {
                (STREAMS, stream_id(stream)?, "/description/", Some(format))
            }
        };
        let mut writer = Writer::new(buf);
        for part in [THINGS, thing, area, id, tail, format.map_or("", Format::as_str)] {
            writer.str(part);
        }
        let len = writer.finish().map_err(|error| match error {
            EncodeError::BufferTooSmall => TopicError::BufferTooSmall,
            _ => TopicError::TooLong,
        })?;
        // Names hold no slash, so that no topic of this table has more than `MAX_SLASHES`.
        if len > MAX_TOPIC_SIZE {
            return Err(TopicError::TooLong);
        }
        Ok(len)
    }
}

fn job_id(id: &str) -> Result<&str, TopicError> {
    if is_id(id) { Ok(id) } else { Err(TopicError::JobId) }
}

fn stream_id(id: &str) -> Result<&str, TopicError> {
    if is_id(id) { Ok(id) } else { Err(TopicError::StreamId) }
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
        let rest = topic.strip_prefix(THINGS)?.strip_prefix(thing)?;
        let (rest, of_stream) = match rest.strip_prefix(STREAMS) {
            Some(rest) => (rest, true),
            None => (rest.strip_prefix(JOBS)?, false),
        };
        match rest {
            "notify-next" if !of_stream => return Some(Self::NotifyNext),
            "notify" if !of_stream => return Some(Self::Notify),
            _ => {}
        }
        // Ids hold no slash.
        let end = rest.bytes().position(|byte| byte == b'/')?;
        let (id, tail) = (rest.get(..end)?, rest.get(end..)?);
        let job = (id != NEXT).then_some(id);
        if job.is_some() && !is_id(id) {
            return None;
        }
        Some(match (of_stream, tail) {
            (false, "/get/accepted") => Self::Described { job, accepted: true },
            (false, "/get/rejected") => Self::Described { job, accepted: false },
            (false, "/update/accepted") => Self::Updated { job: job?, accepted: true },
            (false, "/update/rejected") => Self::Updated { job: job?, accepted: false },
            (true, "/data/cbor") => Self::Data(job?, Format::Cbor),
            (true, "/data/json") => Self::Data(job?, Format::Json),
            (true, "/rejected/cbor") => Self::StreamRejected(job?, Format::Cbor),
            (true, "/rejected/json") => Self::StreamRejected(job?, Format::Json),
            (true, "/description/cbor") => Self::StreamDescription(job?, Format::Cbor),
            (true, "/description/json") => Self::StreamDescription(job?, Format::Json),
            _ => return None,
        })
    }
}
