//! HTTP and TLS, each over a stream that does nothing, and the network under them.

use core::hint::black_box;

#[cfg(any(feature = "http", feature = "tls"))]
use crate::stubs::net::Stream;
use crate::{unknown, unknown_str};

/// One range over one connection.
#[cfg(feature = "http")]
pub(crate) async fn http() {
    use embedded_io_async::ErrorKind;
    use ota_core::{
        http::{Http, HttpConfig},
        open::{Endpoint, Open},
        transport::{RangeSession, Ranges},
    };

    struct Opener;

    impl Open for Opener {
        type Error = ErrorKind;
        type Io<'s> = Stream;

        async fn open(&mut self, to: Endpoint<'_>) -> Result<Stream, ErrorKind> {
            black_box(to);
            black_box(Ok(Stream))
        }
    }

    let Ok(mut http) = Http::new(Opener, HttpConfig::default(), unknown(), unknown()) else { return };
    if black_box(http.target(unknown_str())).is_err() {
        return;
    }
    let Ok(mut session) = http.connect().await else { return };
    if black_box(session.request(unknown_str(), black_box(0), black_box(9), black_box(10))).is_ok() {
        let _ = black_box(session.read(unknown()).await);
    }
}

/// A handshake, then a byte each way.
#[cfg(feature = "tls")]
pub(crate) async fn tls() {
    use embedded_io_async::{Read, Write};
    use ota_core::tls::{
        Buffers, Client, Config, Sign, SignError, Signature, TrustAnchor, connect, rand_core,
    };

    struct Random;

    impl rand_core::RngCore for Random {
        fn next_u32(&mut self) -> u32 {
            black_box(4)
        }

        fn next_u64(&mut self) -> u64 {
            black_box(4)
        }

        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            black_box(bytes);
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
            black_box(bytes);
            Ok(())
        }
    }

    impl rand_core::CryptoRng for Random {}

    /// A secure element, or a key in memory: what the latter takes is not counted.
    struct Element;

    impl Sign for Element {
        fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
            black_box(message);
            Err(black_box(SignError))
        }
    }

    let roots: &[TrustAnchor<'_>] = black_box(&[]);
    let client = Some(Client { certificate: unknown(), signer: &Element });
    let config = Config {
        client,
        alpn: black_box(&[b"x-amzn-mqtt-ca"]),
        ..Config::new(unknown_str(), roots, black_box(1))
    };
    let Ok(mut buffers) = Buffers::new(unknown(), unknown()) else { return };
    let Ok(mut stream) = connect(Stream, &config, &mut Random, &mut buffers).await else { return };
    let _ = black_box(stream.write(unknown()).await);
    let _ = black_box(stream.flush().await);
    let _ = black_box(stream.read(unknown()).await);
}

/// DHCP, DNS, and a TCP connection with a byte each way, over an Ethernet driver that does nothing.
#[cfg(feature = "network")]
pub(crate) async fn tcp() {
    use core::task::Context;

    use embassy_net::{
        Config, StackResources,
        dns::DnsSocket,
        tcp::client::{TcpClient, TcpClientState},
    };
    use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
    use embedded_io_async::{Read, Write};
    use ota_core::{
        nal::Network,
        open::{Endpoint, Open},
    };

    struct Ethernet;
    struct Frame;

    impl RxToken for Frame {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
            read(unknown())
        }
    }

    impl TxToken for Frame {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
            write(unknown().get_mut(..len).unwrap_or_default())
        }
    }

    impl Driver for Ethernet {
        type RxToken<'a> = Frame;
        type TxToken<'a> = Frame;

        fn receive(&mut self, context: &mut Context<'_>) -> Option<(Frame, Frame)> {
            black_box(context);
            black_box(Some((Frame, Frame)))
        }

        fn transmit(&mut self, context: &mut Context<'_>) -> Option<Frame> {
            black_box(context);
            black_box(Some(Frame))
        }

        fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
            black_box(context);
            black_box(LinkState::Up)
        }

        fn capabilities(&self) -> Capabilities {
            let mut capabilities = Capabilities::default();
            capabilities.max_transmission_unit = black_box(1514);
            capabilities
        }

        fn hardware_address(&self) -> HardwareAddress {
            black_box(HardwareAddress::Ethernet([2; 6]))
        }
    }

    let mut resources = StackResources::<3>::new();
    let config = Config::dhcpv4(Default::default());
    let (stack, mut runner) = embassy_net::new(Ethernet, config, &mut resources, black_box(1));
    let state = TcpClientState::<1, 1024, 1024>::new();
    let client = TcpClient::new(stack, &state);
    let dns = DnsSocket::new(stack);
    let connected = async {
        stack.wait_config_up().await;
        let to = Endpoint::plain(unknown_str(), black_box(8883));
        let Ok(mut stream) = Network::new(&client, &dns).open(to).await else { return };
        let _ = black_box(stream.write(unknown()).await);
        let _ = black_box(stream.flush().await);
        let _ = black_box(stream.read(unknown()).await);
    };
    embassy_futures::select::select(runner.run(), connected).await;
}
