//! Firmware of the kit CY8CKIT-064S0S2-4343W; see ../README.md.
#![no_std]
#![no_main]

mod map;

use kit::Which;
use kit::psoc64::Psoc64;
use ota_psoc6::kit::Kit;
use ota_psoc6::layout::FlashMap;
use ota_psoc64::kit::CY8CKIT_064S0S2_4343W;

struct ThisKit;

impl Which for ThisKit {
    const KIT: Kit = CY8CKIT_064S0S2_4343W;
    const MAP: FlashMap = map::MAP;
}

#[embassy_executor::main]
async fn main(_spawner: embassy_executor::Spawner) {
    // SAFETY: this firmware is for this chip, and this is the one place that takes it.
    let chip = unsafe { kit::chip() };
    kit::run(Psoc64::<ThisKit>::new(chip)).await
}
