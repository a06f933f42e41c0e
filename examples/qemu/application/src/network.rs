//! Streams to the broker and to the file server: TCP of embassy-net, TLS of `ota-core` on top.

use core::net::Ipv4Addr;

use embassy_net::Stack;
use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_time::Duration;
use embedded_io_async::ErrorKind;
use ota_core::http::{OpenTo, Scheme};
use ota_core::mqtt::Open;
use ota_core::tls::{Buffers, Config, OpenError, Tls, TlsError, TlsStream, connect};
use qemu_board::{Endpoint, say};
use rand_chacha::ChaCha20Rng;

use crate::stack;

/// A peer that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Opens TCP connections to one address, one at a time.
pub(crate) struct Tcp<'a> {
    pub(crate) stack: Stack<'a>,
    pub(crate) server: Endpoint,
    pub(crate) rx: &'a mut [u8],
    pub(crate) tx: &'a mut [u8],
}

impl Open for Tcp<'_> {
    type Error = ConnectError;
    type Io<'s>
        = TcpSocket<'s>
    where
        Self: 's;

    async fn open(&mut self) -> Result<TcpSocket<'_>, ConnectError> {
        self.stack.wait_config_up().await;
        let mut socket = TcpSocket::new(self.stack, self.rx, self.tx);
        socket.set_timeout(Some(SILENCE));
        // Requests are short and wait for their answers.
        socket.set_nagle_enabled(false);
        socket.connect((self.server.address, self.server.port)).await?;
        Ok(socket)
    }
}

/// TLS to the broker, with its stack measured and its refusals told.
pub(crate) struct Broker<'a>(pub(crate) Tls<'a, Tcp<'a>, ChaCha20Rng>);

impl<'a> Open for Broker<'a> {
    type Error = ErrorKind;
    type Io<'s>
        = TlsStream<'s, 'a, TcpSocket<'s>>
    where
        Self: 's;

    async fn open(&mut self) -> Result<Self::Io<'_>, ErrorKind> {
        stack::paint();
        match self.0.open().await {
            Ok(stream) => {
                stack::tell("tls_open");
                Ok(stream)
            }
            Err(error) => {
                match error {
                    OpenError::Below(error) => say!("no connection to the broker: {error:?}"),
                    OpenError::Tls(error) => say!("@ tls-refused broker: {error}"),
                }
                Err(ErrorKind::Other)
            }
        }
    }
}

/// HTTPS to the file server.
pub(crate) struct Files<'a> {
    pub(crate) tcp: Tcp<'a>,
    pub(crate) config: Config<'a>,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) buffers: Buffers<'a>,
}

impl<'a> OpenTo for Files<'a> {
    type Error = TlsError;
    type Io<'s>
        = TlsStream<'s, 'a, TcpSocket<'s>>
    where
        Self: 's;

    /// There is no resolver: an address is one, any other host is where the broker is. Who it is, its certificate says.
    async fn open_to(&mut self, scheme: Scheme, host: &str, port: u16) -> Result<Self::Io<'_>, TlsError> {
        let Self { tcp, config, rng, buffers } = self;
        if scheme != Scheme::Https {
            return Err(TlsError::Io(ErrorKind::Unsupported));
        }
        let address = host.parse::<Ipv4Addr>().unwrap_or(tcp.server.address);
        tcp.server = Endpoint { address, port };
        let config = Config { server_name: host, ..*config };
        let socket = tcp.open().await.map_err(|_| TlsError::Io(ErrorKind::ConnectionRefused))?;
        let opened = connect(socket, &config, rng, buffers).await;
        if let Err(error) = &opened {
            say!("@ tls-refused files: {error}");
        }
        opened
    }
}
