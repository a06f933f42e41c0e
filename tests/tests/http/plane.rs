//! The plane as the driver uses it, against the file server of ota-sim.

use std::io;

use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::http::{Http, HttpConfig, Redirects, Schemes};
use ota_core::open::{Endpoint, Open, Security};
use ota_core::transport::{RangeError, RangeSession, Ranges};
use ota_sim::conformance::{RangesSpec, ranges};
use ota_sim::https::{FileServer, FileServerConfig, HttpFault};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, SIZE, file};

const PATH: &str = "/fw/app.bin";

/// Counts the connections it makes.
struct Tcp(u32);

impl Open for Tcp {
    type Error = io::Error;
    type Io<'s> = FromTokio<TcpStream>;

    async fn open(&mut self, to: Endpoint<'_>) -> io::Result<FromTokio<TcpStream>> {
        assert_eq!(to.security, Security::Plain);
        self.0 += 1;
        let stream = TcpStream::connect((to.host, to.port)).await?;
        stream.set_nodelay(true)?;
        Ok(FromTokio::new(stream))
    }
}

const CONFIG: HttpConfig = HttpConfig {
    schemes: Schemes::InsecureHttpForTests,
    connect_timeout_ms: 10_000,
    skip_max: u32::MAX,
    redirects: Redirects::Refuse,
};

async fn server(config: FileServerConfig) -> FileServer {
    let server = FileServer::start(config).await.unwrap();
    server.put(PATH, file(SIZE));
    server
}

/// Connects if need be, asks for `from..to` and reads it in blocks, counting on `held` what arrived.
async fn fetch<R: Ranges>(
    http: &mut R,
    url: &str,
    (from, to): (u32, u32),
    held: &mut Vec<u8>,
) -> Result<(), RangeError> {
    http.target(url)?;
    let mut session = http.connect().await?;
    session.request(url, from, to, SIZE)?;
    let mut at = from;
    while at < to {
        let mut block = vec![0; 4096.min(to - at) as usize];
        session.read(&mut block).await?;
        at += block.len() as u32;
        held.extend_from_slice(&block);
    }
    Ok(())
}

#[tokio::test]
async fn ranges_follow_each_other_on_one_connection_however_they_come() {
    let server = server(FileServerConfig { url_token_size: 2000, ..FileServerConfig::default() }).await;
    let (mut head, mut place) = ([0; 1024], [0; 3000]);
    let mut http = Http::new(Tcp(0), CONFIG, &mut head, &mut place).unwrap();
    let mut held = Vec::new();
    let work = async {
        http.target(&server.url(PATH)).unwrap();
        let mut session = http.connect().await.unwrap();
        for from in (0..SIZE).step_by(50_000) {
            // The end of a chunked body must not be left on the line.
            if from % 100_000 == 0 {
                server.fault(HttpFault::Chunked);
            }
            let to = (from + 50_000).min(SIZE);
            // Each range with a URL of its own, as after a refresh.
            session.request(&server.url(PATH), from, to, SIZE).unwrap();
            let mut range = vec![0; (to - from) as usize];
            session.read(&mut range).await.unwrap();
            held.extend_from_slice(&range);
        }
    };
    timeout(PATIENCE, work).await.unwrap();
    assert!(held == file(SIZE));
    assert_eq!(http.opener().0, 1);
}

#[tokio::test]
async fn cut_again_and_again_it_goes_on_where_it_was() {
    let server = server(FileServerConfig { range_limit: Some(65_536), ..FileServerConfig::default() }).await;
    let (mut head, mut place) = ([0; 1024], [0; 1024]);
    let mut http = Http::new(Tcp(0), CONFIG, &mut head, &mut place).unwrap();
    let mut held = Vec::new();
    for _ in 0..SIZE.div_ceil(65_536) {
        let from = held.len() as u32;
        let url = server.url(PATH);
        let got = fetch(&mut http, &url, (from, SIZE), &mut held);
        let result = timeout(PATIENCE, got).await.unwrap();
        assert!(matches!(result, Ok(()) | Err(RangeError::Lost)), "{result:?}");
    }
    assert!(held == file(SIZE));
    assert_eq!(server.sent(PATH), u64::from(SIZE));
}

#[tokio::test]
async fn errors_say_what_helps() {
    let server = server(FileServerConfig { url_expires_s: 60, ..FileServerConfig::default() }).await;
    let other = FileServer::start(FileServerConfig::default()).await.unwrap();
    let (mut head, mut place) = ([0; 1024], [0; 1024]);
    let mut http = Http::new(Tcp(0), CONFIG, &mut head, &mut place).unwrap();
    let mut held = Vec::new();
    let mut one = async |url: &str| fetch(&mut http, url, (10, 20), &mut held).await;
    let url = server.url(PATH);
    assert_eq!(one(&url).await, Ok(()));
    for (fault, expected) in [
        (HttpFault::Status(404), RangeError::NotFound),
        (HttpFault::Status(500), RangeError::Lost),
        (HttpFault::Busy { status: 429, after_s: Some(3) }, RangeError::Busy { after_ms: 3000 }),
        (HttpFault::Encoded, RangeError::Refused),
        (HttpFault::WrongSize(5), RangeError::Changed),
        (HttpFault::CloseAfter(9), RangeError::Lost),
    ] {
        server.fault(fault.clone());
        assert_eq!(one(&url).await, Err(expected), "{fault:?}");
    }
    // Another file: said once, then taken as it is; a new signature does not make it another one.
    server.fault(HttpFault::NewEtag);
    assert_eq!(one(&server.url(PATH)).await, Err(RangeError::Changed));
    assert_eq!(one(&url).await, Ok(()));
    server.advance_s(61);
    assert_eq!(one(&url).await, Err(RangeError::Expired));
    assert_eq!(one(&server.url(PATH)).await, Ok(()));
    assert_eq!(one("https://user@localhost/").await, Err(RangeError::Refused));
    // Two servers, one connection: the request belongs to the server connected to.
    http.target(&server.url(PATH)).unwrap();
    let mut session = http.connect().await.unwrap();
    assert_eq!(session.request(&other.url(PATH), 0, 9, SIZE), Err(RangeError::Lost));
    assert_eq!(session.request(&server.url(PATH), 0, 0, SIZE), Err(RangeError::Refused));
    assert_eq!(session.request(&server.url(PATH), 0, SIZE + 1, SIZE), Err(RangeError::Refused));
    assert_eq!(session.read(&mut [0]).await, Err(RangeError::Lost), "nothing was asked for");
    drop(session);
    // Nobody listens there any more.
    let url = other.url(PATH);
    drop(other);
    tokio::task::yield_now().await;
    assert_eq!(http.target(&url), Ok(()));
    assert!(matches!(http.connect().await, Err(RangeError::Lost)));
    // Plain http only where it is asked for.
    let (mut head, mut place) = ([0; 1024], [0; 1024]);
    let mut http = Http::new(Tcp(0), HttpConfig::default(), &mut head, &mut place).unwrap();
    assert_eq!(http.target("http://localhost/fw"), Err(RangeError::Refused));
}

#[tokio::test]
async fn one_redirect_is_followed_where_policy_says_so() {
    let (first, second) =
        (server(FileServerConfig::default()).await, server(FileServerConfig::default()).await);
    let work = async {
        for redirects in [Redirects::Refuse, Redirects::FollowOnce] {
            let (mut head, mut place) = ([0; 1024], [0; 2048]);
            let config = HttpConfig { redirects, ..CONFIG };
            let mut http = Http::new(Tcp(0), config, &mut head, &mut place).unwrap();
            let url = first.url(PATH);
            let mut held = Vec::new();
            first.fault(HttpFault::Redirect(second.url(PATH)));
            let result = fetch(&mut http, &url, (0, 10_000), &mut held).await;
            if redirects == Redirects::Refuse {
                assert_eq!(result, Err(RangeError::Refused));
                continue;
            }
            // The next connection goes there, and the ones after it.
            assert_eq!(result, Err(RangeError::Lost));
            fetch(&mut http, &url, (0, 10_000), &mut held).await.unwrap();
            fetch(&mut http, &url, (10_000, SIZE), &mut held).await.unwrap();
            assert!(held == file(SIZE));
            assert_eq!((first.sent(PATH), second.sent(PATH)), (0, u64::from(SIZE)));
            // No second one from there.
            second.fault(HttpFault::Redirect(first.url(PATH)));
            assert_eq!(fetch(&mut http, &url, (0, 10), &mut held).await, Err(RangeError::Refused));
            // What failed there is asked where the URL says, and so is a URL with another signature.
            fetch(&mut http, &url, (0, 10), &mut held).await.unwrap();
            assert_eq!(first.sent(PATH), 10);
            first.fault(HttpFault::Redirect(second.url(PATH)));
            assert_eq!(fetch(&mut http, &url, (0, 10), &mut held).await, Err(RangeError::Lost));
            first.advance_s(1);
            fetch(&mut http, &first.url(PATH), (0, 20), &mut held).await.unwrap();
            assert_eq!((first.sent(PATH), second.sent(PATH)), (30, u64::from(SIZE)));
            // Nowhere to follow to.
            first.fault(HttpFault::Redirect("ftp://bucket.example/fw".into()));
            assert_eq!(fetch(&mut http, &url, (0, 10), &mut held).await, Err(RangeError::Refused));
        }
    };
    timeout(PATIENCE, work).await.unwrap();
}

/// Counts how often it was told to give back what it shares.
struct Sharing(u32);

impl Open for Sharing {
    type Error = io::Error;
    type Io<'s> = FromTokio<TcpStream>;

    async fn open(&mut self, _: Endpoint<'_>) -> io::Result<FromTokio<TcpStream>> {
        Err(io::ErrorKind::NotConnected.into())
    }

    fn release(&mut self) {
        self.0 += 1;
    }
}

/// With memory for one session, the link could never come back otherwise.
#[test]
fn what_the_opener_shares_is_given_back() {
    let (mut head, mut place) = ([0; 1024], [0; 1024]);
    let mut plane = Http::new(Sharing(0), CONFIG, &mut head, &mut place).unwrap();
    plane.release();
    assert_eq!(plane.opener().0, 1);
}

#[tokio::test]
async fn the_adapter_conforms() {
    let server = server(FileServerConfig::default()).await;
    let (url, nothing, content) = (server.plain_url(PATH), server.plain_url("/fw/nothing"), file(SIZE));
    let (mut head, mut other) = ([0; 1024], [0; 1024]);
    let mut plane = Http::new(Tcp(0), CONFIG, &mut head, &mut other).unwrap();
    let spec = RangesSpec { url: &url, content: &content, nothing: &nothing };
    assert_eq!(timeout(PATIENCE, ranges(&mut plane, &spec)).await.unwrap(), Ok(()));
}
