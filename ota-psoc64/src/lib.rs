//! Room for PSoC 64: the kit CY8CKIT-064S0S2-4343W.
//!
//! Empty so far. Flash layouts, flash drivers, watchdog, random numbers and the Wi-Fi chip arrive in later releases;
//! nothing of them exists yet. Until then give `ota-core` your own layout and your own `NorFlash` driver.
#![no_std]
