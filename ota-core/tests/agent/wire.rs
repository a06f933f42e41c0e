//! Messages of the cloud, as text.

use crate::device;
use crate::talk::In;

/// Stands for the token of the request answered.
pub(crate) const TOKEN: &str = "%TOKEN%";
pub(crate) const STREAM: &str = "stream-1";

/// A job execution as a describe answers it.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) id: &'static str,
    pub(crate) status: &'static str,
    pub(crate) version: u32,
    pub(crate) number: u32,
    pub(crate) details: Vec<(&'static str, &'static str)>,
    /// The value of `jobDocument`.
    pub(crate) document: Option<String>,
}

/// The job of most scripts: one file, queued.
pub(crate) fn job() -> Job {
    Job {
        id: "rel-1",
        status: "QUEUED",
        version: 1,
        number: 1,
        details: vec![],
        document: Some(document(&[file_member(0, device::file((1, 0, 0), None).len(), &[1])])),
    }
}

impl Job {
    pub(crate) fn is(mut self, status: &'static str, version: u32) -> Self {
        (self.status, self.version) = (status, version);
        self
    }

    pub(crate) fn id(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    pub(crate) fn number(mut self, number: u32) -> Self {
        self.number = number;
        self
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.details.push((name, value));
        self
    }

    pub(crate) fn document(mut self, document: &str) -> Self {
        self.document = Some(document.into());
        self
    }

    pub(crate) fn bare(mut self) -> Self {
        self.document = None;
        self
    }

    fn execution(&self) -> String {
        let details: Vec<_> = self.details.iter().map(|(k, v)| format!(r#""{k}":"{v}""#)).collect();
        let document = self.document.as_ref().map(|d| format!(r#","jobDocument":{d}"#)).unwrap_or_default();
        format!(
            r#"{{"jobId":"{}","status":"{}","versionNumber":{},"executionNumber":{},"statusDetails":{{{}}}{document}}}"#,
            self.id,
            self.status,
            self.version,
            self.number,
            details.join(",")
        )
    }
}

/// A job document with these files.
pub(crate) fn document(files: &[String]) -> String {
    format!(r#"{{"afr_ota":{{"protocols":["MQTT"],"streamname":"{STREAM}","files":[{}]}}}}"#, files.join(","))
}

/// A job document for HTTP only, with one file for image 0.
pub(crate) fn document_over_http(size: usize) -> String {
    let url = r#""update_data_url":"https://h/f","auth_scheme":"aws.s3.presigned","certfile""#;
    let member = file_member(0, size, &[1]).replace("\"certfile\"", url);
    format!(r#"{{"afr_ota":{{"protocols":["HTTP"],"files":[{member}]}}}}"#)
}

/// A file of a job document. Nobody checks the signature here; it is part of the data's identity.
pub(crate) fn file_member(id: u8, size: usize, signature: &[u8]) -> String {
    let signature = base64(signature);
    format!(
        r#"{{"filepath":"/a","filesize":{size},"fileid":{id},"certfile":"c","sig-sha256-ecdsa":"{signature}"}}"#
    )
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let six = bits >> (18 - 6 * at) & 63;
            text.push(if at <= three.len() { ALPHABET[six as usize].into() } else { '=' });
        }
    }
    text
}

fn message(topic: &str, payload: String) -> In {
    In::Message { topic: format!("$aws/things/dev-7/jobs/{topic}"), payload }
}

/// `$next` is answered with a job.
pub(crate) fn next(job: Job) -> In {
    message("$next/get/accepted", format!(r#"{{"clientToken":"{TOKEN}","execution":{}}}"#, job.execution()))
}

/// `$next` is answered: no job.
pub(crate) fn no_job() -> In {
    message("$next/get/accepted", format!(r#"{{"clientToken":"{TOKEN}"}}"#))
}

/// The describe of a job's id is answered.
pub(crate) fn held(job: Job) -> In {
    let topic = format!("{}/get/accepted", job.id);
    message(&topic, format!(r#"{{"clientToken":"{TOKEN}","execution":{}}}"#, job.execution()))
}

/// A describe is refused; `id` may be `$next`.
pub(crate) fn describe_refused(id: &str, code: &str) -> In {
    message(&format!("{id}/get/rejected"), format!(r#"{{"clientToken":"{TOKEN}","code":"{code}"}}"#))
}

/// The update waiting is accepted.
pub(crate) fn accepted(status: &str, version: u32) -> In {
    message(
        "rel-1/update/accepted",
        format!(
            r#"{{"clientToken":"{TOKEN}","executionState":{{"status":"{status}","versionNumber":{version}}}}}"#
        ),
    )
}

/// A progress update is accepted: it carried no token.
pub(crate) fn progress_accepted() -> In {
    message("rel-1/update/accepted", r#"{"timestamp":1}"#.into())
}

/// The update waiting is refused, without a word about what is stored.
pub(crate) fn refused(code: &str) -> In {
    message("rel-1/update/rejected", format!(r#"{{"clientToken":"{TOKEN}","code":"{code}"}}"#))
}

/// The update waiting is refused, and this is stored.
pub(crate) fn refused_stored(code: &str, status: &str, version: u32, details: &str) -> In {
    message(
        "rel-1/update/rejected",
        format!(
            r#"{{"clientToken":"{TOKEN}","code":"{code}","executionState":{{"status":"{status}","versionNumber":{version},"statusDetails":{{{details}}}}}}}"#
        ),
    )
}

/// The next job changed.
pub(crate) fn notify() -> In {
    message("notify-next", r#"{"execution":{}}"#.into())
}

/// A block of `file`.
pub(crate) fn block(file: &[u8], block: u32) -> In {
    block_of(0, file, block)
}

/// A block of the file with this id.
pub(crate) fn block_of(id: u32, file: &[u8], block: u32) -> In {
    let from = (block * device::BLOCK_SIZE) as usize;
    let to = (from + device::BLOCK_SIZE as usize).min(file.len());
    In::Block { stream: STREAM, file: id, block, data: file[from..to].to_vec() }
}

/// The stream service refuses.
pub(crate) fn stream_refused(code: &str) -> In {
    In::Message {
        topic: format!("$aws/things/dev-7/streams/{STREAM}/rejected/json"),
        payload: format!(r#"{{"code":"{code}"}}"#),
    }
}
