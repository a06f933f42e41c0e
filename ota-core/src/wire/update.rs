//! stub
use super::{job::JobStatus, writer::EncodeError};
/// An update of a job execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update<'a> {
    /// InProgress, Succeeded, Failed or Rejected.
    pub status: JobStatus,
    /// At most 10 pairs; empty: the stored details stay as they are.
    pub details: &'a [(&'a str, &'a str)],
    /// Refused by the service unless the stored version is this one.
    pub expected_version: Option<u32>,
    /// Which execution of the job.
    pub execution_number: Option<u64>,
    /// Ask for `executionState` in the answer.
    pub include_state: bool,
    /// Client token, 1..=64 bytes.
    pub token: Option<&'a str>,
}
/// Body of `$next/get` and `J/get`. Returns bytes written.
pub fn encode_describe(
    buf: &mut [u8],
    token: &str,
    include_document: bool,
    execution_number: Option<u64>,
) -> Result<usize, EncodeError> {
    let _ = (buf, token, include_document, execution_number);
    Err(EncodeError::BufferTooSmall)
}
/// Body of `J/update`. Returns bytes written.
pub fn encode_update(buf: &mut [u8], update: &Update<'_>) -> Result<usize, EncodeError> {
    let _ = (buf, update);
    Err(EncodeError::BufferTooSmall)
}
