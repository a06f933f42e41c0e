//! One program per set of features; see `cargo xtask sizes`.
//!
//! Inputs come through [`unknown`] and results go through `black_box`, so that nothing is computed at build time and
//! nothing is thrown away.
#![no_std]
#![no_main]

use core::hint::black_box;

use ota_core as _;

#[cfg(feature = "ram")]
mod ram;

/// Some bytes the compiler knows nothing about.
fn unknown() -> &'static [u8] {
    static INPUT: [u8; 512] = [0; 512];
    black_box(&INPUT)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // In the empty program too, so that no part is charged for it.
    black_box(unknown());
    #[cfg(feature = "sha256")]
    black_box(sha256());
    #[cfg(feature = "p256")]
    black_box(p256());
    #[cfg(feature = "ram")]
    ram::statics();
    loop {
        black_box(());
    }
}

#[cfg(feature = "sha256")]
fn sha256() -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(unknown()).into()
}

/// A signature over a digest, checked the way a job's is.
#[cfg(feature = "p256")]
fn p256() -> bool {
    use p256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
    let Ok(key) = VerifyingKey::from_sec1_bytes(unknown()) else { return false };
    let Ok(signature) = Signature::from_der(unknown()) else { return false };
    key.verify_prehash(unknown(), &signature).is_ok()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        black_box(());
    }
}
