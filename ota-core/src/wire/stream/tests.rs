//! The two readers of a CBOR block give the same answers.

use super::*;

/// xorshift64*: good enough to spread, and the same on every host.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }
}

/// A number with the shortest head, or now and then a longer one.
fn number(out: &mut [u8], at: usize, major: u8, number: u32, random: &mut Random) -> usize {
    let wide = random.next(8);
    let (first, bytes): (u8, &[u8]) = match number {
        _ if wide == 0 => (27, &u64::from(number).to_be_bytes()),
        0..=23 if wide != 1 => (number as u8, &[]),
        0..=0xFF if wide != 2 => (24, &[number as u8]),
        0..=0xFFFF if wide != 3 => (25, &(number as u16).to_be_bytes()),
        _ => (26, &number.to_be_bytes()),
    };
    out[at] = major << 5 | first;
    out[at + 1..at + 1 + bytes.len()].copy_from_slice(bytes);
    at + 1 + bytes.len()
}

fn message(out: &mut [u8], random: &mut Random) -> usize {
    if random.next(3) == 0 {
        // As the service writes it.
        let block_id = random.next(1 << 17) >> random.next(17);
        let payload = &[0x5A; 300][random.next(64)..];
        return encode_block(Format::Cbor, out, None, random.next(24) as u32, block_id as u32, payload)
            .unwrap();
    }
    let mut names = *b"filp";
    if random.next(3) == 0 {
        names.swap(random.next(4), random.next(4));
    }
    let definite = random.next(4) == 0;
    out[0] = if definite { 0xA4 } else { 0xBF };
    let mut at = 1;
    let size = [0, 1, 23, 24, 255, 256, 257, 280, 300][random.next(9)];
    for name in names {
        out[at..at + 2].copy_from_slice(&[0x61, name]);
        at += 2;
        at = match name {
            b'f' => number(out, at, 0, random.next(30) as u32 * random.next(20) as u32, random),
            b'i' => number(out, at, 0, (random.next(1 << 31) >> random.next(31)) as u32, random),
            b'l' => number(out, at, 0, size, random),
            _ => number(out, at, 2, size, random) + size as usize,
        };
    }
    if !definite {
        out[at] = 0xFF;
        at += 1;
    }
    at
}

#[test]
fn the_short_reader_agrees_with_the_general_one() {
    let (mut read, mut refused) = (0, 0);
    for seed in 1..=20_000 {
        let mut random = Random(seed);
        let mut buffer = [0; 400];
        let mut len = message(&mut buffer, &mut random);
        if random.next(2) == 0 {
            // Mostly where the heads are.
            let place = random.next(len.min(24));
            buffer[place] ^= 1 << random.next(8);
            len = len.saturating_sub(random.next(3)) + random.next(3);
        }
        let message = &buffer[..len];
        let general = decode_block(Format::Cbor, message, &mut []);
        match block_as_sent(message) {
            Some((file_id, block_id, payload)) => {
                assert_eq!(Ok(Block { file_id, block_id, payload }), general, "seed {seed}");
                read += 1;
            }
            None => refused += usize::from(general.is_ok()),
        }
    }
    // Both ways were taken.
    assert!(read > 1000 && refused > 1000, "{read} {refused}");
}
