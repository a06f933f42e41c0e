//! A device on a network stack of embedded-nal-async: DNS, TCP, TLS, MQTT and HTTP, each step with a time limit.

use std::cell::Cell;
use std::future::{Future, pending};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ota_core::http::{Http, HttpConfig};
use ota_core::mqtt::{self, Mqtt, MqttError, embedded_io_async::ErrorKind};
use ota_core::nal::embedded_nal_async::AddrType;
use ota_core::nal::{Dns, Limits, Network, NetworkError, TcpConnect};
use ota_core::open::{Endpoint, Open};
use ota_core::tls::webpki::anchor_from_trusted_cert;
use ota_core::tls::{
    BUILT_AT_MIN_S, Buffers, Client, Config, OpenError, RECORD_MAX, SigningKey, Tls, rx_size, tx_size,
};
use ota_core::transport::{Connector, Control, Qos, RangeError, RangeSession, Ranges};
use ota_sim::aws::OtaSpec;
use ota_sim::https::{FileServer, FileServerConfig};
use ota_sim::net::{Broker, Certificates, Server, ServerConfig, Tls as TlsPort};
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::DecodePrivateKey;
use std_embedded_nal_async::Stack;
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

const THING: &str = "dev-7";
/// Limits of steps that must run out.
const SHORT: Limits = Limits { dns_ms: 30, tcp_ms: 30 };

async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), test).await.expect("no end within the limit")
}

/// Counts who asks, and answers with this computer, with nothing, or never.
struct Names {
    answer: Option<Result<IpAddr, ()>>,
    asked: Cell<u32>,
}

impl Names {
    const fn new(answer: Option<Result<IpAddr, ()>>) -> Self {
        Self { answer, asked: Cell::new(0) }
    }
}

impl Dns for Names {
    type Error = ();

    async fn get_host_by_name(&self, _: &str, _: AddrType) -> Result<IpAddr, ()> {
        self.asked.set(self.asked.get() + 1);
        match self.answer {
            Some(answer) => answer,
            None => pending().await,
        }
    }

    async fn get_host_by_address(&self, _: IpAddr, _: &mut [u8]) -> Result<usize, ()> {
        Err(())
    }
}

/// Every name is this computer's.
fn here() -> Names {
    Names::new(Some(Ok(IpAddr::V4(Ipv4Addr::LOCALHOST))))
}

/// A stack whose connections never come about.
struct Silent;

impl TcpConnect for Silent {
    type Error = std::io::Error;
    type Connection<'a> = <Stack as TcpConnect>::Connection<'a>;

    async fn connect<'a>(&'a self, _: std::net::SocketAddr) -> std::io::Result<Self::Connection<'a>> {
        pending().await
    }
}

struct Cloud {
    server: Server,
    files: Arc<FileServer>,
    ca: CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: SigningKey,
    _folder: tempfile::TempDir,
}

impl Cloud {
    async fn start(content: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Certificates::create(folder.path(), THING, &["cloud.example".into()]).unwrap();
        let store = FileServerConfig {
            plain: None,
            tls: Some((0, files.clone())),
            host: "cloud.example".into(),
            ..FileServerConfig::default()
        };
        let store = Arc::new(FileServer::start(store).await.unwrap());
        store.put("/fw", content);
        let key = std::fs::read_to_string(&files.device_key).unwrap();
        let (ca, certificate) =
            (CertificateDer::from_pem_file(&files.ca), CertificateDer::from_pem_file(&files.device));
        let tls = TlsPort { port: 0, certificates: files };
        let broker = Broker::Embedded { port: None, tls: Some(tls) };
        let server = Server::start(ServerConfig { broker, ..ServerConfig::default() }).await.unwrap();
        Self {
            server,
            files: store,
            ca: ca.unwrap(),
            certificate: certificate.unwrap(),
            key: SigningKey::from_pkcs8_pem(&key).unwrap(),
            _folder: folder,
        }
    }

    fn port(&self) -> u16 {
        self.server.tls_port().unwrap()
    }
}

/// A job over MQTT and the first bytes of its file over HTTPS, each by name through all steps, with a real stack.
#[tokio::test]
async fn by_name_through_all_steps() {
    let content: Vec<u8> = (0..10_000_u32).map(|at| (at * 7) as u8).collect();
    let cloud = Cloud::start(&content).await;
    cloud.server.queue_job(THING, "AFR_OTA-1", &OtaSpec::mqtt(content.clone(), "MAYCAQECAQE="));
    let roots = [anchor_from_trusted_cert(&cloud.ca).unwrap()];
    let client = Some(Client { certificate: &cloud.certificate, signer: &cloud.key });
    let config = Config { client, ..Config::new("", &roots, BUILT_AT_MIN_S) };
    let (stack, names) = (Stack::default(), here());

    // "localhost" is known to the real resolver, "cloud.example" to the tests' own.
    let (mut record_rx, mut record_tx) = (vec![0; rx_size(RECORD_MAX)], vec![0; tx_size(1024)]);
    let records = Buffers::new(&mut record_rx, &mut record_tx).unwrap();
    let (mut rx, mut tx) = ([0; 4096], [0; 2048]);
    let secure = Tls::new(Network::new(&stack, &stack), config, OsRng, records);
    let broker = Endpoint::tls("localhost", cloud.port());
    let mut device = Mqtt::new(secure, mqtt::Config::new(THING, broker), &mut rx, &mut tx).unwrap();
    bounded(async {
        let topic = format!("$aws/things/{THING}/jobs/$next/get");
        for _ in 0..2 {
            let mut link = device.connect().await.unwrap();
            link.publish(&topic, b"{}", Qos::AtMostOnce).await.unwrap();
            let answer = link.receive().await.unwrap();
            assert!(std::str::from_utf8(answer.payload).unwrap().contains("AFR_OTA-1"));
            // The broker drops the device, which says so and connects again.
            cloud.server.kick(THING).await;
            assert!(link.receive().await.is_err());
        }
    })
    .await;

    let (mut record_rx, mut record_tx) = (vec![0; rx_size(RECORD_MAX)], vec![0; tx_size(0)]);
    let records = Buffers::new(&mut record_rx, &mut record_tx).unwrap();
    let secure =
        Tls::new(Network::new(&stack, &names), Config::new("", &roots, BUILT_AT_MIN_S), OsRng, records);
    let (mut head, mut place) = ([0; 1024], [0; 1024]);
    let mut http = Http::new(secure, HttpConfig::default(), &mut head, &mut place).unwrap();
    bounded(async {
        let url = cloud.files.url("/fw");
        http.target(&url).unwrap();
        let mut session = http.connect().await.unwrap();
        session.request(&url, 0, 10_000, 10_000).unwrap();
        let mut whole = vec![0; 10_000];
        session.read(&mut whole).await.unwrap();
        assert!(whole == content);
        drop(session);
        // The right server under a name its certificate does not have.
        http.target(&url.replace("cloud.example", "other.example")).unwrap();
        assert_eq!(http.connect().await.err(), Some(RangeError::Untrusted));
    })
    .await;
    assert_eq!(names.asked.get(), 2);
}

#[tokio::test]
async fn each_step_of_the_network_has_a_limit_and_a_reason() {
    let (stack, here) = (Stack::default(), here());
    let (never, nowhere) = (Names::new(None), Names::new(Some(Err(()))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    bounded(async {
        let to = Endpoint::plain("cloud.example", port);
        let outcome = Network::new(&stack, &here).open(to).await.map(|_| ());
        assert_eq!(outcome, Ok(()));
        let outcome = Network::new(&stack, &never).with_limits(SHORT).open(to).await.map(|_| ());
        assert_eq!(outcome, Err(NetworkError::DnsTimeout));
        let outcome = Network::new(&stack, &nowhere).open(to).await.map(|_| ());
        assert_eq!(outcome, Err(NetworkError::NoAddress));
        let outcome = Network::new(&Silent, &here).with_limits(SHORT).open(to).await.map(|_| ());
        assert_eq!(outcome, Err(NetworkError::TcpTimeout));
        // Never in the clear where TLS is wanted, and nobody is asked.
        let asked = here.asked.get();
        let outcome =
            Network::new(&stack, &here).open(Endpoint::tls("cloud.example", port)).await.map(|_| ());
        assert_eq!((outcome, here.asked.get()), (Err(NetworkError::NotSecure), asked));
        // Nobody is asked for an address either.
        let outcome = Network::new(&stack, &never).open(Endpoint::plain("127.0.0.1", port)).await.map(|_| ());
        assert_eq!((outcome, never.asked.get()), (Ok(()), 1));
        drop(listener);
        let outcome = Network::new(&stack, &here).open(to).await.map(|_| ());
        assert_eq!(outcome, Err(NetworkError::Tcp(ErrorKind::ConnectionRefused)));
    })
    .await;
}

/// A server that accepts connections and says nothing: first no TLS, then no MQTT.
#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let (stack, here) = (Stack::default(), here());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let cloud = Cloud::start(&[]).await;
    let roots = [anchor_from_trusted_cert(&cloud.ca).unwrap()];
    let (mut record_rx, mut record_tx) = (vec![0; rx_size(RECORD_MAX)], vec![0; tx_size(0)]);
    let records = Buffers::new(&mut record_rx, &mut record_tx).unwrap();
    let config = Config::new("", &roots, BUILT_AT_MIN_S);
    let mut secure = Tls::new(Network::new(&stack, &here), config, OsRng, records).with_limit_ms(50);
    bounded(async {
        let to = Endpoint::tls("cloud.example", port);
        assert_eq!(secure.open(to).await.map(|_| ()), Err(OpenError::Timeout));
        // A stream in the clear is not what this opener is for.
        let plain = Endpoint::plain("cloud.example", port);
        assert_eq!(secure.open(plain).await.map(|_| ()), Err(OpenError::Plain));

        let (mut rx, mut tx) = ([0; 512], [0; 1024]);
        let config = mqtt::Config {
            connect_timeout_ms: 50,
            ..mqtt::Config::new(THING, Endpoint::plain("cloud.example", port))
        };
        let mut device = Mqtt::new(Network::new(&stack, &here), config, &mut rx, &mut tx).unwrap();
        assert_eq!(device.connect().await.err(), Some(MqttError::ConnectTimeout));
    })
    .await;
}
