//! The stand-in on the network, as an independent MQTT client sees it (rumqttc, both protocol versions), plain and
//! through mutual TLS too.

use std::time::Duration;

use ota_sim::aws::{FaultRates, OtaSpec, Status};
use ota_sim::net::{Broker, Certificates, Server, ServerConfig, Tls};

const JOB: &str = "AFR_OTA-rel-12";
const THING: &str = "dev-7";
/// Bounds every wait, so that a broken server fails the test and does not hang it.
const PATIENCE: Duration = Duration::from_secs(20);

fn image(length: usize) -> Vec<u8> {
    (0..length).map(|k| (k * 7 + k / 256) as u8).collect()
}

/// What a device does with either protocol version: publish, subscribe, wait for the next message.
trait Device {
    async fn publish(&mut self, topic: &str, body: &[u8], qos: u8);
    async fn subscribe(&mut self, filter: &str);
    async fn next(&mut self) -> (String, Vec<u8>);
}

struct V4(rumqttc::AsyncClient, rumqttc::EventLoop);

impl V4 {
    fn connect(port: u16, id: &str) -> Self {
        let mut options = rumqttc::MqttOptions::new(id, "127.0.0.1", port);
        // As AWS' SDKs introduce themselves.
        options.set_credentials("?SDK=Test&Version=1.0.0", "");
        options.set_max_packet_size(256 * 1024, 256 * 1024);
        let (client, events) = rumqttc::AsyncClient::new(options, 100);
        Self(client, events)
    }
}

impl Device for V4 {
    async fn publish(&mut self, topic: &str, body: &[u8], qos: u8) {
        let qos = if qos == 0 { rumqttc::QoS::AtMostOnce } else { rumqttc::QoS::AtLeastOnce };
        self.0.publish(topic, qos, false, body).await.unwrap();
    }
    async fn subscribe(&mut self, filter: &str) {
        self.0.subscribe(filter, rumqttc::QoS::AtMostOnce).await.unwrap();
        loop {
            if let rumqttc::Event::Incoming(rumqttc::Packet::SubAck(_)) = self.1.poll().await.unwrap() {
                return;
            }
        }
    }
    async fn next(&mut self) -> (String, Vec<u8>) {
        loop {
            if let rumqttc::Event::Incoming(rumqttc::Packet::Publish(p)) = self.1.poll().await.unwrap() {
                return (p.topic, p.payload.to_vec());
            }
        }
    }
}

struct V5(rumqttc::v5::AsyncClient, rumqttc::v5::EventLoop);

impl V5 {
    fn connect(port: u16, id: &str) -> Self {
        let options = rumqttc::v5::MqttOptions::new(id, "127.0.0.1", port);
        let (client, events) = rumqttc::v5::AsyncClient::new(options, 100);
        Self(client, events)
    }
}

impl Device for V5 {
    async fn publish(&mut self, topic: &str, body: &[u8], qos: u8) {
        use rumqttc::v5::mqttbytes::QoS;
        let qos = if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        self.0.publish(topic, qos, false, body.to_vec()).await.unwrap();
    }
    async fn subscribe(&mut self, filter: &str) {
        self.0.subscribe(filter, rumqttc::v5::mqttbytes::QoS::AtMostOnce).await.unwrap();
        loop {
            let event = self.1.poll().await.unwrap();
            if let rumqttc::v5::Event::Incoming(rumqttc::v5::Incoming::SubAck(_)) = event {
                return;
            }
        }
    }
    async fn next(&mut self) -> (String, Vec<u8>) {
        loop {
            let event = self.1.poll().await.unwrap();
            if let rumqttc::v5::Event::Incoming(rumqttc::v5::Incoming::Publish(p)) = event {
                return (String::from_utf8(p.topic.to_vec()).unwrap(), p.payload.to_vec());
            }
        }
    }
}

/// Minimal CBOR of `{"f":0,"l":l,"o":o,"b":bitmap,"n":n}` by hand, independent of the stand-in's codec.
fn get_stream(l: u16, o: u16, bitmap: &[u8], n: u16) -> Vec<u8> {
    let mut out = vec![0xA5, 0x61, b'f', 0x00, 0x61, b'l', 0x19];
    out.extend(l.to_be_bytes());
    out.extend([0x61, b'o', 0x19]);
    out.extend(o.to_be_bytes());
    out.extend([0x61, b'b', 0x59]);
    out.extend((bitmap.len() as u16).to_be_bytes());
    out.extend(bitmap);
    out.extend([0x61, b'n', 0x19]);
    out.extend(n.to_be_bytes());
    out
}

/// Block id and payload of `bf 6166 f 6169 i 616c l 6170 p ff` (no token).
fn block(message: &[u8]) -> (u32, &[u8]) {
    fn integer(bytes: &[u8]) -> (u32, &[u8]) {
        match bytes {
            [0x18, v, rest @ ..] => (u32::from(*v), rest),
            [0x19, a, b, rest @ ..] => (u32::from(u16::from_be_bytes([*a, *b])), rest),
            [v, rest @ ..] if *v < 0x18 => (u32::from(*v), rest),
            other => panic!("no integer: {other:02x?}"),
        }
    }
    let rest = message.strip_prefix(b"\xbf\x61f\x00\x61i").expect("f first, then i");
    let (i, rest) = integer(rest);
    let (l, rest) = integer(rest.strip_prefix(b"\x61l").expect("then l"));
    let rest = rest.strip_prefix(b"\x61p\x59").expect("then p");
    let payload = rest[2..].strip_suffix(b"\xff").expect("break");
    assert_eq!(payload.len(), l as usize);
    (i, payload)
}

/// A whole update of a device that subscribes to nothing but blocks and sends no client tokens.
/// `window`: blocks asked for at a time through `o`; `None`: the whole file's bitmap at `o` = 0.
async fn update(device: &mut impl Device, server: &Server, content: &[u8], l: usize, window: Option<usize>) {
    let prefix = format!("$aws/things/{THING}");
    device.publish(&format!("{prefix}/jobs/$next/get"), b"{}", 1).await;
    let (topic, body) = device.next().await;
    assert_eq!(topic, format!("{prefix}/jobs/$next/get/accepted"));
    let body = String::from_utf8(body).unwrap();
    assert!(!body.contains("clientToken"));
    let stream = body.split("\"streamname\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(body.contains(&format!("\"jobId\":\"{JOB}\"")), "{body}");

    device.subscribe(&format!("{prefix}/streams/{stream}/data/cbor")).await;
    let count = content.len().div_ceil(l);
    let mut have = vec![None; count];
    let mut requests = 0;
    while let Some(first) = have.iter().position(Option::is_none) {
        requests += 1;
        assert!(requests <= 2 * count, "the stream never completes");
        let (o, span) = window.map_or((0, count), |w| (first, w.min(count - first)));
        let mut bitmap = vec![0u8; span.div_ceil(8)];
        for k in (0..span).filter(|k| have[o + k].is_none()) {
            bitmap[k / 8] |= 1 << (k % 8);
        }
        let asked = bitmap.iter().map(|b| b.count_ones() as usize).sum::<usize>().min(16);
        let request = get_stream(l as u16, o as u16, &bitmap, 16);
        device.publish(&format!("{prefix}/streams/{stream}/get/cbor"), &request, 0).await;
        for _ in 0..asked {
            let (topic, message) = device.next().await;
            assert_eq!(topic, format!("{prefix}/streams/{stream}/data/cbor"));
            let (i, payload) = block(&message);
            assert!(have[i as usize].replace(payload.to_vec()).is_none(), "block {i} twice");
        }
    }
    let got: Vec<u8> = have.into_iter().flatten().flatten().collect();
    assert!(got == content, "the file is the image");

    for (body, status) in [
        (
            r#"{"status":"IN_PROGRESS","statusDetails":{"self_test":"ready","updatedBy":"0x90002"}}"#,
            Status::InProgress,
        ),
        (r#"{"status":"SUCCEEDED","statusDetails":{"reason":"accepted v0.9.3"}}"#, Status::Succeeded),
    ] {
        device.publish(&format!("{prefix}/jobs/{JOB}/update"), body.as_bytes(), 1).await;
        let (topic, _) = device.next().await;
        assert_eq!(topic, format!("{prefix}/jobs/{JOB}/update/accepted"));
        assert_eq!(server.job_execution(JOB, THING).unwrap().status, status);
    }
}

fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("in time") })
}

async fn server(content: &[u8]) -> Server {
    let server = Server::start(ServerConfig::default()).await.unwrap();
    server.queue_job(THING, JOB, &OtaSpec::mqtt(content.to_vec(), "MAYCAQECAQE="));
    server
}

#[test]
fn mqtt_3_1_1_whole_file_bitmap_without_answer_subscriptions() {
    block_on(async {
        let content = image(50_001);
        let server = server(&content).await;
        let mut device = V4::connect(server.port().unwrap(), THING);
        update(&mut device, &server, &content, 1024, None).await;
        assert_eq!(server.finished(JOB, THING).await.status, Status::Succeeded);
        server.shutdown().await;
    });
}

#[test]
fn mqtt_5_windows_without_answer_subscriptions() {
    block_on(async {
        let content = image(65_536);
        let server = server(&content).await;
        let mut device = V5::connect(server.port().unwrap(), THING);
        update(&mut device, &server, &content, 4096, Some(7)).await;
        server.shutdown().await;
    });
}

/// Answers go to the client that asked and to nobody else.
#[test]
fn two_things_do_not_hear_each_other() {
    block_on(async {
        let server = server(&image(600)).await;
        let mut one = V4::connect(server.port().unwrap(), THING);
        let mut two = V5::connect(server.port().unwrap(), "other");
        two.subscribe("$aws/things/other/jobs/notify-next").await;
        one.publish("$aws/things/dev-7/jobs/$next/get", br#"{"clientToken":"a"}"#, 1).await;
        let (_, body) = one.next().await;
        assert!(String::from_utf8(body).unwrap().starts_with(r#"{"clientToken":"a","timestamp":"#));
        two.publish("$aws/things/other/jobs/$next/get", b"{}", 1).await;
        let (topic, body) = two.next().await;
        assert_eq!(topic, "$aws/things/other/jobs/$next/get/accepted");
        assert!(!String::from_utf8(body).unwrap().contains("execution"));
        // A push reaches the subscriber.
        server.queue_job("other", "AFR_OTA-2", &OtaSpec::mqtt(vec![1; 300], ""));
        let (topic, body) = two.next().await;
        assert_eq!(topic, "$aws/things/other/jobs/notify-next");
        assert!(String::from_utf8(body).unwrap().contains("AFR_OTA-2"));
        server.shutdown().await;
    });
}

#[test]
fn lost_and_doubled_blocks_follow_the_seed() {
    let ids_of = |seed| {
        block_on(async move {
            let content = image(64 * 256);
            let config = ServerConfig {
                block_faults: FaultRates {
                    loss_pct: 20,
                    dup_pct: 10,
                    reorder_pct: 20,
                    ..FaultRates::default()
                },
                fault_seed: seed,
                ..ServerConfig::default()
            };
            let server = Server::start(config).await.unwrap();
            let stream = server.queue_job(THING, JOB, &OtaSpec::mqtt(content, ""));
            let mut device = V4::connect(server.port().unwrap(), THING);
            let marker = server.queue_job(THING, "AFR_OTA-marker", &OtaSpec::mqtt(image(8 * 256), ""));
            let marked = format!("$aws/things/{THING}/streams/{marker}");
            device.subscribe(&format!("$aws/things/{THING}/streams/{stream}/data/cbor")).await;
            device.subscribe(&format!("{marked}/data/cbor")).await;
            let get = format!("$aws/things/{THING}/streams/{stream}/get/cbor");
            device.publish(&get, &get_stream(256, 0, &[0xFF; 8], 64), 0).await;
            // Blocks of a client leave in order of request: the first of a second stream marks the end of the first.
            device.publish(&format!("{marked}/get/cbor"), &get_stream(256, 0, &[0xFF], 8), 0).await;
            let mut ids = Vec::new();
            loop {
                let (topic, message) = device.next().await;
                if topic.starts_with(&marked) {
                    break;
                }
                ids.push(block(&message).0);
            }
            server.shutdown().await;
            ids
        })
    };
    let ids = ids_of(5);
    let mut unique = ids.clone();
    unique.sort_unstable();
    assert_ne!(unique, ids, "reordered");
    unique.dedup();
    assert!(unique.len() < 64, "some are lost");
    assert!(unique.len() < ids.len(), "some are doubled");
    assert_eq!(ids, ids_of(5), "seed 5 again");
    assert_ne!(ids, ids_of(6));
}

/// A kicked client sees its connection close, and is served again after it comes back.
#[test]
fn a_kicked_client_comes_back() {
    block_on(async {
        let content = image(3072);
        let server = server(&content).await;
        let mut device = V4::connect(server.port().unwrap(), THING);
        device.subscribe("x").await;
        server.kick(THING).await;
        while device.1.poll().await.is_ok() {}
        update(&mut device, &server, &content, 256, None).await;
        server.shutdown().await;
    });
}

/// Behind somebody else's broker the same device works once it subscribes to its answers.
#[test]
fn an_external_broker_carries_an_update() {
    let Some(mosquitto) = Mosquitto::start() else { return };
    block_on(async {
        let content = image(10_000);
        let address = format!("127.0.0.1:{}", mosquitto.port);
        let config = ServerConfig { broker: Broker::External { address }, ..ServerConfig::default() };
        let server = loop {
            match Server::start(config.clone()).await {
                Ok(server) => break server,
                // Not listening yet; `block_on` bounds the number of attempts.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        server.queue_job(THING, JOB, &OtaSpec::mqtt(content.clone(), "MAYCAQECAQE="));
        let mut device = V4::connect(mosquitto.port, THING);
        device.subscribe("$aws/things/dev-7/jobs/$next/get/+").await;
        device.subscribe(&format!("$aws/things/dev-7/jobs/{JOB}/update/+")).await;
        update(&mut device, &server, &content, 1024, Some(4)).await;
        server.shutdown().await;
    });
}

/// A mosquitto of this test alone.
struct Mosquitto {
    port: u16,
    child: std::process::Child,
    _dir: tempfile::TempDir,
}

impl Mosquitto {
    /// `None`, with a notice, where it is not installed; a failure where everything is required.
    fn start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mosquitto.conf");
        std::fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).unwrap();
        // Debian installs it where only root's PATH looks.
        let started = ["mosquitto", "/usr/sbin/mosquitto"].into_iter().find_map(|program| {
            let mut command = std::process::Command::new(program);
            command
                .arg("-c")
                .arg(&file)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
            command.spawn().ok()
        });
        match started {
            Some(child) => Some(Self { port, child, _dir: dir }),
            None => {
                let required = ["CI", "OTA_REQUIRE_ALL"].iter().any(|name| std::env::var_os(name).is_some());
                assert!(!required, "mosquitto is not installed");
                eprintln!("NOT RUN: mosquitto is not installed (apt-get install mosquitto)");
                None
            }
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn mutual_tls_admits_the_device_and_nobody_else() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls { port: 0, certificates: Certificates::create(dir.path(), THING, &[]).unwrap() };
        let config = ServerConfig {
            broker: Broker::Embedded { port: None, tls: Some(tls) },
            ..ServerConfig::default()
        };
        let server = Server::start(config).await.unwrap();
        assert_eq!(server.port(), None);
        let port = server.tls_port().unwrap();
        let files = server.certificates().unwrap().clone();
        let content = image(5 * 1024);
        server.queue_job(THING, JOB, &OtaSpec::mqtt(content.clone(), ""));

        let read = |path: &std::path::Path| std::fs::read(path).unwrap();
        let connect = |id: &str, client_auth| {
            let mut options = rumqttc::MqttOptions::new(id, "127.0.0.1", port);
            options.set_transport(rumqttc::Transport::tls(read(&files.ca), client_auth, None));
            let (client, events) = rumqttc::AsyncClient::new(options, 100);
            V4(client, events)
        };
        let mut device = connect(THING, Some((read(&files.device), read(&files.device_key))));
        update(&mut device, &server, &content, 1024, Some(3)).await;

        // With TLS 1.3 a client learns of the refusal when it reads.
        let mut stranger = connect("stranger", None);
        let refused = stranger.1.poll().await.expect_err("no certificate, no entry").to_string();
        assert!(refused.to_lowercase().contains("certificate"), "{refused}");
        server.shutdown().await;
    });
}
