//! Answers of AWS IoT Jobs.
//!
//! Source: AWS IoT developer guide, "Jobs device MQTT API operations", "Job execution" data types and "ErrorCode".
//! Times are not read: they come in seconds or milliseconds, and nothing depends on them.

use super::{
    document::Document,
    field::{Fault, Shape, find, none},
    json::{self, JsonError, Text, Value},
    topic::{self, Format},
    words::{position, word},
};

/// State of a job execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Waits for the device.
    Queued,
    /// The device has begun.
    InProgress,
    /// Ended: the device could not do it.
    Failed,
    /// Ended: done.
    Succeeded,
    /// Ended: the cloud took it back.
    Canceled,
    /// Ended: a timer of the job ran out.
    TimedOut,
    /// Ended: the device would not do it.
    Rejected,
    /// Ended: the thing left the job's target.
    Removed,
}

impl JobStatus {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::InProgress,
        Self::Failed,
        Self::Succeeded,
        Self::Canceled,
        Self::TimedOut,
        Self::Rejected,
        Self::Removed,
    ];

    /// Whether the execution has ended, so that no update is accepted any more.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Queued | Self::InProgress => false,
            Self::Failed
            | Self::Succeeded
            | Self::Canceled
            | Self::TimedOut
            | Self::Rejected
            | Self::Removed => true,
        }
    }

    /// AWS' spellings, in the order of [`ALL`](Self::ALL).
    const SPELLINGS: &str = "QUEUED IN_PROGRESS FAILED SUCCEEDED CANCELED TIMED_OUT REJECTED REMOVED";

    /// AWS' spelling.
    pub fn as_str(self) -> &'static str {
        word(Self::SPELLINGS, self as usize)
    }

    /// The state of AWS' spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(text.as_bytes())
    }

    fn of(text: &[u8]) -> Option<Self> {
        Self::ALL.get(position(Self::SPELLINGS, text)?).copied()
    }
}

/// The client token an answer echoes, as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token<'a>(pub Option<&'a str>);

impl Token<'_> {
    /// Whether the answer echoes exactly `token`.
    pub fn matches(&self, token: &str) -> bool {
        self.0 == Some(token)
    }
}

/// `statusDetails`: names with strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Details<'a>(Option<&'a [u8]>);

impl<'a> Details<'a> {
    /// The detail of this name, if its value is a string.
    #[inline(never)]
    pub fn get(&self, name: &str) -> Option<Text<'a>> {
        let mut found = none();
        let shape = Shape { names: name, types: "\"", required: 0 };
        find(Format::Json, self.0?, &shape, &mut found).ok()?;
        found[0].bytes().map(Text::new)
    }
}

/// A job execution, or what an answer tells of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution<'a> {
    /// `jobId`: 1 to 128 characters of `[a-zA-Z0-9_-]`; empty in `executionState`, which does not tell it.
    pub job_id: &'a str,
    /// `status` as the service has stored it.
    pub status: JobStatus,
    /// `versionNumber`: counts accepted updates.
    pub version_number: Option<u32>,
    /// `executionNumber`: counts the times this job was given to this thing.
    pub execution_number: Option<u64>,
    /// `statusDetails`.
    pub details: Details<'a>,
    document: Option<&'a [u8]>,
}

impl<'a> Execution<'a> {
    /// `named`: it must say of which job.
    fn read(execution: &'a [u8], named: bool) -> Result<Self, Fault> {
        const SHAPE: &Shape<'_> = &Shape {
            names: "status jobId versionNumber executionNumber statusDetails jobDocument",
            types: "\"\"#*{*",
            required: 0b1,
        };
        let mut found = none();
        find(Format::Json, execution, SHAPE, &mut found)?;
        let [status, job_id, version, number, details, document] = &found;
        let status = JobStatus::of(status.bytes().unwrap_or_default()).ok_or(Fault::Type)?;
        let job_id = match job_id.text() {
            Some(id) if topic::is_id(id) => id,
            Some(_) => return Err(Fault::Type),
            None if named => return Err(Fault::Missing),
            None => "",
        };
        let execution_number = match number.bytes() {
            Some(number) => Some(json::number(number, 10).ok_or(Fault::Number)?),
            None => None,
        };
        Ok(Self {
            job_id,
            status,
            version_number: version.some_number(),
            execution_number,
            details: Details(details.bytes()),
            document: document.bytes(),
        })
    }

    /// `statusDetails.self_test`: that it is there says that the job is in self test.
    pub fn self_test(&self) -> Option<Text<'a>> {
        self.details.get("self_test")
    }

    /// `statusDetails.updatedBy`: word of the version that did the download.
    pub fn updated_by(&self) -> Option<u32> {
        parse_c_number(self.details.get("updatedBy")?.raw_bytes())
    }

    /// `jobDocument`, looked into when it is asked for.
    #[inline(never)]
    pub fn document(&self) -> Document<'a> {
        Document::parse(self.document)
    }
}

/// A number as C's `strtoul` with base 0 reads it: `0x` hexadecimal, `0` octal, else decimal. The C agents write `updatedBy`
/// as `0x90002` or `0x00090002` and read any of the three. Unlike `strtoul` this takes neither blanks nor a sign, and nothing
/// behind the number.
fn parse_c_number(text: &[u8]) -> Option<u32> {
    match text {
        [b'0', b'x' | b'X', digits @ ..] => json::number_u32(digits, 16),
        [b'0', ..] => json::number_u32(text, 8),
        _ => json::number_u32(text, 10),
    }
}

/// Why a request to Jobs was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectedCode {
    /// The topic maps to no operation.
    InvalidTopic,
    /// The request is not JSON.
    InvalidJson,
    /// A field of the request is wrong.
    InvalidRequest,
    /// The stored state does not allow this update.
    InvalidStateTransition,
    /// There is no such execution, job or thing.
    ResourceNotFound,
    /// `expectedVersion` is not the stored version.
    VersionMismatch,
    /// The service failed: ask again later.
    InternalError,
    /// Too many requests: ask again later.
    RequestThrottled,
    /// The execution has ended, so it is not described any more.
    TerminalStateReached,
    /// No code, or one this library does not know.
    Unknown,
}

impl RejectedCode {
    /// Every code AWS documents.
    pub const ALL: [Self; 9] = [
        Self::InvalidTopic,
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::InvalidStateTransition,
        Self::ResourceNotFound,
        Self::VersionMismatch,
        Self::InternalError,
        Self::RequestThrottled,
        Self::TerminalStateReached,
    ];

    /// AWS' spellings, in the order of [`ALL`](Self::ALL).
    const SPELLINGS: &str = "InvalidTopic InvalidJson InvalidRequest InvalidStateTransition ResourceNotFound \
        VersionMismatch InternalError RequestThrottled TerminalStateReached Unknown";

    /// AWS' spelling; `Unknown` for [`RejectedCode::Unknown`], which AWS never sends.
    pub fn as_str(self) -> &'static str {
        word(Self::SPELLINGS, self as usize)
    }

    fn of(text: &[u8]) -> Option<Self> {
        Self::ALL.get(position(Self::SPELLINGS, text)?).copied()
    }
}

/// What AWS IoT Jobs answered to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobsAnswer<'a> {
    /// The token of the request.
    pub token: Token<'a>,
    /// Why the request was rejected; [`RejectedCode::Unknown`] in an answer that accepts it.
    pub code: RejectedCode,
    /// The execution asked for, or what is stored of the one that was to be updated. To a describe request `None` says that
    /// nothing is pending.
    pub execution: Option<Execution<'a>>,
}

/// Reads an answer on `jobs/$next/get/accepted` or `jobs/J/get/accepted`, or a push on `jobs/notify-next`.
///
/// # Errors
/// See [`JsonError`]. A job document that cannot be used is no error here: it is reported for its job.
pub fn parse_describe(message: &[u8]) -> Result<JobsAnswer<'_>, JsonError> {
    let mut answer = JobsAnswer::none();
    answer.read(message, true)?;
    Ok(answer)
}

/// Reads an answer on `jobs/J/update/accepted`, whose state is there when it was asked for, or on any `…/rejected` topic of
/// Jobs, whose state comes with `InvalidStateTransition` and `VersionMismatch`.
///
/// # Errors
/// See [`JsonError`].
pub fn parse_update(message: &[u8]) -> Result<JobsAnswer<'_>, JsonError> {
    let mut answer = JobsAnswer::none();
    answer.read(message, false)?;
    Ok(answer)
}

impl<'a> JobsAnswer<'a> {
    /// Says nothing.
    pub(crate) fn none() -> Self {
        Self { token: Token(None), code: RejectedCode::Unknown, execution: None }
    }

    /// Reads an answer: of what it says about an execution, either `execution` or `executionState`. Absent and empty both mean
    /// that there is none, or that the answer does not tell. What cannot be read leaves nothing of use.
    #[inline(never)]
    pub(crate) fn read(&mut self, message: &'a [u8], described: bool) -> Result<(), Fault> {
        let mut found = none();
        let shape =
            &Shape { names: "clientToken code executionState execution", types: "\"***", required: 0 };
        find(Format::Json, message, shape, &mut found)?;
        let [token, code, state, execution, ..] = &found;
        self.token = Token(token.text());
        if let Some(code) = code.bytes().and_then(|code| Value::new(code).as_text()) {
            self.code = RejectedCode::of(code.raw_bytes()).unwrap_or(RejectedCode::Unknown);
        }
        let execution = if described { execution } else { state };
        if let Some(execution) = execution.bytes()
            && !Value::new(execution).is_empty_object()
        {
            self.execution = Some(Execution::read(execution, described)?);
        }
        Ok(())
    }
}
