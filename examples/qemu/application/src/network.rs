//! Streams to the broker and to the file server: TCP of embassy-net, TLS of `ota-core` on top.

use core::net::Ipv4Addr;

use embassy_net::Stack;
use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_time::Duration;
use ota_core::open::{Endpoint, Open, Security};
use ota_core::tls::{OpenError, Tls, TlsStream};
use qemu_board::say;
use rand_chacha::ChaCha20Rng;

use crate::stack;

/// A peer that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Opens TCP connections, one at a time.
pub(crate) struct Tcp<'a> {
    pub(crate) stack: Stack<'a>,
    /// There is no resolver: an address is one, any other host is here. Who it is, its certificate says.
    pub(crate) server: Ipv4Addr,
    pub(crate) rx: &'a mut [u8],
    pub(crate) tx: &'a mut [u8],
}

impl Open for Tcp<'_> {
    type Error = ConnectError;
    type Io<'s>
        = TcpSocket<'s>
    where
        Self: 's;

    async fn open(&mut self, to: Endpoint<'_>) -> Result<TcpSocket<'_>, ConnectError> {
        if to.security != Security::Plain {
            return Err(ConnectError::InvalidState);
        }
        self.stack.wait_config_up().await;
        let mut socket = TcpSocket::new(self.stack, self.rx, self.tx);
        socket.set_timeout(Some(SILENCE));
        // Requests are short and wait for their answers.
        socket.set_nagle_enabled(false);
        let address = to.host.parse().unwrap_or(self.server);
        socket.connect((address, to.port)).await?;
        Ok(socket)
    }
}

/// TLS, with its stack measured where asked for and its refusals told.
pub(crate) struct Told<'a> {
    /// What the server is called.
    pub(crate) name: &'static str,
    /// Whether the stack is measured: one line for each connection.
    pub(crate) is_measured: bool,
    pub(crate) tls: Tls<'a, Tcp<'a>, ChaCha20Rng>,
}

impl<'a> Open for Told<'a> {
    type Error = OpenError<ConnectError>;
    type Io<'s>
        = TlsStream<'s, 'a, TcpSocket<'s>>
    where
        Self: 's;

    async fn open(&mut self, to: Endpoint<'_>) -> Result<Self::Io<'_>, Self::Error> {
        if self.is_measured {
            stack::paint();
        }
        match self.tls.open(to).await {
            Ok(stream) => {
                if self.is_measured {
                    stack::tell("tls_open");
                }
                Ok(stream)
            }
            Err(error) => {
                match error {
                    OpenError::Tls(error) => say!("@ tls-refused {}: {error}", self.name),
                    error => say!("no connection to {}: {error}", self.name),
                }
                Err(error)
            }
        }
    }
}
