//! Images of a bundle: the job's signature over the whole first, then each image as flash still holds it.

use embassy_futures::block_on;
use ota_core::slot::FlashError;
use ota_core::verify::{EcdsaP256, PublicKey, Rules, VerifyError, verify_bundle, verify_member};

use crate::builder::{Builder, key, point, sha256, sign};
use crate::{Memory, digest_of};

#[test]
fn a_member_is_verified_as_long_as_its_slot_is_what_was_signed() {
    let (file, end) = Builder::new().build();
    // Bytes that no slot keeps on either side.
    let bundle = [&[0; 512][..], &file[..], &[0; 100][..]].concat();
    let job_point = point(&key(9));
    let job_keys = [PublicKey::sec1(&job_point).unwrap()];
    let rules = Rules { job: EcdsaP256::new(&job_keys).unwrap(), image_keys: &[], reset_vector: None };
    let signature = sign(&key(9), &sha256(&bundle));
    let mut memory = Memory::new(&file);
    let size = bundle.len() as u32;

    // The digest must have run over all of the bundle, and what it ran over must be what was signed.
    for (size, hashed, expected) in [
        (size, &bundle[..], None),
        (size, &bundle[1..], Some(VerifyError::DigestIncomplete)),
        (size + 1, &bundle[..], Some(VerifyError::DigestIncomplete)),
        (size - 1, &bundle[1..], Some(VerifyError::BadSignature)),
    ] {
        let result = verify_bundle(&memory, size, digest_of(hashed, end), &signature, &rules);
        assert_eq!(result.err(), expected);
    }

    let proof = verify_bundle(&memory, size, digest_of(&bundle, end), &signature, &rules).unwrap();
    let member = |memory: &mut Memory, size: usize| {
        let digest = digest_of(&file, end);
        block_on(verify_member(memory, 0, size as u32, digest, &proof, &rules)).map(|token| *token.digest())
    };
    assert_eq!(member(&mut memory, file.len()), Ok(sha256(&file)));
    assert_eq!(member(&mut memory, file.len() + 1), Err(VerifyError::DigestIncomplete));
    // Whatever was done to the slot since, the bundle's signature says nothing of it.
    memory.generation += 1;
    assert_eq!(member(&mut memory, file.len()), Err(VerifyError::Flash(FlashError::Stale)));
}
