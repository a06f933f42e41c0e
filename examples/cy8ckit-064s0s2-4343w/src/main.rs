//! Firmware of the kit CY8CKIT-064S0S2-4343W; see ../README.md.
#![no_std]
#![no_main]

use kit::psoc64::Psoc64;

#[embassy_executor::main]
async fn main(_spawner: embassy_executor::Spawner) {
    // SAFETY: this firmware is for this chip, and this is the one place that takes it.
    let chip = unsafe { kit::chip() };
    kit::run(Psoc64::new(chip)).await
}
