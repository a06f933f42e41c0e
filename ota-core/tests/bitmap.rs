//! The block bitmap against a plain list of booleans, and AWS' bit order by literal bytes.

use ota_core::bitmap::{self, Bitmap};

/// Numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) % u64::from(end)) as u32
    }
}

#[test]
fn bits_lie_as_aws_wants_them() {
    // The vectors of a 10,000-byte file in blocks of 1 KiB: all missing, then without blocks 0, 1, 2 and 4.
    let mut bits = [0xAA; 3];
    let mut bitmap = Bitmap::new(&mut bits, 10).unwrap();
    assert_eq!(bitmap.as_bytes(), [0xFF, 0x03]);
    for block in [0, 1, 2, 4] {
        assert!(bitmap.clear(block));
        assert!(!bitmap.clear(block));
    }
    assert_eq!((bitmap.as_bytes(), bitmap.missing(), bitmap.len()), (&[0xE8, 0x03][..], 6, 10));
    assert!(bitmap.set(4));
    assert!(!bitmap.set(4));
    assert_eq!((bitmap.as_bytes(), bitmap.missing()), (&[0xF8, 0x03][..], 7));
    assert_eq!(bits[2], 0xAA, "memory beyond the bitmap is left alone");
}

#[test]
fn a_window_starts_at_any_block() {
    // Blocks 20, 21, 24 and 43, asked for from block 20 on: 13 00 80.
    let mut bits = [0; 6];
    let mut bitmap = Bitmap::new(&mut bits, 44).unwrap();
    for block in 0..44 {
        bitmap.clear(block);
    }
    for block in [20, 21, 24, 43] {
        bitmap.set(block);
    }
    let mut out = [0xEE; 3];
    assert_eq!(bitmap.window(20, &mut out), 4);
    assert_eq!(out, [0x13, 0x00, 0x80]);
    assert_eq!(bitmap.window(16, &mut out), 3);
    assert_eq!(out, [0x30, 0x01, 0x00]);
}

#[test]
fn limits() {
    assert_eq!([0, 1, 7, 8, 9, 16, 17, u32::MAX].map(bitmap::size), [0, 1, 1, 1, 2, 2, 3, 1 << 29]);
    assert!(Bitmap::new(&mut [0; 1], 9).is_none());
    assert!(!bitmap::fill(&mut [0; 1], 9));
    let mut none = Bitmap::new(&mut [], 0).unwrap();
    assert!(none.is_empty());
    assert_eq!(
        (none.first_missing_from(0), none.missing_run(0), none.clear(0), none.set(0)),
        (None, 0..0, false, false)
    );
    let mut bits = [0; 2];
    let mut nine = Bitmap::new(&mut bits, 9).unwrap();
    for beyond in [9, 10, 15, 16, 17, u32::MAX] {
        assert!(!nine.is_missing(beyond) && !nine.clear(beyond) && !nine.set(beyond), "block {beyond}");
        assert_eq!(
            (nine.first_missing_from(beyond), nine.missing_run(beyond)),
            (None, 9..9),
            "block {beyond}"
        );
    }
    let mut out = [0xEE; 2];
    assert_eq!((nine.window(u32::MAX, &mut out), out), (0, [0, 0]));
    assert_eq!((nine.window(8, &mut out), out), (1, [1, 0]));
    assert_eq!((nine.missing(), nine.missing_run(0), nine.missing_run(8)), (9, 0..9, 8..9));
    assert_eq!(bitmap::missing_run(&[0xFF, 0x0F], 3), 3..12);
    assert_eq!(bitmap::missing_run(&[0xFF, 0xFF], 3), 3..16);
    assert_eq!(bitmap::count_missing(&[0xFF, 0x0F, 0]), 12);
}

#[test]
fn same_as_a_list_of_booleans() {
    for seed in 0..200 {
        let random = &mut Random(seed);
        let len = random.below(300) + 1;
        let mut bits = vec![0; bitmap::size(len)];
        let mut bitmap = Bitmap::new(&mut bits, len).unwrap();
        let mut model = vec![true; len as usize];
        for _ in 0..600 {
            let block = random.below(len + 20);
            let known = model.get(block as usize).copied().unwrap_or(false);
            assert_eq!(bitmap.is_missing(block), known, "seed {seed}, block {block}");
            if random.below(4) == 0 {
                assert_eq!(bitmap.set(block), block < len && !known, "seed {seed}, block {block}");
                model.iter_mut().skip(block as usize).take(1).for_each(|bit| *bit = true);
            } else {
                assert_eq!(bitmap.clear(block), known, "seed {seed}, block {block}");
                model.iter_mut().skip(block as usize).take(1).for_each(|bit| *bit = false);
            }
            let from = random.below(len + 20);
            let first = (from..len).find(|block| model[*block as usize]);
            assert_eq!(bitmap.first_missing_from(from), first, "seed {seed}, from {from}");
            let run = first.map_or(len..len, |first| {
                first..(first..len).find(|block| !model[*block as usize]).unwrap_or(len)
            });
            assert_eq!(bitmap.missing_run(from), run, "seed {seed}, from {from}");
            let mut out = [0; 5];
            let count = bitmap.window(from, &mut out);
            let wanted: Vec<bool> =
                (from..from + 40).map(|block| model.get(block as usize) == Some(&true)).collect();
            let found: Vec<bool> = (0..40).map(|bit| out[bit / 8] >> (bit % 8) & 1 == 1).collect();
            assert_eq!(found, wanted, "seed {seed}, from {from}");
            assert_eq!(count as usize, wanted.iter().filter(|bit| **bit).count(), "seed {seed}, from {from}");
            let missing = model.iter().filter(|bit| **bit).count() as u32;
            assert_eq!(
                (bitmap.missing(), bitmap::count_missing(bitmap.as_bytes())),
                (missing, missing),
                "seed {seed}"
            );
        }
    }
}
