//! Firmware of the kit CY8CKIT-062S2-43012; see ../README.md.
#![no_std]
#![no_main]

mod map;

use kit::Which;
use kit::psoc62::Psoc62;
use ota_psoc6::kit::{CY8CKIT_062S2_43012, Kit};
use ota_psoc6::layout::FlashMap;

struct ThisKit;

impl Which for ThisKit {
    const KIT: Kit = CY8CKIT_062S2_43012;
    const MAP: FlashMap = map::MAP;
}

#[embassy_executor::main]
async fn main(_spawner: embassy_executor::Spawner) {
    // SAFETY: this firmware is for this chip, and this is the one place that takes it.
    let chip = unsafe { kit::chip() };
    kit::run(Psoc62::<ThisKit>::new(chip)).await
}
