//! Random numbers on a chip whose own source is out of reach: from a secret of the device.
//!
//! On PSoC 64 the generator belongs to the secure core. Firmware that links the C client of Trusted Firmware-M takes the
//! secret from `psa_generate_random` at each start, and all is as it should be. Without it the secret is a constant of the
//! device, and what makes two starts differ is the time: see [`SeededRng`] for what that is worth.

use ota_core::tls::rand_core::{CryptoRng, Error, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};

/// Bytes of a secret.
pub const SECRET_SIZE: usize = 32;

/// Fewer different bytes among 32 do not come from a source of random numbers: there are 30 on average, and less than 20 once in
/// more than 10^9 times.
const DIFFERENT_MIN: u32 = 20;

/// Whether these bytes may be a secret. Catches what was forgotten or typed in by hand: zeros, a pattern, a text that repeats
/// itself. It cannot tell a secret from something well known.
pub const fn is_plausible(secret: &[u8; SECRET_SIZE]) -> bool {
    let mut seen = [0_u64; 4];
    let mut at = 0;
    while at < SECRET_SIZE {
        seen[(secret[at] >> 6) as usize] |= 1 << (secret[at] & 63);
        at += 1;
    }
    let different = seen[0].count_ones() + seen[1].count_ones() + seen[2].count_ones() + seen[3].count_ones();
    different >= DIFFERENT_MIN
}

/// A generator seeded from a secret, the number of the generator and what `now` says when it is *first used*: in the first
/// handshake, so when a server has answered, and air and network have had their part in the microsecond.
///
/// Nobody without the secret can tell what comes, and two generators with one secret differ in their number or their
/// moment. Whoever learns a constant secret later can try the moments, and read what was recorded: no forward secrecy
/// against the loss of the device.
pub struct SeededRng {
    secret: [u8; SECRET_SIZE],
    number: u32,
    now: fn() -> [u64; 2],
    rng: Option<ChaCha20Rng>,
}

impl SeededRng {
    /// A generator. `now`: clocks that do not repeat, as many and as fine as there are. `None` if the secret cannot be one.
    pub fn new(secret: [u8; SECRET_SIZE], number: u32, now: fn() -> [u64; 2]) -> Option<Self> {
        is_plausible(&secret).then_some(Self { secret, number, now, rng: None })
    }

    fn rng(&mut self) -> &mut ChaCha20Rng {
        let Self { secret, number, now, rng } = self;
        rng.get_or_insert_with(|| {
            let hash = Sha256::new_with_prefix(*secret).chain_update(number.to_le_bytes());
            let hash = now().iter().fold(hash, |hash, clock| hash.chain_update(clock.to_le_bytes()));
            ChaCha20Rng::from_seed(hash.finalize().into())
        })
    }
}

impl RngCore for SeededRng {
    fn next_u32(&mut self) -> u32 {
        self.rng().next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.rng().next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.rng().fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.rng().try_fill_bytes(bytes)
    }
}

impl CryptoRng for SeededRng {}
