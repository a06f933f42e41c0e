//! Bytes no honest server sends: refused in bounded time, never a panic.

extern crate std;

use std::format;
use std::vec::Vec;

use embassy_futures::block_on;

use super::script::{FILE, Script, Then, error_of, fetch, partial};
use crate::http::HttpError;

/// More than this is never taken from a server that does not stop.
const PATIENCE: usize = 16 * 1024;

fn fetch_endless(answer: impl AsRef<[u8]>, byte: u8) -> Result<(Vec<u8>, bool), HttpError> {
    let mut script = Script::new(answer);
    script.then = Then::Endless(byte);
    fetch(script, 4, 13).map(|(_, bytes, is_idle)| (bytes, is_idle))
}

#[test]
fn every_truncation_is_an_error() {
    let length = partial("Content-Range: bytes 4-13/20", "Content-Length: 10", b"efghijklmn");
    let chunked = partial(
        "Content-Range: bytes 4-13/20",
        "Transfer-Encoding: chunked",
        b"a\r\nefghijklmn\r\n0\r\nTrailer: x\r\n\r\n",
    );
    for answer in [length, chunked] {
        let head_size = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        for size in 0..answer.len() {
            let expected = if size < head_size { HttpError::Closed } else { HttpError::Truncated };
            assert_eq!(error_of(&answer[..size]), Some(expected), "{size} of {}", answer.len());
        }
        assert_eq!(error_of(&answer), None);
    }
    // Where only the end of the connection ends the body, the range tells how much must come.
    let closing = partial("Content-Range: bytes 4-13/20", "", b"efghijklmn");
    assert_eq!(error_of(&closing), None);
    assert_eq!(error_of(&closing[..closing.len() - 1]), Some(HttpError::Truncated));
}

#[test]
fn garbage_is_refused_at_its_first_byte() {
    for garbage in [
        &b"\x15\x03\x03\x00\x02\x02\x28"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"http/1.1 206 x\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 206 Partial Content\r\n\r\n",
        b"HTTP/1.1 20 x\r\n\r\n",
        b"HTTP/1.1 abc x\r\n\r\n",
        b"HTTP/1.1 206\0 x\r\n\r\n",
        b"HTTP/1.2 206 x\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 206 x\r\n: y\r\n\r\n",
        b"HTTP/1.1 206 x\r\nA B: y\r\n\r\n",
        b"HTTP/1.1 206 x\r\nA\r\n\r\n",
        b"HTTP/1.1 206 x\r\nA: \x01\r\n\r\n",
        b"HTTP/1.1 206 x\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 206 x\r\nContent-Length: \xff\r\n\r\n",
        b"HTTP/1.1 206 x\r\nContent-Length:\r\n\r\n",
        b"HTTP/1.1 206 x\r\nContent-Length: 10, 10\r\n\r\n",
        b"HTTP/1.1 206 x\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 206 x\r\nContent-Length: 18446744073709551616\r\n\r\n",
        b"HTTP/1.1 206 x\r\nTransfer-Encoding: \xff\r\n\r\n",
        b"HTTP/1.1 206 x\r\nKeep-Alive: \xff\r\n\r\n",
        b"HTTP/1.0 206 x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(error_of(garbage), Some(HttpError::BadResponse), "{}", garbage.escape_ascii());
    }
    // Without waiting for more.
    assert_eq!(fetch_endless(b"\x15\x03", 0), Err(HttpError::BadResponse));
}

#[test]
fn a_head_without_end_is_refused() {
    assert_eq!(fetch_endless("HTTP/1.1 206 Partial Content\r\nX: ", b'x'), Err(HttpError::HeadTooLong));
    assert_eq!(fetch_endless("HTTP/1.1 206 ", b' '), Err(HttpError::HeadTooLong));
    assert_eq!(fetch_endless("HTTP/1.1 206 x", b'\r'), Err(HttpError::HeadTooLong));
    // The buffer of 512 bytes holds the head of 512 and no longer one.
    let head = |size: usize| {
        let start =
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-13/20\r\nContent-Length: 10\r\nX: ";
        format!("{start}{}\r\n\r\nefghijklmn", "x".repeat(size - start.len() - 4))
    };
    assert_eq!(error_of(head(512)), None);
    assert_eq!(error_of(head(513)), Some(HttpError::HeadTooLong));
    // More headers than the parser's table has places for.
    let many = format!("HTTP/1.1 206 x\r\n{}\r\n", "A:b\r\n".repeat(65));
    assert_eq!(error_of(many), Some(HttpError::BadResponse));
}

#[test]
fn a_body_without_end_is_read_no_further_than_the_range() {
    let good: Result<_, HttpError> = Ok((FILE[4..=13].to_vec(), true));
    let length = partial("Content-Range: bytes 4-13/20", "Content-Length: 10", b"efghijklmn");
    assert_eq!(fetch_endless(&length, b'!'), good);
    let until_close = partial("Content-Range: bytes 4-13/20", "", b"efghijklmn");
    assert_eq!(fetch_endless(&until_close, b'!'), Ok((FILE[4..=13].to_vec(), false)));
    let longer = partial("Content-Range: bytes 4-13/20", "Content-Length: 11", b"efghijklmn!");
    assert_eq!(error_of(longer), Some(HttpError::WrongLength));
    let chunked = |chunks: &str| {
        partial("Content-Range: bytes 4-13/20", "Transfer-Encoding: chunked", chunks.as_bytes())
    };
    assert_eq!(error_of(chunked("b\r\nefghijklmn!\r\n0\r\n\r\n")), Some(HttpError::WrongLength));
    assert_eq!(error_of(chunked("9\r\nefghijklm\r\n0\r\n\r\n")), Some(HttpError::WrongLength));
    // Lines between chunks, and trailers, without end.
    for (chunks, byte) in
        [("a;", b'x'), ("", b'0'), ("a\r\nefghijklmn\r\n0\r\n", b'x'), ("a\r\nefghijklmn", b'\r')]
    {
        assert_eq!(fetch_endless(chunked(chunks), byte), Err(HttpError::BadResponse), "{chunks}");
    }
    let trailers = |count| chunked(&format!("a\r\nefghijklmn\r\n0\r\n{}\r\n", "A: b\r\n".repeat(count)));
    assert_eq!(error_of(trailers(16)), None);
    assert_eq!(error_of(trailers(17)), Some(HttpError::BadResponse));
}

#[test]
fn bad_chunks_are_refused() {
    for chunks in [
        "\r\n",
        "\n",
        "-1\r\n",
        "x\r\n",
        " a\r\nefghijklmn",
        "100000000\r\n",
        ";x\r\n",
        "a\r\nefghijklmn0\r\n",
        "a\r\nefghijklmn\r\r\n0\r\n\r\n",
    ] {
        let answer = partial("Content-Range: bytes 4-13/20", "Transfer-Encoding: chunked", chunks.as_bytes());
        assert_eq!(error_of(answer), Some(HttpError::BadResponse), "{chunks:?}");
    }
    let upper = partial(
        "Content-Range: bytes 4-13/20",
        "Transfer-Encoding: chunked",
        b"0000A\r\nefghijklmn\r\n00\r\n\r\n",
    );
    assert_eq!(error_of(upper), None);
}

#[test]
fn a_refusal_without_end_is_read_for_a_while() {
    for head in ["HTTP/1.1 403 x\r\n\r\n", "HTTP/1.1 403 x\r\nContent-Length: 4294967295\r\n\r\n"] {
        let mut buffer = [0; 512];
        let mut script = Script::new(head);
        script.then = Then::Endless(b'x');
        let mut session = crate::http::Session::new(script, &mut buffer, Default::default()).unwrap();
        let (url, range) = (super::script::url(), super::script::range(4, 13));
        assert_eq!(block_on(session.open(&url, &range)), Err(HttpError::Forbidden));
        assert!(session.into_stream().given_count < PATIENCE);
    }
}

/// Damage in every place of every answer: an error or the right bytes, except where the file's own bytes were damaged.
#[test]
fn random_damage_never_panics_nor_hangs() {
    let chunked = partial(
        "Content-Range: bytes 4-13/20",
        "Transfer-Encoding: chunked\r\nETag: \"x\"\r\nConnection: keep-alive",
        b"4\r\nefgh\r\n6;x=y\r\nijklmn\r\n0\r\nTrailer: x\r\n\r\n",
    );
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nabcdefghijklmnopqrst".to_vec();
    let seed: u64 = 0x6f74_615f_6874_7470;
    let mut random = seed;
    let mut next = |below: usize| {
        // xorshift64*
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    };
    let mut good_count = 0;
    for round in 0..20_000 {
        let mut answer = if round % 2 == 0 { chunked.clone() } else { whole.clone() };
        for _ in 0..=next(3) {
            let at = next(answer.len());
            match next(4) {
                0 => answer[at] = b"\r\n0:;, -fF\xff\0"[next(12)],
                1 => answer[at] ^= 1 << next(8),
                2 if answer.len() > 1 => drop(answer.remove(at)),
                _ => answer.truncate(at.max(1)),
            }
        }
        let mut script = Script::new(&answer);
        script.piece_size = 1 + next(64);
        if next(2) == 0 {
            script.then = Then::Endless(b"x\r\n0"[next(4)]);
        }
        match fetch(script, 4, 13) {
            Ok((reply, bytes, _)) => {
                good_count += 1;
                assert_eq!(bytes.len(), reply.byte_count as usize, "seed {seed:#x}, round {round}");
            }
            Err(error) => assert!(!matches!(error, HttpError::Request), "seed {seed:#x}, round {round}"),
        }
    }
    assert!((500..19_000).contains(&good_count), "{good_count} of 20000 survived");
}
