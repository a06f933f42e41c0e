//! rustls as the server: well behaved, whatever certificates it is given.

use std::sync::Arc;

use ota_core::tls::{Config, TlsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use tokio_rustls::server::TlsStream;

use crate::certificates::{Authority, Identity};
use crate::support::outcome;

/// What fits between the two sides.
const PIPE: usize = 64 * 1024;

/// A server of `identity`; with `clients`, it asks for a certificate of theirs.
pub(crate) fn server_config(identity: &Identity, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS13])
        .unwrap();
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(identity.chain.clone(), identity.private()).unwrap()
}

/// Starts a server that does `serve` with its one connection, and returns the device's end.
pub(crate) fn serve<T: Send + 'static, F: Future<Output = T> + Send>(
    config: ServerConfig,
    serve: impl FnOnce(std::io::Result<TlsStream<DuplexStream>>) -> F + Send + 'static,
) -> (DuplexStream, JoinHandle<T>) {
    let (device, end) = duplex(PIPE);
    let task =
        tokio::spawn(async move { serve(TlsAcceptor::from(Arc::new(config)).accept(end).await).await });
    (device, task)
}

/// Returns what it gets until the other side has said farewell, then says it too.
pub(crate) async fn echo(stream: std::io::Result<TlsStream<DuplexStream>>) {
    let mut stream = stream.unwrap();
    let mut buffer = [0; 4_096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        stream.write_all(&buffer[..count]).await.unwrap();
        stream.flush().await.unwrap();
    }
    stream.shutdown().await.unwrap();
}

/// What a device thinks of a server of `identity`.
pub(crate) async fn judged(identity: &Identity, config: &Config<'_>) -> Result<(), TlsError> {
    let (device, _server) = serve(server_config(identity, None), |stream| async { drop(stream) });
    crate::support::bounded(outcome(device, config)).await
}
