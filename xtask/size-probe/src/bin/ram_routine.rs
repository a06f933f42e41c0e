//! The kits' driver of internal flash and nothing else, for a look at the routine it runs from RAM: `cargo xtask firmware` builds it
//! as a debug build is built, and sees whether the routine calls anything.
#![no_std]
#![no_main]

use core::hint::black_box;

use ota_core as _;
use ota_psoc6::{
    bus::Mmio,
    syscall::{DirectCache, RamPlace, SystemCalls},
};

static PLACE: RamPlace = RamPlace::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the program is only looked at, and has no other user of the chip.
    let chip = unsafe { Mmio::new() };
    if let Some(ram) = PLACE.take() {
        let mut calls = SystemCalls::new(chip, DirectCache, ram, 100_000_000);
        black_box(calls.erase_row(black_box(0x1010_6000)).is_ok());
    }
    loop {
        black_box(());
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        black_box(());
    }
}
