//! Room for PSoC 62: the kits CY8CPROTO-062-4343W and CY8CKIT-062S2-43012.
//!
//! Empty so far. Flash layouts, flash drivers, watchdog, random numbers and the Wi-Fi chip arrive in later releases;
//! nothing of them exists yet. Until then give `ota-core` your own layout and your own `NorFlash` driver.
#![no_std]
