//! Sizes on the processor itself, where a pointer has 32 bits: each line becomes a static of that size, and
//! `cargo xtask sizes` reads name and size from the program's symbol table.

use core::hint::black_box;

/// Size of the future a call returns; the call itself is never made.
#[allow(dead_code, reason = "used as soon as an async function is listed")]
const fn future<A, F: Future>(_: &impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

macro_rules! sizes {
    ($($name:literal = $size:expr;)*) => {
        /// Keeps the statics in the program.
        pub(crate) fn statics() {
            $({
                // SAFETY: no symbol of any library has a space in its name.
                #[unsafe(export_name = concat!("sizeof ", $name))]
                static SIZE: [u8; $size] = [0; $size];
                black_box(&SIZE);
            })*
        }
    };
}

sizes! {
    "sha2::Sha256" = size_of::<sha2::Sha256>();
    "p256::ecdsa::VerifyingKey" = size_of::<p256::ecdsa::VerifyingKey>();
}
