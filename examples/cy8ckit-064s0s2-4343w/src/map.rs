//! Where everything lies. The policy the device was provisioned with decides.

use ota_psoc6::layout::{Area, FlashMap};
use ota_psoc64::layout::TFM;

/// Two sectors of the serial flash behind the scratch area, which the policy leaves free.
const JOURNAL: Area = Area::new(0x1840_0000, 0x8_0000);

/// The policy of Trusted Firmware-M for this kit, which swaps, with a place for the journal.
pub(crate) const MAP: FlashMap = match TFM.with_journal(Some(JOURNAL)) {
    Ok(map) => map,
    Err(_) => panic!("the place is not free"),
};
