//! The device's side of every test: settings, buffers, random numbers, and a limit on every wait.

use std::future::Future;
use std::time::Duration;

use embedded_io_adapters::tokio_1::FromTokio;
use ota_core::tls::rand_core::{CryptoRng, Error, RngCore};
use ota_core::tls::{
    Buffers, Config, RECORD_MAX, TlsError, TlsStream, TrustAnchor, connect, rx_size, tx_size,
};
use tokio::io::DuplexStream;

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW_S: u64 = 1_800_000_000;
/// Half a year before.
pub(crate) const BUILT_AT_S: u64 = NOW_S - 180 * 86_400;
pub(crate) const NAME: &str = "data.iot.example.com";
/// Far more than any test needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A test that hangs fails.
pub(crate) async fn bounded<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, test).await.expect("no end within the limit")
}

/// xorshift64*: the same numbers each time, which a device must never do.
pub(crate) struct Numbers(pub(crate) u64);

impl RngCore for Numbers {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.fill_with(|| self.next_u64() as u8);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Numbers {}

/// Memory for one connection.
pub(crate) struct Memory {
    rx: Vec<u8>,
    tx: Vec<u8>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self::of(RECORD_MAX)
    }

    pub(crate) fn of(record_size: usize) -> Self {
        Self { rx: vec![0xA5; rx_size(record_size)], tx: vec![0xA5; tx_size(1_500)] }
    }

    pub(crate) fn buffers(&mut self) -> Buffers<'_> {
        Buffers::new(&mut self.rx, &mut self.tx).unwrap()
    }
}

/// Settings with a clock.
pub(crate) fn config<'a>(roots: &'a [TrustAnchor<'a>]) -> Config<'a> {
    Config { time: &NOW_S, ..Config::new(NAME, roots, BUILT_AT_S) }
}

pub(crate) type Stream<'b, 'a> = TlsStream<'b, 'a, FromTokio<DuplexStream>>;

/// Connects over `io`.
pub(crate) async fn open<'b, 'a>(
    io: DuplexStream,
    config: &Config<'_>,
    buffers: &'b mut Buffers<'a>,
) -> Result<Stream<'b, 'a>, TlsError> {
    connect(FromTokio::new(io), config, &mut Numbers(7), buffers).await
}

/// Connects over `io` and tells how it went.
pub(crate) async fn outcome(io: DuplexStream, config: &Config<'_>) -> Result<(), TlsError> {
    let mut memory = Memory::new();
    open(io, config, &mut memory.buffers()).await.map(|_| ())
}

/// The error of a result whose value has no `Debug`.
pub(crate) fn error<T>(result: Result<T, TlsError>) -> TlsError {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}
