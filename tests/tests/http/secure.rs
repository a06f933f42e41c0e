//! The plane over the library's own TLS, against the HTTPS server of ota-sim.

use std::io;

use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::http::{Http, HttpConfig};
use ota_core::open::{Endpoint, Open, Security};
use ota_core::tls::webpki::anchor_from_trusted_cert;
use ota_core::tls::{BUILT_AT_MIN_S, Buffers, Config, RECORD_MAX, Tls, rx_size, tx_size};
use ota_core::transport::{RangeError, RangeSession, Ranges};
use ota_sim::https::{FileServer, FileServerConfig};
use ota_sim::net::Certificates;
use p256::elliptic_curve::rand_core::OsRng;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::{PATIENCE, SIZE, file};

/// TCP to this computer, whatever the host is called.
pub(crate) struct Tcp;

impl Open for Tcp {
    type Error = io::Error;
    type Io<'s> = FromTokio<TcpStream>;

    async fn open(&mut self, to: Endpoint<'_>) -> io::Result<FromTokio<TcpStream>> {
        assert_eq!(to.security, Security::Plain);
        let stream = TcpStream::connect(("127.0.0.1", to.port)).await?;
        stream.set_nodelay(true)?;
        Ok(FromTokio::new(stream))
    }
}

#[tokio::test]
async fn a_file_over_https_and_not_from_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::create(folder.path(), "dev-7", &[]).unwrap();
    let config = FileServerConfig { tls: Some((0, files.clone())), ..FileServerConfig::default() };
    let server = FileServer::start(config).await.unwrap();
    server.put("/fw", file(SIZE));
    let ca = CertificateDer::from_pem_file(&files.ca).unwrap();
    let roots = [anchor_from_trusted_cert(&ca).unwrap()];
    let (mut rx, mut tx) = (vec![0; rx_size(RECORD_MAX)], vec![0; tx_size(0)]);
    let buffers = Buffers::new(&mut rx, &mut tx).unwrap();
    let (mut head, mut place) = ([0; 2048], [0; 2048]);
    let open = Tls::new(Tcp, Config::new("", &roots, BUILT_AT_MIN_S), OsRng, buffers);
    let mut http = Http::new(open, HttpConfig::default(), &mut head, &mut place).unwrap();
    let work = async {
        let url = server.url("/fw");
        http.target(&url).unwrap();
        let mut whole = vec![0; SIZE as usize];
        let mut session = http.connect().await.unwrap();
        for (number, range) in whole.chunks_mut(65_536).enumerate() {
            let from = number as u32 * 65_536;
            session.request(&url, from, from + range.len() as u32, SIZE).unwrap();
            for block in range.chunks_mut(4096) {
                session.read(block).await.unwrap();
            }
        }
        assert!(whole == file(SIZE));
        drop(session);
        // The same server under a name its certificate does not have.
        http.target(&url.replace("localhost", "other.example")).unwrap();
        assert_eq!(http.connect().await.err(), Some(RangeError::Untrusted));
        // Nobody is there: not the same thing.
        http.target("https://localhost:1/").unwrap();
        assert_eq!(http.connect().await.err(), Some(RangeError::Lost));
    };
    timeout(PATIENCE, work).await.unwrap();
    assert!(server.served().iter().all(|served| served.over_tls && served.status == 206));
    assert_eq!(server.served().len(), 5);
}
