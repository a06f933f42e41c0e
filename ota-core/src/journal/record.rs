//! One journal record: what is remembered of an update, and its bytes on flash.

use crate::{
    bytes::{copy, is_all},
    wire::topic::is_id,
};

/// Bytes of an encoded record, without the padding to whole write units.
pub const RECORD_SIZE: u32 = 400;

/// [`RECORD_SIZE`] for arrays.
pub(super) const RECORD_LEN: usize = RECORD_SIZE as usize;

/// First bytes of every record.
const MAGIC: [u8; 4] = *b"OTAJ";

/// Version of the record format. A record of another version is not read: the update starts over.
const FORMAT: u8 = 1;

/// Most images whose intended hash is remembered.
pub const IMAGE_COUNT: usize = 3;

/// Most blocks beyond the front that can be remembered as held.
pub const WINDOW_BLOCKS: u32 = 256;

/// Where the fields lie, integers little-endian: SPEC.md, "Journal record".
mod at {
    pub(super) const MAGIC: usize = 0;
    pub(super) const FORMAT: usize = 4;
    /// Phase, flags, index of the file.
    pub(super) const PHASE: usize = 5;
    pub(super) const SEQUENCE: usize = 8;
    pub(super) const VERSION_NUMBER: usize = 12;
    pub(super) const EXECUTION_NUMBER: usize = 16;
    pub(super) const UPDATED_BY: usize = 24;
    pub(super) const BLOCK_SIZE: usize = 28;
    pub(super) const FRONT: usize = 32;
    pub(super) const DETAIL: usize = 36;
    /// Status, reason, first boots, length of the job id.
    pub(super) const STATUS: usize = 40;
    pub(super) const JOB_ID: usize = 44;
    pub(super) const JOB_DIGEST: usize = 172;
    pub(super) const WINDOW: usize = 204;
    pub(super) const INTENDED: usize = 236;
    pub(super) const REVERTED: usize = 332;
    pub(super) const REVERTED_JOB: usize = 364;
    /// The CRC-32C of everything before it.
    pub(super) const CRC: usize = 396;
}

/// Bits of the flags byte; the others are zero.
mod flag {
    pub(super) const STARTED: u8 = 1 << 0;
    pub(super) const HAS_VERSION_NUMBER: u8 = 1 << 1;
    pub(super) const BUNDLE: u8 = 1 << 2;
    pub(super) const ALL: u8 = STARTED | HAS_VERSION_NUMBER | BUNDLE;
}

/// How far an update has come. The numbers are on flash and never change their meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// No update; the record may still remember a reverted image or an owed status.
    #[default]
    Idle = 0,
    /// Blocks are being written into a secondary slot.
    Downloading = 1,
    /// Every file has been verified in this life of the device. After a restart: hash again.
    Verified = 2,
    /// The cloud has accepted that the update is ready to be activated.
    Ready = 3,
    /// The request to swap has been, or was about to be, written: from here on `intended` decides what happened.
    Pending = 4,
    /// The new image has booted and tests itself.
    Testing = 5,
    /// The new image is confirmed; its terminal status may be owed.
    Confirmed = 6,
    /// The update has ended; its terminal status may be owed.
    Ended = 7,
}

impl Phase {
    /// The phase with this number on flash.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Idle),
            1 => Some(Self::Downloading),
            2 => Some(Self::Verified),
            3 => Some(Self::Ready),
            4 => Some(Self::Pending),
            5 => Some(Self::Testing),
            6 => Some(Self::Confirmed),
            7 => Some(Self::Ended),
            8.. => None,
        }
    }

    /// The number on flash.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// An AWS job id, or none: at most 128 bytes of `[a-zA-Z0-9_-]` (AWS IoT API reference, `CreateJob`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JobId {
    bytes: [u8; JobId::MAX_LEN],
    len: u8,
}

impl JobId {
    /// Longest job id in bytes.
    pub const MAX_LEN: usize = 128;

    /// No job.
    pub const NONE: Self = Self { bytes: [0; Self::MAX_LEN], len: 0 };

    /// The job id `id`; the empty string is [`NONE`](Self::NONE). `None` when it is too long or holds a character that
    /// AWS does not allow.
    pub fn new(id: &str) -> Option<Self> {
        let mut bytes = [0; Self::MAX_LEN];
        if !id.is_empty() && !is_id(id) {
            return None;
        }
        copy(&mut bytes, id.as_bytes());
        Some(Self { bytes, len: u8::try_from(id.len()).ok()? })
    }

    /// The id; empty when there is none.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|id| core::str::from_utf8(id).ok()).unwrap_or("")
    }

    /// Is there no job?
    pub const fn is_none(&self) -> bool {
        self.len == 0
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::NONE
    }
}

impl core::fmt::Debug for JobId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "JobId({:?})", self.as_str())
    }
}

/// What is remembered of one update. Plain data: what it means is the agent's business, how it lies on flash is ours.
///
/// The default is "nothing": [`Phase::Idle`], no job, no image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// How far the update has come.
    pub phase: Phase,
    /// The job whose status is reported.
    pub job_id: JobId,
    /// The job execution's number, compared exactly: a retried execution is another one.
    pub execution_number: u64,
    /// Identity of the data: SHA-256 over sizes and signatures of all files of the job.
    pub job_digest: [u8; 32],
    /// The job execution's version number as last answered by the cloud, if known.
    pub version_number: Option<u32>,
    /// Is the job execution IN_PROGRESS at the cloud?
    pub started: bool,
    /// Version word of the firmware that does the download (`updatedBy` of the status details).
    pub updated_by: u32,
    /// Index of the file being downloaded; those before it are complete.
    pub file_index: u8,
    /// The file is a bundle: blocks count as held when the slots hold what of them belongs there.
    pub bundle: bool,
    /// Block size in bytes that `front` and `window` count in.
    pub block_size: u32,
    /// Blocks that flash holds without a gap from block 0.
    pub front: u32,
    /// Bit `k`, least significant bit of byte 0 first: block `front + k` is held.
    pub window: [u8; 32],
    /// MCUboot's hash of the image meant to boot, per image number; zeros: none.
    pub intended: [[u8; 32]; IMAGE_COUNT],
    /// MCUboot's hash of the last image that was reverted or failed; zeros: none.
    pub reverted: [u8; 32],
    /// `job_digest` of the job that image came with; zeros: none.
    pub reverted_job: [u8; 32],
    /// The terminal status owed to the cloud, by the agent's numbers; 0: none.
    pub status: u8,
    /// Reason of the owed status, by the agent's numbers.
    pub reason: u8,
    /// Number that goes with the reason.
    pub detail: u32,
    /// Resets spent on finding out whether an unconfirmed image is reverted.
    pub first_boots: u8,
}

impl Record {
    /// The job id; empty when there is none.
    pub fn job_id(&self) -> &str {
        self.job_id.as_str()
    }

    /// Does the record say that block `block` is held?
    pub fn is_held(&self, block: u32) -> bool {
        match block.checked_sub(self.front) {
            None => true,
            Some(beyond) => {
                self.window.get((beyond / 8) as usize).is_some_and(|byte| byte & (1 << (beyond % 8)) != 0)
            }
        }
    }

    /// The record's bytes with `sequence` as its number in the journal.
    pub fn encode(&self, sequence: u32) -> [u8; RECORD_SIZE as usize] {
        let mut bytes = [0; RECORD_LEN];
        self.write(sequence, &mut bytes);
        bytes
    }

    /// [`encode`](Self::encode) into the front of `bytes`.
    pub(super) fn write(&self, sequence: u32, bytes: &mut [u8]) {
        let Some(bytes) = bytes.first_chunk_mut() else { return };
        let started = if self.started { flag::STARTED } else { 0 };
        let has_version = if self.version_number.is_some() { flag::HAS_VERSION_NUMBER } else { 0 };
        let bundle = if self.bundle { flag::BUNDLE } else { 0 };
        put(bytes, at::MAGIC, &MAGIC);
        put(bytes, at::FORMAT, &[FORMAT]);
        put(bytes, at::PHASE, &[self.phase.number(), started | has_version | bundle, self.file_index]);
        put(bytes, at::SEQUENCE, &sequence.to_le_bytes());
        put(bytes, at::VERSION_NUMBER, &self.version_number.unwrap_or(0).to_le_bytes());
        put(bytes, at::EXECUTION_NUMBER, &self.execution_number.to_le_bytes());
        put(bytes, at::UPDATED_BY, &self.updated_by.to_le_bytes());
        put(bytes, at::BLOCK_SIZE, &self.block_size.to_le_bytes());
        put(bytes, at::FRONT, &self.front.to_le_bytes());
        put(bytes, at::DETAIL, &self.detail.to_le_bytes());
        put(bytes, at::STATUS, &[self.status, self.reason, self.first_boots, self.job_id.len]);
        put(bytes, at::JOB_ID, &self.job_id.bytes);
        put(bytes, at::JOB_DIGEST, &self.job_digest);
        put(bytes, at::WINDOW, &self.window);
        if let Some(intended) = self.intended.as_flattened().first_chunk::<{ IMAGE_COUNT * 32 }>() {
            put(bytes, at::INTENDED, intended);
        }
        put(bytes, at::REVERTED, &self.reverted);
        put(bytes, at::REVERTED_JOB, &self.reverted_job);
        if let Some(covered) = field::<{ at::CRC }>(bytes, 0) {
            let crc = crc32c(covered);
            put(bytes, at::CRC, &crc.to_le_bytes());
        }
    }

    /// The record in `bytes` and its sequence number; what follows the first [`RECORD_SIZE`] bytes is not looked at.
    ///
    /// `None` when it is torn, foreign, of another format version, or holds a value this version does not know.
    pub fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        let sequence = sequence_of(bytes)?;
        Self::read(bytes).map(|record| (record, sequence))
    }

    /// The record in `bytes`, of which [`sequence_of`] knows that it is one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk()?;
        let [phase, flags, file_index] = *field(bytes, at::PHASE)?;
        let version_number = word(bytes, at::VERSION_NUMBER)?;
        let mut record = Self {
            phase: Phase::from_number(phase)?,
            execution_number: u64::from_le_bytes(*field(bytes, at::EXECUTION_NUMBER)?),
            version_number: (flags & flag::HAS_VERSION_NUMBER != 0).then_some(version_number),
            started: flags & flag::STARTED != 0,
            updated_by: word(bytes, at::UPDATED_BY)?,
            file_index,
            bundle: flags & flag::BUNDLE != 0,
            block_size: word(bytes, at::BLOCK_SIZE)?,
            front: word(bytes, at::FRONT)?,
            detail: word(bytes, at::DETAIL)?,
            ..Self::default()
        };
        [record.status, record.reason, record.first_boots, record.job_id.len] = *field(bytes, at::STATUS)?;
        record.job_id.bytes = *field(bytes, at::JOB_ID)?;
        record.job_digest = *field(bytes, at::JOB_DIGEST)?;
        record.window = *field(bytes, at::WINDOW)?;
        copy(record.intended.as_flattened_mut(), field::<{ IMAGE_COUNT * 32 }>(bytes, at::INTENDED)?);
        record.reverted = *field(bytes, at::REVERTED)?;
        record.reverted_job = *field(bytes, at::REVERTED_JOB)?;
        Some(record)
    }
}

/// The sequence number of the record in `bytes`, when it is whole, of this format, and holds only what this version knows.
pub(super) fn sequence_of(bytes: &[u8]) -> Option<u32> {
    let bytes = bytes.first_chunk()?;
    let [phase, flags, _] = *field(bytes, at::PHASE)?;
    let [_, _, _, len] = *field(bytes, at::STATUS)?;
    let (id, behind) = field::<{ JobId::MAX_LEN }>(bytes, at::JOB_ID)?.split_at_checked(usize::from(len))?;
    let is_known = *field(bytes, at::MAGIC)? == MAGIC
        && *field(bytes, at::FORMAT)? == [FORMAT]
        && word(bytes, at::CRC)? == crc32c(field::<{ at::CRC }>(bytes, 0)?)
        && Phase::from_number(phase).is_some()
        && flags & !flag::ALL == 0
        && (id.is_empty() || core::str::from_utf8(id).is_ok_and(is_id))
        // Else two records of one job would differ.
        && is_all(behind, 0);
    if is_known { word(bytes, at::SEQUENCE) } else { None }
}

/// A record's bytes.
type Bytes = [u8; RECORD_LEN];

/// Puts a field at its place.
// Inlined, as the next one, so that places and lengths are known while compiling.
#[inline(always)]
fn put<const N: usize>(bytes: &mut Bytes, at: usize, field: &[u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = *field;
    }
}

/// The field at its place.
#[inline(always)]
fn field<const N: usize>(bytes: &Bytes, at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

#[inline(always)]
fn word(bytes: &Bytes, at: usize) -> Option<u32> {
    field(bytes, at).map(|bytes| u32::from_le_bytes(*bytes))
}

/// CRC-32C (Castagnoli, reflected, as in RFC 3720 appendix B.4) with a table of 16 words: 64 bytes of flash for half the
/// loops of the bitwise form.
fn crc32c(bytes: &[u8]) -> u32 {
    /// The reflected polynomial.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    const TABLE: [u32; 16] = {
        let mut table = [0u32; 16];
        let mut nibble = 0;
        while nibble < 16 {
            let mut crc = nibble as u32;
            let mut bit = 0;
            while bit < 4 {
                crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
                bit += 1;
            }
            table[nibble] = crc;
            nibble += 1;
        }
        table
    };
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..2 {
            crc = crc >> 4 ^ TABLE[(crc & 0xF) as usize];
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 appendix B.4, and the usual check value.
    #[test]
    fn crc32c_vectors() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn job_id_limits() {
        assert_eq!(JobId::new("").unwrap(), JobId::NONE);
        assert_eq!(JobId::new("AFR_OTA-a1").unwrap().as_str(), "AFR_OTA-a1");
        let text = [b'x'; 129];
        let text = core::str::from_utf8(&text).unwrap();
        assert_eq!(JobId::new(&text[..128]).unwrap().as_str(), &text[..128]);
        assert_eq!(JobId::new(text), None);
        for bad in ["a b", "a/b", "ä", "a\0", "$next"] {
            assert_eq!(JobId::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn phase_numbers_are_fixed() {
        let phases = [
            Phase::Idle,
            Phase::Downloading,
            Phase::Verified,
            Phase::Ready,
            Phase::Pending,
            Phase::Testing,
            Phase::Confirmed,
            Phase::Ended,
        ];
        for (phase, number) in phases.into_iter().zip(0..) {
            assert_eq!(phase.number(), number);
            assert_eq!(Phase::from_number(number), Some(phase));
        }
        assert_eq!(Phase::from_number(8), None);
        assert_eq!(Phase::from_number(255), None);
    }

    #[test]
    fn held_blocks() {
        let mut record = Record { front: 10, ..Record::default() };
        record.window[0] = 0b10;
        record.window[31] = 0x80;
        for (block, held) in
            [(0, true), (9, true), (10, false), (11, true), (12, false), (264, false), (265, true)]
        {
            assert_eq!(record.is_held(block), held, "block {block}");
        }
        assert!(!record.is_held(266) && !record.is_held(u32::MAX));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let bytes = Record::default().encode(7);
        assert_eq!(Record::decode(&bytes), Some((Record::default(), 7)));
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xFF] {
                let mut damaged = bytes;
                damaged[at] ^= change;
                assert_eq!(Record::decode(&damaged), None, "byte {at}");
            }
            assert_eq!(Record::decode(&bytes[..at]), None, "cut at {at}");
        }
    }

    /// A right CRC does not make unknown values known.
    #[test]
    fn unknown_values_are_refused() {
        for (at, value) in [
            (0, b'o'),
            (4, 0),
            (4, FORMAT + 1),
            (5, 8),
            (6, 0x08),
            (6, 0x80),
            (43, 1), // a zero byte is no character of a job id
            (43, 129),
            (43, 255),
            (44, b'x'), // behind an id of no length
            (171, 1),
        ] {
            let mut bytes = Record::default().encode(1);
            bytes[at] = value;
            let crc = crc32c(&bytes[..at::CRC]);
            bytes[at::CRC..].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(Record::decode(&bytes), None, "byte {at} = {value}");
        }
    }

    #[test]
    fn blank_flash_is_no_record() {
        assert_eq!(Record::decode(&[0x00; RECORD_LEN]), None);
        assert_eq!(Record::decode(&[0xFF; RECORD_LEN]), None);
        assert_eq!(Record::decode(&[]), None);
    }
}
