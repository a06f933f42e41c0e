//! An MCUboot image in words: header, TLVs, and whether hash and signatures hold.

use std::fmt::{self, Write as _};

use anyhow::Result;
use ota_core::image::{Header, ImageError, Tlv, TlvWalk, flag, tlv};
use ota_core::verify::{Digest, EcdsaP256, PublicKey, Scheme};
use ota_core::version::Version;
use serde::Serialize;

use super::keys::KeyFile;

/// TLV types only named here; those the library reads are in [`tlv`].
mod kind {
    pub(super) const PUBKEY: u16 = 0x02;
    pub(super) const VENDOR: std::ops::RangeInclusive<u8> = 0xA0..=0xFE;
}

/// A DEPENDENCY TLV (`image.h`, `struct image_dependency`).
mod dependency {
    use std::ops::Range;
    pub(super) const SIZE: usize = 12;
    pub(super) const IMAGE: usize = 0;
    pub(super) const VERSION: Range<usize> = 4..12;
}

/// What an image's header and TLVs say, and what of it is true.
#[derive(Debug, Serialize)]
pub(super) struct Image {
    /// Where the header stands in the slot or file.
    pub(super) at: usize,
    pub(super) version: String,
    /// Bytes from the header to the end of the TLVs; `None` when the TLVs are damaged.
    pub(super) size: Option<u32>,
    header_size: u16,
    payload_size: u32,
    protected_size: u16,
    load_address: u32,
    flags: u32,
    flag_names: Vec<&'static str>,
    hash: Hash,
    signature: Signature,
    tlvs: Vec<Entry>,
    /// Why this library does not install an image with these flags, whole or not.
    refused: Option<String>,
    /// What is damaged or not signed.
    pub(super) problems: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Hash {
    Right,
    Wrong,
    Missing,
    /// It covers the plain text of an encrypted image.
    NotChecked,
}

/// What the keys given say of the image's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Signature {
    Missing,
    /// There is one, and no key it could be verified with.
    NotChecked,
    Valid,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Entry {
    kind: u16,
    name: &'static str,
    protected: bool,
    size: u16,
    meaning: String,
}

impl Image {
    /// The image that starts with `bytes`, which end where its slot or file ends.
    ///
    /// # Errors
    /// When there is no header to start from.
    pub(super) fn read(at: usize, bytes: &[u8], keys: &[KeyFile]) -> Result<Self, ImageError> {
        let header = Header::parse(bytes)?;
        let mut image = Self {
            at,
            version: header.version.to_string(),
            size: None,
            header_size: header.header_size,
            payload_size: header.image_size,
            protected_size: header.protected_size,
            load_address: header.load_address,
            flags: header.flags,
            flag_names: flag_names(header.flags),
            hash: Hash::Missing,
            signature: Signature::Missing,
            tlvs: Vec::new(),
            refused: header.bootable().err().map(|error| error.to_string()),
            problems: Vec::new(),
        };
        if let Err(error) = image.walk(&header, bytes, keys) {
            image.problems.push(error.to_string());
        }
        Ok(image)
    }

    /// Everything that speaks against installing it.
    pub(super) fn objections(&self) -> Vec<String> {
        self.refused.iter().chain(&self.problems).cloned().collect()
    }

    /// Whether the bootloader sees an image at all.
    pub(super) fn is_bootable(&self) -> bool {
        self.flags & flag::NON_BOOTABLE == 0
    }

    fn walk(&mut self, header: &Header, bytes: &[u8], keys: &[KeyFile]) -> Result<(), ImageError> {
        let limit = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut walk = TlvWalk::new(header, limit)?;
        let hashed = header.hashed_size().ok_or(ImageError::Size)?;
        let mut digest = Digest::new();
        digest.update(bytes.get(..hashed as usize).ok_or(ImageError::TooLarge)?);
        let encrypted = header.flags & (flag::ENCRYPTED_AES128 | flag::ENCRYPTED_AES256) != 0;
        let mut judge = Judge { hash: digest.finish().file, encrypted, keys, current: None };
        while let Some(at) = walk.at() {
            let head = bytes.get(at as usize..).and_then(|rest| rest.first_chunk()).ok_or(ImageError::Tlv)?;
            if let Some(entry) = walk.step(*head)? {
                let value = bytes.get(entry.at as usize..).and_then(|rest| rest.get(..entry.len.into()));
                judge.take(self, entry, value.ok_or(ImageError::Tlv)?);
            }
        }
        self.size = Some(walk.size());
        match self.hash {
            Hash::Wrong => self.problems.push("the hash TLV is not the hash of these bytes".into()),
            Hash::Missing => self.problems.push(ImageError::NoHash.to_string()),
            Hash::Right | Hash::NotChecked => {}
        }
        match self.signature {
            Signature::Wrong => self.problems.push("the signature is wrong for its key".into()),
            Signature::Missing | Signature::NotChecked if !keys.is_empty() => {
                self.problems.push("no signature of a key given with --key".into());
            }
            Signature::Missing | Signature::NotChecked | Signature::Valid => {}
        }
        Ok(())
    }
}

/// Follows the entries in their order: a key hash names the key of the signature after it.
struct Judge<'a> {
    hash: [u8; 32],
    encrypted: bool,
    keys: &'a [KeyFile],
    current: Option<&'a KeyFile>,
}

impl Judge<'_> {
    fn take(&mut self, image: &mut Image, entry: Tlv, value: &[u8]) {
        let meaning = match entry.kind {
            tlv::SHA256 => {
                // Wrong once is wrong: the bootloader refuses at the first one.
                image.hash = match image.hash {
                    _ if self.encrypted => Hash::NotChecked,
                    Hash::Wrong => Hash::Wrong,
                    Hash::Right | Hash::Missing | Hash::NotChecked if value == self.hash => Hash::Right,
                    Hash::Right | Hash::Missing | Hash::NotChecked => Hash::Wrong,
                };
                format!("{} ({})", hex(value), image.hash)
            }
            tlv::KEYHASH => self.key(value),
            kind::PUBKEY => {
                let mut digest = Digest::new();
                digest.update(value);
                self.key(&digest.finish().file)
            }
            tlv::ECDSA_SIG => {
                let (signature, meaning) = self.signature(value);
                // Wrong once is wrong; else one valid signature is enough.
                image.signature = match (image.signature, signature) {
                    (Signature::Wrong, _) | (_, Signature::Wrong) => Signature::Wrong,
                    (Signature::Valid, _) => Signature::Valid,
                    (Signature::Missing | Signature::NotChecked, found) => found,
                };
                meaning
            }
            tlv::SEC_CNT => match value.try_into().map(u32::from_le_bytes) {
                Ok(counter) if entry.protected => counter.to_string(),
                Ok(counter) => format!("{counter}, NOT protected: not believed"),
                Err(_) => {
                    image.problems.push(ImageError::SecurityCounter.to_string());
                    "damaged".into()
                }
            },
            tlv::DEPENDENCY => dependency_text(value),
            _ => String::new(),
        };
        let Tlv { kind, protected, at: _, len: size } = entry;
        image.tlvs.push(Entry { kind, name: name(kind), protected, size, meaning });
    }

    fn key(&mut self, hash: &[u8]) -> String {
        let is_it = |key: &PublicKey<'_>| key.spki_hash() == hash;
        self.current = self.keys.iter().find(|file| file.key().is_ok_and(|key| is_it(&key)));
        match self.current {
            Some(file) => format!("{} ({})", hex(hash), file.name),
            None => hex(hash),
        }
    }

    fn signature(&mut self, value: &[u8]) -> (Signature, String) {
        let Some(file) = self.current.take() else {
            let why = if self.keys.is_empty() { "no --key given" } else { "of another key" };
            return (Signature::NotChecked, format!("not checked: {why}"));
        };
        // Old imgtool pads with zeros; the length is the DER sequence's own.
        let length = value.get(1).map_or(0, |&length| usize::from(length) + 2);
        let signature = match value.split_at_checked(length) {
            Some((signature, rest)) if rest.iter().all(|&byte| byte == 0) => signature,
            Some(_) | None => value,
        };
        match file.key().and_then(|key| Ok(EcdsaP256::new(&[key])?.check(&self.hash, signature)?)) {
            Ok(()) => (Signature::Valid, format!("valid, by {}", file.name)),
            Err(_) => (Signature::Wrong, format!("WRONG for {}", file.name)),
        }
    }
}

fn dependency_text(value: &[u8]) -> String {
    let version = value.get(dependency::VERSION).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    match (value.get(dependency::IMAGE), version) {
        (Some(image), Some([major, minor, r0, r1, b0, b1, b2, b3])) if value.len() == dependency::SIZE => {
            let revision = u16::from_le_bytes([r0, r1]);
            let build = u32::from_le_bytes([b0, b1, b2, b3]);
            format!("needs image {image} at {} or later", Version::new(major, minor, revision, build))
        }
        _ => "damaged".into(),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn flag_names(flags: u32) -> Vec<&'static str> {
    const NAMES: [(u32, &str); 9] = [
        (0x1, "PIC"),
        (flag::ENCRYPTED_AES128, "ENCRYPTED_AES128"),
        (flag::ENCRYPTED_AES256, "ENCRYPTED_AES256"),
        (flag::NON_BOOTABLE, "NON_BOOTABLE"),
        (flag::RAM_LOAD, "RAM_LOAD"),
        (flag::ROM_FIXED, "ROM_FIXED"),
        (flag::COMPRESSED_LZMA1, "COMPRESSED_LZMA1"),
        (flag::COMPRESSED_LZMA2, "COMPRESSED_LZMA2"),
        (flag::COMPRESSED_ARM_THUMB, "COMPRESSED_ARM_THUMB"),
    ];
    let known = NAMES.iter().fold(0, |known, (bit, _)| known | bit);
    let named = NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
    named.chain((flags & !known != 0).then_some("unknown bits")).collect()
}

/// Names of `image.h`, `IMAGE_TLV_*`.
fn name(kind: u16) -> &'static str {
    match kind {
        tlv::KEYHASH => "KEYHASH",
        kind::PUBKEY => "PUBKEY",
        tlv::SHA256 => "SHA256",
        0x11 => "SHA384",
        0x12 => "SHA512",
        0x20 => "RSA2048_PSS",
        0x21 => "ECDSA224",
        tlv::ECDSA_SIG => "ECDSA_SIG",
        0x23 => "RSA3072_PSS",
        0x24 => "ED25519",
        0x25 => "SIG_PURE",
        0x30 => "ENC_RSA2048",
        0x31 => "ENC_KW",
        0x32 => "ENC_EC256",
        0x33 => "ENC_X25519",
        0x34 => "ENC_X25519_SHA512",
        tlv::DEPENDENCY => "DEPENDENCY",
        tlv::SEC_CNT => "SEC_CNT",
        0x60 => "BOOT_RECORD",
        0x70 => "DECOMP_SIZE",
        0x71 => "DECOMP_SHA",
        0x72 => "DECOMP_SIGNATURE",
        0x73 => "COMP_DEC_SIZE",
        0x74 => "UUID_VID",
        0x75 => "UUID_CID",
        _ if kind::VENDOR.contains(&kind.to_le_bytes()[0]) => "vendor",
        _ => "unknown",
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Right => "right",
            Self::Wrong => "WRONG",
            Self::Missing => "missing",
            Self::NotChecked => "not checked: the image is encrypted",
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::NotChecked => "not checked",
            Self::Valid => "valid",
            Self::Wrong => "WRONG",
        })
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "MCUboot image, version {}", self.version)?;
        if self.at != 0 {
            writeln!(f, "  starts at     {:#x}", self.at)?;
        }
        match self.size {
            Some(size) => writeln!(f, "  size          {size} bytes ({size:#x}) to the end of the TLVs")?,
            None => writeln!(f, "  size          unknown: the TLVs cannot be followed")?,
        }
        writeln!(f, "  header        {} bytes with padding", self.header_size)?;
        writeln!(f, "  payload       {} bytes", self.payload_size)?;
        writeln!(f, "  load address  {:#x}", self.load_address)?;
        let names = if self.flag_names.is_empty() { "none".into() } else { self.flag_names.join(", ") };
        writeln!(f, "  flags         {:#x} ({names})", self.flags)?;
        writeln!(f, "  hash          {}", self.hash)?;
        writeln!(f, "  signature     {}", self.signature)?;
        for Entry { kind, name, protected, size, meaning } in &self.tlvs {
            let place = if *protected { ", protected" } else { "" };
            writeln!(f, "  TLV {kind:#06x}    {name}, {size} bytes{place}: {meaning}")?;
        }
        Ok(())
    }
}
