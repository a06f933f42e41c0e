//! Blobs that are not what they should be: named before the chip is given anything.

use ota_psoc6::blobs;
use ota_psoc6::wifi::{BlobError, Blobs, Health, STAND_IN, StartError};

use crate::upload::{FIRMWARE_LEN, NVRAM_TEXT, aligned, blobs as good_blobs, bring_up, clm, sim};

const RAM_SIZE: usize = crate::chip::RAM_SIZE;

#[test]
fn blobs_are_looked_at_before_the_chip_is() {
    let good = good_blobs();
    assert_eq!(good.check(), Ok(()));
    let firmware: &[u8] = good.firmware;
    let stand_in: Vec<u8> = STAND_IN.iter().copied().cycle().take(FIRMWARE_LEN).collect();
    let end = &firmware[FIRMWARE_LEN - 200..];
    let largest = [&vec![1; RAM_SIZE - 200 - NVRAM_TEXT.len() - 8][..], end].concat();
    assert_eq!(Blobs { firmware: aligned(&largest), ..good }.check(), Ok(()));
    let one_more = [&[1], &largest[..]].concat();
    let cases = [
        (Blobs { firmware: aligned(&stand_in), ..good }, BlobError::StandIn),
        (Blobs { nvram: aligned(STAND_IN), ..good }, BlobError::StandIn),
        (Blobs { clm: STAND_IN, ..good }, BlobError::StandIn),
        (Blobs { firmware: aligned(&[]), ..good }, BlobError::FirmwareMissing),
        (Blobs { firmware: aligned(&firmware[..99_999]), ..good }, BlobError::FirmwareMissing),
        (Blobs { firmware: aligned(&firmware[..FIRMWARE_LEN - 1]), ..good }, BlobError::FirmwareTruncated),
        (Blobs { firmware: aligned(&one_more), ..good }, BlobError::TooLarge),
        (Blobs { firmware: aligned(&[&vec![1; RAM_SIZE][..], end].concat()), ..good }, BlobError::TooLarge),
        (Blobs { nvram: aligned(&[]), ..good }, BlobError::Nvram),
        (Blobs { nvram: aligned(&NVRAM_TEXT[1..]), ..good }, BlobError::Nvram),
        (Blobs { clm: &[], ..good }, BlobError::Clm),
        (Blobs { clm: &clm()[..1024], ..good }, BlobError::ClmTruncated),
    ];
    for (blobs, error) in cases {
        assert_eq!(blobs.check(), Err(error));
        let sim = sim();
        assert_eq!(bring_up(&sim, &blobs, &Health::new()), Err(StartError::Blob(error)));
        assert_eq!(sim.state.borrow().card.chip.starts, 0);
    }
}

#[test]
fn firmware_is_refused_wherever_it_is_cut_off() {
    let good = good_blobs();
    let firmware: &[u8] = good.firmware;
    for len in (0..FIRMWARE_LEN - 2_000).step_by(777).chain(FIRMWARE_LEN - 2_000..FIRMWARE_LEN) {
        let error = blobs::firmware(&firmware[..len]).unwrap_err();
        let expected = if len < 100_000 { BlobError::FirmwareMissing } else { BlobError::FirmwareTruncated };
        assert_eq!(error, expected, "{len} bytes");
    }
    // Something behind the end, and an end that belongs to something else.
    let wrong = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = firmware.to_vec();
        change(&mut bytes);
        blobs::firmware(&bytes)
    };
    let truncated = Err(BlobError::FirmwareTruncated);
    assert_eq!(wrong(&|bytes| bytes.push(0)), truncated);
    assert_eq!(wrong(&|bytes| bytes[FIRMWARE_LEN - 1] = b'x'), truncated);
    assert_eq!(wrong(&|bytes| bytes[FIRMWARE_LEN - 16] = b'E'), truncated);
    // The length of the text: without the version in it, longer than the file.
    assert_eq!(wrong(&|bytes| bytes[FIRMWARE_LEN - 18] = 20), truncated);
    assert_eq!(wrong(&|bytes| bytes[FIRMWARE_LEN - 19] = b'f'), truncated);
    let short = [&vec![0; 100_000][..], &[0xFF; 2], b"DVID 01-0badcafe"].concat();
    assert_eq!(blobs::firmware(&short), truncated);
}

#[test]
fn settings_are_refused_wherever_they_are_cut_off() {
    assert_eq!(blobs::settings(NVRAM_TEXT), Ok(()));
    for len in 0..NVRAM_TEXT.len() {
        assert_eq!(blobs::settings(&NVRAM_TEXT[..len]), Err(BlobError::Nvram), "{len} bytes");
    }
    for bad in [
        &b"\0\0\0\0"[..],
        b"manfid=0x2d0\0\0\0\0prodid=0x0726\0\0\0",
        b"manfid=0x2d0\0prodid 0x726\0\0\0",
        b"manfid=0x2d0\0=0x72600\0\0\0",
        b"manfid=0x2d\xFF\0\0\0\0\0",
        b"/* text */\0\0",
    ] {
        assert_eq!(blobs::settings(bad), Err(BlobError::Nvram), "{}", bad.escape_ascii());
    }
}

#[test]
fn regulatory_data_is_refused_wherever_it_is_cut_off() {
    for len in 0..clm().len() {
        let error = if len < 4 { BlobError::Clm } else { BlobError::ClmTruncated };
        assert_eq!(blobs::regulatory(&clm()[..len]), Err(error), "{len} bytes");
    }
}

#[test]
fn regulatory_data_is_refused_wherever_it_is_changed() {
    for at in 0..clm().len() {
        for bit in [0, 7] {
            let mut bad = clm().to_vec();
            bad[at] ^= 1 << bit;
            let error = blobs::regulatory(&bad).expect_err("a changed byte");
            // A length in the header may point behind the end.
            let expected = match at {
                0..4 => [BlobError::Clm; 2],
                4..8 => [BlobError::ClmTruncated, BlobError::ClmDamaged],
                _ => [BlobError::ClmDamaged; 2],
            };
            assert!(expected.contains(&error), "bit {bit} of byte {at}: {error:?}");
        }
    }
}
