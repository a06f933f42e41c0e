//! What the agent publishes and subscribes to, as topics and bytes.

use super::{Agent, Publication, Report, Request, State, Subscription};
use crate::status::{Line, Reason};
use crate::transport::Qos;
use crate::wire::topic::MAX_TOPIC_SIZE;
use crate::wire::{
    EncodeError, GetStream, JobStatus, Topic, TopicError, Update, encode_describe, encode_update,
};

/// Most status detail pairs of one update (AWS IoT Jobs limits).
const MAX_DETAILS: usize = 10;

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
        self.len = topic.encode(thing, &mut self.bytes)?.len();
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
                let token = self.token(self.next_token);
                let (target, len) = match request {
                    Request::Next { document } => {
                        (Topic::DescribeNext, encode_describe(payload, token.as_str(), *document, None)?)
                    }
                    Request::Held { document } => (
                        Topic::Describe(self.job_id()),
                        encode_describe(payload, token.as_str(), *document, None)?,
                    ),
                    Request::Report(report) => {
                        (Topic::Update(self.job_id()), self.encode_report(*report, token.as_str(), payload)?)
                    }
                };
                (target, len, Qos::AtLeastOnce)
            }
            Publication::Progress => {
                let (held, total) = self.progress();
                let receive = Line::<24>::format(format_args!("{held}/{total}"));
                let len = self.encode_update(
                    JobStatus::InProgress,
                    &[("receive", receive.as_str())],
                    None,
                    None,
                    payload,
                )?;
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
        let updated_by = self.job.updated_by.unwrap_or_else(|| self.running_version().word());
        let updated_by = Line::<16>::format(format_args!("{updated_by:#x}"));
        let updated_by = ("updatedBy", updated_by.as_str());
        let token = Some(token);
        let version = self.job.version;
        match report {
            Report::Ready => self.encode_update(
                JobStatus::InProgress,
                &[("self_test", "ready"), updated_by],
                version,
                token,
                payload,
            ),
            Report::Active => self.encode_update(
                JobStatus::InProgress,
                &[("self_test", "active"), updated_by],
                version,
                token,
                payload,
            ),
            Report::Succeeded => {
                let reason = match self.state {
                    State::Confirmed { custom: true } => Line::<48>::format(format_args!("accepted")),
                    _image => Line::<48>::format(format_args!("accepted v{}", self.running_version())),
                };
                self.encode_update(
                    JobStatus::Succeeded,
                    &[("reason", reason.as_str()), updated_by],
                    version,
                    token,
                    payload,
                )
            }
            Report::Ended => {
                let State::Failed { reason, rejected, detail } = self.state else {
                    return Err(EncodeError::BufferTooSmall);
                };
                let status = if rejected { JobStatus::Rejected } else { JobStatus::Failed };
                let part =
                    |shift: u32| Reason::from_number((detail >> shift) as u8).map_or("", Reason::spelling);
                let text = match detail {
                    _both if reason == Reason::NoPlane => {
                        Line::<96>::format(format_args!("{reason}: mqtt {}, http {}", part(8), part(0)))
                    }
                    0 => Line::<96>::format(format_args!("{reason}")),
                    detail => Line::<96>::format(format_args!("{reason}: {detail:#010x}")),
                };
                self.encode_update(status, &[("reason", text.as_str()), updated_by], version, token, payload)
            }
        }
    }

    /// One update with the pairs given and the application's own.
    fn encode_update(
        &self,
        status: JobStatus,
        pairs: &[(&str, &str)],
        expected_version: Option<u32>,
        token: Option<&str>,
        payload: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let mut details = [("", ""); MAX_DETAILS];
        let all = pairs.iter().chain(self.config.details);
        let mut count = 0;
        for (place, pair) in details.iter_mut().zip(all) {
            *place = *pair;
            count += 1;
        }
        let update = Update {
            status,
            details: details.get(..count).unwrap_or(&[]),
            expected_version: expected_version.filter(|_| self.config.expected_version && token.is_some()),
            execution_number: (self.job.execution != 0)
                .then_some(self.job.execution)
                .filter(|_| token.is_some()),
            include_state: token.is_some(),
            token,
        };
        encode_update(payload, &update)
    }

    /// The client token of a request: a counter, and what tells this boot of this device from others.
    pub(super) fn token(&self, number: u32) -> Line<24> {
        Line::format(format_args!("{number}:{:x}", self.config.seed))
    }
}
