//! What is soldered to which pin, kit by kit. From the kits' board support packages and their guides; the polarity of LEDs and
//! buttons was not seen on a board, so it is data too.

/// A pin of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Port number.
    pub port: u8,
    /// Number inside the port, 0 to 7.
    pub pin: u8,
}

impl Pin {
    /// Pin `pin` of port `port`.
    pub const fn new(port: u8, pin: u8) -> Self {
        Self { port, pin }
    }

    /// Registers of its GPIO port (TRM: GPIO_PRT).
    pub const fn gpio(self) -> u32 {
        0x4031_0000 + self.port as u32 * 0x80
    }

    /// Function select registers of its port (TRM: HSIOM_PRT).
    pub const fn hsiom(self) -> u32 {
        0x4030_0000 + self.port as u32 * 0x10
    }
}

/// A pin with the level that means "on" or "pressed".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The pin.
    pub pin: Pin,
    /// On, or pressed, when the pin is low.
    pub active_low: bool,
}

const fn low(port: u8, pin: u8) -> Switch {
    Switch { pin: Pin::new(port, pin), active_low: true }
}

/// Pins of the debug UART, on SCB5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uart {
    /// Receives.
    pub rx: Pin,
    /// Sends.
    pub tx: Pin,
}

/// Pins of the serial flash, on SMIF select 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qspi {
    /// Clock.
    pub clock: Pin,
    /// Select of the flash, active low.
    pub select: Pin,
    /// Data lines 0 to 3.
    pub data: [Pin; 4],
    /// Select of the F-RAM beside it, which has to stay high; the prototyping kit has none.
    pub fram_select: Option<Pin>,
}

/// Pins of the Wi-Fi module, on SDHC0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sdio {
    /// Clock.
    pub clock: Pin,
    /// Command.
    pub command: Pin,
    /// Data lines 0 to 3.
    pub data: [Pin; 4],
    /// Power of the module (WL_REG_ON), an ordinary output.
    pub power: Pin,
    /// The module wakes the host with it. On CY8CPROTO-062-4343W the user button shares it.
    pub host_wake: Pin,
}

/// Function select values (HSIOM) of the pins above.
pub mod function {
    /// Plain GPIO.
    pub const GPIO: u8 = 0;
    /// SMIF on P11_2 to P11_7, and its select 2 on P11_0.
    pub const SMIF: u8 = 17;
    /// SCB5 as UART on P5_0 and P5_1.
    pub const UART: u8 = 18;
    /// SDHC0 on P2_0 to P2_5.
    pub const SDHC: u8 = 26;
}

/// The Wi-Fi chip of a kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WifiChip {
    /// In the Murata 1DX module.
    Cyw4343w,
    /// In the Murata 1LV module.
    Cyw43012,
}

/// A kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kit {
    /// Its order number.
    pub name: &'static str,
    /// The microcontroller on it.
    pub mcu: &'static str,
    /// User LED.
    pub led: Switch,
    /// User button.
    pub button: Switch,
    /// Debug UART.
    pub uart: Uart,
    /// Serial flash.
    pub qspi: Qspi,
    /// Wi-Fi module.
    pub sdio: Sdio,
    /// Wi-Fi chip.
    pub wifi: WifiChip,
}

const QSPI: Qspi = Qspi {
    clock: Pin::new(11, 7),
    select: Pin::new(11, 2),
    data: [Pin::new(11, 6), Pin::new(11, 5), Pin::new(11, 4), Pin::new(11, 3)],
    fram_select: Some(Pin::new(11, 0)),
};

const SDIO: Sdio = Sdio {
    clock: Pin::new(2, 5),
    command: Pin::new(2, 4),
    data: [Pin::new(2, 0), Pin::new(2, 1), Pin::new(2, 2), Pin::new(2, 3)],
    power: Pin::new(2, 6),
    host_wake: Pin::new(4, 1),
};

/// CY8CPROTO-062-4343W, the prototyping kit.
pub const CY8CPROTO_062_4343W: Kit = Kit {
    name: "CY8CPROTO-062-4343W",
    mcu: "CY8C624ABZI-S2D44",
    led: low(13, 7),
    button: low(0, 4),
    uart: Uart { rx: Pin::new(5, 0), tx: Pin::new(5, 1) },
    qspi: Qspi { fram_select: None, ..QSPI },
    sdio: Sdio { host_wake: Pin::new(0, 4), ..SDIO },
    wifi: WifiChip::Cyw4343w,
};

/// CY8CKIT-062S2-43012, the Pioneer kit.
pub const CY8CKIT_062S2_43012: Kit = Kit {
    name: "CY8CKIT-062S2-43012",
    mcu: "CY8C624ABZI-S2D44",
    led: low(1, 5),
    button: low(0, 4),
    uart: Uart { rx: Pin::new(5, 0), tx: Pin::new(5, 1) },
    qspi: QSPI,
    sdio: SDIO,
    wifi: WifiChip::Cyw43012,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_a_port() {
        assert_eq!((Pin::new(2, 0).gpio(), Pin::new(11, 2).gpio()), (0x4031_0100, 0x4031_0580));
        assert_eq!((Pin::new(2, 0).hsiom(), Pin::new(11, 2).hsiom()), (0x4030_0020, 0x4030_00B0));
    }

    /// No pin serves two peripherals; the one that does on the prototyping kit is known.
    #[test]
    fn pins_are_not_shared() {
        for (kit, shared) in [(CY8CPROTO_062_4343W, 1), (CY8CKIT_062S2_43012, 0)] {
            let Kit { led, button, uart, qspi, sdio, .. } = kit;
            let singles =
                [led.pin, button.pin, uart.rx, uart.tx, qspi.clock, qspi.select, sdio.clock, sdio.command];
            let all: heapless::Vec<Pin, 24> = singles
                .into_iter()
                .chain([sdio.power, sdio.host_wake])
                .chain(qspi.data)
                .chain(sdio.data)
                .chain(qspi.fram_select)
                .collect();
            let twice = all.iter().enumerate().filter(|(at, pin)| all[..*at].contains(pin)).count();
            assert_eq!(twice, shared, "{}", kit.name);
        }
    }
}
