//! Against Python's own HTTP server, which knows nothing of ranges and closes after each answer.

use std::process::{Child, Stdio};

use ota_core::http::{Config, HttpError, RangeRequest, Session};
use tokio::time::timeout;

use super::{PATIENCE, SIZE, file, plain, range, url};

/// Ends with the test.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves `folder` on a free port, which it prints.
const SERVE: &str = "import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
print(server.server_address[1], flush=True)
server.serve_forever()
";

/// `None`, with a notice, where Python is not installed and need not be.
fn start(folder: &std::path::Path) -> Option<(Python, u16)> {
    use std::io::BufRead as _;

    let spawned = std::process::Command::new("python3")
        .args(["-c", SERVE])
        .arg(folder)
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
    let Some((_python, port)) = start(folder.path()) else { return };
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
