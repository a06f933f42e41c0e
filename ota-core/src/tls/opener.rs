//! TLS on top of any other opener.

use core::cell::{RefCell, RefMut};
use core::pin::pin;

use embassy_time::{Duration, with_timeout};

use super::rand_core::CryptoRngCore;
use super::{Buffers, Config, TlsError, TlsStream, connect};
use crate::open::{Endpoint, Open, Security};

/// Milliseconds a handshake may take unless [`Tls::with_limit_ms`] says otherwise. A Cortex-M4 computes for about one.
const LIMIT_MS: u32 = 10_000;

/// Opens streams with `O` and runs TLS over them.
///
/// The server must be who [`Config::server_name`] says; where that is empty, the host that is connected to. A stream in
/// the clear is not opened.
///
/// ```text
/// Mqtt::new(Tls::new(network, tls_config, rng, buffers), mqtt_config, rx, tx)
/// ```
pub struct Tls<'a, O, R> {
    open: O,
    config: Config<'a>,
    rng: R,
    records: Records<'a>,
    limit: Duration,
}

/// The record buffers.
enum Records<'a> {
    Own(Buffers<'a>),
    Shared { pool: &'a RefCell<Buffers<'a>>, lease: Option<RefMut<'a, Buffers<'a>>> },
}

impl<'a, O: Open, R: CryptoRngCore> Tls<'a, O, R> {
    /// An opener over `open` with record buffers of its own.
    pub fn new(open: O, config: Config<'a>, rng: R, buffers: Buffers<'a>) -> Self {
        Self::with(open, config, rng, Records::Own(buffers))
    }

    /// An opener that shares its record buffers with others, for devices with RAM for one connection at a time: MQTT and
    /// HTTPS in turn, see [`Config::one_session_ms`](crate::agent::Config::one_session_ms).
    ///
    /// Whoever opens first holds them until [`Open::release`]; until then the others fail with [`OpenError::InUse`].
    pub fn sharing(open: O, config: Config<'a>, rng: R, pool: &'a RefCell<Buffers<'a>>) -> Self {
        Self::with(open, config, rng, Records::Shared { pool, lease: None })
    }

    fn with(open: O, config: Config<'a>, rng: R, records: Records<'a>) -> Self {
        Self { open, config, rng, records, limit: Duration::from_millis(LIMIT_MS.into()) }
    }

    /// The same with another time limit on the handshake (10 s unless given).
    #[must_use]
    pub fn with_limit_ms(mut self, limit_ms: u32) -> Self {
        self.limit = Duration::from_millis(limit_ms.into());
        self
    }

    /// The settings, to change them between two connections.
    pub fn config(&mut self) -> &mut Config<'a> {
        &mut self.config
    }

    /// The opener below.
    pub fn below(&mut self) -> &mut O {
        &mut self.open
    }
}

/// Why an encrypted stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError<E> {
    /// The stream below could not be opened.
    Below(E),
    /// TLS failed over it.
    Tls(TlsError),
    /// The handshake took too long.
    Timeout,
    /// A stream in the clear was asked for.
    Plain,
    /// The shared record buffers are in use.
    InUse,
}

impl<E: core::fmt::Debug> core::fmt::Display for OpenError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Below(error) => write!(f, "{error:?}"),
            Self::Tls(error) => error.fmt(f),
            Self::Timeout => f.write_str("no TLS handshake within the time limit; check address and port"),
            Self::Plain => f.write_str("address is not a TLS one; use https, or another opener for tests"),
            Self::InUse => f.write_str("record buffers are in use by another connection; release it first"),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for OpenError<E> {}

impl<E: embedded_io_async::Error> embedded_io_async::Error for OpenError<E> {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        match self {
            Self::Below(error) => error.kind(),
            Self::Tls(error) => error.kind(),
            Self::Timeout => embedded_io_async::ErrorKind::TimedOut,
            Self::Plain => embedded_io_async::ErrorKind::Unsupported,
            Self::InUse => embedded_io_async::ErrorKind::Other,
        }
    }
}

impl<'a, O: Open, R: CryptoRngCore> Open for Tls<'a, O, R> {
    type Error = OpenError<O::Error>;
    type Io<'s>
        = TlsStream<'s, 'a, O::Io<'s>>
    where
        Self: 's;

    /// Dropping the future closes the stream below; the opener is ready for another attempt.
    async fn open(&mut self, to: Endpoint<'_>) -> Result<Self::Io<'_>, Self::Error> {
        if to.security != Security::Tls {
            return Err(OpenError::Plain);
        }
        let buffers = match &mut self.records {
            Records::Own(buffers) => buffers,
            Records::Shared { pool, lease } => match lease {
                Some(buffers) => buffers,
                None => lease.insert(pool.try_borrow_mut().map_err(|_| OpenError::InUse)?),
            },
        };
        let below = Endpoint { security: Security::Plain, ..to };
        let io = self.open.open(below).await.map_err(OpenError::Below)?;
        let server_name = if self.config.server_name.is_empty() { to.host } else { self.config.server_name };
        let config = Config { server_name, ..self.config };
        // Pinned where it is: a future that is passed on by value is held twice, and this one is large.
        let handshake = pin!(connect(io, &config, &mut self.rng, buffers));
        let shaken = with_timeout(self.limit, handshake).await;
        shaken.map_err(|_| OpenError::Timeout)?.map_err(OpenError::Tls)
    }

    fn release(&mut self) {
        if let Records::Shared { pool: _, lease } = &mut self.records {
            *lease = None;
        }
        self.open.release();
    }
}
