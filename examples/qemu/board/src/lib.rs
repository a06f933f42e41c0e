//! The emulated board: QEMU's `mps2-an386`, a Cortex-M4 with an Ethernet controller and 16 MiB of PSRAM.
//!
//! Bootloader, application and the host that starts them share this crate, so that they cannot disagree about where things
//! lie. Only [`chip`] needs the chip.
//!
//! | Address | What | Used as |
//! |---|---|---|
//! | 0x0000_0000 | SSRAM, 4 MiB | the bootloader; QEMU loads it at every reset, as if it were ROM |
//! | 0x2000_0000 | SRAM, 4 MiB | RAM of whoever runs; its last KiB is kept over a reset ([`chip::kept`]) |
//! | 0x2100_0000 | PSRAM, 16 MiB | the flash, with a file of the host behind it that outlives QEMU |
//! | 0x4000_4000 | UART | the console |
//! | 0x4020_0000 | LAN9118 | the network |
//!
//! PSRAM has no rules of its own; those of a flash are enforced by `ota-sim`'s flash double in front of it. In it lie, from the
//! start, the slots, the scratch area and the journal (see [`Part`]), the status partition, and in the last 64 KiB what a
//! factory would write into the device (see [`Settings`]).

#![no_std]
#![cfg_attr(not(target_os = "none"), forbid(unsafe_code))]

mod part;
mod plan;
mod settings;

#[cfg(target_os = "none")]
pub mod chip;

pub use part::{HEADER_SIZE, Halt, PARTS, Part};
pub use plan::{Arguments, Place, Plan};
pub use settings::{Endpoint, Settings};

/// Where the flash lies in the address map.
pub const FLASH_BASE: u32 = 0x2100_0000;
/// Length of the whole flash in bytes, and of the file behind it.
pub const FLASH_SIZE: u32 = 16 << 20;
/// Offset of the status partition in the flash, a part of its own.
pub const STATUS_AT: u32 = 0xE0_0000;
/// Length of the status partition's part in bytes.
pub const STATUS_SIZE: u32 = 0x4_0000;
/// Offset of the [`Settings`] in the flash.
pub const SETTINGS_AT: u32 = 0xFF_0000;
/// Room for the settings in bytes.
pub const SETTINGS_SIZE: u32 = 0x1_0000;
