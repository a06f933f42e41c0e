//! MQTT over mutual TLS against mosquitto, where it is installed: OpenSSL on the other side.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use ota_core::mqtt::{self, Mqtt};
use ota_core::tls::webpki::anchor_from_trusted_cert;
use ota_core::tls::{Buffers, Client, Config, RECORD_MAX, SigningKey, Tls, rx_size, tx_size};
use ota_core::transport::{Connector, Control, Qos, Received};
use ota_sim::net::Certificates;
use p256::pkcs8::DecodePrivateKey;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::mqtt::{NOWHERE, Tcp};
use crate::support::{BUILT_AT_S, Numbers, bounded};

/// `None`, with a notice, where mosquitto is not installed and need not be.
async fn mosquitto(folder: &Path, files: &Certificates) -> Option<(Child, SocketAddr)> {
    // A port that was free a moment ago may be taken by another test: then mosquitto ends, and another is tried.
    for _ in 0..10 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\nlog_type all\n\
             cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\ntls_version tlsv1.3\n",
            address.port(),
            files.ca.display(),
            files.server.display(),
            files.server_key.display(),
        );
        let file = folder.join("mosquitto.conf");
        std::fs::write(&file, settings).unwrap();
        // Debian puts it where only root looks.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("mosquitto");
        command.env("PATH", path).arg("-c").arg(&file).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(error) => {
                let required = ["CI", "OTA_REQUIRE_ALL"].iter().any(|name| std::env::var_os(name).is_some());
                assert!(!required, "mosquitto cannot be started ({error}); install it");
                // Written past the test runner's capture, so that it is seen.
                let _ =
                    writeln!(io::stderr(), "NOTICE: mosquitto is not installed, its TLS test does nothing");
                return None;
            }
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.ends_with(" running") {
                // The pipe has to be read on, else mosquitto stands still when it is full.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Some((process, address));
            }
        }
    }
    panic!("mosquitto does not start");
}

#[tokio::test]
async fn messages_through_mutual_tls() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::create(folder.path(), "dev-7", &[]).unwrap();
    let readable = |path: &Path| {
        // mosquitto started by root gives its rights up before it reads its key.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    };
    readable(folder.path());
    readable(&files.server_key);
    let Some((_process, address)) = mosquitto(folder.path(), &files).await else { return };

    let root = CertificateDer::from_pem_file(&files.ca).unwrap();
    let certificate = CertificateDer::from_pem_file(&files.device).unwrap();
    let key = SigningKey::from_pkcs8_pem(&std::fs::read_to_string(&files.device_key).unwrap()).unwrap();
    let roots = [anchor_from_trusted_cert(&root).unwrap()];
    for client in [Some(Client { certificate: &certificate, signer: &key }), None] {
        let tls = Config { client, ..Config::new("localhost", &roots, BUILT_AT_S) };
        let (mut record_rx, mut record_tx) =
            (vec![0; rx_size(RECORD_MAX)], vec![0; tx_size(certificate.len())]);
        let buffers = Buffers::new(&mut record_rx, &mut record_tx).unwrap();
        let (mut rx, mut tx) = ([0; 8_192], [0; 16_384]);
        let tls = Tls::new(Tcp(address), tls, Numbers(7), buffers);
        let mut device = Mqtt::new(tls, mqtt::Config::new("dev-7", NOWHERE), &mut rx, &mut tx).unwrap();
        bounded(async {
            let link = device.connect().await;
            if client.is_none() {
                assert!(link.is_err(), "without a certificate");
                return;
            }
            let mut link = link.unwrap();
            link.subscribe(&[("self/#", Qos::AtLeastOnce)]).await.unwrap();
            for len in [0, 1, 1_500, 4_096] {
                let payload = vec![len as u8; len];
                link.publish("self/x", &payload, Qos::AtLeastOnce).await.unwrap();
                let expected = Received { topic: "self/x", payload: &payload };
                assert_eq!(link.receive().await.unwrap(), expected);
            }
            link.disconnect().await.unwrap();
        })
        .await;
    }
}
