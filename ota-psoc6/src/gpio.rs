//! Pins: what drives them, and outputs (TRM: GPIO_PRT, HSIOM).

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};

use crate::bus::Bus;
use crate::kit::{Pin, Switch, function};

const OUT_CLR: u32 = 0x04;
const OUT_SET: u32 = 0x08;
const OUT_INV: u32 = 0x0C;
const CFG: u32 = 0x44;

/// How a pin is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Drive {
    /// Strongly both ways, input buffer off.
    Strong = 0x6,
    /// Not at all, input buffer on.
    Input = 0x8,
    /// Strongly both ways, input buffer on: a line that is also listened to.
    StrongInput = 0xE,
}

/// Sets a pin high without looking at who drives it.
pub fn set_high<B: Bus>(bus: B, pin: Pin) {
    bus.write32(pin.gpio() + OUT_SET, 1 << pin.pin);
}

/// Sets a pin's drive. Ports are shared: not from two tasks or a task and an interrupt at once.
pub fn drive<B: Bus>(bus: B, pin: Pin, drive: Drive) {
    set_field(bus, pin.gpio() + CFG, u32::from(pin.pin) * 4, 0xF, drive as u32);
}

/// Hands a pin to a peripheral, by the numbers of [`function`]. Ports are shared, as with [`drive`].
pub fn route<B: Bus>(bus: B, pin: Pin, function: u8) {
    let register = pin.hsiom() + u32::from(pin.pin / 4) * 4;
    set_field(bus, register, u32::from(pin.pin % 4) * 8, 0x1F, u32::from(function));
}

fn set_field<B: Bus>(bus: B, register: u32, shift: u32, mask: u32, value: u32) {
    let rest = bus.read32(register) & !(mask << shift);
    bus.write32(register, rest | value << shift);
}

/// An output. Changing it is one store, so ports may be shared with interrupts.
#[derive(Debug)]
pub struct Output<B> {
    bus: B,
    switch: Switch,
}

impl<B: Bus> Output<B> {
    /// An ordinary output that starts low.
    pub fn new(bus: B, pin: Pin) -> Self {
        Self::switch(bus, Switch { pin, active_low: false })
    }

    /// An output that starts off, whatever level that is.
    pub fn switch(bus: B, switch: Switch) -> Self {
        let mut output = Self { bus, switch };
        output.set(false);
        route(bus, switch.pin, function::GPIO);
        drive(bus, switch.pin, Drive::Strong);
        output
    }

    /// Switches on or off.
    pub fn set(&mut self, on: bool) {
        let register = if on != self.switch.active_low { OUT_SET } else { OUT_CLR };
        self.bus.write32(self.switch.pin.gpio() + register, 1 << self.switch.pin.pin);
    }

    /// Off if it was on.
    pub fn toggle(&mut self) {
        self.bus.write32(self.switch.pin.gpio() + OUT_INV, 1 << self.switch.pin.pin);
    }
}

impl<B> ErrorType for Output<B> {
    type Error = Infallible;
}

impl<B: Bus> OutputPin for Output<B> {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set(self.switch.active_low);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set(!self.switch.active_low);
        Ok(())
    }
}
