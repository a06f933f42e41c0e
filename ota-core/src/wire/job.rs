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
    fn parse(value: Option<Value<'a>>) -> Result<Self, JsonError> {
        match value {
            Some(value) if value.members().is_none() => Err(JsonError::Value),
            value => Ok(Self(value)),
        }
    }

    /// The first detail of this name, if its value is a string.
    pub fn get(&self, name: &str) -> Option<Text<'a>> {
        let (_, value) = self.0?.members()?.find(|(found, _)| found.is(name))?;
        value.as_text()
    }
}

/// A job execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution<'a> {
    /// `jobId`: 1 to 128 characters of `[a-zA-Z0-9_-]`.
    pub job_id: &'a str,
    /// `status` as the service has stored it.
    pub status: JobStatus,
    /// `versionNumber`: counts accepted updates.
    pub version_number: Option<u32>,
    /// `executionNumber`: counts the times this job was given to this thing.
    pub execution_number: Option<u64>,
    /// `statusDetails.self_test`: that it is there says that the job is in self test.
    pub self_test: Option<&'a str>,
    /// `statusDetails.updatedBy`: word of the version that did the download.
    pub updated_by: Option<u32>,
    /// `statusDetails`.
    pub details: Details<'a>,
    /// `jobDocument`.
    pub document: Document<'a>,
}

impl<'a> Execution<'a> {
    fn parse(execution: Value<'a>) -> Result<Self, JsonError> {
        let [job_id, status, version, number, details, document] = execution.fields([
            "jobId",
            "status",
            "versionNumber",
            "executionNumber",
            "statusDetails",
            "jobDocument",
        ])?;
        let job_id = job_id.ok_or(JsonError::Missing)?.as_plain();
        let details = Details::parse(details)?;
        Ok(Self {
            job_id: job_id.filter(|id| topic::is_id(id)).ok_or(JsonError::Value)?,
            status: parse_status(status.ok_or(JsonError::Missing)?)?,
            version_number: parse_version_number(version)?,
            execution_number: match number {
                Some(number) => Some(number.as_u64().ok_or(JsonError::Value)?),
                None => None,
            },
            self_test: details.get("self_test").map(|text| text.raw()),
            updated_by: details.get("updatedBy").and_then(|text| parse_c_number(text.as_plain()?)),
            details,
            document: Document::parse(document),
        })
    }
}

fn parse_status(value: Value<'_>) -> Result<JobStatus, JsonError> {
    value.as_plain().and_then(JobStatus::parse).ok_or(JsonError::Value)
}

fn parse_version_number(value: Option<Value<'_>>) -> Result<Option<u32>, JsonError> {
    match value {
        Some(value) => value.as_u32().ok_or(JsonError::Value).map(Some),
        None => Ok(None),
    }
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

/// What a request for a job execution was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DescribeAnswer<'a> {
    /// Nothing is pending.
    NoJob,
    /// This execution.
    Job(Execution<'a>),
}

impl<'a> DescribeAnswer<'a> {
    /// AWS leaves `execution` out when there is none; an empty object is documented for `notify-next`.
    fn parse(execution: Option<Value<'a>>) -> Result<Self, JsonError> {
        let Some(execution) = execution else { return Ok(Self::NoJob) };
        if execution.members().ok_or(JsonError::Value)?.next().is_none() {
            return Ok(Self::NoJob);
        }
        Execution::parse(execution).map(Self::Job)
    }
}

/// `executionState` of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionState<'a> {
    /// `status` as the service has stored it.
    pub status: JobStatus,
    /// `versionNumber`.
    pub version_number: Option<u32>,
    /// `statusDetails.self_test`.
    pub self_test: Option<&'a str>,
    /// `statusDetails.reason`.
    pub reason: Option<Text<'a>>,
    /// `statusDetails`.
    pub details: Details<'a>,
}

impl<'a> ExecutionState<'a> {
    /// Absent and empty both mean that the answer tells no state.
    fn parse(state: Option<Value<'a>>) -> Result<Option<Self>, JsonError> {
        let Some(state) = state else { return Ok(None) };
        let [status, version, details] = state.fields(["status", "versionNumber", "statusDetails"])?;
        let Some(status) = status else { return Ok(None) };
        let details = Details::parse(details)?;
        Ok(Some(Self {
            status: parse_status(status)?,
            version_number: parse_version_number(version)?,
            self_test: details.get("self_test").map(|text| text.raw()),
            reason: details.get("reason"),
            details,
        }))
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

/// A rejected request to Jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected<'a> {
    /// The token of the request.
    pub token: Token<'a>,
    /// Why.
    pub code: RejectedCode,
    /// The stored state; comes with `InvalidStateTransition` and `VersionMismatch`.
    pub state: Option<ExecutionState<'a>>,
}

fn parse_token(value: Option<Value<'_>>) -> Result<Token<'_>, JsonError> {
    match value {
        Some(value) => Ok(Token(Some(value.as_text().ok_or(JsonError::Value)?.raw()))),
        None => Ok(Token(None)),
    }
}

/// Reads an answer on `jobs/$next/get/accepted` or `jobs/J/get/accepted`.
///
/// # Errors
/// See [`JsonError`]. A job document that cannot be used is no error but [`Document::Malformed`], so that it can be reported
/// for its job.
pub fn parse_describe(message: &[u8]) -> Result<(Token<'_>, DescribeAnswer<'_>), JsonError> {
    let [token, execution] = json::parse(message)?.fields(["clientToken", "execution"])?;
    Ok((parse_token(token)?, DescribeAnswer::parse(execution)?))
}

/// Reads a push on `jobs/notify-next`.
///
/// # Errors
/// As [`parse_describe`].
pub fn parse_notify_next(message: &[u8]) -> Result<DescribeAnswer<'_>, JsonError> {
    let [execution] = json::parse(message)?.fields(["execution"])?;
    DescribeAnswer::parse(execution)
}

/// Reads an answer on `jobs/J/update/accepted`; the state is there when it was asked for.
///
/// # Errors
/// See [`JsonError`].
pub fn parse_update_accepted(message: &[u8]) -> Result<(Token<'_>, Option<ExecutionState<'_>>), JsonError> {
    let [token, state] = json::parse(message)?.fields(["clientToken", "executionState"])?;
    Ok((parse_token(token)?, ExecutionState::parse(state)?))
}

/// Reads an answer on any `…/rejected` topic of Jobs.
///
/// # Errors
/// See [`JsonError`].
pub fn parse_rejected(message: &[u8]) -> Result<Rejected<'_>, JsonError> {
    let [token, code, state] = json::parse(message)?.fields(["clientToken", "code", "executionState"])?;
    let code = code.and_then(|code| code.as_plain());
    Ok(Rejected {
        token: parse_token(token)?,
        code: RejectedCode::ALL
            .into_iter()
            .find(|known| Some(known.as_str()) == code)
            .unwrap_or(RejectedCode::Unknown),
        state: ExecutionState::parse(state)?,
    })
}
