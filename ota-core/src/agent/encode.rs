//! What the agent publishes and subscribes to, as topics and bytes.

use super::{Agent, Publication, Report, Request, State, Subscription};
use crate::status::Reason;
use crate::transport::Qos;
use crate::version::Version;
use crate::wire::topic::MAX_TOPIC_SIZE;
use crate::wire::update::encode_update_with;
use crate::wire::writer::Writer;
use crate::wire::{EncodeError, GetStream, JobStatus, Topic, TopicError, Update, encode_describe};

/// Room for a client token: ten digits, a colon, eight digits.
pub(super) const TOKEN_SIZE: usize = 24;
/// Room for a reason with those of both planes.
const REASON_SIZE: usize = 112;

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
        let stream = self.arena.text(self.job.stream);
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
                let mut receive = [0; TOKEN_SIZE];
                let mut writer = Writer::new(&mut receive);
                writer.decimal(held.into());
                writer.byte(b'/');
                writer.decimal(total.into());
                let pairs = [("receive", writer.into_str()?)];
                let len = self.encode_update(JobStatus::InProgress, &pairs, None, payload)?;
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
                let len = get.encode(self.config.format, payload)?;
                (Topic::GetStream(self.arena.text(self.job.stream), self.config.format), len, Qos::AtMostOnce)
            }
        };
        topic.put(&target, thing).map_err(|_| EncodeError::BufferTooSmall)?;
        Ok((len, qos))
    }

    fn encode_report(&self, report: Report, token: &str, payload: &mut [u8]) -> Result<usize, EncodeError> {
        // The version that did the download, until the job ends: the new image's own would make the next boot take the
        // new image for the old one (DESIGN.md, "updatedBy").
        let mut updated_by = [0; TOKEN_SIZE];
        let mut writer = Writer::new(&mut updated_by);
        writer.str("0x");
        writer.hexadecimal(self.job.updated_by.get().unwrap_or_else(|| self.running_version().word()), 1);
        let updated_by = ("updatedBy", writer.into_str()?);

        let mut text = [0; REASON_SIZE];
        let mut writer = Writer::new(&mut text);
        let (status, name) = match (report, self.state) {
            (Report::Ready, _) => {
                writer.str("ready");
                (JobStatus::InProgress, "self_test")
            }
            (Report::Active, _) => {
                writer.str("active");
                (JobStatus::InProgress, "self_test")
            }
            (Report::Succeeded, state) => {
                writer.str("accepted");
                if !matches!(state, State::Confirmed { custom: true }) {
                    writer.str(" v");
                    write_version(&mut writer, self.running_version());
                }
                (JobStatus::Succeeded, "reason")
            }
            (Report::Ended, State::Failed { reason, rejected, detail }) => {
                write_reason(&mut writer, reason, detail);
                (if rejected { JobStatus::Rejected } else { JobStatus::Failed }, "reason")
            }
            (Report::Ended, _) => return Err(EncodeError::Status),
        };
        self.encode_update(status, &[(name, writer.into_str()?), updated_by], Some(token), payload)
    }

    /// One update with the pairs given and the application's own; with a token also with all that makes its answer count.
    fn encode_update(
        &self,
        status: JobStatus,
        pairs: &[(&str, &str)],
        token: Option<&str>,
        payload: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let answered = token.is_some();
        let update = Update {
            status,
            details: pairs,
            expected_version: self.job.version.get().filter(|_| self.config.expected_version && answered),
            execution_number: (self.job.execution != 0 && answered).then_some(self.job.execution),
            include_state: answered,
            token,
        };
        encode_update_with(payload, &update, self.config.details)
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
