//! MQTT over TLS: one opener around another.

use super::{Buffers, Config, TlsError, TlsStream, connect};
use crate::mqtt::Open;
use crate::tls::rand_core::CryptoRngCore;

/// Opens streams with `O` and runs TLS over them.
///
/// ```text
/// Mqtt::new(Tls::new(tcp, tls_config, rng, buffers), mqtt_config, rx, tx)
/// ```
pub struct Tls<'a, O, R> {
    open: O,
    config: Config<'a>,
    rng: R,
    buffers: Buffers<'a>,
}

impl<'a, O: Open, R: CryptoRngCore> Tls<'a, O, R> {
    /// An opener for the server of `config`, reached by the streams of `open`.
    pub const fn new(open: O, config: Config<'a>, rng: R, buffers: Buffers<'a>) -> Self {
        Self { open, config, rng, buffers }
    }

    /// The settings, to change them between two connections.
    pub fn config(&mut self) -> &mut Config<'a> {
        &mut self.config
    }

    /// Everything that can serve another connection while none of this opener is open: the opener below, the random
    /// numbers and the buffers.
    ///
    /// A device with RAM for one connection fetches a file over HTTPS between two MQTT connections with the same
    /// buffers: `mqtt.opener().parts()`.
    pub fn parts(&mut self) -> (&mut O, &mut R, &mut Buffers<'a>) {
        (&mut self.open, &mut self.rng, &mut self.buffers)
    }
}

/// Why an encrypted stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError<E> {
    /// The stream below could not be opened.
    Below(E),
    /// TLS failed over it.
    Tls(TlsError),
}

impl<E: core::fmt::Debug> core::fmt::Display for OpenError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Below(error) => write!(f, "{error:?}"),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for OpenError<E> {}

impl<E: embedded_io_async::Error> embedded_io_async::Error for OpenError<E> {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        match self {
            Self::Below(error) => error.kind(),
            Self::Tls(error) => error.kind(),
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
    async fn open(&mut self) -> Result<Self::Io<'_>, Self::Error> {
        let io = self.open.open().await.map_err(OpenError::Below)?;
        connect(io, &self.config, &mut self.rng, &mut self.buffers).await.map_err(OpenError::Tls)
    }
}
