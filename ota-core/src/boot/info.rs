//! What an image in a slot says of itself: its header and the TLVs that matter, read piece by piece.

use core::ops::Range;

use crate::{
    image::{HEADER_SIZE, Header, ImageError, ImageInfo, TlvWalk, tlv},
    version::Version,
};

/// Bytes of the header, and of a TLV's head with the largest payload that matters.
const HEADER_LEN: u32 = HEADER_SIZE;
const ENTRY_LEN: u32 = 4 + 32;

/// Reads the image that starts somewhere in a slot. What makes no sense is no image and no error.
pub(super) struct Survey {
    /// Where the image starts in the slot, and how long it may be.
    start: u32,
    limit: u32,
    /// `None`: the header is being read.
    walk: Option<TlvWalk>,
    info: ImageInfo,
    /// The hash was there, and nothing was wrong.
    hashed: bool,
}

impl Survey {
    pub(super) const fn new(start: u32, limit: u32) -> Self {
        let info =
            ImageInfo { version: Version::new(0, 0, 0, 0), size: 0, hash: [0; 32], security_counter: None };
        Self { start, limit, walk: None, info, hashed: false }
    }

    /// The part of the slot to begin with.
    pub(super) fn header(&self) -> Range<u32> {
        self.start..self.start + HEADER_LEN
    }

    /// The image, at the end.
    pub(super) fn outcome(&self) -> Option<ImageInfo> {
        self.hashed.then_some(self.info)
    }

    /// Takes in what was read and says which part of the slot comes next; `None` at the end.
    pub(super) fn next(&mut self, read: &[u8]) -> Option<Range<u32>> {
        let at = self.advance(read).unwrap_or_else(|_| {
            self.hashed = false;
            None
        })?;
        // The walk keeps to the limit.
        Some(self.start + at..self.start + self.limit.min(at + ENTRY_LEN))
    }

    fn advance(&mut self, read: &[u8]) -> Result<Option<u32>, ImageError> {
        let info = &mut self.info;
        let walk = match &mut self.walk {
            Some(walk) => {
                let (head, payload) = read.split_first_chunk().ok_or(ImageError::Truncated)?;
                let entry = walk.step(*head)?;
                match entry.map(|entry| (entry.kind, entry.len, entry.protected)) {
                    Some((tlv::SHA256, 32, _)) => {
                        info.hash = *payload.first_chunk().ok_or(ImageError::Truncated)?;
                        self.hashed = true;
                    }
                    Some((tlv::SEC_CNT, 4, true)) => {
                        info.security_counter = payload.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
                    }
                    Some(_) | None => {}
                }
                walk
            }
            None => {
                let header = Header::parse(read)?;
                info.version = header.version;
                self.walk.insert(TlvWalk::new(&header, self.limit)?)
            }
        };
        info.size = walk.size();
        Ok(walk.at())
    }
}
