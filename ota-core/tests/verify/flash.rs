//! From the bytes in a strict flash to the request to the bootloader: the token's life.

use embassy_futures::block_on;
use ota_core::boot::{Image, Images, Request};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::slot::FlashError;
use ota_core::trailer::Pending;
use ota_core::verify::{Digest, EcdsaP256, PublicKey, Rules, Verified, VerifyError, verify};
use ota_sim::flash::{FlashConfig, VecFlash};

use crate::builder::{Builder, key, point, sha256, sign};

type Flash = VecFlash<8, 0x1000>;
type Pair = (Image<Flash, Flash>, Image<Flash, Flash>);

fn image(mode: BootMode) -> Image<Flash, Flash> {
    let slot = SlotLayout {
        start: 0,
        size: 0x8000,
        sector_size: 0x1000,
        write_size: 8,
        erased: 0xFF,
        reprogram: Reprogram::Forbidden,
        rewrite: false,
        erase_ms: 0,
    };
    let geometry = Geometry::new(slot).unwrap();
    let layout = ImageLayout::new(ImageSlots {
        primary: geometry,
        secondary: geometry,
        mode,
        max_align: MaxAlign::M8,
        boot_write_size: 8,
        max_sectors: 128,
    })
    .unwrap();
    let blank = || Flash::blank(FlashConfig::nor(0x8000, 0x1000, 8)).unwrap();
    Image::new(blank(), blank(), layout).unwrap()
}

/// Writes the file in blocks of 512 bytes into image 1 and reads the digest back out of flash.
fn download(images: &mut impl Images, file: &[u8]) {
    block_on(async {
        for (block, number) in file.chunks(512).zip(0u32..) {
            images.write(1, number * 512, block).await.unwrap();
        }
    });
}

fn hash(images: &mut impl Images, size: usize, image_end: u32) -> Digest {
    let mut digest = Digest::new();
    digest.set_image_end(image_end);
    while (digest.position() as usize) < size {
        let mut bytes = [0; 100];
        let bytes = &mut bytes[..(size - digest.position() as usize).min(100)];
        block_on(images.read(1, digest.position(), bytes)).unwrap();
        digest.update(bytes);
    }
    digest
}

fn verified(images: &mut impl Images, file: &[u8], end: u32) -> Result<Verified, VerifyError> {
    let (job_point, image_point) = (point(&key(9)), point(&key(1)));
    let job_keys = [PublicKey::sec1(&job_point).unwrap()];
    let image_keys = [PublicKey::sec1(&image_point).unwrap()];
    let rules =
        Rules { job: EcdsaP256::new(&job_keys).unwrap(), image_keys: &image_keys, reset_vector: None };
    let digest = hash(images, file.len(), end);
    block_on(verify(images, 1, file.len() as u32, digest, &sign(&key(9), &sha256(file)), &rules))
}

fn request(images: &mut impl Images) -> Request {
    block_on(images.inspect(1)).unwrap().request
}

/// File offsets are the same in every boot mode, swap-offset's shifted secondary included.
#[test]
fn verified_and_requested() {
    for mode in [BootMode::Overwrite, BootMode::SwapScratch, BootMode::SwapMove, BootMode::SwapOffset] {
        for (pending, requested) in [(Pending::Test, Request::Test), (Pending::Permanent, Request::Permanent)]
        {
            let mut images = (image(mode), image(mode));
            let (file, end) = Builder::new().build();
            download(&mut images, &file);
            let token = verified(&mut images, &file, end).unwrap();
            assert_eq!((token.image(), token.generation()), (1, images.generation(1)), "{mode:?}");
            assert_eq!(request(&mut images), Request::None, "{mode:?}");
            assert_eq!(block_on(images.set_pending(token, pending)), Ok(()), "{mode:?}");
            assert_eq!(request(&mut images), requested, "{mode:?}");
            assert_eq!(
                block_on(images.inspect(0)).unwrap().request,
                Request::None,
                "the other image, {mode:?}"
            );
        }
    }
}

/// Any write or erase after verification makes the token void, and nothing is requested.
#[test]
fn a_changed_slot_makes_the_token_void() {
    let (file, end) = Builder::new().build();
    let changes: [fn(&mut Pair); 3] = [
        |images| block_on(images.write(1, 0x2000, &[0; 8])).unwrap(),
        |images| block_on(images.erase(1, 5)).unwrap(),
        // Refused by flash, but begun.
        |images| assert!(block_on(images.write(1, 0, &[0; 8])).is_err()),
    ];
    for change in changes {
        let mut images = (image(BootMode::SwapMove), image(BootMode::SwapMove));
        download(&mut images, &file);
        let token = verified(&mut images, &file, end).unwrap();
        change(&mut images);
        assert_eq!(block_on(images.set_pending(token, Pending::Test)), Err(FlashError::Stale));
        assert_eq!(request(&mut images), Request::None);
    }
    // The other image's slot is another matter.
    let mut images = (image(BootMode::SwapMove), image(BootMode::SwapMove));
    download(&mut images, &file);
    let token = verified(&mut images, &file, end).unwrap();
    block_on(images.erase(0, 0)).unwrap();
    assert_eq!(block_on(images.set_pending(token, Pending::Test)), Ok(()));
}

/// What flash does not hold is not verified: one byte of the file that went wrong on its way.
#[test]
fn what_flash_holds_is_what_counts() {
    let (file, end) = Builder::new().build();
    for at in [0, 8, 63, 64, 200, end as usize, file.len() - 1] {
        let mut images = (image(BootMode::Overwrite), image(BootMode::Overwrite));
        let mut arrived = file.clone();
        arrived[at] ^= 0x20;
        download(&mut images, &arrived);
        assert_eq!(verified(&mut images, &file, end).err(), Some(VerifyError::BadSignature), "byte {at}");
    }
}
