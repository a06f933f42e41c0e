//! A peer that sends and expects literal MQTT 5 packets, so that each moment of a connection can be chosen.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::mqtt::embedded_io_async::ErrorKind;
use ota_core::mqtt::{Config, EmbassyTimer, Mqtt, MqttError, Others, ReasonCode, rx_size, tx_size};
use ota_core::open::{Endpoint, Open};
use ota_core::transport::{Connector, Control, Failure, FailureKind, Qos, Received, Timer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];
const PIPE: usize = 16 * 1024;
/// Far more than any limit set here, so that a wait without one fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hands out one prepared stream per connection; lends it, as TLS over borrowed record buffers has to.
struct Streams {
    waiting: VecDeque<DuplexStream>,
    current: Option<DuplexStream>,
}

/// The openers here know where to go.
const NOWHERE: Endpoint<'_> = Endpoint::plain("", 0);

impl Open for Streams {
    type Error = io::Error;
    type Io<'s> = FromTokio<&'s mut DuplexStream>;

    async fn open(&mut self, _: Endpoint<'_>) -> Result<Self::Io<'_>, io::Error> {
        let next = self.waiting.pop_front().ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(FromTokio::new(self.current.insert(next)))
    }
}

fn streams<const N: usize>(capacity: usize) -> (Streams, [Peer; N]) {
    let mut waiting = VecDeque::new();
    let peers = std::array::from_fn(|_| {
        let (device, peer) = duplex(capacity);
        waiting.push_back(device);
        Peer(peer)
    });
    (Streams { waiting, current: None }, peers)
}

struct Peer(DuplexStream);

impl Peer {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn expect(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        tokio::time::timeout(PATIENCE, self.0.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, bytes);
    }

    /// Reads one packet, whatever it is: type byte and body.
    async fn packet(&mut self) -> (u8, Vec<u8>) {
        let kind = tokio::time::timeout(PATIENCE, self.0.read_u8()).await.unwrap().unwrap();
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let byte = self.0.read_u8().await.unwrap();
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (kind, body)
    }

    async fn accept(&mut self) {
        assert_eq!(self.packet().await.0, 0x10);
        self.send(CONNACK).await;
    }
}

/// A QoS 0 PUBLISH as a broker sends it.
fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
    body.extend_from_slice(topic.as_bytes());
    body.push(0);
    body.extend_from_slice(payload);
    let (mut packet, mut length) = (vec![0x30], body.len());
    while length >= 0x80 {
        packet.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(&body);
    packet
}

/// Polls once and drops the future, as the driver does when something else comes first.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Short limits, for the tests that wait for one to pass.
fn quick(thing: &str) -> Config<'_> {
    Config { connect_timeout_ms: 100, write_timeout_ms: 100, ..Config::new(thing, NOWHERE) }
}

macro_rules! client {
    ($name:ident, $streams:expr, $config:expr) => {
        let (mut rx, mut tx) = ([0; 512], [0; 1024]);
        let mut $name = Mqtt::new($streams, $config, &mut rx, &mut tx).unwrap();
    };
}

macro_rules! connect {
    ($client:ident, $peer:ident) => {{
        let (link, ()) = tokio::join!($client.connect(), $peer.accept());
        link.unwrap()
    }};
}

#[tokio::test]
async fn what_goes_on_the_wire() {
    let (streams, [mut peer, mut second]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    let (link, ()) = tokio::join!(client.connect(), async {
        // MQTT 5, clean start, 60 s; Maximum Packet Size 512, session expiry 0, Receive Maximum 8; client id = thing.
        peer.expect(b"\x10\x1f\x00\x04MQTT\x05\x02\x00\x3c\x0d\x27\x00\x00\x02\x00\x11\x00\x00\x00\x00\x21\x00\x08\x00\x05dev-7")
            .await;
        peer.send(CONNACK).await;
    });
    let mut link = link.unwrap();
    link.subscribe(&[("a/b", Qos::AtLeastOnce), ("c", Qos::AtMostOnce)]).await.unwrap();
    peer.expect(b"\x82\x0d\x00\x01\x00\x00\x03a/b\x01\x00\x01c\x00").await;
    link.publish("t", b"zero", Qos::AtMostOnce).await.unwrap();
    peer.expect(b"\x30\x08\x00\x01t\x00zero").await;
    assert!(!link.is_idle());
    link.publish("t", b"one", Qos::AtLeastOnce).await.unwrap();
    peer.expect(b"\x32\x09\x00\x01t\x00\x02\x00one").await;
    link.disconnect().await.unwrap();
    peer.expect(b"\xe0\x00").await;

    // The session is not kept (expiry 0), so nothing of the above is sent again.
    let (link, ()) = tokio::join!(client.connect(), async {
        second
            .expect(b"\x10\x1f\x00\x04MQTT\x05\x00\x00\x3c\x0d\x27\x00\x00\x02\x00\x11\x00\x00\x00\x00\x21\x00\x08\x00\x05dev-7")
            .await;
        second.send(CONNACK).await;
    });
    let mut link = link.unwrap();
    assert!(link.is_idle());
    link.publish("t", b"", Qos::AtMostOnce).await.unwrap();
    second.expect(b"\x30\x04\x00\x01t\x00").await;
}

#[tokio::test]
async fn credentials_and_client_id_go_into_connect() {
    let (streams, [mut peer]) = streams(PIPE);
    let config = Config {
        client_id: "c",
        credentials: Some(("user", b"pw")),
        keep_alive_s: 1200,
        session_expiry_s: 300,
        ..Config::new("dev-7", NOWHERE)
    };
    client!(client, streams, config);
    let (link, ()) = tokio::join!(client.connect(), async {
        peer.expect(b"\x10\x25\x00\x04MQTT\x05\xc2\x04\xb0\x0d\x27\x00\x00\x02\x00\x11\x00\x00\x01\x2c\x21\x00\x08\x00\x01c\x00\x04user\x00\x02pw")
            .await;
        peer.send(CONNACK).await;
    });
    assert!(link.is_ok());
}

#[tokio::test]
async fn nine_filters_make_two_subscribe_packets() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    let mut link = connect!(client, peer);
    link.subscribe(&[("f", Qos::AtLeastOnce); 9]).await.unwrap();
    assert_eq!(peer.packet().await, (0x82, [&[0, 1, 0][..], &b"\x00\x01f\x01".repeat(8)].concat()));
    assert_eq!(peer.packet().await, (0x82, b"\x00\x02\x00\x00\x01f\x01".to_vec()));
}

#[tokio::test]
async fn a_refused_subscription_or_publication_leaves_the_link_up() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    let mut link = connect!(client, peer);
    link.subscribe(&[("a", Qos::AtLeastOnce)]).await.unwrap();
    link.publish("b", b"", Qos::AtLeastOnce).await.unwrap();
    peer.send(&[0x90, 4, 0, 1, 0, 0x87]).await;
    peer.send(&[0x40, 4, 0, 2, 0x97, 0]).await;
    peer.send(&publish("x", b"still here")).await;
    let error = link.receive().await.unwrap_err();
    assert_eq!(error, MqttError::Refused(ReasonCode::NotAuthorized));
    assert_eq!(error.kind(), FailureKind::Refused);
    assert_eq!(link.receive().await.unwrap_err(), MqttError::Refused(ReasonCode::QuotaExceeded));
    assert_eq!(link.receive().await.unwrap(), Received { topic: "x", payload: b"still here" });
}

#[tokio::test]
async fn a_refused_connection_tells_why_and_another_can_follow() {
    let (streams, [mut first, mut second, mut third]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    for (peer, code, reason, kind) in [
        (&mut first, 0x87, ReasonCode::NotAuthorized, FailureKind::Refused),
        (&mut second, 0x89, ReasonCode::ServerBusy, FailureKind::Lost),
    ] {
        peer.send(&[0x20, 3, 0, code, 0]).await;
        let error = client.connect().await.map(|_| ()).unwrap_err();
        assert_eq!(error, MqttError::ConnectRefused(reason));
        assert_eq!(error.kind(), kind);
    }
    connect!(client, third);
}

#[tokio::test]
async fn an_attempt_is_bounded_and_may_fail_in_opening() {
    let (streams, [_silent, _dropped, mut peer]) = streams(PIPE);
    client!(client, streams, quick("dev-7"));
    let attempt = tokio::time::timeout(PATIENCE, client.connect()).await.unwrap().map(|_| ());
    assert_eq!(attempt.unwrap_err(), MqttError::ConnectTimeout);
    assert!(poll_once(client.connect()).await.is_none());
    connect!(client, peer);
    let error = client.connect().await.map(|_| ()).unwrap_err();
    assert_eq!(error, MqttError::Open(ErrorKind::ConnectionRefused));
    assert_eq!(error.kind(), FailureKind::Lost);
}

#[tokio::test]
async fn a_full_window_is_busy_until_an_acknowledgement() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    let mut link = connect!(client, peer);
    for _ in 0..8 {
        link.publish("t", b"x", Qos::AtLeastOnce).await.unwrap();
    }
    let error = link.publish("t", b"x", Qos::AtLeastOnce).await.unwrap_err();
    assert_eq!((error, error.kind()), (MqttError::Busy, FailureKind::Busy));
    assert_eq!(link.subscribe(&[("t", Qos::AtMostOnce)]).await.unwrap_err(), MqttError::Busy);
    link.publish("t", b"unaffected", Qos::AtMostOnce).await.unwrap();
    peer.send(&[0x40, 2, 0, 1]).await;
    peer.send(&publish("x", b"")).await;
    assert_eq!(link.receive().await.unwrap().topic, "x");
    link.publish("t", b"x", Qos::AtLeastOnce).await.unwrap();
}

#[tokio::test]
async fn a_message_that_can_never_fit_is_told_from_one_that_has_to_wait() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    let mut link = connect!(client, peer);
    // A message of QoS 1, whose acknowledgement is still owed, must not make the difference.
    peer.send(b"\x32\x06\x00\x01x\x00\x07\x00").await;
    assert_eq!(link.receive().await.unwrap().topic, "x");
    for qos in [Qos::AtLeastOnce, Qos::AtMostOnce] {
        let error = link.publish("t", &[0; 1024], qos).await.unwrap_err();
        assert_eq!((error, error.kind()), (MqttError::TooLarge, FailureKind::TooLarge), "{qos:?}");
    }
    let filter = "f".repeat(1024);
    assert_eq!(link.subscribe(&[(&filter, Qos::AtMostOnce)]).await.unwrap_err(), MqttError::TooLarge);
    link.publish("t", &[0; 500], Qos::AtLeastOnce).await.unwrap();
    assert_eq!(link.subscribe(&[(&filter, Qos::AtMostOnce)]).await.unwrap_err(), MqttError::Busy);
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        assert_eq!(link.publish("t", &[0; 600], qos).await.unwrap_err(), MqttError::Busy, "{qos:?}");
    }
    peer.send(&publish("x", b"")).await;
    assert_eq!(link.receive().await.unwrap().topic, "x");
}

#[tokio::test]
async fn the_brokers_maximum_packet_size_is_kept() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    peer.send(&[0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 64]).await;
    let mut link = client.connect().await.unwrap();
    assert_eq!(link.publish("t", &[0; 64], Qos::AtLeastOnce).await.unwrap_err(), MqttError::TooLarge);
    link.publish("t", &[0; 32], Qos::AtLeastOnce).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_takes_not_even_a_keep_alive_is_lost() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    // Maximum Packet Size 1, and a keep-alive interval of 1 s.
    peer.send(&[0x20, 11, 0, 0, 8, 0x27, 0, 0, 0, 1, 0x13, 0, 1]).await;
    let mut link = client.connect().await.unwrap();
    // Were the link said to go on, whoever receives again would turn in a circle.
    let error = link.receive().await.unwrap_err();
    assert_eq!((error, error.kind()), (MqttError::Protocol, FailureKind::Lost));
}

#[tokio::test]
async fn a_dropped_receive_loses_nothing() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    let mut link = connect!(client, peer);
    let message = publish("topic", b"in many parts");
    for byte in &message[..message.len() - 1] {
        peer.send(&[*byte]).await;
        assert!(poll_once(link.receive()).await.is_none());
    }
    peer.send(&message[message.len() - 1..]).await;
    let received = poll_once(link.receive()).await.unwrap().unwrap();
    assert_eq!(received, Received { topic: "topic", payload: b"in many parts" });
}

#[tokio::test]
async fn a_dropped_publication_never_corrupts_the_stream() {
    let (streams, [mut peer, mut second]) = streams(64);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    let mut link = connect!(client, peer);
    // QoS 1 is retained: the next operation continues where the dropped one stopped.
    assert!(poll_once(link.publish("t", &[1; 100], Qos::AtLeastOnce)).await.is_none());
    let (result, ()) = tokio::join!(link.publish("t", &[2; 10], Qos::AtLeastOnce), async {
        assert_eq!(peer.packet().await, (0x32, [&b"\x00\x01t\x00\x01\x00"[..], &[1; 100]].concat()));
        assert_eq!(peer.packet().await, (0x32, [&b"\x00\x01t\x00\x02\x00"[..], &[2; 10]].concat()));
    });
    result.unwrap();
    // QoS 0 is not, so the stream has ended in half a packet.
    assert!(poll_once(link.publish("t", &[3; 100], Qos::AtMostOnce)).await.is_none());
    let error = link.publish("t", b"", Qos::AtMostOnce).await.unwrap_err();
    assert_eq!((error, error.kind()), (MqttError::Torn, FailureKind::Lost));
    assert_eq!(link.receive().await.unwrap_err(), MqttError::Torn);
    assert_eq!(link.subscribe(&[("a", Qos::AtMostOnce)]).await.unwrap_err(), MqttError::Torn);
    assert_eq!(link.disconnect().await.unwrap_err(), MqttError::Torn);
    connect!(client, second);
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_lost_in_time() {
    let (streams, [mut first, mut second]) = streams(64);
    client!(client, streams, quick("dev-7"));
    let mut link = connect!(client, first);
    let attempt = tokio::time::timeout(PATIENCE, link.publish("t", &[0; 100], Qos::AtMostOnce)).await;
    let error = attempt.unwrap().unwrap_err();
    assert_eq!((error, error.kind()), (MqttError::Stream(ErrorKind::TimedOut), FailureKind::Lost));

    // The clock goes on while futures are dropped and repeated, each for less than the limit.
    let mut link = connect!(client, second);
    assert!(poll_once(link.publish("t", &[0; 100], Qos::AtLeastOnce)).await.is_none());
    let mut ended = None;
    for _ in 0..50 {
        if let Ok(result) = tokio::time::timeout(Duration::from_millis(20), link.receive()).await {
            ended = Some(result.unwrap_err());
            break;
        }
    }
    assert_eq!(ended, Some(MqttError::Stream(ErrorKind::TimedOut)));
}

#[tokio::test]
async fn a_slow_peer_is_not_a_lost_one() {
    let (streams, [mut peer]) = streams(64);
    client!(client, streams, Config { write_timeout_ms: 400, ..Config::new("dev-7", NOWHERE) });
    let mut link = connect!(client, peer);
    // The packet takes longer than the limit, but each part of it is well within.
    let payload = [7; 900];
    let (result, ()) = tokio::join!(link.publish("t", &payload, Qos::AtLeastOnce), async {
        peer.expect(b"\x32\x8a\x07\x00\x01t\x00\x01\x00").await;
        for part in payload.chunks(60) {
            let mut timer = EmbassyTimer;
            let next = timer.now_ms() + 40;
            timer.until(next).await;
            peer.expect(part).await;
        }
    });
    result.unwrap();
}

#[tokio::test]
async fn the_end_of_a_link_has_a_reason() {
    let oversized = publish("topic", &[0; 600]);
    for (bytes, reason) in [
        (&[0xe0, 0][..], MqttError::Closed),
        (&[0xe0, 2, 0x8e, 0], MqttError::Closed),
        (&[0x00, 0], MqttError::Protocol),
        (&[0x30, 0xff, 0xff, 0xff, 0xff], MqttError::Protocol),
        (&oversized, MqttError::Protocol),
        (&[], MqttError::Closed),
    ] {
        let (streams, [mut peer]) = streams(PIPE);
        client!(client, streams, Config::new("dev-7", NOWHERE));
        let mut link = connect!(client, peer);
        peer.send(bytes).await;
        drop(peer);
        let error = link.receive().await.unwrap_err();
        assert_eq!((error, error.kind()), (reason, FailureKind::Lost), "{bytes:?}");
        assert_eq!(link.publish("t", b"", Qos::AtMostOnce).await.unwrap_err(), MqttError::Closed);
    }
}

#[tokio::test]
async fn receive_keeps_the_link_alive() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    // The broker imposes 1 s, so the request leaves after half of it.
    peer.send(&[0x20, 6, 0, 0, 3, 0x13, 0, 1]).await;
    let mut link = client.connect().await.unwrap();
    assert_eq!(peer.packet().await.0, 0x10);
    let (received, ()) = tokio::join!(link.receive(), async {
        for _ in 0..2 {
            peer.expect(&[0xc0, 0]).await;
            peer.send(&[0xd0, 0]).await;
        }
        peer.send(&publish("x", b"")).await;
    });
    assert_eq!(received.unwrap().topic, "x");
}

#[tokio::test]
async fn other_topics_go_to_the_application() {
    let (streams, [mut peer]) = streams(PIPE);
    let mut heard = Vec::new();
    let mut handler = |topic: &str, payload: &[u8]| heard.push((topic.to_owned(), payload.to_vec()));
    let (mut rx, mut tx) = ([0; 512], [0; 1024]);
    let mut client = Mqtt::new(streams, Config::new("dev-7", NOWHERE), &mut rx, &mut tx)
        .unwrap()
        .with_others(Others { filters: &[("my/#", Qos::AtLeastOnce)], handler: &mut handler });
    let mut link = connect!(client, peer);
    assert_eq!(peer.packet().await, (0x82, b"\x00\x01\x00\x00\x04my/#\x01".to_vec()));
    let foreign = [
        "my/topic",
        "$aws/things/dev-7/shadow/get",
        "$aws/things/dev-70/jobs/notify",
        "$aws/things/dev-7/jobs",
    ];
    let ours = ["$aws/things/dev-7/jobs/notify-next", "$aws/things/dev-7/streams/S/data/cbor"];
    for topic in foreign {
        peer.send(&publish(topic, b"theirs")).await;
        let received = link.receive().await.unwrap();
        assert_eq!(received, Received::TAKEN, "{topic}");
        assert!(received.is_taken());
    }
    for topic in ours {
        peer.send(&publish(topic, b"ours")).await;
        assert_eq!(link.receive().await.unwrap(), Received { topic, payload: b"ours" });
    }
    assert_eq!(heard, foreign.map(|topic| (topic.to_owned(), b"theirs".to_vec())));
}

#[tokio::test]
async fn without_a_handler_the_agent_sees_every_topic() {
    let (streams, [mut peer]) = streams(PIPE);
    client!(client, streams, Config::new("dev-7", NOWHERE));
    let mut link = connect!(client, peer);
    peer.send(&publish("my/topic", b"")).await;
    assert_eq!(link.receive().await.unwrap().topic, "my/topic");
}

#[tokio::test]
async fn buffers_of_the_advertised_size_hold_what_they_promise() {
    const BLOCK: usize = 512;
    let (streams, [mut peer]) = streams(PIPE);
    let (mut rx, mut tx) = ([0; rx_size(BLOCK, 0)], [0; tx_size(200, 8, 6)]);
    let topic = "t".repeat(256);
    let client_id = "c".repeat(64);
    let config =
        Config { client_id: &client_id, credentials: Some(("user", b"pw")), ..Config::new("dev-7", NOWHERE) };
    let mut client = Mqtt::new(streams, config, &mut rx, &mut tx).unwrap();
    let mut link = connect!(client, peer);
    for _ in 0..8 {
        link.publish(&topic, &[7; 200], Qos::AtLeastOnce).await.unwrap();
    }
    peer.send(&publish(&topic, &[9; BLOCK + 30])).await;
    assert_eq!(link.receive().await.unwrap(), Received { topic: &topic, payload: &[9; BLOCK + 30] });
}

#[tokio::test]
async fn the_clock_reaches_what_it_waits_for() {
    let mut timer = EmbassyTimer;
    let start = timer.now_ms();
    timer.until(start + 5).await;
    assert!(timer.now_ms() >= start + 5);
    assert!(poll_once(timer.until(start)).await.is_some());
    assert!(poll_once(timer.until(u64::MAX)).await.is_none());
}
