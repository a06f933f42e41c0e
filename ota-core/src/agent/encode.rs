//! What the agent publishes and subscribes to, as topics and bytes.

use super::{Agent, Publication, Report, Request, State, Subscription};
use crate::status::Reason;
use crate::transport::Qos;
use crate::version::Version;
use crate::wire::topic::{MAX_TOPIC_SIZE, request_topic};
use crate::wire::update::UpdateWriter;
use crate::wire::writer::Writer;
use crate::wire::{EncodeError, GetStream, JobStatus, Topic, TopicError, encode_describe};

/// Room for a client token: ten digits, a colon, eight digits.
pub(super) const TOKEN_SIZE: usize = 24;

/// Room a payload needs, bytes: the application's own pairs decide.
pub const MAX_PAYLOAD_SIZE: usize = 1536;

/// A topic built in place.
#[derive(Clone, Copy)]
pub struct TopicBuffer {
    bytes: [u8; MAX_TOPIC_SIZE],
    len: usize,
}

impl TopicBuffer {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { bytes: [0; MAX_TOPIC_SIZE], len: 0 }
    }

    /// The topic.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|b| core::str::from_utf8(b).ok()).unwrap_or("")
    }

    fn put(&mut self, topic: &Topic<'_>, thing: &str) -> Result<(), TopicError> {
        self.len = topic.write(thing, &mut self.bytes)?;
        Ok(())
    }
}

impl Default for TopicBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// What one call of [`Agent::filters`] fills.
pub type Filters = [(TopicBuffer, Qos); 3];

impl Agent<'_> {
    /// The topic filters of `subscription`, in one SUBSCRIBE; returns how many.
    ///
    /// # Errors
    /// The names do not make a topic the broker takes.
    pub fn filters(&self, subscription: Subscription, filters: &mut Filters) -> Result<usize, TopicError> {
        let thing = self.config.thing_name;
        let stream = self.stream();
        let format = self.config.format;
        // AWS delivers answers of Jobs without a subscription; other brokers and proxies need one.
        let wanted: &[(Topic<'_>, Qos)] = match subscription {
            Subscription::Jobs => &[
                (Topic::NotifyNext, Qos::AtLeastOnce),
                (Topic::AnyDescribeAnswers, Qos::AtLeastOnce),
                (Topic::AnyUpdateAnswers, Qos::AtLeastOnce),
            ],
            Subscription::Stream => &[
                (Topic::StreamData(stream, format), Qos::AtMostOnce),
                (Topic::StreamRejected(stream, format), Qos::AtMostOnce),
            ],
        };
        for (place, (topic, qos)) in filters.iter_mut().zip(wanted) {
            place.0.put(topic, thing)?;
            place.1 = *qos;
        }
        Ok(wanted.len())
    }

    /// Encodes what is to be published: fills `topic` and `payload`, returns the payload's length and the QoS.
    ///
    /// # Errors
    /// `payload` is smaller than [`MAX_PAYLOAD_SIZE`], or the names do not make a topic the broker takes.
    pub fn encode(
        &self,
        publication: &Publication,
        topic: &mut TopicBuffer,
        payload: &mut [u8],
    ) -> Result<(usize, Qos), EncodeError> {
        let thing = self.config.thing_name;
        let (target, len, qos) = match publication {
            Publication::Jobs(request) => {
                let mut token = [0; TOKEN_SIZE];
                let token = self.token(self.next_token, &mut token);
                let (target, document) = match *request {
                    Request::Next { document } => (Topic::DescribeNext, Some(document)),
                    Request::Held { document } => (Topic::Describe(self.job_id()), Some(document)),
                    Request::Report(_) => (Topic::Update(self.job_id()), None),
                };
                let len = match (document, *request) {
                    (None, Request::Report(report)) => self.encode_report(report, token, payload)?,
                    (document, _) => encode_describe(payload, token, document.unwrap_or(true), None)?,
                };
                (target, len, Qos::AtLeastOnce)
            }
            Publication::Progress => {
                let (held, total) = self.progress();
                let mut update = UpdateWriter::new(payload, JobStatus::InProgress);
                update.detail_name("receive");
                update.writer.byte(b'"');
                update.writer.decimal(held.into());
                update.writer.byte(b'/');
                update.writer.decimal(total.into());
                update.writer.byte(b'"');
                let len = self.end_update(update, None)?;
                (Topic::Update(self.job_id()), len, Qos::AtMostOnce)
            }
            Publication::Blocks => {
                let request = self.block_request();
                let get = GetStream {
                    token: None,
                    file_id: request.file_id,
                    block_size: self.config.block_size,
                    offset: request.offset,
                    bitmap: request.bitmap(),
                    count: request.count,
                };
                topic.len = request_topic(
                    self.arena.get(self.job.block_topic),
                    self.config.format,
                    &mut topic.bytes,
                )?;
                return Ok((get.encode(self.config.format, payload)?, Qos::AtMostOnce));
            }
        };
        topic.put(&target, thing).map_err(|_| EncodeError::BufferTooSmall)?;
        Ok((len, qos))
    }

    fn encode_report(&self, report: Report, token: &str, payload: &mut [u8]) -> Result<usize, EncodeError> {
        let (status, name) = match (report, self.state) {
            (Report::Ready | Report::Active, _) => (JobStatus::InProgress, "self_test"),
            (Report::Succeeded, _) => (JobStatus::Succeeded, "reason"),
            (Report::Ended, State::Failed { rejected: true, .. }) => (JobStatus::Rejected, "reason"),
            (Report::Ended, _) => (JobStatus::Failed, "reason"),
        };
        let mut update = UpdateWriter::new(payload, status);
        update.detail_name(name);
        // Nothing in these values needs an escape.
        update.writer.byte(b'"');
        match (report, self.state) {
            (Report::Ready, _) => update.writer.str("ready"),
            (Report::Active, _) => update.writer.str("active"),
            (Report::Succeeded, state) => {
                update.writer.str("accepted");
                if !matches!(state, State::Confirmed { custom: true }) {
                    update.writer.str(" v");
                    write_version(&mut update.writer, self.running_version());
                }
            }
            (Report::Ended, State::Failed { reason, .. }) => {
                write_reason(&mut update.writer, reason, self.detail)
            }
            (Report::Ended, _) => return Err(EncodeError::Status),
        }
        update.writer.byte(b'"');
        // The version that did the download, until the job ends: the new image's own would make the next boot take the
        // new image for the old one (DESIGN.md, "updatedBy").
        update.detail_name("updatedBy");
        update.writer.str("\"0x");
        let word = match self.job.updated_by {
            0 => self.running_version().word(),
            word => word,
        };
        update.writer.hexadecimal(word, 1);
        update.writer.byte(b'"');
        self.end_update(update, Some(token))
    }

    /// Adds the application's own details; with a token also all that makes its answer count.
    fn end_update(&self, update: UpdateWriter<'_>, token: Option<&str>) -> Result<usize, EncodeError> {
        let mut update = update;
        for (name, value) in self.config.details {
            update.detail(name, value)?;
        }
        let answered = token.is_some();
        let version = self.job.version.get().filter(|_| self.config.expected_version && answered);
        let execution = Some(self.job.execution).filter(|number| *number != 0 && answered);
        update.end(version, execution, answered, token)
    }

    /// The client token of a request: a counter, and what tells this boot of this device from others.
    pub(super) fn token<'b>(&self, number: u32, buf: &'b mut [u8; TOKEN_SIZE]) -> &'b str {
        let mut writer = Writer::new(buf);
        writer.decimal(number.into());
        writer.byte(b':');
        writer.hexadecimal(self.config.seed, 1);
        writer.into_str().unwrap_or_default()
    }
}

/// `major.minor.revision`, and `+build` where there is one.
fn write_version(writer: &mut Writer<'_>, version: Version) {
    writer.decimal(version.major.into());
    writer.byte(b'.');
    writer.decimal(version.minor.into());
    writer.byte(b'.');
    writer.decimal(version.revision.into());
    if version.build != 0 {
        writer.byte(b'+');
        writer.decimal(version.build.into());
    }
}

/// The reason's spelling, and the number beside it: that of an error, or the reasons of both planes.
fn write_reason(writer: &mut Writer<'_>, reason: Reason, detail: u32) {
    writer.str(reason.spelling());
    if reason == Reason::NoPlane {
        for (name, number) in [(": mqtt ", detail >> 8), (", http ", detail)] {
            writer.str(name);
            writer.str(Reason::from_number(number as u8).map_or("", Reason::spelling));
        }
    } else if detail != 0 {
        writer.str(": 0x");
        writer.hexadecimal(detail, 8);
    }
}
