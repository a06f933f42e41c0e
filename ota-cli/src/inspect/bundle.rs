//! A TAR bundle in words: its list, and each image in it.

use std::fmt;

use ota_core::image::HEADER_MAGIC;
use ota_core::wire::Text;
use ota_core::wire::tar::{Head, Header, RECORD_SIZE, TarError, is_tar, padded};
use serde::Serialize;

use super::image::Image;
use super::keys::KeyFile;

/// What a bundle says it holds, and what of it is true.
#[derive(Debug, Serialize)]
pub(super) struct Bundle {
    version: String,
    members: Vec<Member>,
    pub(super) problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Member {
    name: String,
    kind: String,
    /// Where its payload starts in the file.
    at: usize,
    size: u32,
    image: Option<Image>,
}

impl Bundle {
    /// The bundle that `bytes` are; `None` when they are no TAR archive.
    pub(super) fn read(bytes: &[u8], keys: &[KeyFile]) -> Option<Self> {
        // An image with `ustar` in its payload stays an image.
        if !is_tar(bytes) || bytes.starts_with(&HEADER_MAGIC.to_le_bytes()) {
            return None;
        }
        let mut bundle = Self { version: String::new(), members: Vec::new(), problems: Vec::new() };
        if let Err(error) = bundle.walk(bytes, keys) {
            bundle.problems.push(error.to_string());
        }
        Some(bundle)
    }

    fn walk(&mut self, bytes: &[u8], keys: &[KeyFile]) -> Result<(), TarError> {
        let head = Head::parse(bytes)?;
        self.version = unescaped(head.components.version);
        let mut left: Vec<_> = head.components.members().collect();
        let mut at = (head.payload_at - RECORD_SIZE) as usize;
        while !left.is_empty() {
            let header = Header::parse(bytes.get(at..).ok_or(TarError::Truncated)?)?;
            let entry = head.components.entry(&header)?;
            // Listed once, so it may come once.
            let place = left.iter().position(|other| *other == entry).ok_or(TarError::Mismatch)?;
            left.remove(place);
            at += RECORD_SIZE as usize;
            let payload = bytes.get(at..at + header.size as usize).ok_or(TarError::Truncated)?;
            let kind = unescaped(entry.kind);
            let image = Image::read(0, payload, keys);
            match &image {
                Ok(image) => {
                    self.problems.extend(image.objections().into_iter().map(|why| format!("{kind}: {why}")));
                }
                Err(error) => self.problems.push(format!("{kind}: {error}")),
            }
            let (name, size) = (header.name.into(), header.size);
            self.members.push(Member { name, kind, at, size, image: image.ok() });
            at += padded(header.size).ok_or(TarError::Number)? as usize;
        }
        if bytes.get(at..).unwrap_or_default().iter().any(|byte| *byte != 0) {
            self.problems.push("something follows the last member".into());
        }
        Ok(())
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "TAR bundle, version {}", self.version)?;
        for Member { name, kind, at, size, image } in &self.members {
            writeln!(f, "{kind}: {name}, {size} bytes at {at:#x}")?;
            match image {
                Some(image) => write!(f, "{image}")?,
                None => writeln!(f, "No MCUboot image")?,
            }
        }
        Ok(())
    }
}

/// The text without its escapes. That of a list that was read is UTF-8.
fn unescaped(text: Text<'_>) -> String {
    String::from_utf8_lossy(&text.bytes().collect::<Vec<u8>>()).into_owned()
}
