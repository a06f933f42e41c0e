//! What the server learns of the device: its certificate, the name it asks for, the protocol it offers.

use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::tls::embedded_io_async::{Read, Write};
use ota_core::tls::{
    ALPN_AWS_MQTT, Client, Config, ConfigError, Sign, SignError, Signature, SigningKey, TlsError, connect,
};
use p256::pkcs8::DecodePrivateKey;
use rcgen::ExtendedKeyUsagePurpose;

use crate::certificates::{Authority, Identity, p256};
use crate::scripted::{ENCRYPTED_EXTENSIONS, certificate, message, pair};
use crate::servers::{serve, server_config};
use crate::support::{Memory, NAME, Numbers, bounded, config, error, open, outcome};

fn signer(identity: &Identity) -> SigningKey {
    SigningKey::from_pkcs8_der(&identity.key.serialize_der()).unwrap()
}

fn device(authority: &Authority) -> Identity {
    authority.issue(p256(), |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
}

#[tokio::test]
async fn the_device_proves_itself() {
    let (root, clients) = (Authority::root("root"), Authority::root("clients"));
    let roots = [root.anchor()];
    let device = device(&clients);
    let signer = signer(&device);
    let client = Client { certificate: &device.chain[0], signer: &signer };
    let config = Config { client: Some(client), ..config(&roots) };
    let expected = device.chain.clone();
    let (io, server) = serve(server_config(&root.server(), Some(&clients)), |stream| async {
        use tokio::io::AsyncReadExt;
        let mut stream = stream.unwrap();
        let mut message = [0; 5];
        stream.read_exact(&mut message).await.unwrap();
        (stream.get_ref().1.peer_certificates().unwrap().to_vec(), message)
    });
    bounded(async {
        let mut memory = Memory::new();
        let mut buffers = memory.buffers();
        let mut stream = open(io, &config, &mut buffers).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(server.await.unwrap(), (expected, *b"hello"));
    })
    .await;
}

/// The server's refusal comes after the handshake, as the first thing read.
#[tokio::test]
async fn a_device_the_server_does_not_want() {
    let (root, clients) = (Authority::root("root"), Authority::root("clients"));
    let roots = [root.anchor()];
    let (stranger, known) = (device(&Authority::root("strangers")), device(&clients));
    let (signer, other_key) = (signer(&stranger), signer(&device(&clients)));
    for client in [
        None,
        Some(Client { certificate: &stranger.chain[0], signer: &signer }),
        Some(Client { certificate: &known.chain[0], signer: &other_key }),
    ] {
        let config = Config { client, ..config(&roots) };
        let (io, server) = serve(server_config(&root.server(), Some(&clients)), |stream| async move {
            stream.map(|_| ()).map_err(|error| error.kind())
        });
        bounded(async {
            let mut memory = Memory::new();
            let mut buffers = memory.buffers();
            let mut stream = open(io, &config, &mut buffers).await.unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await, Err(TlsError::Alert(None)));
            assert_eq!(stream.read(&mut [0; 8]).await, Err(TlsError::Alert(None)), "and again");
            assert_eq!(stream.write(b"x").await, Err(TlsError::Alert(None)));
            server.await.unwrap().unwrap_err();
        })
        .await;
    }
}

/// Who asks without saying who it is itself gets to see nothing of the device, though embedded-tls goes on to that point.
#[tokio::test]
async fn a_server_that_only_asks_is_shown_no_certificate() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let device = device(&Authority::root("clients"));
    let (signer, server_side) = (signer(&device), root.server());
    let client = Some(Client { certificate: &device.chain[0], signer: &signer });
    // CertificateRequest for ECDSA over P-256.
    let request = message(13, &[0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut sizes = Vec::new();
    for proves in [true, false] {
        let (io, server) = pair();
        let serve = async {
            let mut server = server.greet().await;
            server.say(&[ENCRYPTED_EXTENSIONS, &request]).await;
            if proves {
                server.say(&[&certificate(&server_side.chain)]).await;
                let verify = server.certificate_verify(&server_side);
                server.say(&[&verify]).await;
            }
            let finished = server.finished();
            server.say(&[&finished]).await;
            server.silence().await
        };
        let config = Config { client, ..config(&roots) };
        let (result, size) = bounded(async { tokio::join!(outcome(io, &config), serve) }).await;
        assert_eq!(result, if proves { Ok(()) } else { Err(TlsError::NotAuthenticated) });
        sizes.push(size);
    }
    let certificate_size = device.chain[0].len() as u64;
    assert!(sizes[0] > certificate_size && sizes[1] < certificate_size, "{sizes:?}, {certificate_size}");
}

struct Broken;

impl Sign for Broken {
    fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
        Err(SignError)
    }
}

#[tokio::test]
async fn a_key_that_cannot_sign() {
    let (root, clients) = (Authority::root("root"), Authority::root("clients"));
    let roots = [root.anchor()];
    let device = device(&clients);
    let client = Client { certificate: &device.chain[0], signer: &Broken };
    let config = Config { client: Some(client), ..config(&roots) };
    let (io, server) =
        serve(server_config(&root.server(), Some(&clients)), |stream| async move { stream.is_ok() });
    assert_eq!(bounded(outcome(io, &config)).await, Err(TlsError::Signer));
    assert!(!bounded(server).await.unwrap());
}

#[tokio::test]
async fn name_and_protocol() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    for (offered, spoken, expected) in [
        (ALPN_AWS_MQTT, &["x-amzn-mqtt-ca"][..], Ok(Some(&b"x-amzn-mqtt-ca"[..]))),
        (&[], &["x-amzn-mqtt-ca"], Ok(None)),
        (&[], &[], Ok(None)),
        (ALPN_AWS_MQTT, &[], Ok(None)),
        (&[b"http/1.1", b"x-amzn-mqtt-ca"], &["x-amzn-mqtt-ca"], Ok(Some(b"x-amzn-mqtt-ca"))),
        // An alert, though embedded-tls does not tell that it is no_application_protocol.
        (ALPN_AWS_MQTT, &["h2"], Err(TlsError::Alert(None))),
    ] {
        let mut settings = server_config(&root.server(), None);
        settings.alpn_protocols = spoken.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (io, server) = serve(settings, |stream| async {
            let stream = stream.ok()?;
            let connection = stream.get_ref().1;
            Some((
                connection.server_name().map(str::to_owned),
                connection.alpn_protocol().map(<[u8]>::to_vec),
            ))
        });
        let config = Config { alpn: offered, ..config(&roots) };
        let (accepted, learned) = bounded(async {
            let mut memory = Memory::new();
            let mut buffers = memory.buffers();
            let stream = open(io, &config, &mut buffers).await;
            let learned = server.await.unwrap();
            (stream.map(|_| ()), learned)
        })
        .await;
        assert_eq!(accepted, expected.map(|_| ()));
        let expected = expected.ok().map(|chosen| (Some(NAME.to_owned()), chosen.map(<[u8]>::to_vec)));
        assert_eq!(learned, expected);
    }
}

#[tokio::test]
async fn settings_are_checked_before_anything_is_sent() {
    let root = Authority::root("root");
    let roots = [root.anchor()];
    let good = config(&roots);
    for (config, expected) in [
        (Config { built_at_s: 0, ..good }, ConfigError::BuiltAt),
        (Config { roots: &[], ..good }, ConfigError::NoRoot),
        (Config { server_name: "", ..good }, ConfigError::ServerName),
    ] {
        let (device, mut server) = tokio::io::duplex(1_024);
        let mut memory = Memory::new();
        let mut buffers = memory.buffers();
        let result = connect(FromTokio::new(device), &config, &mut Numbers(7), &mut buffers).await;
        assert_eq!(error(result), TlsError::Config(expected));
        let mut sent = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut server, &mut sent).await.unwrap();
        assert_eq!(sent, [0; 0]);
    }
}
