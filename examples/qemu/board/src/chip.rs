//! The devices of the chip that bootloader and application use alike.

mod console;
mod memory;

use core::fmt;
use core::panic::PanicInfo;

use cortex_m_semihosting::{debug, nr, syscall};
use ota_sim::flash::{FlashDouble, Ledger, Supply};

pub use console::Console;
pub use memory::{Psram, kept};

use crate::{FLASH_BASE, FLASH_SIZE, Part, SETTINGS_AT, SETTINGS_SIZE, STATUS_AT, Settings};

/// One line on the console.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => { $crate::chip::line(format_args!($($words)*)) };
}

/// Writes one line to the console; use [`say!`](crate::say).
pub fn line(words: fmt::Arguments<'_>) {
    use fmt::Write;
    // The console never fails.
    let _ = Console.write_fmt(words);
    let _ = Console.write_str("\n");
}

/// The flash with its rules. `L` may remember which units were programmed.
pub type Flash<L> = FlashDouble<Psram, 1, 1, L, &'static Supply>;

/// The part with slots and journal.
///
/// # Panics
/// When the ledger has no room for the part.
pub fn flash<L: Ledger>(part: &Part, ledger: L, supply: &'static Supply) -> Flash<L> {
    let config = part.flash();
    FlashDouble::with_parts(Psram::new(0, config.size), ledger, supply, config)
        .expect("the part is well described")
}

/// The part with the status partition.
///
/// # Panics
/// Never, while the constants of this crate fit each other.
pub fn status(part: &Part, supply: &'static Supply) -> Flash<()> {
    let config = part.status();
    FlashDouble::with_parts(Psram::new(STATUS_AT, config.size), (), supply, config)
        .expect("rows are well described")
}

/// What the factory wrote.
///
/// # Panics
/// When it wrote nothing.
pub fn settings() -> Settings<'static> {
    const { assert!(SETTINGS_AT + SETTINGS_SIZE == FLASH_SIZE) };
    // SAFETY: the range lies in PSRAM, is readable whatever it holds, and nobody on this board writes there.
    let bytes = unsafe {
        core::slice::from_raw_parts((FLASH_BASE + SETTINGS_AT) as *const u8, SETTINGS_SIZE as usize)
    };
    Settings::decode(bytes).expect("the host has written the settings")
}

/// The command line QEMU was started with, as far as it fits `buffer`.
pub fn command_line(buffer: &mut [u8]) -> &str {
    let block = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: the debugger (QEMU) writes at most the given length to the given place and the length used into the block.
    let failed = unsafe { syscall(nr::GET_CMDLINE, &block) } != 0;
    // SAFETY: the block is alive; the host has changed it behind the compiler's back.
    let length = unsafe { core::ptr::read_volatile(&raw const block[1]) };
    let bytes = if failed { &[] } else { buffer.get(..length).unwrap_or_default() };
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// The power has failed: nothing is done any more, until the host kills QEMU.
pub fn power_lost(operation: fmt::Arguments<'_>) -> ! {
    say!("@ power-lost {operation}");
    cortex_m::interrupt::disable();
    loop {
        cortex_m::asm::wfi();
    }
}

/// Ends QEMU's process with success.
pub fn exit() -> ! {
    loop {
        debug::exit(debug::EXIT_SUCCESS);
    }
}

/// A panic ends QEMU's process with a code other than 0. A device would reset; here nobody is to miss it.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    say!("@ panic {info}");
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}
