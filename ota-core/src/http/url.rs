//! Where an image is fetched from: one bounded parser for `update_data_url` and for redirects.
//!
//! A presigned URL is a bearer secret (whoever holds it may download), so neither [`Debug`](fmt::Debug) nor an error of this
//! module shows its path or query. Those go to the server byte for byte: a signature covers their spelling.

use core::fmt;

/// Longest URL in bytes. Presigned URLs with a session token reach 2 KiB and more.
pub const URL_MAX: usize = 4096;

/// Longest host name in bytes (RFC 1035, 2.3.4).
pub(super) const HOST_MAX: usize = 253;

/// Which schemes are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemes {
    /// `https` only: what a product uses.
    HttpsOnly,
    /// `http` too, for tests on a bench: anybody on the way can read and change what is sent.
    InsecureHttpForTests,
}

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TLS, port 443 unless the URL says otherwise.
    Https,
    /// In the clear, port 80 unless the URL says otherwise.
    Http,
}

impl Scheme {
    /// The port a URL without one means.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }

    /// With the characters that follow it.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Https => "https://",
            Self::Http => "http://",
        }
    }
}

/// Why a URL is refused. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum UrlError {
    /// Longer than [`URL_MAX`].
    TooLong = 1,
    /// Neither `https://`, nor `http://` where that is allowed.
    Scheme = 2,
    /// Carries a user name or password.
    UserInfo = 3,
    /// The host name is empty, too long or holds characters a host name has not.
    Host = 4,
    /// The port is no number from 1 to 65535.
    Port = 5,
    /// No `/` after the host.
    Path = 6,
    /// A space, a control character, a fragment or a character beyond ASCII: none may stand in a request.
    Character = 7,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "URL longer than 4096 bytes; sign a shorter one",
            Self::Scheme => "URL is not https; plain http is for tests only",
            Self::UserInfo => "URL carries a user name; use a presigned one",
            Self::Host => "URL has no valid host name",
            Self::Port => "URL has no valid port",
            Self::Path => "URL has no path",
            Self::Character => "URL holds a character that has to be percent-encoded, or a fragment",
        })
    }
}

impl core::error::Error for UrlError {}

/// A checked URL, in the place where it was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    scheme: Scheme,
    /// Host and port as spelled: what the `Host` header says and a signature covers.
    authority: &'a str,
    host: &'a str,
    port: u16,
    /// Path and query.
    target: &'a str,
    /// How many redirects led here.
    hop_count: u8,
}

impl<'a> Url<'a> {
    /// Checks `text` and takes it apart.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &'a str, schemes: Schemes) -> Result<Self, UrlError> {
        if text.len() > URL_MAX {
            return Err(UrlError::TooLong);
        }
        let (scheme, rest) =
            match (strip_prefix(text, Scheme::Https), strip_prefix(text, Scheme::Http), schemes) {
                (Some(rest), _, Schemes::HttpsOnly | Schemes::InsecureHttpForTests) => (Scheme::Https, rest),
                (None, Some(rest), Schemes::InsecureHttpForTests) => (Scheme::Http, rest),
                (None, Some(_), Schemes::HttpsOnly) | (None, None, _) => return Err(UrlError::Scheme),
            };
        // Before anything is split off, so that no part can smuggle a line break into a request.
        if rest.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#' || byte == b'\\') {
            return Err(UrlError::Character);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(UrlError::Path)?;
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        if !target.starts_with('/') {
            return Err(UrlError::Path);
        }
        let (host, port) = host_and_port(authority)?;
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(digits) => port_number(digits).ok_or(UrlError::Port)?,
        };
        Ok(Self { scheme, authority, host, port, target, hop_count: 0 })
    }

    /// How the server is spoken to.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name, or an IP address without brackets: for DNS and for the certificate's name.
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// Port to connect to.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether a connection made for `other` serves this URL too.
    pub fn same_origin(&self, other: &Url<'_>) -> bool {
        self.scheme == other.scheme && self.port == other.port && self.host.eq_ignore_ascii_case(other.host)
    }

    /// Which schemes a redirect from here may lead to: never from `https` to `http`.
    pub(super) const fn schemes(&self) -> Schemes {
        match self.scheme {
            Scheme::Https => Schemes::HttpsOnly,
            Scheme::Http => Schemes::InsecureHttpForTests,
        }
    }

    /// Host and port as spelled.
    pub(super) const fn authority(&self) -> &'a str {
        self.authority
    }

    /// Path and query. A secret.
    pub(super) const fn target(&self) -> &'a str {
        self.target
    }

    /// Length of the whole in bytes: its parts lie behind each other.
    pub(super) const fn size(&self) -> usize {
        self.scheme.prefix().len() + self.authority.len() + self.target.len()
    }

    pub(super) const fn hop_count(&self) -> u8 {
        self.hop_count
    }

    pub(super) const fn after_hops(mut self, hop_count: u8) -> Self {
        self.hop_count = hop_count;
        self
    }
}

impl fmt::Debug for Url<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Url")
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn strip_prefix(text: &str, scheme: Scheme) -> Option<&str> {
    let (start, rest) = text.split_at_checked(scheme.prefix().len())?;
    // Schemes are case-insensitive (RFC 3986, 3.1).
    start.eq_ignore_ascii_case(scheme.prefix()).then_some(rest)
}

fn host_and_port(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    let (host, port, is_address) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(UrlError::Host)?;
            match (rest.is_empty(), rest.strip_prefix(':')) {
                (true, _) => (host, None, true),
                (false, Some(port)) => (host, Some(port), true),
                (false, None) => return Err(UrlError::Host),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port), false),
            None => (authority, None, false),
        },
    };
    let is_valid = |byte: u8| {
        if is_address {
            byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
        } else {
            // The underscore is no letter of DNS but stands in bucket names.
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
        }
    };
    if host.is_empty() || host.len() > HOST_MAX || !host.bytes().all(is_valid) {
        return Err(UrlError::Host);
    }
    Ok((host, port))
}

fn port_number(digits: &str) -> Option<u16> {
    // `parse` alone would take "+443".
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|port| *port != 0)
}
