//! SHA-256 over bytes that come piece by piece: blocks and padding (FIPS 180-4, 5.1.1) around `sha2`'s compression.
//!
//! The crate's own wrapper for that has code that can panic, though never does; here nothing is left that could.

use sha2::{Sha256VarCore, digest::core_api::Block};

use crate::bytes::copy;

/// Bytes hashed at once.
const BLOCK: usize = 64;

/// FIPS 180-4, 5.3.3.
const START: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];

/// A hash under way.
#[derive(Clone, Debug)]
pub(crate) struct Sha256 {
    state: [u32; 8],
    block: Block<Sha256VarCore>,
    size: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self { state: START, block: Block::<Sha256VarCore>::default(), size: 0 }
    }
}

impl Sha256 {
    /// Takes the next bytes in.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = self.size as usize % BLOCK;
            let (piece, behind) = rest.split_at_checked(BLOCK - at).unwrap_or((rest, &[]));
            copy(self.block.get_mut(at..).unwrap_or_default(), piece);
            self.size = self.size.wrapping_add(piece.len() as u64);
            if at + piece.len() == BLOCK {
                sha2::compress256(&mut self.state, core::slice::from_ref(&self.block));
            }
            rest = behind;
        }
    }

    /// The hash of all bytes taken in.
    pub(crate) fn finish(mut self) -> [u8; 32] {
        let bits = self.size.wrapping_mul(8).to_be_bytes();
        self.update(&[0x80]);
        while self.size as usize % BLOCK != BLOCK - bits.len() {
            self.update(&[0]);
        }
        self.update(&bits);
        let mut hash = [0; 32];
        for (place, word) in hash.chunks_exact_mut(4).zip(self.state) {
            copy(place, &word.to_be_bytes());
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::Sha256;

    #[test]
    fn every_length_and_cut_gives_what_the_crate_gives() {
        use sha2::Digest;
        let bytes: [u8; 200] = core::array::from_fn(|at| (at * 37) as u8);
        for len in 0..=bytes.len() {
            let wanted: [u8; 32] = sha2::Sha256::digest(&bytes[..len]).into();
            for step in [1, 3, 55, 56, 63, 64, 65, 200] {
                let mut sha = Sha256::default();
                for piece in bytes[..len].chunks(step) {
                    sha.update(piece);
                }
                assert_eq!(sha.finish(), wanted, "{len} bytes in pieces of {step}");
            }
        }
    }
}
