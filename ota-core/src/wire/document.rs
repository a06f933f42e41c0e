//! The OTA job document: `jobDocument.afr_ota`.
//!
//! Written by the AWS IoT OTA update manager (FreeRTOS user guide, "OTA updates"). Members are found by their place in the
//! document, never by name anywhere in the message, so a file path that reads like a member's name breaks nothing.

use core::fmt;

use super::{
    field::{Fault, Field, Shape, find, none},
    json::{self, Elements, Text, Value},
    topic::{self, Format},
};

/// Most files one job may hold.
pub const MAX_FILES: usize = 10;

/// The member whose presence makes a job an OTA job.
const OTA: &str = "afr_ota";
const SIGNATURE: &str = "sig-sha256-ecdsa";
const SIGNATURE_PREFIX: &str = "sig-";

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
    /// `files` is missing, not an array, or empty.
    NoFiles,
    /// More than [`MAX_FILES`] files.
    TooManyFiles,
    /// `filesize` is missing, negative, fractional or above `u32::MAX`.
    FileSize,
    /// `filesize` is 0.
    ZeroFileSize,
    /// `fileid` is missing or not 0..=255.
    FileId,
    /// Two files have the same `fileid`.
    DuplicateFileId,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "a member of afr_ota has the wrong type: correct the job document",
            Self::Duplicate => "a member of afr_ota occurs twice: correct the job document",
            Self::Protocols => "protocols must be an array of strings: correct the job document",
            Self::StreamName => "streamname has 1 to 128 characters of a-z, A-Z, 0-9, '_' and '-'",
            Self::NoFiles => "the job document lists no file: add one",
            Self::TooManyFiles => "the job document lists more than 10 files: split the job",
            Self::FileSize => "filesize must be a whole number of bytes below 4 GiB",
            Self::ZeroFileSize => "filesize is 0: publish a file that holds something",
            Self::FileId => "fileid must be a number from 0 to 255",
            Self::DuplicateFileId => "two files have the same fileid: number them apart",
        })
    }
}

impl core::error::Error for DocumentError {}

impl From<Fault> for DocumentError {
    fn from(fault: Fault) -> Self {
        // The message was checked as a whole before, so what is left is a value of the wrong type.
        if fault == Fault::Duplicate { Self::Duplicate } else { Self::Type }
    }
}

/// The job document of a job execution.
#[derive(Debug, Clone)]
pub enum Document<'a> {
    /// The answer holds no job document: it was not asked for.
    Absent,
    /// A job of another component, without `afr_ota`: the raw JSON of `jobDocument`.
    Custom(&'a [u8]),
    /// An OTA job. Its files are read one by one, so each may still turn out to be malformed.
    Ota(OtaDocument<'a>),
    /// `afr_ota` is there but cannot be used.
    Malformed(DocumentError),
}

impl<'a> Document<'a> {
    pub(super) fn parse(document: Option<&'a [u8]>) -> Self {
        let Some(document) = document else { return Self::Absent };
        let mut found = none();
        match find(Format::Json, document, &Shape { names: OTA, types: "*", required: 0 }, &mut found) {
            Err(Fault::Value) => Self::Custom(document),
            Err(error) => Self::Malformed(error.into()),
            Ok(()) => match found[0].bytes() {
                None => Self::Custom(document),
                Some(ota) => OtaDocument::parse(ota).map_or_else(Self::Malformed, Self::Ota),
            },
        }
    }
}

/// The data planes a job document offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protocols {
    /// `"MQTT"`: a stream.
    pub mqtt: bool,
    /// `"HTTP"`: a pre-signed URL a file.
    pub http: bool,
    /// A name this library does not know.
    pub unknown: bool,
}

impl Protocols {
    fn parse(field: &Field<'_>) -> Result<Self, DocumentError> {
        let names = elements(field).ok_or(DocumentError::Protocols)?;
        let mut protocols = Self::default();
        for name in names {
            match name.as_text().ok_or(DocumentError::Protocols)?.position_in("MQTT HTTP") {
                Some(0) => protocols.mqtt = true,
                Some(_) => protocols.http = true,
                None => protocols.unknown = true,
            }
        }
        Ok(protocols)
    }
}

/// The contents of `afr_ota`.
#[derive(Debug, Clone)]
pub struct OtaDocument<'a> {
    /// `protocols`: data planes offered.
    pub protocols: Protocols,
    /// `streamname`: stream id; absent in jobs for HTTP only.
    pub stream: Option<&'a str>,
    files: Elements<'a>,
}

impl<'a> OtaDocument<'a> {
    fn parse(ota: &'a [u8]) -> Result<Self, DocumentError> {
        let mut found = none();
        let shape = &Shape { names: "protocols streamname files", types: "*\"*", required: 0 };
        find(Format::Json, ota, shape, &mut found)?;
        let [protocols, stream, files, ..] = &found;
        let stream = stream.text();
        if stream.is_some_and(|name| !topic::is_id(name)) {
            return Err(DocumentError::StreamName);
        }
        let files = elements(files).ok_or(DocumentError::NoFiles)?;
        Ok(Self { protocols: Protocols::parse(protocols)?, stream, files })
    }

    /// How many files it lists.
    pub fn file_count(&self) -> usize {
        self.files.clone().count()
    }

    /// All files in their order.
    pub fn files(&self) -> impl Iterator<Item = Result<File<'a>, DocumentError>> + use<'a> {
        self.files.clone().map(File::parse)
    }

    /// Whether there are 1 to [`MAX_FILES`] files, each can be read, and no two share a file id.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), DocumentError> {
        let mut ids = [0; MAX_FILES];
        let mut count = 0usize;
        for file in self.files() {
            let id = file?.id;
            if ids.iter().take(count).any(|other| *other == id) {
                return Err(DocumentError::DuplicateFileId);
            }
            *ids.get_mut(count).ok_or(DocumentError::TooManyFiles)? = id;
            count = count.saturating_add(1);
        }
        if count == 0 { Err(DocumentError::NoFiles) } else { Ok(()) }
    }
}

/// One member of `files`. Every string may hold escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// `filepath`: where the document's author wants the file. Never decides where it is written.
    pub path: Option<Text<'a>>,
    /// `filesize`: bytes, at least 1.
    pub size: u32,
    /// `fileid`: names the file in the stream.
    pub id: u8,
    /// `fileType`: 0 is firmware where the application says nothing else.
    pub file_type: Option<u32>,
    /// `sig-sha256-ecdsa`: base64 of the DER signature over the whole file.
    pub signature: Option<Text<'a>>,
    /// `update_data_url`: pre-signed URL. A secret for as long as it is valid: never log it.
    pub url: Option<Text<'a>>,
    members: Value<'a>,
}

impl<'a> File<'a> {
    fn parse(members: Value<'a>) -> Result<Self, DocumentError> {
        let mut found = none();
        const SHAPE: &Shape<'_> = &Shape {
            names: "filesize fileid fileType filepath sig-sha256-ecdsa update_data_url",
            types: "**#\"\"\"",
            required: 0,
        };
        find(Format::Json, members.bytes(), SHAPE, &mut found)?;
        let [size, id, file_type, path, signature, url] = &found;
        let size = size.bytes().and_then(bare_or_quoted).ok_or(DocumentError::FileSize)?;
        if size == 0 {
            return Err(DocumentError::ZeroFileSize);
        }
        let id = id.bytes().and_then(|id| u8::try_from(json::number_u32(id, 10)?).ok());
        let text = |field: &Field<'a>| field.bytes().map(Text::new);
        Ok(Self {
            path: text(path),
            size,
            id: id.ok_or(DocumentError::FileId)?,
            file_type: file_type.some_number(),
            signature: text(signature),
            url: text(url),
            members,
        })
    }

    /// A member that nothing here depends on, if it is a string: `certfile`, `auth_scheme`.
    pub fn other(&self, name: &str) -> Option<Text<'a>> {
        self.members.member(name).ok()??.as_text()
    }

    /// Whether there is a `sig-*` member of another kind. Such a signature is not checked.
    pub fn has_other_signature(&self) -> bool {
        let mut names = self.members.members().into_iter().flatten().map(|(name, _)| name);
        names.any(|name| name.starts_with(SIGNATURE_PREFIX) && !name.is(SIGNATURE))
    }
}

/// AWS' C library for embedded devices (v3) takes a size in quotes too.
fn bare_or_quoted(value: &[u8]) -> Option<u32> {
    match value {
        [b'"', digits @ .., b'"'] | digits => json::number_u32(digits, 10),
    }
}

fn elements<'a>(field: &Field<'a>) -> Option<Elements<'a>> {
    Value::new(field.bytes()?).elements()
}
