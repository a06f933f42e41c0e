//! Answers of AWS IoT Jobs.
//!
//! Source: AWS IoT developer guide, "Jobs device MQTT API operations", "Job execution" data types and "ErrorCode".
//! Times are not read: they come in seconds or milliseconds, and nothing depends on them.

use super::{
    document::Document,
    json::{self, JsonError, Text, Value},
    topic,
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

    /// AWS' spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::InProgress => "IN_PROGRESS",
            Self::Failed => "FAILED",
            Self::Succeeded => "SUCCEEDED",
            Self::Canceled => "CANCELED",
            Self::TimedOut => "TIMED_OUT",
            Self::Rejected => "REJECTED",
            Self::Removed => "REMOVED",
        }
    }

    /// The state of AWS' spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
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
pub struct Details<'a>(Option<Value<'a>>);

impl<'a> Details<'a> {
    /// The detail of this name, if its value is a string.
    #[inline(never)]
    pub fn get(&self, name: &str) -> Option<Text<'a>> {
        let [value] = self.0?.fields([name]).ok()?;
        value?.as_text()
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
    document: Option<Value<'a>>,
}

impl<'a> Execution<'a> {
    /// Absent and empty both mean that there is none, or that the answer does not tell.
    fn parse(execution: Option<Value<'a>>) -> Result<Option<Self>, JsonError> {
        let Some(execution) = execution else { return Ok(None) };
        if execution.members().ok_or(JsonError::Value)?.next().is_none() {
            return Ok(None);
        }
        let [job_id, status, version, number, details, document] = execution.fields([
            "jobId",
            "status",
            "versionNumber",
            "executionNumber",
            "statusDetails",
            "jobDocument",
        ])?;
        let status = status.ok_or(JsonError::Missing)?;
        Ok(Some(Self {
            job_id: match job_id {
                Some(id) => plain(id).filter(|id| topic::is_id(id)).ok_or(JsonError::Value)?,
                None => "",
            },
            status: plain(status).and_then(JobStatus::parse).ok_or(JsonError::Value)?,
            version_number: version.map(|version| version.as_u32().ok_or(JsonError::Value)).transpose()?,
            execution_number: number.map(|number| number.as_u64().ok_or(JsonError::Value)).transpose()?,
            details: match details {
                Some(value) if value.members().is_none() => return Err(JsonError::Value),
                value => Details(value),
            },
            document,
        }))
    }

    /// `statusDetails.self_test`: that it is there says that the job is in self test.
    pub fn self_test(&self) -> Option<Text<'a>> {
        self.details.get("self_test")
    }

    /// `statusDetails.updatedBy`: word of the version that did the download.
    pub fn updated_by(&self) -> Option<u32> {
        parse_c_number(self.details.get("updatedBy")?.raw())
    }

    /// `jobDocument`, looked into when it is asked for.
    #[inline(never)]
    pub fn document(&self) -> Document<'a> {
        Document::parse(self.document)
    }
}

/// A string as it stands in the message. For what is compared with words that hold no backslash.
fn plain(value: Value<'_>) -> Option<&str> {
    value.as_text().map(|text| text.raw())
}

/// A number as C's `strtoul` with base 0 reads it: `0x` hexadecimal, `0` octal, else decimal. The C agents write `updatedBy`
/// as `0x90002` or `0x00090002` and read any of the three. Unlike `strtoul` this takes no sign and nothing behind the number.
fn parse_c_number(text: &str) -> Option<u32> {
    let text = text.trim_ascii();
    let (digits, radix) = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        (digits, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        (text, 8)
    } else {
        (text, 10)
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
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

    /// AWS' spelling; `Unknown` for [`RejectedCode::Unknown`], which AWS never sends.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidTopic => "InvalidTopic",
            Self::InvalidJson => "InvalidJson",
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidStateTransition => "InvalidStateTransition",
            Self::ResourceNotFound => "ResourceNotFound",
            Self::VersionMismatch => "VersionMismatch",
            Self::InternalError => "InternalError",
            Self::RequestThrottled => "RequestThrottled",
            Self::TerminalStateReached => "TerminalStateReached",
            Self::Unknown => "Unknown",
        }
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
    let answer = parse(message, "execution")?;
    match answer.execution {
        Some(Execution { job_id: "", .. }) => Err(JsonError::Missing),
        _ => Ok(answer),
    }
}

/// Reads an answer on `jobs/J/update/accepted`, whose state is there when it was asked for, or on any `…/rejected` topic of
/// Jobs, whose state comes with `InvalidStateTransition` and `VersionMismatch`.
///
/// # Errors
/// See [`JsonError`].
pub fn parse_update(message: &[u8]) -> Result<JobsAnswer<'_>, JsonError> {
    parse(message, "executionState")
}

/// Reads an answer that tells of an execution in the member of this name.
#[inline(never)]
fn parse<'a>(message: &'a [u8], execution: &str) -> Result<JobsAnswer<'a>, JsonError> {
    let [token, code, execution] = json::parse(message)?.fields(["clientToken", "code", execution])?;
    let code = code.and_then(plain);
    Ok(JobsAnswer {
        token: Token(token.map(|token| plain(token).ok_or(JsonError::Value)).transpose()?),
        code: RejectedCode::ALL
            .into_iter()
            .find(|known| Some(known.as_str()) == code)
            .unwrap_or(RejectedCode::Unknown),
        execution: Execution::parse(execution)?,
    })
}
