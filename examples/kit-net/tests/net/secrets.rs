//! Random numbers from a secret.

use std::cell::Cell;

use kit_net::secret::{SeededRng, is_plausible};
use ota_core::tls::rand_core::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

thread_local! {
    static NOW: Cell<[u64; 2]> = const { Cell::new([0, 0]) };
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

fn now() -> [u64; 2] {
    LOOKS.set(LOOKS.get() + 1);
    NOW.get()
}

fn secret(seed: u64) -> [u8; 32] {
    let mut secret = [0; 32];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut secret);
    secret
}

fn first(secret: [u8; 32], number: u32, at: [u64; 2]) -> u64 {
    NOW.set(at);
    SeededRng::new(secret, number, now).expect("a good secret").next_u64()
}

#[test]
fn what_was_forgotten_or_typed_in_is_no_secret() {
    let mut counted_to_19 = [0; 32];
    (0..32).for_each(|at| counted_to_19[at] = (at % 19) as u8);
    let typed = *b"secretsecretsecretsecretsecretse";
    for bad in [[0; 32], [0xFF; 32], [7; 32], counted_to_19, typed] {
        assert!(!is_plausible(&bad), "{bad:?}");
        assert!(SeededRng::new(bad, 0, now).is_none());
    }
    for seed in 0..10_000 {
        assert!(is_plausible(&secret(seed)), "seed {seed}");
    }
    // All four words of the set of bytes are looked at.
    for from in [0, 64, 128, 192] {
        let bytes: [u8; 32] = std::array::from_fn(|at| from + at as u8);
        assert!(is_plausible(&bytes), "from {from}");
    }
}

#[test]
fn no_two_generators_are_alike() {
    let base = first(secret(1), 0, [1_000, 2_000]);
    assert_eq!(base, first(secret(1), 0, [1_000, 2_000]), "nothing else is in it");
    assert_ne!(base, first(secret(2), 0, [1_000, 2_000]), "another device");
    assert_ne!(base, first(secret(1), 1, [1_000, 2_000]), "another generator of the same start");
    assert_ne!(base, first(secret(1), 0, [1_001, 2_000]), "another microsecond");
    assert_ne!(base, first(secret(1), 0, [1_000, 2_001]), "another second");
}

#[test]
fn the_moment_is_that_of_the_first_use() {
    let before = LOOKS.get();
    let mut rng = SeededRng::new(secret(3), 0, now).unwrap();
    assert_eq!(LOOKS.get(), before);
    NOW.set([5, 5]);
    let mut all = [0; 40];
    rng.fill_bytes(&mut all[..8]);
    NOW.set([6, 6]);
    rng.try_fill_bytes(&mut all[8..]).unwrap();
    assert_eq!(LOOKS.get(), before + 1, "one stream, seeded once");
    assert_eq!(u64::from_le_bytes(*all.first_chunk().unwrap()), first(secret(3), 0, [5, 5]));
    assert_ne!(rng.next_u32(), rng.next_u32());
}
