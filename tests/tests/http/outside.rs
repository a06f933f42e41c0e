//! Against Python's own HTTP server, which knows nothing of ranges and closes after each answer.

use std::path::Path;
use std::process::{Child, Stdio};

use ota_core::http::{Config, Http, HttpConfig, HttpError, RangeRequest, Session};
use ota_core::tls::webpki::anchor_from_trusted_cert;
use ota_core::tls::{self, BUILT_AT_MIN_S, Buffers, RECORD_MAX, Tls};
use ota_core::transport::{RangeError, RangeSession, Ranges};
use ota_sim::net::Certificates;
use p256::elliptic_curve::rand_core::OsRng;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::secure::Tcp;
use super::{PATIENCE, SIZE, file, plain, range, url};

/// Ends with the test.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves `folder` on a free port, which it prints; over TLS with a certificate and its key.
const SERVE: &str = "import functools, http.server, ssl, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
";

/// `None`, with a notice, where Python is not installed and need not be.
fn start(folder: &Path, identity: &[&Path]) -> Option<(Python, u16)> {
    use std::io::BufRead as _;

    let spawned = std::process::Command::new("python3")
        .args(["-c", SERVE])
        .arg(folder)
        .args(identity)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut python = match spawned {
        Ok(child) => Python(child),
        Err(error) => {
            let is_required = ["CI", "OTA_REQUIRE_ALL"].iter().any(|name| std::env::var_os(name).is_some());
            assert!(!is_required, "python3 is needed: {error}");
            println!("SKIPPED: python3 is not installed ({error})");
            return None;
        }
    };
    let mut line = String::new();
    std::io::BufReader::new(python.0.stdout.take()?).read_line(&mut line).unwrap();
    Some((python, line.trim().parse().unwrap()))
}

#[tokio::test]
async fn a_server_that_ignores_ranges_and_closes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fw.bin"), file(SIZE)).unwrap();
    let Some((_python, port)) = start(folder.path(), &[]) else { return };
    for (path, from, to, size, expected) in [
        ("fw.bin", 0, SIZE - 1, SIZE, Ok(file(SIZE))),
        ("fw.bin", 100_000, SIZE - 1, SIZE, Ok(file(SIZE)[100_000..].to_vec())),
        ("fw.bin", 100_000, 100_009, SIZE, Ok(file(SIZE)[100_000..=100_009].to_vec())),
        ("fw.bin", 0, SIZE - 1, SIZE + 1, Err(HttpError::WrongSize)),
        ("none.bin", 0, SIZE - 1, SIZE, Err(HttpError::NotFound)),
    ] {
        let text = format!("http://127.0.0.1:{port}/{path}");
        let url = url(&text);
        let mut buffer = [0; 1024];
        let mut session = Session::new(plain(&url).await.unwrap(), &mut buffer, Config::default()).unwrap();
        let mut bytes = Vec::new();
        let request = RangeRequest::new(from, to, size).unwrap();
        let got = range(&mut session, &url, &request, |block| bytes.extend_from_slice(block));
        let result = timeout(PATIENCE, got).await.unwrap().map(|_| bytes);
        assert!(result == expected, "{path} {from}-{to} of {size}: {:?}", result.map(|bytes| bytes.len()));
        assert!(!session.is_idle());
    }
}

/// OpenSSL at the other end of the library's TLS.
#[tokio::test]
async fn the_plane_over_tls_to_python() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fw.bin"), file(SIZE)).unwrap();
    let files = Certificates::create(&folder.path().join("tls"), "dev-7", &[]).unwrap();
    let Some((_python, port)) = start(folder.path(), &[&files.server, &files.server_key]) else { return };
    let ca = CertificateDer::from_pem_file(&files.ca).unwrap();
    let roots = [anchor_from_trusted_cert(&ca).unwrap()];
    let (mut rx, mut tx) = (vec![0; tls::rx_size(RECORD_MAX)], vec![0; tls::tx_size(0)]);
    let config = tls::Config::new("", &roots, BUILT_AT_MIN_S);
    let open = Tls::new(Tcp, config, OsRng, Buffers::new(&mut rx, &mut tx).unwrap());
    let (mut head, mut place) = ([0; 1024], [0; 1024]);
    let mut http = Http::new(open, HttpConfig::default(), &mut head, &mut place).unwrap();
    let work = async {
        let url = format!("https://localhost:{port}/fw.bin");
        for from in [0, 123_456] {
            http.target(&url).unwrap();
            let mut session = http.connect().await.unwrap();
            session.request(&url, from, SIZE, SIZE).unwrap();
            let mut rest = vec![0; (SIZE - from) as usize];
            session.read(&mut rest).await.unwrap();
            assert!(rest == file(SIZE)[from as usize..]);
            // Python closes after each answer.
            assert_eq!(session.request(&url, 0, 1, SIZE), Err(RangeError::Lost));
        }
    };
    timeout(PATIENCE, work).await.unwrap();
}
