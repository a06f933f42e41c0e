//! MCUboot images as bytes: the 32-byte header and the walk over the TLV areas. Pure; the caller reads flash.
//!
//! Little-endian throughout (MCUboot `docs/design.md`, "Image format", and `image.h`).

use core::fmt;

use crate::version::Version;

/// Bytes of the header MCUboot reads; the header on flash is padded to [`Header::header_size`].
pub const HEADER_SIZE: u32 = 32;

/// `ih_magic`: the first four bytes of every image, as a little-endian number.
pub const HEADER_MAGIC: u32 = 0x96F3_B83D;

/// Most TLV entries the walk follows. imgtool writes fewer than twenty; the limit keeps a hostile image from costing
/// thousands of flash reads.
pub const MAX_TLV_COUNT: u16 = 128;

/// Bits of `ih_flags`.
pub mod flag {
    /// AES-128 encrypted payload.
    pub const ENCRYPTED_AES128: u32 = 0x4;
    /// AES-256 encrypted payload.
    pub const ENCRYPTED_AES256: u32 = 0x8;
    /// Not for booting: MCUboot treats the slot as empty.
    pub const NON_BOOTABLE: u32 = 0x10;
    /// To be copied to RAM.
    pub const RAM_LOAD: u32 = 0x20;
    /// Linked for the address in the header.
    pub const ROM_FIXED: u32 = 0x100;
    /// LZMA1 compressed payload.
    pub const COMPRESSED_LZMA1: u32 = 0x200;
    /// LZMA2 compressed payload.
    pub const COMPRESSED_LZMA2: u32 = 0x400;
    /// ARM thumb filter applied before compression.
    pub const COMPRESSED_ARM_THUMB: u32 = 0x800;
}

/// Types of TLV entries this library reads (`image.h`, `IMAGE_TLV_*`).
pub mod tlv {
    /// SHA-256 of the verifying public key (DER SubjectPublicKeyInfo).
    pub const KEYHASH: u16 = 0x01;
    /// SHA-256 over header, payload and protected TLVs.
    pub const SHA256: u16 = 0x10;
    /// DER ECDSA signature over the hash.
    pub const ECDSA_SIG: u16 = 0x22;
    /// Another image this one needs; protected.
    pub const DEPENDENCY: u16 = 0x40;
    /// Security counter, `u32`; protected.
    pub const SEC_CNT: u16 = 0x50;
}

/// Why bytes are not an image this library can install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ImageError {
    /// Fewer bytes than a header.
    Truncated = 1,
    /// The first bytes are not MCUboot's magic.
    Magic = 2,
    /// Header size under 32, or header, payload and TLVs exceed 32 bits.
    Size = 3,
    /// The image does not fit the file or slot it lies in.
    TooLarge = 4,
    /// Marked as not bootable.
    NonBootable = 5,
    /// Encrypted.
    Encrypted = 6,
    /// Compressed.
    Compressed = 7,
    /// A TLV area has the wrong magic or length, or an entry leaves its area.
    Tlv = 8,
    /// More than [`MAX_TLV_COUNT`] entries.
    TlvCount = 9,
    /// No SHA-256 TLV of 32 bytes.
    NoHash = 10,
    /// The security counter is not 4 bytes, or occurs twice.
    SecurityCounter = 11,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "image ends inside the MCUboot header; deliver the whole signed file",
            Self::Magic => "no MCUboot header magic; sign the image with imgtool",
            Self::Size => "impossible sizes in the MCUboot header; sign the image again",
            Self::TooLarge => "the image is larger than its file or slot",
            Self::NonBootable => "the image is marked as not bootable",
            Self::Encrypted => "encrypted images are not supported; sign without encryption",
            Self::Compressed => "compressed images are not supported; sign without compression",
            Self::Tlv => "damaged TLV area; sign the image again",
            Self::TlvCount => "more TLV entries than this library reads",
            Self::NoHash => "no SHA-256 TLV; sign with a SHA-256 based key",
            Self::SecurityCounter => "the security counter TLV must be 4 bytes and occur once",
        })
    }
}

impl core::error::Error for ImageError {}

/// The header of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the image is to run when it is loaded to RAM or linked for one place, else 0.
    pub load_address: u32,
    /// Bytes of the header with its padding: where the payload starts.
    pub header_size: u16,
    /// Bytes of the protected TLV area, its 4-byte head included; 0 without one.
    pub protected_size: u16,
    /// Bytes of payload.
    pub image_size: u32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// The image's version.
    pub version: Version,
}

impl Header {
    /// Reads the first [`HEADER_SIZE`] bytes of an image.
    ///
    /// Checks magic and sizes; whether the image may boot is [`Header::bootable`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let (words, _) = bytes.as_chunks().0.split_first_chunk().ok_or(ImageError::Truncated)?;
        // The fields as they follow each other: no word holds a part of one.
        let [magic, load_address, sizes, image_size, flags, numbers, build, _padding] =
            words.map(u32::from_le_bytes);
        let header = Self {
            load_address,
            header_size: sizes as u16,
            protected_size: (sizes >> 16) as u16,
            image_size,
            flags,
            version: Version::new(numbers as u8, (numbers >> 8) as u8, (numbers >> 16) as u16, build),
        };
        if magic != HEADER_MAGIC {
            return Err(ImageError::Magic);
        }
        if u32::from(header.header_size) < HEADER_SIZE || header.hashed_size().is_none() {
            return Err(ImageError::Size);
        }
        Ok(header)
    }

    /// Offset of the first TLV area: header plus payload. `None` past 32 bits, which [`Header::parse`] refuses.
    pub const fn tlv_start(&self) -> Option<u32> {
        self.image_size.checked_add(self.header_size as u32)
    }

    /// Bytes MCUboot's hash covers: header, payload and protected TLVs. `None` past 32 bits, which [`Header::parse`]
    /// refuses.
    pub const fn hashed_size(&self) -> Option<u32> {
        match self.tlv_start() {
            Some(start) => start.checked_add(self.protected_size as u32),
            None => None,
        }
    }

    /// Refuses what the swap and overwrite bootloaders of this library's modes do not boot.
    pub const fn bootable(&self) -> Result<(), ImageError> {
        const ENCRYPTED: u32 = flag::ENCRYPTED_AES128 | flag::ENCRYPTED_AES256;
        const COMPRESSED: u32 = flag::COMPRESSED_LZMA1 | flag::COMPRESSED_LZMA2 | flag::COMPRESSED_ARM_THUMB;
        if self.flags & flag::NON_BOOTABLE != 0 {
            Err(ImageError::NonBootable)
        } else if self.flags & ENCRYPTED != 0 {
            Err(ImageError::Encrypted)
        } else if self.flags & COMPRESSED != 0 {
            Err(ImageError::Compressed)
        } else {
            Ok(())
        }
    }
}

/// What is known of an image from its header and TLVs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The version in the header.
    pub version: Version,
    /// Bytes from the header to the end of the TLVs.
    pub size: u32,
    /// The SHA-256 TLV: what the image says its hash is. Only `verify` proves it.
    pub hash: [u8; 32],
    /// The security counter, from the protected area only.
    pub security_counter: Option<u32>,
}

/// One TLV entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv {
    /// Its type, see [`tlv`].
    pub kind: u16,
    /// Whether it lies in the protected area, which the hash covers.
    pub protected: bool,
    /// Where its payload starts, from the start of the image.
    pub at: u32,
    /// Bytes of payload.
    pub len: u16,
}

/// The walk over an image's TLV areas, four bytes at a time, so that the caller needs no buffer for them.
///
/// ```
/// # use ota_core::image::{Header, ImageError, TlvWalk, tlv};
/// fn hash_at(image: &[u8]) -> Result<Option<u32>, ImageError> {
///     let mut found = None;
///     let mut walk = TlvWalk::new(&Header::parse(image)?, image.len() as u32)?;
///     while let Some(at) = walk.at() {
///         let head = image[at as usize..][..4].try_into().unwrap(); // on a device: a read of flash
///         if let Some(entry) = walk.step(head)? {
///             if entry.kind == tlv::SHA256 {
///                 found = Some(entry.at);
///             }
///         }
///     }
///     Ok(found)
/// }
/// # assert_eq!(hash_at(&[]), Err(ImageError::Truncated));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TlvWalk {
    at: u32,
    limit: u32,
    /// Where the area ends: there an area's head follows, or nothing.
    end: u32,
    /// Of the area still to come; 0: none.
    protected_size: u16,
    count: u16,
    area: Area,
}

/// The area the walk is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    Payload,
    Protected,
    Unprotected,
}

const PROTECTED_MAGIC: u16 = 0x6908;
const UNPROTECTED_MAGIC: u16 = 0x6907;
/// Bytes of an area's head and of an entry's head: two `u16`.
const HEAD_SIZE: u32 = 4;

impl TlvWalk {
    /// A walk over the areas of the image that `header` starts and that must end at or before `limit` bytes (the file's
    /// size, or the slot's).
    pub fn new(header: &Header, limit: u32) -> Result<Self, ImageError> {
        let at = header.tlv_start().ok_or(ImageError::Size)?;
        let hashed = header.hashed_size().ok_or(ImageError::Size)?;
        if hashed > limit || limit - hashed < HEAD_SIZE {
            return Err(ImageError::TooLarge);
        }
        Ok(Self { at, limit, end: at, protected_size: header.protected_size, count: 0, area: Area::Payload })
    }

    /// Where the next four bytes are, from the start of the image, always inside the limit; `None` after the last entry.
    pub fn at(&self) -> Option<u32> {
        (self.at != self.end || self.area != Area::Unprotected).then_some(self.at)
    }

    /// Bytes from the header to where the walk stands: at its end, the size of the whole image.
    pub const fn size(&self) -> u32 {
        self.at
    }

    /// Takes the four bytes at [`TlvWalk::at`]: an entry, or `None` for an area's head. After an error the walk is over
    /// and the image is not to be used.
    pub fn step(&mut self, bytes: [u8; 4]) -> Result<Option<Tlv>, ImageError> {
        let [a, b, c, d] = bytes;
        let (kind, len) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let is_entry = self.at != self.end;
        if is_entry {
            self.count_entry(len)?
        } else {
            self.enter(kind, len)?
        }
        let at = self.at + HEAD_SIZE;
        self.at = if is_entry { at + u32::from(len) } else { at };
        // A rest too short for an entry's head: nobody is to read across the limit.
        if self.at != self.end && self.end - self.at < HEAD_SIZE {
            return Err(ImageError::Tlv);
        }
        Ok(is_entry.then_some(Tlv { kind, protected: self.area == Area::Protected, at, len }))
    }

    /// Enters the area whose head stands here. A header that promises a protected area the image does not have is refused:
    /// the hash covers it.
    fn enter(&mut self, kind: u16, len: u16) -> Result<(), ImageError> {
        let protected_size = core::mem::take(&mut self.protected_size);
        let (area, expected) = match protected_size {
            0 => (Area::Unprotected, (UNPROTECTED_MAGIC, len)),
            size => (Area::Protected, (PROTECTED_MAGIC, size)),
        };
        if self.area == Area::Unprotected || (kind, len) != expected || u32::from(len) < HEAD_SIZE {
            return Err(ImageError::Tlv);
        }
        if u32::from(len) > self.limit - self.at {
            return Err(ImageError::TooLarge);
        }
        self.end = self.at + u32::from(len);
        self.area = area;
        Ok(())
    }

    fn count_entry(&mut self, len: u16) -> Result<(), ImageError> {
        // Of an entry at least the head lies in its area.
        if u32::from(len) > self.end - self.at - HEAD_SIZE {
            return Err(ImageError::Tlv);
        }
        self.count = self.count.saturating_add(1);
        if self.count > MAX_TLV_COUNT { Err(ImageError::TlvCount) } else { Ok(()) }
    }
}
