//! The device of the scripts: layouts, files, boot states, and tokens made by the real `verify`.

use embassy_futures::block_on;
use ota_core::boot::{Controlled, ImageState, Images, Operation, Request, Revert};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::image::{Header, ImageInfo};
use ota_core::slot::{Compared, FlashError};
use ota_core::verify::{Digest, Rules, Scheme, Verified, VerifyError, verify};
use ota_core::version::Version;
use ota_sim::image::ImageBuilder;

pub(crate) const BLOCK_SIZE: u32 = 512;

/// NOR with 8-byte units and two blocks a sector; the trailer has the last sector of eight to itself.
pub(crate) fn layout(mode: BootMode) -> ImageLayout {
    let slot = SlotLayout {
        start: 0,
        size: 0x2000,
        sector_size: 1024,
        write_size: 8,
        erased: 0xFF,
        reprogram: Reprogram::Allowed,
        rewrite: false,
        erase_ms: 0,
    };
    ImageLayout::checked(ImageSlots {
        primary: Geometry::checked(slot),
        secondary: Geometry::checked(slot),
        mode,
        max_align: MaxAlign::M8,
        boot_write_size: 8,
        max_sectors: 8,
    })
}

/// An image file of three blocks, the last one short.
pub(crate) fn file(version: (u8, u8, u16), needs: Option<(u8, (u8, u8, u16))>) -> Vec<u8> {
    let sim = |(major, minor, revision)| ota_sim::Version { major, minor, revision, build: 0 };
    let mut builder = ImageBuilder::with_random_payload(sim(version), 1200, 7);
    if let Some((image, version)) = needs {
        builder = builder.dependency(image, sim(version));
    }
    builder.unsigned()
}

/// What the bootloader leaves when image `hash` of `version` runs and nothing is asked for.
pub(crate) const fn runs(version: (u8, u8, u16), hash: [u8; 32]) -> ImageState {
    let (major, minor, revision) = version;
    ImageState {
        running: Some(ImageInfo {
            version: Version::new(major, minor, revision, 0),
            size: 1300,
            hash,
            security_counter: None,
        }),
        request: Request::None,
        revert: Revert::No,
        confirmed: true,
        reverted: false,
    }
}

/// 0.9.0, confirmed: what runs before the update.
pub(crate) const OLD: ImageState = runs((0, 9, 0), [0x09; 32]);
/// 0.9.0 after MCUboot took the new image back.
pub(crate) const REVERTED: ImageState = ImageState { reverted: true, ..OLD };

/// The image of `file` runs unconfirmed.
pub(crate) fn tests(file: &[u8], revert: Revert) -> ImageState {
    let token = token(0, file);
    let info = token.info();
    ImageState { running: Some(info), revert, confirmed: false, ..OLD }
}

/// The token of a file that flash holds. The job's signature is accepted whatever it is.
pub(crate) fn token(image: u8, file: &[u8]) -> Verified {
    let mut digest = Digest::new();
    digest.set_image_end(Header::parse(file).unwrap().hashed_size().unwrap());
    digest.update(file);
    let rules = Rules { job: Anyone, image_keys: &[], reset_vector: None };
    // The mode that leaves the most room.
    let mut slot = Held { file, layout: layout(BootMode::Overwrite) };
    block_on(verify(&mut slot, image, file.len() as u32, digest, &[], &rules)).unwrap()
}

struct Anyone;

impl Scheme for Anyone {
    fn check(&self, _: &[u8; 32], _: &[u8]) -> Result<(), VerifyError> {
        Ok(())
    }
}

/// Secondary slots that all hold `file`; `verify` only reads.
struct Held<'f> {
    file: &'f [u8],
    layout: ImageLayout,
}

impl Images for Held<'_> {
    fn layout(&self, _: u8) -> Option<&ImageLayout> {
        Some(&self.layout)
    }

    async fn read(&mut self, _: u8, at: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        let at = at as usize;
        buf.copy_from_slice(self.file.get(at..at + buf.len()).ok_or(FlashError::OutOfBounds)?);
        Ok(())
    }

    fn generation(&self, _: u8) -> u32 {
        0
    }

    async fn erase(&mut self, _: u8, _: u32) -> Result<(), FlashError> {
        unreachable!()
    }

    async fn write(&mut self, _: u8, _: u32, _: &[u8]) -> Result<(), FlashError> {
        unreachable!()
    }

    async fn compare(&mut self, _: u8, _: u32, _: &[u8]) -> Result<Compared, FlashError> {
        unreachable!()
    }

    async fn control(&mut self, _: u8, _: Operation) -> Result<Controlled, FlashError> {
        unreachable!()
    }
}
