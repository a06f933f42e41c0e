//! What the agent publishes and subscribes to, as topics and bytes.

use super::{Agent, Config, Publication, Report, Request, State, Subscription};
use crate::status::Reason;
use crate::transport::Qos;
use crate::wire::topic::{self, MAX_TOPIC_SIZE, NEXT, Tail};
use crate::wire::update::write_detail;
use crate::wire::words::word;
use crate::wire::writer::Writer;
use crate::wire::{EncodeError, GetStream, Token, TopicError};

/// Room for a client token: ten digits, a colon, eight digits.
const TOKEN_SIZE: usize = 24;

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

    fn put(&mut self, config: &Config<'_>, id: &str, tail: Tail) -> Option<()> {
        self.len = topic::write(&mut self.bytes, (config.thing_name, id), tail, config.format)?;
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
            let put = place.0.put(self.config, id, *tail);
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
        let (id, tail, form) = match *publication {
            Publication::Blocks => return self.encode_blocks(topic, payload),
            Publication::Progress => (self.job_id(), Tail::Update, Form::Progress),
            Publication::Jobs(Request::Next { document }) => (NEXT, Tail::Describe, describe(document)),
            Publication::Jobs(Request::Held { document }) => {
                (self.job_id(), Tail::Describe, describe(document))
            }
            Publication::Jobs(Request::Report(report)) => (self.job_id(), Tail::Update, self.form_of(report)),
        };
        let put = topic.put(self.config, id, tail);
        put.ok_or(EncodeError::BufferTooSmall)?;
        let mut writer = Writer::new(payload);
        let hole = |writer: &mut Writer<'_>, hole| self.fill_hole(writer, hole);
        writer.fill(word(FORMS, form as usize), &hole);
        if matches!(publication, Publication::Jobs(Request::Report(_))) {
            writer.fill(REPORT_END, &hole);
        }
        let is_answered = matches!(publication, Publication::Jobs(_));
        Ok((writer.finish()?, if is_answered { Qos::AtLeastOnce } else { Qos::AtMostOnce }))
    }

    fn encode_blocks(
        &self,
        topic: &mut TopicBuffer,
        payload: &mut [u8],
    ) -> Result<(usize, Qos), EncodeError> {
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
        let mut writer = Writer::new(payload);
        get.write(format, None, &mut writer)?;
        Ok((writer.finish()?, Qos::AtMostOnce))
    }

    /// The form of a report.
    fn form_of(&self, report: Report) -> Form {
        match (report, self.state) {
            (Report::Ready, _) => Form::Ready,
            (Report::Active, _) => Form::Active,
            (Report::Succeeded, State::Confirmed { custom: true }) => Form::Accepted,
            (Report::Succeeded, _) => Form::AcceptedVersion,
            (Report::Ended, State::Failed { rejected: true, .. }) => Form::Rejected,
            (Report::Ended, _) => Form::Failed,
        }
    }

    /// Writes what a letter of a form stands for. Nothing of it needs an escape.
    fn fill_hole(&self, writer: &mut Writer<'_>, hole: u8) {
        let version = self.running_version();
        let (held, total) = self.progress();
        match hole {
            b's' => writer.str(r#"{"status":""#),
            b'd' => writer.str(r#"","statusDetails":{""#),
            b'k' => self.write_token(writer, self.next_token),
            b'0' => writer.decimal(held),
            b'1' => writer.decimal(total),
            b'2' => writer.decimal(version.major.into()),
            b'3' => writer.decimal(version.minor.into()),
            b'4' => writer.decimal(version.revision.into()),
            b'b' => {
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
            b'o' => {
                for (name, value) in self.config.details {
                    writer.str(",\"");
                    writer.str(name);
                    writer.str("\":");
                    write_detail(writer, value);
                }
            }
            b'e' => {
                if let Some(version) = self.job.version.get().filter(|_| self.config.expected_version) {
                    writer.str(r#","expectedVersion":"#);
                    writer.decimal(version);
                }
            }
            b'x' => {
                if self.job.execution != 0 {
                    writer.str(r#","executionNumber":"#);
                    writer.wide(self.job.execution);
                }
            }
            // A blank, which stands between forms.
            _ => writer.byte(b' '),
        }
    }

    /// Whether `token` is that of the request of this number.
    pub(super) fn is_token(&self, token: Token<'_>, number: u32) -> bool {
        let mut wanted = [0; TOKEN_SIZE];
        let mut writer = Writer::new(&mut wanted);
        self.write_token(&mut writer, number);
        let size = writer.finish().unwrap_or_default();
        token.0.map(str::as_bytes) == wanted.get(..size)
    }

    /// The client token of a request: a counter, and what tells this boot of this device from others.
    fn write_token(&self, writer: &mut Writer<'_>, number: u32) {
        writer.decimal(number);
        writer.byte(b':');
        writer.hexadecimal(self.config.seed, 1);
    }
}

/// The body of a request to Jobs: its place in [`FORMS`].
#[derive(Clone, Copy)]
enum Form {
    Progress,
    Describe,
    DescribeBriefly,
    Ready,
    Active,
    Accepted,
    AcceptedVersion,
    Failed,
    Rejected,
}

/// With blanks between, and holes that `fill_hole` fills. A report goes on with [`REPORT_END`].
const FORMS: &str = concat!(
    // With its version, or it could overtake and then overwrite what was reported after it.
    r#"%sIN_PROGRESS%dreceive":"%0/%1"%o}%e} "#,
    r#"{"clientToken":"%k"} "#,
    r#"{"clientToken":"%k","includeJobDocument":false} "#,
    r#"%sIN_PROGRESS%dself_test":"ready "#,
    r#"%sIN_PROGRESS%dself_test":"active "#,
    r#"%sSUCCEEDED%dreason":"accepted "#,
    r#"%sSUCCEEDED%dreason":"accepted%_v%2.%3.%4%b "#,
    r#"%sFAILED%dreason":"%r "#,
    r#"%sREJECTED%dreason":"%r "#,
);
/// All that makes the answer to a report count.
const REPORT_END: &str = r#"","updatedBy":"0x%u"%o}%e%x,"includeJobExecutionState":true,"clientToken":"%k"}"#;

fn describe(document: bool) -> Form {
    if document { Form::Describe } else { Form::DescribeBriefly }
}

/// The reason's spelling, and the number beside it: that of an error, or the reasons of both planes.
fn write_reason(writer: &mut Writer<'_>, reason: Reason, detail: u32) {
    write_spelling(writer, Some(reason));
    if reason == Reason::NoPlane {
        writer.str(": mqtt ");
        write_spelling(writer, Reason::from_number((detail >> 8) as u8));
        writer.str(", http ");
        write_spelling(writer, Reason::from_number(detail as u8));
    } else if detail != 0 {
        writer.str(": 0x");
        writer.hexadecimal(detail, 8);
    }
}

#[inline(never)]
fn write_spelling(writer: &mut Writer<'_>, reason: Option<Reason>) {
    writer.str(reason.map_or("", Reason::spelling));
}
