//! Log lines to the debug UART, 115200 baud, with the feature `rtt` to the debug probe as well, and what a panic does.

use core::cell::RefCell;
use core::fmt::Write as _;
use core::panic::PanicInfo;

use critical_section::Mutex;
use log::{LevelFilter, Log, Metadata, Record};
use ota_psoc6::bus::Mmio;
use ota_psoc6::kit::Kit;
use ota_psoc6::reset::reset;
use ota_psoc6::uart::Uart;
use ota_psoc6::watchdog::NoWatchdog;

const BAUD: u32 = 115_200;
/// Turns of an empty loop after a panic, before the chip is reset without the watchdog's help: ten seconds and more.
const PANIC_TURNS: u32 = 500_000_000;

static CONSOLE: Console = Console(Mutex::new(RefCell::new(None)));

struct Console(Mutex<RefCell<Option<Uart<Mmio>>>>);

impl Log for Console {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        critical_section::with(|cs| {
            if let Some(uart) = &mut *self.0.borrow_ref_mut(cs) {
                let ms = embassy_time::Instant::now().as_millis();
                let level = record.level();
                let _ = write!(uart, "{:5}.{:03} {level:5} {}\r\n", ms / 1000, ms % 1000, record.args());
                #[cfg(feature = "rtt")]
                rtt_target::rprintln!("{:5}.{:03} {:5} {}", ms / 1000, ms % 1000, level, record.args());
            }
        });
    }

    fn flush(&self) {}
}

/// Opens the console.
pub(crate) fn start(chip: Mmio, kit: &Kit, peripheral_hz: u32) {
    // Without a probe lines are dropped; nothing ever waits for one.
    #[cfg(feature = "rtt")]
    rtt_target::rtt_init_print!(rtt_target::ChannelMode::NoBlockSkip, 2048);
    let uart = Uart::new(chip, &kit.uart, peripheral_hz, BAUD);
    critical_section::with(|cs| CONSOLE.0.borrow_ref_mut(cs).replace(uart));
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Says what happened and stops, so that the watchdog resets the chip. By then whatever the external flash was doing is over;
/// a reset at once could come in the middle of it, and the bootloader would read a busy part.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    // SAFETY: this is the chip; with interrupts off and everything else stopped nobody else uses it.
    let chip = unsafe { Mmio::new() };
    critical_section::with(|cs| {
        if let Ok(mut uart) = CONSOLE.0.borrow(cs).try_borrow_mut()
            && let Some(uart) = &mut *uart
        {
            let _ = write!(uart, "{info}\r\n");
            #[cfg(feature = "rtt")]
            rtt_target::rprintln!("{info}");
        }
    });
    for _ in 0..PANIC_TURNS {
        core::hint::spin_loop();
    }
    loop {
        reset(chip, &mut NoWatchdog, || Ok::<_, ()>(()));
    }
}
