//! stub
use super::{
    document::Document,
    json::{JsonError, Text, Value},
};
/// State of a job execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum JobStatus {
    Queued,
    InProgress,
    Failed,
    Succeeded,
    Canceled,
    TimedOut,
    Rejected,
    Removed,
}
impl JobStatus {
    /// No update is accepted any more.
    pub const fn is_terminal(self) -> bool {
        false
    }
    /// AWS' spelling.
    pub const fn as_str(self) -> &'static str {
        ""
    }
    /// From AWS' spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let _ = text;
        None
    }
}
/// The client token an answer echoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token<'a>(pub Option<&'a str>);
impl Token<'_> {
    /// The answer echoes exactly `token`.
    pub fn matches(&self, token: &str) -> bool {
        self.0 == Some(token)
    }
}
/// `statusDetails`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Details<'a>(Option<Value<'a>>);
impl<'a> Details<'a> {
    /// The value of a detail, if it is there and a string.
    pub fn get(&self, name: &str) -> Option<Text<'a>> {
        let _ = (self.0, name);
        None
    }
}
/// A job execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution<'a> {
    /// 1..=128 characters of `[a-zA-Z0-9_-]`.
    pub job_id: &'a str,
    /// Stored status.
    pub status: JobStatus,
    /// `versionNumber`
    pub version_number: Option<u32>,
    /// `executionNumber`
    pub execution_number: Option<u64>,
    /// `statusDetails.self_test`: its presence means the job is in self test.
    pub self_test: Option<&'a str>,
    /// `statusDetails.updatedBy`
    pub updated_by: Option<u32>,
    /// All status details.
    pub details: Details<'a>,
    /// The job document.
    pub document: Document<'a>,
}
/// What a describe was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)]
pub enum DescribeAnswer<'a> {
    /// Nothing is pending.
    NoJob,
    /// A job execution.
    Job(Execution<'a>),
}
/// `executionState` of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutionState<'a> {
    /// Stored status.
    pub status: JobStatus,
    /// `versionNumber`
    pub version_number: Option<u32>,
    /// `statusDetails.self_test`
    pub self_test: Option<&'a str>,
    /// `statusDetails.reason`
    pub reason: Option<Text<'a>>,
    /// All status details.
    pub details: Details<'a>,
}
/// `code` of a rejected request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RejectedCode {
    InvalidTopic,
    InvalidJson,
    InvalidRequest,
    InvalidStateTransition,
    ResourceNotFound,
    VersionMismatch,
    InternalError,
    RequestThrottled,
    TerminalStateReached,
    Unknown,
}
/// A rejected request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected<'a> {
    /// Echo.
    pub token: Token<'a>,
    /// Why.
    pub code: RejectedCode,
    /// The stored state, with `InvalidStateTransition` and `VersionMismatch`.
    pub state: Option<ExecutionState<'a>>,
}
/// Answer on `$next/get/accepted` and `J/get/accepted`.
pub fn parse_describe(message: &[u8]) -> Result<(Token<'_>, DescribeAnswer<'_>), JsonError> {
    let _ = message;
    Err(JsonError::Syntax)
}
/// Push on `notify-next`.
pub fn parse_notify_next(message: &[u8]) -> Result<DescribeAnswer<'_>, JsonError> {
    let _ = message;
    Err(JsonError::Syntax)
}
/// Answer on `J/update/accepted`.
pub fn parse_update_accepted(message: &[u8]) -> Result<(Token<'_>, Option<ExecutionState<'_>>), JsonError> {
    let _ = message;
    Err(JsonError::Syntax)
}
/// Answer on `…/rejected` of Jobs.
pub fn parse_rejected(message: &[u8]) -> Result<Rejected<'_>, JsonError> {
    let _ = message;
    Err(JsonError::Syntax)
}
