//! Signed URLs: the names of AWS' query parameters (Signature Version 4), a simpler signature.
//!
//! HMAC-SHA256 over method, host, path and query up to the signature; AWS derives its key and canonicalises first,
//! which only signers have to know. As there, nothing but the exact spelling is good.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::Sha256;

const ALGORITHM: &str = "OTA-SIM-HMAC-SHA256";
const SIGNATURE: &str = "&X-Amz-Signature=";

/// Why a request is refused, as S3 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No signature, or none of ours.
    Unsigned,
    /// Signature or what it covers was changed.
    SignatureDoesNotMatch,
    /// Its time is over.
    Expired,
}

#[derive(Clone, Debug)]
pub(crate) struct Signer {
    key: [u8; 32],
}

impl Signer {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Path and query for `host`, good for `expires_s` seconds from `now_ms` (since 1970) on. `token_size` bytes of a
    /// session token
    /// make it as long as real ones.
    pub(crate) fn sign(
        &self,
        host: &str,
        path: &str,
        now_ms: u64,
        expires_s: u64,
        token_size: usize,
    ) -> String {
        let mut target =
            format!("{path}?X-Amz-Algorithm={ALGORITHM}&X-Amz-Date={now_ms}&X-Amz-Expires={expires_s}");
        if token_size > 0 {
            target.push_str("&X-Amz-Security-Token=");
            target.extend(core::iter::repeat_n('T', token_size));
        }
        target.push_str("&X-Amz-SignedHeaders=host");
        let mut signature = String::new();
        for byte in self.mac(host, &target).finalize().into_bytes() {
            let _ = write!(signature, "{byte:02x}");
        }
        target + SIGNATURE + &signature
    }

    /// Whether `target` was signed for `host` and is still good at `now_ms`.
    pub(crate) fn check(&self, host: &str, target: &str, now_ms: u64) -> Result<(), Denied> {
        let (signed, signature) = target.rsplit_once(SIGNATURE).ok_or(Denied::Unsigned)?;
        let bytes = hex(signature).ok_or(Denied::SignatureDoesNotMatch)?;
        self.mac(host, signed).verify_slice(&bytes).map_err(|_| Denied::SignatureDoesNotMatch)?;
        // What is signed was written above.
        let number = |name: &str| {
            let value = signed.split(['?', '&']).find_map(|pair| pair.strip_prefix(name))?;
            value.parse::<u64>().ok()
        };
        let (date_ms, expires_s) =
            number("X-Amz-Date=").zip(number("X-Amz-Expires=")).ok_or(Denied::Unsigned)?;
        // A time nobody lives to see is for ever.
        let end_ms = date_ms.saturating_add(expires_s.saturating_mul(1000));
        if now_ms >= end_ms { Err(Denied::Expired) } else { Ok(()) }
    }

    fn mac(&self, host: &str, signed: &str) -> Hmac<Sha256> {
        // A key of 32 bytes is as good as any: HMAC takes every length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).unwrap_or_else(|_| unreachable!());
        for part in ["GET\n", host, "\n", signed] {
            mac.update(part.as_bytes());
        }
        mac
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    if digits.len() != 64 {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_host_path_and_query_and_its_time_ends() {
        let signer = Signer::new([7; 32]);
        let target = signer.sign("localhost:1", "/a", 1000, 60, 5);
        assert!(
            target.starts_with("/a?X-Amz-Algorithm=OTA-SIM-HMAC-SHA256&X-Amz-Date=1000&X-Amz-Expires=60&")
        );
        assert_eq!(signer.check("localhost:1", &target, 1000), Ok(()));
        assert_eq!(signer.check("localhost:1", &target, 60_999), Ok(()));
        assert_eq!(signer.check("localhost:1", &target, 61_000), Err(Denied::Expired));
        let for_ever = signer.sign("localhost:1", "/a", 1000, u64::MAX, 5);
        assert_eq!(signer.check("localhost:1", &for_ever, 61_000), Ok(()));
        let wrong = Err(Denied::SignatureDoesNotMatch);
        assert_eq!(signer.check("localhost:2", &target, 1000), wrong);
        assert_eq!(signer.check("localhost:1", &target.replace("/a", "/b"), 1000), wrong);
        assert_eq!(signer.check("localhost:1", &target.replace("=60", "=600"), 1000), wrong);
        assert_eq!(signer.check("localhost:1", &target[..target.len() - 1], 1000), wrong);
        assert_eq!(Signer::new([8; 32]).check("localhost:1", &target, 1000), wrong);
        assert_eq!(signer.check("localhost:1", "/a", 1000), Err(Denied::Unsigned));
    }
}
