//! The OTA job document (`afr_ota`), as the OTA manager of AWS IoT writes it.
//!
//! Source: FreeRTOS user guide, "OTA job document" and the job parsers of AWS' C libraries.

use super::json::{Object, array};

/// One file of an OTA job: what the device is told, and the bytes its stream delivers.
#[derive(Clone, Debug)]
pub struct OtaFile {
    /// `filepath`: the path name on the device. `None` leaves the member out.
    pub path: Option<String>,
    /// What the stream delivers, and what `filesize` is unless [`OtaFile::announced_size`] says otherwise.
    pub content: Vec<u8>,
    /// `filesize` when it shall not be the true size in bytes (bad documents).
    pub announced_size: Option<u64>,
    /// `fileid`, the file's number in the stream.
    pub id: u8,
    /// `fileType`; 0 is firmware.
    pub file_type: Option<u32>,
    /// `certfile`: where the device keeps the code-signing certificate. `None` leaves the member out.
    pub certificate: Option<String>,
    /// Name of the signature's member, e.g. `sig-sha256-ecdsa`, and its base64 text. `None`: unsigned.
    pub signature: Option<(String, String)>,
    /// `update_data_url`, for the HTTP data plane; `auth_scheme` goes with it.
    pub url: Option<String>,
}

impl OtaFile {
    /// The main firmware image, file id 0, signed with ECDSA P-256 over SHA-256.
    ///
    /// `signature_base64` is the DER signature over `content`, in base64.
    pub fn firmware(content: Vec<u8>, signature_base64: &str) -> Self {
        Self {
            path: Some("/fw/app.bin".into()),
            content,
            announced_size: None,
            id: 0,
            file_type: None,
            certificate: Some("/sec/codesign.pem".into()),
            signature: Some(("sig-sha256-ecdsa".into(), signature_base64.into())),
            url: None,
        }
    }

    fn to_json(&self) -> String {
        let size = self.announced_size.unwrap_or(self.content.len() as u64);
        let mut object = Object::new()
            .maybe_string("filepath", self.path.as_deref())
            .number("filesize", size)
            .number("fileid", self.id)
            .maybe_string("certfile", self.certificate.as_deref())
            .maybe_number("fileType", self.file_type);
        if let Some(url) = &self.url {
            object = object.string("update_data_url", url).string("auth_scheme", "aws.s3.presigned");
        }
        if let Some((key, value)) = &self.signature {
            object = object.string(key, value);
        }
        object.finish()
    }
}

/// Everything of an OTA job but its id.
#[derive(Clone, Debug)]
pub struct OtaSpec {
    /// `protocols` in this order, e.g. `["MQTT"]`.
    pub protocols: Vec<String>,
    /// The files, at most ten.
    pub files: Vec<OtaFile>,
}

impl OtaSpec {
    /// One firmware image over MQTT streams.
    pub fn mqtt(content: Vec<u8>, signature_base64: &str) -> Self {
        Self { protocols: vec!["MQTT".into()], files: vec![OtaFile::firmware(content, signature_base64)] }
    }

    /// The job document. `stream` is left out where it is `None` (jobs over HTTP only).
    pub fn document(&self, stream: Option<&str>) -> String {
        let protocols = array(self.protocols.iter().map(|p| super::json::quoted(p)));
        let files = array(self.files.iter().map(OtaFile::to_json));
        let ota = Object::new()
            .raw("protocols", &protocols)
            .maybe_string("streamname", stream)
            .raw("files", &files)
            .finish();
        Object::new().raw("afr_ota", &ota).finish()
    }
}
