//! TLS 1.3 to a server that has proven who it is: embedded-tls for the protocol, rustls-webpki for the certificates.
//!
//! [`connect`] runs the handshake over any byte stream and returns a [`TlsStream`]; [`Tls`] does so over another
//! [opener](crate::open::Open), for MQTT and HTTP alike.
//!
//! ```text
//! application  <->  TlsStream { embedded-tls }  <->  records in memory  <->  any Read + Write
//!                     never waits                      whole ones only        all waiting is here
//! ```
//!
//! # What it does, and what it does not
//!
//! - **The server is always authenticated**: path to one of [`Config::roots`], dates, name, usage, and a signature made
//!   for this very handshake. No feature or setting turns that off. Revocation (CRL, OCSP) is not checked.
//! - **TLS 1.3 only**, AES-128-GCM with SHA-256, key exchange over secp256r1. A server that wants TLS 1.2, X25519 or
//!   another cipher alone is refused. No session tickets, no early data, no key update: a server that asks
//!   for one ends the connection.
//! - **Keys of servers**: ECDSA P-256; RSA of 2048 to 4096 bits with feature `rsa`, which needs a heap. The handshake
//!   also offers P-384 and Ed25519 (embedded-tls cannot be told otherwise); a server that picks one of them is refused.
//! - **Records**: a server may send records of up to [`RECORD_MAX`] bytes. Buffers may be smaller where the server is
//!   known to keep its records small; a longer one ends the connection. A handshake message may not be spread over records.
//! - **Client certificate**: exactly one, P-256, without intermediates, which is what AWS IoT's device certificates
//!   are. A server that does not like it says so after [`connect`] has returned: the first read fails.
//! - An authenticated server that breaks the protocol after the handshake can make embedded-tls 0.19 panic (a
//!   handshake message other than a session ticket). Nobody else can. Let the panic handler reset the device.
//!
//! # Dropping futures
//!
//! Any future of a [`TlsStream`] may be dropped anywhere: what it has received or not yet sent stays in the buffers and
//! the next call goes on. A dropped [`connect`] drops the stream below it.

mod algorithm;
mod buffers;
mod config;
mod error;
mod opener;
mod provider;
pub mod roots;
mod stream;
mod verifier;

use embedded_io_async::{Read, Write};
use embedded_tls::{TlsConfig, TlsConnection, TlsContext};

pub use buffers::{Buffers, RECORD_MAX, rx_size, tx_size};
pub use config::{ALPN_AWS_MQTT, BUILT_AT_MIN_S, Client, Config, Sign, SignError, Time};
pub use embedded_io_async;
pub use error::{CertificateError, ConfigError, TlsError};
pub use opener::{OpenError, Tls};
pub use p256::ecdsa::{Signature, SigningKey};
pub use p256::elliptic_curve::rand_core;
pub use rustls_pki_types::{CertificateDer, TrustAnchor};
pub use stream::TlsStream;
/// [`anchor_from_trusted_cert`](webpki::anchor_from_trusted_cert) makes a [`TrustAnchor`] of a root's certificate.
pub use webpki;

use provider::Provider;
use rand_core::CryptoRngCore;

/// Runs the handshake with the server at the other end of `io` and returns the encrypted stream.
///
/// Nothing in here has a time limit: bound it from outside. `rng` must be a true random number generator or seeded from
/// one; all secrecy rests on it.
///
/// Dropping the future drops `io`; the buffers can be used again.
///
/// # Errors
/// A setting is wrong, the server could not be authenticated or does not speak this TLS, or `io` failed. In every case
/// the connection is over and nothing of the application was sent.
pub async fn connect<'b, 'a, Io, R>(
    mut io: Io,
    config: &Config<'_>,
    rng: &mut R,
    buffers: &'b mut Buffers<'a>,
) -> Result<TlsStream<'b, 'a, Io>, TlsError>
where
    Io: Read + Write,
    R: CryptoRngCore,
{
    let name = config.check(buffers.send_size()).map_err(TlsError::Config)?;
    let mut settings = TlsConfig::new().with_alpn(config.alpn);
    if config.alpn.is_empty() {
        settings = TlsConfig::new();
    }
    if cfg!(feature = "rsa") {
        settings = settings.enable_rsa_signatures();
    }
    if let Some(name) = config::indication(&name) {
        settings = settings.with_server_name(name);
    }
    let mut provider = Provider::new(rng, config, name.clone());

    let (read, write, pipe) = buffers.lend();
    let mut tls = TlsConnection::new(pipe, read, write);
    let shaken =
        stream::shake_hands(tls.open(TlsContext::new(&settings, &mut provider)), &mut io, pipe).await;
    // The gate: embedded-tls calls a handshake complete without any certificate, so its word alone is not taken.
    provider.judge(shaken)?;
    Ok(TlsStream::new(io, tls, pipe))
}
