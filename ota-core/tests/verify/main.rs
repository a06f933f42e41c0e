//! `verify` against images with one thing wrong each.

mod builder;
mod bundle;
mod flash;
mod images;

use builder::{Builder, DEPENDENCY, SEC_CNT, key, point, sha256, sign};
use embassy_futures::block_on;
use ota_core::boot::{Controlled, Images, Operation};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::image::{ImageError, ImageInfo};
use ota_core::slot::{Compared, FlashError};
use ota_core::verify::{Digest, EcdsaP256, PublicKey, Rules, Scheme, Verified, VerifyError, verify};
use ota_core::version::Version;

/// A secondary slot in RAM: what `verify` needs of it, which is reading.
struct Memory {
    bytes: Vec<u8>,
    layout: ImageLayout,
    generation: u32,
    reads: u32,
    largest_read: usize,
    /// The read that fails, counted from 0.
    broken_read: Option<u32>,
}

impl Memory {
    fn new(file: &[u8]) -> Self {
        let mut bytes = vec![0xFF; 0x8000];
        bytes[..file.len()].copy_from_slice(file);
        Self { bytes, layout: layout(), generation: 7, reads: 0, largest_read: 0, broken_read: None }
    }
}

/// `verify` only reads; anything else is a bug that ends the test.
impl Images for Memory {
    fn layout(&self, image: u8) -> Option<&ImageLayout> {
        (image == 0).then_some(&self.layout)
    }

    async fn read(&mut self, image: u8, at: u32, buf: &mut [u8]) -> Result<(), FlashError> {
        assert_eq!(image, 0);
        if self.broken_read == Some(self.reads) {
            return Err(FlashError::Driver);
        }
        self.reads += 1;
        self.largest_read = self.largest_read.max(buf.len());
        let at = at as usize;
        buf.copy_from_slice(self.bytes.get(at..at + buf.len()).ok_or(FlashError::OutOfBounds)?);
        Ok(())
    }

    fn generation(&self, _: u8) -> u32 {
        self.generation
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

/// Two slots of 32 KiB, overwrite-only.
fn layout() -> ImageLayout {
    let primary = SlotLayout {
        start: 0,
        size: 0x8000,
        sector_size: 0x1000,
        write_size: 8,
        erased: 0xFF,
        reprogram: Reprogram::Allowed,
        rewrite: false,
        erase_ms: 0,
    };
    ImageLayout::new(ImageSlots {
        primary: Geometry::new(primary).unwrap(),
        secondary: Geometry::new(SlotLayout { start: 0x8000, ..primary }).unwrap(),
        mode: BootMode::Overwrite,
        max_align: MaxAlign::M8,
        boot_write_size: 8,
        max_sectors: 128,
    })
    .unwrap()
}

fn digest_of(file: &[u8], image_end: u32) -> Digest {
    let mut digest = Digest::new();
    digest.set_image_end(image_end);
    file.chunks(100).for_each(|block| digest.update(block));
    digest
}

/// Verifies a file signed with the job key `key(9)`, asking for an image signature of `image_key` if given.
fn check_in(
    memory: &mut Memory,
    file: &[u8],
    end: u32,
    image_key: Option<u8>,
) -> Result<Verified, VerifyError> {
    let job_point = point(&key(9));
    let job_keys = [PublicKey::sec1(&job_point).unwrap()];
    let image_point = image_key.map(|seed| point(&key(seed)));
    let image_keys: Vec<_> = image_point.iter().map(|point| PublicKey::sec1(point).unwrap()).collect();
    let rules =
        Rules { job: EcdsaP256::new(&job_keys).unwrap(), image_keys: &image_keys, reset_vector: None };
    let signature = sign(&key(9), &sha256(file));
    block_on(verify(memory, 0, file.len() as u32, digest_of(file, end), &signature, &rules))
}

fn check(builder: &Builder, image_key: Option<u8>) -> Result<Verified, VerifyError> {
    let (file, end) = builder.build();
    check_in(&mut Memory::new(&file), &file, end, image_key)
}

fn error(builder: &Builder, image_key: Option<u8>) -> Option<VerifyError> {
    check(builder, image_key).err()
}

#[test]
fn a_good_image_is_verified() {
    let builder = Builder::new().protected(&[
        (SEC_CNT, &[7, 0, 0, 0]),
        (DEPENDENCY, &[1, 0, 0, 0, 2, 3, 4, 0, 5, 0, 0, 0]),
        (DEPENDENCY, &[1, 0, 0, 0, 2, 3, 3, 0, 9, 0, 0, 0]),
        (DEPENDENCY, &[200, 0, 0, 0, 2, 3, 3, 0, 9, 0, 0, 0]),
    ]);
    let (file, end) = builder.build();
    let mut memory = Memory::new(&file);
    for image_key in [None, Some(1)] {
        let token = check_in(&mut memory, &file, end, image_key).unwrap();
        assert_eq!((token.image(), token.generation(), *token.digest()), (0, 7, sha256(&file)));
        let info = ImageInfo {
            version: Version::new(1, 2, 3, 4),
            size: file.len() as u32,
            hash: sha256(&file[..end as usize]),
            security_counter: Some(7),
        };
        assert_eq!(token.info(), info);
        let dependencies: Vec<_> = (0..=255).filter_map(|image| token.dependency(image)).collect();
        assert_eq!(dependencies, [Version::new(2, 3, 4, 5)]);
        assert_eq!(token.dependency(1), Some(Version::new(2, 3, 4, 5)));
    }
    assert!(memory.largest_read <= 128, "documented: {} bytes", memory.largest_read);
}

#[test]
fn bytes_behind_the_image_belong_to_the_file_only() {
    let (mut file, end) = Builder::new().build();
    let image_size = file.len() as u32;
    file.extend([0xEE; 33]);
    let token = check_in(&mut Memory::new(&file), &file, end, Some(1)).unwrap();
    assert_eq!((token.info().size, *token.digest()), (image_size, sha256(&file)));
}

#[test]
fn the_digest_must_cover_the_file() {
    let (file, end) = Builder::new().build();
    let job_point = point(&key(9));
    let job_keys = [PublicKey::sec1(&job_point).unwrap()];
    let rules = Rules { job: EcdsaP256::new(&job_keys).unwrap(), image_keys: &[], reset_vector: None };
    let signature = sign(&key(9), &sha256(&file));
    let size = file.len() as u32;
    let run = |size: u32, digest: Digest| {
        block_on(verify(&mut Memory::new(&file), 0, size, digest, &signature, &rules)).err()
    };
    let incomplete = Some(VerifyError::DigestIncomplete);
    assert_eq!(run(size, digest_of(&file, end)), None);
    assert_eq!(run(size, digest_of(&file[1..], end)), incomplete);
    assert_eq!(run(size - 1, digest_of(&file, end)), incomplete);
    assert_eq!(run(size + 1, digest_of(&file, end)), incomplete);
    assert_eq!(run(size, digest_of(&file, end - 1)), incomplete);
    assert_eq!(run(size, digest_of(&file, end + 1)), incomplete);
    let mut late = Digest::new();
    late.update(&file);
    assert_eq!(run(size, late.clone()), incomplete);
    late.set_image_end(end);
    assert_eq!(run(size, late), incomplete);
}

#[test]
fn the_job_signature_comes_first() {
    // Not even an image, but the signature is what is reported.
    let file = [0x5A; 100];
    struct Never;
    impl Scheme for Never {
        fn check(&self, _: &[u8; 32], _: &[u8]) -> Result<(), VerifyError> {
            Err(VerifyError::BadSignature)
        }
    }
    let mut memory = Memory::new(&file);
    let rules = Rules { job: Never, image_keys: &[], reset_vector: None };
    let result = block_on(verify(&mut memory, 0, 100, digest_of(&file, 10), b"", &rules));
    assert_eq!((result.err(), memory.reads), (Some(VerifyError::BadSignature), 0));
}

/// A scheme of the caller's decides about the job's signature and about nothing else.
#[test]
fn an_own_scheme_replaces_only_the_check() {
    struct Always;
    impl Scheme for Always {
        fn check(&self, _: &[u8; 32], signature: &[u8]) -> Result<(), VerifyError> {
            assert_eq!(signature, b"mine");
            Ok(())
        }
    }
    let (mut file, end) = Builder::new().build();
    let rules = Rules { job: Always, image_keys: &[], reset_vector: None };
    let run = |file: &[u8]| {
        let digest = digest_of(file, end);
        block_on(verify(&mut Memory::new(file), 0, file.len() as u32, digest, b"mine", &rules)).err()
    };
    assert_eq!(run(&file), None);
    file[100] ^= 1;
    assert_eq!(run(&file), Some(VerifyError::ImageHash));
}

#[test]
fn every_changed_byte_of_the_hashed_part_is_noticed() {
    let (file, end) = Builder::new().protected(&[(SEC_CNT, &[7, 0, 0, 0])]).build();
    for at in 0..end as usize {
        let mut changed = file.clone();
        changed[at] ^= 0x01;
        assert!(check_in(&mut Memory::new(&changed), &changed, end, None).is_err(), "byte {at}");
    }
}

/// Truncated at every length: an error each time, and no read outside of the file.
#[test]
fn a_truncated_image_is_refused() {
    let (file, end) = Builder::new().protected(&[(SEC_CNT, &[7, 0, 0, 0])]).build();
    for len in 0..file.len() {
        let mut memory = Memory::new(&file[..len]);
        memory.bytes.truncate(len);
        let error = check_in(&mut memory, &file[..len], end, Some(1)).unwrap_err();
        // The last entry is the signature: without it the area's size is wrong.
        assert!(
            matches!(error, VerifyError::Image(ImageError::Truncated | ImageError::TooLarge)),
            "{len}: {error:?}"
        );
    }
}

#[test]
fn the_reset_vector_says_where_the_image_runs() {
    let (file, end) = Builder::new().build();
    let job_point = point(&key(9));
    let job_keys = [PublicKey::sec1(&job_point).unwrap()];
    let job = EcdsaP256::new(&job_keys).unwrap();
    let run = |file: &[u8], end: u32, range: core::ops::Range<u32>| {
        let rules = Rules { job, image_keys: &[], reset_vector: Some(range) };
        let signature = sign(&key(9), &sha256(file));
        let digest = digest_of(file, end);
        block_on(verify(&mut Memory::new(file), 0, file.len() as u32, digest, &signature, &rules)).err()
    };
    // The vector is 0x1001_1101, its handler at 0x1001_1100.
    let outside = Some(VerifyError::ResetVector);
    assert_eq!(run(&file, end, 0x1001_1100..0x1001_1102), None);
    assert_eq!(run(&file, end, 0x1000_0000..0x1100_0000), None);
    assert_eq!(run(&file, end, 0x1001_1101..0x1100_0000), outside);
    assert_eq!(run(&file, end, 0x1000_0000..0x1001_1100), outside);
    assert_eq!(run(&file, end, 0..0), outside);
    // A payload too short for vectors has none.
    for (len, expected) in [(7, outside), (8, None)] {
        let mut builder = Builder::new();
        builder.payload.truncate(len);
        let (file, end) = builder.build();
        assert_eq!(run(&file, end, 0..u32::MAX), expected, "{len} bytes");
    }
}

#[test]
fn slots_have_limits() {
    let largest = layout().max_image_size();
    for (size, expected) in [(largest, None), (largest + 1, Some(VerifyError::TooLarge))] {
        let (mut file, end) = Builder::new().build();
        file.resize(size as usize, 0);
        assert_eq!(check_in(&mut Memory::new(&file), &file, end, None).err(), expected, "{size} bytes");
    }
    // There is no image 1.
    let (file, end) = Builder::new().build();
    struct Never;
    impl Scheme for Never {
        fn check(&self, _: &[u8; 32], _: &[u8]) -> Result<(), VerifyError> {
            unreachable!()
        }
    }
    let rules = Rules { job: Never, image_keys: &[], reset_vector: None };
    let result = block_on(verify(&mut Memory::new(&file), 1, 100, digest_of(&file, end), b"", &rules));
    assert_eq!(result.err(), Some(VerifyError::Flash(FlashError::NoImage)));
}

/// Every read of flash can fail, and then nothing is verified.
#[test]
fn flash_faults_are_reported() {
    let (file, end) = Builder::new().protected(&[(SEC_CNT, &[7, 0, 0, 0])]).build();
    let mut memory = Memory::new(&file);
    assert!(check_in(&mut memory, &file, end, Some(1)).is_ok());
    let reads = memory.reads;
    for broken in 0..reads {
        let mut memory = Memory::new(&file);
        memory.broken_read = Some(broken);
        let result = check_in(&mut memory, &file, end, Some(1));
        assert_eq!(result.err(), Some(VerifyError::Flash(FlashError::Driver)), "read {broken} of {reads}");
    }
}

/// They are sent to the cloud.
#[test]
fn numbers_are_fixed() {
    for (error, number) in [
        (VerifyError::BadSignature, 1),
        (VerifyError::SignatureFormat, 2),
        (VerifyError::DigestIncomplete, 3),
        (VerifyError::TooLarge, 4),
        (VerifyError::ImageHash, 5),
        (VerifyError::ImageSignature, 6),
        (VerifyError::ResetVector, 7),
        (VerifyError::NoKey, 8),
        (VerifyError::BadKey, 9),
        (VerifyError::UnsupportedKey, 10),
        (VerifyError::BadCertificate, 11),
        (VerifyError::BadPem, 12),
        (VerifyError::Image(ImageError::Truncated), 65),
        (VerifyError::Image(ImageError::SecurityCounter), 75),
        (VerifyError::Flash(FlashError::Driver), 129),
        (VerifyError::Flash(FlashError::NoImage), 136),
    ] {
        assert_eq!(error.number(), number, "{error:?}");
        assert!(!error.to_string().is_empty());
    }
    assert_eq!(size_of::<VerifyError>(), 2);
}
