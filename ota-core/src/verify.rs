//! Placeholder of the token's shape; the verifier replaces this file.

use crate::image::ImageInfo;

/// Proof that one image's secondary slot held a verified image at one write generation.
#[derive(Debug)]
pub struct Verified {
    image: u8,
    digest: [u8; 32],
    info: ImageInfo,
    generation: u32,
}

impl Verified {
    /// The image verified.
    pub fn image(&self) -> u8 {
        self.image
    }
    /// SHA-256 over the whole file.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
    /// What the header and TLVs say.
    pub fn info(&self) -> &ImageInfo {
        &self.info
    }
    /// The slot's write generation at verification.
    pub fn generation(&self) -> u32 {
        self.generation
    }
    /// The same proof for the image's number inside the element of a tuple of images (see `boot`): keep this one.
    pub(crate) fn renumbered(self, image: u8) -> Self {
        Self { image, ..self }
    }
    #[cfg(test)]
    pub(crate) fn for_tests(image: u8, info: ImageInfo, generation: u32) -> Self {
        Self { image, digest: [0; 32], info, generation }
    }
}
