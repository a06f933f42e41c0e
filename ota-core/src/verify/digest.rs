//! SHA-256 along the contiguous front of a file: one pass, two hashes.

use crate::sha256::Sha256;

/// SHA-256 of a file, fed in order from its first byte, that also yields MCUboot's image hash.
///
/// Two signatures cover a firmware file and they do not cover the same bytes. The job's signature covers the whole
/// file. MCUboot's hash ends before the unprotected TLV area (MCUboot, `docs/design.md`, "Image format"), so
/// where it ends is told by [`set_image_end`](Self::set_image_end) as soon as the header is known; the digest takes
/// the hash of the part on its way.
///
/// Feed it what was *read back from flash*, never what came from the network: only then does a good signature say
/// something about the slot. 176 bytes or less; [`Clone`] copies the running state.
///
/// ```
/// use ota_core::verify::Digest;
///
/// let mut digest = Digest::new();
/// digest.set_image_end(3);
/// digest.update(b"abcdef");
/// assert_eq!(digest.position(), 6);
/// assert_eq!(digest.clone().finish().image, {
///     let mut front = Digest::new();
///     front.update(b"abc");
///     Some(front.finish().file)
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Digest {
    sha: Sha256,
    position: u32,
    image_end: Option<u32>,
    image: Option<[u8; 32]>,
}

/// What a [`Digest`] ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// SHA-256 of every byte fed.
    pub file: [u8; 32],
    /// SHA-256 of the bytes before the image end. `None`: no end was set, it was set after the digest had passed it,
    /// or the digest has not reached it.
    pub image: Option<[u8; 32]>,
}

impl Digest {
    /// A digest at file offset 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says at which file offset MCUboot's hashed part ends: header, payload and protected TLVs
    /// ([`Header::hashed_size`](crate::image::Header::hashed_size)).
    ///
    /// Call it while [`position`](Self::position) is not beyond `end`. Later there is no image hash, and
    /// [`verify`](crate::verify::verify) answers
    /// [`DigestIncomplete`](crate::verify::VerifyError::DigestIncomplete). Saying it again with another
    /// value replaces the first, under the same condition.
    pub fn set_image_end(&mut self, end: u32) {
        self.image_end = Some(end);
        self.image = (self.position == end).then(|| self.sha.clone().finish());
    }

    /// Hashes the bytes at [`position`](Self::position) and moves on behind them.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(end) = self.image_end
            && let Some(left) = end.checked_sub(self.position)
            && left > 0
            && let Some((inside, outside)) = rest.split_at_checked(left as usize)
        {
            self.sha.update(inside);
            self.image = Some(self.sha.clone().finish());
            rest = outside;
        }
        self.sha.update(rest);
        // A file is shorter than 4 GiB (its size is a u32). A position that stuck at the top names a file that
        // cannot have been hashed right, so it ends in a bad signature and never in a panic.
        self.position = self.position.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }

    /// Bytes hashed so far: the file offset the next byte comes from.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// Where the image was said to end, if it was said.
    pub fn image_end(&self) -> Option<u32> {
        self.image_end
    }

    /// Both hashes.
    pub fn finish(self) -> Hashes {
        Hashes { file: self.sha.finish(), image: self.image }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha(bytes: &[u8]) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(bytes).into()
    }

    /// Every place of the image end in every cut of the feed gives the same two hashes.
    #[test]
    fn one_pass_gives_both_hashes_however_it_is_cut() {
        let mut bytes = [0u8; 150];
        for (byte, value) in bytes.iter_mut().zip(0u8..) {
            *byte = value.wrapping_mul(37);
        }
        for end in [0usize, 1, 31, 63, 64, 65, 127, 128, 149, 150] {
            for step in [1usize, 7, 64, 65, 149, 150] {
                let mut digest = Digest::new();
                digest.set_image_end(end as u32);
                for part in bytes.chunks(step) {
                    digest.update(part);
                }
                assert_eq!(digest.position(), 150);
                let hashes = digest.finish();
                assert_eq!(hashes.file, sha(&bytes), "file, end {end}, step {step}");
                assert_eq!(hashes.image, Some(sha(&bytes[..end])), "image, end {end}, step {step}");
            }
        }
    }

    #[test]
    fn image_end_behind_the_position_gives_no_image_hash() {
        let mut digest = Digest::new();
        digest.update(b"abc");
        digest.set_image_end(2);
        digest.update(b"def");
        assert_eq!(digest.finish(), Hashes { file: sha(b"abcdef"), image: None });
    }

    #[test]
    fn image_end_not_reached_gives_no_image_hash() {
        let mut digest = Digest::new();
        digest.set_image_end(4);
        digest.update(b"abc");
        assert_eq!(digest.clone().finish().image, None);
        digest.update(b"d");
        assert_eq!(digest.finish().image, Some(sha(b"abcd")));
    }

    #[test]
    fn image_end_set_in_place_and_moved() {
        let mut digest = Digest::new();
        digest.set_image_end(2);
        digest.update(b"ab");
        digest.set_image_end(4);
        digest.update(b"cde");
        assert_eq!(digest.finish().image, Some(sha(b"abcd")));
    }

    #[test]
    fn position_saturates() {
        let mut digest = Digest { position: u32::MAX - 1, ..Digest::new() };
        digest.update(b"abc");
        assert_eq!(digest.position(), u32::MAX);
    }

    #[test]
    fn size_is_as_documented() {
        assert!(size_of::<Digest>() <= 176, "{}", size_of::<Digest>());
    }
}
