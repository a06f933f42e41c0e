//! The version in an image header.

use core::fmt;

/// An image version as MCUboot stores it; orders by major, minor, revision, then build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `iv_major`
    pub major: u8,
    /// `iv_minor`
    pub minor: u8,
    /// `iv_revision`
    pub revision: u16,
    /// `iv_build_num`
    pub build: u32,
}

impl Version {
    /// Bytes in a header or a DEPENDENCY TLV.
    pub const SIZE: usize = 8;

    /// A version from its four numbers.
    pub const fn new(major: u8, minor: u8, revision: u16, build: u32) -> Self {
        Self { major, minor, revision, build }
    }

    /// Compares as MCUboot does: the build number only when it was built so.
    pub(crate) fn compare(&self, other: &Self, with_build: bool) -> core::cmp::Ordering {
        let key = |version: &Self| Self { build: if with_build { version.build } else { 0 }, ..*version };
        key(self).cmp(&key(other))
    }

    /// As it lies in flash, little-endian.
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        let [r0, r1] = self.revision.to_le_bytes();
        let [b0, b1, b2, b3] = self.build.to_le_bytes();
        [self.major, self.minor, r0, r1, b0, b1, b2, b3]
    }

    /// The reverse of [`Version::to_bytes`].
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [major, minor, r0, r1, b0, b1, b2, b3] = bytes;
        Self {
            major,
            minor,
            revision: u16::from_le_bytes([r0, r1]),
            build: u32::from_le_bytes([b0, b1, b2, b3]),
        }
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
