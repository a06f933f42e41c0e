use core::convert::Infallible;
use core::future::{Pending, pending};

use embedded_io_async::{ErrorKind, ErrorType};

use super::*;
use crate::transport::{Failure, FailureKind};

const BROKER: Endpoint<'_> = Endpoint::tls("localhost", 8883);

/// Never asked for a stream here.
struct Nowhere;

struct NoStream;

impl ErrorType for NoStream {
    type Error = Infallible;
}

impl Read for NoStream {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, Infallible> {
        let never: Pending<_> = pending();
        never.await
    }
}

impl Write for NoStream {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        Ok(buf.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Open for Nowhere {
    type Error = ErrorKind;
    type Io<'s> = NoStream;

    async fn open(&mut self, _: Endpoint<'_>) -> Result<NoStream, ErrorKind> {
        Err(ErrorKind::Other)
    }
}

fn new(config: Config<'_>, rx_size: usize, tx_size: usize) -> Result<(), ConfigError> {
    let (mut rx, mut tx) = ([0; 512], [0; 1024]);
    Mqtt::new(Nowhere, config, &mut rx[..rx_size], &mut tx[..tx_size]).map(|_| ())
}

const LONG: &str = "123456789_123456789_123456789_123456789_123456789_123456789_123456789_\
                    123456789_123456789_123456789_123456789_123456789_123456789";

#[test]
fn settings_are_checked_at_their_limits() {
    let good = Config::new("dev-7", BROKER);
    let check = |config| new(config, 512, 1024);
    assert_eq!(check(good), Ok(()));
    for (thing, expected) in [
        ("", Err(ConfigError::ThingName)),
        (&LONG[..1], Ok(())),
        (&LONG[..128], Ok(())),
        (&LONG[..129], Err(ConfigError::ThingName)),
    ] {
        assert_eq!(check(Config { thing, ..good }), expected, "thing {thing}");
    }
    for (client_id, expected) in [
        ("", Err(ConfigError::ClientId)),
        ("$x", Err(ConfigError::ClientId)),
        ("x$", Ok(())),
        (&LONG[..64], Ok(())),
        (&LONG[..65], Err(ConfigError::ClientId)),
    ] {
        assert_eq!(check(Config { client_id, ..good }), expected, "client id {client_id}");
    }
    // A thing name that is fine for AWS but too long for a client id needs one of its own.
    assert_eq!(check(Config::new(&LONG[..65], BROKER)), Err(ConfigError::ClientId));
    for (keep_alive_s, expected) in [
        (0, Err(ConfigError::KeepAlive)),
        (29, Err(ConfigError::KeepAlive)),
        (30, Ok(())),
        (1200, Ok(())),
        (1201, Err(ConfigError::KeepAlive)),
        (u16::MAX, Err(ConfigError::KeepAlive)),
    ] {
        assert_eq!(check(Config { keep_alive_s, ..good }), expected, "keep-alive {keep_alive_s}");
    }
    assert_eq!(check(Config { connect_timeout_ms: 0, ..good }), Err(ConfigError::Timeout));
    assert_eq!(check(Config { write_timeout_ms: 0, ..good }), Err(ConfigError::Timeout));
    assert_eq!(check(Config { connect_timeout_ms: u32::MAX, write_timeout_ms: u32::MAX, ..good }), Ok(()));
}

#[test]
fn buffers_are_checked_at_their_limits() {
    let config = Config { credentials: Some(("user", b"pw")), ..Config::new("dev-7", BROKER) };
    let tx_min = 35 + 5 + 6 + 13 + 256;
    assert_eq!(new(config, 256, tx_min), Ok(()));
    assert_eq!(new(config, 255, tx_min), Err(ConfigError::ReceiveBuffer));
    assert_eq!(new(config, 256, tx_min - 1), Err(ConfigError::SendBuffer));
    assert_eq!(new(config, 0, 0), Err(ConfigError::ReceiveBuffer));
}

#[test]
fn sizes_of_buffers() {
    assert_eq!(rx_size(0, 0), 30 + 13 + 256 + 64);
    assert_eq!(rx_size(4096, 2048), 4096 + 30 + 333);
    assert_eq!(rx_size(4096, 4126), 4126 + 333);
    assert_eq!(rx_size(4096, 4127), 4127 + 333);
    assert_eq!(rx_size(usize::MAX, 0), usize::MAX);
    assert_eq!(tx_size(0, 0, 0), 99);
    assert_eq!(tx_size(100, 8, 6), 99 + 6 + 8 * 369);
    assert_eq!(tx_size(usize::MAX, 8, usize::MAX), usize::MAX);
}

#[test]
fn only_jobs_and_streams_of_this_thing_are_ours() {
    for topic in ["$aws/things/dev-7/jobs/notify", "$aws/things/dev-7/streams/S/data/cbor"] {
        assert!(is_ours(topic, "dev-7"), "{topic}");
    }
    for topic in [
        "",
        "$aws",
        "$aws/things/",
        "$aws/things/dev-7",
        "$aws/things/dev-7/jobs",
        "$aws/things/dev-70/jobs/notify",
        "$aws/things/dev-/jobs/notify",
        "$aws/things/dev-7/shadow/get",
        "x/$aws/things/dev-7/jobs/notify",
    ] {
        assert!(!is_ours(topic, "dev-7"), "{topic}");
    }
}

#[test]
fn every_failure_says_what_to_do() {
    for (error, kind) in [
        (MqttError::Open(ErrorKind::Other), FailureKind::Lost),
        (MqttError::ConnectTimeout, FailureKind::Lost),
        (MqttError::Stream(ErrorKind::BrokenPipe), FailureKind::Lost),
        (MqttError::Closed, FailureKind::Lost),
        (MqttError::Protocol, FailureKind::Lost),
        (MqttError::Torn, FailureKind::Lost),
        (MqttError::ConnectRefused(ReasonCode::ServerUnavailable), FailureKind::Lost),
        (MqttError::ConnectRefused(ReasonCode::ClientIdentifierInvalid), FailureKind::Refused),
        (MqttError::Refused(ReasonCode::ServerBusy), FailureKind::Refused),
        (MqttError::Unsupported, FailureKind::Refused),
        (MqttError::Busy, FailureKind::Busy),
        (MqttError::TooLarge, FailureKind::TooLarge),
    ] {
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}

#[test]
fn errors_are_small() {
    assert!(size_of::<MqttError>() <= 2);
    assert_eq!(size_of::<ConfigError>(), 1);
}
