//! The library's journal in a flash dump, in words.

use std::fmt;

use ota_core::agent;
use ota_core::journal::{Phase, RECORD_SIZE, Record};
use ota_core::status::Reason;
use ota_core::version::Version;
use serde::Serialize;

use super::image::hex;

/// First bytes of every record (SPEC.md, "Journal record").
const MAGIC: &[u8] = b"OTAJ";

/// The records found, and the newest one decoded.
#[derive(Debug, Serialize)]
pub(super) struct Journal {
    /// Whole records.
    record_count: usize,
    /// Places that start like a record and are none: torn, or of another format version.
    damaged_count: usize,
    /// Offset of the newest record in the file.
    at: usize,
    sequence: u32,
    phase: u8,
    phase_words: &'static str,
    job_id: String,
    execution_number: u64,
    version_number: Option<u32>,
    in_progress: bool,
    updated_by: String,
    file_index: u8,
    block_size: u32,
    /// Blocks held without a gap from block 0.
    front: u32,
    /// Blocks held beyond the first missing one.
    beyond: u32,
    owed_status: String,
    reason: Option<&'static str>,
    /// Of the reason of an owed status.
    detail: Option<u32>,
    /// Where no status is owed.
    wear: Option<Wear>,
    first_boots: u8,
    /// The file being downloaded is a TAR bundle.
    bundle: bool,
    job_digest: Option<String>,
    intended: Vec<Option<String>>,
    reverted: Option<String>,
    reverted_job: Option<String>,
}

/// [`agent::Wear`] as it is shown.
#[derive(Debug, Serialize)]
struct Wear {
    points: u32,
    most_blocks: u32,
    file_index: u32,
    reverted_before: bool,
}

impl From<agent::Wear> for Wear {
    fn from(wear: agent::Wear) -> Self {
        let agent::Wear { points, most_blocks, file_index, reverted_before } = wear;
        Self { points, most_blocks, file_index, reverted_before }
    }
}

impl Journal {
    /// Looks for records wherever they may lie, so that neither sector nor write size need to be known. `None` when there
    /// is not one whole record.
    pub(super) fn find(bytes: &[u8]) -> Option<Self> {
        let (mut record_count, mut damaged_count, mut at) = (0, 0, 0);
        let mut newest: Option<(Record, u32, usize)> = None;
        while let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(4).position(|w| w == MAGIC)) {
            let place = at + found;
            at = place + MAGIC.len();
            let Some((record, sequence)) = Record::decode(&bytes[place..]) else {
                damaged_count += 1;
                continue;
            };
            record_count += 1;
            at = place + RECORD_SIZE as usize;
            if newest.as_ref().is_none_or(|(_, other, _)| is_newer(sequence, *other)) {
                newest = Some((record, sequence, place));
            }
        }
        let (record, sequence, at) = newest?;
        let wear = agent::Wear::of(&record);
        Some(Self {
            record_count,
            damaged_count,
            at,
            sequence,
            phase: record.phase().number(),
            phase_words: phase_words(record.phase()),
            job_id: record.job_id().into(),
            execution_number: record.execution_number(),
            version_number: record.version_number(),
            in_progress: record.started(),
            updated_by: Version::from_word(record.updated_by()).to_string(),
            file_index: record.file_index(),
            block_size: record.block_size(),
            bundle: record.bundle(),
            front: record.front(),
            beyond: record.window().iter().map(|byte| byte.count_ones()).sum(),
            owed_status: owed_status(record.status()),
            reason: Reason::from_number(record.reason()).map(Reason::spelling),
            detail: wear.is_none().then(|| record.detail()),
            wear: wear.map(Wear::from),
            first_boots: record.first_boots(),
            job_digest: hash(record.job_digest()),
            intended: record.intended().iter().map(hash).collect(),
            reverted: hash(record.reverted()),
            reverted_job: hash(record.reverted_job()),
        })
    }
}

/// The journal's order: serial number arithmetic (RFC 1982).
fn is_newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

/// Zeros stand for none.
fn hash(bytes: &[u8; 32]) -> Option<String> {
    (*bytes != [0; 32]).then(|| hex(bytes))
}

const fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "no update under way",
        Phase::Downloading => "downloading",
        Phase::Verified => "downloaded and verified",
        Phase::Ready => "the cloud has accepted that it is ready to be activated",
        Phase::Pending => "the bootloader was asked to install it",
        Phase::Testing => "the new image has booted and tests itself",
        Phase::Confirmed => "the new image is confirmed",
        Phase::Ended => "ended; its status may be owed",
    }
}

/// The agent's numbers of a terminal status (SPEC.md, "Journal record").
fn owed_status(number: u8) -> String {
    match number {
        0 => "none".into(),
        1 => "FAILED".into(),
        2 => "REJECTED".into(),
        3.. => format!("unknown ({number})"),
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "none".to_owned();
        let known = |hash: &Option<String>| hash.clone().unwrap_or_else(none);
        writeln!(f, "Journal, {} records, {} damaged", self.record_count, self.damaged_count)?;
        writeln!(f, "  newest        number {} at {:#x}", self.sequence, self.at)?;
        writeln!(f, "  phase         {} ({})", self.phase, self.phase_words)?;
        if self.job_id.is_empty() {
            writeln!(f, "  job           none")?;
        } else {
            writeln!(f, "  job           {}, execution {}", self.job_id, self.execution_number)?;
            let version = self.version_number.map_or_else(|| "not known".into(), |number| number.to_string());
            let status = if self.in_progress { "IN_PROGRESS" } else { "not started" };
            writeln!(f, "  in the cloud  {status}, version number {version}")?;
            writeln!(f, "  downloaded by {}", self.updated_by)?;
        }
        writeln!(
            f,
            "  progress      {}: {} blocks of {} bytes from the start, {} beyond",
            if self.bundle { "bundle".into() } else { format!("file {}", self.file_index) },
            self.front,
            self.block_size,
            self.beyond
        )?;
        writeln!(f, "  owed status   {}", self.owed_status)?;
        if let Some(detail) = self.detail {
            writeln!(f, "  reason        {}, detail {detail}", self.reason.unwrap_or("none"))?;
        }
        if let Some(Wear { points, most_blocks, file_index, reverted_before }) = self.wear {
            writeln!(
                f,
                "  wear          {points} points since {most_blocks} blocks of file {file_index} were held"
            )?;
            if reverted_before {
                writeln!(f, "  before        the primary showed a revert already")?;
            }
        }
        writeln!(f, "  first boots   {}", self.first_boots)?;
        writeln!(f, "  data identity {}", known(&self.job_digest))?;
        for (image, intended) in self.intended.iter().enumerate().filter(|(_, hash)| hash.is_some()) {
            writeln!(f, "  meant to boot image {image}: {}", known(intended))?;
        }
        writeln!(f, "  reverted      {}", known(&self.reverted))?;
        writeln!(f, "  its data      {}", known(&self.reverted_job))
    }
}
