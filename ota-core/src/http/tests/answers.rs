//! Every kind of answer, as a server writes it.

extern crate std;

use std::format;
use std::vec::Vec;

use embassy_futures::block_on;

use super::script::{FILE, SIZE, Script, body, error_of, fetch, fetch_with, partial, range, url};
use crate::http::{Advice, Config, Etag, HttpError, RangeRequest, Redirects, Reply, Schemes, Session, Url};

/// As S3 answers a range request (amz-id shortened).
const S3: &str = "HTTP/1.1 206 Partial Content\r\n\
    x-amz-id-2: 8Lx0Uu7cSYH3Gn6cQ0WnkZ8w1lZ0nJ0m\r\n\
    x-amz-request-id: 4E5PRF8T8DZ0F7QX\r\n\
    Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
    Last-Modified: Sat, 21 Nov 2026 09:00:00 GMT\r\n\
    ETag: \"9b2cf535f27731c974343645a3985328\"\r\n\
    x-amz-server-side-encryption: AES256\r\n\
    Accept-Ranges: bytes\r\n\
    Content-Range: bytes 4-13/20\r\n\
    Content-Type: application/octet-stream\r\n\
    Content-Length: 10\r\n\
    Server: AmazonS3\r\n\r\nefghijklmn";

const ETAG: &[u8] = b"\"9b2cf535f27731c974343645a3985328\"";

#[test]
fn a_range_is_asked_for_with_path_and_query_as_they_are() {
    let mut buffer = [0; 512];
    let mut session = Session::new(Script::new(S3), &mut buffer, Config::default()).unwrap();
    let reply = block_on(session.open(&url(), &range(4, 13))).unwrap();
    assert_eq!(reply, Reply { byte_count: 10, has_ranges: true, etag: Etag::of(ETAG) });
    assert_eq!(body(&mut session, 4).unwrap(), FILE[4..=13]);
    assert!(session.is_idle());
    assert_eq!(
        session.into_stream().sent,
        b"GET /fw.bin?X-Amz-Expires=60&X-Amz-Signature=5ec2e7 HTTP/1.1\r\n\
          Host: bucket.example\r\nRange: bytes=4-13\r\nAccept-Encoding: identity\r\n\r\n"
    );
}

#[test]
fn a_url_longer_than_the_buffer_is_sent_whole() {
    let text = format!("https://bucket.example:8443/fw?token={}", "x".repeat(3000));
    let mut buffer = [0; 512];
    let mut session = Session::new(Script::new(S3), &mut buffer, Config::default()).unwrap();
    let url = Url::parse(&text, Schemes::HttpsOnly).unwrap();
    block_on(session.open(&url, &range(4, 13))).unwrap();
    let expected = format!(
        "GET /fw?token={} HTTP/1.1\r\nHost: bucket.example:8443\r\n\
         Range: bytes=4-13\r\nAccept-Encoding: identity\r\n\r\n",
        "x".repeat(3000)
    );
    assert_eq!(session.into_stream().sent, expected.as_bytes());
}

#[test]
fn any_division_into_reads_and_any_drop_gives_the_same() {
    let chunked: &[&str] =
        &["2;name=value\r\nef\r\n", "7\r\nghijklm\r\n", "1\r\nn\r\n", "0\r\nDigest: x\r\n\r\n"];
    let chunked =
        partial("Content-Range: bytes 4-13/20", "Transfer-Encoding: chunked", chunked.concat().as_bytes());
    for answer in [S3.as_bytes(), &chunked] {
        for piece_size in [1, 2, 3, 7, 100, 10_000] {
            for hesitates in [false, true] {
                let mut script = Script::new([answer, answer].concat());
                (script.piece_size, script.hesitates) = (piece_size, hesitates);
                if piece_size == 10_000 {
                    // The second answer comes before it is asked for.
                    assert_eq!(dropping(script).unwrap_err(), HttpError::OutOfStep);
                    continue;
                }
                // Never more than one answer at a time where reads are short enough; 100 may cut into the next.
                match dropping(script) {
                    Ok(bytes) => assert_eq!(bytes, [&FILE[4..=13], &FILE[4..=13]].concat()),
                    Err(error) => assert!(error == HttpError::OutOfStep && piece_size > 1, "{error:?}"),
                }
            }
        }
    }
}

/// Two ranges on one connection, each future polled once and dropped.
fn dropping(script: Script) -> Result<Vec<u8>, HttpError> {
    use core::task::Poll;
    use embassy_futures::poll_once;

    let mut buffer = [0; 512];
    let mut session = Session::new(script, &mut buffer, Config::default())?;
    let mut whole = Vec::new();
    for _ in 0..2 {
        block_on(session.send(&url(), &range(4, 13)))?;
        let reply = loop {
            if let Poll::Ready(reply) = poll_once(session.accept()) {
                break reply?;
            }
        };
        assert_eq!(reply.byte_count, 10);
        let (mut block, mut filled) = ([0; 4], 0);
        loop {
            match poll_once(session.next_block(&mut block, &mut filled)) {
                Poll::Pending => {}
                Poll::Ready(Ok(true)) => {
                    whole.extend_from_slice(&block[..filled]);
                    filled = 0;
                }
                Poll::Ready(Ok(false)) => break,
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        assert!(session.is_idle());
    }
    Ok(whole)
}

#[test]
fn a_server_without_ranges_is_used_from_where_the_range_begins() {
    let answer = |size: u32| format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\nabcdefghijklmnopqrst");
    let reply = Reply { byte_count: 10, has_ranges: false, etag: None };
    // The rest of the file is on the line: no other request.
    assert_eq!(fetch(Script::new(answer(SIZE)), 4, 13).unwrap(), (reply, FILE[4..=13].to_vec(), false));
    assert_eq!(fetch(Script::new(answer(SIZE)), 0, 9).unwrap(), (reply, FILE[0..=9].to_vec(), false));
    assert_eq!(fetch(Script::new(answer(SIZE)), 10, 19).unwrap(), (reply, FILE[10..=19].to_vec(), true));
    assert_eq!(fetch(Script::new(answer(SIZE + 1)), 0, 9).unwrap_err(), HttpError::WrongSize);
    assert_eq!(fetch(Script::new(answer(SIZE - 1)), 0, 9).unwrap_err(), HttpError::WrongSize);
    let limited = |skip_max| {
        let config = Config { skip_max, ..Config::default() };
        fetch_with(Script::new(answer(SIZE)), &range(4, 13), config).map(|(_, bytes, _)| bytes)
    };
    assert_eq!(limited(4).unwrap(), FILE[4..=13]);
    assert_eq!(limited(3).unwrap_err(), HttpError::RangesIgnored);
    // In chunks, and until the connection closes.
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nabcdefghijklmnopqrst\r\n0\r\n\r\n";
    assert_eq!(fetch(Script::new(chunked), 10, 19).unwrap(), (reply, FILE[10..=19].to_vec(), true));
    let closing = "HTTP/1.0 200 OK\r\n\r\nabcdefghijklmnopqrst";
    assert_eq!(fetch(Script::new(closing), 10, 19).unwrap(), (reply, FILE[10..=19].to_vec(), false));
}

#[test]
fn a_shorter_range_is_taken_and_another_one_refused() {
    let answer = |value: &str, bytes: &[u8]| {
        let length = format!("Content-Length: {}", bytes.len());
        partial(&format!("Content-Range: {value}"), &length, bytes)
    };
    let (reply, bytes, is_idle) = fetch(Script::new(answer("bytes 4-6/20", b"efg")), 4, 13).unwrap();
    assert_eq!((reply.byte_count, &bytes[..], is_idle), (3, &b"efg"[..], true));
    for (value, expected) in [
        ("bytes 4-13/21", HttpError::WrongSize),
        ("bytes 4-13/*", HttpError::WrongRange),
        ("bytes 5-14/20", HttpError::WrongRange),
        ("bytes 3-12/20", HttpError::WrongRange),
        ("bytes 4-14/20", HttpError::WrongRange),
        ("bytes 4-3/20", HttpError::WrongRange),
        ("bytes 4-4294967299/20", HttpError::WrongRange),
        ("bytes +4-13/20", HttpError::WrongRange),
        ("blocks 4-13/20", HttpError::WrongRange),
        ("4-13/20", HttpError::WrongRange),
        ("bytes 4-13", HttpError::WrongRange),
        ("", HttpError::WrongRange),
        ("bytes 4-12/20", HttpError::WrongLength),
    ] {
        assert_eq!(error_of(answer(value, b"efghijklmn")), Some(expected), "{value}");
    }
    assert_eq!(error_of(partial("", "Content-Length: 10", b"efghijklmn")), Some(HttpError::WrongRange));
    let twice = "Content-Range: bytes 4-13/20\r\nContent-Range: bytes 4-13/20";
    assert_eq!(error_of(partial(twice, "Content-Length: 10", b"efghijklmn")), Some(HttpError::WrongRange));
}

#[test]
fn each_status_has_its_error_and_each_error_its_advice() {
    let expired =
        "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message>";
    let denied = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>xpirxpire";
    let token = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>";
    for (status, header, text, expected, advice) in [
        ("403 Forbidden", "", expired, HttpError::Expired, Advice::Refresh),
        (
            "403 Forbidden",
            "Transfer-Encoding: chunked",
            "10\r\nRequest has expi\r\n3\r\nred\r\n0\r\n\r\n",
            HttpError::Expired,
            Advice::Refresh,
        ),
        ("403 Forbidden", "", denied, HttpError::Forbidden, Advice::Refresh),
        ("403 Forbidden", "Content-Length: 0", "", HttpError::Forbidden, Advice::Refresh),
        ("400 Bad Request", "", token, HttpError::Expired, Advice::Refresh),
        ("400 Bad Request", "", "xpire", HttpError::Status(400), Advice::GiveUp),
        ("401 Unauthorized", "", "", HttpError::Forbidden, Advice::Refresh),
        ("404 Not Found", "Content-Length: 9", "not found", HttpError::NotFound, Advice::GiveUp),
        ("410 Gone", "", "", HttpError::NotFound, Advice::GiveUp),
        (
            "416 Range Not Satisfiable",
            "Content-Range: bytes */3",
            "",
            HttpError::RangeRefused,
            Advice::GiveUp,
        ),
        (
            "429 Too Many Requests",
            "Retry-After: 7",
            "",
            HttpError::Busy { after_s: Some(7) },
            Advice::RetryAfter { after_s: 7 },
        ),
        ("503 Slow Down", "", "", HttpError::Busy { after_s: None }, Advice::Retry),
        (
            "503 Slow Down",
            "Retry-After: Sun, 22 Nov 2026 10:00:00 GMT",
            "",
            HttpError::Busy { after_s: None },
            Advice::Retry,
        ),
        ("503 Slow Down", "Retry-After: 99999999999", "", HttpError::Busy { after_s: None }, Advice::Retry),
        ("500 Internal Error", "", "", HttpError::Server(500), Advice::Retry),
        ("302 Found", "Location: https://other.example/", "", HttpError::RedirectRefused, Advice::GiveUp),
        ("304 Not Modified", "", "", HttpError::Status(304), Advice::GiveUp),
        ("204 No Content", "", "", HttpError::Status(204), Advice::GiveUp),
        ("101 Switching Protocols", "", "", HttpError::BadResponse, Advice::Retry),
        ("999", "", "", HttpError::Status(999), Advice::GiveUp),
        ("206 Partial Content", "Content-Encoding: gzip", "", HttpError::Encoded, Advice::GiveUp),
        (
            "200 OK",
            "Content-Encoding: identity\r\nContent-Encoding: br",
            "",
            HttpError::Encoded,
            Advice::GiveUp,
        ),
        ("200 OK", "Transfer-Encoding: gzip", "", HttpError::BadResponse, Advice::Retry),
        (
            "200 OK",
            "Transfer-Encoding: chunked\r\nContent-Length: 20",
            "",
            HttpError::BadResponse,
            Advice::Retry,
        ),
        (
            "200 OK",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "",
            HttpError::BadResponse,
            Advice::Retry,
        ),
        ("200 OK", "Content-Length: 20\r\nContent-Length: 20", "", HttpError::BadResponse, Advice::Retry),
        ("200 OK", "Content-Length: +20", "", HttpError::BadResponse, Advice::Retry),
    ] {
        let header = if header.is_empty() { "X: y" } else { header };
        let answer = format!("HTTP/1.1 {status}\r\n{header}\r\n\r\n{text}");
        let error = error_of(&answer);
        assert_eq!(error, Some(expected), "{answer}");
        assert_eq!(expected.advice(), advice, "{answer}");
    }
}

#[test]
fn a_changed_etag_says_start_over_and_a_missing_one_nothing() {
    let with_etag = |etag| fetch_with(Script::new(S3), &range(4, 13).with_etag(etag), Config::default());
    assert_eq!(with_etag(Etag::of(ETAG)).unwrap().1, FILE[4..=13]);
    assert_eq!(with_etag(Etag::of(b"\"other\"")).unwrap_err(), HttpError::Changed);
    assert_eq!(HttpError::Changed.advice(), Advice::StartOver);
    let none = partial("Content-Range: bytes 4-13/20", "Content-Length: 10", b"efghijklmn");
    let request = range(4, 13).with_etag(Etag::of(ETAG));
    let (reply, ..) = fetch_with(Script::new(none), &request, Config::default()).unwrap();
    assert_eq!(reply.etag, Etag::of(ETAG));
    assert_eq!((Etag::of(b""), Etag::of(&[b'"'; 257])), (None, None));
    assert!(Etag::of(&[b'"'; 256]).is_some());
}

#[test]
fn a_connection_that_closes_carries_no_other_range() {
    for header in ["Connection: close", "Connection: Keep-Alive, Close"] {
        let more = format!("Content-Length: 10\r\n{header}");
        let answer = partial("Content-Range: bytes 4-13/20", &more, b"efghijklmn");
        let mut buffer = [0; 512];
        let mut session = Session::new(Script::new(answer), &mut buffer, Config::default()).unwrap();
        block_on(session.open(&url(), &range(4, 13))).unwrap();
        assert_eq!(body(&mut session, 8).unwrap(), FILE[4..=13]);
        assert!(!session.is_idle());
        assert_eq!(block_on(session.open(&url(), &range(4, 13))), Err(HttpError::OutOfStep));
    }
}

#[test]
fn a_dropped_request_or_an_unread_body_is_noticed() {
    let mut script = Script::new(S3);
    script.write_limit = 30;
    let mut buffer = [0; 512];
    let mut session = Session::new(script, &mut buffer, Config::default()).unwrap();
    assert!(embassy_futures::poll_once(session.send(&url(), &range(4, 13))).is_pending());
    assert!(!session.is_idle());
    assert_eq!(block_on(session.accept()), Err(HttpError::OutOfStep));
    assert_eq!(block_on(session.send(&url(), &range(4, 13))), Err(HttpError::OutOfStep));
    let mut buffer = [0; 512];
    let mut session = Session::new(Script::new(S3), &mut buffer, Config::default()).unwrap();
    assert_eq!(block_on(session.accept()), Err(HttpError::OutOfStep), "nothing was asked for");
    let mut session = Session::new(Script::new(S3), &mut buffer, Config::default()).unwrap();
    block_on(session.open(&url(), &range(4, 13))).unwrap();
    assert_eq!(block_on(session.read(&mut [0; 9])), Ok(9));
    assert!(!session.is_idle());
    assert_eq!(block_on(session.send(&url(), &range(4, 13))), Err(HttpError::OutOfStep));
    assert_eq!(block_on(session.read(&mut [0; 9])), Err(HttpError::OutOfStep));
}

#[test]
fn interim_answers_are_passed_over_but_not_for_ever() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let (_, bytes, is_idle) = fetch(Script::new(interim.repeat(8) + S3), 4, 13).unwrap();
    assert_eq!((&bytes[..], is_idle), (&FILE[4..=13], true));
    assert_eq!(error_of(interim.repeat(9) + S3), Some(HttpError::BadResponse));
}

#[test]
fn a_redirect_is_followed_once_and_never_out_of_tls() {
    let follow = |from: &Url<'_>, location: &str, size: usize| {
        let answer =
            format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let (mut buffer, mut place) = ([0; 512], std::vec![0; size]);
        let config = Config { redirects: Redirects::FollowOnce, ..Config::default() };
        let mut session = Session::new(Script::new(answer), &mut buffer, config).unwrap();
        let error = block_on(session.open(from, &range(4, 13))).unwrap_err();
        if error != HttpError::Redirect {
            return Err(error);
        }
        assert_eq!(error.advice(), Advice::Follow);
        let next = session.redirect(from, &mut place)?;
        // Once: a session on the new address refuses the next one.
        let again = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
        let mut buffer = [0; 512];
        let mut session = Session::new(Script::new(again), &mut buffer, config).unwrap();
        assert_eq!(block_on(session.open(&next, &range(4, 13))), Err(HttpError::RedirectRefused));
        Ok((format!("{}:{}", next.host(), next.port()), next.target().into()))
    };
    let target = |host: &str, path: &str| Ok((host.into(), path.into()));
    let from = url();
    assert_eq!(follow(&from, "https://other.example/a?b=c", 100), target("other.example:443", "/a?b=c"));
    assert_eq!(follow(&from, "//other.example:8443/a", 100), target("other.example:8443", "/a"));
    assert_eq!(follow(&from, "/moved?x", 100), target("bucket.example:443", "/moved?x"));
    // "https://bucket.example/moved?x" has 30 bytes.
    assert_eq!(follow(&from, "/moved?x", 30), target("bucket.example:443", "/moved?x"));
    assert_eq!(follow(&from, "/moved?x", 29), Err(HttpError::BadLocation));
    for location in
        ["http://bucket.example/a", "moved", "", "https://user@other.example/", "https://a b/", "///"]
    {
        assert_eq!(follow(&from, location, 100), Err(HttpError::BadLocation), "{location}");
    }
    let plain = Url::parse("http://10.0.0.1:8080/a", Schemes::InsecureHttpForTests).unwrap();
    assert_eq!(follow(&plain, "/b", 100), target("10.0.0.1:8080", "/b"));
}

#[test]
fn limits_of_a_request() {
    let new = |from, to, size| RangeRequest::new(from, to, size).is_ok();
    assert!(new(0, 0, 1) && new(0, u32::MAX - 1, u32::MAX) && new(u32::MAX - 1, u32::MAX - 1, u32::MAX));
    assert!(!new(0, 0, 0) && !new(1, 0, 2) && !new(0, 2, 2) && !new(0, u32::MAX, u32::MAX));
    let mut short = [0; super::super::BUFFER_MIN - 1];
    assert!(Session::new(Script::new(""), &mut short, Config::default()).is_err());
    assert!(size_of::<HttpError>() <= 8);
}

#[test]
fn the_plane_asks_for_the_rest_of_a_range_that_was_split() {
    use super::script::Host;
    use crate::http::{Http, HttpConfig};
    use crate::transport::{RangeError, RangeSession, Ranges};

    let first = partial("Content-Range: bytes 4-6/20", "Content-Length: 3", b"efg");
    let second = partial("Content-Range: bytes 7-13/20", "Content-Length: 7", b"hijklmn");
    let mut script = Script::new([first, second].concat());
    // Else the second answer would come before it is asked for.
    script.piece_size = 1;
    let (mut head, mut place) = ([0; 512], [0; 100]);
    let text = "https://bucket.example/fw.bin?x=y";
    let mut http = Http::new(Host(Some(script)), HttpConfig::default(), &mut head, &mut place).unwrap();
    assert_eq!(block_on(http.connect()).err(), Some(RangeError::Refused), "no target yet");
    http.target(text).unwrap();
    let mut session = block_on(http.connect()).unwrap();
    session.request(text, 4, 14, SIZE).unwrap();
    let mut block = [0; 10];
    block_on(session.read(&mut block)).unwrap();
    assert_eq!(block, FILE[4..=13]);
    assert_eq!(session.request(&format!("{text}{}", "z".repeat(100)), 0, 1, SIZE), Err(RangeError::Refused));
}
