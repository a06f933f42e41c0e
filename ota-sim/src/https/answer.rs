//! A request in, a response out: S3's rules, then the fault in turn.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::body::{FileBody, Gate, Stop};
use super::fault::HttpFault;
use super::server::{Object, Served, Shared};
use super::sign::Denied;

/// What belongs to one connection.
pub(super) struct Peer {
    pub(super) shared: Arc<Shared>,
    pub(super) gate: Arc<Gate>,
    pub(super) request_count: AtomicU32,
    /// Whether it came in the clear.
    pub(super) is_plain: bool,
}

type Answer = Response<FileBody>;

impl Peer {
    /// Answers one request; an error closes the connection without a word.
    pub(super) fn answer(&self, request: &Request<Incoming>) -> io::Result<Answer> {
        if self.shared.is_dead() {
            return Err(io::Error::other("gone"));
        }
        let range = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
        let path = request.uri().path();
        let mut answer = self.judge(request, path, range);
        let close_count = self.shared.config.requests_per_connection;
        if self.request_count.fetch_add(1, Ordering::Relaxed) + 1 >= close_count {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.shared.log(Served {
            path: path.into(),
            range: range.map(Into::into),
            status: answer.status().as_u16(),
            over_tls: !self.is_plain,
        });
        Ok(answer)
    }

    fn judge(&self, request: &Request<Incoming>, path: &str, range: Option<&str>) -> Answer {
        if request.method() != Method::GET {
            return self.refuse(405, "MethodNotAllowed", "The specified method is not allowed");
        }
        let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        match self.shared.check(host, target) {
            Ok(()) => {}
            Err(Denied::Unsigned) => return self.refuse(403, "AccessDenied", "Access Denied"),
            Err(Denied::SignatureDoesNotMatch) => {
                let text = "The request signature we calculated does not match the signature you provided.";
                return self.refuse(403, "SignatureDoesNotMatch", text);
            }
            Err(Denied::Expired) => return self.expired(),
        }
        let fault = self.shared.next_fault();
        if fault == Some(HttpFault::NewEtag) {
            self.shared.touch(path);
        }
        let Some(object) = self.shared.object(path) else {
            return self.refuse(404, "NoSuchKey", "The specified key does not exist.");
        };
        match fault {
            Some(HttpFault::Status(status)) => self.refuse(status, "OnDemand", "Status on demand"),
            Some(HttpFault::Busy { status, after_s }) => {
                let mut answer = self.refuse(status, "SlowDown", "Please reduce your request rate.");
                if let Some(after_s) = after_s {
                    answer.headers_mut().insert(header::RETRY_AFTER, after_s.into());
                }
                answer
            }
            Some(HttpFault::Expired) => self.expired(),
            Some(HttpFault::Redirect(to)) => {
                let mut answer =
                    self.refuse(307, "TemporaryRedirect", "Please re-send this request elsewhere.");
                if let Ok(to) = HeaderValue::from_str(&to) {
                    answer.headers_mut().insert(header::LOCATION, to);
                }
                answer
            }
            fault => self.file(path, &object, range, fault),
        }
    }

    /// The file or a range of it.
    fn file(&self, path: &str, object: &Object, range: Option<&str>, fault: Option<HttpFault>) -> Answer {
        let size = object.bytes.len() as u64;
        let range = match (range, &fault) {
            (_, Some(HttpFault::IgnoreRange)) | (None, _) => None,
            (Some(range), _) => match parse_range(range, size) {
                Range::Satisfiable(from, to) => Some((from, to)),
                Range::Unsatisfiable => {
                    let mut answer =
                        self.refuse(416, "InvalidRange", "The requested range is not satisfiable");
                    insert(&mut answer, header::CONTENT_RANGE, format!("bytes */{size}"));
                    return answer;
                }
                // What is no byte range is ignored (RFC 9110, 14.2).
                Range::Strange => None,
            },
        };
        let last = size.saturating_sub(1);
        let (mut from, mut to) = range.unwrap_or((0, last));
        let mut announced_size = size;
        match fault {
            Some(HttpFault::WrongRange(shift)) => {
                from = (from + u64::from(shift)).min(last);
                to = (to + u64::from(shift)).min(last);
            }
            Some(HttpFault::WrongSize(size)) => announced_size = size,
            _ => {}
        }
        let end = if size == 0 { 0 } else { to + 1 };
        let mut body = self.body(path, object.bytes.slice(from as usize..end as usize));
        match fault {
            Some(HttpFault::Chunked) => body.is_chunked = true,
            Some(HttpFault::WrongLength(delta)) => body.bytes = lengthened(&body.bytes, delta),
            Some(HttpFault::CloseAfter(limit)) => cut(&mut body, limit, Stop::Close),
            Some(HttpFault::StallAfter(limit)) => cut(&mut body, limit, Stop::Stall),
            _ => {}
        }
        let mut answer = Response::new(body);
        if range.is_some() {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            insert(&mut answer, header::CONTENT_RANGE, format!("bytes {from}-{to}/{announced_size}"));
        }
        insert(&mut answer, header::ETAG, object.etag.clone());
        insert(&mut answer, header::ACCEPT_RANGES, "bytes".into());
        insert(&mut answer, header::CONTENT_TYPE, "application/octet-stream".into());
        // Object stores are talkative.
        insert(&mut answer, header::HeaderName::from_static("x-amz-id-2"), "8Lx0Uu7cSYH3Gn6cQ0Wn".repeat(4));
        insert(&mut answer, header::HeaderName::from_static("x-amz-request-id"), "4E5PRF8T8DZ0F7QX".into());
        insert(&mut answer, header::SERVER, "AmazonS3".into());
        match fault {
            Some(HttpFault::Encoded) => insert(&mut answer, header::CONTENT_ENCODING, "gzip".into()),
            Some(HttpFault::ConnectionClose) => insert(&mut answer, header::CONNECTION, "close".into()),
            _ => {}
        }
        answer
    }

    /// A body with the server's own limits on it.
    fn body(&self, path: &str, bytes: Bytes) -> FileBody {
        let mut body = FileBody::new(bytes, Arc::clone(&self.gate));
        body.bytes_per_s = self.shared.config.bytes_per_s;
        if let Some(limit) = self.shared.config.range_limit {
            cut(&mut body, limit, Stop::Close);
        }
        if let Some(limit) = self.shared.left_to_live(path) {
            cut(&mut body, limit, Stop::Close);
        }
        let (shared, path) = (Arc::clone(&self.shared), path.to_owned());
        body.on_sent = Box::new(move |byte_count| shared.sent(&path, byte_count));
        body
    }

    fn expired(&self) -> Answer {
        self.refuse(403, "AccessDenied", "Request has expired")
    }

    fn refuse(&self, status: u16, code: &str, message: &str) -> Answer {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error><Code>{code}</Code><Message>{message}</Message><RequestId>4E5PRF8T8DZ0F7QX</RequestId></Error>"
        );
        let mut answer = Response::new(FileBody::new(text.into(), Arc::clone(&self.gate)));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        insert(&mut answer, header::CONTENT_TYPE, "application/xml".into());
        answer
    }
}

fn insert(answer: &mut Answer, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Leaves the first `limit` bytes; the length still tells of all.
fn cut(body: &mut FileBody, limit: u64, stop: Stop) {
    if (body.bytes.len() as u64) > limit {
        body.missing += body.bytes.len() as u64 - limit;
        body.bytes.truncate(limit as usize);
        body.stop = stop;
    }
}

fn lengthened(bytes: &Bytes, delta: i32) -> Bytes {
    let size = bytes.len().saturating_add_signed(delta as isize);
    let mut longer = bytes.to_vec();
    longer.resize(size, b'!');
    longer.into()
}

enum Range {
    Satisfiable(u64, u64),
    Unsatisfiable,
    Strange,
}

/// `bytes=0-99`, `bytes=100-`, `bytes=-100` (RFC 9110, 14.1.2); one range only.
fn parse_range(value: &str, size: u64) -> Range {
    let Some((from, to)) = value.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Strange;
    };
    let number = |text: &str| (!text.is_empty()).then(|| text.parse::<u64>());
    let (from, to) = match (number(from), number(to)) {
        (Some(Ok(from)), None) => (from, u64::MAX),
        (Some(Ok(from)), Some(Ok(to))) if from <= to => (from, to),
        (None, Some(Ok(count))) if count > 0 => (size.saturating_sub(count), u64::MAX),
        (None, Some(Ok(_))) => return Range::Unsatisfiable,
        _ => return Range::Strange,
    };
    if from >= size { Range::Unsatisfiable } else { Range::Satisfiable(from, to.min(size - 1)) }
}
