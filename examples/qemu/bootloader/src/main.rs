//! A small bootloader that follows MCUboot's rules: `ota-sim`'s model of it, on the board's flash.
//!
//! It finishes an interrupted swap, begins one that the trailers ask for, checks hash and signature of what is to run, and
//! jumps. The application runs in place, from the primary slot.

#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use ota_sim::flash::{Actor, FlashFault, Supply};
use ota_sim::mcuboot::PublicKey;
use qemu_board::chip::{self, Console};
use qemu_board::{Arguments, FLASH_BASE, HEADER_SIZE, Halt, Place, say};

static SUPPLY: SharedSupply = SharedSupply(Supply::new());

/// The power supply, a cell; the bootloader has one thread and no interrupts.
struct SharedSupply(Supply);

// SAFETY: nothing here runs beside `main`.
unsafe impl Sync for SharedSupply {}

#[entry]
fn main() -> ! {
    Console::init();
    let mut line = [0; 256];
    let arguments = Arguments::parse(chip::command_line(&mut line));
    let settings = chip::settings();
    let supply = &SUPPLY.0;
    if let Some(plan) = arguments.plan
        && plan.place == Place::Bootloader
    {
        supply.arm_for(Actor::Bootloader, plan.cut);
    }

    let part = settings.part;
    let (mut flash, mut status) = (chip::flash(part, (), supply), chip::status(part, supply));
    let keys = [PublicKey::from_spki(settings.image_key).expect("the image key is one of P-256")];
    let boot = part.boot(&mut flash, &mut status, &keys);

    let done = flash.counters_of(Actor::Bootloader);
    say!(
        "@ bootloader operations={} erases={} bytes={}",
        supply.operations(),
        done.erases,
        done.bytes_written
    );
    match boot {
        Ok(image) => {
            let version = image.running.unwrap_or_default().version;
            say!("bootloader: version {version} is in the primary slot (done: {:?})", image.action);
            if let Some(refused) = image.refused {
                say!("bootloader: the secondary slot was refused: {refused}");
            }
        }
        Err(Halt::Flash(FlashFault::PowerLost)) => {
            chip::power_lost(format_args!("bootloader, operation {}", supply.operations().saturating_sub(1)))
        }
        Err(halt) => panic!("the device does not boot: {halt:?}"),
    }
    let vectors = (FLASH_BASE + HEADER_SIZE) as *const u32;
    // SAFETY: the image was verified, and is linked for this place with its vector table at its start. Interrupts were never
    // enabled, and nothing of the bootloader is used afterwards.
    unsafe {
        (*cortex_m::peripheral::SCB::PTR).vtor.write(vectors as u32);
        cortex_m::asm::bootload(vectors)
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    chip::panic(info)
}
