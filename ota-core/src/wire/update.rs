//! Requests to AWS IoT Jobs: describe and update.
//!
//! Source: AWS IoT developer guide, "Jobs device MQTT API operations", DescribeJobExecution and UpdateJobExecution; limits from
//! "AWS IoT Jobs limits".

use super::{
    job::JobStatus,
    topic::is_name,
    writer::{EncodeError, Writer, checked_token},
};

/// Most pairs of status details.
pub const MAX_DETAILS: usize = 10;
/// Longest value of a status detail, characters. A longer one is cut.
pub const MAX_DETAIL_SIZE: usize = 128;
/// Stands for a character AWS would refuse in a value.
const REPLACEMENT: u8 = b'?';
/// Stands for an empty value, which AWS refuses.
const EMPTY: u8 = b'-';

/// An update of a job execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update<'a> {
    /// New status: `InProgress`, `Succeeded`, `Failed` or `Rejected`.
    pub status: JobStatus,
    /// Names and values, at most [`MAX_DETAILS`]. They replace the stored ones, so each update carries all of them; none at all
    /// leaves the stored ones alone.
    ///
    /// Values are made acceptable: cut after [`MAX_DETAIL_SIZE`] characters, `?` for each character that is not printable
    /// ASCII, `-` for nothing.
    pub details: &'a [(&'a str, &'a str)],
    /// The update is refused unless this is the stored version number.
    pub expected_version: Option<u32>,
    /// Which execution of the job; the current one if left out.
    pub execution_number: Option<u64>,
    /// Ask for the stored state in the answer.
    pub include_state: bool,
    /// Client token of 1 to 64 bytes; the answer echoes it.
    pub token: Option<&'a str>,
}

/// Writes the body of `jobs/$next/get` and `jobs/J/get`; returns the bytes written.
///
/// # Errors
/// [`EncodeError::Token`], [`EncodeError::BufferTooSmall`].
pub fn encode_describe(
    buf: &mut [u8],
    token: &str,
    include_document: bool,
    execution_number: Option<u64>,
) -> Result<usize, EncodeError> {
    let mut writer = Writer::new(buf);
    writer.byte(b'{');
    writer.json_text("clientToken", checked_token(token)?);
    if !include_document {
        // The service includes it unless told otherwise.
        writer.json_name("includeJobDocument");
        writer.str("false");
    }
    if let Some(number) = execution_number {
        writer.json_number("executionNumber", number);
    }
    writer.byte(b'}');
    writer.finish()
}

/// Writes the body of `jobs/J/update`; returns the bytes written.
///
/// Without token, version, execution number and state these are the bytes AWS' C agents send.
///
/// # Errors
/// [`EncodeError::Status`], [`EncodeError::TooManyDetails`], [`EncodeError::DetailName`], [`EncodeError::Token`],
/// [`EncodeError::BufferTooSmall`].
pub fn encode_update(buf: &mut [u8], update: &Update<'_>) -> Result<usize, EncodeError> {
    match update.status {
        JobStatus::InProgress | JobStatus::Failed | JobStatus::Succeeded | JobStatus::Rejected => {}
        JobStatus::Queued | JobStatus::Canceled | JobStatus::TimedOut | JobStatus::Removed => {
            return Err(EncodeError::Status);
        }
    }
    if update.details.len() > MAX_DETAILS {
        return Err(EncodeError::TooManyDetails);
    }
    let mut writer = Writer::new(buf);
    writer.byte(b'{');
    writer.json_text("status", update.status.as_str());
    if !update.details.is_empty() {
        writer.json_name("statusDetails");
        writer.byte(b'{');
        for (name, value) in update.details {
            if !is_name(name) {
                return Err(EncodeError::DetailName);
            }
            writer.json_name(name);
            write_detail(&mut writer, value);
        }
        writer.byte(b'}');
    }
    if let Some(version) = update.expected_version {
        writer.json_number("expectedVersion", version.into());
    }
    if let Some(number) = update.execution_number {
        writer.json_number("executionNumber", number);
    }
    if update.include_state {
        writer.json_name("includeJobExecutionState");
        writer.str("true");
    }
    if let Some(token) = update.token {
        writer.json_text("clientToken", checked_token(token)?);
    }
    writer.byte(b'}');
    writer.finish()
}

/// Writes the value of a detail, made acceptable.
pub(crate) fn write_detail(writer: &mut Writer<'_>, value: &str) {
    writer.byte(b'"');
    if value.is_empty() {
        writer.byte(EMPTY);
    }
    // The first byte of each character stands for it; those that follow are 0b10xx_xxxx.
    for byte in value.bytes().filter(|byte| byte >> 6 != 0b10).take(MAX_DETAIL_SIZE) {
        if matches!(byte, b'"' | b'\\') {
            writer.byte(b'\\');
        }
        writer.byte(if matches!(byte, b' '..=b'~') { byte } else { REPLACEMENT });
    }
    writer.byte(b'"');
}
