//! The maps by policy, to the byte.

use ota_core::geometry::BootMode;
use ota_psoc6::layout::{Area, MapError, MemoryX};
use ota_psoc64::layout::{OLDER, Policy, RESERVED, TFM, TFM_OVERWRITE, map};

#[test]
fn the_policies_have_their_published_slots() {
    for (map, application, secure) in [
        (TFM, [0x1005_0000, 0x11_C000, 0x1802_4400], [0x1000_0000, 0x5_0000, 0x1016_C000]),
        (TFM_OVERWRITE, [0x1005_0000, 0x11_C000, 0x1802_4400], [0x1000_0000, 0x5_0000, 0x1016_C000]),
        (OLDER, [0x1005_0000, 0x12_0000, 0x1800_0000], [0x1000_0000, 0x5_0000, 0x1017_0000]),
    ] {
        for (index, numbers) in [application, secure].into_iter().enumerate() {
            let (primary, secondary) = (map.primary(index), map.secondary(index));
            assert_eq!([primary.address(), primary.size(), secondary.address()], numbers);
            assert_eq!(secondary.size(), primary.size());
        }
        assert_eq!(map.journal(), None, "there is no default place");
    }
    assert_eq!(TFM.image(0).max_image_size(), 0x11_BC00);
    assert_eq!(TFM.image(1).mode(), BootMode::Overwrite, "the application cannot confirm it");
    assert!(MemoryX(&TFM).to_string().contains("FLASH : ORIGIN = 0x10050400, LENGTH = 0x11B800"));
}

/// From trusted storage to the end of the bootloader, row by row.
#[test]
fn a_journal_in_the_secure_cores_flash_is_refused() {
    assert_eq!((RESERVED.address(), RESERVED.end()), (0x101B_C000, 0x101E_0000));
    for address in (RESERVED.address()..RESERVED.end()).step_by(512) {
        let journal = Some(Area::new(address, 1024));
        assert!(
            matches!(TFM.with_journal(journal), Err(MapError::Reserved | MapError::Overlap)),
            "{address:#x}"
        );
    }
    assert_eq!(TFM.with_journal(Some(Area::new(0x101C_6000, 0x400))), Err(MapError::Reserved));
    assert_eq!(TFM.with_journal(Some(Area::new(0x101B_BE00, 0x400))), Err(MapError::Overlap));
    // The unused sectors behind the scratch area, and the work flash.
    assert!(TFM.with_journal(Some(Area::new(0x1830_0000, 0x8_0000))).is_ok());
    assert!(TFM.with_journal(Some(Area::new(0x1400_0000, 0x8000))).is_ok());
}

#[test]
fn a_choice_that_does_not_exist_says_why() {
    assert_eq!(map(Policy::Tfm, BootMode::SwapStatus), Ok(TFM));
    assert_eq!(map(Policy::Older, BootMode::SwapStatus), Err(MapError::OverwriteOnly));
    for mode in [BootMode::SwapScratch, BootMode::SwapMove, BootMode::SwapOffset] {
        assert_eq!(map(Policy::Tfm, mode), Err(MapError::TrailerMode));
    }
}
