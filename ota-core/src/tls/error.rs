//! What can go wrong, in small values.

use core::fmt;

use embedded_io_async::ErrorKind;
use webpki::Error as Webpki;

/// Why a connection cannot even be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The server name is neither a host name nor an IP address.
    ServerName,
    /// No root is given, so no server could be trusted.
    NoRoot,
    /// The build time of the firmware lies before [`BUILT_AT_MIN_S`](super::BUILT_AT_MIN_S).
    BuiltAt,
    /// A protocol name is empty, or they exceed 128 bytes.
    Alpn,
    /// The client certificate is empty.
    ClientCertificate,
    /// The receive buffer is shorter than [`rx_size`](super::rx_size) of 1024.
    ReceiveBuffer,
    /// The send buffer is shorter than [`tx_size`](super::tx_size) of the client certificate.
    SendBuffer,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServerName => "server name must be a host name or an IP address",
            Self::NoRoot => "give at least one root certificate",
            Self::BuiltAt => "give the time the firmware was built at, in seconds since 1970",
            Self::Alpn => "protocol names must not be empty nor exceed 128 bytes together",
            Self::ClientCertificate => "client certificate is empty; give its DER bytes or none",
            Self::ReceiveBuffer => "receive buffer too short: size it with tls::rx_size",
            Self::SendBuffer => "send buffer too short: size it with tls::tx_size",
        })
    }
}

impl core::error::Error for ConfigError {}

/// What is wrong with the server's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// The list is empty or longer than nine.
    Count,
    /// Not X.509 version 3 as RFC 5280 has it.
    Encoding,
    /// Valid for other names than the one configured.
    Name,
    /// A certificate of the chain has expired.
    Expired,
    /// A certificate of the chain is not valid yet.
    NotYetValid,
    /// No path to a configured root; a self-signed certificate is such a case.
    UnknownIssuer,
    /// A signature in the chain is wrong.
    Signature,
    /// A key or signature algorithm that is not implemented, or needs feature `rsa`.
    Algorithm,
    /// Not meant for a server, or a certificate of the chain that is not allowed to issue others.
    Usage,
    /// Anything else: a constraint, an unknown critical extension, too many paths.
    Other,
}

impl CertificateError {
    pub(super) fn of(error: &Webpki) -> Self {
        match error {
            Webpki::CertExpired { .. } => Self::Expired,
            Webpki::CertNotValidYet { .. } => Self::NotYetValid,
            Webpki::CertNotValidForName(_) => Self::Name,
            Webpki::UnknownIssuer => Self::UnknownIssuer,
            Webpki::InvalidSignatureForPublicKey => Self::Signature,
            Webpki::UnsupportedSignatureAlgorithmContext(_)
            | Webpki::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | Webpki::SignatureAlgorithmMismatch => Self::Algorithm,
            Webpki::CaUsedAsEndEntity
            | Webpki::EndEntityUsedAsCa
            | Webpki::EmptyEkuExtension
            | Webpki::RequiredEkuNotFoundContext(_)
            | Webpki::PathLenConstraintViolated => Self::Usage,
            Webpki::BadDer
            | Webpki::BadDerTime
            | Webpki::ExtensionValueInvalid
            | Webpki::InvalidCertValidity
            | Webpki::InvalidSerialNumber
            | Webpki::MalformedDnsIdentifier
            | Webpki::MalformedExtensions
            | Webpki::TrailingData(_)
            | Webpki::UnsupportedCertVersion => Self::Encoding,
            // The enum is open and long; all of it means refused.
            _ => Self::Other,
        }
    }
}

/// Why a connection could not be made or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// A setting is wrong.
    Config(ConfigError),
    /// The stream below failed.
    Io(ErrorKind),
    /// The stream below ended without the farewell of TLS, so something may be missing.
    Truncated,
    /// The connection was closed before, by either side.
    Closed,
    /// A record longer than the receive buffer takes, or than TLS allows.
    RecordTooLarge,
    /// A record too short to hold anything.
    RecordTooShort,
    /// A record of a kind that has no place here, or no TLS at all.
    UnexpectedRecord,
    /// A record was tampered with, or encrypted with another key.
    BadRecord,
    /// The server goes on sending records with nothing in them.
    EmptyRecords,
    /// The server's messages break the protocol or use what is not implemented here.
    Protocol,
    /// The server's certificates were refused.
    Certificate(CertificateError),
    /// The server could not prove to own its certificate.
    ServerSignature,
    /// The server completed the handshake without proving who it is.
    NotAuthenticated,
    /// The device's key could not sign.
    Signer,
    /// The server refused with this alert (RFC 8446 section 6); `None` where embedded-tls does not tell which.
    Alert(Option<u8>),
    /// A message exceeds a buffer.
    BufferTooSmall,
}

impl TlsError {
    /// What embedded-tls says.
    pub(super) fn of(error: embedded_tls::TlsError) -> Self {
        use embedded_tls::TlsError as E;
        match error {
            E::ConnectionClosed | E::MissingHandshake => Self::Closed,
            E::HandshakeAborted(_, description) => Self::Alert(Some(description as u8)),
            // In the handshake the former, afterwards the latter is said for encrypted alerts; next to nothing else is left,
            // since records of a wrong type do not come this far.
            E::InvalidRecord | E::InternalError => Self::Alert(None),
            E::Io(kind) => Self::Io(kind),
            E::IoError => Self::Truncated,
            E::CryptoError | E::InvalidApplicationData => Self::BadRecord,
            E::InsufficientSpace | E::OutOfMemory | E::EncodeError => Self::BufferTooSmall,
            E::InvalidPrivateKey => Self::Signer,
            E::Unimplemented
            | E::AbortHandshake(..)
            | E::UnknownContentType
            | E::InvalidNonceLength
            | E::InvalidTicketLength
            | E::UnknownExtensionType
            | E::InvalidHandshake
            | E::InvalidCipherSuite
            | E::InvalidSignatureScheme
            | E::InvalidSignature
            | E::InvalidExtensionsLength
            | E::InvalidSessionIdLength
            | E::InvalidSupportedVersions
            | E::InvalidKeyShare
            | E::InvalidCertificate
            | E::InvalidCertificateEntry
            | E::InvalidCertificateRequest
            | E::UnableToInitializeCryptoEngine
            | E::ParseError(_)
            | E::DecodeError => Self::Protocol,
        }
    }
}

impl embedded_io_async::Error for TlsError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) => ErrorKind::InvalidInput,
            Self::Io(kind) => *kind,
            Self::Truncated | Self::Closed => ErrorKind::ConnectionReset,
            Self::RecordTooLarge | Self::BufferTooSmall => ErrorKind::OutOfMemory,
            Self::RecordTooShort
            | Self::UnexpectedRecord
            | Self::BadRecord
            | Self::EmptyRecords
            | Self::Protocol => ErrorKind::InvalidData,
            Self::Certificate(_) | Self::ServerSignature | Self::NotAuthenticated => {
                ErrorKind::PermissionDenied
            }
            Self::Alert(_) => ErrorKind::ConnectionAborted,
            Self::Signer => ErrorKind::Other,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config(error) => return error.fmt(f),
            Self::Io(kind) => return write!(f, "stream failed ({kind:?}); connect again"),
            Self::Truncated => "stream ended without farewell; connect again",
            Self::Closed => "connection is closed; connect again",
            Self::RecordTooLarge => "server sends larger records than fit; enlarge the receive buffer",
            Self::RecordTooShort
            | Self::UnexpectedRecord
            | Self::BadRecord
            | Self::EmptyRecords
            | Self::Protocol => {
                "peer broke the TLS 1.3 protocol or does not speak it; check address and port, connect again"
            }
            Self::Certificate(error) => {
                return write!(
                    f,
                    "server's certificate refused ({error:?}); check server name, roots and clock"
                );
            }
            Self::ServerSignature => "server does not own its certificate; somebody sits in between",
            Self::NotAuthenticated => "server did not prove who it is; somebody sits in between",
            Self::Signer => "the device's key could not sign; check key storage or secure element",
            Self::Alert(Some(code)) => {
                return write!(f, "server refused with alert {code}; check client certificate and policy");
            }
            Self::Alert(None) => "server refused; check client certificate and policy",
            Self::BufferTooSmall => "message exceeds a buffer; size them with tls::rx_size and tls::tx_size",
        })
    }
}

impl core::error::Error for TlsError {}
