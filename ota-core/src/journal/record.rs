//! One journal record: what is remembered of an update, and its bytes on flash.

use core::fmt;

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

/// Where the fields lie that are no plain numbers and hashes, or are looked at before the record is one; integers
/// little-endian: SPEC.md, "Journal record".
mod at {
    pub(super) const FORMAT: usize = 4;
    pub(super) const PHASE: usize = 5;
    pub(super) const FLAGS: usize = 6;
    pub(super) const SEQUENCE: usize = 8;
    pub(super) const VERSION_NUMBER: usize = 12;
    pub(super) const ID_LEN: usize = 43;
    pub(super) const JOB_ID: usize = 44;
    pub(super) const INTENDED: usize = 236;
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

/// What is remembered of one update: the bytes on flash, without number and CRC. What they mean is the agent's business, where
/// they lie is ours.
///
/// The default is "nothing": [`Phase::Idle`], no job, no image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record {
    bytes: Bytes,
}

/// A record's bytes.
type Bytes = [u8; RECORD_LEN];

impl Default for Record {
    fn default() -> Self {
        let mut bytes = [0; RECORD_LEN];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, at::FORMAT, &[FORMAT]);
        Self { bytes }
    }
}

/// Reads and sets fields that are integers.
macro_rules! numbers {
    ($($(#[$doc:meta])* $at:literal: $name:ident, $set:ident, $type:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> $type {
            $type::from_le_bytes(*field(&self.bytes, $at))
        }

        #[doc = concat!("Sets what [`", stringify!($name), "`](Self::", stringify!($name), ") says.")]
        pub fn $set(&mut self, value: $type) -> &mut Self {
            put(&mut self.bytes, $at, &value.to_le_bytes());
            self
        }
    )*};
}

/// Reads and sets fields of 32 bytes.
macro_rules! hashes {
    ($($(#[$doc:meta])* $at:literal: $name:ident, $set:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self) -> &[u8; 32] {
            field(&self.bytes, $at)
        }

        #[doc = concat!("Sets what [`", stringify!($name), "`](Self::", stringify!($name), ") says.")]
        pub fn $set(&mut self, value: &[u8; 32]) -> &mut Self {
            put(&mut self.bytes, $at, value);
            self
        }
    )*};
}

impl Record {
    /// Longest job id in bytes.
    pub const MAX_ID_LEN: usize = 128;

    numbers! {
        /// Index of the file being downloaded; those before it are complete.
        7: file_index, set_file_index, u8;
        /// The job execution's number, compared exactly: a retried execution is another one.
        16: execution_number, set_execution_number, u64;
        /// Version word of the firmware that does the download (`updatedBy` of the status details).
        24: updated_by, set_updated_by, u32;
        /// Block size in bytes that [`front`](Self::front) and [`window`](Self::window) count in.
        28: block_size, set_block_size, u32;
        /// Blocks that flash holds without a gap from block 0.
        32: front, set_front, u32;
        /// Number that goes with the reason of an owed status; else what the agent keeps of wear.
        36: detail, set_detail, u32;
        /// The terminal status owed to the cloud, by the agent's numbers; 0: none.
        40: status, set_status, u8;
        /// Reason of the owed status, by the agent's numbers.
        41: reason, set_reason, u8;
        /// Resets spent on finding out whether an unconfirmed image is reverted.
        42: first_boots, set_first_boots, u8;
    }

    hashes! {
        /// Identity of the data: SHA-256 over sizes and signatures of all files of the job.
        172: job_digest, set_job_digest;
        /// Bit `k`, least significant bit of byte 0 first: block `front + k` is held.
        204: window, set_window;
        /// MCUboot's hash of the last image that was reverted or failed; zeros: none.
        332: reverted, set_reverted;
        /// [`job_digest`](Self::job_digest) of the job that image came with; zeros: none.
        364: reverted_job, set_reverted_job;
    }

    /// How far the update has come.
    pub fn phase(&self) -> Phase {
        let [number] = *field(&self.bytes, at::PHASE);
        Phase::from_number(number).unwrap_or_default()
    }

    /// Sets what [`phase`](Self::phase) says.
    pub fn set_phase(&mut self, phase: Phase) -> &mut Self {
        put(&mut self.bytes, at::PHASE, &[phase.number()]);
        self
    }

    /// The job whose status is reported; empty when there is none.
    pub fn job_id(&self) -> &str {
        let [len] = *field(&self.bytes, at::ID_LEN);
        let id = self.bytes.get(at::JOB_ID..).and_then(|rest| rest.get(..usize::from(len)));
        id.and_then(|id| core::str::from_utf8(id).ok()).unwrap_or("")
    }

    /// Sets what [`job_id`](Self::job_id) says: at most 128 bytes of `[a-zA-Z0-9_-]` (AWS IoT API reference, `CreateJob`).
    /// Anything else is no job.
    pub fn set_job_id(&mut self, id: &str) -> &mut Self {
        let id = if is_id(id) { id } else { "" };
        put(&mut self.bytes, at::ID_LEN, &[id.len() as u8]);
        put(&mut self.bytes, at::JOB_ID, &[0; Self::MAX_ID_LEN]);
        copy(self.bytes.get_mut(at::JOB_ID..).unwrap_or_default(), id.as_bytes());
        self
    }

    /// The job execution's version number as last answered by the cloud, if known.
    pub fn version_number(&self) -> Option<u32> {
        self.flag(flag::HAS_VERSION_NUMBER)
            .then(|| u32::from_le_bytes(*field(&self.bytes, at::VERSION_NUMBER)))
    }

    /// Sets what [`version_number`](Self::version_number) says.
    pub fn set_version_number(&mut self, number: Option<u32>) -> &mut Self {
        put(&mut self.bytes, at::VERSION_NUMBER, &number.unwrap_or(0).to_le_bytes());
        self.set_flag(flag::HAS_VERSION_NUMBER, number.is_some())
    }

    /// Is the job execution IN_PROGRESS at the cloud?
    pub fn started(&self) -> bool {
        self.flag(flag::STARTED)
    }

    /// Sets what [`started`](Self::started) says.
    pub fn set_started(&mut self, started: bool) -> &mut Self {
        self.set_flag(flag::STARTED, started)
    }

    /// The file is a bundle: blocks count as held when the slots hold what of them belongs there.
    pub fn bundle(&self) -> bool {
        self.flag(flag::BUNDLE)
    }

    /// Sets what [`bundle`](Self::bundle) says.
    pub fn set_bundle(&mut self, bundle: bool) -> &mut Self {
        self.set_flag(flag::BUNDLE, bundle)
    }

    /// MCUboot's hash of the image meant to boot, per image number; zeros: none.
    pub fn intended(&self) -> &[[u8; 32]; IMAGE_COUNT] {
        let hashes: &[u8; IMAGE_COUNT * 32] = field(&self.bytes, at::INTENDED);
        hashes.as_chunks().0.first_chunk().unwrap_or(&[[0; 32]; IMAGE_COUNT])
    }

    /// Sets what [`intended`](Self::intended) says.
    pub fn set_intended(&mut self, hashes: &[[u8; 32]; IMAGE_COUNT]) -> &mut Self {
        copy(self.bytes.get_mut(at::INTENDED..).unwrap_or_default(), hashes.as_flattened());
        self
    }

    /// Does the record say that block `block` is held?
    pub fn is_held(&self, block: u32) -> bool {
        match block.checked_sub(self.front()) {
            None => true,
            Some(beyond) => {
                self.window().get((beyond / 8) as usize).is_some_and(|byte| byte & (1 << (beyond % 8)) != 0)
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
        *bytes = self.bytes;
        put(bytes, at::SEQUENCE, &sequence.to_le_bytes());
        let crc = crc_of(bytes);
        put(bytes, at::CRC, &crc.to_le_bytes());
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
        let mut bytes = *bytes.first_chunk()?;
        // Two records are equal that say the same, whenever they were written.
        put(&mut bytes, at::SEQUENCE, &[0; 4]);
        put(&mut bytes, at::CRC, &[0; 4]);
        Some(Self { bytes })
    }

    fn flag(&self, flag: u8) -> bool {
        let [flags] = *field(&self.bytes, at::FLAGS);
        flags & flag != 0
    }

    fn set_flag(&mut self, flag: u8, is_set: bool) -> &mut Self {
        let [flags] = *field(&self.bytes, at::FLAGS);
        put(&mut self.bytes, at::FLAGS, &[flags & !flag | if is_set { flag } else { 0 }]);
        self
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("phase", &self.phase())
            .field("job_id", &self.job_id())
            .field("execution_number", &self.execution_number())
            .field("version_number", &self.version_number())
            .field("started", &self.started())
            .field("updated_by", &self.updated_by())
            .field("file_index", &self.file_index())
            .field("bundle", &self.bundle())
            .field("block_size", &self.block_size())
            .field("front", &self.front())
            .field("window", &self.window())
            .field("status", &self.status())
            .field("reason", &self.reason())
            .field("detail", &self.detail())
            .field("first_boots", &self.first_boots())
            .field("job_digest", &self.job_digest())
            .field("intended", &self.intended())
            .field("reverted", &self.reverted())
            .field("reverted_job", &self.reverted_job())
            .finish()
    }
}

/// The sequence number of the record in `bytes`, when it is whole, of this format, and holds only what this version knows.
pub(super) fn sequence_of(bytes: &[u8]) -> Option<u32> {
    let bytes = bytes.first_chunk()?;
    let [format, phase, flags] = *field(bytes, at::FORMAT);
    let [len] = *field(bytes, at::ID_LEN);
    let id: &[u8; Record::MAX_ID_LEN] = bytes.get(at::JOB_ID..)?.first_chunk()?;
    let (id, behind) = id.split_at_checked(usize::from(len))?;
    let is_known = *field(bytes, 0) == MAGIC
        && format == FORMAT
        && u32::from_le_bytes(*field(bytes, at::CRC)) == crc_of(bytes)
        && Phase::from_number(phase).is_some()
        && flags & !flag::ALL == 0
        && (id.is_empty() || core::str::from_utf8(id).is_ok_and(is_id))
        // Else two records of one job would differ.
        && is_all(behind, 0);
    is_known.then(|| u32::from_le_bytes(*field(bytes, at::SEQUENCE)))
}

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
fn field<const N: usize>(bytes: &Bytes, at: usize) -> &[u8; N] {
    // Every field lies in the record.
    bytes.get(at..).and_then(|rest| rest.first_chunk()).unwrap_or(&[0; N])
}

/// The CRC of a record.
fn crc_of(bytes: &Bytes) -> u32 {
    crc32c(bytes.get(..at::CRC).unwrap_or_default())
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
        let mut record = Record::default();
        assert_eq!(record.set_job_id("AFR_OTA-a1").job_id(), "AFR_OTA-a1");
        let text = [b'x'; 129];
        let text = core::str::from_utf8(&text).unwrap();
        assert_eq!(record.set_job_id(&text[..128]).job_id(), &text[..128]);
        // Nothing is left of a longer one.
        assert_eq!(record.set_job_id("b"), Record::default().set_job_id("b"));
        for bad in ["", text, "a b", "a/b", "ä", "a\0", "$next"] {
            assert_eq!(record.set_job_id("x").set_job_id(bad), &Record::default(), "{bad}");
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
        let mut window = [0; 32];
        (window[0], window[31]) = (0b10, 0x80);
        let record = *Record::default().set_front(10).set_window(&window);
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
