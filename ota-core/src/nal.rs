//! TCP by name over any network stack: [`Dns`] and [`TcpConnect`] of `embedded-nal-async`, which embassy-net and others
//! implement.
//!
//! With TLS and MQTT on top, and a time limit on each step:
//!
//! ```
//! # #[cfg(all(feature = "mqtt", feature = "tls"))]
//! # mod example {
//! use ota_core::mqtt::{self, Mqtt};
//! use ota_core::nal::{Dns, Network, TcpConnect};
//! use ota_core::open::Endpoint;
//! use ota_core::tls::{self, Tls, rand_core::CryptoRngCore};
//!
//! fn connector<'a, T: TcpConnect, D: Dns, R: CryptoRngCore>(
//!     (tcp, dns): (&'a T, &'a D),
//!     tls: tls::Config<'a>,
//!     rng: R,
//!     records: tls::Buffers<'a>,
//!     (rx, tx): (&'a mut [u8], &'a mut [u8]),
//! ) -> Result<Mqtt<'a, Tls<'a, Network<'a, T, D>, R>>, mqtt::ConfigError> {
//!     let network = Network::new(tcp, dns);             // 5 s for DNS, 10 s for TCP
//!     let secure = Tls::new(network, tls, rng, records); // 10 s for the handshake
//!     let broker = Endpoint::tls("abc-ats.iot.eu-central-1.amazonaws.com", 8883);
//!     Mqtt::new(secure, mqtt::Config::new("my-thing", broker), rx, tx) // 30 s for all, CONNECT included
//! }
//! # }
//! ```

use core::fmt;
use core::net::SocketAddr;

use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Error, ErrorKind};
use embedded_nal_async::AddrType;

pub use embedded_nal_async::{self, Dns, TcpConnect};

use crate::open::{Endpoint, Open, Security};

/// Opens TCP connections by name. In the clear: put `tls::Tls` on top, which asks for just that.
pub struct Network<'n, T, D> {
    tcp: &'n T,
    dns: &'n D,
    limits: Limits,
}

/// Time limits of the steps, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the answer of DNS.
    pub dns_ms: u32,
    /// For the TCP connection.
    pub tcp_ms: u32,
}

impl Default for Limits {
    /// 5 s for DNS, 10 s for TCP.
    fn default() -> Self {
        Self { dns_ms: 5_000, tcp_ms: 10_000 }
    }
}

impl<'n, T: TcpConnect, D: Dns> Network<'n, T, D> {
    /// An opener over a stack's two halves, which are often the same thing.
    pub fn new(tcp: &'n T, dns: &'n D) -> Self {
        Self { tcp, dns, limits: Limits::default() }
    }

    /// The same with other time limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// Why there is no TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// TLS was asked for; this stream would be in the clear.
    NotSecure,
    /// DNS does not answer.
    DnsTimeout,
    /// DNS does not know the name, or failed.
    NoAddress,
    /// The server does not answer.
    TcpTimeout,
    /// The server refused, or the stack failed.
    Tcp(ErrorKind),
}

impl Error for NetworkError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotSecure => ErrorKind::Unsupported,
            Self::DnsTimeout | Self::TcpTimeout => ErrorKind::TimedOut,
            Self::NoAddress => ErrorKind::AddrNotAvailable,
            // Whatever the stack means by it, nobody was asked to prove anything yet.
            Self::Tcp(ErrorKind::PermissionDenied) => ErrorKind::ConnectionRefused,
            Self::Tcp(kind) => *kind,
        }
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSecure => "TLS is wanted and this is plain TCP; put tls::Tls on top",
            Self::DnsTimeout => "DNS does not answer; check the network",
            Self::NoAddress => "no address for the name; check endpoint and DNS",
            Self::TcpTimeout => "server does not answer; check endpoint and network",
            Self::Tcp(kind) => return write!(f, "no TCP connection ({kind:?}); check endpoint and port"),
        })
    }
}

impl core::error::Error for NetworkError {}

impl<'n, T: TcpConnect, D: Dns> Open for Network<'n, T, D> {
    type Error = NetworkError;
    type Io<'s>
        = T::Connection<'n>
    where
        Self: 's;

    async fn open(&mut self, to: Endpoint<'_>) -> Result<T::Connection<'n>, NetworkError> {
        if to.security != Security::Plain {
            return Err(NetworkError::NotSecure);
        }
        let limit = |ms: u32| Duration::from_millis(ms.into());
        let address = match to.address() {
            Some(address) => address,
            None => {
                let asked = self.dns.get_host_by_name(to.host, AddrType::Either);
                let answer = with_timeout(limit(self.limits.dns_ms), asked).await;
                answer.map_err(|_| NetworkError::DnsTimeout)?.map_err(|_| NetworkError::NoAddress)?
            }
        };
        let connected = self.tcp.connect(SocketAddr::new(address, to.port));
        let connected = with_timeout(limit(self.limits.tcp_ms), connected).await;
        connected.map_err(|_| NetworkError::TcpTimeout)?.map_err(|error| NetworkError::Tcp(error.kind()))
    }
}
