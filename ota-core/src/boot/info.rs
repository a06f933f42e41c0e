//! What an image in a slot says of itself: its header and the TLVs that matter, read piece by piece.

use crate::{
    geometry::Geometry,
    image::{HEADER_SIZE, Header, ImageError, ImageInfo, TlvWalk, tlv},
    script::Step,
    version::Version,
};

/// Reads the image that starts somewhere in a slot. What makes no sense is no image and no error.
pub(super) struct Survey {
    /// Where the image starts in the device, and how long it may be.
    start: u32,
    limit: u32,
    awaited: Awaited,
    walk: TlvWalk,
    info: ImageInfo,
    /// The hash was there. With [`Awaited::Nothing`]: this is an image.
    hashed: bool,
}

/// What was read last.
#[derive(Clone, Copy)]
enum Awaited {
    Nothing,
    Header,
    /// The head of an area or of an entry.
    Head,
    Hash,
    Counter,
}

impl Survey {
    pub(super) const fn new() -> Self {
        let info =
            ImageInfo { version: Version::new(0, 0, 0, 0), size: 0, hash: [0; 32], security_counter: None };
        Self { start: 0, limit: 0, awaited: Awaited::Nothing, walk: TlvWalk::OVER, info, hashed: false }
    }

    /// Begins with the image at `offset` of a slot.
    pub(super) fn begin(&mut self, slot: &Geometry, offset: u32) {
        (self.start, self.limit) = (slot.start() + offset, slot.size() - offset);
        (self.awaited, self.hashed, self.info.security_counter) = (Awaited::Nothing, false, None);
    }

    /// The image, once the script is done.
    pub(super) fn outcome(&self) -> Option<ImageInfo> {
        self.hashed.then_some(self.info)
    }

    /// Takes in what was read and says what comes next: its place in the image and its size. `None` at the end.
    fn advance(&mut self, read: &[u8]) -> Result<Option<(u32, u32)>, ImageError> {
        match self.awaited {
            Awaited::Nothing => {
                self.awaited = Awaited::Header;
                return Ok(Some((0, HEADER_SIZE)));
            }
            Awaited::Header => {
                let header = Header::parse(read)?;
                self.info.version = header.version;
                self.walk = TlvWalk::new(&header, self.limit)?;
            }
            Awaited::Head => {
                let head = read.first_chunk().ok_or(ImageError::Truncated)?;
                if let Some(entry) = self.walk.step(*head)? {
                    self.awaited = match (entry.kind, entry.len, entry.protected) {
                        (tlv::SHA256, 32, _) => Awaited::Hash,
                        (tlv::SEC_CNT, 4, true) => Awaited::Counter,
                        _ => Awaited::Head,
                    };
                    if !matches!(self.awaited, Awaited::Head) {
                        return Ok(Some((entry.at, u32::from(entry.len))));
                    }
                }
            }
            Awaited::Hash => {
                self.info.hash = *read.first_chunk().ok_or(ImageError::Truncated)?;
                self.hashed = true;
            }
            Awaited::Counter => {
                self.info.security_counter = read.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
            }
        }
        self.awaited = Awaited::Head;
        self.info.size = self.walk.size();
        Ok(self.walk.at().map(|at| (at, 4)))
    }

    /// The next read; [`Step::Done`] at the end.
    pub(super) fn next(&mut self, buffer: &[u8]) -> Step {
        match self.advance(buffer) {
            Ok(Some((at, len))) => {
                // The walk keeps to the limit.
                Step::Read(self.start + at..self.start + at + len)
            }
            Ok(None) => Step::Done,
            Err(_) => {
                self.hashed = false;
                Step::Done
            }
        }
    }
}
