//! Against the file server of ota-sim.

use ota_core::http::{Advice, Config, HttpError, RangeRequest, Redirects, Session};
use ota_sim::https::{FileServer, FileServerConfig, HttpFault};
use ota_sim::net::Certificates;
use tokio::time::timeout;

use super::{BLOCK_SIZE, PATIENCE, SIZE, download, file, plain, range, secure, url};

const PATH: &str = "/fw/app.bin";

async fn server(config: FileServerConfig) -> FileServer {
    let server = FileServer::start(config).await.unwrap();
    server.put(PATH, file(SIZE));
    server
}

/// One range over a new connection in the clear.
async fn one(server: &FileServer, from: u32, to: u32) -> Result<Vec<u8>, HttpError> {
    let text = server.plain_url(PATH);
    let url = url(&text);
    let mut buffer = [0; 1024];
    let mut session = Session::new(plain(&url).await.unwrap(), &mut buffer, Config::default())?;
    let mut bytes = Vec::new();
    let request = RangeRequest::new(from, to, SIZE)?;
    let got = range(&mut session, &url, &request, |block| bytes.extend_from_slice(block));
    timeout(PATIENCE, got).await.unwrap()?;
    Ok(bytes)
}

#[tokio::test]
async fn a_file_in_ranges_of_any_length_over_one_connection() {
    let server = server(FileServerConfig::default()).await;
    for range_size in [SIZE, 65_536, 16_384, 3001] {
        let text = server.plain_url(PATH);
        let url = url(&text);
        let got = download(plain(&url).await.unwrap(), &url, SIZE, range_size);
        assert!(timeout(PATIENCE, got).await.unwrap() == Ok(file(SIZE)), "ranges of {range_size}");
    }
    // The server closed in between if one connection carried 100 ranges of 3001 bytes.
    assert_eq!(server.served().len(), 1 + 5 + 19 + 100);
    assert!(server.served().iter().all(|served| served.status == 206));
}

#[tokio::test]
async fn the_last_answer_before_the_server_closes_says_so() {
    let config = FileServerConfig { requests_per_connection: 3, ..FileServerConfig::default() };
    let server = server(config).await;
    let text = server.plain_url(PATH);
    let url = url(&text);
    let mut buffer = [0; 1024];
    let mut session = Session::new(plain(&url).await.unwrap(), &mut buffer, Config::default()).unwrap();
    for number in 1..=3 {
        let request = RangeRequest::new(0, 9, SIZE).unwrap();
        timeout(PATIENCE, range(&mut session, &url, &request, |_| ())).await.unwrap().unwrap();
        assert_eq!(session.is_idle(), number < 3);
    }
}

#[tokio::test]
async fn over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::create(folder.path(), "dev-7", &[]).unwrap();
    let config = FileServerConfig { tls: Some((0, files.clone())), ..FileServerConfig::default() };
    let server = server(config).await;
    let text = server.url(PATH);
    let url = url(&text);
    let got = download(secure(&url, &files).await.unwrap(), &url, SIZE, 65_536);
    assert!(timeout(PATIENCE, got).await.unwrap() == Ok(file(SIZE)));
    assert!(server.served().iter().all(|served| served.over_tls));
}

#[tokio::test]
async fn a_url_of_two_kilobytes_works_and_a_changed_one_does_not() {
    let config = FileServerConfig { url_token_size: 2000, ..FileServerConfig::default() };
    let server = server(config).await;
    assert!(server.plain_url(PATH).len() > 2048);
    assert_eq!(one(&server, 5, 14).await.unwrap(), file(SIZE)[5..=14]);
    let text = server.plain_url(PATH).replace("=1800", "=3600");
    let url = url(&text);
    let refused = download(plain(&url).await.unwrap(), &url, SIZE, SIZE);
    assert_eq!(timeout(PATIENCE, refused).await.unwrap(), Err(HttpError::Forbidden));
}

#[tokio::test]
async fn an_expired_url_is_told_from_a_forbidden_one_and_a_new_one_goes_on() {
    let config = FileServerConfig { url_expires_s: 60, ..FileServerConfig::default() };
    let server = server(config).await;
    let old = server.plain_url(PATH);
    let url = url(&old);
    server.advance_s(61);
    let refused = download(plain(&url).await.unwrap(), &url, SIZE, SIZE);
    assert_eq!(timeout(PATIENCE, refused).await.unwrap(), Err(HttpError::Expired));
    assert_eq!(HttpError::Expired.advice(), Advice::Refresh);
    assert_eq!(one(&server, 100, 199).await.unwrap(), file(SIZE)[100..=199]);
}

#[tokio::test]
async fn each_fault_is_seen_for_what_it_is() {
    let server = server(FileServerConfig::default()).await;
    let status = HttpFault::Status;
    for (fault, expected) in [
        (status(404), HttpError::NotFound),
        (status(416), HttpError::RangeRefused),
        (status(500), HttpError::Server(500)),
        (status(418), HttpError::Status(418)),
        (HttpFault::Expired, HttpError::Expired),
        (HttpFault::Busy { status: 503, after_s: Some(7) }, HttpError::Busy { after_s: Some(7) }),
        (HttpFault::Busy { status: 429, after_s: None }, HttpError::Busy { after_s: None }),
        (HttpFault::Redirect("https://localhost/".into()), HttpError::RedirectRefused),
        (HttpFault::WrongLength(1), HttpError::WrongLength),
        (HttpFault::WrongLength(-1), HttpError::WrongLength),
        (HttpFault::WrongRange(1), HttpError::WrongRange),
        (HttpFault::WrongSize(7), HttpError::WrongSize),
        (HttpFault::Encoded, HttpError::Encoded),
        (HttpFault::CloseAfter(0), HttpError::Truncated),
        (HttpFault::CloseAfter(50_000), HttpError::Truncated),
    ] {
        server.fault(fault.clone());
        assert_eq!(one(&server, 0, 99_999).await, Err(expected), "{fault:?}");
    }
    let end = SIZE - 1;
    for fault in [HttpFault::Chunked, HttpFault::IgnoreRange, HttpFault::ConnectionClose] {
        for (from, to) in [(0, 99_999), (100_000, end)] {
            server.fault(fault.clone());
            let expected = &file(SIZE)[from as usize..=to as usize];
            assert!(one(&server, from, to).await.unwrap() == expected, "{fault:?} {from}");
        }
    }
}

#[tokio::test]
async fn bytes_before_a_cut_arrive() {
    let config = FileServerConfig { range_limit: Some(65_536), ..FileServerConfig::default() };
    let server = server(config).await;
    let text = server.plain_url(PATH);
    let url = url(&text);
    let mut whole = Vec::new();
    let mut connection_count = 0;
    while whole.len() < SIZE as usize {
        let mut buffer = [0; 1024];
        let mut session = Session::new(plain(&url).await.unwrap(), &mut buffer, Config::default()).unwrap();
        let request = RangeRequest::new(whole.len() as u32, SIZE - 1, SIZE).unwrap();
        let got = range(&mut session, &url, &request, |block| whole.extend_from_slice(block));
        let result = timeout(PATIENCE, got).await.unwrap();
        connection_count += 1;
        assert!(matches!(result, Ok(_) | Err(HttpError::Truncated)), "{result:?}");
    }
    assert!(whole == file(SIZE));
    assert_eq!(connection_count, SIZE.div_ceil(65_536));
    assert_eq!(server.sent(PATH), u64::from(SIZE), "nothing twice");
}

#[tokio::test]
async fn a_server_that_dies_is_gone_for_good() {
    let config = FileServerConfig { die_at_percent: Some(40), ..FileServerConfig::default() };
    let server = server(config).await;
    assert_eq!(one(&server, 0, SIZE - 1).await, Err(HttpError::Truncated));
    assert_eq!(server.sent(PATH), u64::from(SIZE) * 40 / 100);
    assert!(matches!(one(&server, 0, 9).await, Err(HttpError::Closed | HttpError::Stream(_))));
}

#[tokio::test]
async fn a_changed_file_is_noticed_on_the_same_connection() {
    let server = server(FileServerConfig::default()).await;
    let text = server.plain_url(PATH);
    let url = url(&text);
    let mut buffer = [0; 1024];
    let mut session = Session::new(plain(&url).await.unwrap(), &mut buffer, Config::default()).unwrap();
    let request = RangeRequest::new(0, 9, SIZE).unwrap();
    let etag = range(&mut session, &url, &request, |_| ()).await.unwrap();
    assert!(etag.is_some());
    server.fault(HttpFault::NewEtag);
    let request = request.with_etag(etag);
    assert_eq!(range(&mut session, &url, &request, |_| ()).await, Err(HttpError::Changed));
    assert_eq!(HttpError::Changed.advice(), Advice::StartOver);
}

#[tokio::test]
async fn a_redirect_is_followed_to_the_other_server() {
    let first = server(FileServerConfig::default()).await;
    let second = server(FileServerConfig::default()).await;
    first.fault(HttpFault::Redirect(second.plain_url(PATH)));
    let text = first.plain_url(PATH);
    let from = url(&text);
    let config = Config { redirects: Redirects::FollowOnce, ..Config::default() };
    let mut buffer = [0; 1024];
    let mut session = Session::new(plain(&from).await.unwrap(), &mut buffer, config).unwrap();
    let request = RangeRequest::new(10, 19, SIZE).unwrap();
    assert_eq!(session.open(&from, &request).await, Err(HttpError::Redirect));
    let mut place = [0; 512];
    let next = session.redirect(&from, &mut place).unwrap();
    assert!(!next.same_origin(&from));
    drop(session);
    let mut session = Session::new(plain(&next).await.unwrap(), &mut buffer, config).unwrap();
    let mut bytes = Vec::new();
    range(&mut session, &next, &request, |block| bytes.extend_from_slice(block)).await.unwrap();
    assert_eq!(bytes, file(SIZE)[10..=19]);
}

/// The driver waits for the broker and for the body at once; whichever comes first, the other's future is dropped.
#[tokio::test]
async fn a_body_survives_being_dropped_for_other_work_all_the_time() {
    // Over TLS the records arrive in pieces too.
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::create(folder.path(), "dev-7", &[]).unwrap();
    let config = FileServerConfig {
        tls: Some((0, files.clone())),
        bytes_per_s: Some(4_000_000),
        ..FileServerConfig::default()
    };
    let server = server(config).await;
    let text = server.url(PATH);
    let url = url(&text);
    let mut buffer = [0; 1024];
    let stream = secure(&url, &files).await.unwrap();
    let mut session = Session::new(stream, &mut buffer, Config::default()).unwrap();
    session.send(&url, &RangeRequest::new(0, SIZE - 1, SIZE).unwrap()).await.unwrap();
    let mut whole = Vec::new();
    let mut drop_count = 0;
    let work = async {
        loop {
            tokio::select! {
                biased;
                reply = session.accept() => break reply.map(|_| ()).unwrap(),
                () = tokio::task::yield_now() => drop_count += 1,
            }
        }
        let (mut block, mut filled) = ([0; BLOCK_SIZE], 0);
        loop {
            tokio::select! {
                biased;
                more = session.next_block(&mut block, &mut filled) => {
                    if !more.unwrap() {
                        break;
                    }
                    whole.extend_from_slice(&block[..filled]);
                    filled = 0;
                }
                () = tokio::task::yield_now() => drop_count += 1,
            }
        }
    };
    timeout(PATIENCE, work).await.unwrap();
    assert!(whole == file(SIZE));
    assert!(drop_count > 10, "{drop_count}");
}

#[tokio::test]
async fn a_stalled_body_waits_for_the_caller_to_give_up() {
    let server = server(FileServerConfig::default()).await;
    server.fault(HttpFault::StallAfter(10_000));
    let text = server.plain_url(PATH);
    let url = url(&text);
    let mut buffer = [0; 1024];
    let mut session = Session::new(plain(&url).await.unwrap(), &mut buffer, Config::default()).unwrap();
    session.open(&url, &RangeRequest::new(0, SIZE - 1, SIZE).unwrap()).await.unwrap();
    let mut bytes = vec![0; 10_000];
    let mut filled = 0;
    assert_eq!(timeout(PATIENCE, session.next_block(&mut bytes, &mut filled)).await.unwrap(), Ok(true));
    assert!(bytes == file(SIZE)[..10_000]);
    let more = timeout(std::time::Duration::from_millis(50), session.read(&mut [0])).await;
    assert!(more.is_err(), "{more:?}");
}
