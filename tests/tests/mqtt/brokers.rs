//! The adapter against the embedded broker and, where it is installed, mosquitto. The other side of each conversation
//! is an independent MQTT 5 client.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, MqttBroker};
use mqtt5::{MqttClient, PublishOptions, QoS, SubscribeOptions};
use ota_core::mqtt::embedded_io_async::ErrorKind;
use ota_core::mqtt::{Config, Mqtt, MqttError};
use ota_core::open::{Endpoint, Open};
use ota_core::transport::{Connector, Control, Failure, FailureKind, Qos, Received};
use ota_sim::conformance::{ControlSpec, control};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// More than any conversation here takes, so that a broken one fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plain TCP.
struct Tcp(SocketAddr);

/// The openers here know where to go.
const NOWHERE: Endpoint<'_> = Endpoint::plain("", 0);

impl Open for Tcp {
    type Error = io::Error;
    type Io<'s> = FromTokio<TcpStream>;

    async fn open(&mut self, _: Endpoint<'_>) -> Result<FromTokio<TcpStream>, io::Error> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(FromTokio::new(stream))
    }
}

/// A broker that runs until this is dropped.
struct Broker {
    address: SocketAddr,
    /// mosquitto and the folder of its settings; the embedded broker is a task of the test.
    _process: Option<(Child, tempfile::TempDir)>,
}

impl Broker {
    async fn embedded() -> Option<Self> {
        let storage = StorageConfig::new().with_backend(StorageBackend::Memory);
        let config = BrokerConfig::new().with_bind_address(LOOPBACK).with_storage(storage);
        let mut broker = MqttBroker::with_config(config).await.unwrap();
        let address = broker.local_addr().unwrap();
        tokio::spawn(async move { broker.run().await });
        Some(Self { address, _process: None })
    }

    /// `None`, with a notice, where mosquitto is not installed and need not be.
    async fn mosquitto() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // A port that was free a moment ago may be taken by another test: then mosquitto ends, and another is tried.
        for _ in 0..10 {
            let address = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
            let file = folder.path().join("mosquitto.conf");
            let settings = format!(
                "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nlog_dest stderr\nlog_type all\n",
                address.port()
            );
            std::fs::write(&file, settings).unwrap();
            // Debian puts it where only root looks.
            let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
            let started = Command::new("mosquitto")
                .env("PATH", path)
                .arg("-c")
                .arg(&file)
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn();
            let mut process = match started {
                Ok(process) => process,
                Err(error) => {
                    let required =
                        ["CI", "OTA_REQUIRE_ALL"].iter().any(|name| std::env::var_os(name).is_some());
                    assert!(!required, "mosquitto cannot be started ({error}); install it");
                    // Written past the test runner's capture, so that it is seen.
                    let _ =
                        writeln!(io::stderr(), "NOTICE: mosquitto is not installed, its tests do nothing");
                    return None;
                }
            };
            let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.ends_with(" running") {
                    // The pipe has to be read on, else mosquitto stands still when it is full.
                    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                    return Some(Self { address, _process: Some((process, folder)) });
                }
            }
        }
        panic!("mosquitto does not start");
    }
}

/// A network between device and broker that can be cut, or made to lose what the broker says.
struct Front {
    address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    /// What the broker sends does not arrive.
    Deaf,
    /// Connections end, new ones too.
    Cut,
}

impl Front {
    async fn new(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, watched) = watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((device, _)) = listener.accept().await {
                let watched = watched.clone();
                let broker = TcpStream::connect(broker).await.unwrap();
                tokio::spawn(Self::forward(device, broker, watched));
            }
        });
        Self { address, state }
    }

    async fn forward(device: TcpStream, broker: TcpStream, mut watched: watch::Receiver<State>) {
        let (mut from_device, mut to_device) = device.into_split();
        let (from_broker, mut to_broker) = broker.into_split();
        let mut state = watched.clone();
        let up = copy(&mut from_device, &mut to_broker);
        let down = async {
            let mut buffer = [0; 4096];
            loop {
                from_broker.readable().await?;
                let length = match from_broker.try_read(&mut buffer) {
                    Ok(0) => return Ok::<(), io::Error>(()),
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(error),
                };
                // Only then: what is read after Deaf has become Cut must not slip through.
                if *state.borrow_and_update() == State::Open {
                    to_device.write_all(&buffer[..length]).await?;
                }
            }
        };
        tokio::select! {
            _ = up => {}
            _ = down => {}
            _ = watched.wait_for(|state| *state == State::Cut) => {}
        }
    }
}

/// The other end of the conversation.
struct Cloud {
    client: MqttClient,
    heard: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
}

impl Cloud {
    async fn new(broker: SocketAddr) -> Self {
        let client = MqttClient::new("cloud");
        client.connect(&format!("mqtt://{broker}")).await.unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        let options = SubscribeOptions { qos: QoS::AtLeastOnce, ..SubscribeOptions::default() };
        client
            .subscribe_with_options("to-cloud/#", options, move |message| {
                let _ = sender.send((message.topic, message.payload));
            })
            .await
            .unwrap();
        Self { client, heard }
    }

    async fn send(&self, topic: &str, payload: &[u8]) {
        let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
        self.client.publish_with_options(topic, payload, options).await.unwrap();
    }

    async fn hear(&mut self) -> (String, Vec<u8>) {
        self.heard.recv().await.unwrap()
    }

    /// Whatever the device has sent before has been dealt with by the broker: it works through a connection in order.
    async fn in_step<L: Control>(&mut self, link: &mut L) {
        link.publish("to-cloud/step", b"", Qos::AtMostOnce).await.unwrap();
        while self.hear().await.0 != "to-cloud/step" {}
    }
}

macro_rules! against_brokers {
    ($($scenario:ident)*) => {
        mod embedded {
            $(#[tokio::test]
            async fn $scenario() {
                let broker = super::Broker::embedded().await.unwrap();
                tokio::time::timeout(super::PATIENCE, super::$scenario(broker.address)).await.unwrap();
            })*
        }
        mod mosquitto {
            $(#[tokio::test]
            async fn $scenario() {
                let Some(broker) = super::Broker::mosquitto().await else { return };
                tokio::time::timeout(super::PATIENCE, super::$scenario(broker.address)).await.unwrap();
            })*
        }
    };
}

against_brokers! {
    messages_go_both_ways
    a_cut_link_is_made_again_and_subscribed_again
    a_message_larger_than_the_receive_buffer_is_withheld
    a_second_client_of_the_same_name_ends_the_first
    what_was_not_acknowledged_is_sent_again_where_a_session_is_kept
    the_adapter_conforms
}

macro_rules! device {
    ($name:ident, $address:expr, $config:expr) => {
        let (mut rx, mut tx) = ([0; 1024], [0; 2048]);
        let mut $name = Mqtt::new(Tcp($address), $config, &mut rx, &mut tx).unwrap();
    };
}

async fn the_adapter_conforms(broker: SocketAddr) {
    device!(device, broker, Config::new("dev-7", NOWHERE));
    // The receive buffer is 1024 bytes, the send buffer 2048.
    let spec = ControlSpec { topic: "to-device/own", payload_max: 900, too_large: 2048 };
    let mut buffer = [0; 2048];
    assert_eq!(control(&mut device, &spec, &mut buffer).await, Ok(()));
}

async fn messages_go_both_ways(broker: SocketAddr) {
    let mut cloud = Cloud::new(broker).await;
    device!(device, broker, Config::new("dev-7", NOWHERE));
    let mut link = device.connect().await.unwrap();
    link.subscribe(&[("to-device/one", Qos::AtLeastOnce), ("to-device/zero", Qos::AtMostOnce)])
        .await
        .unwrap();
    cloud.in_step(&mut link).await;
    for n in 0..100u8 {
        let topic = if n % 2 == 0 { "to-device/one" } else { "to-device/zero" };
        let payload = vec![n; usize::from(n)];
        cloud.send(topic, &payload).await;
        assert_eq!(link.receive().await.unwrap(), Received { topic, payload: &payload });
        let qos = if n % 2 == 0 { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        // An earlier acknowledgement may still be under way; it comes in with the next message at the latest.
        link.publish("to-cloud/x", &payload, qos).await.unwrap();
        assert_eq!(cloud.hear().await, ("to-cloud/x".to_owned(), payload));
    }
    link.disconnect().await.unwrap();
}

async fn a_cut_link_is_made_again_and_subscribed_again(broker: SocketAddr) {
    let mut cloud = Cloud::new(broker).await;
    let front = Front::new(broker).await;
    device!(device, front.address, Config { connect_timeout_ms: 2_000, ..Config::new("dev-7", NOWHERE) });
    for round in 0..3u8 {
        let mut link = device.connect().await.unwrap();
        // A fresh session: the subscription of the round before is gone, so its message is not the first to arrive.
        link.subscribe(&[("to-device/b", Qos::AtLeastOnce)]).await.unwrap();
        cloud.in_step(&mut link).await;
        cloud.send("to-device/a", &[round]).await;
        cloud.send("to-device/b", &[round]).await;
        assert_eq!(link.receive().await.unwrap(), Received { topic: "to-device/b", payload: &[round] });
        link.subscribe(&[("to-device/a", Qos::AtLeastOnce)]).await.unwrap();
        cloud.in_step(&mut link).await;
        cloud.send("to-device/a", &[round]).await;
        assert_eq!(link.receive().await.unwrap(), Received { topic: "to-device/a", payload: &[round] });

        front.state.send_replace(State::Cut);
        let error = link.receive().await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Lost);
        drop(link);
        let error = device.connect().await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Lost);
        front.state.send_replace(State::Open);
    }
}

async fn a_message_larger_than_the_receive_buffer_is_withheld(broker: SocketAddr) {
    let mut cloud = Cloud::new(broker).await;
    device!(device, broker, Config::new("dev-7", NOWHERE));
    let mut link = device.connect().await.unwrap();
    link.subscribe(&[("to-device/#", Qos::AtLeastOnce)]).await.unwrap();
    cloud.in_step(&mut link).await;
    for round in 0..3u8 {
        cloud.send("to-device/large", &[round; 1024]).await;
        cloud.send("to-device/small", &[round; 900]).await;
        assert_eq!(
            link.receive().await.unwrap(),
            Received { topic: "to-device/small", payload: &[round; 900] }
        );
    }
    cloud.in_step(&mut link).await;
}

async fn a_second_client_of_the_same_name_ends_the_first(broker: SocketAddr) {
    let mut cloud = Cloud::new(broker).await;
    device!(first, broker, Config::new("dev-7", NOWHERE));
    device!(second, broker, Config { client_id: "dev-7", ..Config::new("another", NOWHERE) });
    let mut link = first.connect().await.unwrap();
    let mut usurper = second.connect().await.unwrap();
    let error = link.receive().await.unwrap_err();
    assert_eq!((error, error.kind()), (MqttError::Closed, FailureKind::Lost));
    cloud.in_step(&mut usurper).await;
}

async fn what_was_not_acknowledged_is_sent_again_where_a_session_is_kept(broker: SocketAddr) {
    let mut cloud = Cloud::new(broker).await;
    let front = Front::new(broker).await;
    device!(device, front.address, Config { session_expiry_s: 300, ..Config::new("dev-7", NOWHERE) });
    let mut link = device.connect().await.unwrap();
    link.subscribe(&[("to-device/#", Qos::AtLeastOnce)]).await.unwrap();
    cloud.in_step(&mut link).await;
    cloud.send("to-device/x", b"before").await;
    assert_eq!(link.receive().await.unwrap().payload, b"before");
    cloud.in_step(&mut link).await;
    assert!(link.is_idle());
    front.state.send_replace(State::Deaf);
    link.publish("to-cloud/once", b"at least", Qos::AtLeastOnce).await.unwrap();
    assert_eq!(cloud.hear().await, ("to-cloud/once".to_owned(), b"at least".to_vec()));
    front.state.send_replace(State::Cut);
    assert_eq!(link.receive().await.unwrap_err().kind(), FailureKind::Lost);
    drop(link);
    front.state.send_replace(State::Open);

    // The subscription is still there, and the publication arrives a second time.
    let mut link = device.connect().await.unwrap();
    assert!(!link.is_idle());
    cloud.send("to-device/x", b"after").await;
    assert_eq!(link.receive().await.unwrap().payload, b"after");
    assert_eq!(cloud.hear().await, ("to-cloud/once".to_owned(), b"at least".to_vec()));
    cloud.send("to-device/x", b"last").await;
    assert_eq!(link.receive().await.unwrap().payload, b"last");
    cloud.in_step(&mut link).await;
    assert!(link.is_idle());
}

#[tokio::test]
async fn nobody_listens() {
    let address = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    device!(device, address, Config::new("dev-7", NOWHERE));
    let error = device.connect().await.map(|_| ()).unwrap_err();
    assert_eq!(error, MqttError::Open(ErrorKind::ConnectionRefused));
}
