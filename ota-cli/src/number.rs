//! Numbers as imgtool takes them: decimal, or with the prefix 0x, 0o or 0b.

use ota_core::geometry::MaxAlign;

/// A size or an offset in bytes.
pub(crate) fn size(text: &str) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0o") => (&lower[2..], 8),
        Some("0b") => (&lower[2..], 2),
        Some(_) | None => (lower.as_str(), 10),
    };
    // `from_str_radix` would take a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("not a number: write it like 1024 or 0x400".into());
    }
    u32::from_str_radix(digits, radix).map_err(|_| "not a number below 4 GiB, like 1024 or 0x400".into())
}

/// What erased flash reads as.
pub(crate) fn erased(text: &str) -> Result<u8, String> {
    match size(text) {
        Ok(0x00) => Ok(0x00),
        Ok(0xFF) => Ok(0xFF),
        Ok(_) | Err(_) => Err("flash erases to 0 or to 0xff".into()),
    }
}

/// The bootloader's `MCUBOOT_BOOT_MAX_ALIGN`.
pub(crate) fn max_align(text: &str) -> Result<MaxAlign, String> {
    match size(text) {
        Ok(8) => Ok(MaxAlign::M8),
        Ok(16) => Ok(MaxAlign::M16),
        Ok(32) => Ok(MaxAlign::M32),
        Ok(_) | Err(_) => Err("MCUboot is built for 8, 16 or 32".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_and_the_limits() {
        for (text, value) in
            [("0", 0), ("1024", 1024), ("0x400", 1024), ("0XfF", 255), ("0o17", 15), ("0b101", 5)]
        {
            assert_eq!(size(text), Ok(value), "{text}");
        }
        assert_eq!(size("0xffffffff"), Ok(u32::MAX));
        for text in ["", "0x", "-1", "+1", "4294967296", "0x100000000", "12k", "0b2", "ff", "0x-1"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(
            (erased("0"), erased("0x00"), erased("0xFF"), erased("255")),
            (Ok(0), Ok(0), Ok(255), Ok(255))
        );
        assert!(erased("1").is_err() && erased("").is_err());
        assert!(max_align("16") == Ok(MaxAlign::M16) && max_align("64").is_err());
    }
}
