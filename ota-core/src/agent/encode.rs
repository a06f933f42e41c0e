//! What the agent publishes and subscribes to, as topics and bytes.

use super::{Agent, Publication, Report, Request, State, Subscription};
use crate::status::Reason;
use crate::transport::Qos;
use crate::wire::topic::{self, MAX_TOPIC_SIZE, NEXT, Tail};
use crate::wire::update::write_detail;
use crate::wire::writer::Writer;
use crate::wire::{EncodeError, Format, GetStream, TopicError};

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

    fn put(&mut self, thing: &str, id: &str, tail: (Tail, Format)) -> Option<()> {
        self.len = topic::write(&mut self.bytes, thing, id, tail)?;
        Some(())
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
        // AWS delivers answers of Jobs without a subscription; other brokers and proxies need one.
        let (id, tails, qos): (_, &[_], _) = match subscription {
            Subscription::Jobs => {
                ("", &[Tail::NotifyNext, Tail::AnyDescribeAnswer, Tail::AnyUpdateAnswer], Qos::AtLeastOnce)
            }
            Subscription::Stream => (self.stream(), &[Tail::Data, Tail::StreamRejected], Qos::AtMostOnce),
        };
        for (place, tail) in filters.iter_mut().zip(tails) {
            let put = place.0.put(self.config.thing_name, id, (*tail, self.config.format));
            put.ok_or(TopicError::TooLong)?;
            place.1 = qos;
        }
        Ok(tails.len())
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
        let (id, tail, forms) = match *publication {
            Publication::Blocks => return self.encode_blocks(topic, payload),
            Publication::Progress => (self.job_id(), Tail::Update, [UPDATE, PROGRESS, PROGRESS_END]),
            Publication::Jobs(Request::Next { document }) => {
                (NEXT, Tail::Describe, [describe(document), "", ""])
            }
            Publication::Jobs(Request::Held { document }) => {
                (self.job_id(), Tail::Describe, [describe(document), "", ""])
            }
            Publication::Jobs(Request::Report(report)) => {
                (self.job_id(), Tail::Update, [UPDATE, self.report_form(report)?, REPORT_END])
            }
        };
        let put = topic.put(self.config.thing_name, id, (tail, self.config.format));
        put.ok_or(EncodeError::BufferTooSmall)?;
        let mut writer = Writer::new(payload);
        let hole = |writer: &mut Writer<'_>, hole| self.fill_hole(writer, hole);
        for form in forms {
            writer.fill(form, &hole);
        }
        let is_answered = matches!(publication, Publication::Jobs(_));
        Ok((writer.finish()?, if is_answered { Qos::AtLeastOnce } else { Qos::AtMostOnce }))
    }

    fn encode_blocks(&self, topic: &mut TopicBuffer, payload: &mut [u8]) -> Result<(usize, Qos), EncodeError> {
        let format = self.config.format;
        let len = topic::request_topic(&mut topic.bytes, self.arena.get(self.job.block_topic), format);
        topic.len = len.ok_or(EncodeError::BufferTooSmall)?;
        let request = self.block_request();
        let get = GetStream {
            token: None,
            file_id: request.file_id,
            block_size: self.config.block_size,
            offset: request.offset,
            bitmap: request.bitmap(),
            count: request.count,
        };
        Ok((get.encode(format, payload)?, Qos::AtMostOnce))
    }

    /// How the body of a report begins.
    fn report_form(&self, report: Report) -> Result<&'static str, EncodeError> {
        Ok(match (report, self.state) {
            (Report::Ready, _) => READY,
            (Report::Active, _) => ACTIVE,
            (Report::Succeeded, State::Confirmed { custom: true }) => ACCEPTED,
            (Report::Succeeded, _) => ACCEPTED_VERSION,
            (Report::Ended, State::Failed { rejected: true, .. }) => REJECTED,
            (Report::Ended, State::Failed { .. }) => FAILED,
            (Report::Ended, _) => return Err(EncodeError::Status),
        })
    }

    /// Writes what a letter of a form stands for. Nothing of it needs an escape.
    fn fill_hole(&self, writer: &mut Writer<'_>, hole: u8) {
        let version = self.running_version();
        match hole {
            b's' => writer.str("\",\"statusDetails\":{\""),
            b'k' => self.write_token(writer, self.next_token),
            b'h' => writer.decimal(self.progress().0),
            b't' => writer.decimal(self.progress().1),
            b'v' => {
                for (before, number) in
                    [('v', version.major.into()), ('.', version.minor.into()), ('.', version.revision.into())]
                {
                    writer.byte(before as u8);
                    writer.decimal(number);
                }
                if version.build != 0 {
                    writer.byte(b'+');
                    writer.decimal(version.build);
                }
            }
            b'r' => {
                if let State::Failed { reason, .. } = self.state {
                    write_reason(writer, reason, self.detail);
                }
            }
            // The version that did the download, until the job ends: the new image's own would make the next boot take the
            // new image for the old one (DESIGN.md, "updatedBy").
            b'u' => {
                let word = match self.job.updated_by {
                    0 => version.word(),
                    word => word,
                };
                writer.hexadecimal(word, 1);
            }
            b'd' => {
                for (name, value) in self.config.details {
                    writer.json_name(name);
                    write_detail(writer, value);
                }
            }
            b'e' => {
                if let Some(version) = self.job.version.get().filter(|_| self.config.expected_version) {
                    writer.json_number("expectedVersion", version.into());
                }
            }
            b'x' => {
                if self.job.execution != 0 {
                    writer.json_number("executionNumber", self.job.execution);
                }
            }
            _ => {}
        }
    }

    /// The client token of a request: a counter, and what tells this boot of this device from others.
    pub(super) fn token<'b>(&self, number: u32, buf: &'b mut [u8; TOKEN_SIZE]) -> &'b str {
        let mut writer = Writer::new(buf);
        self.write_token(&mut writer, number);
        writer.into_str().unwrap_or_default()
    }

    fn write_token(&self, writer: &mut Writer<'_>, number: u32) {
        writer.decimal(number);
        writer.byte(b':');
        writer.hexadecimal(self.config.seed, 1);
    }
}

// Bodies of requests to Jobs, with holes that `fill_hole` fills. In what expects an answer all is there that makes it count.
const DESCRIBE: &str = r#"{"clientToken":"%k"}"#;
const DESCRIBE_BRIEFLY: &str = r#"{"clientToken":"%k","includeJobDocument":false}"#;
const UPDATE: &str = r#"{"status":""#;
const PROGRESS: &str = r#"IN_PROGRESS%sreceive":"%h/%t"#;
const PROGRESS_END: &str = r#""%d}}"#;
const READY: &str = r#"IN_PROGRESS%sself_test":"ready"#;
const ACTIVE: &str = r#"IN_PROGRESS%sself_test":"active"#;
const ACCEPTED: &str = r#"SUCCEEDED%sreason":"accepted"#;
const ACCEPTED_VERSION: &str = r#"SUCCEEDED%sreason":"accepted %v"#;
const FAILED: &str = r#"FAILED%sreason":"%r"#;
const REJECTED: &str = r#"REJECTED%sreason":"%r"#;
const REPORT_END: &str = r#"","updatedBy":"0x%u"%d}%e%x,"includeJobExecutionState":true,"clientToken":"%k"}"#;

fn describe(document: bool) -> &'static str {
    if document { DESCRIBE } else { DESCRIBE_BRIEFLY }
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
