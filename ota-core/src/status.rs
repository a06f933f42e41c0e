//! Why a job ended, in words and numbers that never change.
//!
//! A [`Reason`] is what the cloud sees in `statusDetails.reason`. Its spelling and its number are part of the
//! interface: dashboards match the spelling, the journal stores the number. Add at the end, never reorder.

use core::fmt;

use crate::verify::VerifyError;
use crate::wire::words::word;
use crate::wire::{DocumentError, StreamErrorCode};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $spelling:literal, $judged:literal;)*) => {
        /// Why a job was rejected or failed.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $name = $number,)* }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The fixed spelling reported in `statusDetails.reason`.
            pub fn spelling(self) -> &'static str {
                const SPELLINGS: &str = concat!($($spelling, " ",)*);
                word(SPELLINGS, Self::ALL.iter().position(|reason| *reason == self).unwrap_or(usize::MAX))
            }

            /// The reason with this number, as stored in the journal.
            pub const fn from_number(number: u8) -> Option<Reason> {
                match number { $($number => Some(Reason::$name),)* _ => None }
            }

            /// True for what is judged before the slot is touched: reported as `REJECTED` while the job is still
            /// `QUEUED`, as `FAILED` with the same spelling once it is `IN_PROGRESS`.
            pub const fn is_judgement(self) -> bool {
                match self { $(Reason::$name => $judged,)* }
            }
        }
    };
}

reasons! {
    /// The application's policy answered no.
    Declined = 1, "declined", true;
    /// The first block holds no MCUboot header.
    NotAnImage = 2, "not_an_image", true;
    /// The file ends before the image its header describes.
    ImageTruncated = 3, "image_truncated", true;
    /// The file does not fit the slot minus its trailer.
    FileTooLarge = 4, "file_too_large", true;
    /// The job document says the file has no bytes.
    ZeroSize = 5, "zero_size", true;
    /// The image is older than the running one.
    Downgrade = 6, "downgrade", true;
    /// The image has the version that runs already.
    SameVersion = 7, "same_version", true;
    /// This image was taken back or failed its self test before.
    RevertedBefore = 8, "reverted_before", true;
    /// The job names no protocol this device has.
    UnknownProtocol = 9, "unknown_protocol", true;
    /// Two files of the job have the same file id.
    DuplicateFileId = 10, "duplicate_file_id", true;
    /// Two files of the job have the same destination.
    DuplicateDestination = 11, "duplicate_destination", true;
    /// A file of the job has no destination on this device.
    NoDestination = 12, "no_destination", true;
    /// The job document is an OTA document that cannot be used.
    DocumentMalformed = 13, "job_document_malformed", true;
    /// The job document does not fit the receive buffer or the agent's memory.
    DocumentTooLarge = 14, "job_document_too_large", false;
    /// A file carries no signature this device can check.
    Unsigned = 15, "unsigned", true;
    /// The image's flags say this bootloader cannot boot it.
    NotBootable = 16, "image_not_bootable", true;
    /// The reset vector lies outside the slot the image would run from.
    WrongSlot = 17, "wrong_slot", true;
    /// The job has more files than this device has images.
    TooManyFiles = 18, "too_many_files", true;
    /// The job's own signature does not verify with any configured key.
    SignatureInvalid = 32, "signature_invalid", false;
    /// A configured key or certificate is unusable.
    KeyInvalid = 33, "key_invalid", false;
    /// MCUboot's hash in the image does not match what flash holds.
    ImageHash = 34, "image_hash_mismatch", false;
    /// MCUboot's signature in the image does not verify.
    ImageSignature = 35, "image_signature_invalid", false;
    /// The image's security counter is below the running one's.
    SecurityCounter = 36, "security_counter_too_low", false;
    /// The image in flash is not well formed.
    ImageInvalid = 37, "image_invalid", false;
    /// A bounded number of requests brought no block.
    NoBlocks = 40, "no_blocks_received", false;
    /// The stream service refused the request.
    StreamRejected = 41, "stream_rejected", false;
    /// Flash refused an operation or did not hold what was written.
    FlashFailed = 42, "flash_failed", false;
    /// The swap request could not be written.
    SetPendingFailed = 43, "set_pending_failed", false;
    /// The application aborted the job.
    Aborted = 44, "aborted", false;
    /// The swap was requested and the bootloader did not do it.
    NotSwapped = 45, "not_swapped", false;
    /// The new image ran and the bootloader took it back.
    Reverted = 46, "reverted", false;
    /// The self test failed and there is no image to go back to: the new image keeps running.
    SelfTestFailedNoRevert = 47, "self_test_failed_no_revert", false;
    /// The image could not be confirmed.
    ConfirmFailed = 48, "confirm_failed", false;
    /// Only some of the job's images were exchanged.
    MixedImages = 49, "mixed_images", false;
    /// The journal or the swap request was lost over the reboot, nothing is known of the image.
    StateLost = 50, "state_lost", false;
    /// The job's images do not need each other by their own DEPENDENCY TLVs: one could boot without the other.
    NotMutual = 51, "images_not_mutually_dependent", false;
    /// The server behind the URL did not deliver.
    HttpFailed = 52, "http_failed", false;
    /// The URL was not accepted, and neither were the ones the job was asked for afresh.
    UrlExpired = 53, "url_expired", false;
    /// There is nothing behind the URL.
    ObjectNotFound = 54, "object_not_found", false;
    /// What is behind the URL changed while it was fetched.
    ObjectChanged = 55, "object_changed", false;
    /// Every data plane has given up; the reasons of each follow.
    NoPlane = 56, "no_data_plane_left", false;
    /// A TAR header or `components.json` of a bundle is damaged, or something follows its last member.
    BundleMalformed = 57, "bundle_malformed", true;
    /// The bundle ends before its last member does.
    BundleTruncated = 58, "bundle_truncated", true;
    /// Name or size in a bundle's header are not those in its `components.json`.
    BundleMismatch = 59, "bundle_mismatch", true;
    /// Whoever answers at the URL cannot prove to be the server.
    ServerUntrusted = 60, "server_not_trusted", false;
    /// A bundle this device is not set up for: its head does not lie in the first block, the block size is no multiple of
    /// 512, a slot's write size is above 512, or the agent was given no memory for the sectors of all images.
    BundleUnsupported = 61, "bundle_unsupported", true;
}

impl Reason {
    /// The fixed number, as stored in the journal.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spelling())
    }
}

/// The terminal status a job ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// `SUCCEEDED`: the new image is confirmed.
    Succeeded,
    /// `FAILED`.
    Failed(Reason),
    /// `REJECTED`: judged before anything was touched.
    Rejected(Reason),
    /// The service ended the execution (canceled, deleted, timed out); nothing is reported.
    Gone,
}

/// Which reason a failed verification is reported with.
pub(crate) fn reason_of_verify(error: VerifyError) -> Reason {
    match error {
        VerifyError::BadSignature | VerifyError::SignatureFormat => Reason::SignatureInvalid,
        VerifyError::BadKey
        | VerifyError::NoKey
        | VerifyError::UnsupportedKey
        | VerifyError::BadCertificate
        | VerifyError::BadPem => Reason::KeyInvalid,
        VerifyError::ImageHash => Reason::ImageHash,
        VerifyError::ImageSignature => Reason::ImageSignature,
        VerifyError::DigestIncomplete => Reason::ImageInvalid,
        VerifyError::TooLarge => Reason::FileTooLarge,
        VerifyError::ResetVector => Reason::WrongSlot,
        VerifyError::Image(_) => Reason::ImageInvalid,
        VerifyError::Flash(_) => Reason::FlashFailed,
    }
}

/// Which reason an unusable job document is reported with.
#[inline(never)]
pub(crate) fn reason_of_document(error: DocumentError) -> Reason {
    match error {
        DocumentError::ZeroFileSize => Reason::ZeroSize,
        DocumentError::TooManyFiles => Reason::TooManyFiles,
        DocumentError::DuplicateFileId => Reason::DuplicateFileId,
        DocumentError::Type
        | DocumentError::Duplicate
        | DocumentError::Protocols
        | DocumentError::StreamName
        | DocumentError::NoFiles
        | DocumentError::FileSize
        | DocumentError::FileId => Reason::DocumentMalformed,
    }
}

/// The number reported beside [`Reason::StreamRejected`].
pub(crate) fn number_of_stream_error(code: StreamErrorCode) -> u32 {
    // 0 means that no number is reported.
    code as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spellings_are_unique_and_round_trip() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
            assert!(
                reason.spelling().len() <= 64
                    && reason.spelling().bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            for other in &Reason::ALL[at + 1..] {
                assert!(other.number() > reason.number() && other.spelling() != reason.spelling());
            }
        }
        assert_eq!(Reason::from_number(0), None);
    }
}
