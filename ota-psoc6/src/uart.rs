//! The debug UART on SCB5, transmitter only, by polling (TRM: SCB; vendor's UART driver).

use core::fmt;

use crate::bus::Bus;
use crate::gpio::{self, Drive};
use crate::kit::{self, function};

const SCB: u32 = 0x4065_0000;
const CTRL: u32 = SCB;
const UART_CTRL: u32 = SCB + 0x40;
const UART_TX_CTRL: u32 = SCB + 0x44;
const TX_CTRL: u32 = SCB + 0x200;
const TX_FIFO_STATUS: u32 = SCB + 0x208;
const TX_FIFO_WR: u32 = SCB + 0x240;

const ENABLED: u32 = 1 << 31;
const MODE_UART: u32 = 2 << 24;
const BYTE_MODE: u32 = 1 << 11;
/// One stop bit, counted in halves less one.
const STOP_BITS_1: u32 = 1;
const DATA_WIDTH_8: u32 = 7;
/// Bytes in use, of 128.
const FIFO_USED: u32 = 0x1FF;
const FIFO_SIZE: u32 = 128;

/// Divider 1 of 16 bits, and peripheral clock 5, which is SCB5's (PERI; `psoc6_02_config.h`).
const DIVIDER: u32 = 1;
const DIV_CMD: u32 = 0x4000_0400;
const DIV_CMD_SELECT: u32 = 0x3FF << 16 | 1 << 8 | DIVIDER;
const DIV_16_CTL: u32 = 0x4000_1400 + 4 * DIVIDER;
const CLOCK_CTL: u32 = 0x4000_0C00 + 4 * 5;

/// Looks at a full FIFO before a byte is dropped: longer than a byte takes at 9600 baud.
const LOOKS: u32 = 200_000;

/// The transmitter. Bytes that do not go are dropped: a log must not stop what it reports on.
#[derive(Debug)]
pub struct Uart<B> {
    bus: B,
}

impl<B: Bus> Uart<B> {
    /// Sets up pin, divider and block for `baud`, 8 data bits, no parity, one stop bit. `peripheral_hz` is the peripheral clock.
    pub fn new(bus: B, pins: &kit::Uart, peripheral_hz: u32, baud: u32) -> Self {
        let (divider, oversample) = divide(peripheral_hz, baud);
        bus.write32(DIV_CMD, 1 << 30 | DIV_CMD_SELECT);
        bus.write32(CLOCK_CTL, 1 << 8 | DIVIDER);
        bus.write32(DIV_16_CTL, (divider - 1) << 8);
        bus.write32(DIV_CMD, 1 << 31 | DIV_CMD_SELECT);

        bus.write32(CTRL, 0);
        bus.write32(UART_CTRL, 0);
        bus.write32(UART_TX_CTRL, STOP_BITS_1);
        bus.write32(TX_CTRL, DATA_WIDTH_8);
        bus.write32(CTRL, MODE_UART | BYTE_MODE | (oversample - 1));
        bus.write32(CTRL, ENABLED | MODE_UART | BYTE_MODE | (oversample - 1));

        // High first: a low line would be a start bit.
        gpio::set_high(bus, pins.tx);
        gpio::drive(bus, pins.tx, Drive::Strong);
        gpio::route(bus, pins.tx, function::UART);
        Self { bus }
    }

    /// Sends bytes, waiting for room where there is none.
    pub fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let room = (0..LOOKS).any(|_| self.bus.read32(TX_FIFO_STATUS) & FIFO_USED < FIFO_SIZE);
            if room {
                self.bus.write32(TX_FIFO_WR, (*byte).into());
            }
        }
    }
}

impl<B: Bus> fmt::Write for Uart<B> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.send(text.as_bytes());
        Ok(())
    }
}

/// Divider and oversampling that come closest to a rate.
fn divide(peripheral_hz: u32, baud: u32) -> (u32, u32) {
    let mut best = (1, 8, u32::MAX);
    let mut oversample = 8;
    while oversample <= 16 {
        let each = baud.max(1) * oversample;
        let divider = ((peripheral_hz + each / 2) / each).clamp(1, 0x1_0000);
        let error = (peripheral_hz / (divider * oversample)).abs_diff(baud);
        if error < best.2 {
            best = (divider, oversample, error);
        }
        oversample += 1;
    }
    (best.0, best.1)
}

#[cfg(test)]
mod tests {
    use super::divide;

    #[test]
    fn rates_are_close() {
        for (hz, baud) in
            [(100_000_000, 115_200), (50_000_000, 115_200), (8_000_000, 115_200), (8_000_000, 9_600)]
        {
            let (divider, oversample) = divide(hz, baud);
            let real = hz / (divider * oversample);
            assert!(real.abs_diff(baud) * 50 < baud, "{hz} Hz: {real} baud for {baud}");
        }
        assert_eq!(divide(100_000_000, 115_200), (62, 14));
    }
}
