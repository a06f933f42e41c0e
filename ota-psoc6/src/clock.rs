//! The clocks of a PSoC 62: 100 MHz from the internal oscillator, and the roots of the peripherals (TRM: SRSS; vendor's
//! clock driver). On PSoC 64 they are the secure core's.

use crate::bus::Bus;

const FLASH_CTL: u32 = 0x4024_0000;
/// Wait states for 100 MHz at the core's normal voltage.
const FLASH_WAIT_STATES: u32 = 3;
/// The processor's divider of root 0, and that of the peripherals; the other core's own stands beside the latter.
const CM4_CLOCK_CTL: u32 = 0x4020_0008;
const FAST_DIVIDER: u32 = 0xFF << 8;
const CM0_CLOCK_CTL: u32 = 0x4020_1008;
const PERIPHERAL_DIVIDER: u32 = 0xFF << 24;
const PATH_SELECT_0: u32 = 0x4026_0340;
const ROOT_SELECT: u32 = 0x4026_0380;
const ROOT_ENABLE: u32 = 1 << 31;

const FLL_CONFIG: u32 = 0x4026_0580;
const FLL_CONFIG2: u32 = 0x4026_0584;
const FLL_CONFIG3: u32 = 0x4026_0588;
const FLL_CONFIG4: u32 = 0x4026_058C;
const FLL_STATUS: u32 = 0x4026_0590;
/// 8 MHz × 500 ÷ 20 ÷ 2.
const FLL_MULTIPLIER: u32 = 500 | 1 << 24;
const FLL_REFERENCE: u32 = 20 | 10 << 16;
const FLL_GAINS: u32 = 9 | 5 << 4 | 8 << 8;
const FLL_OSCILLATOR: u32 = 4 << 8 | 355 << 16;
const FLL_ENABLE: u32 = 1 << 31;
const BYPASS: u32 = 3 << 28;
const BYPASS_INPUT: u32 = 2 << 28;
const BYPASS_OUTPUT: u32 = 3 << 28;
const LOCKED: u32 = 1 << 0;
const OSCILLATOR_READY: u32 = 1 << 2;

/// Looks at a status bit; locking takes some ten microseconds.
const LOOKS: u32 = 200_000;

/// What [`start`] leaves: processor and peripherals.
pub const HZ: u32 = 100_000_000;

/// Why the clocks are not as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockError {
    /// The oscillator of the frequency-locked loop does not start. Everything runs from the internal oscillator, 8 MHz.
    Oscillator,
    /// The loop does not lock. Everything runs from the internal oscillator, 8 MHz.
    Lock,
}

/// A divider of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Divide {
    /// By one.
    By1 = 0,
    /// By two.
    By2 = 1,
    /// By four.
    By4 = 2,
    /// By eight.
    By8 = 3,
}

/// Sets processor, peripherals and path 0 to [`HZ`], whatever the bootloader left. No flash operation may be under way, and
/// what counts the old clock (a UART, a timer) has to be set up after it.
///
/// # Errors
/// [`ClockError`]; the chip then runs at 8 MHz with more wait states than it needs.
pub fn start<B: Bus>(bus: B) -> Result<(), ClockError> {
    // To the oscillator before anything else is touched: wait states and dividers suit the clock the bootloader left, which may be
    // faster than ours.
    bus.write32(FLL_CONFIG3, bus.read32(FLL_CONFIG3) & !BYPASS | BYPASS_INPUT);
    bus.write32(FLL_CONFIG, bus.read32(FLL_CONFIG) & !FLL_ENABLE);
    bus.write32(PATH_SELECT_0, 0);
    bus.write32(ROOT_SELECT, ROOT_ENABLE);
    // At 8 MHz any number does. The fields beside them stay.
    bus.write32(FLASH_CTL, bus.read32(FLASH_CTL) & !0xF | FLASH_WAIT_STATES);
    bus.write32(CM4_CLOCK_CTL, bus.read32(CM4_CLOCK_CTL) & !FAST_DIVIDER);
    bus.write32(CM0_CLOCK_CTL, bus.read32(CM0_CLOCK_CTL) & !PERIPHERAL_DIVIDER);

    bus.write32(FLL_CONFIG, FLL_MULTIPLIER);
    bus.write32(FLL_CONFIG2, FLL_REFERENCE);
    bus.write32(FLL_CONFIG3, FLL_GAINS | BYPASS_INPUT);
    bus.write32(FLL_CONFIG4, FLL_OSCILLATOR);
    bus.write32(FLL_CONFIG4, FLL_OSCILLATOR | FLL_ENABLE);
    wait(bus, OSCILLATOR_READY, ClockError::Oscillator)?;
    bus.write32(FLL_CONFIG, FLL_MULTIPLIER | FLL_ENABLE);
    wait(bus, LOCKED, ClockError::Lock)?;
    bus.write32(FLL_CONFIG3, FLL_GAINS | BYPASS_OUTPUT);
    Ok(())
}

/// Feeds root `root` (2: serial memory, 4: SDHC0) from path 0, divided.
pub fn root<B: Bus>(bus: B, root: u8, divide: Divide) {
    bus.write32(ROOT_SELECT + 4 * u32::from(root), root_value(divide));
}

/// The value of a root's register, for whoever has to write it by other ways.
pub const fn root_value(divide: Divide) -> u32 {
    ROOT_ENABLE | (divide as u32) << 4
}

fn wait<B: Bus>(bus: B, bit: u32, otherwise: ClockError) -> Result<(), ClockError> {
    for _ in 0..LOOKS {
        if bus.read32(FLL_STATUS) & bit != 0 {
            return Ok(());
        }
    }
    Err(otherwise)
}
