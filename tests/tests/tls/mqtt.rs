//! MQTT over TLS: the adapter inside the adapter, against the stand-in's broker and on a link that drips.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::mqtt::{self, Mqtt, MqttError};
use ota_core::open::{Endpoint, Open};
use ota_core::tls::embedded_io_async::ErrorKind;
use ota_core::tls::webpki::anchor_from_trusted_cert;
use ota_core::tls::{Buffers, Client, Config, OpenError, RECORD_MAX, SigningKey, Tls, rx_size, tx_size};
use ota_core::transport::{Connector, Control, Qos};
use ota_sim::aws::OtaSpec;
use ota_sim::net::{Broker, Certificates, Server, ServerConfig, Tls as TlsPort};
use p256::pkcs8::DecodePrivateKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::certificates::Authority;
use crate::servers::{echo, serve, server_config};
use crate::support::{BUILT_AT_S, Numbers, bounded, config};

const THING: &str = "dev-7";
/// The openers here know where to go.
pub(crate) const NOWHERE: Endpoint<'_> = Endpoint::tls("", 0);

pub(crate) struct Tcp(pub(crate) SocketAddr);

impl Open for Tcp {
    type Error = std::io::Error;
    type Io<'s> = FromTokio<TcpStream>;

    async fn open(&mut self, _: Endpoint<'_>) -> std::io::Result<Self::Io<'_>> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(FromTokio::new(stream))
    }
}

/// Hands out one prepared stream.
struct Prepared(Option<DuplexStream>);

impl Open for Prepared {
    type Error = std::io::Error;
    type Io<'s> = FromTokio<DuplexStream>;

    async fn open(&mut self, _: Endpoint<'_>) -> std::io::Result<Self::Io<'_>> {
        self.0.take().map(FromTokio::new).ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }
}

async fn broker(dir: &std::path::Path) -> (Server, SocketAddr) {
    let tls = TlsPort { port: 0, certificates: Certificates::create(dir, THING, &[]).unwrap() };
    let config =
        ServerConfig { broker: Broker::Embedded { port: None, tls: Some(tls) }, ..ServerConfig::default() };
    let server = Server::start(config).await.unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.tls_port().unwrap()));
    (server, address)
}

/// Mutual TLS with the stand-in: a job is asked for and comes.
#[tokio::test]
async fn a_job_through_mutual_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (server, address) = broker(dir.path()).await;
    let files = server.certificates().unwrap();
    let root = CertificateDer::from_pem_file(&files.ca).unwrap();
    let certificate = CertificateDer::from_pem_file(&files.device).unwrap();
    let key = SigningKey::from_pkcs8_pem(&std::fs::read_to_string(&files.device_key).unwrap()).unwrap();
    server.queue_job(THING, "AFR_OTA-rel-12", &OtaSpec::mqtt(vec![7; 10_000], "MAYCAQECAQE="));

    let roots = [anchor_from_trusted_cert(&root).unwrap()];
    let client = Client { certificate: &certificate, signer: &key };
    for (client, server_name) in [
        (Some(client), "localhost"),
        (Some(client), "127.0.0.1"),
        (None, "localhost"),
        (Some(client), "else"),
    ] {
        // The certificates have no end in sight, and no clock is needed to see that.
        let tls = Config { client, ..Config::new(server_name, &roots, BUILT_AT_S) };
        let (mut record_rx, mut record_tx) =
            (vec![0; rx_size(RECORD_MAX)], vec![0; tx_size(certificate.len())]);
        let buffers = Buffers::new(&mut record_rx, &mut record_tx).unwrap();
        let (mut rx, mut tx) = ([0; 4_096], [0; 2_048]);
        let tls = Tls::new(Tcp(address), tls, Numbers(7), buffers);
        let mut device = Mqtt::new(tls, mqtt::Config::new(THING, NOWHERE), &mut rx, &mut tx).unwrap();
        for _ in 0..2 {
            let link = bounded(device.connect()).await.map_err(|error| match error {
                MqttError::Open(kind) => format!("{kind:?}"),
                other => format!("{other:?}"),
            });
            if server_name == "else" {
                assert_eq!(link.err().unwrap(), "PermissionDenied");
                continue;
            }
            if client.is_none() {
                // The broker's refusal arrives where its greeting should.
                assert_eq!(link.err().unwrap(), "Stream(ConnectionAborted)");
                continue;
            }
            let mut link = link.unwrap();
            bounded(async {
                let topic = format!("$aws/things/{THING}/jobs/$next/get");
                link.publish(&topic, br#"{"clientToken":"t"}"#, Qos::AtMostOnce).await.unwrap();
                let answer = link.receive().await.unwrap();
                assert_eq!(answer.topic, format!("{topic}/accepted"));
                let text = std::str::from_utf8(answer.payload).unwrap();
                assert!(text.contains("AFR_OTA-rel-12"), "{text}");
                link.disconnect().await.unwrap();
            })
            .await;
        }
    }
    bounded(server.shutdown()).await;
}

/// Between two MQTT connections, the same buffers serve another one.
#[tokio::test]
async fn one_connection_at_a_time_with_the_same_buffers() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let broker = || serve(server_config(&root.server(), None), |stream| converse(stream.unwrap(), false));
    let (mut record_rx, mut record_tx) = (vec![0; rx_size(RECORD_MAX)], vec![0; tx_size(0)]);
    let pool = RefCell::new(Buffers::new(&mut record_rx, &mut record_tx).unwrap());
    let (mut rx, mut tx) = ([0; 512], [0; 1_024]);
    let (io, _broker) = broker();
    let tls = Tls::sharing(Prepared(Some(io)), config(&roots), Numbers(7), &pool);
    let mut device = Mqtt::new(tls, mqtt::Config::new(THING, NOWHERE), &mut rx, &mut tx).unwrap();
    let (io, _other) = serve(server_config(&root.server(), None), echo);
    let mut other = Tls::sharing(Prepared(Some(io)), config(&roots), Numbers(8), &pool);
    bounded(async {
        let mut link = device.connect().await.unwrap();
        link.publish("question", b"?", Qos::AtMostOnce).await.unwrap();
        assert_eq!(link.receive().await.unwrap().payload, b"a good answer");
        assert!(matches!(other.open(NOWHERE).await, Err(OpenError::InUse)));
        drop(link);
        assert!(matches!(other.open(NOWHERE).await, Err(OpenError::InUse)), "not given back");
        device.release();

        let mut stream = other.open(NOWHERE).await.unwrap();
        {
            use ota_core::tls::embedded_io_async::{Read, Write};
            stream.write_all(b"other").await.unwrap();
            stream.flush().await.unwrap();
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"other");
        }
        drop(stream);
        assert_eq!(device.connect().await.err(), Some(MqttError::Open(ErrorKind::Other)), "not given back");
        other.release();

        let (io, _broker) = broker();
        device.opener().below().0 = Some(io);
        let mut link = device.connect().await.unwrap();
        link.publish("question", b"?", Qos::AtMostOnce).await.unwrap();
        assert_eq!(link.receive().await.unwrap().payload, b"a good answer");
    })
    .await;
}

/// A message of 100 bytes to the topic without name.
const LONG: [u8; 105] = {
    let mut packet = [b'a'; 105];
    [packet[0], packet[1], packet[2], packet[3], packet[4]] = [0x30, 103, 0, 0, 0];
    packet
};

/// A broker of four packets. With `hurry`, it asks for a keep-alive every two seconds (MQTT 5.0, 3.2.2.3.14).
async fn converse(mut stream: tokio_rustls::server::TlsStream<DuplexStream>, hurry: bool) -> u32 {
    let mut keep_alives = 0;
    loop {
        let mut head = [0; 2];
        if stream.read_exact(&mut head).await.is_err() {
            return keep_alives;
        }
        let mut body = vec![0; head[1].into()];
        stream.read_exact(&mut body).await.unwrap();
        let answer: &[u8] = match head[0] >> 4 {
            1 if hurry => &[0x20, 6, 0, 0, 3, 0x13, 0, 2],
            1 => &[0x20, 3, 0, 0, 0],
            3 if hurry => &LONG,
            3 => b"\x30\x10\x00\x00\x00a good answer",
            12 => {
                keep_alives += 1;
                &[0xD0, 0]
            }
            _ => return keep_alives,
        };
        // The device may be gone by now.
        let _ = stream.write_all(answer).await;
        let _ = stream.flush().await;
    }
}

/// Forwards what the server sends, from a signal on one byte at a time.
async fn drip(mut server: DuplexStream, mut device: DuplexStream, slow: watch::Receiver<bool>) {
    let (mut from_server, mut to_server) = tokio::io::split(&mut server);
    let (mut from_device, mut to_device) = tokio::io::split(&mut device);
    let up = tokio::io::copy(&mut from_device, &mut to_server);
    let down = async {
        while let Ok(byte) = from_server.read_u8().await {
            if *slow.borrow() {
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            to_device.write_u8(byte).await?;
            to_device.flush().await?;
        }
        Ok::<(), std::io::Error>(())
    };
    tokio::select! { _ = up => {} _ = down => {} }
}

/// A message takes two seconds to arrive and a keep-alive is due each second, so it falls into the record.
#[tokio::test]
async fn keep_alive_on_a_link_that_drips() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let (io, broker) = serve(server_config(&root.server(), None), |stream| converse(stream.unwrap(), true));
    let (device_end, front) = tokio::io::duplex(64 * 1024);
    let (slow, watched) = watch::channel(false);
    let front = tokio::spawn(drip(io, front, watched));
    let (mut record_rx, mut record_tx) = (vec![0; rx_size(RECORD_MAX)], vec![0; tx_size(0)]);
    let buffers = Buffers::new(&mut record_rx, &mut record_tx).unwrap();
    let (mut rx, mut tx) = ([0; 512], [0; 1_024]);
    let tls = Tls::new(Prepared(Some(device_end)), config(&roots), Numbers(7), buffers);
    let mut device = Mqtt::new(tls, mqtt::Config::new(THING, NOWHERE), &mut rx, &mut tx).unwrap();
    bounded(async {
        let mut link = device.connect().await.unwrap();
        slow.send_replace(true);
        for _ in 0..2 {
            link.publish("question", b"?", Qos::AtMostOnce).await.unwrap();
            // Given up again and again in the middle of the record, by the keep-alive and by this.
            loop {
                match tokio::time::timeout(Duration::from_millis(170), link.receive()).await {
                    Ok(message) => break assert_eq!(message.unwrap().payload, [b'a'; 100]),
                    Err(_) => continue,
                }
            }
        }
        drop(link);
        front.await.unwrap();
        assert!(broker.await.unwrap() >= 2, "keep-alives");
    })
    .await;
}
