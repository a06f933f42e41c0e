//! The way to the servers: `ota-core`'s TLS over its TCP by name, over embassy-net, as on a kit.

use core::convert::Infallible;
use core::net::{IpAddr, Ipv4Addr};

use embassy_net::Stack;
use embassy_net::tcp::client::TcpClient;
use ota_core::nal::embedded_nal_async::{AddrType, Dns};
use ota_core::nal::{Network, NetworkError};
use ota_core::open::{Endpoint, Open};
use ota_core::tls::{OpenError, Tls};
use qemu_board::say;
use rand_chacha::ChaCha20Rng;

use crate::stack;

/// Connections at once: the broker and the file server, each once more while its last one is still being closed.
pub(crate) const CONNECTIONS: usize = 4;
/// Bytes a TCP connection may have under way: the Ethernet controller holds 13 KiB.
pub(crate) const TCP_RX_SIZE: usize = 8192;
pub(crate) const TCP_TX_SIZE: usize = 4096;

pub(crate) type Tcp<'a> = TcpClient<'a, CONNECTIONS, TCP_TX_SIZE, TCP_RX_SIZE>;

/// All names there are: every server is the host.
pub(crate) struct Hosts(pub(crate) Ipv4Addr);

impl Dns for Hosts {
    type Error = Infallible;

    async fn get_host_by_name(&self, _: &str, _: AddrType) -> Result<IpAddr, Infallible> {
        Ok(self.0.into())
    }

    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, Infallible> {
        Ok(0)
    }
}

type Secure<'a> = Tls<'a, Network<'a, Tcp<'a>, Hosts>, ChaCha20Rng>;

/// Waits for an address first, measures the stack of a handshake, and tells which servers are refused.
pub(crate) struct Told<'a> {
    pub(crate) stack: Stack<'a>,
    pub(crate) open: Secure<'a>,
}

impl<'a> Open for Told<'a> {
    type Error = OpenError<NetworkError>;
    type Io<'s>
        = <Secure<'a> as Open>::Io<'s>
    where
        Self: 's;

    async fn open(&mut self, to: Endpoint<'_>) -> Result<Self::Io<'_>, Self::Error> {
        self.stack.wait_config_up().await;
        stack::paint();
        let opened = self.open.open(to).await;
        match &opened {
            Ok(_) => stack::tell("tls_open"),
            Err(OpenError::Tls(error)) => say!("@ tls-refused {}: {error}", to.host),
            Err(error) => say!("no connection to {}:{}: {error}", to.host, to.port),
        }
        opened
    }

    fn release(&mut self) {
        self.open.release();
    }
}
