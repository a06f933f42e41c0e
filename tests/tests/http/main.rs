//! Range downloads over real sockets: against the file server of ota-sim, in the clear and over TLS, and against a server
//! from outside the workspace.

mod outside;
mod plane;
mod server;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::http::embedded_io_async::{Read, Write};
use ota_core::http::{Config, Etag, HttpError, RangeRequest, Scheme, Schemes, Session, Url};
use ota_sim::net::Certificates;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// More than any download here takes, so that a broken one fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// Length of the file of most tests: no multiple of a block.
const SIZE: u32 = 300_001;

/// Block size of most tests.
const BLOCK_SIZE: usize = 4096;

/// No two blocks alike.
fn file(size: u32) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn url(text: &str) -> Url<'_> {
    Url::parse(text, Schemes::InsecureHttpForTests).unwrap()
}

/// A stream to the server of `url`, in the clear.
async fn plain(url: &Url<'_>) -> io::Result<FromTokio<TcpStream>> {
    assert_eq!(url.scheme(), Scheme::Http);
    let stream = TcpStream::connect((url.host(), url.port())).await?;
    stream.set_nodelay(true)?;
    Ok(FromTokio::new(stream))
}

/// The same over TLS, trusting the CA of `files` only.
async fn secure(url: &Url<'_>, files: &Certificates) -> io::Result<FromTokio<TlsStream<TcpStream>>> {
    assert_eq!(url.scheme(), Scheme::Https);
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&files.ca).map_err(io::Error::other)?)
        .map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect((url.host(), url.port())).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(url.host().to_owned()).map_err(io::Error::other)?;
    Ok(FromTokio::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

/// One range of a file, its blocks handed to `each`.
async fn range<S: Read + Write>(
    session: &mut Session<'_, S>,
    url: &Url<'_>,
    request: &RangeRequest,
    mut each: impl FnMut(&[u8]),
) -> Result<Option<Etag>, HttpError> {
    let reply = session.open(url, request).await?;
    let (mut block, mut filled) = ([0; BLOCK_SIZE], 0);
    while session.next_block(&mut block, &mut filled).await? {
        each(&block[..filled]);
        filled = 0;
    }
    Ok(reply.etag)
}

/// The whole file as ranges of `range_size` bytes over one connection.
async fn download<S: Read + Write>(
    stream: S,
    url: &Url<'_>,
    size: u32,
    range_size: u32,
) -> Result<Vec<u8>, HttpError> {
    let mut buffer = [0; 2048];
    let mut session = Session::new(stream, &mut buffer, Config::default())?;
    let mut whole = Vec::new();
    let mut etag = None;
    for from in (0..size).step_by(range_size as usize) {
        let to = (from + range_size - 1).min(size - 1);
        let request = RangeRequest::new(from, to, size)?.with_etag(etag);
        etag = range(&mut session, url, &request, |block| whole.extend_from_slice(block)).await?;
    }
    Ok(whole)
}
