//! Images made by imgtool 2.5.0, byte for byte. The source of truth for `image.rs`.

use ota_core::image::{HEADER_SIZE, Header, ImageError, MAX_TLV_COUNT, Tlv, TlvWalk, flag, tlv};
use ota_core::version::Version;

/// Payload `MCUBOOT-TEST-APP`, signed with MCUboot's public test key:
/// `imgtool sign -k root-ec-p256.pem -H 0x20 --pad-header -v 1.2.3+4 -s 7 -d "(1, 2.3.4+5)" -S 0x10000 --align 8`
#[rustfmt::skip]
const SIGNED: [u8; 0xE4] = [
    0x3d, 0xb8, 0xf3, 0x96, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x1c, 0x00, 0x10, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x4d, 0x43, 0x55, 0x42, 0x4f, 0x4f, 0x54, 0x2d, 0x54, 0x45, 0x53, 0x54, 0x2d, 0x41, 0x50, 0x50,
    0x08, 0x69, 0x1c, 0x00, 0x50, 0x00, 0x04, 0x00, 0x07, 0x00, 0x00, 0x00, 0x40, 0x00, 0x0c, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x02, 0x03, 0x04, 0x00, 0x05, 0x00, 0x00, 0x00, 0x07, 0x69, 0x98, 0x00,
    0x10, 0x00, 0x20, 0x00, 0x5e, 0x73, 0xed, 0x81, 0x75, 0xe5, 0x34, 0x24, 0x54, 0x08, 0x7b, 0x49,
    0xcc, 0x82, 0xe0, 0xc8, 0xae, 0x60, 0x2a, 0x16, 0x0f, 0x3f, 0x72, 0x41, 0x4f, 0x11, 0x13, 0xa9,
    0x32, 0x01, 0x76, 0x29, 0x01, 0x00, 0x20, 0x00, 0xe3, 0x04, 0x66, 0xf6, 0xb8, 0x47, 0x0c, 0x1f,
    0x29, 0x07, 0x0b, 0x17, 0xf1, 0xe2, 0xd3, 0xe9, 0x4d, 0x44, 0x5e, 0x3f, 0x60, 0x80, 0x87, 0xfd,
    0xc7, 0x11, 0xe4, 0x38, 0x2b, 0xb5, 0x38, 0xb6, 0x22, 0x00, 0x48, 0x00, 0x30, 0x46, 0x02, 0x21,
    0x00, 0xcb, 0x22, 0xf2, 0x37, 0xb4, 0x2b, 0x62, 0x1d, 0x6f, 0x4d, 0xe7, 0x20, 0xb7, 0x82, 0x30,
    0x44, 0x1b, 0xca, 0x86, 0xa4, 0x4e, 0x31, 0xec, 0x9c, 0xa3, 0xc6, 0x31, 0x05, 0x74, 0xee, 0xd1,
    0x7e, 0x02, 0x21, 0x00, 0x8c, 0x6e, 0xca, 0x15, 0x10, 0x8b, 0x81, 0xb0, 0xfd, 0xe5, 0x80, 0xc9,
    0xd2, 0x51, 0x35, 0x89, 0x82, 0xd5, 0x14, 0x65, 0xa1, 0x63, 0x8e, 0x24, 0x99, 0x13, 0x9e, 0x9c,
    0xa3, 0xad, 0x8b, 0x57,
];

/// The same payload, hash only and without protected TLVs:
/// `imgtool sign -H 0x20 --pad-header -v 10.20.300+400 -S 0x10000 --align 8 -R 0xff`
#[rustfmt::skip]
const UNSIGNED: [u8; 0x58] = [
    0x3d, 0xb8, 0xf3, 0x96, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x0a, 0x14, 0x2c, 0x01, 0x90, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x4d, 0x43, 0x55, 0x42, 0x4f, 0x4f, 0x54, 0x2d, 0x54, 0x45, 0x53, 0x54, 0x2d, 0x41, 0x50, 0x50,
    0x07, 0x69, 0x28, 0x00, 0x10, 0x00, 0x20, 0x00, 0x59, 0xc5, 0xfa, 0xcd, 0xf9, 0x18, 0xc8, 0xa8,
    0x12, 0xb7, 0x64, 0x1c, 0x32, 0x77, 0x23, 0xea, 0x23, 0x5a, 0x52, 0x4d, 0xf1, 0x23, 0xc0, 0xaa,
    0x1b, 0xec, 0xda, 0x88, 0x58, 0x62, 0xa1, 0x1b,
];

/// Places in the images above that the tests damage.
mod place {
    pub(crate) const HEADER_SIZE: usize = 8;
    pub(crate) const PROTECTED_SIZE: usize = 10;
    pub(crate) const IMAGE_SIZE: usize = 12;
    pub(crate) const FLAGS: usize = 16;
    pub(crate) const PROTECTED_HEAD: usize = 0x30;
    pub(crate) const FIRST_ENTRY: usize = 0x34;
    pub(crate) const UNPROTECTED_HEAD: usize = 0x4C;
    pub(crate) const LEN: usize = 2;
}

/// Walks an image in memory: all entries and the size, as a device does it over flash.
fn walk(image: &[u8], limit: usize) -> Result<(Vec<Tlv>, u32), ImageError> {
    let mut walk = TlvWalk::new(&Header::parse(image)?, limit as u32)?;
    let mut entries = vec![];
    while let Some(at) = walk.at() {
        assert!(at as usize + 4 <= limit, "the walk left its limit: {at} of {limit}");
        let head = image[at as usize..][..4].try_into().unwrap();
        entries.extend(walk.step(head)?);
    }
    Ok((entries, walk.size()))
}

fn damaged(at: usize, bytes: &[u8]) -> Result<(Vec<Tlv>, u32), ImageError> {
    let mut image = SIGNED;
    image[at..][..bytes.len()].copy_from_slice(bytes);
    walk(&image, image.len())
}

#[test]
fn header_of_the_signed_image() {
    let header = Header::parse(&SIGNED).unwrap();
    assert_eq!(header.version, Version::new(1, 2, 3, 4));
    assert_eq!((header.header_size, header.image_size, header.protected_size), (0x20, 0x10, 0x1C));
    assert_eq!((header.flags, header.load_address), (0, 0));
    assert_eq!((header.tlv_start(), header.hashed_size()), (Some(0x30), Some(0x4C)));
    assert_eq!(header.bootable(), Ok(()));
}

#[test]
fn entries_of_the_signed_image() {
    let entry = |kind, protected, at, len| Tlv { kind, protected, at, len };
    let expected = [
        entry(tlv::SEC_CNT, true, 0x38, 4),
        entry(tlv::DEPENDENCY, true, 0x40, 12),
        entry(tlv::SHA256, false, 0x54, 32),
        entry(tlv::KEYHASH, false, 0x78, 32),
        entry(tlv::ECDSA_SIG, false, 0x9C, 0x48),
    ];
    assert_eq!(walk(&SIGNED, SIGNED.len()), Ok((expected.to_vec(), 0xE4)));
}

#[test]
fn image_without_protected_area() {
    assert_eq!(Header::parse(&UNSIGNED).unwrap().version, Version::new(10, 20, 300, 400));
    let expected = Tlv { kind: tlv::SHA256, protected: false, at: 0x38, len: 32 };
    assert_eq!(walk(&UNSIGNED, UNSIGNED.len()), Ok((vec![expected], 0x58)));
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..SIGNED.len() {
        assert!(walk(&SIGNED[..len], len).is_err(), "{len} bytes");
    }
    assert_eq!(Header::parse(&SIGNED[..HEADER_SIZE as usize - 1]), Err(ImageError::Truncated));
    assert_eq!(walk(&SIGNED, SIGNED.len() - 1), Err(ImageError::TooLarge));
}

#[test]
fn impossible_sizes_are_refused() {
    assert_eq!(damaged(0, &[0x3c]), Err(ImageError::Magic));
    assert_eq!(damaged(place::HEADER_SIZE, &[0x1f, 0]), Err(ImageError::Size));
    assert_eq!(damaged(place::IMAGE_SIZE, &u32::MAX.to_le_bytes()), Err(ImageError::Size));
    // Header and payload fit 32 bits, the protected area does not.
    assert_eq!(damaged(place::IMAGE_SIZE, &(u32::MAX - 0x20).to_le_bytes()), Err(ImageError::Size));
    assert_eq!(damaged(place::IMAGE_SIZE, &0x1000u32.to_le_bytes()), Err(ImageError::TooLarge));
}

#[test]
fn damaged_areas_are_refused() {
    for (at, bytes) in [
        (place::PROTECTED_HEAD, &[0x09u8, 0x69][..]),
        (place::PROTECTED_HEAD + place::LEN, &[0x1b, 0]),
        (place::PROTECTED_SIZE, &[0, 0]),
        (place::PROTECTED_SIZE, &[0x1d, 0]),
        (place::UNPROTECTED_HEAD, &[0x08, 0x69]),
        (place::UNPROTECTED_HEAD + place::LEN, &[3, 0]),
        // An entry that leaves its area, and one that leaves a rest of 1 to 3 bytes.
        (place::FIRST_ENTRY + place::LEN, &[0xff, 0xff]),
        (place::FIRST_ENTRY + place::LEN, &[0x13, 0]),
        (place::UNPROTECTED_HEAD + place::LEN, &[0x97, 0]),
    ] {
        assert_eq!(damaged(at, bytes), Err(ImageError::Tlv), "{bytes:x?} at {at:#x}");
    }
    assert_eq!(damaged(place::UNPROTECTED_HEAD + place::LEN, &[0x99, 0]), Err(ImageError::TooLarge));
}

#[test]
fn empty_area_and_too_many_entries() {
    let mut image = UNSIGNED[..0x34].to_vec();
    image[0x32] = 4;
    assert_eq!(walk(&image, image.len()), Ok((vec![], 0x34)));

    for (count, expected) in [(MAX_TLV_COUNT, Ok(())), (MAX_TLV_COUNT + 1, Err(ImageError::TlvCount))] {
        let mut image = UNSIGNED[..0x34].to_vec();
        image[0x32..0x34].copy_from_slice(&(4 + 4 * count).to_le_bytes());
        image.resize(0x34 + 4 * usize::from(count), 0);
        assert_eq!(walk(&image, image.len()).map(drop), expected, "{count} entries");
    }
}

#[test]
fn what_does_not_boot_is_named() {
    for (bits, expected) in [
        (flag::NON_BOOTABLE, Err(ImageError::NonBootable)),
        (flag::ENCRYPTED_AES128, Err(ImageError::Encrypted)),
        (flag::ENCRYPTED_AES256, Err(ImageError::Encrypted)),
        (flag::COMPRESSED_LZMA1, Err(ImageError::Compressed)),
        (flag::COMPRESSED_LZMA2, Err(ImageError::Compressed)),
        (flag::ROM_FIXED, Ok(())),
    ] {
        let mut image = SIGNED;
        image[place::FLAGS..][..4].copy_from_slice(&bits.to_le_bytes());
        assert_eq!(Header::parse(&image).unwrap().bootable(), expected, "{bits:#x}");
    }
}
