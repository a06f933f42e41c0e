//! The heart-beat of the application.

use ota_core::transport::Timer;
use ota_psoc6::watchdog::BOOTLOADER_MS;

/// From one beat to the next.
pub const BEAT_MS: u64 = 500;

// What the processor does at one go (a row of flash, a handshake's arithmetic) comes on top of it.
const _: () = assert!(BEAT_MS * 4 <= BOOTLOADER_MS as u64, "too slow for the watchdog");

/// Calls `each` at every beat: it feeds the watchdog. If anything keeps the processor for longer than the watchdog's patience, nobody
/// does, and the chip is reset. A beat that comes late is not caught up with.
pub async fn beat(mut timer: impl Timer, mut each: impl FnMut()) -> ! {
    loop {
        each();
        let next = timer.now_ms() + BEAT_MS;
        timer.until(next).await;
    }
}
