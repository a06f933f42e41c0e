//! Proof in two steps for the images of a bundle: the job's signature over the whole file, then image by image.

use super::{Digest, Rules, Scheme, Verified, VerifyError, covered, inspect};
use crate::boot::Images;

/// Most images a bundle can hold.
const IMAGE_COUNT: usize = super::IMAGE_COUNT;

/// Proof that the job's signature signs a bundle whose images the secondary slots held at the write generations noted here.
///
/// Only [`verify_bundle`] makes one. It opens nothing by itself: with it, [`verify_member`] makes the [`Verified`] of each
/// image, as long as that image's slot is neither written nor erased.
#[derive(Debug)]
#[must_use = "the proof is what verify_member asks for"]
pub struct SignedBundle {
    generations: [u32; IMAGE_COUNT],
}

/// Checks the job's signature over a bundle of `size` bytes.
///
/// `digest` must have hashed the bundle from its first byte to its last: the payload of every member *as read back from its
/// slot*, what stands between them as it came.
///
/// # Errors
/// [`VerifyError`]: the digest does not cover the file, or the signature does not sign it.
pub fn verify_bundle<I: Images, S: Scheme>(
    images: &I,
    size: u32,
    digest: Digest,
    signature: &[u8],
    rules: &Rules<'_, S>,
) -> Result<SignedBundle, VerifyError> {
    if digest.position() != size {
        return Err(VerifyError::DigestIncomplete);
    }
    rules.job.check(&digest.finish().file, signature)?;
    let mut generations = [0; IMAGE_COUNT];
    for (place, image) in generations.iter_mut().zip(0..) {
        *place = images.generation(image);
    }
    Ok(SignedBundle { generations })
}

/// Verifies the image of `size` bytes that a signed bundle put into the secondary slot of image `image`: all that
/// [`verify`](super::verify) checks but for the job's signature, which `bundle` proves.
///
/// `digest` must have hashed exactly these bytes as read back from flash.
///
/// Dropping the future half-way leaves flash untouched; the digest is gone, so hash again.
///
/// # Errors
/// [`VerifyError`]: the first step that failed. [`FlashError::Stale`](crate::slot::FlashError::Stale) when the slot was
/// touched since.
pub async fn verify_member<I: Images, S>(
    images: &mut I,
    image: u8,
    size: u32,
    digest: Digest,
    bundle: &SignedBundle,
    rules: &Rules<'_, S>,
) -> Result<Verified, VerifyError> {
    if bundle.generations.get(usize::from(image)) != Some(&images.generation(image)) {
        return Err(VerifyError::Flash(crate::slot::FlashError::Stale));
    }
    let image_end = digest.image_end();
    let hashes = covered(images, image, size, digest)?;
    inspect(images, image, size, hashes, image_end, rules).await
}
