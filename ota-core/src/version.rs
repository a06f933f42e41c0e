//! The version of an image, as MCUboot's header holds it and as AWS writes it in one word.

use core::{cmp::Ordering, fmt, str::FromStr};

/// An image version: `major.minor.revision+build`.
///
/// Ordered by major, minor, revision and last the build number. A bootloader compares the build number only when it was
/// built with `MCUBOOT_VERSION_CMP_USE_BUILD_NUMBER`; [`Version::word`] is the comparison without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version {
    /// `iv_major` of MCUboot's header.
    pub major: u8,
    /// `iv_minor`.
    pub minor: u8,
    /// `iv_revision`.
    pub revision: u16,
    /// `iv_build_num`.
    pub build: u32,
}

impl Version {
    /// A version from its four numbers.
    pub const fn new(major: u8, minor: u8, revision: u16, build: u32) -> Self {
        Self { major, minor, revision, build }
    }

    /// The 32-bit word of AWS' OTA agents (`AppVersion32_t`): major, minor and revision from the top; the build number
    /// has no place in it. `imgtool -s auto` derives the security counter the same way.
    pub const fn word(self) -> u32 {
        ((self.major as u32) << 24) | ((self.minor as u32) << 16) | self.revision as u32
    }

    /// The four numbers in the order in which they count.
    #[inline(never)]
    const fn rank(&self) -> u64 {
        (self.word() as u64) << 32 | self.build as u64
    }

    /// The version a [`Version::word`] stands for, with build number 0.
    pub const fn from_word(word: u32) -> Self {
        let [major, minor, high, low] = word.to_be_bytes();
        Self::new(major, minor, u16::from_be_bytes([high, low]), 0)
    }

    /// Reads `1`, `1.2`, `1.2.3` or `1.2.3+4` as imgtool does: decimal digits only, absent numbers are 0, every number in
    /// its field's range. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (numbers, build) = match text.split_once('+') {
            Some((numbers, build)) => (numbers, number(build)?),
            None => (text, 0),
        };
        let mut fields = numbers.split('.');
        let major = number(fields.next()?)?;
        let minor = fields.next().map_or(Some(0), number)?;
        let revision = fields.next().map_or(Some(0), number)?;
        if fields.next().is_some() {
            return None;
        }
        Some(Self::new(
            u8::try_from(major).ok()?,
            u8::try_from(minor).ok()?,
            u16::try_from(revision).ok()?,
            build,
        ))
    }
}

/// `str::parse` would take a leading plus sign, which belongs to the build number here.
fn number(digits: &str) -> Option<u32> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The text is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseVersionError;

impl fmt::Display for ParseVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a version: write it as major.minor.revision or major.minor.revision+build")
    }
}

impl core::error::Error for ParseVersionError {}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or(ParseVersionError)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.revision)?;
        if self.build != 0 {
            write!(f, "+{}", self.build)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::Version;
    use std::string::ToString;

    #[test]
    fn word_is_major_minor_revision() {
        assert_eq!(Version::new(1, 2, 0x0304, 9).word(), 0x0102_0304);
        assert_eq!(Version::from_word(0xFF00_0001), Version::new(255, 0, 1, 0));
        assert_eq!(Version::from_word(0x0102_0304), Version::new(1, 2, 0x0304, 0));
    }

    #[test]
    fn order_is_major_first_and_build_last() {
        let ascending =
            ["0.0.0", "0.0.0+1", "0.0.65535", "0.255.0", "1.0.0", "1.0.0+4294967295", "1.0.1", "2.0.0"];
        for pair in ascending.windows(2) {
            assert!(Version::parse(pair[0]) < Version::parse(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn text_round_trips_and_hides_build_zero() {
        for text in ["1.2.3+4", "0.9.0", "255.255.65535+4294967295"] {
            assert_eq!(Version::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Version::parse("1.2.3+0").unwrap().to_string(), "1.2.3");
        assert_eq!(Version::parse("1"), Some(Version::new(1, 0, 0, 0)));
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            "1.2.3.4",
            "1.2.3+",
            "+1",
            "1.+2",
            "256.0.0",
            "0.256.0",
            "0.0.65536",
            "1.0.0+4294967296",
            "-1.0.0",
            "1.2.3-4",
            " 1.2.3",
            "a",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
