//! How the device reaches servers: a Wi-Fi that can be lost, TCP of this computer, TLS on top of it unless it is switched off.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{Future, pending};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::open::embedded_io_async::{ErrorType, Read, Write};
use ota_core::open::{Endpoint, Open, Security};

use ota_core::tls::{
    self, Buffers, CertificateDer, Client, RECORD_MAX, SigningKey, Tls, TrustAnchor, webpki,
};
use ota_core::verify::parse_pem;
use ota_sim::net::Certificates;
use p256::elliptic_curve::rand_core::OsRng;
use p256::pkcs8::DecodePrivateKey;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The radio between the device and this computer. When it is lost nobody is told: what is open falls silent for good, as
/// after another address in another network, and nothing new opens until it is back.
#[derive(Default)]
pub(crate) struct Wifi {
    losses: Cell<u32>,
    back_at: Cell<Option<Instant>>,
    lost: Notify,
}

impl Wifi {
    /// Gone from now on, for so long.
    pub(crate) fn lose(&self, duration: Duration) {
        self.losses.set(self.losses.get() + 1);
        self.back_at.set(Some(Instant::now() + duration));
        self.lost.notify_waiters();
    }

    /// Work on a stream that was opened after so many losses.
    async fn carry<T>(&self, losses: u32, work: impl Future<Output = T>) -> T {
        let lost = self.lost.notified();
        if self.losses.get() == losses {
            tokio::select! {
                biased;
                () = lost => {}
                done = work => return done,
            }
        }
        pending().await
    }
}

/// Plain TCP over it.
#[derive(Clone, Copy)]
pub(crate) struct Tcp<'w>(pub(crate) &'w Wifi);

/// A connection.
pub(crate) struct Stream<'w> {
    io: FromTokio<TcpStream>,
    wifi: &'w Wifi,
    losses: u32,
}

impl<'w> Open for Tcp<'w> {
    type Error = io::Error;
    type Io<'s>
        = Stream<'w>
    where
        Self: 's;

    async fn open(&mut self, to: Endpoint<'_>) -> io::Result<Stream<'w>> {
        if to.security != Security::Plain {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if let Some(back_at) = self.0.back_at.get() {
            sleep_until(back_at).await;
        }
        let stream = TcpStream::connect((to.host, to.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Stream { io: FromTokio::new(stream), wifi: self.0, losses: self.0.losses.get() })
    }
}

impl ErrorType for Stream<'_> {
    type Error = io::Error;
}

impl Read for Stream<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.wifi.carry(self.losses, self.io.read(buf)).await
    }
}

impl Write for Stream<'_> {
    async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.wifi.carry(self.losses, self.io.write(buf)).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.wifi.carry(self.losses, self.io.flush()).await
    }
}

/// What a device with TLS is provisioned with.
pub(crate) struct Identity {
    ca: CertificateDer<'static>,
    certificate: Vec<u8>,
    key: SigningKey,
    now_s: u64,
}

impl Identity {
    /// Reads what was made for this run.
    pub(crate) fn load(files: &Certificates) -> anyhow::Result<Self> {
        let der = |path| -> anyhow::Result<Vec<u8>> {
            let mut der = vec![0; 2048];
            let size =
                parse_pem(&fs::read_to_string(path)?, &mut der).map_err(|error| anyhow!("{error:?}"))?;
            der.truncate(size);
            Ok(der)
        };
        Ok(Self {
            ca: der(&files.ca)?.into(),
            certificate: der(&files.device)?,
            key: SigningKey::from_pkcs8_pem(&fs::read_to_string(&files.device_key)?)?,
            now_s: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        })
    }

    /// Whom the device trusts.
    pub(crate) fn root(&self) -> anyhow::Result<TrustAnchor<'_>> {
        webpki::anchor_from_trusted_cert(&self.ca).context("the CA made for this run")
    }

    /// TLS with the broker, which wants to know who the device is. A firmware would know the time it was built at.
    pub(crate) fn with_broker<'a>(&'a self, roots: &'a [TrustAnchor<'a>]) -> tls::Config<'a> {
        let client = Client { certificate: &self.certificate, signer: &self.key };
        tls::Config { client: Some(client), ..tls::Config::new("", roots, self.now_s) }
    }

    /// TLS with the file server, which does not.
    pub(crate) fn with_files<'a>(&self, roots: &'a [TrustAnchor<'a>]) -> tls::Config<'a> {
        tls::Config::new("", roots, self.now_s)
    }
}

/// Memory for the records of one connection.
pub(crate) struct Records {
    rx: Vec<u8>,
    tx: Vec<u8>,
}

impl Records {
    pub(crate) fn new() -> Self {
        Self { rx: vec![0; tls::rx_size(RECORD_MAX)], tx: vec![0; tls::tx_size(1024)] }
    }

    pub(crate) fn buffers(&mut self) -> anyhow::Result<Buffers<'_>> {
        Ok(Buffers::new(&mut self.rx, &mut self.tx)?)
    }
}

/// An opener over TLS.
pub(crate) type Secure<'a> = Tls<'a, Tcp<'a>, OsRng>;

/// One opener with buffers of its own.
pub(crate) fn secure<'a>(tcp: Tcp<'a>, config: tls::Config<'a>, buffers: Buffers<'a>) -> Secure<'a> {
    Tls::new(tcp, config, OsRng, buffers)
}

/// One opener of several that take turns with the same buffers.
pub(crate) fn sharing<'a>(
    tcp: Tcp<'a>,
    config: tls::Config<'a>,
    pool: &'a RefCell<Buffers<'a>>,
) -> Secure<'a> {
    Tls::sharing(tcp, config, OsRng, pool)
}
