//! PEM to DER at compile time or at run time: a key or a certificate as a `const` of the firmware.

use super::VerifyError;

/// DER bytes decoded from PEM text, in a fixed array of `N` bytes.
///
/// ```
/// use ota_core::verify::{Der, PublicKey};
///
/// const KEY_PEM: &str = "-----BEGIN PUBLIC KEY-----
/// MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKstAPOj+7VukSZWhqR2u6Nu+GTfN
/// FPsvJFc35ZU5iNmUudZa69fN1TCK1v5IskpqgQ7l8H2LaDTMOmr8U476wQ==
/// -----END PUBLIC KEY-----
/// ";
/// // Decoded by the compiler: the firmware holds 91 bytes of DER and no PEM.
/// const KEY: Der<91> = Der::checked(KEY_PEM);
///
/// assert!(PublicKey::spki(KEY.as_bytes()).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Der<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Der<N> {
    /// Decodes the first PEM block of `pem`.
    ///
    /// # Errors
    /// [`VerifyError::BadPem`]: see [`parse_pem`]; also when the DER is longer than `N` bytes.
    pub const fn from_pem(pem: &str) -> Result<Self, VerifyError> {
        let mut bytes = [0; N];
        match parse_pem(pem, &mut bytes) {
            Ok(len) => Ok(Self { bytes, len }),
            Err(error) => Err(error),
        }
    }

    /// [`from_pem`](Self::from_pem) for a `const`: bad text does not compile.
    ///
    /// # Panics
    /// When the text cannot be decoded. Evaluated in a `const` that is a compile error; at run time use
    /// [`from_pem`](Self::from_pem).
    pub const fn checked(pem: &str) -> Self {
        match Self::from_pem(pem) {
            Ok(der) => der,
            #[allow(clippy::panic, reason = "for `const` contexts: a wrong key does not compile")]
            Err(_) => panic!(
                "not a PEM block (BEGIN line, base64, END line), or longer than the Der<N> that holds it"
            ),
        }
    }

    /// The DER bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        self.bytes.split_at(self.len).0
    }
}

/// Decodes the first PEM block of `pem` into `der` and returns its length in bytes (RFC 7468, the lax form: any line
/// length, any line end, text before and after the block).
///
/// The label is not looked at: [`PublicKey`](super::PublicKey)'s constructors tell a key from a certificate by what
/// is inside.
///
/// # Errors
/// [`VerifyError::BadPem`]: no `-----BEGIN` line, no `-----END` after it, a character that is not base64, wrong padding,
/// nothing inside, or more bytes than `der` holds.
pub const fn parse_pem(pem: &str, der: &mut [u8]) -> Result<usize, VerifyError> {
    let text = pem.as_bytes();
    let Some(begin) = find(text, 0, b"-----BEGIN ") else { return Err(VerifyError::BadPem) };
    let Some(label_end) = find(text, begin + b"-----BEGIN ".len(), b"-----") else {
        return Err(VerifyError::BadPem);
    };
    let body = label_end + b"-----".len();
    let Some(end) = find(text, body, b"-----END ") else { return Err(VerifyError::BadPem) };

    let (mut at, mut len) = (body, 0);
    // Bits collected and not yet written, how many, characters so far, and how many of them are padding.
    let (mut bits, mut bit_count, mut char_count, mut pad_count) = (0u32, 0u32, 0usize, 0usize);
    while at < end {
        let byte = text[at];
        at += 1;
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'=' => {
                pad_count += 1;
                char_count += 1;
                continue;
            }
            _ => return Err(VerifyError::BadPem),
        };
        // Nothing follows padding.
        if pad_count > 0 {
            return Err(VerifyError::BadPem);
        }
        char_count += 1;
        bits = bits << 6 | value as u32;
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            if len == der.len() {
                return Err(VerifyError::BadPem);
            }
            der[len] = (bits >> bit_count) as u8;
            len += 1;
            bits &= (1 << bit_count) - 1;
        }
    }
    // Whole quads, and the bits the padding stands for are zero (RFC 4648 section 3.5: one text per value).
    if len == 0
        || !char_count.is_multiple_of(4)
        || pad_count > 2
        || bits != 0
        || bit_count as usize != pad_count * 2
    {
        return Err(VerifyError::BadPem);
    }
    Ok(len)
}

/// First place of `what` in `text` at or after `from`. A loop by hand: slices cannot be searched in `const`.
const fn find(text: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let mut at = from;
    while at + what.len() <= text.len() {
        let mut same = 0;
        while same < what.len() && text[at + same] == what[same] {
            same += 1;
        }
        if same == what.len() {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str) -> Result<([u8; 8], usize), VerifyError> {
        let mut text = [0u8; 128];
        let mut len = 0;
        for part in ["-----BEGIN X-----\n", body, "-----END X-----\n"] {
            text[len..len + part.len()].copy_from_slice(part.as_bytes());
            len += part.len();
        }
        let mut der = [0u8; 8];
        parse_pem(core::str::from_utf8(&text[..len]).unwrap(), &mut der).map(|len| (der, len))
    }

    /// RFC 4648 section 10.
    #[test]
    fn base64_vectors() {
        for (body, bytes) in [
            ("Zg==\n", &b"f"[..]),
            ("Zm8=\n", b"fo"),
            ("Zm9v\n", b"foo"),
            ("Zm9vYg==\r\n", b"foob"),
            ("Zm9v\nYmE=\n", b"fooba"),
            ("Zm\n9vYmFy", b"foobar"),
            ("+/+/\n", b"\xfb\xff\xbf"),
        ] {
            let (der, len) = decode(body).unwrap();
            assert_eq!(&der[..len], bytes, "{body}");
        }
    }

    #[test]
    fn bad_text_is_refused() {
        for body in [
            "",
            "\n",
            "Zg=\n",
            "Zg\n",
            "Zg===\n",
            "Zh==\n",
            "Z===\n",
            "====\n",
            "Zm9v=\n",
            "Zg==Zg==\n",
            "Z=g=\n",
            "Zm9v!\n",
            "Zm-v\n",
        ] {
            assert_eq!(decode(body), Err(VerifyError::BadPem), "{body:?}");
        }
        for pem in ["", "-----BEGIN ", "-----BEGIN X", "-----BEGIN X-----\nZm9v\n", "Zm9v\n-----END X-----\n"]
        {
            assert_eq!(parse_pem(pem, &mut [0; 8]), Err(VerifyError::BadPem), "{pem:?}");
        }
    }

    #[test]
    fn the_buffer_is_the_limit() {
        assert!(decode("Zm9vYmFyZm8=\n").is_ok());
        assert_eq!(decode("Zm9vYmFyZm9v\n"), Err(VerifyError::BadPem));
        assert_eq!(Der::<2>::from_pem("-----BEGIN X-----\nZm9v\n-----END X-----"), Err(VerifyError::BadPem));
        assert_eq!(
            Der::<4>::from_pem("-----BEGIN X-----\nZm9v\n-----END X-----").unwrap().as_bytes(),
            b"foo"
        );
    }

    #[test]
    fn text_around_the_block_is_ignored() {
        let mut der = [0; 3];
        let pem = "subject=CN = a\n-----BEGIN X-----\nZm9v\n-----END X-----\n-----BEGIN Y-----\n????";
        assert_eq!(parse_pem(pem, &mut der), Ok(3));
        assert_eq!(&der, b"foo");
    }
}
