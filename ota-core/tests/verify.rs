//! `verify` against images with one thing wrong each.

use embassy_futures::block_on;
use ota_core::boot::{ImageState, Images, Withdrawn};
use ota_core::geometry::{BootMode, Geometry, ImageLayout, ImageSlots, MaxAlign, Reprogram, SlotLayout};
use ota_core::image::{ImageError, ImageInfo};
use ota_core::slot::{Compared, FlashError};
use ota_core::trailer::Pending;
use ota_core::verify::{Digest, EcdsaP256, PublicKey, Rules, Scheme, Verified, VerifyError, verify};
use ota_core::version::Version;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};

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

    async fn inspect(&mut self, _: u8) -> Result<ImageState, FlashError> {
        unreachable!()
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

    async fn set_pending(&mut self, _: Verified, _: Pending) -> Result<(), FlashError> {
        unreachable!()
    }

    async fn withdraw(&mut self, _: u8) -> Result<Withdrawn, FlashError> {
        unreachable!()
    }

    async fn confirm(&mut self, _: u8) -> Result<(), FlashError> {
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

const SHA256: u16 = 0x10;
const KEYHASH: u16 = 0x01;
const ECDSA_SIG: u16 = 0x22;
const SEC_CNT: u16 = 0x50;
const DEPENDENCY: u16 = 0x40;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

/// The uncompressed point of a key.
fn point(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_encoded_point(false).as_bytes().to_vec()
}

fn sign(key: &SigningKey, hash: &[u8; 32]) -> Vec<u8> {
    let signature: Signature = key.sign_prehash(hash).unwrap();
    signature.to_der().as_bytes().to_vec()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// An image under construction: MCUboot's format written down a second time, in the other direction.
#[derive(Clone)]
struct Builder {
    payload: Vec<u8>,
    flags: u32,
    protected: Vec<(u16, Vec<u8>)>,
    /// Wrapped, so that a test can say where the right hash goes.
    unprotected: Vec<Entry>,
    /// Added to the size in the unprotected area's head.
    size_error: i32,
}

#[derive(Clone)]
enum Entry {
    Hash,
    KeyHash(SigningKey),
    Signature(SigningKey, Padding),
    Raw(u16, Vec<u8>),
}

#[derive(Clone, Copy)]
enum Padding {
    None,
    Zeros,
    Garbage,
}

impl Builder {
    /// What imgtool makes, signed with `key(1)`.
    fn new() -> Self {
        let mut payload = vec![0xA5; 300];
        payload[..8].copy_from_slice(&[0x00, 0x80, 0x00, 0x08, 0x01, 0x11, 0x01, 0x10]);
        Self {
            payload,
            flags: 0,
            protected: vec![],
            unprotected: vec![Entry::Hash, Entry::KeyHash(key(1)), Entry::Signature(key(1), Padding::None)],
            size_error: 0,
        }
    }

    fn unprotected(self, unprotected: &[Entry]) -> Self {
        Self { unprotected: unprotected.to_vec(), ..self }
    }

    fn protected(self, protected: &[(u16, &[u8])]) -> Self {
        Self { protected: protected.iter().map(|(kind, bytes)| (*kind, bytes.to_vec())).collect(), ..self }
    }

    fn area(magic: u16, entries: &[(u16, Vec<u8>)], size_error: i32) -> Vec<u8> {
        let size = 4 + entries.iter().map(|(_, bytes)| 4 + bytes.len()).sum::<usize>();
        let mut area = magic.to_le_bytes().to_vec();
        area.extend(((size as i32 + size_error) as u16).to_le_bytes());
        for (kind, bytes) in entries {
            area.extend(kind.to_le_bytes());
            area.extend((bytes.len() as u16).to_le_bytes());
            area.extend(bytes);
        }
        area
    }

    /// The file, and where the hashed part ends.
    fn build(&self) -> (Vec<u8>, u32) {
        let protected =
            if self.protected.is_empty() { vec![] } else { Self::area(0x6908, &self.protected, 0) };
        let mut file = 0x96F3_B83Du32.to_le_bytes().to_vec();
        file.extend(0u32.to_le_bytes());
        file.extend(64u16.to_le_bytes());
        file.extend((protected.len() as u16).to_le_bytes());
        file.extend((self.payload.len() as u32).to_le_bytes());
        file.extend(self.flags.to_le_bytes());
        file.extend([1, 2, 3, 0, 4, 0, 0, 0]);
        file.resize(64, 0xFF);
        file.extend(&self.payload);
        file.extend(protected);
        let (hash, end) = (sha256(&file), file.len() as u32);
        let entries: Vec<_> = self
            .unprotected
            .iter()
            .map(|entry| match entry {
                Entry::Hash => (SHA256, hash.to_vec()),
                Entry::KeyHash(key) => (KEYHASH, keyhash(key)),
                Entry::Signature(key, padding) => {
                    let mut signature = sign(key, &hash);
                    match padding {
                        Padding::None => {}
                        Padding::Zeros => signature.extend([0; 4]),
                        Padding::Garbage => signature.extend([0, 0, 1]),
                    }
                    (ECDSA_SIG, signature)
                }
                Entry::Raw(kind, bytes) => (*kind, bytes.clone()),
            })
            .collect();
        file.extend(Self::area(0x6907, &entries, self.size_error));
        (file, end)
    }
}

fn keyhash(key: &SigningKey) -> Vec<u8> {
    PublicKey::sec1(&point(key)).unwrap().spki_hash().to_vec()
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
        assert_eq!(*token.info(), info);
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
fn images_that_cannot_boot_are_refused() {
    for (flags, expected) in [
        (0x10, ImageError::NonBootable),
        (0x4, ImageError::Encrypted),
        (0x8, ImageError::Encrypted),
        (0x200, ImageError::Compressed),
        (0x400, ImageError::Compressed),
    ] {
        let builder = Builder { flags, ..Builder::new() };
        assert_eq!(error(&builder, None), Some(VerifyError::Image(expected)), "flags {flags:#x}");
    }
}

#[test]
fn the_hash_must_be_there_and_right() {
    let wrong = Entry::Raw(SHA256, vec![0; 32]);
    for (entries, expected) in [
        (vec![Entry::Hash], None),
        (vec![Entry::Hash, Entry::Hash], None),
        (vec![], Some(VerifyError::Image(ImageError::NoHash))),
        (vec![Entry::Raw(SHA256, vec![0; 31])], Some(VerifyError::Image(ImageError::NoHash))),
        (vec![Entry::Raw(0x11, vec![0; 48])], Some(VerifyError::Image(ImageError::NoHash))),
        (vec![wrong.clone()], Some(VerifyError::ImageHash)),
        (vec![Entry::Hash, wrong.clone()], Some(VerifyError::ImageHash)),
        (vec![wrong, Entry::Hash], Some(VerifyError::ImageHash)),
    ] {
        assert_eq!(error(&Builder::new().unprotected(&entries), None), expected);
    }
}

/// KEYHASH before its signature, DER with or without zeros behind it, several pairs; unknown keys are skipped.
#[test]
fn image_signatures() {
    use Entry::{Hash, KeyHash, Raw, Signature as Sig};
    let (ours, other) = (key(1), key(2));
    let good = |padding| Sig(key(1), padding);
    let refused = Some(VerifyError::ImageSignature);
    let short = Raw(KEYHASH, keyhash(&ours)[..31].to_vec());
    for (number, (entries, expected)) in [
        (vec![Hash, KeyHash(ours.clone()), good(Padding::None)], None),
        (vec![Hash, KeyHash(ours.clone()), good(Padding::Zeros)], None),
        (vec![KeyHash(ours.clone()), good(Padding::None), Hash], None),
        (vec![Hash, KeyHash(ours.clone()), good(Padding::Garbage)], refused),
        // No signature, no key, no key before the signature, a shortened key hash, the other way round.
        (vec![Hash], refused),
        (vec![Hash, KeyHash(ours.clone())], refused),
        (vec![Hash, good(Padding::None)], refused),
        (vec![Hash, short, good(Padding::None)], refused),
        (vec![Hash, good(Padding::None), KeyHash(ours.clone())], refused),
        // Another key's signature: alone, under our hash, before ours, after ours.
        (vec![Hash, KeyHash(other.clone()), Sig(other.clone(), Padding::None)], refused),
        (vec![Hash, KeyHash(ours.clone()), Sig(other.clone(), Padding::None)], refused),
        (
            vec![
                Hash,
                KeyHash(other.clone()),
                Sig(other.clone(), Padding::None),
                KeyHash(ours.clone()),
                good(Padding::None),
            ],
            None,
        ),
        (
            vec![
                Hash,
                KeyHash(ours.clone()),
                good(Padding::None),
                KeyHash(other.clone()),
                Sig(other.clone(), Padding::None),
            ],
            None,
        ),
        // A key hash counts for one signature and until the next key hash.
        (vec![Hash, KeyHash(ours.clone()), KeyHash(other.clone()), good(Padding::None)], refused),
        (vec![Hash, KeyHash(ours.clone()), good(Padding::None), Sig(other.clone(), Padding::None)], None),
        // A wrong one of ours is not outvoted by a right one.
        (
            vec![
                Hash,
                KeyHash(ours.clone()),
                good(Padding::None),
                KeyHash(ours.clone()),
                Sig(other, Padding::None),
            ],
            refused,
        ),
        // Lengths.
        (vec![Hash, KeyHash(ours.clone()), Raw(ECDSA_SIG, vec![])], refused),
        (vec![Hash, KeyHash(ours.clone()), Raw(ECDSA_SIG, vec![0x30])], refused),
        (vec![Hash, KeyHash(ours.clone()), Raw(ECDSA_SIG, vec![0x30, 0xFF])], refused),
        (vec![Hash, KeyHash(ours.clone()), Raw(ECDSA_SIG, vec![0; 128])], refused),
        (vec![Hash, KeyHash(ours), Raw(ECDSA_SIG, vec![0; 129])], refused),
    ]
    .into_iter()
    .enumerate()
    {
        let builder = Builder::new().unprotected(&entries);
        assert_eq!(error(&builder, Some(1)), expected, "case {number}");
        // Without a key the signature is the bootloader's business.
        assert_eq!(error(&builder, None), None, "case {number}");
    }
}

#[test]
fn the_security_counter_is_believed_in_the_protected_area_only() {
    let unprotected = [Entry::Hash, Entry::Raw(SEC_CNT, vec![9, 0, 0, 0])];
    let token = check(&Builder::new().unprotected(&unprotected), None).unwrap();
    assert_eq!(token.info().security_counter, None);
    let both = Builder::new().unprotected(&unprotected).protected(&[(SEC_CNT, &[7, 0, 0, 1])]);
    assert_eq!(check(&both, None).unwrap().info().security_counter, Some(0x0100_0007));
    for entries in [
        &[(SEC_CNT, &[7, 0, 0][..])][..],
        &[(SEC_CNT, &[7, 0, 0, 0, 0])],
        &[(SEC_CNT, &[7, 0, 0, 0]), (SEC_CNT, &[7, 0, 0, 0])],
    ] {
        let expected = Some(VerifyError::Image(ImageError::SecurityCounter));
        assert_eq!(error(&Builder::new().protected(entries), None), expected);
    }
}

#[test]
fn dependencies_are_believed_in_the_protected_area_only() {
    let bytes = vec![1, 0, 0, 0, 2, 3, 4, 0, 5, 0, 0, 0];
    let builder = Builder::new().unprotected(&[Entry::Hash, Entry::Raw(DEPENDENCY, bytes.clone())]);
    assert_eq!(check(&builder, None).unwrap().dependency(1), None);
    for len in [0, 11] {
        let builder = Builder::new().protected(&[(DEPENDENCY, &bytes[..len])]);
        assert_eq!(error(&builder, None), Some(VerifyError::Image(ImageError::Tlv)));
    }
}

#[test]
fn damaged_areas_are_refused() {
    for size_error in [-1, -4, -100, -139, 1, 3, 1000] {
        let builder = Builder { size_error, ..Builder::new().unprotected(&[Entry::Hash]) };
        let error = error(&builder, None);
        assert!(matches!(error, Some(VerifyError::Image(_))), "{size_error}: {error:?}");
    }
    // Entries without end.
    let many: Vec<_> = (0..=u8::MAX).map(|byte| Entry::Raw(0xA0, vec![byte])).collect();
    assert_eq!(
        error(&Builder::new().unprotected(&many), None),
        Some(VerifyError::Image(ImageError::TlvCount))
    );
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
