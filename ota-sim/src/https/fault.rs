//! What a server may do wrong, one request at a time or for good.

use std::str::FromStr;

/// A fault on one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFault {
    /// 200 and the whole file, whatever was asked for.
    IgnoreRange,
    /// This status with a small XML body: 404, 416, 500 and the like.
    Status(u16),
    /// This status (429, 503), with `Retry-After` in seconds where given.
    Busy {
        /// The status.
        status: u16,
        /// `Retry-After`.
        after_s: Option<u32>,
    },
    /// 307 to this address.
    Redirect(String),
    /// The right bytes in chunks, without a length.
    Chunked,
    /// A body longer (or shorter) by so many bytes than `Content-Range` says.
    WrongLength(i32),
    /// `Content-Range`, and the bytes, begin so many bytes later than asked for.
    WrongRange(u32),
    /// `Content-Range` gives the file this size.
    WrongSize(u64),
    /// `Content-Encoding: gzip` on bytes that are not.
    Encoded,
    /// The connection closes after so many bytes of the body.
    CloseAfter(u64),
    /// Nothing more comes after so many bytes of the body, and the connection stays.
    StallAfter(u64),
    /// `Connection: close`, and kept.
    ConnectionClose,
    /// The file has another `ETag`, for this request and all later ones.
    NewEtag,
    /// 403 as if the URL had expired.
    Expired,
}

/// What a command line says a server does wrong: `die-at=40,busy=2,expired`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpFaults {
    /// `die-at=PERCENT`: once so many percent of a file were served, the server is gone for good.
    pub die_at_percent: Option<u8>,
    /// `untrusted`: its certificate is from a CA nobody trusts.
    pub is_untrusted: bool,
    /// All others, one for each of the first requests:
    /// `status=N`, `busy=SECONDS`, `redirect=URL`, `close=BYTES`, `stall=BYTES`, `size=BYTES` (a wrong size in `Content-Range`),
    /// `ignore-range`, `chunked`, `encoded`, `connection-close`, `etag` (another one), `expired`.
    pub requests: Vec<HttpFault>,
}

impl FromStr for HttpFaults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let number =
                || value.parse::<u64>().map_err(|_| format!("`{part}`: a number is wanted behind `=`"));
            let small = || u16::try_from(number()?).map_err(|_| format!("`{part}`: too large"));
            faults.requests.push(match name {
                "die-at" => {
                    faults.die_at_percent = Some(percent(part, value)?);
                    continue;
                }
                "untrusted" => {
                    faults.is_untrusted = true;
                    continue;
                }
                "status" => HttpFault::Status(small()?),
                "busy" => HttpFault::Busy { status: 503, after_s: Some(small()?.into()) },
                "redirect" => HttpFault::Redirect(value.into()),
                "close" => HttpFault::CloseAfter(number()?),
                "stall" => HttpFault::StallAfter(number()?),
                "size" => HttpFault::WrongSize(number()?),
                "ignore-range" => HttpFault::IgnoreRange,
                "chunked" => HttpFault::Chunked,
                "encoded" => HttpFault::Encoded,
                "connection-close" => HttpFault::ConnectionClose,
                "etag" => HttpFault::NewEtag,
                "expired" => HttpFault::Expired,
                _ => return Err(format!("`{part}`: no such fault")),
            });
        }
        Ok(faults)
    }
}

/// What a command line says goes wrong with the streams: `die-at=40`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFaults {
    /// `die-at=PERCENT`: see [`ServiceConfig::streams_die_at_percent`](crate::aws::ServiceConfig::streams_die_at_percent).
    pub die_at_percent: Option<u8>,
}

impl FromStr for StreamFaults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text.is_empty() => Ok(Self::default()),
            Some(("die-at", value)) => Ok(Self { die_at_percent: Some(percent(text, value)?) }),
            Some(_) | None => Err(format!("`{text}`: there is die-at=PERCENT")),
        }
    }
}

fn percent(part: &str, value: &str) -> Result<u8, String> {
    let percent = value.parse().ok().filter(|percent| *percent <= 100);
    percent.ok_or(format!("`{part}`: the percentage must be 0 to 100"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_spelled_as_a_list() {
        let faults: HttpFaults = "die-at=40,busy=2,untrusted,expired,close=1000,status=404".parse().unwrap();
        assert_eq!((faults.die_at_percent, faults.is_untrusted), (Some(40), true));
        let busy = HttpFault::Busy { status: 503, after_s: Some(2) };
        let expected = [busy, HttpFault::Expired, HttpFault::CloseAfter(1000), HttpFault::Status(404)];
        assert_eq!(faults.requests, expected);
        for wrong in ["die-at", "die-at=101", "busy=x", "status=70000", "rain"] {
            assert!(wrong.parse::<HttpFaults>().is_err(), "{wrong}");
        }
        assert_eq!("die-at=7".parse(), Ok(StreamFaults { die_at_percent: Some(7) }));
        assert_eq!("".parse(), Ok(StreamFaults::default()));
        assert!("expired".parse::<StreamFaults>().is_err());
    }
}
