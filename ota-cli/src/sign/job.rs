//! `ota sign job`: what AWS' code signing would put into the job document, and on demand the document itself.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use ota_core::wire::{Document, parse_describe};
use ota_sim::aws::{OtaFile, OtaSpec};

use crate::job_key::JobKey;

/// Sign a whole file for its job document.
///
/// Prints the file's size and the base64 value of `sig-sha256-ecdsa`. With --document prints the whole job document
/// instead, ready for `aws iot create-job --document file://...`; the stream must exist already and deliver FILE.
#[derive(Debug, Args)]
pub(crate) struct Job {
    /// The file the device downloads, byte for byte
    file: PathBuf,
    /// Private key (PEM, P-256) of the code signer
    #[arg(short, long, value_name = "PEM")]
    key: PathBuf,
    /// Print a complete `afr_ota` job document
    #[arg(long, requires = "stream")]
    document: bool,
    /// The stream that delivers the file
    #[arg(long, value_name = "STREAM", requires = "document")]
    stream: Option<String>,
    /// The file's number in the stream
    #[arg(long, value_name = "N", default_value = "0", requires = "document")]
    file_id: u8,
    /// Path name in the document [default: the file's name]
    #[arg(long, value_name = "PATH", requires = "document")]
    path: Option<String>,
    /// Name of the code-signing certificate in the document
    #[arg(long, value_name = "PATH", default_value = "/sec/codesign.pem", requires = "document")]
    certfile: String,
    /// `fileType` in the document: what picks the destination on devices with several
    #[arg(long, value_name = "N", requires = "document")]
    file_type: Option<u32>,
}

impl Job {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let key = JobKey::load(&self.key)?;
        let content =
            std::fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        ensure!(!content.is_empty(), "{} is empty", self.file.display());
        let signature = key.sign(&content);
        match &self.stream {
            Some(stream) => println!("{}", self.document(stream, content, &signature)?),
            None => {
                println!("filesize          {}", content.len());
                println!("sig-sha256-ecdsa  {signature}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn document(&self, stream: &str, content: Vec<u8>, signature: &str) -> Result<String> {
        let name = || self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let file = OtaFile {
            path: self.path.clone().or_else(name),
            id: self.file_id,
            file_type: self.file_type,
            certificate: Some(self.certfile.clone()),
            ..OtaFile::firmware(content, signature)
        };
        let document = OtaSpec { protocols: vec!["MQTT".into()], files: vec![file] }.document(Some(stream));
        read_as_a_device(&document)?;
        Ok(document)
    }
}

/// What the library on the device would refuse is refused here.
fn read_as_a_device(document: &str) -> Result<()> {
    let message = format!(
        r#"{{"execution":{{"jobId":"a","status":"QUEUED","versionNumber":1,"executionNumber":1,"jobDocument":{document}}}}}"#
    );
    let answer = parse_describe(message.as_bytes()).context("the job document is not valid")?;
    let read = match answer.execution.context("the job document is not valid")?.document() {
        Document::Ota(document) => document.check(),
        Document::Malformed(error) => Err(error),
        Document::Absent | Document::Custom(_) => bail!("the job document is not one of an update"),
    };
    read.context("a device would refuse the job document")
}
