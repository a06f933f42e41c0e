//! URLs, and answers of a server to a range request.

use core::convert::Infallible;

use embassy_futures::poll_once;
use embedded_io_async::{ErrorType, Read, Write};
use ota_core::http::{Config, HttpError, RangeRequest, Redirects, Scheme, Schemes, Session, Url};

use crate::bytes::{Bytes, assert_inside};

/// Bytes of a session's buffer.
const BUFFER: usize = 1024;
const URL: &str = "http://host.example:8080/dir/file?token=1";

pub(crate) fn run(bytes: &[u8]) {
    check_url(&String::from_utf8_lossy(bytes));
    check_answer(bytes);
}

/// What is taken is a URL for crate `url` too, and leads to the same place.
fn check_url(text: &str) {
    for schemes in [Schemes::HttpsOnly, Schemes::InsecureHttpForTests] {
        let Ok(ours) = Url::parse(text, schemes) else { continue };
        assert!(ours.scheme() == Scheme::Https || schemes == Schemes::InsecureHttpForTests);
        assert_inside(text.as_bytes(), ours.host().as_bytes());
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
        // Nothing of path and query may be shown.
        assert!(!format!("{ours:?}").contains('/'));
        assert!(ours.same_origin(&ours));
        // That crate also judges what host names and addresses look like; whoever resolves the name does so here.
        let Ok(theirs) = url::Url::parse(text) else { continue };
        assert_eq!(theirs.port_or_known_default(), Some(ours.port()));
        assert_eq!(theirs.scheme(), if ours.scheme() == Scheme::Https { "https" } else { "http" });
        assert_eq!((theirs.username(), theirs.password(), theirs.fragment()), ("", None, None));
        if let Some(url::Host::Domain(host)) = theirs.host() {
            assert!(host.eq_ignore_ascii_case(ours.host()), "{host}, but {ours:?}");
        }
    }
    // And a plain one is not refused.
    if let Ok(theirs) = url::Url::parse(text)
        && theirs.scheme() == "https"
        && text == theirs.as_str()
        && theirs
            .host_str()
            .is_some_and(|host| !host.contains(|c: char| !c.is_ascii_alphanumeric() && c != '.'))
        && theirs.username().is_empty()
        && theirs.password().is_none()
        && theirs.fragment().is_none()
        && theirs.host_str().is_some_and(|host| host.len() <= 253)
        && theirs.port() != Some(0)
        && text.len() <= ota_core::http::URL_MAX
        && !text.contains('\\')
    {
        assert!(Url::parse(text, Schemes::HttpsOnly).is_ok(), "{text}");
    }
}

/// A server that is a slice; it gives it in pieces.
struct Server<'a> {
    answer: &'a [u8],
    piece: usize,
    sent: Vec<u8>,
}

impl ErrorType for Server<'_> {
    type Error = Infallible;
}

impl Read for Server<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let len = buf.len().min(self.piece).min(self.answer.len());
        let (piece, rest) = self.answer.split_at(len);
        buf[..len].copy_from_slice(piece);
        self.answer = rest;
        Ok(len)
    }
}

impl Write for Server<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        self.sent.extend_from_slice(buf);
        Ok(buf.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// How a session ends: what it delivered, whether it may be used again, and the error.
type End = (Vec<u8>, bool, Option<HttpError>);

fn session(answer: &[u8], piece: usize, request: &RangeRequest) -> End {
    let mut buffer = [0; BUFFER];
    let config = Config { redirects: Redirects::FollowOnce, skip_max: 64 };
    let server = Server { answer, piece, sent: Vec::new() };
    let mut session = Session::new(server, &mut buffer, config).expect("the buffer is large enough");
    let url = Url::parse(URL, Schemes::InsecureHttpForTests).expect("it is a URL");
    let mut got = Vec::new();
    let mut promised = None;
    let work = async {
        let reply = session.open(&url, request).await?;
        promised = Some(reply);
        loop {
            let mut piece = [0; 100];
            match session.read(&mut piece).await? {
                0 => return Ok::<(), HttpError>(()),
                n => got.extend_from_slice(&piece[..n]),
            }
        }
    };
    let core::task::Poll::Ready(result) = poll_once(work) else { panic!("waits for nothing") };
    let wanted = request.to() - request.from() + 1;
    if let Some(reply) = promised {
        assert!((1..=wanted).contains(&reply.byte_count), "{reply:?}");
        assert!(got.len() <= reply.byte_count as usize, "more than promised");
        assert!(result.is_err() || got.len() == reply.byte_count as usize, "less than promised");
        check_head(answer, request);
    }
    if result == Err(HttpError::Redirect) {
        let mut to = [0; 512];
        let target = session.redirect(&url, &mut to);
        if let Ok(target) = target {
            assert!(matches!(target.scheme(), Scheme::Http | Scheme::Https) && !target.host().is_empty());
        }
    }
    let idle = session.is_idle();
    // The request itself holds no line that anybody but this library wrote.
    let sent = session.into_stream().sent;
    let head = String::from_utf8(sent).expect("it is ASCII");
    assert!(head.starts_with("GET /dir/file?token=1 HTTP/1.1\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    (got, idle && result.is_ok(), result.err())
}

/// What the first final head of an answer must say when a range of it was accepted, by `httparse`.
fn check_head(mut answer: &[u8], request: &RangeRequest) {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(size)) = response.parse(answer) else {
            panic!("taken, but httparse: {:?}", String::from_utf8_lossy(answer))
        };
        let code = response.code.expect("it is complete");
        if (100..200).contains(&code) {
            answer = &answer[size..];
            continue;
        }
        let value = |name: &str| {
            let all: Vec<_> =
                response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).collect();
            assert!(
                all.len() <= 1 || !matches!(name, "content-length" | "transfer-encoding"),
                "{name} twice"
            );
            all.first().map(|header| String::from_utf8_lossy(header.value).into_owned())
        };
        assert!(code == 200 || code == 206, "{code}");
        let (length, encoding) = (value("content-length"), value("transfer-encoding"));
        assert!(length.is_none() || encoding.is_none(), "two lengths");
        if code == 206 {
            let range = value("content-range").expect("a range says which it is");
            let numbers: Vec<u32> =
                range.split([' ', '-', '/']).skip(1).map(|n| n.parse().expect("a number")).collect();
            let [from, to, size] = numbers[..] else { panic!("{range}") };
            assert!(
                from == request.from() && from <= to && to <= request.to() && size == request.size(),
                "{range}"
            );
            let length = length.map(|length| length.trim().parse().expect("a number"));
            assert!(length.is_none_or(|length: u32| length == to - from + 1));
        }
        return;
    }
}

fn check_answer(bytes: &[u8]) {
    let mut choice = Bytes(bytes);
    let (piece, from) = (usize::from(choice.u8()) + 1, choice.below(40));
    let request = RangeRequest::new(from, from + 9, 60).expect("a good range");
    let whole = session(choice.0, usize::MAX, &request);
    // However the bytes are cut by the network, the outcome is one.
    let pieces = session(choice.0, piece, &request);
    assert_eq!(whole.0, pieces.0);
    assert_eq!((whole.1, whole.2), (pieces.1, pieces.2), "{piece} bytes at once");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let file: String = (0..60).map(|at| char::from(b'A' + at % 26)).collect();
    let part = &file[5..15];
    let ranged = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-14/60\r\n";
    let answers = [
        format!("{ranged}ETag: \"1\"\r\nContent-Length: 10\r\n\r\n{part}"),
        format!(
            "{ranged}Transfer-Encoding: chunked\r\n\r\n6;x=y\r\n{}\r\n4\r\n{}\r\n0\r\n\r\n",
            &part[..6],
            &part[6..]
        ),
        format!("HTTP/1.1 100 Continue\r\n\r\n{ranged}Content-Length: 10\r\nConnection: close\r\n\r\n{part}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{file}"),
        "HTTP/1.1 302 Found\r\nLocation: /other?token=2\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 36\r\n\r\n<Code>x</Code>Request has expired</X>"
            .to_owned(),
        "HTTP/1.1 503 Slow Down\r\nRetry-After: 3\r\n\r\n".to_owned(),
    ];
    // A piece of 8 bytes, the range from 5 on.
    let answers = answers.map(|answer| [&[7, 5], answer.as_bytes()].concat());
    let urls =
        ["https://b.s3.eu-west-1.amazonaws.com:443/k/f.bin?X-Amz-Signature=ab%2F", "http://[::1]:80/x"];
    answers.into_iter().chain(urls.map(|url| url.as_bytes().to_vec())).collect()
}
