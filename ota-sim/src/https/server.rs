//! The server as a value: start it, put files into it, hand out URLs, make it fail, look at what it served.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hyper::body::Bytes;
use hyper::rt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, version::TLS13};

use super::answer::Peer;
use super::body::{Gate, Watched};
use super::fault::HttpFault;
use super::sign::{Denied, Signer};
use crate::aws::Presign;
use crate::net::Certificates;

/// What files are said to lie in.
const BUCKET: &str = "ota-sim.s3.amazonaws.com";

/// What to run.
#[derive(Clone, Debug)]
pub struct FileServerConfig {
    /// Port on 127.0.0.1 for plain HTTP; 0 takes any free one. Devices take it only where they are told to.
    pub plain: Option<u16>,
    /// Port on 127.0.0.1 for HTTPS (TLS 1.3), and whose server certificate to show. No client certificate is asked for.
    pub tls: Option<(u16, Certificates)>,
    /// The host name URLs name; devices must reach this computer by it.
    pub host: String,
    /// Seconds a URL is good for. AWS: 1800 unless the job says otherwise.
    pub url_expires_s: u64,
    /// Bytes of session token in a URL, to make it as long as real ones.
    pub url_token_size: usize,
    /// The connection closes after so many bytes of one body.
    pub range_limit: Option<u64>,
    /// Bytes a second of each body.
    pub bytes_per_s: Option<u32>,
    /// Requests after which a connection closes, said with the last answer. S3: about 100.
    pub requests_per_connection: u32,
    /// When so many percent of a file's size were served, the server is gone for good.
    pub die_at_percent: Option<u8>,
}

impl Default for FileServerConfig {
    /// Plain HTTP on any port, nothing wrong.
    fn default() -> Self {
        Self {
            plain: Some(0),
            tls: None,
            host: "localhost".into(),
            url_expires_s: 1800,
            url_token_size: 0,
            range_limit: None,
            bytes_per_s: None,
            requests_per_connection: 100,
            die_at_percent: None,
        }
    }
}

/// Why the server does not start.
#[derive(Debug)]
pub enum FileServerError {
    /// Neither a plain nor a TLS port is asked for.
    NoPort,
    /// A port cannot be listened on.
    Listen(io::Error),
    /// Certificate or key cannot be used.
    Certificates(String),
}

impl fmt::Display for FileServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort => f.write_str("the file server needs a plain or a TLS port"),
            Self::Listen(error) => write!(f, "the file server cannot listen: {error}"),
            Self::Certificates(text) => write!(f, "the file server's certificate cannot be used: {text}"),
        }
    }
}

impl core::error::Error for FileServerError {}

/// One request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The file.
    pub path: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The status.
    pub status: u16,
    /// Whether it came over TLS.
    pub over_tls: bool,
}

#[derive(Clone)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) etag: String,
    version: u32,
    sent: u64,
}

impl Object {
    fn new(bytes: Bytes, version: u32) -> Self {
        let digest = Sha256::new().chain_update(&bytes).chain_update(version.to_be_bytes()).finalize();
        let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { bytes, etag: format!("\"{digits}\""), version, sent: 0 }
    }
}

#[derive(Default)]
struct Store {
    objects: HashMap<String, Object>,
    faults: VecDeque<HttpFault>,
    served: Vec<Served>,
    is_dead: bool,
    /// How far the clock was moved, in seconds.
    ahead_s: u64,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) config: FileServerConfig,
    signer: Signer,
    store: Mutex<Store>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_millis() as u64) + self.store().ahead_s * 1000
    }

    pub(super) fn is_dead(&self) -> bool {
        self.store().is_dead
    }

    pub(super) fn check(&self, host: &str, target: &str) -> Result<(), Denied> {
        self.signer.check(host, target, self.now_ms())
    }

    pub(super) fn next_fault(&self) -> Option<HttpFault> {
        self.store().faults.pop_front()
    }

    pub(super) fn object(&self, path: &str) -> Option<Object> {
        self.store().objects.get(path).cloned()
    }

    pub(super) fn touch(&self, path: &str) {
        if let Some(object) = self.store().objects.get_mut(path) {
            *object = Object::new(object.bytes.clone(), object.version + 1);
        }
    }

    pub(super) fn log(&self, served: Served) {
        self.store().served.push(served);
    }

    /// Bytes of a file's bodies that may still be sent before the server dies.
    pub(super) fn left_to_live(&self, path: &str) -> Option<u64> {
        let percent = self.config.die_at_percent?;
        let store = self.store();
        let object = store.objects.get(path)?;
        Some((object.bytes.len() as u64 * u64::from(percent) / 100).saturating_sub(object.sent))
    }

    pub(super) fn sent(&self, path: &str, byte_count: u64) {
        if let Some(object) = self.store().objects.get_mut(path) {
            object.sent += byte_count;
        }
        if self.left_to_live(path) == Some(0) {
            self.store().is_dead = true;
        }
    }
}

/// A running server. It needs a tokio runtime with I/O and time that keeps running; dropping the server ends it.
pub struct FileServer {
    shared: Arc<Shared>,
    port: Option<u16>,
    tls_port: Option<u16>,
    tasks: Vec<JoinHandle<()>>,
}

impl fmt::Debug for FileServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileServer")
            .field("port", &self.port)
            .field("tls_port", &self.tls_port)
            .finish_non_exhaustive()
    }
}

impl FileServer {
    /// Starts it; ready for devices when this returns.
    ///
    /// # Errors
    /// A taken port, an unusable certificate. Dropping the future half-way closes what was opened.
    pub async fn start(config: FileServerConfig) -> Result<Self, FileServerError> {
        if config.plain.is_none() && config.tls.is_none() {
            return Err(FileServerError::NoPort);
        }
        // A key of this process; no two servers share URLs, since the port is signed too.
        let key = Sha256::digest(format!("{:?}{}", SystemTime::now(), std::process::id()));
        let tls = config.tls.clone();
        let shared = Arc::new(Shared { signer: Signer::new(key.into()), config, store: Mutex::default() });
        let mut server = Self { shared, port: None, tls_port: None, tasks: Vec::new() };
        if let Some(port) = server.shared.config.plain {
            server.port = Some(server.listen(port, None).await?);
        }
        if let Some((port, files)) = tls {
            let acceptor = acceptor(&files).map_err(FileServerError::Certificates)?;
            server.tls_port = Some(server.listen(port, Some(acceptor)).await?);
        }
        Ok(server)
    }

    async fn listen(&mut self, port: u16, tls: Option<TlsAcceptor>) -> Result<u16, FileServerError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.map_err(FileServerError::Listen)?;
        let port = listener.local_addr().map_err(FileServerError::Listen)?.port();
        self.tasks.push(tokio::spawn(serve(listener, tls, Arc::clone(&self.shared))));
        Ok(port)
    }

    /// Port of plain HTTP.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Port of HTTPS.
    pub const fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// Stores a file under `path`, which begins with `/` and holds nothing a URL would have to encode.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let object = Object::new(Bytes::from(bytes.into()), 0);
        self.shared.store().objects.insert(path.into(), object);
    }

    /// A URL for `path`, signed now: `https` if there is a TLS port.
    pub fn url(&self, path: &str) -> String {
        match (self.tls_port, self.port) {
            (Some(port), _) => self.signed("https", port, path),
            (None, port) => self.signed("http", port.unwrap_or(0), path),
        }
    }

    /// The same for the plain port; empty if there is none.
    pub fn plain_url(&self, path: &str) -> String {
        self.port.map_or_else(String::new, |port| self.signed("http", port, path))
    }

    fn signed(&self, scheme: &str, port: u16, path: &str) -> String {
        let Shared { signer, config, .. } = &*self.shared;
        let host = format!("{}:{port}", config.host);
        let now_ms = self.shared.now_ms();
        let target = signer.sign(&host, path, now_ms, config.url_expires_s, config.url_token_size);
        format!("{scheme}://{host}{target}")
    }

    /// What stands in a job document for a file: AWS IoT puts a presigned URL in its place at each delivery.
    pub fn placeholder(path: &str) -> String {
        format!("${{aws:iot:s3-presigned-url:https://{BUCKET}{path}}}")
    }

    /// Presigns for a [`Service`](crate::aws::Service): what [`placeholder`](Self::placeholder) stands for.
    pub fn presign(self: &Arc<Self>) -> Presign {
        let server = Arc::clone(self);
        Presign::new(move |plain, _| {
            server.url(plain.strip_prefix("https://").and_then(|url| url.strip_prefix(BUCKET)).unwrap_or("/"))
        })
    }

    /// Queues a fault: each request with a good URL takes one.
    pub fn fault(&self, fault: HttpFault) {
        self.shared.store().faults.push_back(fault);
    }

    /// Moves the server's clock, so that URLs expire without waiting.
    pub fn advance_s(&self, seconds: u64) {
        self.shared.store().ahead_s += seconds;
    }

    /// Everything answered so far.
    pub fn served(&self) -> Vec<Served> {
        self.shared.store().served.clone()
    }

    /// Bytes of `path` handed to connections so far, ranges over and again counted each time.
    pub fn sent(&self, path: &str) -> u64 {
        self.shared.store().objects.get(path).map_or(0, |object| object.sent)
    }

    /// Gone for good: open connections close with their next request, new ones at once.
    pub fn die(&self) {
        self.shared.store().is_dead = true;
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Accepts connections until it is aborted, and they with it.
async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        // A connection that was gone before it was accepted is no reason to stop.
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        if shared.is_dead() {
            continue;
        }
        // Nagle and delayed acknowledgements together cost 40 ms a range.
        let _ = stream.set_nodelay(true);
        connections.spawn(serve_one(stream, tls.clone(), Arc::clone(&shared)));
    }
}

async fn serve_one(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    match tls {
        None => converse(TokioIo::new(stream), shared, true).await,
        // A device that does not like the certificate just leaves.
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                converse(TokioIo::new(stream), shared, false).await;
            }
        }
    }
}

async fn converse<T: rt::Read + rt::Write + Unpin>(io: T, shared: Arc<Shared>, is_plain: bool) {
    let gate = Arc::new(Gate::default());
    let peer = Arc::new(Peer { shared, gate: Arc::clone(&gate), request_count: AtomicU32::new(0), is_plain });
    let service = service_fn(|request| {
        let answer = peer.answer(&request);
        async move { answer }
    });
    // Connections cut on demand end in an error.
    let _ = http1::Builder::new().serve_connection(Watched { io, gate }, service).await;
}

fn acceptor(files: &Certificates) -> Result<TlsAcceptor, String> {
    let text = |error: &dyn fmt::Display| error.to_string();
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&files.server).map_err(|error| text(&error))?.collect();
    let key = PrivateKeyDer::from_pem_file(&files.server_key).map_err(|error| text(&error))?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| text(&error))?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|error| text(&error))?, key)
        .map_err(|error| text(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
