//! The counter, and 64 bits made of its 32.

use crate::bus::Bus;

/// Peripheral clock divider 0 of 16 bits is this clock's own.
const DIVIDER: u32 = 0;
/// PERI: commands to the dividers.
const DIV_CMD: u32 = 0x4000_0400;
const DIV_CMD_ENABLE: u32 = 1 << 31;
const DIV_CMD_DISABLE: u32 = 1 << 30;
/// "Align to no other divider", and the divider itself: type 1 (16 bits).
const DIV_CMD_SELECT: u32 = 0x3FF << 16 | TYPE_16 | DIVIDER;
const TYPE_16: u32 = 1 << 8;
/// Divider value minus 1 in bits 23:8.
const DIV_16_CTL: u32 = 0x4000_1400 + 4 * DIVIDER;
/// What feeds counter 0 of TCPWM0: peripheral clock 15.
const CLOCK_CTL: u32 = 0x4000_0C00 + 4 * 15;

const TCPWM: u32 = 0x4038_0000;
/// One bit a counter.
const CTRL_CLR: u32 = TCPWM + 0x04;
const CTRL_SET: u32 = TCPWM + 0x08;
const CMD_START: u32 = TCPWM + 0x18;
const COUNTER_0: u32 = 1;

const CNT_CTRL: u32 = TCPWM + 0x100;
const COUNTER: u32 = TCPWM + 0x108;
const CC: u32 = TCPWM + 0x10C;
const PERIOD: u32 = TCPWM + 0x114;
/// Triggers: reset values choose inputs that stay low, but the count input, which is to stay high.
const TR_CTRL0: u32 = TCPWM + 0x120;
const TR_CTRL0_COUNT_ALWAYS: u32 = 1 << 4;
const TR_CTRL1: u32 = TCPWM + 0x124;
/// No edge detection on any input.
const TR_CTRL1_LEVELS: u32 = 0x3FF;
const INTR: u32 = TCPWM + 0x130;
const INTR_MASK: u32 = TCPWM + 0x138;
const CC_MATCH: u32 = 1 << 1;

/// The furthest an alarm may lie ahead: half a turn, so that a look after it, however late, still tells the turns apart.
const FURTHEST: u64 = 1 << 31;

/// A clock of 64 bits. One of it, and the only user of counter 0 of TCPWM0 and of divider 0 of 16 bits.
#[derive(Debug)]
pub struct Clock<B> {
    bus: B,
    /// The time of the last look.
    last: u64,
}

impl<B: Bus> Clock<B> {
    /// Starts the counter at 0. `divider` divides the peripheral clock to [`TICK_HZ`](super::TICK_HZ): 100 for 100 MHz.
    ///
    /// A divider of 0 counts as 1.
    pub fn start(bus: B, divider: u16) -> Self {
        bus.write32(DIV_CMD, DIV_CMD_DISABLE | DIV_CMD_SELECT);
        bus.write32(CLOCK_CTL, TYPE_16 | DIVIDER);
        bus.write32(DIV_16_CTL, u32::from(divider.max(1) - 1) << 8);
        bus.write32(DIV_CMD, DIV_CMD_ENABLE | DIV_CMD_SELECT);

        bus.write32(CTRL_CLR, COUNTER_0);
        bus.write32(CNT_CTRL, 0);
        bus.write32(COUNTER, 0);
        bus.write32(PERIOD, u32::MAX);
        bus.write32(CC, FURTHEST as u32);
        bus.write32(TR_CTRL0, TR_CTRL0_COUNT_ALWAYS);
        bus.write32(TR_CTRL1, TR_CTRL1_LEVELS);
        bus.write32(INTR, CC_MATCH | 1);
        bus.write32(INTR_MASK, CC_MATCH);
        bus.write32(CTRL_SET, COUNTER_0);
        bus.write32(CMD_START, COUNTER_0);
        Self { bus, last: 0 }
    }

    /// Ticks since the start.
    ///
    /// Right as long as no two looks are a whole turn apart; each alarm causes one.
    pub fn now(&mut self) -> u64 {
        let passed = self.bus.read32(COUNTER).wrapping_sub(self.last as u32);
        self.last += u64::from(passed);
        self.last
    }

    /// Asks for an interrupt at `at`, or earlier if that is more than half a turn away. Whether it is still to come: if not,
    /// there may be no interrupt, and `at` has passed.
    pub fn set_alarm(&mut self, at: u64) -> bool {
        let now = self.now();
        let at = at.min(now + FURTHEST);
        self.bus.write32(CC, at as u32);
        // The counter reports a match when it reaches the value, not when it is beyond.
        self.now() < at
    }

    /// Takes note of an alarm; to be called by its handler.
    pub fn clear_alarm(&mut self) {
        self.bus.write32(INTR, CC_MATCH);
        // Read back, so that the handler does not end before the request has gone.
        self.bus.read32(INTR);
    }
}
