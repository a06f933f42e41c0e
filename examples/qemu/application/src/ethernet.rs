//! Driver of the LAN9118 Ethernet controller (Microchip DS00002266), as far as QEMU's needs one: no PHY to set up, one
//! interrupt for received frames.

use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use qemu_board::chip;

const CHIP: u32 = 0x4020_0000;
/// Longest frame with its check sequence, rounded up to words.
const FRAME_WORDS: usize = 1524 / 4;
/// Longest frame without its check sequence.
const MTU: usize = 1514;
const CHECK_SIZE: usize = 4;

/// Registers, offsets in bytes.
mod register {
    pub(super) const RX_DATA: u32 = 0x00;
    pub(super) const TX_DATA: u32 = 0x20;
    pub(super) const RX_STATUS: u32 = 0x40;
    pub(super) const TX_STATUS: u32 = 0x48;
    pub(super) const IRQ_CFG: u32 = 0x54;
    pub(super) const INT_STS: u32 = 0x58;
    pub(super) const INT_EN: u32 = 0x5C;
    pub(super) const BYTE_TEST: u32 = 0x64;
    pub(super) const FIFO_INT: u32 = 0x68;
    pub(super) const TX_CFG: u32 = 0x70;
    pub(super) const HW_CFG: u32 = 0x74;
    pub(super) const RX_FIFO_INF: u32 = 0x7C;
    pub(super) const TX_FIFO_INF: u32 = 0x80;
    pub(super) const MAC_CMD: u32 = 0xA4;
    pub(super) const MAC_DATA: u32 = 0xA8;
}

/// Registers of the MAC, reached through `MAC_CMD` and `MAC_DATA`.
mod mac {
    pub(super) const CONTROL: u32 = 1;
    pub(super) const ADDRESS_HIGH: u32 = 2;
    pub(super) const ADDRESS_LOW: u32 = 3;
}

const BYTE_ORDER: u32 = 0x8765_4321;
const SOFT_RESET: u32 = 1;
/// TX FIFO of 2 KiB, the least, which leaves 13 KiB to receive into; and the bit that must be one.
const HW_SETTINGS: u32 = 2 << 16 | 1 << 20;
const TX_ON: u32 = 1 << 1;
const MAC_BUSY: u32 = 1 << 31;
const MAC_READ: u32 = 1 << 30;
/// Full duplex, transmitter and receiver on.
const MAC_ON: u32 = 1 << 20 | 1 << 3 | 1 << 2;
/// Interrupt on, active high, push-pull.
const IRQ_SETTINGS: u32 = 1 << 8 | 1 << 4 | 1;
/// A received frame's status waits.
const RX_STATUS_WAITS: u32 = 1 << 3;
/// First and last segment of a frame.
const WHOLE_FRAME: u32 = 1 << 13 | 1 << 12;

/// Frames received since reset.
static RECEIVED: AtomicU32 = AtomicU32::new(0);

fn read(offset: u32) -> u32 {
    // SAFETY: a register of the controller, word-aligned; reading it touches no memory.
    unsafe { core::ptr::read_volatile((CHIP + offset) as *const u32) }
}

fn write(offset: u32, value: u32) {
    // SAFETY: as above, writing.
    unsafe { core::ptr::write_volatile((CHIP + offset) as *mut u32, value) }
}

fn mac_read(index: u32) -> u32 {
    write(register::MAC_CMD, MAC_BUSY | MAC_READ | index);
    while read(register::MAC_CMD) & MAC_BUSY != 0 {}
    read(register::MAC_DATA)
}

fn mac_write(index: u32, value: u32) {
    write(register::MAC_DATA, value);
    write(register::MAC_CMD, MAC_BUSY | index);
    while read(register::MAC_CMD) & MAC_BUSY != 0 {}
}

/// The controller. `lost_at` says with which frame the power is to fail.
pub(crate) struct Ethernet {
    frame: [u32; FRAME_WORDS],
    address: [u8; 6],
    lost_at: Option<u32>,
}

impl Ethernet {
    /// Switches the controller on.
    pub(crate) fn new(lost_at: Option<u32>) -> Self {
        assert_eq!(read(register::BYTE_TEST), BYTE_ORDER, "no LAN9118 answers");
        write(register::HW_CFG, SOFT_RESET);
        while read(register::HW_CFG) & SOFT_RESET != 0 {}
        write(register::HW_CFG, HW_SETTINGS);
        let [a, b, c, d] = mac_read(mac::ADDRESS_LOW).to_le_bytes();
        let [e, f, _, _] = mac_read(mac::ADDRESS_HIGH).to_le_bytes();
        mac_write(mac::CONTROL, MAC_ON);
        write(register::TX_CFG, TX_ON);
        write(register::FIFO_INT, 0);
        write(register::IRQ_CFG, IRQ_SETTINGS);
        write(register::INT_EN, RX_STATUS_WAITS);
        Self { frame: [0; FRAME_WORDS], address: [a, b, c, d, e, f], lost_at }
    }
}

impl Driver for Ethernet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room;

    // No waker is kept: every interrupt has everything polled, see `clock`.
    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Received<'_>, Room)> {
        write(register::INT_STS, RX_STATUS_WAITS);
        loop {
            if read(register::RX_FIFO_INF) >> 16 & 0xFF == 0 {
                return None;
            }
            let size = (read(register::RX_STATUS) >> 16 & 0x3FFF) as usize;
            // All of it must leave the FIFO, also what is too long.
            for place in 0..size.div_ceil(4) {
                let word = read(register::RX_DATA);
                if let Some(to) = self.frame.get_mut(place) {
                    *to = word.to_le();
                }
            }
            if self.lost_at == Some(RECEIVED.fetch_add(1, Ordering::Relaxed)) {
                chip::power_lost(format_args!("frame {}", self.lost_at.unwrap_or(0)));
            }
            if let Some(size) = size.checked_sub(CHECK_SIZE).filter(|&size| size <= MTU) {
                return Some((Received(bytes(&mut self.frame, size)), Room));
            }
        }
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Room> {
        // The chip keeps a status of every frame sent until it is read.
        while read(register::TX_FIFO_INF) >> 16 & 0xFF != 0 {
            read(register::TX_STATUS);
        }
        (read(register::TX_FIFO_INF) & 0xFFFF >= (MTU + 16) as u32).then_some(Room)
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

/// The first `size` bytes of a frame.
fn bytes(words: &mut [u32], size: usize) -> &mut [u8] {
    assert!(size <= words.len() * 4);
    // SAFETY: the range lies in `words`, which stay borrowed; any bytes are good words and the other way round.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size) }
}

/// A frame.
pub(crate) struct Received<'a>(&'a mut [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, work: F) -> R {
        work(self.0)
    }
}

/// Room for one frame in the controller.
pub(crate) struct Room;

impl TxToken for Room {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, size: usize, work: F) -> R {
        let mut frame = [0; FRAME_WORDS];
        let result = work(bytes(&mut frame, size));
        write(register::TX_DATA, WHOLE_FRAME | size as u32);
        write(register::TX_DATA, size as u32);
        for word in frame.iter().take(size.div_ceil(4)) {
            write(register::TX_DATA, u32::from_le(*word));
        }
        result
    }
}
