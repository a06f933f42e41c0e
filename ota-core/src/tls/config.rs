//! Settings of a connection, and what the application provides: time and signatures.

use core::fmt;

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use rustls_pki_types::{ServerName, TrustAnchor};

use super::error::ConfigError;

/// The protocol name AWS IoT wants for MQTT with client certificates on port 443 (AWS IoT Core, "Device communication
/// protocols"). Leave [`Config::alpn`] empty on port 8883 and for HTTPS.
pub const ALPN_AWS_MQTT: &[&[u8]] = &[b"x-amzn-mqtt-ca"];

/// Earliest believable time a firmware was built at: 2025-01-01T00:00:00Z, before this library existed.
pub const BUILT_AT_MIN_S: u64 = 1_735_689_600;

/// Most bytes of all protocol names together, each with its length byte.
const ALPN_MAX: usize = 128;

/// Bytes a certificate is wrapped into when it is sent: record and message headers (5 + 4 + 4 + 5), content type (1)
/// and embedded-tls' reserve for encryption (128), rounded up.
const CERTIFICATE_OVERHEAD: usize = 160;

/// A clock that knows the date.
pub trait Time {
    /// Seconds since 1970-01-01T00:00:00Z, or `None` while the time is not known.
    ///
    /// A time before [`Config::built_at_s`] is taken for that: a clock that was reset cannot bring expired certificates
    /// back to life.
    fn unix_s(&self) -> Option<u64>;
}

/// A device without a clock.
impl Time for () {
    fn unix_s(&self) -> Option<u64> {
        None
    }
}

/// A time known beforehand, such as one kept since the last contact with a time server.
impl Time for u64 {
    fn unix_s(&self) -> Option<u64> {
        Some(*self)
    }
}

/// The signing half of a device's key, in memory or in a secure element.
pub trait Sign {
    /// Signs `message` with ECDSA over P-256; the SHA-256 of it is what is signed.
    ///
    /// It runs inside the handshake and cannot wait for others; a secure element takes some 100 ms here.
    ///
    /// # Errors
    /// [`SignError`]: the connection fails with [`TlsError::Signer`](super::TlsError::Signer).
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

/// The signer could not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignError;

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the device's key could not sign; check key storage or secure element")
    }
}

impl core::error::Error for SignError {}

/// A key in memory. Deterministic signatures (RFC 6979), so no random numbers are needed.
impl Sign for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        self.try_sign(message).map_err(|_| SignError)
    }
}

/// Who the device is.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// The device's X.509 certificate, DER, P-256. Its intermediates cannot be sent; AWS IoT needs none.
    pub certificate: &'a [u8],
    /// Signs with the certificate's key.
    pub signer: &'a dyn Sign,
}

/// Settings of a TLS connection. Start from [`Config::new`].
#[derive(Clone, Copy)]
pub struct Config<'a> {
    /// Host name (1 to 253 bytes) or IP address the server's certificate must be valid for. A host name is also sent
    /// to the server (SNI), without which AWS IoT refuses clients.
    ///
    /// Empty for [`Tls`](super::Tls): whatever host is connected to.
    pub server_name: &'a str,
    /// Roots one of which the server's certificate must lead to, see [`roots`](super::roots).
    pub roots: &'a [TrustAnchor<'a>],
    /// The device's certificate and key, for servers that ask for one; AWS IoT does.
    pub client: Option<Client<'a>>,
    /// Protocol names offered (ALPN). The server's choice is not looked at: one that insists on another refuses by itself.
    pub alpn: &'a [&'a [u8]],
    /// When this firmware was built, in seconds since 1970 (say, by a build script): the lower bound of the time.
    ///
    /// While [`time`](Self::time) knows nothing, a chain is accepted that is valid at one moment from this bound on.
    /// So a certificate that had expired when the firmware was built is refused, and one issued since is accepted; but
    /// one that has expired since the build cannot be told from a good one. Without a clock, ship updates.
    pub built_at_s: u64,
    /// The clock.
    pub time: &'a dyn Time,
}

impl<'a> Config<'a> {
    /// A connection without client certificate, protocol names and clock.
    pub const fn new(server_name: &'a str, roots: &'a [TrustAnchor<'a>], built_at_s: u64) -> Self {
        Self { server_name, roots, client: None, alpn: &[], built_at_s, time: &() }
    }

    /// Checks the settings; `send_size` is the longest record that can be sent, with embedded-tls' reserve.
    pub(super) fn check(&self, send_size: usize) -> Result<ServerName<'a>, ConfigError> {
        let alpn_size = self.alpn.iter().fold(0usize, |sum, name| sum.saturating_add(name.len() + 1));
        if self.roots.is_empty() {
            return Err(ConfigError::NoRoot);
        }
        if self.built_at_s < BUILT_AT_MIN_S {
            return Err(ConfigError::BuiltAt);
        }
        if alpn_size > ALPN_MAX || self.alpn.iter().any(|name| name.is_empty()) {
            return Err(ConfigError::Alpn);
        }
        if let Some(client) = self.client {
            if client.certificate.is_empty() {
                return Err(ConfigError::ClientCertificate);
            }
            if client.certificate.len().saturating_add(CERTIFICATE_OVERHEAD) > send_size {
                return Err(ConfigError::SendBuffer);
            }
        }
        ServerName::try_from(self.server_name).map_err(|_| ConfigError::ServerName)
    }

    pub(super) fn now(&self) -> Now {
        match self.time.unix_s() {
            Some(now_s) => Now::At(now_s.max(self.built_at_s)),
            None => Now::NotBefore(self.built_at_s),
        }
    }
}

/// What is known of the time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Now {
    At(u64),
    NotBefore(u64),
}

/// The name to send to the server. Addresses are not sent (RFC 6066 section 3).
pub(super) fn indication<'n>(name: &'n ServerName<'_>) -> Option<&'n str> {
    match name {
        ServerName::DnsName(name) => Some(name.as_ref()),
        // The enum is open; what is added later is no host name either.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::roots::AMAZON_ROOT_CA_3;

    const BUILT_AT_S: u64 = BUILT_AT_MIN_S + 1_000;
    static ROOTS: [TrustAnchor<'static>; 1] = [AMAZON_ROOT_CA_3];

    fn check(change: impl FnOnce(&mut Config<'_>)) -> Result<(), ConfigError> {
        let mut config = Config::new("localhost", &ROOTS, BUILT_AT_S);
        change(&mut config);
        config.check(1_024).map(|_| ())
    }

    #[test]
    fn settings_are_checked_at_their_limits() {
        assert_eq!(check(|_| {}), Ok(()));
        assert_eq!(check(|config| config.roots = &[]), Err(ConfigError::NoRoot));
        assert_eq!(check(|config| config.built_at_s = 0), Err(ConfigError::BuiltAt));
        assert_eq!(check(|config| config.built_at_s = BUILT_AT_MIN_S - 1), Err(ConfigError::BuiltAt));
        assert_eq!(check(|config| config.built_at_s = BUILT_AT_MIN_S), Ok(()));
        for (name, expected) in [
            ("", Err(ConfigError::ServerName)),
            ("a b", Err(ConfigError::ServerName)),
            ("*.example.com", Err(ConfigError::ServerName)),
            ("data.iot.eu-central-1.amazonaws.com", Ok(())),
            ("example.com.", Ok(())),
            ("192.0.2.7", Ok(())),
            ("2001:db8::7", Ok(())),
        ] {
            assert_eq!(check(|config| config.server_name = name), expected, "{name}");
        }
        assert_eq!(check(|config| config.alpn = ALPN_AWS_MQTT), Ok(()));
        assert_eq!(check(|config| config.alpn = &[b""]), Err(ConfigError::Alpn));
        assert_eq!(check(|config| config.alpn = &[&[b'x'; 127]]), Ok(()));
        assert_eq!(check(|config| config.alpn = &[&[b'x'; 128]]), Err(ConfigError::Alpn));
    }

    struct Nobody;

    impl Sign for Nobody {
        fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
            Err(SignError)
        }
    }

    #[test]
    fn the_certificate_must_fit_into_a_record() {
        for (size, expected) in [
            (0, Err(ConfigError::ClientCertificate)),
            (1, Ok(())),
            (864, Ok(())),
            (865, Err(ConfigError::SendBuffer)),
        ] {
            let certificate = &[0; 1_024][..size];
            let client = Client { certificate, signer: &Nobody };
            let config = Config { client: Some(client), ..Config::new("localhost", &ROOTS, BUILT_AT_S) };
            assert_eq!(config.check(1_024).map(|_| ()), expected, "{size} bytes");
        }
    }

    #[test]
    fn the_time_has_a_lower_bound() {
        let now = |time: &dyn Time| Config { time, ..Config::new("localhost", &ROOTS, BUILT_AT_S) }.now();
        assert_eq!(now(&()), Now::NotBefore(BUILT_AT_S));
        assert_eq!(now(&0), Now::At(BUILT_AT_S));
        assert_eq!(now(&(BUILT_AT_S - 1)), Now::At(BUILT_AT_S));
        assert_eq!(now(&(BUILT_AT_S + 1)), Now::At(BUILT_AT_S + 1));
    }

    #[test]
    fn addresses_are_not_sent_as_names() {
        let indicated = |name| indication(&ServerName::try_from(name).unwrap()).map(str::len);
        assert_eq!(indicated("localhost"), Some(9));
        // RFC 6066 section 3: without a trailing dot.
        assert_eq!(indicated("localhost."), Some(9));
        assert_eq!(indicated("192.0.2.7"), None);
        assert_eq!(indicated("2001:db8::7"), None);
    }
}
