//! stub
use super::json::Text;
/// The job document of a job execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document<'a> {
    /// The answer holds no job document (it was not asked for).
    Absent,
    /// A job of another component: no `afr_ota`. The raw JSON of `jobDocument`.
    Custom(&'a [u8]),
    /// An OTA job; every file was checked.
    Ota(OtaDocument<'a>),
    /// `afr_ota` is there but cannot be used.
    Malformed(DocumentError),
}
/// Why an OTA job document cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentError {
    /// A member has the wrong type.
    Type,
    /// A member occurs twice.
    Duplicate,
    /// `protocols` is missing or not an array of strings.
    Protocols,
    /// `streamname` is not 1 to 128 characters of `[a-zA-Z0-9_-]`.
    StreamName,
    /// `files` is missing, no array, or empty.
    NoFiles,
    /// More than [`MAX_FILES`] files.
    TooManyFiles,
    /// `filesize` is missing, negative, fractional or above `u32::MAX`.
    FileSize,
    /// `filesize` is 0.
    ZeroFileSize,
    /// `fileid` is missing or not 0..=255.
    FileId,
    /// Two files with one `fileid`.
    DuplicateFileId,
    /// There is no file of that index.
    NoSuchFile,
}
/// Files one job may hold.
pub const MAX_FILES: u8 = 10;
/// The data planes a job document offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protocols {
    /// `"MQTT"`
    pub mqtt: bool,
    /// `"HTTP"`
    pub http: bool,
    /// a name this library does not know
    pub unknown: bool,
}
/// `jobDocument.afr_ota`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtaDocument<'a> {
    /// Data planes offered.
    pub protocols: Protocols,
    /// Stream id.
    pub stream: Option<&'a str>,
    /// Number of files, 1..=[`MAX_FILES`].
    pub file_count: u8,
    files: super::json::Value<'a>,
}
impl<'a> OtaDocument<'a> {
    /// File number `index` of the list (not the file id).
    pub fn file(&self, index: u8) -> Result<File<'a>, DocumentError> {
        let _ = (index, self.files);
        Err(DocumentError::NoSuchFile)
    }
    /// All files in order.
    pub fn files(&self) -> impl Iterator<Item = Result<File<'a>, DocumentError>> + use<'a> {
        core::iter::empty()
    }
    /// Every file is readable and no file id occurs twice; parsing has called this already.
    pub fn check(&self) -> Result<(), DocumentError> {
        Ok(())
    }
}
/// One member of `files`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// `filepath`
    pub path: Option<Text<'a>>,
    /// `filesize`, bytes, 1..
    pub size: u32,
    /// `fileid`
    pub id: u8,
    /// `fileType`
    pub file_type: Option<u32>,
    /// `attr`
    pub attributes: Option<u32>,
    /// `certfile`
    pub certificate: Option<Text<'a>>,
    /// `sig-sha256-ecdsa`, base64 of the DER signature
    pub signature: Option<Text<'a>>,
    /// There is a `sig-*` member this library does not support.
    pub other_signature: bool,
    /// `update_data_url`
    pub url: Option<Text<'a>>,
    /// `auth_scheme`
    pub auth_scheme: Option<Text<'a>>,
}
