//! Headers and TLVs with one thing wrong each.

use ota_core::image::ImageError;
use ota_core::verify::VerifyError;

use crate::builder::{
    Builder, DEPENDENCY, ECDSA_SIG, Entry, KEYHASH, Padding, SEC_CNT, SHA256, key, keyhash,
};
use crate::{check, error};

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
