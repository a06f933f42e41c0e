//! One journal record: what is remembered of an update, and its bytes on flash.

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

/// Where everything lies in a record; integers are little-endian. See SPEC.md, "Journal record".
mod field {
    use core::ops::Range;

    pub(super) const MAGIC: Range<usize> = 0..4;
    pub(super) const FORMAT: usize = 4;
    pub(super) const PHASE: usize = 5;
    pub(super) const FLAGS: usize = 6;
    pub(super) const FILE_INDEX: usize = 7;
    pub(super) const SEQUENCE: Range<usize> = 8..12;
    pub(super) const VERSION_NUMBER: Range<usize> = 12..16;
    pub(super) const EXECUTION_NUMBER: Range<usize> = 16..24;
    pub(super) const UPDATED_BY: Range<usize> = 24..28;
    pub(super) const BLOCK_SIZE: Range<usize> = 28..32;
    pub(super) const FRONT: Range<usize> = 32..36;
    pub(super) const DETAIL: Range<usize> = 36..40;
    pub(super) const STATUS: usize = 40;
    pub(super) const REASON: usize = 41;
    pub(super) const FIRST_BOOTS: usize = 42;
    pub(super) const JOB_ID_LEN: usize = 43;
    pub(super) const JOB_ID: Range<usize> = 44..172;
    pub(super) const JOB_DIGEST: Range<usize> = 172..204;
    pub(super) const WINDOW: Range<usize> = 204..236;
    pub(super) const INTENDED: [Range<usize>; super::IMAGE_COUNT] = [236..268, 268..300, 300..332];
    pub(super) const REVERTED: Range<usize> = 332..364;
    pub(super) const REVERTED_JOB: Range<usize> = 364..396;
    pub(super) const CRC: Range<usize> = 396..400;
    /// What the CRC covers: everything before it.
    pub(super) const COVERED: Range<usize> = 0..396;
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
        Self::from_bytes(id.as_bytes())
    }

    /// The id; empty when there is none.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|id| core::str::from_utf8(id).ok()).unwrap_or("")
    }

    /// Is there no job?
    pub const fn is_none(&self) -> bool {
        self.len == 0
    }

    fn from_bytes(id: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let mut bytes = [0; Self::MAX_LEN];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        let len = u8::try_from(id.len()).ok()?;
        id.iter().all(allowed).then_some(Self { bytes, len })
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
        let started = if self.started { flag::STARTED } else { 0 };
        let has_version = if self.version_number.is_some() { flag::HAS_VERSION_NUMBER } else { 0 };
        bytes[field::MAGIC].copy_from_slice(&MAGIC);
        bytes[field::FORMAT] = FORMAT;
        bytes[field::PHASE] = self.phase.number();
        let bundle = if self.bundle { flag::BUNDLE } else { 0 };
        bytes[field::FLAGS] = started | has_version | bundle;
        bytes[field::FILE_INDEX] = self.file_index;
        bytes[field::SEQUENCE].copy_from_slice(&sequence.to_le_bytes());
        bytes[field::VERSION_NUMBER].copy_from_slice(&self.version_number.unwrap_or(0).to_le_bytes());
        bytes[field::EXECUTION_NUMBER].copy_from_slice(&self.execution_number.to_le_bytes());
        bytes[field::UPDATED_BY].copy_from_slice(&self.updated_by.to_le_bytes());
        bytes[field::BLOCK_SIZE].copy_from_slice(&self.block_size.to_le_bytes());
        bytes[field::FRONT].copy_from_slice(&self.front.to_le_bytes());
        bytes[field::DETAIL].copy_from_slice(&self.detail.to_le_bytes());
        bytes[field::STATUS] = self.status;
        bytes[field::REASON] = self.reason;
        bytes[field::FIRST_BOOTS] = self.first_boots;
        bytes[field::JOB_ID_LEN] = self.job_id.len;
        bytes[field::JOB_ID].copy_from_slice(&self.job_id.bytes);
        bytes[field::JOB_DIGEST].copy_from_slice(&self.job_digest);
        bytes[field::WINDOW].copy_from_slice(&self.window);
        for (place, hash) in field::INTENDED.into_iter().zip(&self.intended) {
            bytes[place].copy_from_slice(hash);
        }
        bytes[field::REVERTED].copy_from_slice(&self.reverted);
        bytes[field::REVERTED_JOB].copy_from_slice(&self.reverted_job);
        let crc = crc32c(&bytes[field::COVERED]);
        bytes[field::CRC].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The record in `bytes` and its sequence number; what follows the first [`RECORD_SIZE`] bytes is not looked at.
    ///
    /// `None` when it is torn, foreign, of another format version, or holds a value this version does not know.
    pub fn decode(bytes: &[u8]) -> Option<(Self, u32)> {
        let bytes: &[u8; RECORD_LEN] = bytes.first_chunk()?;
        let known = bytes[field::MAGIC] == MAGIC
            && bytes[field::FORMAT] == FORMAT
            && u32_at(bytes, field::CRC)? == crc32c(&bytes[field::COVERED]);
        if !known {
            return None;
        }
        let flags = bytes[field::FLAGS];
        if flags & !flag::ALL != 0 {
            return None;
        }
        let version_number = u32_at(bytes, field::VERSION_NUMBER)?;
        let mut intended = [[0; 32]; IMAGE_COUNT];
        for (hash, place) in intended.iter_mut().zip(field::INTENDED) {
            *hash = hash_at(bytes, place)?;
        }
        let record = Self {
            phase: Phase::from_number(bytes[field::PHASE])?,
            job_id: JobId::from_bytes(bytes[field::JOB_ID].get(..usize::from(bytes[field::JOB_ID_LEN]))?)?,
            execution_number: u64::from_le_bytes(*bytes[field::EXECUTION_NUMBER].first_chunk()?),
            job_digest: hash_at(bytes, field::JOB_DIGEST)?,
            version_number: (flags & flag::HAS_VERSION_NUMBER != 0).then_some(version_number),
            started: flags & flag::STARTED != 0,
            bundle: flags & flag::BUNDLE != 0,
            updated_by: u32_at(bytes, field::UPDATED_BY)?,
            file_index: bytes[field::FILE_INDEX],
            block_size: u32_at(bytes, field::BLOCK_SIZE)?,
            front: u32_at(bytes, field::FRONT)?,
            window: hash_at(bytes, field::WINDOW)?,
            intended,
            reverted: hash_at(bytes, field::REVERTED)?,
            reverted_job: hash_at(bytes, field::REVERTED_JOB)?,
            status: bytes[field::STATUS],
            reason: bytes[field::REASON],
            detail: u32_at(bytes, field::DETAIL)?,
            first_boots: bytes[field::FIRST_BOOTS],
        };
        Some((record, u32_at(bytes, field::SEQUENCE)?))
    }
}

fn u32_at(bytes: &[u8; RECORD_LEN], place: core::ops::Range<usize>) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes[place].first_chunk()?))
}

fn hash_at(bytes: &[u8; RECORD_LEN], place: core::ops::Range<usize>) -> Option<[u8; 32]> {
    bytes[place].first_chunk().copied()
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
        crc = crc >> 4 ^ TABLE[(crc & 0xF) as usize];
        crc = crc >> 4 ^ TABLE[(crc & 0xF) as usize];
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
            (field::FORMAT, 0),
            (field::FORMAT, FORMAT + 1),
            (field::PHASE, 8),
            (field::FLAGS, 0x04),
            (field::FLAGS, 0x80),
            (field::JOB_ID_LEN, 1), // a zero byte is no character of a job id
            (field::JOB_ID_LEN, 129),
            (field::JOB_ID_LEN, 255),
        ] {
            let mut bytes = Record::default().encode(1);
            bytes[at] = value;
            let crc = crc32c(&bytes[field::COVERED]);
            bytes[field::CRC].copy_from_slice(&crc.to_le_bytes());
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
