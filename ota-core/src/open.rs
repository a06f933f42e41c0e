//! Opening a stream to a server: what MQTT, HTTP and TLS want from the network.
//!
//! ```text
//! Mqtt ---.
//!         +--> Open: Tls --> Open: nal::Network --> DNS, TCP
//! Http ---'          (handshake)
//! ```
//!
//! An opener makes one bounded attempt and never tries again by itself: the agent does, after growing, jittered pauses.

use core::net::IpAddr;

use embedded_io_async::{Error, ErrorKind, Read, Write};

pub use embedded_io_async;

/// Where a server is and how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// A host name, or an IP address without brackets.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// What the stream has to be.
    pub security: Security,
}

/// What a stream has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS, with the server authenticated for [`Endpoint::host`] before [`Open::open`] returns.
    Tls,
    /// In the clear: for tests on a bench, and for what lies below TLS.
    Plain,
}

impl<'a> Endpoint<'a> {
    /// A server reached over TLS. AWS IoT: the account's endpoint and 8883, or 443 with
    /// ALPN (AWS IoT Core, "Device communication protocols").
    pub const fn tls(host: &'a str, port: u16) -> Self {
        Self { host, port, security: Security::Tls }
    }

    /// A server reached in the clear: anybody on the way can read and change what is sent.
    pub const fn plain(host: &'a str, port: u16) -> Self {
        Self { host, port, security: Security::Plain }
    }

    /// The host where it is an address, for which nobody has to be asked.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Opens streams, one at a time: TCP connections, TLS on top of them, a modem's sockets.
pub trait Open {
    /// Why a stream could not be opened; only its kind is kept, see [`Refusal`].
    type Error: Error;

    /// The stream. It may borrow buffers from the opener, and it closes when dropped.
    ///
    /// For MQTT its `read` must be cancel-safe: minimq drops it whenever a keep-alive is due, and the driver whenever a
    /// deadline of the agent passes. Plain TCP sockets are, and so is `tls::TlsStream`. `write` must make
    /// progress without a `flush`, and waiting for data must not end in an error.
    type Io<'s>: Read + Write
    where
        Self: 's;

    /// Opens a new stream to the server at `to`. One that is not as secure as [`Endpoint::security`] asks for is an
    /// error; an opener that knows but one server may ignore the rest.
    ///
    /// Dropping the future must close what it has opened.
    ///
    /// # Errors
    /// The network's or TLS' own.
    #[allow(async_fn_in_trait)] // Single-threaded executors: no `Send` bound is wanted.
    async fn open(&mut self, to: Endpoint<'_>) -> Result<Self::Io<'_>, Self::Error>;

    /// Nothing of this opener is open, and another one may need what they share: give it back. The provided method
    /// does nothing.
    fn release(&mut self) {}
}

/// What the kind of an [`Open::Error`] says about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No server, or none that answers: try again.
    Unreachable,
    /// Somebody answers who cannot prove to be the server ([`ErrorKind::PermissionDenied`]).
    Untrusted,
    /// It can never work: a setting, a buffer, a stream that would not be secure ([`ErrorKind::InvalidInput`],
    /// [`ErrorKind::Unsupported`], [`ErrorKind::OutOfMemory`]).
    Impossible,
}

impl Refusal {
    /// Sorts an error in.
    pub fn of(error: &impl Error) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied => Self::Untrusted,
            ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::OutOfMemory => Self::Impossible,
            _ => Self::Unreachable,
        }
    }
}
