//! What can go wrong, in small values without a type parameter.

use core::fmt;

use embedded_io_async::ErrorKind;
use minimq::{Error, PeerError, PubError, ReasonCode};

use crate::transport::{Failure, FailureKind};

/// Why the client cannot be built from its [`Config`](super::Config) and buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The thing name is empty or longer than the 128 bytes AWS IoT allows.
    ThingName,
    /// The client id is empty, starts with `$` or is longer than 64 bytes ([`CLIENT_ID_MAX`](super::CLIENT_ID_MAX)).
    ClientId,
    /// The keep-alive interval lies outside 30 to 1200 s, to which AWS IoT would silently move it.
    KeepAlive,
    /// A time limit is zero.
    Timeout,
    /// The receive buffer is shorter than [`RX_MIN`](super::RX_MIN).
    ReceiveBuffer,
    /// The send buffer cannot hold CONNECT with this client id and these credentials and the shortest request beside it.
    SendBuffer,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThingName => "thing name must have 1 to 128 bytes",
            Self::ClientId => {
                "client id must have 1 to 64 bytes and not start with '$'; give one if the thing name is longer"
            }
            Self::KeepAlive => "keep-alive must lie within 30 to 1200 s",
            Self::Timeout => "time limits must not be zero",
            Self::ReceiveBuffer => "receive buffer too short: size it with mqtt::rx_size",
            Self::SendBuffer => "send buffer too short: size it with mqtt::tx_size",
        })
    }
}

impl core::error::Error for ConfigError {}

/// Why the connection could not be made or has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MqttError {
    /// The application could not open the stream.
    Open(ErrorKind),
    /// Stream and CONNECT together took longer than the configured limit.
    ConnectTimeout,
    /// The broker refused the connection.
    ConnectRefused(ReasonCode),
    /// Reading or writing failed; `TimedOut` when a write made no progress for the configured limit.
    Stream(ErrorKind),
    /// The peer closed the stream, said farewell or left a keep-alive request unanswered.
    Closed,
    /// The peer sent something that is not MQTT 5, or more than it had been told fits.
    Protocol,
    /// A publication was dropped in the middle of its packet, which nothing can follow on this stream.
    Torn,
    /// The broker refused an earlier subscription or an earlier publication. The link goes on.
    Refused(ReasonCode),
    /// No room for another unacknowledged packet right now.
    Busy,
    /// The packet exceeds the send buffer or the broker's maximum packet size.
    TooLarge,
    /// The broker's limits exclude the request, such as a QoS above its maximum.
    Unsupported,
}

impl MqttError {
    /// The error of `connect`, where a rejection concerns the connection itself.
    pub(super) fn of_connect<E: embedded_io_async::Error>(error: Error<E>) -> Self {
        match Self::of(error, true) {
            Self::Refused(code) => Self::ConnectRefused(code),
            other => other,
        }
    }

    /// The error of an operation on a link. With nothing unacknowledged (`idle`), what does not fit never will.
    pub(super) fn of<E: embedded_io_async::Error>(error: Error<E>, idle: bool) -> Self {
        use minimq::ResourceError::{BufferTooSmall, InflightExhausted, PacketTooLarge};
        match error {
            Error::Disconnected => Self::Closed,
            Error::Transport(error) => Self::Stream(error.kind()),
            Error::WriteZero => Self::Stream(ErrorKind::WriteZero),
            Error::Peer(PeerError::Rejected(code)) => Self::Refused(code),
            Error::Resource(PacketTooLarge) => Self::TooLarge,
            Error::Resource(BufferTooSmall) | Error::NotReady if idle => Self::TooLarge,
            Error::Resource(BufferTooSmall | InflightExhausted) | Error::NotReady => Self::Busy,
            Error::InvalidRequest => Self::Unsupported,
            // `Peer(InvalidPacket)`, and what a later minimq may add: the link is not to be trusted any more.
            _ => Self::Protocol,
        }
    }

    pub(super) fn of_publish<E: embedded_io_async::Error>(error: PubError<(), E>, idle: bool) -> Self {
        match error {
            PubError::Session(error) => Self::of(error, idle),
            // A slice fails to serialize only where it does not fit.
            PubError::Payload(()) if idle => Self::TooLarge,
            PubError::Payload(()) => Self::Busy,
        }
    }
}

impl Failure for MqttError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Open(_)
            | Self::ConnectTimeout
            | Self::Stream(_)
            | Self::Closed
            | Self::Protocol
            | Self::Torn => FailureKind::Lost,
            // What the broker says about itself passes; what it says about us does not.
            Self::ConnectRefused(
                ReasonCode::ServerUnavailable
                | ReasonCode::ServerBusy
                | ReasonCode::QuotaExceeded
                | ReasonCode::ConnectionRateExceeded
                | ReasonCode::UnspecifiedError,
            ) => FailureKind::Lost,
            Self::ConnectRefused(_) | Self::Refused(_) | Self::Unsupported => FailureKind::Refused,
            Self::Busy => FailureKind::Busy,
            Self::TooLarge => FailureKind::TooLarge,
        }
    }
}

impl fmt::Display for MqttError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(kind) => write!(f, "stream not opened ({kind:?}); check network and endpoint"),
            Self::ConnectTimeout => {
                f.write_str("no connection within the time limit; check network and endpoint")
            }
            Self::ConnectRefused(code) => {
                write!(f, "broker refused the connection ({code:?}); check policy, client id and credentials")
            }
            Self::Stream(kind) => write!(f, "stream failed ({kind:?}); connect again"),
            Self::Closed => f.write_str("connection closed by the peer; connect again"),
            Self::Protocol => f.write_str("peer broke the MQTT protocol; connect again"),
            Self::Torn => f.write_str("a publication was dropped half-way; connect again"),
            Self::Refused(code) => {
                write!(f, "broker refused a subscription or publication ({code:?}); check the policy")
            }
            Self::Busy => f.write_str("too many unacknowledged packets; receive, then try again"),
            Self::TooLarge => f.write_str("packet exceeds the send buffer or the broker's limit; enlarge tx"),
            Self::Unsupported => f.write_str("broker does not support the request"),
        }
    }
}

impl core::error::Error for MqttError {}
